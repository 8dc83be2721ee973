"""Choices of float32 runs that are others than the reference's: ties, within the noise, or wrong.

Before: sides/choices.py, which records them in the worker. precision.py asks here.
"""

from __future__ import annotations

from collections.abc import Mapping

from parity.engine.judge import checks, gates, kinds
from parity.engine.judge.judging import SIDES
from parity.engine.judge.verdicts import EMPTY, Status, Verdict


def compare_ledgers(
    case: str,
    errors: Mapping[str, float],
    reference: Mapping,
    candidate: Mapping,
    sides: tuple[str, str] = SIDES,
) -> list[Verdict]:
    """Every choice of both float32 runs that is another than the float64 reference's: a tie, or within the noise, or
    FAIL.

    A side's regret at such a choice is how much its own evidence prefers the one that it made. Rounding
    explains a regret of no more than CHOICE_FACTOR times the greatest of the nodes' `errors`.
    """
    verdicts = []
    noise = gates.CHOICE_FACTOR * max(errors.values(), default=0.0)
    for side, trace in zip(sides, (reference, candidate), strict=True):
        for name, entry in trace["ledger"].items():
            verdicts.append(judge_choice(case, f"{name} ({side})", entry, noise))
    if len(reference["ledger"]) != len(candidate["ledger"]):
        message = "another number of choices on either side"
        missing = Verdict(case, checks.CHOICES_32, "(all)", Status.FAIL, message=message)
        verdicts.append(missing.but(kind=kinds.MISSING))
    return verdicts


def judge_choice(case: str, node: str, entry: Mapping, noise: float) -> Verdict:
    """One entry of a ledger (see choices.py)."""
    check = checks.CHOICES_32
    different, ties, regret = entry["different"], entry["ties"], entry["regret"]
    if not different:
        message = "" if entry["choices"] else EMPTY
        return Verdict(case, check, node, Status.PASS, 0.0, noise, message)
    message = f"{different} of {entry['choices']} chosen otherwise, {ties} of them ties"
    if regret is None:
        return Verdict(case, check, node, Status.FAIL, message=f"{message}; nothing explains it")
    explained = regret <= noise
    message += "" if explained else ": unexplained, more than the noise of the evidence"
    status = Status.PASS if explained else Status.FAIL
    return Verdict(case, check, node, status, regret, noise, message)
