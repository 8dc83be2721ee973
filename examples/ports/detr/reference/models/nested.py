"""Images of several sizes in one batch."""

from __future__ import annotations

import torch


class NestedTensor:
    """tensors [B, 3, H, W], and mask bool [B, H, W], True on padding."""

    def __init__(self, tensors, mask):
        self.tensors, self.mask = tensors, mask

    @classmethod
    def of(cls, images):
        """Arrays [3, h, w] -> one batch, padded with zeros below and to the right."""
        images = [torch.as_tensor(image) for image in images]
        height, width = (max(image.shape[axis] for image in images) for axis in (1, 2))
        tensors = torch.zeros(len(images), 3, height, width, dtype=images[0].dtype)
        mask = torch.ones(len(images), height, width, dtype=torch.bool)
        for k, image in enumerate(images):
            tensors[k, :, : image.shape[1], : image.shape[2]] = image
            mask[k, : image.shape[1], : image.shape[2]] = False
        return cls(tensors, mask)
