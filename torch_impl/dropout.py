"""Dropout that both frameworks can be made to do alike."""

from __future__ import annotations

from torch_impl import ops
from torch_impl.runtime import nn


class Dropout(nn.Module):
    """Dropout whose mask comes from the shared streams, or from the framework when `draws` is None.

    The session sets `active`, `draws` and `site` (see neutral/randomness.py); inactive by default.
    """

    def __init__(self, rate: float):
        super().__init__()
        self.rate = rate
        self.active = False
        self.draws = None
        self.site = ""

    def forward(self, x):
        if not self.active or self.rate == 0:
            return x
        if self.draws is None:
            keep = ops.random_keep(x, self.rate)
        else:
            keep = ops.cast(ops.array(self.draws.keep(self.site, tuple(x.shape), self.rate)), x)
        return x * keep * ops.scalar(1 / (1 - self.rate), x)
