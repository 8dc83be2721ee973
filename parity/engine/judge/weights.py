"""Weights: drawn by name, given to both sides, and compared with what each side gives back.

Before: values/parts.py, which cuts and joins. sides/model.py gives them to a side; ask/examination.py asks here.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence

import numpy as np

from parity.engine.judge import checks, kinds
from parity.engine.judge.judging import (
    SHAPES,
    SIDES,
    judge_equal,
    judge_nodes,
)
from parity.engine.judge.verdicts import Status, Verdict
from parity.engine.values.arrays import Selection
from parity.engine.values.proposing import Parameter, normal, propose
from parity.errors import InputError

EMPTY: Mapping = {}


def compare_weights(
    case: str,
    given: Mapping,
    reference: Mapping,
    candidate: Mapping,
    sides: tuple[str, str] = SIDES,
) -> list[Verdict]:
    """Bitwise equality of what was given, and what each side gives back."""
    states = zip(sides, (reference, candidate), strict=True)
    return [v for side, state in states for v in compare_state(case, side, given, state)]


def compare_given(
    case: str, sides: tuple[str, str], wanted: Mapping, given: dict, plain: Mapping = EMPTY
) -> list[Verdict]:
    """Names of trained parameters, and weights as both sides give them back. given: by side the names, the state, what
    is left out with the reason, the parameters; one side after the other is taken out, as states are large. plain: the
    reference's tensors that are neither parameters nor buffers; what a side alone counts as one is compared with them.
    """
    names = tuple(given[side][0] for side in sides)
    parameters = tuple(given[side][-1] for side in sides)
    verdicts = [compare_names(case, *names, sides, parameters)]
    for side in sides:
        _, state, left_out, _ = given.pop(side)
        alone = [n for n in state if n in plain and n not in wanted]
        known = {n: plain[n].astype(state[n].dtype) for n in alone}
        shared = Selection(state, [n for n in state if n not in known])
        verdicts += compare_state(case, side, wanted, shared)
        verdicts += compare_state(case, side, known, Selection(state, alone))
        lost = Verdict(case, checks.NOT_LOOKED_INTO, "", Status.NOT_RUN)
        verdicts += [lost.but(node=f"{n} ({side})", message=why) for n, why in left_out.items()]
    return verdicts


def compare_state(case: str, side: str, given: Mapping, state: Mapping) -> list[Verdict]:
    """Bitwise equality of what a side was given, and what it gives back."""
    if not given and not state:  # nothing has weights, and compare_names says so
        return []
    check = checks.round_trip(side)
    found = judge_nodes(
        *(case, check, given, state),
        lambda node, a, b: judge_equal(case, check, node, b, a),
        ("the reference", side),
    )
    return [v.but(kind=kinds.SHAPE) if SHAPES in v.message else v for v in found]


def compare_names(
    case: str,
    reference: list[str],
    candidate: list[str],
    sides: tuple[str, str] = SIDES,
    parameters: tuple[list, list] = ((), ()),
) -> Verdict:
    """The same trained parameters, by name, in the same order; `parameters`: of both sides as proposing.py describes
    them, for what it proposes where names differ."""
    alone = without_partner(*parameters)
    if any(alone):
        found = unnamed(case, sides, *alone)
        other = listed(other_classes(*parameters, sides))
        return found.but(message=f"{other}; {found.message}") if other else found
    odd = [(sides[0], n) for n in reference if n not in set(candidate)]
    odd += [(sides[1], n) for n in candidate if n not in set(reference)]
    if odd:
        names = tuple(f"{name} ({side})" for side, name in odd)
        message = f"only one side trains {listed(names)}"
        found = Verdict(case, checks.NAMES, "names", Status.FAIL, message=message)
        return found.but(kind=kinds.FROZEN, names=names)
    if not reference:
        message = "neither side trains a parameter"
        return Verdict(case, checks.NAMES, "names", Status.INCONCLUSIVE, message=message)
    if reference != candidate:
        # an optimiser's state by position would not fit; nothing else depends on it
        message = "the same parameters in another order"
        return Verdict(case, checks.NAMES, "names", Status.KNOWN, message=message)
    return Verdict(case, checks.NAMES, "names", Status.PASS)


IDLE = "nothing reaches it with a gradient, as an average of weights: frozen on one side alone"
LISTED = 3  # names in a message


def idle_names(reference: Mapping, candidate: Mapping) -> tuple[set[str], set[str]]:
    """Of either side the parameters that it alone trains and never reaches; none where any of them is reached. Both are
    gradients by the names that a side trains."""
    alone = [
        {name: x for name, x in one.items() if name not in other}
        for one, other in ((reference, candidate), (candidate, reference))
    ]
    if any(is_reached(x) for one in alone for x in one.values()):
        return set(), set()
    return set(alone[0]), set(alone[1])


def with_idle(verdicts: list[Verdict], idle: set[str]) -> list[Verdict]:
    """The same; what is told of these alone is KNOWN."""

    def is_of_idle(v: Verdict) -> bool:
        alone = v.kind == kinds.MISSING and v.node in idle
        return alone or (v.check == checks.NAMES and v.kind == kinds.FROZEN)

    return [
        v.but(status=Status.KNOWN, message=f"{IDLE}; {v.message}")
        if idle and v.status is Status.FAIL and is_of_idle(v)
        else v
        for v in verdicts
    ]


def is_reached(gradient: np.ndarray | None) -> bool:
    return gradient is not None and bool(gradient.any())


def without_partner(reference: list, candidate: list) -> tuple[list[Parameter], list[Parameter]]:
    """Of both sides the parameters whose name the other side has not."""
    found = []
    for own, others in ((reference, candidate), (candidate, reference)):
        known = {name for *_, name in others}
        found.append(
            [
                Parameter(held, tuple(shape), kind, k)
                for k, (held, shape, kind, name) in enumerate(own)
                if name not in known
            ]
        )
    return found[0], found[1]


def other_classes(reference: list, candidate: list, sides: tuple[str, str]) -> list[str]:
    """Modules that hold parameters on both sides and are of another kind on each, as text."""
    ours, theirs = (
        {name.rpartition(".")[0]: kind for _, _, kind, name in side}
        for side in (reference, candidate)
    )
    return [
        f"{name} is {kind} in {sides[0]}, {theirs[name]} in {sides[1]}"
        for name, kind in ours.items()
        if name in theirs and normal(kind) != normal(theirs[name])
    ]


def unnamed(
    case: str, sides: tuple[str, str], reference: list[Parameter], candidate: list[Parameter]
) -> Verdict:
    """The FAIL for parameters without a partner: what each side has alone, and what `parity map` proposes."""
    found = propose(reference, candidate)
    proposed = found.names()
    modules = {own: theirs for own, theirs in proposed.items() if is_module(own, candidate)}
    only = [
        f"only {side} has {listed([p.name for p in alone])}"
        for side, alone in zip(sides, (reference, candidate), strict=True)
        if alone
    ]
    hint = "; `parity map` proposes names, SPLIT cuts one into several, DROPPED leaves one out"
    if found.splits:
        cut = [f"{whole} in {len(parts)} parts" for whole, parts in found.splits.items()]
        hint = f"; `parity map` proposes {listed(cut)}: SPLIT"
    elif proposed:
        pairs = (modules or proposed).items()
        hint = f"; `parity map` proposes {listed([f'{own} -> {theirs}' for own, theirs in pairs])}"
    kind = kinds.NAMES if proposed or found.splits else kinds.MISSING
    lost = Verdict(case, checks.NAMES, "names", Status.FAIL, message="; ".join(only) + hint)
    both = zip(sides, (reference, candidate), strict=True)
    return lost.but(kind=kind, names=tuple(f"{p.name} ({s})" for s, alone in both for p in alone))


def is_module(name: str, parameters: list[Parameter]) -> bool:
    """Whether it is the innermost module of one of these."""
    return any(p.name.rpartition(".")[0] == name for p in parameters)


def listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more


DRAWN_AT_ONCE = 1 << 20


def fits(found: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """Whether they are one, but for that of one element: Jittor has no scalars."""
    return found == shape or math.prod(found) == math.prod(shape) == 1


def check_given(weights, shapes: Mapping[str, tuple[int, ...]]) -> dict:
    """What `weights(shapes)` of a case gave; InputError unless it has an array of its shape for every name."""
    if not isinstance(weights, Mapping):
        kind = type(weights).__name__
        raise InputError(f"weights(shapes) gives a {kind}; return a dictionary of arrays by name")
    wrong = [f"lacks {name}" for name in shapes if name not in weights]
    wrong += [
        f"gives {name} as {found}, not {tuple(shape)}"
        for name, shape in shapes.items()
        if name in weights and not fits(found := np.shape(weights[name]), tuple(shape))
    ]
    if wrong:
        raise InputError(f"weights(shapes) {listed(wrong)}")
    return dict(weights)


def drawn_weights(shapes: dict[str, tuple[int, ...]], salt: str = "") -> dict[str, np.ndarray]:
    """float32 arrays for the given names and shapes; another salt gives other values."""
    return {key: _draw(key, shape, salt) for key, shape in shapes.items()}


def _draw(key: str, shape: tuple[int, ...], salt: str) -> np.ndarray:
    generator = np.random.Generator(np.random.Philox(key=zlib.crc32((salt + key).encode())))
    z = _standard_normal(generator, shape)
    leaf = key.rpartition(".")[2]
    if leaf == "num_batches_tracked":
        return np.zeros(shape, dtype=np.int64)
    if leaf == "running_var":
        return (1 + 0.25 * np.abs(z)).astype(np.float32)
    if leaf == "running_mean":
        return (0.1 * z).astype(np.float32)
    if len(shape) >= 2:
        z *= np.float32(math.sqrt(1 / (math.prod(shape[1:]) or 1)))  # without inputs it is empty
        return z
    return (1 + 0.1 * z if leaf == "weight" else 0.1 * z).astype(np.float32)


def _standard_normal(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """float64 draws as float32, a million at a time: VGG16's first linear layer has a hundred million."""
    z = np.empty(math.prod(shape), dtype=np.float32)
    for start in range(0, z.size, DRAWN_AT_ONCE):
        part = z[start : start + DRAWN_AT_ONCE]
        part[:] = generator.standard_normal(part.size)
    return z.reshape(shape)
