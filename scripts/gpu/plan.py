"""The steps of a GPU check, in order of what should be known first, and which of them fit into a time.

A step's cost is foreseen from what it computes and from the kernels that nvcc compiles for it. Seconds of computing
are estimates for an H100 until one was measured; kernels were counted in a rehearsal on the CPU (docs/gpu.md).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

from neutral.errors import InputError

ROOT = Path(__file__).resolve().parent.parent.parent
COCO_MINI = ROOT.parent / "shared" / "data" / "coco_mini"
SUITE = "parity/suite"  # the folder of the harness's own tests
# seconds of one core for a fused kernel: nvcc's, and g++'s with prepared headers (docs/jittor.md)
A_KERNEL = {"cuda": 4.1, "cpu": 0.5}
THREADS_USED = 0.7  # of the cores, on average, while kernels compile in the background
# seconds of one core for Jittor's core: 80 s on 16; a rehearsal has it already
FIRST_IMPORT = {"cuda": 1300.0, "cpu": 0.0}
CLOSING = 10.0  # seconds kept back for what comes after the last step
LEAST = 20.0  # seconds below which nothing is begun


@dataclass(frozen=True)
class Step:
    """`command` after `python -m`; {device}, {out} (the folder) and {name} are filled in.

    seconds: of computing; kernels: that nobody before it has compiled; value: what knowing it is worth, next to the
    others; parts: what was found is kept when its time is up; alone: times are taken, nothing may run beside it;
    long: trains to the end; locks: writes a committed record of this device; needs: data without which it is left out;
    after: a step that compiles the same kernels, and comes before this one where both are wanted.
    """

    name: str
    command: str
    seconds: float
    kernels: int = 0
    value: float = 1.0
    parts: bool = False
    alone: bool = False
    long: bool = False
    locks: bool = False
    needs: Path | None = None
    first: bool = False
    after: str = ""

    def expected(self, cores: int, device: str = "cuda") -> float:
        """Seconds on a machine with so many cores."""
        compiling = self.kernels * A_KERNEL[device] / max(1.0, cores * THREADS_USED)
        first = FIRST_IMPORT[device] / max(1, cores) if self.first else 0.0
        return round(self.seconds + compiling + first, 1)


def work(name: str, seconds: float, kernels: int, value: float, **more) -> Step:
    command = "scripts.gpu.work {name} --device {device} --out {out}/{name}.json"
    return Step(name, command, seconds, kernels, value, parts=True, **more)


def speed(batch: int, seconds: float, after: str = "") -> Step:
    """Both sides and torchvision, in turns, at 800 pixels."""
    command = (
        "scripts.bench_peers --presets torchvision_r50_fpn,detr_r50 --systems torch,jittor,torchvision "
        f"--batch {batch} --size 800x1056 --rounds 3 --device {{device}} --out {{out}}/{{name}}"
    )
    more = {"parts": True, "alone": True, "after": after}
    return Step(f"speed-batch-{batch}", command, seconds, 0 if after else 160, 20, **more)


def training(preset: str, seconds: float, kernels: int) -> Step:
    command = f"scripts.train_pair --preset {preset} --set optimiser.epochs=3 --set data.scenes.train_images=800"
    command += " --device {device} --in-turn --resume --out {out}/{name}"
    return Step(f"train-{preset}", command, seconds, kernels, 10, parts=True)


def suite(name: str, selection: str, seconds: float, kernels: int, **more) -> Step:
    command = (
        f"pytest -q {SUITE}/{selection} --parity-device {{device}} --parity-report {{out}}/{{name}}"
    )
    return Step(name, command, seconds, kernels, **more)


def reference(preset: str) -> Step:
    command = f"scripts.train_pair --preset {preset} --device {{device}} --in-turn --resume --out {{out}}/{{name}}"
    return Step(f"run-{preset}", command, 3600, 0, parts=True, long=True)


def overfit(preset: str, rate: str, epochs: int) -> Step:
    """Sixty photographs learnt by heart, evaluated on themselves."""
    sets = [
        "data.val_sets=train2017 transform.crop_probability=0 transform.flip_probability=0",
        "transform.train_sizes=320 transform.val_size=320 transform.max_size=480",
        f"optimiser.lr={rate} optimiser.epochs={epochs} optimiser.lr_drop={epochs}",
    ]
    options = " ".join(f"--set {word}" for word in " ".join(sets).split())
    command = (
        f"scripts.train_pair --preset {preset} --data {COCO_MINI} {options} --device {{device}} "
        "--evaluate-every 20 --in-turn --resume --out {out}/{name}"
    )
    return Step(f"overfit-{preset}", command, 1800, 0, parts=True, long=True, needs=COCO_MINI)


STEPS = (
    work("environment", 12, 47, 1000, first=True),
    work("repeats", 10, 20, 40),
    suite("kernels", "test_kernels.py", 15, 17, value=20),
    work("gates", 35, 681, 100),
    work("ops", 40, 330, 100),
    work("full-size-detr", 45, 200, 40),
    work("full-size-frcnn", 45, 200, 40),
    work("coupled-steps", 25, 120, 40),
    speed(2, 50),
    speed(4, 50, after="speed-batch-2"),
    speed(8, 60, after="speed-batch-2"),
    work("tf32", 45, 20, 15, alone=True),
    work("mixed-precision", 30, 0, 15, alone=True, after="tf32"),
    training("scenes_frcnn", 90, 80),
    training("scenes_detr", 90, 80),
    work("mutants", 60, 60, 20),
    suite("localise", "test_localise.py", 60, 100, value=5, long=True),
    Step("atlas", "scripts.atlas --record --device {device}", 240, 400, 5, long=True, locks=True),
    Step(
        "floors",
        "parity.suite.measure_floors --device {device}",
        300,
        300,
        5,
        long=True,
        locks=True,
    ),
    *(reference(preset) for preset in ("scenes_frcnn", "scenes_detr")),
    overfit("torchvision_r50_fpn", "5e-3", 60),
    overfit("detr_r50", "1e-4", 150),
)
BY_NAME = {step.name: step for step in STEPS}


def named(names: Iterable[str]) -> list[Step]:
    """The steps of these names, in the plan's order; InputError on one that is none."""
    names = list(names)
    for name in names:
        if name not in BY_NAME:
            raise InputError(f"no step {name!r}: choose among {', '.join(BY_NAME)}")
    return [step for step in BY_NAME.values() if step.name in names]


def left_out(step: Step, device: str) -> str:
    """Why a step cannot be run here; "" when it can."""
    if step.needs and not step.needs.is_dir():
        return f"{step.needs.name} is not here"
    return "a rehearsal leaves the CPU's record alone" if step.locks and device == "cpu" else ""


def settled(steps: Iterable[Step], compiled: Iterable[str]) -> list[Step]:
    """These steps, as dear as they are where only the steps named `compiled` have compiled their kernels.

    A step whose `after` is neither among them nor to come compiles for itself, and is `after` nothing any more.
    """
    steps, names, compiled = list(steps), set(), set(compiled)
    found = []
    for step in steps:
        names.add(step.name)
        if step.after and step.after not in names:
            more = 0 if step.after in compiled else BY_NAME[step.after].kernels
            step = replace(step, kernels=step.kernels + more, after="")
        found.append(step)
    return found


def bundles(steps: list[Step]) -> list[list[tuple[int, ...]]]:
    """Places of steps, in groups of which one bundle is taken or none: a step goes together with what it is after."""
    names = [step.name for step in steps]
    followers: dict[int, list[int]] = {
        index: [] for index, step in enumerate(steps) if step.after not in names
    }
    for index, step in enumerate(steps):
        if step.after in names:
            followers[names.index(step.after)].append(index)
    return [
        [(index, *more) for n in range(len(rest) + 1) for more in combinations(rest, n)]
        for index, rest in followers.items()
    ]


def choose(steps: Iterable[Step], seconds: float, cores: int, device: str = "cuda") -> list[Step]:
    """Of these steps, in their order, those that are worth most together and fit into `seconds`.

    Exact: a table over whole seconds. Of choices that are worth the same the cheaper one, then the earlier one. A
    step that comes first is chosen whether it fits or not.
    """
    steps = list(steps)
    begun = [step for step in steps if step.first]
    steps = [step for step in steps if not step.first]
    costs = [step.expected(cores, device) for step in steps]
    room = max(0, int(seconds - sum(step.expected(cores, device) for step in begun)))
    # by seconds spent at most: (value, -cost, places in `steps`, negative so that earlier ones are greater)
    best: list[tuple] = [(0.0, 0.0, ())] * (room + 1)
    for group in bundles(steps):
        offers = [
            (
                sum(int(-(-costs[i] // 1)) for i in bundle),
                sum(costs[i] for i in bundle),
                sum(steps[i].value for i in bundle),
                tuple(-i for i in bundle),
            )
            for bundle in group
        ]
        for left in range(room, -1, -1):
            for whole, cost, worth, places in offers:
                if whole <= left:
                    value, spent, chosen = best[left - whole]
                    best[left] = max(best[left], (value + worth, spent - cost, (*chosen, *places)))
    return begun + [steps[-index] for index in sorted(best[room][2], reverse=True)]


def next_step(
    steps: Iterable[Step], seconds: float | None, cores: int, device: str = "cuda"
) -> Step | None:
    """The step to be run now, of those that are left; None when nothing is worth beginning.

    Where no step fits any more, the first that keeps its parts gets what is left, if that is worth it.
    """
    steps = list(steps)
    if seconds is None:
        return steps[0] if steps else None
    if seconds - CLOSING < LEAST:
        return None
    fitting = choose(steps, seconds - CLOSING, cores, device)
    if fitting:
        return fitting[0]
    return next((step for step in steps if step.parts and not step.alone), None)
