"""What ports of anchor-based detectors get wrong."""

from examples.ports.defect import Defect
from parity.engine import kinds

ROOT = ("(model)", "(model)[*", "")
OTHER = (kinds.FORMULA, kinds.BRANCH)

DEFECTS = [
    Defect(
        "width and height of anchors swapped",
        "models/anchors.py",
        old="jt.stack([-widths, -heights, widths, heights], 1)",
        new="jt.stack([-heights, -widths, heights, widths], 1)",
        where=ROOT,
        kind=(kinds.ORDER, kinds.AXIS, *OTHER),
        case="anchors",
        fast=True,
    ),
    Defect(
        "anchors off by half a stride",
        "models/anchors.py",
        old="(jt.array(np.arange(columns)) + 0.5)",
        new="(jt.array(np.arange(columns)))",
        where=ROOT,
        kind=(kinds.TERM, *OTHER),
        case="anchors",
    ),
    Defect(
        "no clamp of the sizes",
        "models/box_coder.py",
        old="dw, dh = dw.clamp(max_v=self.limit), dh.clamp(max_v=self.limit)",
        new="dw, dh = dw, dh",
        where=ROOT,
        kind=(kinds.BRANCH, kinds.FORMULA),
        case="decode",
        fast=True,
    ),
    Defect(
        "std forgotten in decoding",
        "models/box_coder.py",
        old="deltas[:, k] * self.std[k]",
        new="deltas[:, k]",
        where=ROOT,
        kind=(kinds.CONSTANT, *OTHER),
        case="decode",
    ),
    Defect(
        "no best anchor of an object",
        "models/loss.py",
        old="return jt.where((best.sum(1) > 0), which, found)",
        new="return found",
        where=ROOT,
        kind=(kinds.CONSTANT, *OTHER),
        case="criterion",
    ),
    Defect(
        "background is a class of its own, the first",
        "models/loss.py",
        old='hot[positive.nonzero()[:, 0], target["labels"][objects]] = 1.0',
        new='hot[positive.nonzero()[:, 0], (target["labels"][objects] + 1) % self.classes] = 1.0',
        where=ROOT,
        kind=(kinds.CONSTANT, *OTHER),
        case="criterion",
    ),
    Defect(
        "whole boxes clipped",
        "models/post.py",
        old="x, y = boxes[:, 0::2].clamp(0, width), boxes[:, 1::2].clamp(0, height)",
        new="x, y = boxes.clamp(0, width)[:, 0::2], boxes.clamp(0, width)[:, 1::2]",
        where=ROOT,
        kind=(kinds.SHAPE, *OTHER),
        case="post",
    ),
    Defect(
        "shortcut added after the ReLU",
        "models/retinanet.py",
        old="nn.relu(self.bn2(self.conv2(y)) + self.down(x))",
        new="nn.relu(self.bn2(self.conv2(y))) + self.down(x)",
        where="blocks.0",
        kind=OTHER,
    ),
    Defect(
        "frozen norms lose their affine part too",
        "models/retinanet.py",
        old="module.is_train = False",
        new="module.eval()",
        where="frozen/*",
        kind=kinds.FROZEN,
        case="training",
        checks=("steps",),
    ),
]
