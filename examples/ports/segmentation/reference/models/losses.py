"""Cross entropy and dice loss of the pixels that are not ignored."""

import torch
from torch import nn
from torch.nn import functional as F

IGNORED = 255


class SegmentationLoss(nn.Module):
    def __init__(self, smooth=1.0):
        super().__init__()
        self.smooth = smooth

    def forward(self, logits, labels):
        return {
            "loss_ce": self.cross_entropy(logits, labels),
            "loss_dice": self.dice(logits, labels),
        }

    def cross_entropy(self, logits, labels):
        return F.cross_entropy(logits, labels, ignore_index=IGNORED)

    def dice(self, logits, labels):
        valid = labels != IGNORED
        target = F.one_hot(torch.where(valid, labels, 0), logits.shape[1]).permute(0, 3, 1, 2)
        valid = valid[:, None].to(logits.dtype)
        target, found = target * valid, logits.softmax(1) * valid
        both = (found * target).sum((0, 2, 3))
        sizes = found.sum((0, 2, 3)) + target.sum((0, 2, 3))
        return (1 - (2 * both + self.smooth) / (sizes + self.smooth)).mean()
