"""A hash chain over the batches of a run: two runs saw the same data up to where their chains part."""

from __future__ import annotations

import hashlib

import numpy as np

from neutral.data.batching import Batch


class DataChain:
    """Each link hashes the one before it and the batch: {"epoch", "batch", "images", "parts", "chain"}.

    "parts" are hashes of images, mask, boxes, labels and objects' masks alone, so that a difference says what differs.
    """

    def __init__(self, chain: str = ""):
        self.chain = chain

    def add(self, batch: Batch, epoch: int, number: int) -> dict:
        """The link of batch `number` (from 0) of an epoch."""
        parts = {
            "images": _digest([batch.images]),
            "mask": _digest([batch.mask]),
            "boxes": _digest([t.boxes for t in batch.targets]),
            "labels": _digest([t.labels for t in batch.targets]),
        }
        if any(t.masks is not None for t in batch.targets):
            parts["masks"] = _digest([t.masks for t in batch.targets])
        ids = [t.image_id for t in batch.targets]
        text = "/".join([self.chain, *map(str, ids), *parts.values()])
        self.chain = hashlib.sha256(text.encode()).hexdigest()[:16]
        return {"epoch": epoch, "batch": number, "images": ids, "parts": parts, "chain": self.chain}


def _digest(arrays: list[np.ndarray]) -> str:
    """Of values, shapes and dtypes."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(f"{array.dtype}{array.shape}".encode())
        found.update(np.ascontiguousarray(array))
    return found.hexdigest()[:12]
