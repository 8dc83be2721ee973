import jittor as jt
from jittor import nn

from .losses import SegmentationLoss
from .unet import UNet

__all__ = ["SegmentationLoss", "UNet", "build_model", "to_category_ids"]

CATEGORIES = (7, 8, 11, 12, 13)  # category ids by class


def build_model():
    return UNet(classes=len(CATEGORIES))


def to_category_ids(logits):
    """(N, C, H, W) -> category ids and their probabilities, (N, H, W) each."""
    labels, scores = nn.softmax(logits, dim=1).argmax(1)
    ids = jt.array(CATEGORIES)[labels]
    return {"ids": ids, "scores": scores}
