"""Everything that can be checked on a GPU, unattended: `python -m scripts.gpu_check --seconds 500 --out logs/gpu/mine`.

Steps run in the order of scripts/gpu/plan.py, each in a process of its own. With --seconds those are chosen that are
worth most and fit into the time that is left, after every step anew; without it, all that do not train to the end
(`--long`: these, too). OUT/check.json is written after every step. Called again, it goes on with what is not done;
`--resume-from` takes over what an earlier check has found. Kernels of later steps compile in the background.

Without a usable GPU nothing runs: exit code 2. `--device cpu` rehearses. Exit code 1 when a step failed or was cut off.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Callable
from pathlib import Path

from door.ranges import Range, add_number
from door.terminal import Console, Table
from jittor_setup.environment import cuda_usable
from neutral.errors import InputError
from scripts.common import run_main
from scripts.gpu.harness import Kernels, describe_machine
from scripts.gpu.plan import (
    A_KERNEL,
    BY_NAME,
    CLOSING,
    LEAST,
    Step,
    choose,
    left_out,
    named,
    next_step,
    settled,
)
from scripts.gpu.results import LEFT_OUT, Results, read_results
from scripts.gpu.runner import Warmer, gpu_name, run_step
from scripts.gpu.watcher import Watcher
from scripts.options import Parser

WARMED = ("ops", "gates", "full-size-detr", "full-size-frcnn", "coupled-steps")
LANES = 12  # at most, of processes that compile in the background
PATIENCE = 60.0  # seconds that a step which takes times waits for them, at most


class Check:
    """The steps that are left, the clock, and what was found."""

    def __init__(
        self,
        steps: list[Step],
        results: Results,
        device: str,
        seconds: float | None,
        clock: Callable,
    ):
        self.results, self.device, self.clock = results, device, clock
        left = [step for step in steps if step.name not in results.done()]
        self.steps = settled(left, results.compiled())
        self.end = None if seconds is None else clock() + seconds
        self.cores = len(os.sched_getaffinity(0))
        self.place = self.cores, device
        self.console = Console()
        self.warmer: Warmer | None = None
        self.watcher: Watcher | None = None

    def left(self) -> float | None:
        return None if self.end is None else self.end - self.clock()

    def start(self) -> None:
        """Says what the time is foreseen to be enough for, and starts to compile for it."""
        left = self.left()
        foreseen = self.steps if left is None else choose(self.steps, left - CLOSING, *self.place)
        plan = {step.name: step.expected(*self.place) for step in foreseen}
        self.results.note(plan=plan, seconds=left)
        total = sum(plan.values())
        self.console.print(
            f"foreseen: {', '.join(plan) or 'nothing'} ({total:.0f} s)", highlight=False
        )
        later = [
            step for step in self.steps if step not in foreseen
        ]  # where time is left after all
        ahead = [step for step in [*foreseen, *later] if step.name in WARMED]
        lanes = min(LANES, self.cores - 2)
        self.warmer = Warmer(ahead, self.device, self.results.folder, lanes, self.watcher)

    def leave_out(self) -> None:
        """Notes the steps that cannot be run here."""
        for step in list(self.steps):
            if why := left_out(step, self.device):
                self.steps.remove(step)
                self.results.add(step, {"state": LEFT_OUT, "seconds": 0.0, "tail": [why]})

    def run(self) -> None:
        self.leave_out()
        self.watcher = Watcher()
        try:
            self.start()
            while (step := next_step(self.steps, self.left(), *self.place)) is not None:
                self.steps.remove(step)
                if step.alone:
                    self.warmer.wait(min(PATIENCE, self.left() or PATIENCE))
                self.run_one(step)
        finally:
            if self.warmer:
                self.warmer.stop()
            self.watcher.close()

    def run_one(self, step: Step) -> None:
        expected, left = step.expected(*self.place), self.left()
        limit = None if left is None else max(1.0, left - CLOSING)
        self.console.print(f"{step.name}: {expected:.0f} s foreseen ...", highlight=False)
        kernels = Kernels()
        found = run_step(step, self.device, self.results.folder, limit, self.watcher)
        compiled = {"kernels": kernels.fresh(), "compiler seconds": round(kernels.seconds(), 1)}
        self.results.add(step, found | {"expected": expected} | compiled)

    def show(self) -> int:
        """A table of all that is known; the exit code."""
        table = Table("step", "state", "foreseen", "seconds", "kernels", "said last")
        steps = self.results.steps
        for name, found in sorted(steps.items(), key=lambda item: list(BY_NAME).index(item[0])):
            numbers = [str(found.get(key, "")) for key in ("expected", "seconds", "kernels")]
            table.add_row(name, found["state"], *numbers, (found["tail"] or [""])[-1][:70])
        self.console.print(table)
        waiting = ", ".join(step.name for step in self.steps)
        if waiting:
            self.console.print(f"not begun: {waiting}", highlight=False)
        self.console.print(f"record: {self.results.path}", highlight=False, soft_wrap=True)
        return int(any(found["state"] not in ("done", LEFT_OUT) for found in steps.values()))


def parse() -> argparse.Namespace:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("logs/gpu/check"))
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    text = "all in all; what fits is chosen"
    add_number(parser, "--seconds", float, Range(0, above=True), help=text)
    parser.add_argument(
        "--resume-from", type=Path, help="check.json of an earlier check, or its folder"
    )
    parser.add_argument("--steps", nargs="+", help=f"only these: {', '.join(BY_NAME)}")
    parser.add_argument("--again", nargs="+", default=[], help="also these, though they are done")
    text = "of one core that a kernel takes, where most were carried here (KERNEL_STORE): 0.3"
    add_number(parser, "--kernel-seconds", float, Range(0), help=text)
    parser.add_argument("--long", action="store_true", help="also the runs that train to the end")
    return parser.parse_args()


def begin(options: argparse.Namespace, clock: Callable) -> Check:
    """Everything that can be wrong with the options is told before a file is written."""
    seconds, least = options.seconds, CLOSING + LEAST
    if seconds is not None and not (math.isfinite(seconds) and seconds >= least):
        raise InputError(f"--seconds {seconds:g}: give at least {least:g}, nothing is done in less")
    if options.kernel_seconds is not None:
        A_KERNEL[options.device] = options.kernel_seconds
    steps = named(options.steps or [s.name for s in BY_NAME.values() if options.long or not s.long])
    again = named(options.again)
    if options.resume_from:
        read_results(options.resume_from, options.device)
    if options.device == "cuda" and not cuda_usable():
        raise InputError(
            "no CUDA driver answers with a device: nothing was checked; see scripts.doctor, or --device cpu"
        )
    out = options.out.resolve()
    machine = describe_machine() | ({"gpu": gpu_name()} if options.device == "cuda" else {})
    results = Results(out, options.device, machine, options.resume_from)
    for step in again:
        results.steps.pop(step.name, None)
    wanted = {step.name for step in [*steps, *again]}
    return Check(named(wanted), results, options.device, seconds, clock)


def main(clock: Callable[[], float] = time.monotonic) -> int:
    check = begin(parse(), clock)
    check.run()
    return check.show()


if __name__ == "__main__":
    run_main(main)
