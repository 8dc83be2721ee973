"""What changed from one report to another: verdicts, errors by more than their noise, nodes that came and went.

difference.py tells them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from parity.engine.judge import gates
from parity.errors import InputError

SCHEMA = "detector-parity/report/1"
RED, WORSE, GONE, GREEN, BETTER, NEW, OTHER = KINDS = (
    *("turned red", "got worse", "disappeared", "turned green", "got better", "new"),
    "another verdict",
)
BAD = (RED, WORSE, GONE)


@dataclass(frozen=True)
class Change:
    """`kind` is one of KINDS; `old` and `new` are the verdicts as report.json has them, None where there is none."""

    kind: str
    case: str
    check: str
    node: str
    text: str
    old: Mapping | None
    new: Mapping | None

    def __str__(self) -> str:
        return f"{self.case} / {self.check} / {self.node}: {self.text}"


def changes(old: Mapping, new: Mapping) -> list[Change]:
    """Nodes that appeared, vanished, have another status, or an error more than CHANGE_FACTOR times as great or
    small; in the order of the reports."""
    for report in (old, new):
        if report.get("schema") != SCHEMA:
            raise InputError(
                f"a report's schema is {report.get('schema')!r}, not {SCHEMA!r}: run `pytest parity/` anew"
            )
    before, after = map(_by_node, (old, new))
    found = []
    for key in before | after:
        was, now = before.get(key), after.get(key)
        kind, text = _change(was, now)
        if kind:
            found.append(Change(kind, *key, text, was, now))
    return found


def changed_nodes(old: Mapping, new: Mapping) -> list[str]:
    """A line for each change: "case / check / layer4.2.conv3: error 5.0u to 9.0u"."""
    return list(map(str, changes(old, new)))


def _by_node(report: Mapping) -> dict[tuple[str, str, str], Mapping]:
    return {(v["case"], v["check"], v["node"]): v for v in report["verdicts"]}


def _change(old: Mapping | None, new: Mapping | None) -> tuple[str, str]:
    """Kind and text; both empty where nothing changed."""
    if new is None:
        return GONE, f"is gone (was {old['status']})"
    if old is None:
        return RED if new["status"] == "FAIL" else NEW, f"is new ({new['status']})"
    texts, kind = [], ""
    if old["status"] != new["status"]:
        texts.append(f"{old['status']} to {new['status']}")
        kind = {"FAIL": RED, "PASS": GREEN}.get(new["status"], OTHER)
    a, b = old.get("measured"), new.get("measured")
    if a is not None and b is not None:
        low, high = sorted((abs(a), abs(b)))
        # below this fraction of its limit an error is noise, however much it changes
        least = gates.CHANGE_LEAST * max(old.get("limit") or 0, new.get("limit") or 0)
        noise = max(old.get("floor") or 0, new.get("floor") or 0)  # as measured, where it was
        if high > least and high > gates.CHANGE_FACTOR * low and high - low > noise:
            texts.append(f"error {units(a)} to {units(b)}")
            kind = kind or (WORSE if abs(b) > abs(a) else BETTER)
    return kind, ", ".join(texts)


def units(error: float) -> str:
    """In units of u = 2^-24, or of 2^-53 where that is too coarse."""
    if error == 0 or error >= 0.01 * gates.U32:
        return f"{error / gates.U32:.3g}u"
    return f"{error / 2.0**-53:.3g}*2^-53"
