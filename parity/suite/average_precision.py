"""AP of the same weights in both frameworks."""

from __future__ import annotations

from neutral.evaluation import Evaluation
from parity.engine.judge.verdicts import Status, Verdict
from parity.suite import gates


def compare_ap(case: str, torch: Evaluation, jittor: Evaluation) -> list[Verdict]:
    """AP, AP50 and AP75 of the same weights; an AP near 0 on both sides proves nothing."""
    check, verdicts = "AP of the same weights", []
    for name in ("AP", "AP50", "AP75"):
        gap = abs(torch[name] - jittor[name])
        status = Status.PASS if gap <= gates.AP_MARGIN else Status.FAIL
        message = f"{torch[name]:.4f} and {jittor[name]:.4f}"
        if status is Status.PASS and max(torch[name], jittor[name]) < gates.AP_MEANINGFUL:
            status, message = Status.INCONCLUSIVE, f"{message}: too low to tell anything"
        verdicts.append(Verdict(case, check, name, status, gap, gates.AP_MARGIN, message))
    return verdicts
