"""What the page's script reads: every comparison of a report, written once and short.

page.py puts it into the page.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from door.display import plain
from parity.engine.judge.checks import FORWARD_32, FORWARD_64, NODE_GRADIENTS_64
from parity.engine.values.places import shown
from parity.report.gist import KINDS, STATUSES, kind_of, sides_of

MESSAGE = 300  # characters


class Table:
    """Texts by number, each once."""

    def __init__(self):
        self.numbers: dict[str, int] = {}

    def number(self, text: str) -> int:
        return self.numbers.setdefault(plain(text), len(self.numbers))

    def texts(self) -> list[str]:
        return list(self.numbers)


def payload(report: Mapping) -> dict:
    """{"cases": {case: {"nodes", "shapes", "rms", "rows", "forward", "backward"}}, and tables of texts}.

    A row is [node, check, status, measured, limit, floor, more]; what is not there at its end is left out. `more` is
    {"m": message, "g": guilty side, "s": errors by side, "o": owner, "c": code, "v": values}, of what is not PASS or
    has values. "forward" and "backward": nodes in the order of execution.
    """
    checks, texts = Table(), Table()
    cases: dict[str, dict] = {}
    for verdict in report["verdicts"]:
        name = plain(verdict["case"])
        case = cases.setdefault(name, {"nodes": {}, "shapes": {}, "rms": {}, "rows": []})
        node = case["nodes"].setdefault(plain(verdict["node"]), len(case["nodes"]))
        if verdict.get("shape") is not None and node not in case["shapes"]:
            shape = " x ".join(map(str, verdict["shape"])) or "one number"
            case["shapes"][node] = texts.number(shape)
            case["rms"][node] = short(verdict.get("rms"))
        if verdict.get("code"):
            both = [texts.number(shown(c)) for c in verdict["code"]]
            case.setdefault("code", {}).setdefault(node, both)
        case["rows"].append(row(verdict, node, checks, texts))
    for case in cases.values():
        order(case, checks)
        case["nodes"] = list(case["nodes"])
    return {
        "kinds": KINDS,
        "checks": checks.texts(),
        "of": [kind_of(check) for check in checks.texts()],
        "statuses": STATUSES,
        "sides": [plain(side) for side in sides_of(report)],
        "texts": texts.texts(),
        "cases": cases,
        "curves": curves(report.get("curves", {})),
    }


def row(verdict: Mapping, node: int, checks: Table, texts: Table) -> list:
    numbers = [short(verdict.get(name)) for name in ("measured", "limit", "floor")]
    found = [node, checks.number(verdict["check"]), STATUSES.index(verdict["status"]), *numbers]
    more = {}
    if verdict["status"] != "PASS" or verdict.get("values"):
        message = verdict.get("message", "")
        told = {"m": texts.number(message[:MESSAGE]) if message else None}
        told |= {"g": plain(verdict.get("guilty", "")), "o": plain(verdict.get("owner", ""))}
        told |= {"s": [short(x) for x in verdict.get("sides") or ()], "v": verdict.get("values")}
        told |= {"x": plain(verdict.get("script", ""))}
        more = {k: v for k, v in told.items() if v or v == 0}
    elif verdict.get("message"):
        more = {"m": texts.number(verdict["message"][:MESSAGE])}
    found += [more] if more else []
    while found[-1] is None:
        found.pop()
    return found


def order(case: dict, checks: Table) -> None:
    """Nodes in the order of execution, forward and backward, where such checks were made."""
    number = checks.numbers
    for name, wanted in (
        ("forward", (FORWARD_64, FORWARD_32)),
        ("backward", (NODE_GRADIENTS_64,)),
    ):
        for check in wanted:
            found = [r[0] for r in case["rows"] if r[1] == number.get(check)]
            if found:
                case[name] = list(dict.fromkeys(found))
                break


def curves(found: Mapping) -> dict:
    """Losses of float32 steps: {case: {"torch": [...], "jittor": [...], "copies": [[...]]}}."""
    return {
        plain(name): {
            "sides": [[short(s["loss"], 6) for s in runs[side]] for side in ("torch", "jittor")],
            "copies": [[short(s["loss"], 6) for s in run] for run in runs["copies"]],
        }
        for name, runs in found.items()
    }


def short(x: float | None, digits: int = 2) -> float | None:
    """To a few digits; None where JSON has no such number."""
    if x is None or not math.isfinite(x):
        return None
    return float(f"{x:.{digits}g}")
