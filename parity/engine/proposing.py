"""Which parameter of the candidate is which of the reference, where names do not say: proposed, with how sure."""

from __future__ import annotations

from dataclasses import dataclass, field
from difflib import SequenceMatcher

import numpy as np
from scipy.optimize import linear_sum_assignment

IMPOSSIBLE = 1e6  # cost of a pair that cannot be
DESCRIBE = "parity.engine.proposing:describe_parameters"
SURE, LIKELY, GUESS = "sure", "likely", "a guess"


@dataclass(frozen=True)
class Parameter:
    """name and shape as the side has them, kind: the class of the module that holds it, place: in definition."""

    name: str
    shape: tuple[int, ...]
    kind: str
    place: int


@dataclass(frozen=True)
class Proposal:
    """`candidate` is `reference`; sure: SURE, LIKELY or GUESS, and why; transposed: axes, where shapes say so."""

    candidate: str
    reference: str
    sure: str
    why: str
    transposed: tuple[int, ...] = ()


@dataclass
class Proposals:
    pairs: list[Proposal] = field(default_factory=list)
    only_reference: list[Parameter] = field(default_factory=list)
    only_candidate: list[Parameter] = field(default_factory=list)

    def names(self) -> dict[str, str]:
        """The reference's name by the candidate's, of parameters and of their modules, where they differ."""
        found = {p.candidate: p.reference for p in self.pairs if p.candidate != p.reference}
        for own, theirs in list(found.items()):
            for _ in range(min(own.count("."), theirs.count("."))):
                own, theirs = own.rpartition(".")[0], theirs.rpartition(".")[0]
                if own != theirs:
                    found.setdefault(own, theirs)
        return found

    def as_code(self) -> str:
        """The function for the pair file."""
        lines = [f"    {own!r}: {theirs!r}," for own, theirs in sorted(self.names().items())]
        turned = [p for p in self.pairs if p.transposed]
        layout = [f"    {p.candidate!r}: transposed{p.transposed}," for p in turned]
        code = ["NAMES = {", *lines, "}", "", ""]
        code += ["def jittor_name(name):", "    return NAMES.get(name, name)"]
        return "\n".join(code + (["", "", "LAYOUT = {", *layout, "}"] if layout else []))


def describe_parameters(server) -> list[tuple[str, tuple, str, str]]:
    """In a worker: (own name, shape, class of its module, the name that it is compared by) of every float parameter and
    buffer that is compared, in order."""
    runner, found = server.runner, []
    whole_of = {part: whole for whole, parts in runner.wholes.items() for part in parts}
    modules = {}
    for part, model in runner.models.items():
        for name, module in server.backend.named_modules(model).items():
            modules[".".join(filter(None, (part, name)))] = type(module).__name__
    for name, own in runner.own_names.items():
        if name not in runner.hidden:
            kind = modules.get(own.rpartition(".")[0], "")
            shape = tuple(runner.tensors[name].shape)
            found.append((own, shape, kind, whole_of.get(name, name)))
    return found


def propose(reference: list[Parameter], candidate: list[Parameter]) -> Proposals:
    """Equal names and shapes first, then the assignment that costs least by shape, kind, name and order."""
    result = Proposals()
    by_name = {p.name: p for p in reference}
    same = {p.name for p in candidate if p.name in by_name and by_name[p.name].shape == p.shape}
    result.pairs = [Proposal(n, n, SURE, "the same name and shape") for n in sorted(same)]
    ours = [p for p in reference if p.name not in same]
    theirs = [p for p in candidate if p.name not in same]
    if ours and theirs:
        costs = np.array([[cost(a, b, len(ours), len(theirs)) for b in theirs] for a in ours])
        rows, columns = linear_sum_assignment(costs)
        for row, column in zip(rows, columns):
            if costs[row, column] < IMPOSSIBLE:
                result.pairs.append(judged(ours, theirs, costs, row, column))
    matched = {p.reference for p in result.pairs}, {p.candidate for p in result.pairs}
    result.only_reference = [p for p in reference if p.name not in matched[0]]
    result.only_candidate = [p for p in candidate if p.name not in matched[1]]
    return result


def cost(a: Parameter, b: Parameter, count_a: int, count_b: int) -> float:
    """How unlikely it is that both are the same: order counts most, then kind and name."""
    if a.shape != b.shape and a.shape != b.shape[::-1]:
        return IMPOSSIBLE
    order = abs(a.place / max(count_a, 1) - b.place / max(count_b, 1))
    leaves = [p.name.rpartition(".")[2] for p in (a, b)]
    names = 1 - SequenceMatcher(None, a.name, b.name, autojunk=False).ratio()
    kinds = float(normal(a.kind) != normal(b.kind))
    turned = float(a.shape != b.shape)
    return 4 * order + names + kinds + float(leaves[0] != leaves[1]) + 2 * turned


def normal(kind: str) -> str:
    """Class names without what ports add: "JittorConv2d", "Conv" -> "conv"."""
    lowered = kind.lower()
    known = ("conv", "linear", "batchnorm", "layernorm", "groupnorm", "embedding", "attention")
    return next((name for name in known if name in lowered), lowered)


def judged(ours: list, theirs: list, costs: np.ndarray, row: int, column: int) -> Proposal:
    """One assignment, with how far the next best is."""
    a, b = ours[row], theirs[column]
    axes = tuple(reversed(range(len(a.shape)))) if a.shape != b.shape else ()
    rivals = np.concatenate([np.delete(costs[row], column), np.delete(costs[:, column], row)])
    rivals = rivals[rivals < IMPOSSIBLE]
    if axes:
        return Proposal(b.name, a.name, GUESS, "its shape is the transposed one", axes)
    if not len(rivals):
        return Proposal(b.name, a.name, SURE, f"no other has the shape {list(a.shape)}")
    margin = float(rivals.min() - costs[row, column])
    if margin > 0.5:
        return Proposal(b.name, a.name, LIKELY, "order, kind and name fit; others fit much worse")
    return Proposal(b.name, a.name, GUESS, f"others of shape {list(a.shape)} fit nearly as well")
