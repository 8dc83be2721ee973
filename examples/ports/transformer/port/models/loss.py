"""Cross-entropy with smoothed labels over the words that are there."""

import jittor as jt
from jittor import nn


class SmoothedLoss(nn.Module):
    def __init__(self, smoothing=0.1):
        super().__init__()
        self.smoothing = smoothing

    def execute(self, logits, wanted, padding):
        """logits [B, N, V], wanted [B, N] -> the mean of all words but padding."""
        words = logits.shape[-1]
        hot = (wanted.unsqueeze(-1) == jt.arange(words)).cast(logits.dtype)
        target = hot * (1 - self.smoothing) + self.smoothing / words
        losses = -(target * nn.log_softmax(logits, dim=-1)).sum(-1)
        there = jt.logical_not(padding).cast(logits.dtype)
        return {"loss": (losses * there).sum() / there.sum()}
