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
names: all of those of which the summary tells a few

Before: judge/kinds.py, consequences.py. ask/result.py and report/payload.py ask.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from parity.engine.judge import checks, gates, kinds
from parity.engine.judge.verdicts import Status, Verdict
from parity.engine.tell import losses
from parity.engine.tell.consequences import (
    BACKWARD,
    INHERITED,
    LOCAL,
    TOTAL,
    Followers,
    is_of_trained,
    is_of_weights,
    parted_before,
    run_of,
)
from parity.engine.tell.forms import FORM, Forms
from parity.engine.values.nodes import OUTSIDE
from parity.engine.values.places import shown

SURE, LIKELY, GUESS = "sure", "likely", "a guess"
WEIGHTS = ("weights",)
STILL = ("still",)  # the group of what does not move or gets no gradient
FRAMES = 4  # of what raised, on a terminal
ONLY = re.compile(r"; (only \S+ has .*)$")  # of a branch that one side alone has
# of data, what says no more than that something else is there
UNEXPLAINED = re.compile(r"$|sizes |shapes |another |dtypes |\d+ (boxes )?instead|present on one")


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
    names: tuple[str, ...] = ()

    def to_dict(self) -> dict:
        return asdict(self) | {"also": list(self.also), "names": list(self.names)}

    def lines(self) -> list[str]:
        """For a terminal: what, then where in the code."""
        more = f" and {len(self.also)} more" if self.also else ""
        side = f" in {self.side}" if self.side else ""
        head = f"{self.where or self.case}{more}: {self.kind}{side} ({self.confidence})"
        summary, *frames = self.summary.split("\n")  # of what raised
        found = [head, f"    {summary}", *(f"      {frame}" for frame in frames[-FRAMES:])]
        if any(name not in summary for name in self.names):
            found.append(
                f"    all {len(self.names)}: on the page, and names of this cause in report.json"
            )
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


def _of_one(failed: list[Verdict]) -> list[Cause]:
    """Of one examination."""
    groups: dict[tuple, list[Verdict]] = {}
    inherited, follows, forms = [], Followers(failed), Forms(failed)
    criteria = losses.criteria(failed)
    for verdict in failed:
        if follows(verdict) or forms.follow(verdict):
            inherited.append(verdict)
        else:
            key = forms.group(verdict) or losses.result_of(verdict, criteria) or _group(verdict)
            if key == WEIGHTS and is_of_trained(verdict, failed):
                key = (*WEIGHTS, "trained")
            groups.setdefault(key, []).append(verdict)
    if (FORM,) in groups:
        groups[FORM,][0] = forms.named(groups[FORM,][0])
    inherited += losses.followers(groups, failed)
    if any(found[0].check == checks.TRAINABLE for found in groups.values()):
        inherited += groups.pop(STILL, [])
    own = [k for k in groups if k[-1].startswith("loss/") and k[-1] != TOTAL]
    if own:
        # the total, gradients of what losses are made of, and those of a loss that differs itself are made by these
        for key in [k for k in groups if k[0] is True or k[-1] == TOTAL]:
            if key not in own or (False, key[-1]) in own:
                inherited += groups.pop(key)
    early = parted_before(groups, inherited)
    if early:
        groups[("parted",)] = early
        inherited = [v for v in inherited if v not in early]
    if not groups and inherited:
        first = min(inherited, key=lambda v: (*INHERITED, v.check).index(v.check))
        inherited.remove(first)
        groups[("",)] = [first]
    # where nothing else differs forward, what one side has alone is a renaming, and no cause of what differs backward
    renamed = not any(
        v.check in LOCAL and v.check not in BACKWARD and v.kind != kinds.MISSING for v in failed
    )
    if WEIGHTS in groups:  # of several that say so the one with a proposal comes first
        groups[WEIGHTS].sort(key=lambda v: v.kind != kinds.NAMES)
    for key in (k for k in groups if k[0] == "module"):
        groups[key] = _greatest_first(groups[key])
    rank = lambda found: (_rank(found[0], renamed), found[0].kind == kinds.PRECISION)  # noqa: E731
    ranked = sorted(groups.values(), key=rank)
    merged: dict[tuple, list[list[Verdict]]] = {}
    for found in ranked:
        merged.setdefault(_same(found[0]), []).append(found)
    causes = []
    for parts in merged.values():
        count = sum(map(len, parts)) - 1 + (len(inherited) if not causes else 0)
        causes.append(_cause(parts, count))
    return causes


def _greatest_first(found: list[Verdict]) -> list[Verdict]:
    """FAILs of one module, one that is no more than precision behind the first of the same check that is more: each is
    made by a piece of its code of its own, and what makes the results wrong is to be mended first."""
    first = found[0]
    if first.measured is None or first.measured >= gates.COARSE:
        return found
    grave = [
        v
        for v in found
        if v.check == first.check and (v.measured is None or v.measured >= gates.COARSE)
    ]
    return grave[:1] + [v for v in found if v not in grave[:1]]


def _group(verdict: Verdict) -> tuple:
    """What fails together: everything of one module, else of one check."""
    if is_of_weights(verdict):
        return WEIGHTS
    if verdict.check in LOCAL and verdict.kind == kinds.MISSING:
        return ("missing", verdict.message)  # which names the side
    if verdict.check in LOCAL and verdict.owner and verdict.owner != OUTSIDE:
        return ("module", verdict.owner)
    if verdict.check in LOCAL:
        return (verdict.check in BACKWARD, verdict.node)
    if verdict.check in (checks.MOVES, checks.REACHED):
        return STILL  # what gets no gradient does not move
    if verdict.check == checks.BRANCHES:
        only = ONLY.search(verdict.message)
        return (checks.BRANCHES, only[1] if only else verdict.owner)
    if verdict.check in (checks.BATCHES, checks.FLIPS):
        return (verdict.case, _of_data(verdict))
    what = verdict.message if verdict.check == checks.LEFT else verdict.node.partition("/")[0]
    return (verdict.case, verdict.check, verdict.kind, what)


def _of_data(verdict: Verdict) -> str:
    """What differs in batches: the same explanation of the same part is one, and so is all that has none."""
    text = verdict.message
    if verdict.kind == kinds.MISSING or UNEXPLAINED.match(text):
        return "another"
    if "left to right" in text:
        return "flips"
    parts = [x for x in re.findall(r"\[(\w+)\]", verdict.node) if not x.isdigit()]
    if parts[-1:] == ["size"]:  # which says again what the images show
        return "another"
    # the labels that are told are those that a batch happens to have
    if text.startswith(("labels off by", "numbered otherwise")):
        text = "numbers"
    return f"{parts[-1:]} {re.sub(r'[-+.0-9]+', '#', text)}"


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
    if verdict.check == checks.BRANCHES and verdict.kind != kinds.CRASH:
        return 2 if ONLY.search(verdict.message) else 3
    return 6 if verdict.check not in INHERITED else 7


def _same(verdict: Verdict) -> tuple:
    """Equal for one mistake in code that runs at several places."""
    if verdict.check == checks.BRANCHES and ONLY.search(verdict.message):
        return (checks.BRANCHES, ONLY.search(verdict.message)[1])
    if verdict.check in LOCAL and is_loss(verdict):
        return losses.explanation(verdict)  # which are written in one place, each another mistake
    is_apart = verdict.node.startswith("loss/")
    if verdict.check in (*LOCAL, checks.BRANCHES) and all(verdict.code or [""]) and not is_apart:
        # the same lines show what they do in another kind at another place, but for what they were built with
        built = verdict.kind if "the layers differ in" in verdict.message else ""
        return (built, *verdict.code, verdict.check in BACKWARD)
    if verdict.check == checks.INITIAL:  # one initialiser serves many parameters
        return (verdict.case, verdict.kind, verdict.message.partition(":")[0])
    return (verdict.case, verdict.check, verdict.node, verdict.owner)


def is_loss(verdict: Verdict) -> bool:
    """Whether it is of a loss, or of a number that a criterion gives by name."""
    named = losses.NAMED.match(verdict.node) and losses.NUMBERS.search(verdict.message)
    return verdict.node.startswith("loss/") or bool(named)


def _cause(parts: list[list[Verdict]], consequences: int) -> Cause:
    first = parts[0][0]
    code = tuple(map(shown, first.code or ("", "")))
    forward = {v.check for v in parts[0]} - set(BACKWARD)
    kind = first.kind or (kinds.FORMULA if first.check in LOCAL else "")
    if first.check in BACKWARD and not forward and kind not in (kinds.DETACHED, kinds.MISSING):
        kind = kinds.BACKWARD
    # float32 names the less precise side, which may be the right one
    width = first.check.partition(" ")[0]
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
        names=first.names or (),
    )


def _where(verdict: Verdict) -> str:
    owner = verdict.owner if verdict.owner != OUTSIDE else ""
    return owner or verdict.node


def _confidence(verdict: Verdict, has_guilty: bool) -> str:
    if verdict.check == checks.BRANCHES and ONLY.search(verdict.message):
        return SURE
    if has_guilty or (verdict.check not in INHERITED and "the layers differ in" in verdict.message):
        return SURE
    return GUESS if verdict.check in INHERITED else LIKELY


def _summary(verdict: Verdict) -> str:
    numbers = ""
    if verdict.measured is not None and verdict.limit:
        numbers = f" ({verdict.measured:.1e}, limit {verdict.limit:.1e})"
    text = f": {verdict.message}" if verdict.message else " differs"
    return f"{verdict.node}{text}{numbers}"


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
