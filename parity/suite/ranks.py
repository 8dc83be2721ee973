"""Several ranks against one process with the same batches, and both frameworks' ranks against each other.

One launch of a framework's ranks tries the sound code and any number of planted faults.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np

from neutral.config import to_dict
from neutral.data.batching import train_order
from neutral.launchers import launcher_command, launcher_environment
from neutral.ranks import share
from parity.engine.judge.gradients import semantic_gradient_scale
from parity.engine.judge.judging import judge, judge_equal, judge_nodes
from parity.engine.judge.steps import compare_steps
from parity.engine.judge.verdicts import Verdict
from parity.engine.judge.weights import drawn_weights
from parity.engine.sides.workers import Worker
from parity.engine.values.scratch import scratch_folder
from parity.errors import WorkerDied
from parity.suite import gates
from parity.suite.ask import ask
from parity.suite.detector_case import DetectorCase
from parity.suite.rank import EPOCHS, SOUND, TASK
from parity.suite.stepping import drop_epochs, step_rates

RANKS = 2
AS_RANKS = "parity.suite.rank:as_ranks"
IMAGES = 11  # an odd number: the last of the shares is padded
TIMEOUT = 900.0  # seconds of a launch; a cold Jittor compiles for minutes
ENDING = 30.0  # seconds that a launcher has to end its processes
SHARES, LOSSES, GRADIENTS, NORM, SAME = (
    f"ranks: {what}"
    for what in ("shares", "losses", "gradients", "norm of gradients", "equal weights")
)


def task_of(case: DetectorCase, names: list[str], scenes: Path, steps: int) -> dict:
    """What every rank does: its batch of the case's images, so many steps with warm-up and a drop of the rates."""
    config = case.config()
    batches = [one.batch(scenes) for one in case.of_ranks(RANKS)]
    return {
        "config": to_dict(config),
        "images": IMAGES,
        "batches": [pickle.dumps(batch) for batch in batches],
        "rates": step_rates(config, names, drop_epochs(config, steps)),
    }


def run_ranks(
    framework: str, task: dict, variants: list[str], limit: float = TIMEOUT
) -> list[dict[str, np.ndarray]]:
    """What each variant's first rank tells; WorkerDied when the launcher ends otherwise than well, or takes longer than
    `limit` seconds."""
    with scratch_folder("ranks") as folder:
        (folder / TASK).write_bytes(pickle.dumps(task))
        program = ["parity.suite.rank", framework, str(folder), *variants]
        code, told = launched(framework, program, limit)
        if code:
            raise WorkerDied(f"{framework}'s ranks {told[-1500:]}", "(ranks)")
        found = []
        for number in range(len(variants)):
            with np.load(folder / f"{number}.npz") as file:
                found.append(dict(file))
        return found


def launched(framework: str, program: list[str], limit: float) -> tuple[int, str]:
    """(exit code, how it ended with what it printed) of a launch; what takes too long is ended by its launcher."""
    root = Path(__file__).resolve().parent.parent.parent
    environment = os.environ | launcher_environment(framework, RANKS)
    environment |= {"PYTHONPATH": os.pathsep.join([str(root), *sys.path])}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    command = launcher_command(framework, RANKS, program)
    with subprocess.Popen(command, cwd=root, env=environment, **streams) as process:
        try:
            told = process.communicate(timeout=limit)[0]
            return process.returncode, f"ended with {process.returncode}: {told}"
        except subprocess.TimeoutExpired:
            process.terminate()
        try:
            told = process.communicate(timeout=ENDING)[0]
        except subprocess.TimeoutExpired:
            process.kill()
            told = process.communicate()[0]
    return 1, f"did not end within {limit:.0f} s: {told}"


def alone(worker: Worker, case: DetectorCase, scenes: Path, steps: int) -> tuple[dict, dict]:
    """(the task of ranks, what they must tell), from one process that does all of it."""
    ask(worker, "build", to_dict(case.config()), "cpu", "float64")
    task = task_of(case, worker.call("trained_names"), scenes, steps)
    weights = drawn_weights(worker.call("shapes"))
    batches = [pickle.loads(batch) for batch in task["batches"]]
    return task, worker.run(AS_RANKS, weights, batches, task["rates"])


def part(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}


def expected_shares(config) -> dict[str, np.ndarray]:
    """As torch.utils.data.DistributedSampler cuts an order that all ranks have in common."""
    return {
        f"epoch{epoch}/rank{rank}": train_order(IMAGES, config.seed, epoch)[
            share(IMAGES, rank, RANKS)
        ]
        for epoch in range(EPOCHS)
        for rank in range(RANKS)
    }


def labels(case: DetectorCase, side: str) -> tuple[str, tuple[str, str]]:
    return f"{case.name}: {side}", (f"{side} alone", f"{side} on {RANKS} ranks")


def compare_ranks(case: DetectorCase, side: str, ranks: dict, one: dict) -> list[Verdict]:
    """A framework's ranks against one process of it."""
    name, sides = labels(case, side)
    verdicts = compare_first_step(case, side, ranks, one)
    return verdicts + compare_steps(name, steps_of(one), steps_of(ranks), sides)


def compare_first_step(
    case: DetectorCase, side: str, ranks: dict, one: dict[str, np.ndarray]
) -> list[Verdict]:
    """Shares, losses, gradients and their norm; and whether all ranks have the same weights at the end."""
    name, sides = labels(case, side)

    def limited(check: str, limit: float, scale: float = 0.0):
        return lambda node, a, b: judge(name, check, node, b, a, limit, scale)

    expected = expected_shares(case.config())
    verdicts = judge_nodes(
        name,
        SHARES,
        expected,
        part(ranks, "share/"),
        lambda node, a, b: judge_equal(name, SHARES, node, b, a),
        sides,
    )
    for check, prefix, limit in (
        (LOSSES, "loss/", gates.RANKS_LOSS),
        (GRADIENTS, "gradient/", gates.RANKS_GRADIENT),
    ):
        found = [part(x, prefix) for x in (one, ranks)]
        scale = semantic_gradient_scale(found[0]) if prefix == "gradient/" else 0.0
        verdicts += judge_nodes(name, check, *found, limited(check, limit, scale), sides)
    norms = [{"step0": x["step0/grad_norm"]} for x in (one, ranks)]
    verdicts += judge_nodes(name, NORM, *norms, limited(NORM, gates.RANKS_GRADIENT), sides)
    digests = [part(ranks, f"digest/rank{rank}/") for rank in range(RANKS)]
    for other in digests[1:]:
        verdicts += judge_nodes(
            name,
            SAME,
            digests[0],
            other,
            lambda node, a, b: judge_equal(name, SAME, node, b, a),
            ("rank 0", "another rank"),
        )
    return verdicts


def steps_of(arrays: dict) -> tuple:
    """As `compare_steps` takes them: (weights at the start, trained names, losses per step, state at the end)."""
    state = part(arrays, "state/")
    losses: list[dict] = []
    while found := part(arrays, f"step{len(losses)}/"):
        losses.append({k: float(v[0]) for k, v in found.items()})
    names = list(part(arrays, "gradient/"))
    return drawn_weights({k: v.shape for k, v in state.items()}), names, losses, state


def compare_frameworks(case: DetectorCase, torch: dict, jittor: dict) -> list[Verdict]:
    return compare_steps(f"{case.name}: {RANKS} ranks each", steps_of(torch), steps_of(jittor))


def collect_ranks(
    case: DetectorCase, scenes: Path, worker: Worker, steps: int, limit: float = TIMEOUT
) -> tuple:
    """A side's answer for the hunt of mutants: of its ranks, with what the worker has planted, and of one process.
    limit: seconds of a launch with something planted."""
    task, one = alone(worker, case, scenes, steps)
    planted = [p for p in worker.preload if p.partition("=")[0].endswith(":plant")]
    (found,) = run_ranks(
        worker.side.backend, task, planted or [SOUND], limit if planted else TIMEOUT
    )
    return found, one
