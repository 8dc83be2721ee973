"""Differences that are known and no defects: KNOWN, counted, not listed; `--strict` makes FAILs of them again.

Told apart are errors of float64 in the size of a constant rounded to float32 (the port's own, or Jittor's kernels',
which keep eps and 1/n so; docs/atlas.md) or of code that goes over to float32 (`jt.float32([n])`, `0.0 + x.sum()`),
and what comes of them; modules, arguments and choices that one side alone
has while everything that both have agrees (a fused against a written-out attention), or is given at another point.

Before: judge/gates.py, agreeing.py. ask/examination.py asks, and parity/cli.py for --strict.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from parity.engine.judge import checks, gates, kinds
from parity.engine.judge.judging import REPEATED, SHAPES, UNFIT, is_narrowed
from parity.engine.judge.noise import NOISE
from parity.engine.judge.norms import NORM
from parity.engine.judge.verdicts import NO_GRADIENT, Status, Verdict
from parity.engine.tell.agreeing import GRADIENTS, evened, known_as, made_good
from parity.engine.tell.consequences import INHERITED, is_of_function, parent_of, run_of
from parity.engine.values.nodes import ROOT, module_of

LOCAL_64 = (
    *(checks.LOCAL_FORWARD_64, checks.LOCAL_LOSSES_64, checks.LOCAL_DETECTIONS_64),
    checks.LOCAL_GRADIENTS_64,
)
NARROW = {
    checks.LOCAL_FORWARD_64: checks.LOCAL_FORWARD_32,
    checks.LOCAL_GRADIENTS_64: checks.LOCAL_GRADIENTS_32,
    checks.FORWARD_64: checks.FORWARD_32,
    checks.GRADIENTS_64: checks.GRADIENTS_32,
    checks.LOSSES_64: checks.LOSSES_32,
    checks.LOCAL_LOSSES_64: checks.LOSSES_32,
}
STRUCTURE = (  # where one side alone may have something without a defect
    *(checks.FORWARD_64, checks.NODE_GRADIENTS_64, checks.CHOICES_64),
    *(checks.LOCAL_FORWARD_64, checks.LOCAL_GRADIENTS_64),
    *(checks.FORWARD_32, checks.CHOICES_32, checks.LOCAL_FORWARD_32, checks.LOCAL_GRADIENTS_32),
)
AS_ROUNDED = "as of a constant rounded to float32; nothing of float32 fails"
SUMMED = "rounding of all that comes before it; given the same values nothing fails"
RENAMED = "on one side only; all that both sides have agrees"
HELD = "on one side only; all that what holds it computes agrees"
CUT = "the sides cut otherwise there; all that is in it and around it agrees"
FORWARD = (checks.LOCAL_FORWARD_64, checks.LOCAL_FORWARD_32)
PASSES = (*FORWARD, checks.FORWARD_64, checks.FORWARD_32)
SPREAD = "what it is part of makes the same of it"
UNREAD = "an output that nothing reads; all else agrees"
PLAIN = (checks.PLAIN_64, checks.LOCAL_PLAIN_64)
NONE = re.compile(r"(^|; )None in .*, no plain value in ")
FURTHER = re.compile(r"\[[1-9]\d*\]$")  # an output behind the first


def with_known(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """The same verdicts, FAILs that are none as KNOWN; to be asked of a whole examination."""
    verdicts = [without_standard(v) for v in verdicts]
    by_run: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        by_run.setdefault(run_of(verdict.case), []).append(verdict)
    changed: dict[int, Verdict] = {}
    for found in by_run.values():
        changed |= made_good(found) | evened(found)
        if any(v.status is Status.FAIL for v in found):
            changed |= _known_of(found)
    return [changed.get(id(v), v) for v in verdicts]


def without_standard(verdict: Verdict) -> Verdict:
    """INCONCLUSIVE in the place of a FAIL on a gradient that is infinite or no number at the same places on both sides:
    it may not be wanted at all, as one of labels is not."""
    fails = verdict.status is Status.FAIL and UNFIT in verdict.message
    if not fails or verdict.check not in GRADIENTS:
        return verdict
    return verdict.but(status=Status.INCONCLUSIVE)


def _known_of(verdicts: list[Verdict]) -> dict[int, Verdict]:
    """KNOWN verdicts of one examination, by the id of what they replace."""
    spread = {id(v): known_as(v, SPREAD) for v in repeated(verdicts)}
    spread |= {id(v): known_as(v, CUT) for v in cut_apart(verdicts)}
    if spread:
        return spread | _known_of([v for v in verdicts if id(v) not in spread])
    odd = unread(verdicts)
    if not odd:
        return _known_besides(verdicts)
    apart = {id(v): known_as(v, UNREAD) for v in odd}
    rest = [v for v in verdicts if id(v) not in apart]
    changed = _known_besides(rest)
    left = (v for v in rest if v.status is Status.FAIL and id(v) not in changed)
    if any(v.check in PASSES and not is_structural(v) for v in left):
        return _known_besides(verdicts)
    return changed | apart


def _known_besides(verdicts: list[Verdict]) -> dict[int, Verdict]:
    """The same without outputs that nothing reads."""
    failed = [v for v in verdicts if v.status is Status.FAIL]
    narrow = {(v.check, v.node): v for v in verdicts if v.check in NARROW.values()}
    changed = {id(v): known_as(v, AS_ROUNDED) for v in failed if is_rounded(v, narrow)}
    left = [v for v in failed if id(v) not in changed]
    has_rounded = bool(changed) or any(is_known(v, AS_ROUNDED) for v in verdicts)
    over = {
        why: max(
            (v.measured / v.limit for v in verdicts if is_known(v, why) and v.limit), default=0
        )
        for why in (NOISE, NORM)
    }
    whole = {id(v): SUMMED for v in left if is_whole_within(v, gates.SUMMED_FACTOR)}
    for why, times in over.items():
        whole |= {id(v): why for v in left if is_whole_within(v, gates.PRECISION_FACTOR * times)}
    wide = [v for v in verdicts if v.check.startswith("float32")]
    agrees = bool(wide) and not any(v.status is Status.FAIL and id(v) not in whole for v in wide)
    most = (gates.CANCELLED if agrees else gates.AMPLIFIED) if has_rounded else 0.0
    whole |= {id(v): AS_ROUNDED for v in left if is_small(v, most)}
    cut = {id(v) for v in cut_otherwise(left, verdicts)}
    if all(id(v) in whole or is_structural(v) or id(v) in cut for v in left):
        changed |= {id(v): known_as(v, whole[id(v)]) for v in left if id(v) in whole}
        left = [v for v in left if id(v) not in changed]
    forward = (checks.LOCAL_FORWARD_64, checks.FORWARD_32)  # the second where float64 was left out
    agree = any(v.check in forward and v.status is Status.PASS for v in verdicts)
    if agree and all(is_structural(v) or id(v) in cut for v in left):
        return changed | {id(v): known_as(v, CUT if id(v) in cut else RENAMED) for v in left}
    holders = Holders([v for v in verdicts if id(v) not in cut])
    held = {id(v): known_as(v, HELD) for v in left if is_structural(v) and holders.agree(v)}
    apart = [v for v in left if id(v) in cut and (kinds.TURNED in v.message or holders.hold(v))]
    return changed | held | {id(v): known_as(v, CUT) for v in apart}


def repeated(verdicts: list[Verdict]) -> list[Verdict]:
    """FAILs of shapes at nodes whose values one side repeats, where all that the module around them gives agrees."""
    failed = [v for v in verdicts if v.status is Status.FAIL]
    nodes = {v.node for v in failed if v.check in PASSES and REPEATED in v.message}
    whole = [v for v in verdicts if v.check in (checks.FORWARD_64, checks.FORWARD_32)]
    given = [v for v in whole if "/in" not in v.node]
    wrong = {module_of(v.node) for v in given if not agrees(v)}
    right = {module_of(v.node) for v in given} - wrong
    nodes = {n for n in nodes if module_of(n) != ROOT and holder_of(n) in right}
    return [v for v in failed if v.node in nodes and SHAPES in v.message]


def agrees(verdict: Verdict) -> bool:
    """Whether it is of values that were compared, and differ by no more than rounding."""
    if verdict.status is Status.FAIL:
        return verdict.measured is not None and verdict.measured <= gates.ROUNDED
    return verdict.status in (Status.PASS, Status.KNOWN)


def cut_apart(verdicts: list[Verdict]) -> list[Verdict]:
    """FAILs inside of modules that give what the reference's do, where something in them has other numbers of rows: two
    batches may go through a part together. Gradients of one shape are such only where whole runs agree there, too."""
    failed = [v for v in verdicts if v.status is Status.FAIL]
    shapes = {v.node for v in failed if v.check in PASSES and differs_in_rows(v.message)}
    homes = {holder_of(n) for n in shapes if module_of(n) != ROOT}
    given = {home: [v for v in verdicts if is_given_by(v, home)] for home in homes}
    fine = [home for home in homes if given[home] and all(map(agrees, given[home]))]
    whole = [v for v in verdicts if v.check in (checks.GRADIENTS_64, checks.GRADIENTS_32)]
    learns = {h for h in fine if all(agrees(v) for v in whole if is_inside(v.node, h))}

    def is_cut(v: Verdict) -> bool:
        name = module_of(v.node.rpartition(" in ")[2])
        other = v.check not in GRADIENTS or SHAPES in v.message or v.kind == kinds.MISSING
        return any(is_inside(name, home) for home in (fine if other else learns))

    return [v for v in failed if v.check in STRUCTURE and not is_of_function(v) and is_cut(v)]


def differs_in_rows(message: str) -> bool:
    """Whether it tells of two shapes that differ in their first axis only."""
    found = re.findall(r"\((\d+), ((?:\d+(?:, )?)+)\)", message) if SHAPES in message else []
    return len(found) == 2 and found[0][0] != found[1][0] and found[0][1] == found[1][1]


def is_given_by(verdict: Verdict, home: str) -> bool:
    """Whether it is of what a module gives in a whole run."""
    is_whole = verdict.check in (checks.FORWARD_64, checks.FORWARD_32)
    return is_whole and "/in" not in verdict.node and module_of(verdict.node) == home


def is_inside(name: str, home: str) -> bool:
    return home == ROOT or name == home or name.startswith(f"{home}.")


def holder_of(node: str) -> str:
    return parent_of(module_of(node)) or ROOT


def unread(verdicts: list[Verdict]) -> list[Verdict]:
    """FAILs of further outputs of modules inside that have another shape, where nothing leads to a gradient of theirs,
    or are None on one side: nobody reads them if all that comes of forward passes besides agrees."""
    still = {v.node for v in verdicts if v.message == NO_GRADIENT and v.status is Status.PASS}
    failed = [v for v in verdicts if v.status is Status.FAIL and module_of(v.node) != ROOT]
    return [
        v
        for v in failed
        if FURTHER.search(v.node.partition("#")[0])
        and (
            (v.check in PASSES and v.node in still and SHAPES in v.message)
            or (v.check in PLAIN and NONE.search(v.message))
        )
    ]


class Holders:
    """What holds modules that one side alone has, where both sides have it."""

    def __init__(self, verdicts: list[Verdict]):
        local = [v for v in verdicts if v.check in FORWARD and v.kind != kinds.MISSING]
        self.wrong = {v.owner for v in local if v.status is Status.FAIL}
        self.right = {v.owner for v in local if v.status is Status.PASS} - self.wrong
        self.called = {module_of(v.node) for v in local}

    def agree(self, verdict: Verdict) -> bool:
        """Whether all that the nearest of them computes agrees; not of a value that a call of both sides lacks."""
        name = module_of(verdict.node.rpartition(" in ")[2])
        if name in self.called and " in " not in verdict.node:
            return False
        while name and name not in self.right and name not in self.wrong:
            name = parent_of(name)
        return (name or ROOT) in self.right

    def hold(self, verdict: Verdict) -> bool:
        """Whether all that the module computes and all that holds it agrees."""
        name = module_of(verdict.node)
        return {name, parent_of(name) or ROOT} <= self.right


def cut_otherwise(failed: list[Verdict], verdicts: list[Verdict]) -> list[Verdict]:
    """FAILs that say that a module which holds others is given another shape: the sides may be cut otherwise."""
    names = {module_of(v.node) for v in verdicts if v.check in PASSES}
    holding = {parent_of(name) for name in names} | ({ROOT} if len(names) > 1 else set())
    return [
        v
        for v in failed
        if v.check in STRUCTURE
        and (SHAPES in v.message and "/in" in v.node and module_of(v.node) in holding)
    ]


def is_rounded(verdict: Verdict, narrow: dict) -> bool:
    """Whether a local float64 error is as small as rounding a constant makes it, or float32 arithmetic where a side
    went over to float32, with nothing wrong in float32."""
    if verdict.check not in LOCAL_64 or verdict.measured is None or verdict.kind == kinds.CONSTANT:
        return False
    backward = verdict.check == checks.LOCAL_GRADIENTS_64
    # a gradient is the product of several such
    most = gates.ROUNDED * (16 if backward else 1)
    other = narrow.get((NARROW.get(verdict.check), verdict.node))
    if is_narrowed(verdict):
        most = max(most, gates.GRADIENT_LEAST if backward else gates.PRECISION_LEAST)
        most = max(most, (other and other.limit) or 0.0)
    fails = other is not None and other.status is Status.FAIL
    return verdict.measured <= most and not fails


def is_known(verdict: Verdict, why: str) -> bool:
    return verdict.status is Status.KNOWN and why in verdict.message


def is_small(verdict: Verdict, most: float) -> bool:
    """Whether what a whole run shows may have come of rounded constants."""
    whole = verdict.check in INHERITED and verdict.check.startswith("float64")
    return whole and verdict.measured is not None and verdict.measured <= most


def is_whole_within(verdict: Verdict, factor: float) -> bool:
    """Whether a whole float32 run's error, which layers before it made too, is at most `factor` times its limit."""
    whole = verdict.check in INHERITED and verdict.check.startswith("float32")
    if not whole or not verdict.limit or verdict.measured is None:
        return False
    return verdict.measured <= factor * verdict.limit


def is_structural(verdict: Verdict) -> bool:
    return verdict.kind == kinds.MISSING and verdict.check in STRUCTURE


def strictly(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """What is KNOWN as the FAILs that it was."""
    return [v.but(status=Status.FAIL) if v.status is Status.KNOWN else v for v in verdicts]
