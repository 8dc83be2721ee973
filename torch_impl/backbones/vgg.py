"""VGG16 (Simonyan and Zisserman 2015), configuration D, up to conv5_3 and without the last pool.

Names are torchvision's: `features.N`, N the position in its Sequential, ReLUs and pools counted.
Padding is 1 everywhere, which is what trzy's `padding="same"` means for a 3x3 kernel.
"""

from __future__ import annotations

from neutral.config import VGG16_BLOCKS
from neutral.parameters import vgg16_positions
from torch_impl import ops
from torch_impl.runtime import nn


class VGG16(nn.Module):
    """Images [B, 3, H, W] -> one map [B, 512, H // 16, W // 16], in a list as ResNet's."""

    def __init__(self):
        super().__init__()
        self.positions = vgg16_positions()
        self.features = nn.Module()  # not a Sequential: the ReLUs and pools between have no names
        inputs = 3
        for widths, positions in zip(VGG16_BLOCKS, self.positions):
            for width, position in zip(widths, positions):
                setattr(self.features, str(position), nn.Conv2d(inputs, width, 3, 1, 1))
                inputs = width

    def forward(self, x):
        for block, positions in enumerate(self.positions):
            if block:
                x = ops.max_pool(x, 2, 2, 0)
            for position in positions:
                x = ops.relu(getattr(self.features, str(position))(x))
        return [x]
