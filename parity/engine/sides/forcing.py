"""In a worker: runs that are forced by what another run had at every border of a module, changed as a probe has it.

Before: probes.py, tracer.py. Asked by ask/probing.py.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from parity.engine.sides.branches import Branches
from parity.engine.sides.probes import BY_NAME
from parity.engine.sides.runner import fixed_weighting
from parity.engine.values.record import Record, write_record


class Changed(Mapping):
    """Arrays by name, of `names` alone if not None, the floats of them changed as a probe has it."""

    def __init__(self, arrays: Mapping, change: Callable, names: Collection[str] | None = None):
        self.arrays, self.change = arrays, change
        self.names = {name for name in arrays if names is None or name in names}

    def __getitem__(self, name: str):
        if name not in self.names:
            raise KeyError(name)
        x = self.arrays[name]
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
    server, probe: str, inputs, targets, base: Path, out: Path, names=None, gradients=False
) -> dict:
    """In a worker: a run forced by the record `base` (by `names` alone if not None) as the probe changes it, recorded
    in `out`, with gradients where asked for and possible; which way its branches were decided."""
    branches, record = Branches(server.backend), Record(base)
    given = record["nodes"], BY_NAME[probe].change, names
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
