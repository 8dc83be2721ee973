"""What is compared: a Case has two Sides, each with a target that builds its half; a Subject says how to use it.

Nothing here imports a framework: targets are strings, looked up in the process of their side (loading.py). What a
file with a pair may say is in pair_file.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from parity.errors import InputError
from parity.loading import importing
from parity.pair_file import CASE_FIELDS, HALVES, check_pair, defines, loaded

ROLES = ("reference", "candidate")


@dataclass(frozen=True)
class Side:
    """Where one half lives.

    build: target "package.module:function" or "file.py:function", called in this side's own process with `arguments`
    (and with device and dtype, where it has parameters of these names); returns a module, a function or a Subject.
    backend: "torch" or "jittor". python: another interpreter. path: folders put on sys.path. cwd, env: of the process.
    label: what verdicts call it; the backend's name when empty.
    """

    build: str
    backend: str
    python: str | None = None
    path: tuple[str, ...] = ()
    cwd: Path | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    arguments: Mapping[str, object] = field(default_factory=dict)
    label: str = ""


DRAWN = "parity.engine.judge.weights:drawn_weights"  # a target
PAIR_SIDE = "parity.engine.sides.half:pair_side"  # a target, too


@dataclass(frozen=True)
class Case:
    """Two halves, and what they are given.

    inputs, targets: trees (tuples, lists, dictionaries, dataclasses) of arrays, numbers and strings: a function that
    makes them here, or a target that makes them in the reference's process; without inputs only data is compared.
    weights: float32 arrays by the reference's names from shapes by name, a function or a target likewise.
    float64, float32: which gates. training: batch statistics are computed (None: modules' modes are left alone).
    gradients: whether there is a backward pass. batches: trees for the training steps. untrained: inputs of a function
    through which nobody trains, by argument or key; None for those that look like labels (engine/sides/constants.py).
    """

    name: str
    reference: Side
    candidate: Side
    inputs: str | Callable | None
    targets: str | Callable | None = None
    weights: str | Callable = DRAWN
    float64: bool = True
    float32: bool = True
    training: bool | None = False
    gradients: bool = True
    seed: int = 0
    batches: Callable | Sequence | None = None
    untrained: Sequence[str] | None = None

    def __post_init__(self):
        if self.inputs is not None and not (self.float64 or self.float32):
            raise InputError(
                f"{self.name}: float64 and float32 are both left out (FLOAT64, FLOAT32, --quick): nothing would be "
                "compared; keep one"
            )

    def made_batches(self, inputs, steps: int) -> list:
        """What training steps are given, one tree each: the batches, or where there are none the inputs, over and
        over. InputError for batches that are none."""
        if self.batches is None:
            return [inputs] * steps
        found = self.batches() if callable(self.batches) else self.batches
        if not isinstance(found, Iterable) or isinstance(found, (str, Mapping)):
            kind = type(found).__name__
            raise InputError(f"{self.name}: batches gives a {kind}; give a list, one tree per step")
        if not (found := list(found)):
            raise InputError(
                f"{self.name}: batches is empty; give one tree per step, or leave it out"
            )
        return [found[step % len(found)] for step in range(steps)]

    @property
    def labels(self) -> tuple[str, str]:
        """What verdicts call the two sides."""
        sides = (self.reference, self.candidate)
        names = tuple(side.label or side.backend for side in sides)
        return names if names[0] != names[1] else ROLES

    @classmethod
    def from_file(cls, path: Path | str) -> Case:
        """A file with a pair (docs/pairs.md); InputError when it is missing, fails, or lacks a required name."""
        path = Path(path).expanduser().resolve()
        try:
            module = loaded(path)
        except InputError as error:
            tried = importing(error.__cause__) if error.__cause__ else []
            name = next((name for name in tried if name in HALVES), None)
            if name is None:
                raise
            hint = f"import {name} inside of {HALVES[name]}() alone, which has a process of its own"
            raise InputError(f"{error}; {hint}") from error
        if isinstance(given := getattr(module, "CASE", None), cls):
            return given
        if given is not None:
            raise InputError(f"{path}: CASE is a {type(given).__name__}; write parity.Case(...)")
        check_pair(path, module)
        halves = (Side(PAIR_SIDE, h, arguments={"path": str(path), "half": h}) for h in HALVES)
        targets = ("inputs", "targets", "weights")
        made = {name: f"{path}:{name}" for name in targets if defines(module, name)}
        said = {field: getattr(module, n) for field, n in CASE_FIELDS.items() if hasattr(module, n)}
        return cls(path.stem, *halves, **{"inputs": None} | made | said)


@dataclass
class Subject:
    """What a target may return instead of a bare module; everything but `model` may be left out.

    model: a module or a plain function, or several by name; None where there is only data.
    prepare(inputs): a tree of NumPy arrays -> what this half takes; tensors of them when nothing is said.
    cast: whether floats of the inputs get the run's dtype before.
    forward(prepared, run) -> outputs; run has choices, step, training, dtype, device.
    losses(outputs, targets, run) -> {name: scalar}; without it a fixed weighting of all float outputs.
    loss_weights: {name: weight} of the total, 1 where nothing is said; total(outputs, losses) -> scalar instead.
    postprocess(outputs, inputs, run) -> a tree of arrays, or detections (a list, per image, of boxes, labels, scores).
    record(outputs) -> arrays and numbers that a trace keeps besides; metrics(outputs) -> {name: float}.
    optimiser({name: parameter}) -> the framework's own optimiser; schedule(optimiser, step), called before step k.
    options: of the harness's own optimiser (engine/sides/optimise.py), for subjects without one.
    train_step(batch, step) -> {name: number}: a whole step of the user's own; or train_step(model, batch, step), which
    is watched (engine/sides/own_step.py); batches(seed) -> iterator of trees.
    categories() -> {category id of the files: (label that training gets, id that results come out with)};
    evaluate() -> {name: score} of the user's evaluator for ground truth given as detections (engine/ask/data.py).
    name(own name) -> the reference's name of a parameter or module. layout: {pattern of own names: Layout}.
    split: {name on the other side: names here} of arrays that this side holds in several, along axis 0.
    dropped: {pattern of the reference's names: reason} of what has no partner by design, and is not compared.
    load(weights), state() -> weights: the subject's own way to take and give arrays by the reference's names.
    trained: names of the trained parameters; those that ask for gradients when nothing is said.
    constant(node) -> whether nothing before that node is trained. watch(choices): a context manager that sends
    more functions' choices there (engine/sides/choices.py). evidence: patterns of the nodes that decide. skip: patterns
    of modules that are not looked into. session: anything that the suite's own requests need.
    """

    model: object = None
    prepare: Callable | None = None
    cast: bool = True
    forward: Callable | None = None
    losses: Callable | None = None
    loss_weights: Mapping[str, float] = field(default_factory=dict)
    total: Callable | None = None
    postprocess: Callable | None = None
    record: Callable | None = None
    metrics: Callable | None = None
    optimiser: Callable | None = None
    options: Mapping[str, object] = field(default_factory=dict)
    schedule: Callable | None = None
    train_step: Callable | None = None
    batches: Callable | None = None
    categories: Callable | None = None
    evaluate: Callable | None = None
    name: Callable[[str], str] | None = None
    layout: Mapping[str, Layout] = field(default_factory=dict)
    split: Mapping[str, Sequence[str]] = field(default_factory=dict)
    dropped: Mapping[str, str] = field(default_factory=dict)
    load: Callable | None = None
    state: Callable | None = None
    trained: Sequence[str] | None = None
    constant: Callable[[str], bool] | None = None
    watch: Callable | None = None
    evidence: Sequence[str] = ()
    skip: Sequence[str] = ()
    session: object = None


@dataclass(frozen=True)
class Layout:
    """How this side holds an array that the reference holds otherwise: functions of arrays, each other's inverse."""

    to_own: Callable
    to_reference: Callable


def transposed(*axes: int) -> Layout:
    """The side's array is the reference's with its axes in this order."""
    if sorted(axes) != list(range(len(axes))):
        raise InputError(f"transposed{axes}: give every axis once, as transposed(1, 0)")
    inverse = tuple(axes.index(k) for k in range(len(axes)))
    return Layout(lambda x: x.transpose(axes), lambda x: x.transpose(inverse))


@dataclass(frozen=True)
class FunctionCase:
    """Two functions that should compute the same, see check_function.

    reference, candidate: sides whose target is the function itself. arguments: a function here, or a tree of arrays,
    numbers and strings. gradients: whether those of float arguments are compared.
    """

    name: str
    reference: Side
    candidate: Side
    arguments: object
    gradients: bool = True
