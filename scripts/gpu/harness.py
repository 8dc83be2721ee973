"""All that the GPU check takes from parity: each function yields (name, what was found), part after part.

What is found is JSON: counts of verdicts, the worst of each check, and what failed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial

from neutral.config import to_dict
from parity.engine.ask.environment import describe_machine, examine_environment
from parity.engine.judge import gates
from parity.engine.judge.gradients import judge_gradient
from parity.engine.judge.judging import judge
from parity.engine.judge.less_precise import judge_precision
from parity.engine.judge.steps import compare_steps
from parity.engine.judge.verdicts import Status
from parity.engine.judge.weights import drawn_weights
from parity.engine.sides.workers import FRAMEWORKS, Worker, Workers
from parity.engine.values.kernels import Kernels
from parity.errors import WorkerDied, WorkerError
from parity.mutants.kill import Hunt
from parity.suite.ask import ask
from parity.suite.cases import STEPPING
from parity.suite.detector_case import COCO_MINI, DetectorCase, sizes
from parity.suite.mutants.catalogue import MUTANTS, PLANTING
from parity.suite.mutants.experiments import EXPERIMENTS
from parity.suite.op_cases import OP_CASES, comparable, pad
from parity.suite.stepping import drop_epochs, step_rates
from scripts.record import DATA, find_detector

__all__ = ("Kernels", "WorkerDied", "WorkerError", "describe_machine")  # for their neighbours

Parts = Iterator[tuple[str, dict]]
SHOWN = 40  # failures that are told in full
KINDS = {  # one kernel of each kind that CUDA compiles its own way
    "element by element": "sigmoid",
    "sum": "total_norm",
    "product": "linear",
    "sort (CUB)": "sort_descending",
    "running sum (CUB)": "cumsum",
    "index": "gather_pairs",
    "pooling": "max_pool",
    "own kernel": "roi_align",
    "own kernel, integers": "nms",
}
REPEATED = ("roi_align", "roi_pool", "crop_and_resize", "nms", "sort_descending", "nanmean")
SCENES = ("scenes_detr on scenes", "scenes_frcnn on scenes")
CHECKS = ("forward", "gradient")


def summary(verdicts: list) -> dict:
    """Counts, the worst of each check, failures in full."""
    counts = Counter(v.status.value for v in verdicts)
    worst: dict[str, dict] = {}
    for v in verdicts:
        if v.measured is None or not v.limit:
            continue
        share = v.measured / v.limit
        if share >= worst.get(v.check, {"share": -1.0})["share"]:
            worst[v.check] = {
                "node": v.node,
                "measured": v.measured,
                "limit": v.limit,
                "share": share,
            }
    failed = [v.to_dict() for v in verdicts if v.status is Status.FAIL]
    return {
        "verdicts": dict(counts),
        "worst": worst,
        "failures": failed[:SHOWN],
        "failed": len(failed),
    }


def environment(device: str) -> Parts:
    """What both frameworks say of themselves, and one kernel of each kind against the CPU's float64."""
    pair, exact = Workers(device=device), Worker("torch")
    try:
        found, verdicts = examine_environment(pair)
        yield "frameworks", {"told": found} | summary(verdicts)
        for kind, name in KINDS.items():
            yield kind, summary(compare_op(op_labels()[name], name, pair, exact, "float32"))
    finally:
        pair.close()
        exact.close()


def op_labels() -> dict[str, object]:
    """Cases of ops by label: the op's name, and a number from its second case on."""
    found: dict[str, object] = {}
    for case in OP_CASES:
        count = sum(label.partition("#")[0] == case.name for label in found)
        found[case.name if not count else f"{case.name}#{count + 1}"] = case
    return found


def run_op(worker: Worker, case, device: str, dtype: str) -> tuple[list, list]:
    parts = ask(worker, "run_op", case.name, case.arguments, device, dtype)
    return tuple([comparable(x) for x in part or []] for part in parts)


def compare_op(case, label: str, pair: Workers, cpu: Worker, dtype: str) -> list:
    """Values and gradients of both sides on the device against PyTorch's float64 on the CPU."""
    exact = run_op(cpu, case, "cpu", "float64")
    found = {side: run_op(pair[side], case, pair.device, dtype) for side in FRAMEWORKS}
    verdicts = []
    for kind, check in enumerate(CHECKS):
        rows = zip(*pad(found["torch"][kind], found["jittor"][kind], exact[kind]), strict=True)
        for i, (a, b, r) in enumerate(rows):
            node = f"{label}[{i}]"
            if dtype == "float64":
                limit = (gates.SEMANTIC_FORWARD, gates.SEMANTIC_GRADIENT)[kind]
                judge_one = (judge, judge_gradient)[kind]
                verdicts += [
                    judge_one(f"{side} in float64", check, node, x, r, limit)
                    for side, x in (("torch", a), ("jittor", b))
                ]
            elif a is None and b is None:
                least = (gates.PRECISION_LEAST, gates.GRADIENT_LEAST)[kind]
                verdicts.append(judge_gradient("float32", check, node, b, a, least))
            else:
                limits = (
                    (gates.PRECISION_FACTOR, gates.PRECISION_LEAST),
                    (gates.GRADIENT_FACTOR, gates.GRADIENT_LEAST),
                )[kind]
                verdicts.append(judge_precision("float32", check, node, a, b, r, *limits))
    return verdicts


def ops(device: str) -> Parts:
    """Every function of ops, values and gradients, in both precisions."""
    pair, exact = Workers(device=device), Worker("torch")
    try:
        for label, case in op_labels().items():
            for dtype in ("float64", "float32"):
                yield f"{label} {dtype}", summary(compare_op(case, label, pair, exact, dtype))
    finally:
        pair.close()
        exact.close()


def examined(cases: Callable[[str], tuple[DetectorCase, ...]], device: str) -> Parts:
    pair = Workers(device=device)
    try:
        for case in cases(device):
            with case.examination(pair, DATA) as examination:
                yield case.name, summary(examination.run())
    finally:
        pair.close()


def scenes(device: str) -> tuple[DetectorCase, ...]:
    return tuple(find_detector(name) for name in SCENES)


def full_size(preset: str, device: str) -> tuple[DetectorCase, ...]:
    """The whole model at its own size, float32 gates with local errors; small where the CPU rehearses."""
    size = sizes(800, 1333) if device == "cuda" else sizes(96, 144)
    data = COCO_MINI if COCO_MINI.is_dir() else None
    few = (
        ()
        if device == "cuda" or preset == "detr_r50"
        else ("model.rpn.proposals.post_nms_train=24",)
    )
    return (
        DetectorCase(
            f"{preset} at {size[0]}", preset, (*size, *few), (0, 7), float64=False, data=data
        ),
    )


def coupled(device: str) -> Parts:
    """Twenty whole training steps of both sides from the same weights, in float64."""
    pair = Workers(device=device)
    try:
        for name, case in STEPPING.items():
            config, batch = case.config(), case.batch(DATA)
            epochs, sides = drop_epochs(config, 20), []
            ask(pair, "build", to_dict(config), device, "float64")
            weights = drawn_weights(pair["torch"].call("shapes"))
            pair.both("load", weights)
            names = pair.both("trained_names")
            rates = step_rates(config, names["torch"], epochs)
            found = ask(pair, "train_steps", [batch] * len(epochs), rates)
            sides = [(weights, names[side], *found[side]) for side in FRAMEWORKS]
            yield name, summary(compare_steps(case.name, *sides))
    finally:
        pair.close()


def repeats(device: str, times: int = 5) -> Parts:
    """Whether the same kernel gives the same bits again, values and gradients, on each side."""
    pair, labels = Workers(device=device), op_labels()
    try:
        for name in REPEATED:
            for side in FRAMEWORKS:
                runs = [run_op(pair[side], labels[name], device, "float32") for _ in range(times)]
                bits = {
                    tuple(None if x is None else x.tobytes() for part in run for x in part)
                    for run in runs
                }
                yield f"{name}, {side}", {"runs": times, "different results": len(bits)}
    finally:
        pair.close()


class OnDevice(Worker):
    """A worker whose models are built on `device`, whatever the experiment of a mutant says."""

    device = "cpu"

    def submit(self, method: str, *args, **options) -> None:
        place = {"build": 2, "run_op": 3}.get(str(args[0]).rpartition(":")[2]) if args else None
        if method == "run" and place is not None:
            args = (*args[:place], self.device, *args[place + 1 :])
        super().submit(method, *args, **options)


def mutants(device: str) -> Parts:
    """Jittor's planted faults that the default tests know, on the device: caught, and where first."""
    hunt = Hunt(EXPERIMENTS, PLANTING, type("OnDevice", (OnDevice,), {"device": device}))
    try:
        for mutant in (m for m in MUTANTS.values() if m.side == "jittor" and m.fast):
            kill = hunt.try_mutant(mutant)
            yield mutant.name, kill.to_dict()
    finally:
        hunt.close()


PARTS: dict[str, Callable[[str], Parts]] = {
    "environment": environment,
    "ops": ops,
    "gates": partial(examined, scenes),
    "repeats": repeats,
    "full-size-detr": partial(examined, partial(full_size, "detr_r50")),
    "full-size-frcnn": partial(examined, partial(full_size, "torchvision_r50_fpn")),
    "coupled-steps": coupled,
    "mutants": mutants,
}


def failed(part: dict) -> bool:
    """Whether a part tells of a disagreement, a result that did not repeat, or a mutant that lives."""
    return bool(
        part.get("failed") or part.get("different results", 1) > 1 or part.get("caught") is False
    )
