"""In a worker: runs that are forced by what another run had at every border of a module: changed as a probe has it, or
by one unit in the last place; and with norms that do not cancel.

Before: probes.py, tracer.py. Asked by ask/probing.py and ask/again.py.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import numpy as np

from door.randomness import neighbours, stream
from parity.engine.sides.branches import Branches
from parity.engine.sides.probes import BY_NAME
from parity.engine.sides.weighting import fixed_weighting
from parity.engine.values.record import Record, write_record


class Changed(Mapping):
    """Arrays by name, of `names` alone if not None, the floats of them, or the one called `only`, changed as a probe
    has it."""

    def __init__(
        self,
        arrays: Mapping,
        change: Callable,
        names: Collection[str] | None = None,
        only: str = "",
    ):
        self.arrays, self.change, self.only = arrays, change, only
        self.names = {name for name in arrays if names is None or name in names}

    def __getitem__(self, name: str):
        if name not in self.names:
            raise KeyError(name)
        x = self.arrays[name]
        if self.only not in ("", name):
            return x
        return self.change(x) if x is not None and x.dtype.kind == "f" else x

    def __iter__(self):
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


class Weightings(Changed):
    """Of each of those arrays what gradients are asked for: a fixed weighting; None of what has none."""

    def __getitem__(self, name: str):
        x = super().__getitem__(name)
        return fixed_weighting(x.shape) if x is not None and x.dtype.kind == "f" else None


def probed(
    server, probe: tuple, inputs, targets, base: Path, out: Path, names=None, gradients=False
) -> dict:
    """In a worker: a run forced by the record `base` (by `names` alone if not None) as the probe (its name, and what it
    changes alone or "") changes it, recorded in `out`, with gradients where asked for and possible; which way its
    branches were decided."""
    branches, record = Branches(server.backend), Record(base)
    given = record["nodes"], BY_NAME[probe[0]].change, names, probe[1]
    reference = {"nodes": Changed(*given), "modules": record["modules"]}
    options = {"entered": server.entered, "reference": reference, "gradients": False}
    wanted = {"node_gradients": Weightings(*given)}
    with server.backend.watching_branches(branches):
        try:
            more = {"reference": reference | wanted, "gradients": True} if gradients else {}
            write_record(out, server.runner.trace(inputs, targets, **options | more), {})
        except Exception:
            if not gradients:
                raise
            write_record(out, server.runner.trace(inputs, targets, **options), {})
    return branches.told()


def as_float32(x):
    return x.astype(np.float32).astype(np.float64)


def neighbour(
    server, inputs, number: int, base: Path, replay: Path, out: Path, options: dict
) -> None:
    """A run forced by the record `base`, its float32 values one unit in the last place up or down, as `number` draws
    it, recorded in `out`; with the choices of the record `replay`. options: of Runner.trace."""

    def moved(x):
        drawn = stream(number, "last place", str(x.shape))
        return neighbours(x.astype(np.float32), drawn).astype(np.float64)

    record, choices = Record(base), Record(replay)["choices"]
    reference = {"nodes": Changed(record["nodes"], moved), "modules": record["modules"]}
    if "node_gradients" in record:
        reference["node_gradients"] = Changed(record["node_gradients"], as_float32)
    options = options | {"reference": reference, "replay": choices, "entered": server.entered}
    write_record(out, server.runner.trace(inputs, **options), {})


def steady(server, inputs, out: Path, options: dict) -> list[str]:
    """A trace with norms that do not cancel, and which of them are called. options: of Server.trace."""
    with server.backend.steady_norms() as called:
        server.trace(inputs, out=out, **options)
    return sorted(set(called))
