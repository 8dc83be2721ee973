"""What changed from one report to another: nodes, verdicts, errors."""

from __future__ import annotations

from collections.abc import Mapping

from parity.engine import gates
from parity.errors import InputError

SCHEMA = "detector-parity/report/1"


def changed_nodes(old: Mapping, new: Mapping) -> list[str]:
    """One line for each node that appeared, vanished, has another status, or an error more than
    CHANGE_FACTOR times as great or small: "case / check / layer4.2.conv3: error 5.0u to 9.0u"."""
    for report in (old, new):
        if report.get("schema") != SCHEMA:
            raise InputError(
                f"a report's schema is {report.get('schema')!r}, not {SCHEMA!r}: run `pytest parity/` anew"
            )
    before, after = map(_by_node, (old, new))
    lines = []
    for key in before | after:
        name = " / ".join(key)
        if key not in after:
            lines.append(f"{name}: is gone (was {before[key]['status']})")
        elif key not in before:
            lines.append(f"{name}: is new ({after[key]['status']})")
        else:
            lines += [f"{name}: {text}" for text in _changes(before[key], after[key])]
    return lines


def _by_node(report: Mapping) -> dict[tuple[str, str, str], Mapping]:
    return {(v["case"], v["check"], v["node"]): v for v in report["verdicts"]}


def _changes(old: Mapping, new: Mapping) -> list[str]:
    found = []
    if old["status"] != new["status"]:
        found.append(f"{old['status']} to {new['status']}")
    a, b = old.get("measured"), new.get("measured")
    if a is None or b is None:
        return found
    low, high = sorted((abs(a), abs(b)))
    # below this fraction of its limit an error is noise, however much it changes
    least = gates.CHANGE_LEAST * max(old.get("limit") or 0, new.get("limit") or 0)
    if high > least and high > gates.CHANGE_FACTOR * low:
        found.append(f"error {units(a)} to {units(b)}")
    return found


def units(error: float) -> str:
    """In units of u = 2^-24, or of 2^-53 where that is too coarse."""
    if error == 0 or error >= 0.01 * gates.U32:
        return f"{error / gates.U32:.3g}u"
    return f"{error / 2.0**-53:.3g}*2^-53"
