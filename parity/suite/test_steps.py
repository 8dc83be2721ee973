"""Optimisers in units in the last place, coupled float64 steps, and float32 steps inside PyTorch's own tube."""

from __future__ import annotations

import pytest

from neutral.config import with_overrides
from parity.engine.judge.steps import compare_steps
from parity.engine.judge.weights import drawn_weights
from parity.suite.cases import STEPPING
from parity.suite.stepping import (
    OPTIMISERS,
    collect_steps,
    compare_clipping,
    compare_optimiser,
    drop_epochs,
    run_tube,
)

COUPLED, FREE = 20, 12  # steps in float64 and in float32


@pytest.mark.parametrize("name", OPTIMISERS)
def test_optimiser(name, pair, conclude):
    conclude(compare_optimiser(pair, name))


def test_clipping(pair, conclude):
    conclude(compare_clipping(pair))


@pytest.mark.parametrize("name", STEPPING)
def test_coupled_steps(name, pair, conclude, scenes_folder):
    """Twenty float64 steps: dropout and samplers, warm-up, clipping, decay, groups, accumulation, a drop."""
    case = STEPPING[name]
    batch = case.batch(scenes_folder)
    arguments = (case.config(), drawn_weights, batch, drop_epochs(case.config(), COUPLED))
    found = pair.each(lambda worker: collect_steps(worker, *arguments))
    label = f"{name}: {COUPLED} float64 steps"
    conclude(compare_steps(label, found["torch"], found["jittor"]))


@pytest.mark.parametrize("name", STEPPING)
def test_tube(name, pair, conclude, report, scenes_folder):
    case = STEPPING[name]
    config = with_overrides(case.config(), ["optimiser.accumulate=1", "optimiser.warmup_steps=0"])
    label = f"{name}: {FREE} float32 steps"
    arguments = (label, pair, config, drawn_weights, case.batch(scenes_folder), FREE)
    verdicts, losses = run_tube(*arguments)
    report.curves[label] = losses
    conclude(verdicts)
