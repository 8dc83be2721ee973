"""Optimisers and training steps: alike to the last place, alike over many steps, alike within the noise.

Three questions. Does one step of the optimiser do the same, from the same state, with the same gradients
(in units in the last place)? Do twenty whole steps in float64 end at the same weights? And do float32
steps, which any two correct programs part in, part no further than PyTorch does from itself when its
weights start one unit in the last place away?

Before: ulps.py and tube.py. ask/training.py asks here.
"""

from __future__ import annotations

import numpy as np

from parity.engine.judge import checks, gates
from parity.engine.judge.gradients import total_norm
from parity.engine.judge.judging import SIDES, judge, judge_nodes
from parity.engine.judge.verdicts import STILL, ZERO, Status, Verdict
from parity.engine.judge.weights import compare_names


def compare_steps(
    case: str,
    reference: tuple,
    candidate: tuple,
    sides: tuple[str, str] = SIDES,
    sizes: list[dict] | None = None,
) -> list[Verdict]:
    """Coupled float64 training steps: (weights at the start, trained names, losses per step, state at the end).

    sizes: per step and loss of the harness's own what it would be if nothing cancelled in it."""
    weights, names, losses, state = reference
    _, names_too, losses_too, state_too = candidate
    verdicts = [compare_names(case, names, names_too, sides)]
    if not names and not names_too and not any(losses) and not any(losses_too):
        message = "nothing is trained, and no loss comes out"
        return [*verdicts, Verdict(case, "steps", "(all)", Status.NOT_RUN, message=message)]
    check = checks.STEP_LOSSES
    is_zero = not any(x for found in (*losses, *losses_too) for x in found.values())
    for step, (a, b) in enumerate(zip(losses, losses_too, strict=True)):
        boxed = [{f"step{step}/{k}": np.array([v]) for k, v in one.items()} for one in (a, b)]
        whole = {f"step{step}/{k}": x for k, x in (sizes[step] if sizes else {}).items()}

        def judge_loss(node, x, y, whole=whole):
            verdict = judge(case, check, node, y, x, gates.STEPS_LOSS, whole.get(node, 0.0))
            return verdict.but(status=Status.INCONCLUSIVE, message=ZERO) if is_zero else verdict

        verdicts += judge_nodes(case, check, *boxed, judge_loss, sides)
    if not names and not names_too:
        return verdicts
    moved = [
        {k: ways(s[k], weights[k]) for k in own if k in s and k in weights}
        for own, s in ((names, state), (names_too, state_too))
    ]
    if all(moved) and not any(x.any() for one in moved for x in one.values()):
        still = Verdict(case, checks.DISPLACEMENT, "(all)", Status.INCONCLUSIVE, message=STILL)
        return [*verdicts, still]
    scale = gates.EPS64 / gates.STEPS_STATE * total_norm({k: state[k] for k in names})

    def judge_moved(node, a, b):
        return judge(case, checks.DISPLACEMENT, node, b, a, gates.STEPS_STATE, scale)

    return verdicts + judge_nodes(case, checks.DISPLACEMENT, *moved, judge_moved, sides)


PARTED = "the reference's own steps part as far, begun as far away as one forward pass may be"


def beside_copies(
    verdicts: list[Verdict], reference: list[dict], candidate: list[dict], copies: list[list[dict]]
) -> list[Verdict]:
    """Losses of steps that fail as KNOWN where the reference's own go as far apart. All are losses by step; copies: of
    the reference's steps from weights that differ by what one forward pass may differ by."""

    def is_noise(v: Verdict) -> bool:
        if v.check != checks.STEP_LOSSES or v.status is not Status.FAIL or v.measured is None:
            return False
        step, _, name = v.node.removeprefix("step").partition("/")
        base, other, *rest = (x[int(step)][name] for x in (reference, candidate, *copies))
        return abs(other - base) <= max((abs(x - base) for x in rest), default=0.0)

    return [v.but(status=Status.KNOWN, message=PARTED) if is_noise(v) else v for v in verdicts]


def ways(end: np.ndarray, start: np.ndarray) -> np.ndarray:
    """How far every weight went; where it ends, if this side's array has another shape than what was given."""
    return end - start if end.shape == start.shape else end
