"""What a run came to, short enough for one screen: the answer in a sentence, and a matrix of cases and kinds of checks.

Reads a report as report.json has it, so that old ones, runs that go on and two reports are told alike.

terminal.py and page.py draw it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from parity.engine.judge import checks
from parity.engine.judge.verdicts import ALL_EMPTY, EMPTY, ENVIRONMENT, HOLLOW, Status, proves

PASS, FAIL, INCONCLUSIVE, NOT_RUN, KNOWN = (status.value for status in Status)
COUNTED = (PASS, FAIL)
STATUSES = (PASS, FAIL, INCONCLUSIVE, NOT_RUN, KNOWN)
NAMES = {"torch": "PyTorch", "jittor": "Jittor"}
KINDS = {  # of checks, in the order in which things are computed
    "data": "data",
    "weights": "weights",
    "forward64": "forward 64",
    "choices64": "choices 64",
    "losses64": "losses 64",
    "gradients64": "gradients 64",
    "local64": "local 64",
    "forward32": "forward 32",
    "choices32": "choices 32",
    "losses32": "losses 32",
    "gradients32": "gradients 32",
    "local32": "local 32",
    "steps": "steps",
    "other": "other",
}
OF_CHECK = {
    checks.NAMES: "weights",
    "initial weights": "weights",
    checks.INPUTS: "weights",
    checks.LEFT: "weights",
    **dict.fromkeys((checks.BATCHES, checks.CATEGORIES, checks.FLIPS), "data"),
    checks.BEHIND: "local64",
    checks.INITIAL: "weights",
    checks.PLAIN_64: "forward64",
    checks.LOCAL_PLAIN_64: "local64",
    checks.BRANCHES: "forward64",
    checks.FUNCTIONS: "local64",
    checks.LOCAL_DETECTIONS_64: "local64",
    checks.FORWARD_64: "forward64",
    checks.CHOICES_64: "choices64",
    checks.LOSSES_64: "losses64",
    checks.DETECTIONS_64: "losses64",
    checks.NODE_GRADIENTS_64: "gradients64",
    checks.GRADIENTS_64: "gradients64",
    checks.LOCAL_FORWARD_64: "local64",
    checks.LOCAL_LOSSES_64: "local64",
    checks.LOCAL_GRADIENTS_64: "local64",
    checks.FORWARD_32: "forward32",
    checks.CHOICES_32: "choices32",
    checks.LOSSES_32: "losses32",
    checks.DETECTIONS_32: "losses32",
    checks.GRADIENTS_32: "gradients32",
    checks.LOCAL_FORWARD_32: "local32",
    checks.LOCAL_GRADIENTS_32: "local32",
    checks.DISPLACEMENT: "steps",
    **dict.fromkeys((checks.MODES, checks.TRAINABLE, checks.RATES), "steps"),
    **dict.fromkeys((checks.MOVES, checks.REACHED, *checks.OWN_VALUES), "steps"),
    "gradient norms": "steps",
    "parameters": "steps",
    "state": "steps",
    "tube": "steps",
}


def kind_of(check: str) -> str:
    if check.startswith("weights"):
        return "weights"
    return OF_CHECK.get(check, "other")


def share(verdict: Mapping) -> float | None:
    """What is measured as a fraction of its limit; None where there is no such number."""
    measured, limit = verdict.get("measured"), verdict.get("limit")
    if measured is None or not limit or not math.isfinite(measured):
        return None
    return abs(measured) / limit


@dataclass
class Cell:
    """All comparisons of a case and a kind, or of more: counts by status, and the one nearest to its limit.

    That is one which passes or fails, where there is any: what is KNOWN may be far beyond its limit.
    """

    counts: Counter = field(default_factory=Counter)
    worst: Mapping | None = None
    share: float | None = None
    first: Mapping | None = None  # that fails

    def add(self, verdict: Mapping) -> None:
        self.counts[verdict["status"]] += 1
        self.see(verdict, share(verdict))
        if verdict["status"] == FAIL and self.first is None:
            self.first = verdict

    def see(self, verdict: Mapping | None, found: float | None) -> None:
        """Keeps it in the place of the worst, if it is worse."""
        if verdict is None or found is None:
            return
        rank = (verdict["status"] in COUNTED, found)
        if self.worst is None or rank > (self.worst["status"] in COUNTED, self.share):
            self.worst, self.share = verdict, found

    @property
    def status(self) -> str:
        """FAIL when anything fails; PASS when anything passes; else what the comparisons are."""
        return next(
            (s for s in (FAIL, PASS, INCONCLUSIVE, KNOWN, NOT_RUN) if self.counts[s]), NOT_RUN
        )

    @property
    def level(self) -> str:
        """For a colour: "fail", "unsure", "known", "left", "exact", or 0 (1e-5 of the limit and less) to 5."""
        if self.status != PASS:
            levels = {FAIL: "fail", INCONCLUSIVE: "unsure", KNOWN: "known", NOT_RUN: "left"}
            return levels[self.status]
        if self.share is None:
            return "exact"
        return str(min(5, max(0, 6 + math.floor(math.log10(max(self.share, 1e-9))))))

    def told(self) -> str:
        """ "395 compared, worst 2.2e-15, limit 1.0e-12, 1 FAIL"."""
        parts = [f"{sum(self.counts.values())} compared"]
        if self.worst is not None:
            parts.append(f"worst {self.worst['measured']:.1e}, limit {self.worst['limit']:.1e}")
        parts += [f"{self.counts[s]} {s.replace('_', ' ')}" for s in STATUSES[1:] if self.counts[s]]
        return ", ".join(parts)


def matrix(verdicts: Iterable[Mapping]) -> dict[str, dict[str, Cell]]:
    """Cells by case and kind; cases that fail come first, else all in the order of the run."""
    rows: dict[str, dict[str, Cell]] = {}
    for verdict in verdicts:
        row = rows.setdefault(verdict["case"], {})
        row.setdefault(kind_of(verdict["check"]), Cell()).add(verdict)
    bad = {name for name, row in rows.items() if any(c.status == FAIL for c in row.values())}
    return dict(sorted(rows.items(), key=lambda item: item[0] not in bad))


def first_failures(verdicts: Iterable[Mapping]) -> list[dict]:
    """What fails first in each case, as causes: for reports that have none."""
    found: dict[str, Mapping] = {}
    for verdict in verdicts:
        if verdict["status"] == FAIL:
            found.setdefault(verdict["case"], verdict)
    return [
        {
            "case": case,
            "where": first["node"],
            "kind": first["check"],
            "side": first.get("guilty", ""),
            "summary": f"fails first: {first.get('message') or measured(first)}",
            "script": first.get("script", ""),
            "check": first["check"],
            "node": first["node"],
        }
        for case, first in found.items()
    ]


def what_is_wrong(report: Mapping) -> list[Mapping]:
    """Causes (parity/engine/tell/causes.py), in an old report what fails first in each case."""
    return report.get("causes") or first_failures(report["verdicts"])


def measured(verdict: Mapping) -> str:
    if verdict.get("measured") is None:
        return verdict.get("message", "")
    return f"{verdict['measured']:.2g}, where {verdict['limit']:.2g} is allowed"


@dataclass(frozen=True)
class Answer:
    """`status` gives the colour: PASS, FAIL, INCONCLUSIVE, or NOT_RUN when nothing was compared."""

    status: str
    text: str


def sides_of(report: Mapping) -> list[str]:
    """How a reader calls the two sides."""
    found = [s for s in report.get("environment", {}) if s != "machine"]
    named = [NAMES.get(s, s) for s in found]
    return named if len(named) == 2 else ["the reference", "the candidate"]


def answer(report: Mapping) -> Answer:
    """The whole report in a sentence."""
    whole, verdicts = Cell(), report["verdicts"]
    for verdict in verdicts:
        whole.add(verdict)
    reference, candidate = sides_of(report)
    total = sum(whole.counts.values())
    unsure = [f"{whole.counts[s]:,} {s.replace('_', ' ')}" for s in STATUSES[2:] if whole.counts[s]]
    rest = f"; {', '.join(unsure)}" if unsure else ""
    if not whole.counts[FAIL]:
        if not any(v["status"] in (PASS, KNOWN) and v["case"] != ENVIRONMENT for v in verdicts):
            status = INCONCLUSIVE if whole.counts[INCONCLUSIVE] else NOT_RUN
            return Answer(status, f"Nothing was compared{rest}" if total else "Nothing yet")
        hollow = hollow_cases(verdicts)
        if None in hollow:
            return Answer(INCONCLUSIVE, f"Nothing of what they compute was compared: {ALL_EMPTY}")
        rest += "".join(f"; nothing of {case}: {ALL_EMPTY}" for case in hollow)
        count = sum(v["status"] == PASS and v.get("message") != EMPTY for v in verdicts)
        near = "" if whole.share is None else f", worst at {nearness(whole.share)}"
        text = f"{candidate} agrees with {reference}: {count:,} comparisons{near}{rest}"
        return Answer(PASS, text[0].upper() + text[1:])
    return Answer(FAIL, failing(report, whole) + rest)


def hollow_cases(verdicts: Iterable[Mapping]) -> list[str | None]:
    """Cases of which all that was computed is HOLLOW; None where that goes for the whole report."""
    cases = dict.fromkeys(v["case"] for v in verdicts if v.get("message") in HOLLOW)

    def proven(case: str | None) -> bool:
        told = ("case", "check", "node", "status")
        of_case = (v for v in verdicts if case in (None, v["case"]))
        return any(proves(*(v[name] for name in told), v.get("message", "")) for v in of_case)

    if cases and not proven(None):
        return [None]
    return [case for case in cases if not proven(case)]


def failing(report: Mapping, whole: Cell) -> str:
    """ "2 modules are wrong, all on Jittor's side: 40 of 812 comparisons fail"."""
    failed = f"{whole.counts[FAIL]:,} of {sum(whole.counts.values()):,} comparisons fail"
    causes = report.get("causes") or []
    if not causes or not all(" local " in c["check"] for c in causes):
        first = whole.first
        return f"{failed}, first {first['case']}, {first['check']}: {first['node']}"
    places = {(c["case"], where) for c in causes for where in (c["where"], *c["also"])}
    count = len(places)
    what = "1 module is wrong" if count == 1 else f"{count} modules are wrong"
    sides = {c["side"] for c in causes}
    if len(sides) == 1 and (side := sides.pop()):
        what += f", {'' if count == 1 else 'all '}on {NAMES.get(side, side)}'s side"
    return f"{what}: {failed}"


def nearness(x: float) -> str:
    """ "8 % of its limit", "3e+09 times its limit"; of small ones two digits."""
    if x > 1:
        return f"{x:.2g} times its limit"
    return f"{100 * x:.0f} % of its limit" if x >= 0.01 else f"{100 * x:.2g} % of its limit"
