"""What a user's own training is made of, one part at a time: steps, optimiser, schedule, data, post-processing.

Before: examination.py. Asked by everything.py; judged by judge/steps.py, judge/tube.py and tell/own_steps.py.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import numpy as np

from door.randomness import stream
from parity.case import Case
from parity.engine.ask.examination import Examination
from parity.engine.ask.examine import workers_of
from parity.engine.ask.result import Result
from parity.engine.judge import gates
from parity.engine.judge.checks import NOT_LOOKED_INTO, STEP_LOSSES
from parity.engine.judge.crashes import crashed, unfinished
from parity.engine.judge.detections import compare_detections
from parity.engine.judge.steps import beside_copies, compare_steps
from parity.engine.judge.tube import compare_tube
from parity.engine.judge.ulps import nudged, one_ulp_away
from parity.engine.judge.verdicts import Status, Verdict
from parity.engine.sides.own_step import BEGUN, begun_in
from parity.engine.sides.workers import Workers
from parity.engine.tell.own_steps import OwnSteps
from parity.engine.values import tree
from parity.engine.values.parts import cut
from parity.errors import OutOfTime, WorkerDied, WorkerError

HERE = "parity.engine.ask.training"
WATCH = "parity.engine.sides.own_step"
AGAIN = "not done in time: run it again, kernels that were compiled are kept"


def has_own_steps(case: Case, workers: Workers, device: str) -> bool:
    """Whether both sides have a training step that takes the model; they are built for that."""
    return len(own_sides(case, workers, device)) == 2


def own_sides(case: Case, workers: Workers, device: str) -> list[str]:
    """Sides with such a step; they are built in the modes that they have themselves."""
    dtype = "float64" if case.float64 else "float32"
    for side, half in zip(case.labels, (case.reference, case.candidate), strict=True):
        workers[side].submit("build", half, device, dtype, None, side)
    workers.collect(case.labels)
    return [s for s, has in workers.run(f"{WATCH}:has_own_step", sides=case.labels).items() if has]


def prepared(
    case: Case, workers: Workers | None, device: str, ask: Callable, dtype: str, what: str = ""
) -> Result:
    """Both sides built and loaded in `dtype`, then ask(examination, workers) -> verdicts; a failing worker is one,
    and what the time limit ends is not run: `what`."""
    with workers_of(case, workers, device) as used, Examination(case, used) as examination:
        try:
            examination.first_build()
            examination.prepare(case.labels, dtype)
            return Result(ask(examination, used))
        except (WorkerDied, WorkerError) as error:
            return Result(unfinished(case.name, error, [what or "run"], case.labels[0]))


def check_steps(
    case: Case,
    workers: Workers | None = None,
    *,
    steps: int = 8,
    device: str = "cpu",
    idle: bool = True,
    told: Callable = lambda stage, verdicts: None,
) -> Result:
    """Coupled float64 training steps of both sides from the same weights, on the case's batches or its inputs, over
    and over; not `idle`: only where something is trained. Subjects whose train_step takes the model (model, batch,
    step) are looked at after every step, and nothing sets their modes (own_steps.py)."""

    def ask(examination: Examination, used: Workers) -> list[Verdict]:
        sides, name, message = case.labels, f"{case.name}: training steps", ""
        names = used.both("trained_names", sides=sides)
        if own:
            message = f"only {own[0]} has a step of its own (model, batch, step): give both one"
        elif not idle and not (case.gradients and any(names.values())):
            message = "nothing is trained: each step would be the first again"
        if message:
            return [Verdict(name, "steps", "(all)", Status.NOT_RUN, message=message)]
        batches = case.made_batches(examination.inputs, steps)
        try:
            found = used.both("train_steps", batches, examination.targets, sides=sides)
        except WorkerError as error:  # whom the steps are not made for need not survive them
            if error.side != sides[0]:
                raise
            message = f"the reference raises in steps that the harness makes: {error}"
            return [Verdict(name, "steps", "(all)", Status.NOT_RUN, message=message)]
        answers = ((examination.weights, names[side], *found[side][:2]) for side in sides)
        verdicts = compare_steps(name, *answers, sides, found[sides[0]][2])
        if not any(v.check == STEP_LOSSES and v.status is Status.FAIL for v in verdicts):
            return verdicts
        copies = []
        with suppress(OutOfTime):
            for k in range(gates.NEIGHBOURS):
                start = nudged(examination.weights, k, gates.SEMANTIC_FORWARD)
                used[sides[0]].call("load", start, strict=False)
                copies.append(used[sides[0]].call("train_steps", batches, examination.targets)[0])
        return beside_copies(verdicts, *(found[side][0] for side in sides), copies)

    own: list[str] = []
    with workers_of(case, workers, device) as used:
        with suppress(WorkerDied, WorkerError):  # which is told when it is built again
            own = own_sides(case, used, device)
        if len(own) == 2:
            return Result(own_steps(case, used, steps, device, told))
        return prepared(case, used, device, ask, "float64", "training steps")


def own_steps(
    case: Case, workers: Workers, steps: int, device: str, told: Callable
) -> list[Verdict]:
    """Both users' own steps side by side; a side that raises is a verdict, and what was found before is kept, and what
    it comes to until then."""
    found: list[Verdict] = []

    def ask(examination: Examination, used: Workers) -> list[Verdict]:
        sides, batches = case.labels, case.made_batches(examination.inputs, steps)
        judged = OwnSteps(case.name, examination.weights, sides, case.float64)
        for step, batch in enumerate(batches):
            files = {side: used[side].folder / BEGUN for side in sides}
            try:
                for side in sides:
                    used[side].submit("run", f"{WATCH}:one_step", batch, step, files[side])
                answers = used.collect(sides)
            except WorkerError as error:
                found.append(crashed(judged.case, f"step{step}", error, sides[0]))
                return [*found, *judged.conclude(step)]
            except OutOfTime as error:
                begun = [begun_in(path, step) for path in files.values()]
                found.extend(judged.begin(step, begun) if all(begun) else ())
                where = judged.case, NOT_LOOKED_INTO, f"from step{step} on"
                left = Verdict(*where, Status.NOT_RUN, message=f"{AGAIN}; {error}")
                return [*found, *(judged.conclude(step) if step else ()), left]
            found.extend(judged.judge(step, [answers[side] for side in sides]))
            told(f"training step {step}", found)
        return [*found, *judged.conclude(steps)]

    dtype = "float64" if case.float64 else "float32"
    result = prepared(replace(case, training=None), workers, device, ask, dtype)
    lost = [v for v in found if v not in result.verdicts]
    return lost + result.verdicts


def check_tube(
    case: Case, workers: Workers | None = None, *, steps: int = 12, device: str = "cpu"
) -> Result:
    """Float32 training steps of the candidate against copies of the reference one unit in the last place away."""

    def ask(examination: Examination, used: Workers) -> list[Verdict]:
        first, second = case.labels
        batches, start = [examination.inputs] * steps, examination.weights

        def run(label: str, weights) -> tuple:
            used[label].call("load", weights, strict=False)
            return used[label].call("train_steps", batches, examination.targets)[:2]

        names = used[first].call("trained_names")
        base, other = run(first, start), run(second, start)
        copies = [run(first, one_ulp_away(start, k)) for k in range(gates.TUBE_COPIES)]
        name = f"{case.name}: {steps} float32 steps"
        return compare_tube(name, start, names, base, copies, other, second)

    return prepared(case, workers, device, ask, "float32")


def check_optimiser(
    case: Case, workers: Workers | None = None, *, steps: int = 6, device: str = "cpu"
) -> Result:
    """The subjects' own optimisers and schedules, in float64, given the same gradients: what every parameter moved.

    Gradients are drawn by name and step: of ordinary size, some a millionth of that.
    """

    def ask(examination: Examination, used: Workers) -> list[Verdict]:
        sides = case.labels
        names = used.both("trained_names", sides=sides)
        states = used.run(f"{HERE}:inject", steps, case.seed, sides=sides)
        answers = ((examination.weights, names[s], [], states[s]) for s in sides)
        return compare_steps(f"{case.name}: optimiser", *answers, sides)

    return prepared(case, workers, device, ask, "float64")


def inject(server, steps: int, seed: int) -> dict[str, np.ndarray]:
    """In a worker: steps of the optimiser with drawn gradients, by a loss that has exactly these; the state after."""
    runner, backend = server.runner, server.backend
    trained = {name: runner.tensors[name] for name in runner.trained}
    if runner.subject.optimiser is None:
        raise ValueError("the subject has no optimiser: give Subject(optimiser=...)")
    optimiser = runner.subject.optimiser(trained)
    for step in range(steps):
        if runner.subject.schedule is not None:
            runner.subject.schedule(optimiser, step)
        total, shapes, wholes = None, runner.shapes(), runner.trained_names()
        drawn = {
            name: stream(seed, "injected", step, name).standard_normal(shapes[name])
            * (1e-6 if k % 5 == 4 else 1.0)
            for k, name in enumerate(sorted(wholes))
        }
        drawn = cut(drawn, runner.wholes, runner.held_shapes())
        for name, tensor in sorted(trained.items()):
            layout, gradient = runner.layout_of(name), drawn[name]
            gradient = gradient if layout is None else layout.to_own(gradient)
            part = (tensor * backend.array(np.ascontiguousarray(gradient), like=tensor)).sum()
            total = part if total is None else total + part
        backend.step(optimiser, total)
    return runner.state()


def check_schedule(
    case: Case, workers: Workers | None = None, *, steps: int = 100, device: str = "cpu"
) -> Result:
    """The learning rate of every group before each step."""

    def ask(examination: Examination, used: Workers) -> list[Verdict]:
        sides, name = case.labels, f"{case.name}: schedule"
        found = used.run(f"{HERE}:rates", steps, sides=sides)
        verdicts = []
        for step, (a, b) in enumerate(zip(*(found[side] for side in sides), strict=True)):
            if len(a) != len(b):
                message = f"{len(a)} groups in {sides[0]}, {len(b)} in {sides[1]}"
                return [Verdict(name, "groups", f"step{step}", Status.FAIL, message=message)]
            for group, (x, y) in enumerate(zip(a, b, strict=True)):
                apart = abs(x - y) / max(abs(x), np.finfo(float).tiny)
                status = Status.PASS if apart <= gates.SEMANTIC_FORWARD else Status.FAIL
                message = "" if status is Status.PASS else f"{sides[0]} {x:g}, {sides[1]} {y:g}"
                node = f"step{step}/group{group}"
                limit = gates.SEMANTIC_FORWARD
                verdicts.append(Verdict(name, "learning rate", node, status, apart, limit, message))
        return verdicts

    return prepared(case, workers, device, ask, "float64")


def rates(server, steps: int) -> list[list[float]]:
    """In a worker: the learning rates by group before each step."""
    runner = server.runner
    if runner.subject.optimiser is None:
        raise ValueError("the subject has no optimiser: give Subject(optimiser=...)")
    optimiser, found = runner.subject.optimiser(dict(runner.tensors)), []
    for step in range(steps):
        if runner.subject.schedule is not None:
            runner.subject.schedule(optimiser, step)
        groups = optimiser.param_groups
        found.append([float(g.get("lr", getattr(optimiser, "lr", np.nan))) for g in groups])
    return found


def check_postprocess(
    case: Case, workers: Workers | None = None, *, outputs=None, device: str = "cpu"
) -> Result:
    """Both sides' post-processing of the same outputs, in float64: those given, or the reference's own."""

    def ask(examination: Examination, used: Workers) -> list[Verdict]:
        first, name = case.labels[0], f"{case.name}: post-processing"
        given = outputs
        if given is None:
            given = used[first].run(f"{HERE}:own_outputs", examination.inputs)
        found = used.run(f"{HERE}:postprocessed", given, examination.inputs, sides=case.labels)
        answers = (found[side] for side in case.labels)
        check = "the same outputs"
        return compare_detections(name, check, *answers, gates.SEMANTIC_FORWARD, case.labels)

    return prepared(case, workers, device, ask, "float64")


def own_outputs(server, inputs):
    """In a worker: what forward gives, as arrays."""
    runner = server.runner
    return runner.as_arrays(runner.forward(runner.prepare(inputs), runner.plain_run()))


def postprocessed(server, outputs, inputs):
    """In a worker: what the subject's post-processing makes of these outputs, as arrays."""
    runner = server.runner
    if runner.subject.postprocess is None:
        raise ValueError("the subject has no post-processing: give Subject(postprocess=...)")
    given = tree.replaced(
        outputs,
        lambda x: isinstance(x, np.ndarray),
        lambda _, x: server.backend.array(x.astype(runner.dtype) if x.dtype.kind == "f" else x),
    )
    return runner.as_arrays(runner.subject.postprocess(given, inputs, runner.plain_run()))
