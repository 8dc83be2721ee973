"""Whether both sides regret a wrong choice by the same amount.

What a replayed choice is forgiven hangs on its regret. Here every choice of a run is replayed with a few of its answers
exchanged, in float64: each side says by how much it would have preferred its own, and the two must agree. Whoever
weakens the evidence on one side lets a wrong choice pass as a tie there.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from neutral.config import to_dict
from neutral.data.batching import Batch
from parity.engine.judge.judging import SIDES, judge, judge_equal, only_on_one_side
from parity.engine.judge.verdicts import Verdict
from parity.engine.judge.weights import drawn_weights
from parity.engine.sides.workers import Worker
from parity.suite.ask import ask
from parity.suite.detector_case import DetectorCase

CHECK = "regrets"
LIMIT = 1e-9  # of the greatest evidence, as regrets are
COUNTS = ("choices", "different", "ties")


def spoiled(choices: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Every choice with two different answers of each row exchanged, so that as many are chosen as before."""
    found = {}
    for name in choices:
        values = found[name] = np.array(choices[name])
        for row in values.reshape(len(values), -1) if values.ndim and values.size else ():
            other = np.flatnonzero(row != row[0])
            if other.size:
                row[[0, other[other.size // 2]]] = row[[other[other.size // 2], 0]]
    return found


def collect_regrets(worker: Worker, case: DetectorCase, batch: Batch) -> dict[str, dict]:
    """A side's ledger: first what it chooses by itself, then how it likes that spoiled."""
    ask(worker, "build", to_dict(case.config()), "cpu", "float64", case.dropout_step)
    worker.call("load", drawn_weights(worker.call("shapes")))
    own = worker.call("trace", batch, gradients=False)["choices"]
    return ask(worker, "replayed", batch, spoiled(own))


def compare_regrets(
    case: str, reference: Mapping, candidate: Mapping, sides: tuple[str, str] = SIDES
) -> list[Verdict]:
    """Regrets as numbers, how many choices differ and how many are ties exactly."""
    verdicts = []
    for name in dict.fromkeys([*reference, *candidate]):
        if name not in reference or name not in candidate:
            verdicts.append(only_on_one_side(case, CHECK, name, name in reference, sides))
            continue
        a, b = (np.array([t[name][k] for k in COUNTS]) for t in (reference, candidate))
        verdicts.append(judge_equal(case, CHECK, f"{name}/counts", b, a))
        a, b = (told(t[name]["regret"]) for t in (reference, candidate))
        verdicts.append(judge(case, CHECK, f"{name}/regret", b, a, LIMIT, 1.0))
    return verdicts


def told(regret: float | None) -> np.ndarray:
    """A number that can be compared: none is -1, what no evidence makes 1e9."""
    return np.array([-1.0 if regret is None else min(float(regret), 1e9)])
