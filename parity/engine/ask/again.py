"""A second look at FAILs: whether the framework's norms make those of float32, or noise; whether what one side alone
trains is read at all.

examination.py asks once both sides' runs are judged; further runs are made only where something fails.

Before: judge/noise.py, sides/forcing.py.
"""

from __future__ import annotations

import numpy as np

from parity.engine.judge import gates
from parity.engine.judge.checks import (
    FORWARD_32,
    GRADIENTS_32,
    LOCAL_FORWARD_64,
    LOCAL_GRADIENTS_64,
    LOCAL_LOSSES_64,
    LOSSES_32,
)
from parity.engine.judge.localise import compare_local_32, compare_local_64
from parity.engine.judge.noise import is_doubtful, with_noise, with_steady
from parity.engine.judge.norms import ENTROPY, NORM, SUMS, reason
from parity.engine.judge.verdicts import Status, Verdict
from parity.engine.tell.known import AS_ROUNDED, is_known
from parity.engine.values.record import Record
from parity.errors import OutOfTime, WorkerDied, WorkerError

HERE = "parity.engine.sides.forcing"
PLACES = "Jittor takes the places of resized pixels in float32"
WHOLE = (FORWARD_32, LOSSES_32, GRADIENTS_32)


def look_again(examination, verdicts: list[Verdict]) -> list[Verdict]:
    """The verdicts of the forced float32 runs, FAILs that rounding explains as KNOWN; as they are where a further run
    raises."""
    for look in (without_cancelling, beside_neighbours):
        if not any(is_doubtful(v, examination.sides[1]) for v in verdicts):
            break
        try:
            verdicts = look(examination, verdicts)
        except OutOfTime as error:
            side = examination.sides[1]
            return [undecided(v, error) if is_doubtful(v, side) else v for v in verdicts]
        except (WorkerError, WorkerDied):
            continue
    return verdicts


def undecided(verdict: Verdict, error: OutOfTime) -> Verdict:
    """A local FAIL that may be rounding, which nobody had the time to look into."""
    if not verdict.measured < gates.COARSE:
        return verdict
    message = f"may be rounding, but {error}; {verdict.message}"
    return verdict.but(status=Status.INCONCLUSIVE, message=message)


def without_cancelling(examination, verdicts: list[Verdict]) -> list[Verdict]:
    second = examination.sides[1]
    why, three = steady(examination, "forced", **examination.forced)
    if not why:
        return verdicts
    found = compare_local_32(examination.gate, *three, examination.weights)
    by_node = {(v.check, v.node): v for v in found}
    return [with_steady(v, by_node, why) if is_doubtful(v, second) else v for v in verdicts]


def look_at_whole(examination, verdicts: list[Verdict]) -> list[Verdict]:
    """All verdicts of an examination, FAILs of the whole float32 run as KNOWN that are none as soon as the framework's
    norms do not cancel; where those are known to do so in some layer, or a loss fails, which no layer may make."""
    side = examination.sides[1]
    known = any(is_known(v, why) for v in verdicts for why in (NORM, ENTROPY, SUMS))
    lost = any(is_whole(v) and v.check == LOSSES_32 and v.guilty == side for v in verdicts)
    if not (known or lost) or not any(map(is_whole, verdicts)):
        return verdicts
    try:
        why, three = steady(examination, "free")
    except (WorkerError, WorkerDied):
        return verdicts
    if not why:
        return verdicts
    by_node = {(v.check, v.node): v for v in examination.gate.compare(*three)}
    guilty = lambda v: is_whole(v) and v.guilty == side  # noqa: E731
    return [with_steady(v, by_node, why) if guilty(v) else v for v in verdicts]


def look_at_resized(examination, verdicts: list[Verdict]) -> list[Verdict]:
    """All verdicts of an examination, local float64 FAILs as KNOWN that are none as soon as the framework takes the
    places of resized pixels in float64; further runs are made only for errors of that size."""
    if not any(map(is_of_places, verdicts)):
        return verdicts
    first, second = examination.sides
    out = examination.path(second, "forced 64 steady")
    free = examination.path(first, "free 64")
    options = examination.options | {"reference": free}
    try:
        examination.prepare((second,), "float64")
        run = (f"{HERE}:steady", examination.inputs, out, options)
        if "resize" not in examination.workers[second].call("run", *run):
            return verdicts
    except (WorkerError, WorkerDied):
        return verdicts
    two = (examination[free.stem], examination[out.stem])
    found = compare_local_64(examination.case.name, *two, examination.weights, examination.sides)
    right = {(v.check, v.node) for v in found if v.status is Status.PASS or not is_of_places(v)}
    return [
        v.but(status=Status.KNOWN, message=f"{PLACES}; {AS_ROUNDED}; {v.message}")
        if is_of_places(v) and (v.check, v.node) in right
        else v
        for v in verdicts
    ]


def is_of_places(verdict: Verdict) -> bool:
    """Whether a local float64 FAIL is greater than a rounded constant makes it, and not by much."""
    local = verdict.check in (LOCAL_FORWARD_64, LOCAL_GRADIENTS_64, LOCAL_LOSSES_64)
    failed = local and verdict.status is Status.FAIL and verdict.measured is not None
    return failed and gates.ROUNDED < verdict.measured <= gates.AMPLIFIED


def is_whole(verdict: Verdict) -> bool:
    return verdict.status is Status.FAIL and verdict.check in WHOLE


def steady(examination, kind: str, **options) -> tuple[str, list[Record]]:
    """What is known of the norms that were called, and the three records of the free or the forced float32 run, the
    candidate's with norms that do not cancel; "" and none where it calls none."""
    first, second = examination.sides
    out = examination.path(second, f"{kind} steady")
    options |= examination.options | {"replay": examination.path(first, f"{kind} 64")}
    worker = examination.workers[second]
    called = worker.call("run", f"{HERE}:steady", examination.inputs, out, options)
    names = (f"{first} {kind} 64", f"{first} {kind} 32", out.stem) if called else ()
    return reason(called) if called else "", [examination[n] for n in names]


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


def idle_of(examination) -> set[str]:
    """Parameters that one side alone trains, without an effect: no gradient reaches them. What the candidate alone
    trains weight decay moves nevertheless, as Jittor's gradients are 0 where PyTorch has none: nothing may read it."""
    ours, theirs = (examination.idle.get(side, set()) for side in examination.sides)
    theirs = theirs & examination.weights.keys()  # what the reference lacks is told as that
    try:
        return ours if not theirs or reads(examination, theirs) else ours | theirs
    except (OutOfTime, WorkerError, WorkerDied):
        return ours


def reads(examination, names: set[str]) -> bool:
    """Whether other values of these change anything that the candidate's forward pass makes."""
    side, worker = examination.sides[1], examination.workers[examination.sides[1]]
    given, found = examination.weights, []
    for weights in (given, given | {n: given[n] + np.float32(1) for n in names}):
        worker.call("load", weights, strict=False)
        out = examination.path(side, f"read {len(found)}")
        options = examination.options | {"out": out, "gradients": False}
        worker.call("trace", examination.inputs, **options)
        found.append(examination[out.stem]["nodes"])
    worker.call("load", given, strict=False)
    first, second = found
    return first.keys() != second.keys() or not all(
        np.array_equal(first[n], second[n], equal_nan=True) for n in first
    )
