"""Which loss makes a gradient that differs: losses are differentiated one by one, of the reference's values.

Asked only where the gradient of all losses together differs and the code of losses is to blame: so a right pair pays
nothing. A function of which every output may be a loss is asked output by output.

Before: examination.py, which asks, and judge/crashes.py for how a worker tells places.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from parity.engine.judge import gates, kinds
from parity.engine.judge.checks import LOCAL_GRADIENTS_64
from parity.engine.judge.gradients import absent_if_zero, judge_gradient, semantic_gradient_scale
from parity.engine.judge.judging import UNFIT
from parity.engine.judge.verdicts import Status, Verdict
from parity.engine.sides.choices import Choices
from parity.engine.sides.tracer import Tracer
from parity.engine.values import places
from parity.engine.values.nodes import OUTSIDE, ROOT, call_of
from parity.engine.values.record import Record
from parity.errors import WorkerDied, WorkerError

HERE = "parity.engine.ask.by_loss"


def told_by_loss(examination, verdicts: list[Verdict]) -> list[Verdict]:
    """The verdicts, and before those on gradients that losses make wrong one for every loss that does."""
    odd = [v for v in verdicts if is_of_losses(v)]
    if not odd:
        return verdicts
    base = examination.path(examination.sides[0], "free 64")
    given = (examination.inputs, examination.targets, base, [v.node for v in odd])
    try:
        examination.prepare(examination.sides, "float64")
        found = examination.workers.run(f"{HERE}:loss_gradients", *given, sides=examination.sides)
    except (WorkerDied, WorkerError):  # what is known already stands
        return verdicts
    codes, gradients = zip(*(found[side] for side in examination.sides), strict=True)
    place, odd = verdicts.index(odd[0]), odd[0].but(code=codes if all(codes) else odd[0].code)
    return verdicts[:place] + compare_by_loss(odd, *gradients) + verdicts[place:]


def is_of_losses(verdict: Verdict) -> bool:
    """Whether it is a gradient that code outside of modules makes, or the whole model of its own arguments."""
    if verdict.status is not Status.FAIL or verdict.check != LOCAL_GRADIENTS_64:
        return False
    if verdict.kind == kinds.MISSING:
        return False
    return verdict.owner == OUTSIDE or (verdict.owner == call_of(verdict.node) == ROOT)


def compare_by_loss(odd: Verdict, reference: Mapping, candidate: Mapping) -> list[Verdict]:
    """A FAIL for every loss whose gradients differ; both map losses to gradients by node. `odd`: a verdict on the
    gradients of all."""
    found = []
    for loss, ours in reference.items():
        if loss not in candidate:
            continue
        ours, theirs = absent_if_zero(ours), absent_if_zero(candidate[loss])
        scale = semantic_gradient_scale(ours)
        for node in ours:
            pair = ours[node], theirs[node]
            told = judge_gradient(
                *(odd.case, LOCAL_GRADIENTS_64, loss),
                *(pair[1], pair[0], gates.SEMANTIC_GRADIENT, scale),
            )
            if told.status is Status.FAIL and UNFIT not in told.message:
                kind, text = kinds.tell(*pair)
                if pair[1] is None:
                    kind, text = kinds.DETACHED, "the candidate's is absent: detached, or in place"
                elif pair[0] is None:
                    kind, text = kinds.BACKWARD, "the candidate's alone is there: not detached"
                message = f"its gradient at {node}: {text}"
                found.append(told.but(owner=odd.owner, kind=kind, message=message, code=odd.code))
                break
    return found


def loss_gradients(server, inputs, targets, base: Path, nodes: list[str]) -> tuple[str, dict]:
    """In a worker: where losses are written, and {loss: {node: d loss / d node}} in a run that the record `base`
    forces."""
    runner, backend = server.runner, server.backend
    subject, record = runner.subject, Record(base)
    reference = {name: record[name] for name in ("nodes", "node_gradients", "modules")}
    constant = subject.constant or (lambda node: False)
    tracer = Tracer(
        *(backend, runner.modules(), server.entered, reference, False, constant),
        dtype=runner.dtype,
    )
    run = runner.plain_run()
    run.choices = Choices(backend, None, tracer)
    with ExitStack() as stack:
        stack.enter_context(backend.watching(run.choices))
        if subject.watch is not None:
            stack.enter_context(subject.watch(run.choices))
        stack.enter_context(tracer)
        prepared = runner.prepare(inputs, differentiable=not runner.trained)
        outputs, _ = runner.watched_forward(tracer, prepared, run)
        losses = {}
        if subject.losses is not None:
            losses = {f"loss/{k}": x for k, x in runner.losses(outputs, targets, run)[1].items()}
    if subject.losses is None:
        losses = {n: runner.weighted(x) for n, x in results_of_root(tracer).items()}
    leaves = {n: tracer.used[n] for n in nodes if n in tracer.used and tracer.is_leaf(n)}
    found: dict[str, dict[str, np.ndarray | None]] = {}
    for name, loss in losses.items():
        gradients = [None] * len(leaves)
        if backend.is_differentiable(loss):
            gradients = backend.vjp([loss], [None], list(leaves.values()), keep=True)
        found[name] = {
            n: None if g is None else backend.to_numpy(g) for n, g in zip(leaves, gradients)
        }
    return places.of_function(subject.losses), found


def results_of_root(tracer: Tracer) -> dict:
    """What the model itself computed that can be differentiated, by node."""
    return {
        node: x
        for node, x in tracer.arrived.items()
        if call_of(node) == ROOT and "/in" not in node and tracer.backend.is_differentiable(x)
    }
