"""Category ids of the annotations, which have gaps, and the labels 0, 1, ... that a model knows."""

import jittor as jt
from jittor import nn

IDS = (1, 3, 4, 8, 90)


def labels_of(ids):
    return jt.array([IDS.index(k) for k in ids])


class Categories(nn.Module):
    """Labels of detections -> what is submitted."""

    def execute(self, labels):
        return jt.array(IDS)[labels]
