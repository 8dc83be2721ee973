"""A hash chain over the batches of a run: two runs saw the same data up to where their chains part."""

from __future__ import annotations

import hashlib

import numpy as np

from neutral.data.batching import Batch


def digest(batch: Batch, epoch: int, number: int) -> dict:
    """What there is to say of batch `number` (from 0) of an epoch: {"epoch", "batch", "images", "parts"}.

    "parts" are hashes of images, mask, boxes, labels and objects' masks alone, so that a difference says what differs.
    """
    parts = {
        "images": _digest([batch.images]),
        "mask": _digest([batch.mask]),
        "boxes": _digest([t.boxes for t in batch.targets]),
        "labels": _digest([t.labels for t in batch.targets]),
    }
    if any(t.masks is not None for t in batch.targets):
        parts["masks"] = _digest([t.masks for t in batch.targets])
    ids = [t.image_id for t in batch.targets]
    return {"epoch": epoch, "batch": number, "images": ids, "parts": parts}


class Stream:
    """The links of a run's batches, those of all ranks in one chain: of a batch's number, rank after rank."""

    def __init__(self, group):
        self.group = group
        self.seen: list[tuple[dict, bool]] = []

    def add(self, batch: Batch, epoch: int, number: int, kept: bool) -> None:
        """A batch of this rank; `kept`: its link is one of those that are written down."""
        rank = {"rank": self.group.rank} if self.group.size > 1 else {}
        self.seen.append((digest(batch, epoch, number) | rank, kept))

    def settle(self, place) -> None:
        """Puts what was seen since into `place`, on rank 0; every rank calls it."""
        chain = DataChain(place.chain)
        for together in zip(*self.group.gather(self.seen), strict=True):
            for told, kept in together:
                link = chain.append(told)
                place.links += [link] if kept else []
        place.chain, self.seen = chain.chain, []


class DataChain:
    """Each link hashes the one before it and the batch: what `digest` says, and "chain"."""

    def __init__(self, chain: str = ""):
        self.chain = chain

    def add(self, batch: Batch, epoch: int, number: int) -> dict:
        """The link of batch `number` (from 0) of an epoch."""
        return self.append(digest(batch, epoch, number))

    def append(self, told: dict) -> dict:
        """The link of what `digest` said."""
        text = "/".join([self.chain, *map(str, told["images"]), *told["parts"].values()])
        self.chain = hashlib.sha256(text.encode()).hexdigest()[:16]
        return told | {"chain": self.chain}


def _digest(arrays: list[np.ndarray]) -> str:
    """Of values, shapes and dtypes."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(f"{array.dtype}{array.shape}".encode())
        found.update(np.ascontiguousarray(array))
    return found.hexdigest()[:12]
