"""Both sides regret a wrong choice by the same amount: whoever weakens the evidence lets it pass as a tie."""

from __future__ import annotations

import pytest

from parity.suite.cases import CASES, FASTER_RCNN
from parity.suite.regrets import collect_regrets, compare_regrets


@pytest.mark.parametrize(
    "case", (CASES[0], *FASTER_RCNN[:3]), ids=lambda c: c.name.replace(" ", "_")
)
def test_regrets(case, pair, conclude, scenes_folder):
    if pair.device != "cpu":
        pytest.skip("in float64, on the CPU")
    batch = case.batch(scenes_folder)
    ledgers = pair.each(lambda worker: collect_regrets(worker, case, batch))
    conclude(compare_regrets(case.name, ledgers["torch"], ledgers["jittor"]))
