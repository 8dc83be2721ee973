"""What constructors leave: initial values by distribution, pretrained ones value by value, constants, shapes, settings.

Two sides draw from two generators, so that values cannot agree; their distributions must. By chance a sound pair fails
with a probability of less than 1e-6 a parameter.

Before: examine.py, judge/verdicts.py. Asked by everything.py.
"""

from __future__ import annotations

import hashlib
import importlib
import math
import re
from collections.abc import Mapping

import numpy as np

from parity.case import Case, Side, Subject
from parity.engine.ask.examine import workers_of
from parity.engine.ask.result import Result
from parity.engine.judge import checks, gates, kinds
from parity.engine.judge.crashes import unfinished
from parity.engine.judge.judging import SCALAR, SIDES
from parity.engine.judge.verdicts import Status, Verdict
from parity.engine.sides.imports import GIVEN, made
from parity.engine.sides.model import Model
from parity.engine.sides.pretrained import ANSWERED, DRAWN
from parity.engine.sides.workers import Workers
from parity.engine.values.nodes import ROOT
from parity.engine.values.places import of_module
from parity.errors import WorkerDied, WorkerError

SAMPLE = 4096  # values of a parameter that are compared by distribution
FEW = 8  # values: fewer say nothing of a distribution
HINT = "; `parity map` proposes names, SPLIT cuts one into several, DROPPED leaves one out"


def describe_initial(server, side: Side, device: str) -> tuple[dict[str, dict], dict[str, dict]]:
    """In a worker: builds the half anew, twice, and describes every float parameter and buffer by the reference's name,
    and every module (`settings_of`).

    "fixed": a buffer that is the same both times, a table; frozen parameters may be draws from one seed. "stood": which
    function of a stand-in was called with it, as one of timm's that would have drawn it.
    """
    server.configure(device, "float32")
    ANSWERED.clear()
    stood: dict[str, str] = {}

    def built() -> tuple[dict[str, np.ndarray], set[str], dict[str, dict]]:
        GIVEN.clear()
        half = made(side, device=device, dtype="float32")
        subject = half if isinstance(half, Subject) else Subject(half)
        model = Model(server.backend, subject, device, training=None, take_over=False)
        given = {id(x): called for x, called in GIVEN}
        stood.update((n, given[id(x)]) for n, x in model.tensors.items() if id(x) in given)
        return model.state(), parameters_of(model), settings_of(model)

    (values, parameters, settings), (again, *_) = built(), built()
    found = {name: describe(array) for name, array in values.items()}
    for name, about in found.items():
        about["repeats"] = name in again and np.array_equal(values[name], again[name])
        about["fixed"] = about["repeats"] and name not in parameters
        about["stood"] = stood.get(name, "")
    return found, settings


def settings_of(model: Model) -> dict[str, dict]:
    """Of each module by the reference's name its class, its attributes that are numbers, and where its code is."""
    return {
        name: {
            "kind": re.sub(r"[123]d$", "", type(module).__name__),
            "numbers": {k: x for k, x in vars(module).items() if type(x) in (int, float)},
            "code": of_module(module),
        }
        for name, module in model.modules().items()
    }


def parameters_of(model: Model) -> set[str]:
    """By the reference's names; frozen ones too where the framework tells them from buffers, as PyTorch does."""
    tensors = {
        ".".join(filter(None, (part, name))): tensor
        for part, half in model.models.items()
        for name, tensor in model.backend.named_tensors(half).items()
    }
    frozen = {model.name_of(own) for own, x in tensors.items() if type(x).__name__ == "Parameter"}
    return frozen | set(model.trained_names())


def describe(values: np.ndarray) -> dict:
    """Shape, moments, a sample in float32, and a digest of an array."""
    flat = values.astype(np.float64).reshape(-1)
    step = max(1, flat.size // SAMPLE)
    spread = float(flat.std()) if flat.size else 0.0
    centred = flat - flat.mean() if flat.size else flat
    return {
        "shape": tuple(values.shape),
        "mean": float(flat.mean()) if flat.size else 0.0,
        "spread": spread,
        "kurtosis": float((centred**4).mean() / spread**4) if spread > 0 else 3.0,
        "constant": bool(
            flat.size and np.ptp(flat) <= gates.INITIAL_SAME * max(abs(float(flat[0])), 1e-12)
        ),
        "sample": flat[::step][: 2 * SAMPLE].astype(np.float32),
        "digest": hashlib.sha256(np.ascontiguousarray(values, np.float32).tobytes()).hexdigest(),
    }


def check_initial(case: Case, workers: Workers | None = None, *, device: str = "cpu") -> Result:
    """A verdict for every parameter and buffer that both sides have, and one for what one side has alone."""
    name = f"{case.name}: initial values"
    with workers_of(case, workers, device) as used:
        target = "parity.engine.ask.initial:describe_initial"
        try:
            for label, half in zip(case.labels, (case.reference, case.candidate)):
                used[label].submit("run", target, half, used.device)
            found = used.collect(case.labels)
        except (WorkerDied, WorkerError) as error:
            (crashed,) = unfinished(name, error, [], case.labels[0])
            return Result([crashed.but(node="build", owner="", kind=kinds.CRASH)])
        loads = used.run("parity.engine.sides.pretrained:answered", sides=case.labels)
    values, settings = zip(*(found[side] for side in case.labels), strict=True)
    verdicts = compare_initial(name, *values, case.labels)
    verdicts += compare_settings(name, *settings, case.labels)
    return Result(verdicts + not_downloaded(name, loads))


def not_downloaded(case: str, loads: Mapping[str, Mapping[str, str]]) -> list[Verdict]:
    """NOT_RUN where pretrained weights were drawn; `loads`: by side what became of every address (pretrained.py)."""
    drawn = {s: [a for a, what in found.items() if what == DRAWN] for s, found in loads.items()}
    texts = [f"{side}: {', '.join(found)}" for side, found in drawn.items() if found]
    if not texts:
        return []
    message = f"drawn by name on both sides, not loaded: {'; '.join(texts)}"
    return [Verdict(case, checks.INITIAL, "pretrained weights", Status.NOT_RUN, message=message)]


def compare_initial(
    case: str, reference: Mapping, candidate: Mapping, sides: tuple[str, str] = SIDES
) -> list[Verdict]:
    """What `describe_initial` gave of both sides."""
    if not reference and not candidate:
        return []
    verdicts = []
    for k, side in enumerate(sides):
        pair = (reference, candidate)
        only = [n for n in pair[k] if n not in pair[1 - k]]
        if only:
            more = f" and {len(only) - 6} more" if len(only) > 6 else ""
            message = f"only {side} has {', '.join(only[:6])}{more}{HINT}"
            lost = Verdict(case, checks.INITIAL, f"only in {side}", Status.FAIL, message=message)
            verdicts.append(lost.but(kind=kinds.MISSING, names=tuple(only)))
    return verdicts + [
        judge_initial(case, name, a, candidate[name], sides)
        for name, a in reference.items()
        if name in candidate
    ]


def compare_settings(
    case: str, reference: Mapping, candidate: Mapping, sides: tuple[str, str] = SIDES
) -> list[Verdict]:
    """A FAIL for each number that modules of one class hold under one name and that differs: a momentum or a rate of
    dropout, which outputs of eval mode do not show. Whole numbers count what a side has, and are not compared."""
    verdicts = []
    for name, a in reference.items():
        b = candidate.get(name)
        if b is None or a["kind"] != b["kind"]:
            continue
        for key, x in a["numbers"].items():
            y = b["numbers"].get(key)
            if y is None or {type(x), type(y)} == {int}:
                continue
            both_none = math.isnan(x) and math.isnan(y)
            if not both_none and not math.isclose(x, y, rel_tol=gates.INITIAL_SAME):
                message = f"{key}: {x:g} in {sides[0]}, {y:g} in {sides[1]}"
                owner = name or ROOT
                found = Verdict(
                    case, checks.INITIAL, f"{owner}.{key}", Status.FAIL, message=message
                )
                code = (a["code"], b["code"])
                verdicts.append(found.but(kind=kinds.CONSTANT, owner=owner, code=code))
    return verdicts


def judge_initial(case: str, name: str, a: Mapping, b: Mapping, sides: tuple[str, str]) -> Verdict:
    """PASS where values are the same, or two draws of one distribution."""
    scalar = {a["shape"], b["shape"]} == {(), (1,)}
    problem = difference(a, b | {"shape": a["shape"]} if scalar else b, sides)
    stood = a.get("stood") or b.get("stood")
    if problem and stood:
        message = f"{stood} of STAND_INS was to make it, and did not: not compared"
        return Verdict(case, checks.INITIAL, name, Status.NOT_RUN, message=message)
    if problem:
        kind = kinds.SHAPE if a["shape"] != b["shape"] else kinds.INITIAL
        return Verdict(case, checks.INITIAL, name, Status.FAIL, message=problem, kind=kind)
    drawn = is_drawn(a) and is_drawn(b)
    if drawn and not equal(a, b) and math.prod(a["shape"]) < FEW:
        message = f"{math.prod(a['shape'])} values: too few to tell their distribution"
        return Verdict(case, checks.INITIAL, name, Status.INCONCLUSIVE, message=message)
    found = Verdict(case, checks.INITIAL, name, Status.PASS)
    return found.but(status=Status.KNOWN, message=SCALAR) if scalar else found


def is_drawn(about: Mapping) -> bool:
    """Whether values come from a generator; one alone is told by being another each time."""
    one = math.prod(about["shape"]) == 1
    return not about.get("repeats", True) if one else not about["constant"]


def equal(a: Mapping, b: Mapping) -> bool:
    """Value by value, as pretrained weights are."""
    if a["digest"] == b["digest"]:
        return True
    size = np.linalg.norm(a["sample"]) or 1.0
    return bool(np.linalg.norm(a["sample"] - b["sample"]) <= gates.INITIAL_SAME * size)


def joint_kurtosis(a: Mapping, b: Mapping, count: int) -> float:
    """Of two draws of `count` values each: few values say little of it, so it is averaged with a normal distribution's
    3, as if that were of INITIAL_NORMAL values."""
    found = (a["kurtosis"] + b["kurtosis"]) / 2
    return (count * found + gates.INITIAL_NORMAL * 3) / (count + gates.INITIAL_NORMAL)


def difference(a: Mapping, b: Mapping, sides: tuple[str, str]) -> str:
    """How two descriptions differ by more than chance, "" when they do not; its first word names what differs."""

    def both(what: str, first: float, second: float) -> str:
        return f"{what}: {first:.4g} in {sides[0]}, {second:.4g} in {sides[1]}"

    if a["shape"] != b["shape"]:
        return f"shape: {a['shape']} in {sides[0]}, {b['shape']} in {sides[1]}"
    if not math.prod(a["shape"]) or equal(a, b):
        return ""
    if a.get("fixed") and math.prod(a["shape"]) > 1:
        away = np.linalg.norm(a["sample"] - b["sample"]) / (np.linalg.norm(a["sample"]) or 1.0)
        told = f"{sides[1]}'s differ by {away:.1e} of their size"
        return f"values: {sides[0]} builds the same ones each time, {told}"
    count = math.prod(a["shape"])
    if count == 1 and is_drawn(a) and is_drawn(b):
        return ""
    if count == 1 and is_drawn(a) != is_drawn(b):
        text = ["drawn" if is_drawn(x) else f"{x['mean']:.4g}" for x in (a, b)]
        return f"constant: {text[0]} in {sides[0]}, {text[1]} in {sides[1]}"
    if a["constant"] and b["constant"]:
        apart = abs(a["mean"] - b["mean"]) > gates.INITIAL_SAME * max(
            abs(a["mean"]), abs(b["mean"])
        )
        return both("constant", a["mean"], b["mean"]) if apart else ""
    if a["constant"] != b["constant"]:
        # one value has no spread whatever it was drawn from
        text = [
            f"all {x['mean']:.4g}" if x["constant"] else f"spread {x['spread']:.4g}" for x in (a, b)
        ]
        return f"constant: {text[0]} in {sides[0]}, {text[1]} in {sides[1]}"
    if count < FEW:
        return ""
    stats = importlib.import_module("scipy.stats")  # workers may be without it
    chance, freedom = stats.norm.sf(gates.INITIAL_DEVIATIONS), count - 1
    error = math.sqrt((a["spread"] ** 2 + b["spread"] ** 2) / freedom)
    if abs(a["mean"] - b["mean"]) > stats.t.isf(chance, 2 * freedom) * error:
        return both("mean", a["mean"], b["mean"])
    freedom *= 2 / max(joint_kurtosis(a, b, count) - 1, 0.5)
    if 2 * abs(math.log(a["spread"] / b["spread"])) > math.log(stats.f.isf(chance, *[freedom] * 2)):
        return both("spread", a["spread"], b["spread"])
    heavy = max(a["kurtosis"], b["kurtosis"], 3.0) / 3
    error = heavy * gates.INITIAL_TAILS * math.sqrt(48 / count)
    tailed = abs(a["kurtosis"] - b["kurtosis"]) > gates.INITIAL_DEVIATIONS * error
    if tailed or stats.ks_2samp(a["sample"], b["sample"]).pvalue < gates.INITIAL_CHANCE:
        tails = (float(np.abs(x["sample"] - x["mean"]).max() / x["spread"]) for x in (a, b))
        return both("form of the distribution, greatest value in spreads", *tails)
    return ""
