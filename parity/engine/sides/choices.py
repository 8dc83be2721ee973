"""The discrete choices of a run: recorded by name, and replayed when they are handed in.

Two correct implementations in float32 may choose differently where rounding decides: another
ReLU opens, another proposal survives. What comes behind such a choice cannot be compared. Replayed,
both sides go on from the same choices, while the ledger says of each how much this side would have
preferred its own: its regret, 0 for a tie.

Before: case.py (Subject.watch). The backends' *_watching.py send choices here; judge/ledger.py judges them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import contextmanager

import numpy as np

from parity.backends.base import Backend


class Choices:
    """`given`: choices to use instead of the computed ones, by name; `made`: what was computed.

    `ledger`: for every replayed choice how many there are, how many differ, how many of these are ties, and
    the greatest regret. `tracer` sees tensors on the way that no module returns, as nodes.
    """

    def __init__(
        self, backend: Backend, given: Mapping[str, np.ndarray] | None = None, tracer=None
    ):
        self.backend = backend
        self.busy = False  # inside of what chooses: what that calls is no choice of its own
        self.given = given if given is not None else {}
        self.made: dict[str, object] = {}
        self.ledger: dict[str, dict] = {}
        self.tracer = tracer
        self.calls: dict[str, int] = {}

    def settle(self, name: str, computed, regret: Callable | None = None):
        """Records `computed` (a tensor or array of indices, labels or truth values); returns what is to be used.

        regret(given) tells, for each element or for all together, by how much of its greatest evidence this
        side prefers its own choice (below 0: prefers the other, a mistake as large); without it nothing explains a
        difference. One of another shape cannot be replayed: the run goes on with its own, and the ledger says so.
        """
        self.keep(name, computed)
        if name not in self.given:
            return computed
        is_array = isinstance(computed, np.ndarray)
        mine, given = computed if is_array else self.backend.to_numpy(computed), self.given[name]
        given = given.astype(mine.dtype)
        if given.shape != mine.shape:
            self.ledger[name] = {
                "choices": mine.size,
                "different": mine.size,
                "ties": 0,
                "regret": None,
            }
            return computed
        different = mine != given
        entry = {"choices": mine.size, "different": int(different.sum()), "ties": 0, "regret": None}
        if different.any() and regret is not None:
            told = np.abs(np.asarray(regret(given), dtype=np.float64))
            regrets = np.broadcast_to(told, mine.shape)
            entry["ties"] = int((regrets[different] == 0).sum())
            entry["regret"] = float(regrets[different].max())
        self.ledger[name] = entry
        return given if is_array else self.backend.array(given)

    def keep(self, name: str, computed) -> None:
        if not isinstance(name, str) or not self.is_array(computed):
            kinds = ", ".join(type(x).__name__ for x in (name, computed))
            raise TypeError(
                f"a choice is a name and an array or tensor: (str, array), not ({kinds})"
            )
        if self.tracer is not None and name not in self.made:
            self.tracer.order.append(f"choice {name}")
        self.made[name] = computed

    def is_array(self, value) -> bool:
        return isinstance(value, np.ndarray) or self.backend.is_tensor(value)

    def note(self, name: str, computed) -> None:
        """Records a choice that follows from others and is not replayed."""
        self.keep(name, computed)

    def value(self, name: str, tensor):
        """A constant on the way that no module returns; returns what is to be used."""
        return tensor if self.tracer is None else self.tracer.visit(name, tensor)

    def numbered(self, name: str) -> str:
        """`name`, then `name`#2, ..."""
        number = self.calls[name] = self.calls.get(name, 0) + 1
        return name if number == 1 else f"{name}#{number}"

    @contextmanager
    def alone(self):
        """Inside, nothing is a choice."""
        before, self.busy = self.busy, True
        try:
            yield
        finally:
            self.busy = before

    def relu(self, x, is_open, run: Callable):
        """max(x, 0); run() is the framework's own way to it, `is_open` where x > 0."""
        if self.busy:
            return run()
        name = self.site("relu")
        with self.alone():
            if name not in self.given:
                self.keep(name, is_open)
                return run()
            is_open = self.settle(
                name, is_open, lambda given: self.relative(np.abs(self.backend.to_numpy(x)), x)
            )
            return self.backend.where(is_open, x, x * 0)

    def max_pool(self, x, window: tuple, run: Callable):
        """x [B, C, H, W] or [C, H, W]; `window`: kernel, stride, padding, dilation, ceil_mode, as both frameworks'
        layers have them; run() is the framework's own way to it."""
        if self.busy:
            return run()
        name = self.site("max_pool")
        with self.alone():
            values = self.backend.to_numpy(x)
            batched = values.reshape(1, *values.shape) if values.ndim == 3 else values
            cells = pool_cells(batched, *window)
            if name not in self.given:
                self.keep(name, cells)
                return run()
            chosen = self.pick(name, x.reshape(batched.shape), cells)[0]
            return chosen.reshape(chosen.shape[1:]) if values.ndim == 3 else chosen

    def site(self, kind: str) -> str:
        return self.numbered(f"{kind} in {self.tracer.stack[-1]}")

    def pick(self, name: str, x, cells: np.ndarray, shape: tuple[int, ...] | None = None) -> tuple:
        """x [B, C, H, W] at cells int [B, C, h, w] (row * W + column, -1 for none): values and cells, as `shape`."""
        rows, area = x.shape[0] * x.shape[1], x.shape[2] * x.shape[3]
        flat, shape = x.reshape(-1), shape or tuple(cells.shape)
        starts = np.arange(rows, dtype=np.int64)[:, None] * area

        def chosen(index: np.ndarray):
            index = np.asarray(index, dtype=np.int64).reshape(rows, -1)
            filled = (index >= 0).reshape(-1).astype(np.float32)
            places = (starts + np.maximum(index, 0)).reshape(-1)
            picked = flat[self.backend.array(places)] * self.backend.array(filled, like=x)
            return picked.reshape(shape)

        mine, cells = chosen(cells), cells.reshape(shape)
        cells = self.settle(
            name,
            cells,
            lambda given: self.relative(self.backend.to_numpy(mine - chosen(given)), x),
        )
        return chosen(cells), cells

    def record(self) -> dict[str, dict]:
        """The choices as NumPy arrays, bool or int64, and the ledger."""
        made = {
            name: x if isinstance(x, np.ndarray) else self.backend.to_numpy(x)
            for name, x in self.made.items()
        }
        made = {n: x if x.dtype == bool else x.astype(np.int64) for n, x in made.items()}
        return {"choices": made, "ledger": self.ledger}

    def relative(self, difference: np.ndarray, x) -> np.ndarray:
        """Differences between values of x, as fractions of the greatest absolute value in x."""
        greatest = float(np.abs(self.backend.to_numpy(x)).max())
        return difference / max(greatest, np.finfo(np.float32).tiny)


def pool_cells(
    x: np.ndarray, kernel, stride=None, padding=0, dilation=1, ceil_mode: bool = False
) -> np.ndarray:
    """The cell (row * W + column) of x [B, C, H, W] that each window of a max-pool takes, the first of equals.

    Numbers, or pairs for height and width. With ceil_mode a last window may reach over the edge, but not begin beyond
    it and its padding.
    """
    kernel, padding, dilation = (as_pair(v) for v in (kernel, padding, dilation))
    stride = as_pair(stride) if stride not in (None, ()) else kernel
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilation)]
    counts, ends = [], []
    for length, span, step, pad in zip(x.shape[2:], spans, stride, padding):
        room = length + 2 * pad - span
        count = (-(-room // step) if ceil_mode else room // step) + 1
        if ceil_mode and (count - 1) * step >= length + pad:
            count -= 1
        counts.append(count)
        ends.append(max(0, (count - 1) * step + span - length - pad))
    edges = ((0, 0), (0, 0), *((pad, end) for pad, end in zip(padding, ends)))
    padded = np.pad(x, edges, constant_values=-np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(padded, spans, axis=(2, 3))
    windows = windows[:, :, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]
    windows = windows[:, :, : counts[0], : counts[1]]
    best = windows.reshape(*windows.shape[:4], -1).argmax(axis=4)
    down, across = np.divmod(best, kernel[1])
    rows = np.arange(counts[0])[:, None] * stride[0] - padding[0] + down * dilation[0]
    columns = np.arange(counts[1]) * stride[1] - padding[1] + across * dilation[1]
    return rows * x.shape[3] + columns


def as_pair(value) -> tuple[int, int]:
    values = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    return values * 2 if len(values) == 1 else values
