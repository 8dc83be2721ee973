"""Cross-entropy with smoothed labels over the words that are there."""

import torch
from torch import nn


class SmoothedLoss(nn.Module):
    def __init__(self, smoothing=0.1):
        super().__init__()
        self.smoothing = smoothing

    def forward(self, logits, wanted, padding):
        """logits [B, N, V], wanted [B, N] -> the mean of all words but padding."""
        words = logits.shape[-1]
        hot = (wanted[..., None] == torch.arange(words)).to(logits.dtype)
        target = hot * (1 - self.smoothing) + self.smoothing / words
        losses = -(target * torch.log_softmax(logits, -1)).sum(-1)
        there = (~padding).to(logits.dtype)
        return {"loss": (losses * there).sum() / there.sum()}
