"""The discrete choices of a run: recorded by name, and replayed when they are handed in.

Two correct implementations in float32 may choose differently where rounding decides: another
ReLU opens, another proposal survives. What comes behind such a choice cannot be compared. Replayed,
both sides go on from the same choices, while the ledger says of each how much this side would have
preferred its own: its regret, 0 for a tie.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import contextmanager

import numpy as np

from jittor_impl import ops

WATCHED = ("relu", "max_pool", "roi_pool", "max_with_index")  # of ops


class Decisions:
    """`given`: choices to use instead of the computed ones, by name; `made`: what was computed.

    `ledger`: for every replayed choice how many there are, how many differ, how many of these are ties, and
    the greatest regret. `tracer` sees tensors on the way that no module returns, as nodes.
    """

    def __init__(self, given: Mapping[str, np.ndarray] | None = None, tracer=None):
        self.given = given if given is not None else {}
        self.made: dict[str, object] = {}
        self.ledger: dict[str, dict] = {}
        self.tracer = tracer
        self.calls: dict[str, int] = {}

    def settle(self, name: str, computed, regret: Callable | None = None):
        """Records `computed` (a tensor of indices, labels or truth values) and returns what is to be used.

        regret(given) tells, for each element or for all together, by how much of its greatest evidence this
        side prefers its own choice; without it nothing explains a difference.
        """
        self.made[name] = computed
        if name not in self.given:
            return computed
        mine, given = ops.to_numpy(computed), self.given[name]
        given = given.astype(mine.dtype)
        if given.shape != mine.shape:
            raise ValueError(f"decision {name}: {given.shape} to replay, {mine.shape} computed")
        different = mine != given
        entry = {"choices": mine.size, "different": int(different.sum()), "ties": 0, "regret": None}
        if different.any() and regret is not None:
            regrets = np.broadcast_to(np.asarray(regret(given), dtype=np.float64), mine.shape)
            entry["ties"] = int((regrets[different] == 0).sum())
            entry["regret"] = float(regrets[different].max())
        self.ledger[name] = entry
        return ops.array(given)

    def note(self, name: str, computed) -> None:
        """Records a choice that follows from others and is not replayed."""
        self.made[name] = computed

    def value(self, name: str, tensor):
        """A constant on the way that no module returns; returns what is to be used."""
        return tensor if self.tracer is None else self.tracer.visit(name, tensor)

    def numbered(self, name: str) -> str:
        """`name`, then `name`#2, ..."""
        number = self.calls[name] = self.calls.get(name, 0) + 1
        return name if number == 1 else f"{name}#{number}"

    @contextmanager
    def watching(self, modules: Mapping):
        """Inside, every call of one of WATCHED is a choice, and of a framework's own ReLU and MaxPool2d among
        `modules`; numbered within the module whose code calls."""
        originals = {name: getattr(ops, name) for name in WATCHED}
        release = [undo for m in modules.values() for undo in self.watch_layer(m)]
        for name, watch in zip(WATCHED, (self.relu, self.max_pool, self.roi_pool, self.greatest)):
            setattr(ops, name, watch(originals[name]))
        try:
            yield self
        finally:
            for name, original in originals.items():
                setattr(ops, name, original)
            for undo in release:
                undo()

    def watch_layer(self, module) -> list[Callable]:
        kind = type(module).__name__
        if kind.lower() == "relu":
            return [ops.surround(module, self.relu)]
        if kind != "MaxPool2d":
            return []
        layer = getattr(module, "_layer", module)
        window = [getattr(layer, name) for name in ("kernel_size", "stride", "padding")]
        window = [x[0] if isinstance(x, (tuple, list)) else x for x in window]
        return [
            ops.surround(
                module, lambda call: lambda x: self.max_pool(lambda x, *_: call(x))(x, *window)
            )
        ]

    def relu(self, original: Callable) -> Callable:
        def watched(x):
            name = self.site("relu")
            if name not in self.given:
                self.made[name] = x > 0
                return original(x)
            is_open = self.settle(name, x > 0, lambda given: relative(np.abs(ops.to_numpy(x)), x))
            return ops.where(is_open, x, x * 0)

        return watched

    def max_pool(self, original: Callable) -> Callable:
        def watched(x, kernel, stride, padding):
            name = self.site("max_pool")
            cells = ops.array(pool_cells(ops.to_numpy(x), kernel, stride, padding))
            if name not in self.given:
                self.made[name] = cells
                return original(x, kernel, stride, padding)
            return self.pick(name, x, cells)[0]

        return watched

    def roi_pool(self, original: Callable) -> Callable:
        def watched(x, boxes, images, size, scale):
            name = self.site("roi_pool")
            pooled, cells = original(x, boxes, images, size, scale)
            if name not in self.given:
                self.made[name] = cells
                return pooled, cells
            return self.pick(name, ops.take_rows(x, ops.as_index(images)), cells)

        return watched

    def greatest(self, original: Callable) -> Callable:
        def watched(x, axis):
            name = self.site("max")
            values, index = original(x, axis)
            if name not in self.given:
                self.made[name] = index
                return values, index
            rows = x.reshape(1, -1, 1, x.shape[axis])  # the last axis, wherever this is called
            return self.pick(name, rows, index.reshape(1, -1, 1, 1), tuple(values.shape))

        return watched

    def site(self, kind: str) -> str:
        return self.numbered(f"{kind} in {self.tracer.stack[-1]}")

    def pick(self, name: str, x, cells, shape: tuple[int, ...] | None = None) -> tuple:
        """x [B, C, H, W] at cells [B, C, h, w] (row * W + column, -1 for none): values and cells, as `shape`."""
        flat = x.reshape(x.shape[0] * x.shape[1], -1)
        shape = shape or tuple(cells.shape)

        def chosen(index):
            index = index.reshape(flat.shape[0], -1)
            filled = ops.cast(index >= 0, x)
            picked = ops.take(flat, ops.as_index(ops.clamp_min(ops.cast(index, x), 0)))
            return (picked * filled).reshape(shape)

        mine, cells = chosen(cells), cells.reshape(shape)
        cells = self.settle(
            name,
            cells,
            lambda given: relative(ops.to_numpy(mine - chosen(ops.array(given))), x),
        )
        return chosen(cells), cells

    def record(self) -> dict[str, dict]:
        """The decisions as NumPy arrays, bool or int64, and the ledger."""
        made = {name: ops.to_numpy(x) for name, x in self.made.items()}
        made = {n: x if x.dtype == bool else x.astype(np.int64) for n, x in made.items()}
        return {"decisions": made, "ledger": self.ledger}


def relative(difference: np.ndarray, x) -> np.ndarray:
    """Differences between values of x, as fractions of the greatest absolute value in x."""
    return difference / max(float(np.abs(ops.to_numpy(x)).max()), np.finfo(np.float32).tiny)


def pool_cells(x: np.ndarray, kernel: int, stride: int, padding: int) -> np.ndarray:
    """The cell (row * W + column) that each window of a max-pool takes, the first of equals."""
    edges = ((0, 0), (0, 0), (padding, padding), (padding, padding))
    padded = np.pad(x, edges, constant_values=-np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (kernel, kernel), axis=(2, 3))
    windows = windows[:, :, ::stride, ::stride]
    best = windows.reshape(*windows.shape[:4], -1).argmax(axis=4)
    rows = np.arange(best.shape[2])[:, None] * stride - padding + best // kernel
    columns = np.arange(best.shape[3]) * stride - padding + best % kernel
    return rows * x.shape[3] + columns
