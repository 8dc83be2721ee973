"""A second look at local float32 FAILs: whether the framework's norms make them, or noise.

examination.py asks once both sides' forced float32 runs are judged; further runs are made only where something fails.

Before: judge/noise.py, sides/forcing.py.
"""

from __future__ import annotations

from parity.engine.judge import gates
from parity.engine.judge.localise import compare_local_32
from parity.engine.judge.noise import is_doubtful, with_noise, with_steady
from parity.engine.judge.verdicts import Verdict
from parity.errors import WorkerDied, WorkerError

HERE = "parity.engine.sides.forcing"


def look_again(examination, verdicts: list[Verdict]) -> list[Verdict]:
    """The verdicts of the forced float32 runs, FAILs that rounding explains as KNOWN; as they are where a further run
    raises."""
    for look in (without_cancelling, beside_neighbours):
        if not any(is_doubtful(v, examination.sides[1]) for v in verdicts):
            break
        try:
            verdicts = look(examination, verdicts)
        except (WorkerError, WorkerDied):
            continue
    return verdicts


def without_cancelling(examination, verdicts: list[Verdict]) -> list[Verdict]:
    first, second = examination.sides
    out = examination.path(second, "steady 32")
    options = examination.options | examination.forced
    options["replay"] = examination.path(first, "forced 64")
    worker = examination.workers[second]
    if not worker.call("run", f"{HERE}:steady", examination.inputs, out, options):
        return verdicts
    three = [examination[n] for n in (f"{first} forced 64", f"{first} forced 32", out.stem)]
    found = compare_local_32(examination.gate, *three, examination.weights)
    by_node = {(v.check, v.node): v for v in found}
    return [with_steady(v, by_node, second) for v in verdicts]


def beside_neighbours(examination, verdicts: list[Verdict]) -> list[Verdict]:
    first, second = examination.sides
    base, exact = (examination.path(first, name) for name in ("free 64", "forced 64"))
    found: dict[str, list] = {}
    for width in (32, 64):
        examination.prepare((first,), f"float{width}")
        for k in range(gates.NEIGHBOURS):
            out = examination.path(first, f"neighbour {k} {width}")
            given = (examination.inputs, k, base, exact, out, examination.options)
            examination.workers[first].call("run", f"{HERE}:neighbour", *given)
            found.setdefault(width, []).append(examination[out.stem])
    neighbours = list(zip(found[64], found[32], strict=True))
    return [with_noise(v, neighbours, second) for v in verdicts]
