"""Causes, not consequences: what to mend, the likeliest first, out of all verdicts of a run.

A cause is a dictionary's worth of text and numbers; report.json has the list under "causes", and this is its shape:

where: the module, parameter, choice, loss or step, "" for the whole case; case: which examination
side: the guilty side's label, "" where the evidence does not tell
kind: one of the words of kinds.py ("different constant", "wrong axis", "backward only" ...)
confidence: "sure" (NumPy or the layers' own attributes say so), "likely" (made there, given the reference's values),
    "a guess" (the first thing that differs)
summary: one sentence; check, node: of the verdict that it rests on
reference_code, candidate_code: "FILE:LINE" or ""; script: a file in the folder reproduce/, or ""
also: other places with the same cause (the same lines of code); consequences: FAILs that follow from it
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from parity.engine import checks, kinds
from parity.engine.nodes import OUTSIDE
from parity.engine.verdicts import Status, Verdict

SURE, LIKELY, GUESS = "sure", "likely", "a guess"
# what blame.py says where it cannot tell: nothing that helps whoever mends
IDLE = re.compile(
    r"which side is INCONCLUSIVE: (?=the layers)|which side is INCONCLUSIVE: [^;]*(; )?"
)
LOCAL = (
    *(checks.LOCAL_FORWARD_64, checks.LOCAL_PLAIN_64),
    *(checks.LOCAL_LOSSES_64, checks.LOCAL_DETECTIONS_64),
    *(checks.LOCAL_GRADIENTS_64, checks.LOCAL_FORWARD_32, checks.LOCAL_GRADIENTS_32),
)
BACKWARD = (checks.LOCAL_GRADIENTS_64, checks.LOCAL_GRADIENTS_32)
INHERITED = (  # of whole runs: what differs there was made somewhere
    *(
        checks.FORWARD_64,
        checks.PLAIN_64,
        checks.CHOICES_64,
        checks.LOSSES_64,
        checks.DETECTIONS_64,
    ),
    *(checks.NODE_GRADIENTS_64, checks.GRADIENTS_64),
    *(checks.FORWARD_32, checks.LOSSES_32, checks.CHOICES_32, checks.DETECTIONS_32),
    *(checks.GRADIENTS_32, *checks.OWN_VALUES, checks.DISPLACEMENT),
)


TOTAL = "loss/total"
STILL = ("still",)  # the group of what does not move or gets no gradient


@dataclass(frozen=True)
class Cause:
    """What to mend: where, on which side, of what kind, how sure that is, and what follows from it."""

    case: str
    where: str
    side: str
    kind: str
    confidence: str
    summary: str
    reference_code: str = ""
    candidate_code: str = ""
    script: str = ""
    consequences: int = 0
    check: str = ""
    node: str = ""
    also: tuple[str, ...] = ()

    def to_dict(self) -> dict:
        return asdict(self) | {"also": list(self.also)}

    def lines(self) -> list[str]:
        """For a terminal: what, then where in the code."""
        more = f" and {len(self.also)} more" if self.also else ""
        side = f" in {self.side}" if self.side else ""
        head = f"{self.where or self.case}{more}: {self.kind}{side} ({self.confidence})"
        found = [head, f"    {self.summary}"]
        code = [x for x in (self.reference_code, self.candidate_code) if x]
        return found + ([f"    {' | '.join(code)}"] if code else [])


def causes_of(verdicts: Iterable[Verdict]) -> list[Cause]:
    """The causes of all FAILs, the likeliest first: what comes before everything (crashes, weights, what is trained),
    then what is made where it shows, in the order of execution; of whole runs only what nothing explains."""
    by_run: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        if verdict.status is Status.FAIL:
            by_run.setdefault(run_of(verdict.case), []).append(verdict)
    return [cause for failed in by_run.values() for cause in _of_one(failed)]


def run_of(case: str) -> str:
    """The examination that a case belongs to: "pair: training steps" is part of "pair"."""
    return case.partition(": ")[0]


def is_of_weights(verdict: Verdict) -> bool:
    """Whether it says that weights did not arrive, or that one side alone has or trains them."""
    alone = verdict.check == checks.INITIAL and verdict.kind == kinds.MISSING
    return alone or verdict.check == checks.NAMES or verdict.check.startswith("weights: ")


def modules_without_weights(failed: list[Verdict]) -> set[str]:
    """Modules that were not given the other side's weights: what they compute differs, whatever their code does."""
    lost = (v for v in failed if v.check.startswith("weights: ") and v.kind == kinds.MISSING)
    return {v.node.rpartition(".")[0] for v in lost}


def is_unfed(verdict: Verdict, unfed: set[str]) -> bool:
    owner = verdict.owner or verdict.node.rpartition(".")[0]
    return any(owner == name or (name and owner.startswith(f"{name}.")) for name in unfed)


def is_inherited(verdict: Verdict) -> bool:
    """Whether it looks at a whole run; an optimiser, a schedule are looked at by themselves."""
    _, _, part = verdict.case.partition(": ")
    return verdict.check in INHERITED and part in ("", "training steps", "own training step")


def _of_one(failed: list[Verdict]) -> list[Cause]:
    """Of one examination."""
    groups: dict[tuple, list[Verdict]] = {}
    inherited, unfed = [], modules_without_weights(failed)
    for verdict in failed:
        is_local = verdict.check in LOCAL or verdict.kind == kinds.CRASH
        if is_inherited(verdict) or (is_local and is_unfed(verdict, unfed)):
            inherited.append(verdict)
        else:
            groups.setdefault(_group(verdict), []).append(verdict)
    if any(found[0].check == checks.TRAINABLE for found in groups.values()):
        inherited += groups.pop(STILL, [])
    if any(key[-1].startswith("loss/") and key[-1] != TOTAL for key in groups):
        # the total, and gradients of what losses are made of, are made by the losses
        for key in [k for k in groups if k[0] is True or k[-1] == TOTAL]:
            inherited += groups.pop(key)
    early = _parted_before(groups, inherited)
    if early:
        groups[("parted",)] = early
        inherited = [v for v in inherited if v not in early]
    if not groups and inherited:
        first = min(inherited, key=lambda v: INHERITED.index(v.check))
        inherited.remove(first)
        groups[("",)] = [first]
    # where nothing else differs forward, what one side has alone is a renaming, and no cause of what differs backward
    renamed = not any(
        v.check in LOCAL and v.check not in BACKWARD and v.kind != kinds.MISSING for v in failed
    )
    if ("weights",) in groups:  # of several that say so the one with a proposal comes first
        groups["weights",].sort(key=lambda v: v.kind != kinds.NAMES)
    ranked = sorted(groups.values(), key=lambda found: _rank(found[0], renamed))
    merged: dict[tuple, list[list[Verdict]]] = {}
    for found in ranked:
        merged.setdefault(_same(found[0]), []).append(found)
    causes = []
    for parts in merged.values():
        count = sum(map(len, parts)) - 1 + (len(inherited) if not causes else 0)
        causes.append(_cause(parts, count))
    return causes


def _parted_before(groups: dict, inherited: list[Verdict]) -> list[Verdict]:
    """What parted in a user's own training step before anything that could explain it: a cause of its own."""
    parted = [v for v in inherited if v.check in checks.OWN_VALUES]
    if not parted:
        return []
    others = [f[0] for f in groups.values() if f[0].check != checks.INITIAL]
    # only what changes later, as a rate that is not lowered, is known not to explain it
    first = min(map(_step_of, parted))
    if not others or any(_step_of(v) <= first for v in others):
        return []
    return [v for v in parted if _step_of(v) == first]


def _step_of(verdict: Verdict) -> int:
    """Of nodes such as rates/optimiser/step1; -1 where there is none: it holds from the beginning."""
    found = re.search(r"(?:^|/)step(\d+)(?:/|$)", verdict.node)
    return int(found[1]) if found else -1


def _group(verdict: Verdict) -> tuple:
    """What fails together: everything of one module, else of one check."""
    if is_of_weights(verdict):
        return ("weights",)
    if verdict.check in LOCAL and verdict.kind == kinds.MISSING:
        return ("missing", verdict.message)  # which names the side
    if verdict.check in LOCAL and verdict.owner and verdict.owner != OUTSIDE:
        return ("module", verdict.owner)
    if verdict.check in LOCAL:
        return (verdict.check in BACKWARD, verdict.node)
    if verdict.check in (checks.MOVES, checks.REACHED):
        return STILL  # what gets no gradient does not move
    return (verdict.case, verdict.check, verdict.kind, verdict.node.partition("/")[0])


def _rank(verdict: Verdict, renamed: bool) -> int:
    """0 for what spoils everything, then local errors (forward before backward before float32), then the rest."""
    if verdict.kind == kinds.CRASH or verdict.check in ("worker", "import"):
        return 0
    if is_of_weights(verdict):
        return 1
    if verdict.check in LOCAL and verdict.kind == kinds.MISSING and renamed:
        return 6
    if verdict.check in LOCAL:
        gradient, narrow = verdict.check in BACKWARD, verdict.check.startswith("float32")
        return 2 + gradient + 2 * narrow
    return 6 if verdict.check not in INHERITED else 7


def _same(verdict: Verdict) -> tuple:
    """Equal for one mistake in code that runs at several places."""
    if verdict.check in (*LOCAL, checks.BRANCHES) and verdict.code and all(verdict.code):
        return (verdict.kind, *verdict.code, verdict.check in BACKWARD)
    if verdict.check == checks.INITIAL:  # one initialiser serves many parameters
        return (verdict.case, verdict.kind, verdict.message.partition(":")[0])
    return (verdict.case, verdict.check, verdict.node, verdict.owner)


def _cause(parts: list[list[Verdict]], consequences: int) -> Cause:
    first = parts[0][0]
    code = tuple(map(shown, first.code or ("", "")))
    forward = {v.check for v in parts[0]} - set(BACKWARD)
    kind = first.kind or (kinds.FORMULA if first.check in LOCAL else "")
    if first.check in BACKWARD and not forward and kind not in (kinds.DETACHED, kinds.MISSING):
        kind = kinds.BACKWARD
    width = first.check.partition(" ")[
        0
    ]  # float32 names the less precise side, which may be the right one
    guilty = next((v.guilty for v in parts[0] if v.guilty and v.check.startswith(width)), "")
    return Cause(
        case=first.case,
        where=_where(first),
        side=guilty,
        kind=kind or first.check,
        confidence=_confidence(first, bool(guilty)),
        summary=_summary(first),
        reference_code=code[0],
        candidate_code=code[1],
        script=next((v.script for found in parts for v in found if v.script), ""),
        consequences=consequences,
        check=first.check,
        node=first.node,
        also=tuple(_where(found[0]) for found in parts[1:]),
    )


def _where(verdict: Verdict) -> str:
    owner = verdict.owner if verdict.owner != OUTSIDE else ""
    return owner or verdict.node


def _confidence(verdict: Verdict, has_guilty: bool) -> str:
    if has_guilty or (verdict.check not in INHERITED and "the layers differ in" in verdict.message):
        return SURE
    return GUESS if verdict.check in INHERITED else LIKELY


def _summary(verdict: Verdict) -> str:
    numbers = ""
    if verdict.measured is not None and verdict.limit:
        numbers = f" ({verdict.measured:.1e}, limit {verdict.limit:.1e})"
    return (
        f"{verdict.node}: {verdict.message}{numbers}"
        if verdict.message
        else (f"{verdict.node} differs{numbers}")
    )


def shown(place: str) -> str:
    """A place in the code as one would type it here: below the working directory without that."""
    file, _, line = place.rpartition(":")
    if not file or not os.path.isabs(file):
        return place
    here = Path.cwd()
    path = Path(file)
    return f"{path.relative_to(here)}:{line}" if path.is_relative_to(here) else place


def told(causes: list[Cause], known: int = 0) -> list[str]:
    """The first screen: the causes, then how many consequences there are."""
    if not causes:
        return [f"no cause found; {known} known differences that are no defects"] if known else []
    lines = [line for k, cause in enumerate(causes, 1) for line in _numbered(k, cause)]
    total = sum(cause.consequences for cause in causes)
    count = f"{len(causes)} cause{'s' if len(causes) > 1 else ''}, {total} consequences"
    return [*lines, count + (f", {known} known differences that are no defects" if known else "")]


def _numbered(number: int, cause: Cause) -> list[str]:
    first, *rest = cause.lines()
    return [f"{number}. {first}", *rest]
