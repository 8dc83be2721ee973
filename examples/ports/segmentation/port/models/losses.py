"""Cross entropy and dice loss of the pixels that are not ignored."""

import jittor as jt
from jittor import nn

IGNORED = 255


def one_hot(labels, like):
    """(N, H, W) -> (N, C, H, W) of like's channels and dtype; zeros where a label is none of the classes."""
    classes = jt.arange(like.shape[1]).reshape(1, -1, 1, 1)
    return (labels.unsqueeze(1) == classes).cast(like.dtype)


class SegmentationLoss(nn.Module):
    def __init__(self, smooth=1.0):
        super().__init__()
        self.smooth = smooth

    def execute(self, logits, labels):
        return {
            "loss_ce": self.cross_entropy(logits, labels),
            "loss_dice": self.dice(logits, labels),
        }

    def cross_entropy(self, logits, labels):
        valid = (labels != IGNORED).cast(logits.dtype)
        chosen = (nn.log_softmax(logits, dim=1) * one_hot(labels, logits)).sum(1)
        return -chosen.sum() / valid.sum()

    def dice(self, logits, labels):
        valid = (labels != IGNORED).unsqueeze(1).cast(logits.dtype)
        target, found = one_hot(labels, logits), nn.softmax(logits, dim=1) * valid
        both = (found * target).sum((0, 2, 3))
        sizes = found.sum((0, 2, 3)) + target.sum((0, 2, 3))
        return (1 - (2 * both + self.smooth) / (sizes + self.smooth)).mean()
