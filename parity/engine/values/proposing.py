"""Which parameter of the candidate is which of the reference, where names do not say: proposed, with how sure.

Before: parts.py. ask/mapping.py asks both sides, renaming.py makes rules of what is proposed.
"""

from __future__ import annotations

import functools
import importlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import SequenceMatcher

import numpy as np

from parity.engine.values.renaming import LOST, Renaming, find_rules, renaming

IMPOSSIBLE = 1e6  # cost of a pair that cannot be
DESCRIBE = "parity.engine.values.proposing:describe_parameters"
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
    """splits: by the whole's name the names of its parts, of arrays that one side holds in several."""

    pairs: list[Proposal] = field(default_factory=list)
    only_reference: list[Parameter] = field(default_factory=list)
    only_candidate: list[Parameter] = field(default_factory=list)
    splits: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @functools.cached_property
    def renaming(self) -> Renaming:
        return renaming(self.renamed())

    def renamed(self) -> dict[str, str]:
        """The reference's name by the candidate's, also where they agree."""
        return {p.candidate: p.reference for p in self.pairs}

    def names(self) -> dict[str, str]:
        """The reference's name by the candidate's, of parameters and of their modules, where they differ."""
        found = {p.candidate: p.reference for p in self.pairs if p.candidate != p.reference}
        for own, theirs in list(found.items()):
            for _ in range(min(own.count("."), theirs.count("."))):
                own, theirs = own.rpartition(".")[0], theirs.rpartition(".")[0]
                if own != theirs:
                    found.setdefault(own, theirs)
        return found

    def told(self, labels: tuple[str, str]) -> list[str]:
        """Lines for a reader: what is not sure, what no rule explains, what one side has alone, and counts."""
        lines, rules = [], Renaming(self.renaming.rules)
        for p in self.pairs:
            explained = rules(p.candidate) == p.reference and not p.transposed
            if (p.candidate != p.reference and not explained) or p.transposed:
                lines.append(f"{p.candidate} -> {p.reference}  ({p.sure}: {p.why})")
        for whole, parts in self.splits.items():
            lines.append(f"{whole} = {' + '.join(parts)}  ({LIKELY}: one module, sizes add up)")
        for side, alone in zip(labels, (self.only_reference, self.only_candidate), strict=True):
            lines += [f"only in {side}: {p.name} {list(p.shape)}" for p in alone]
        same = sum(p.candidate == p.reference for p in self.pairs)
        count, ruled = len(self.pairs) - same, len(rules.rules)
        told = f", by {ruled} rule{'s' * (ruled != 1)}" if ruled else ""
        cut = f", {len(self.splits)} in parts" if self.splits else ""
        return [*lines, f"{same} names agree, {count} proposed{told}{cut}"]

    def as_code(self) -> str:
        """What is missing in the pair file: its imports, jittor_name, SPLIT and LAYOUT; "" where nothing is."""
        turned = patterns({p.candidate: p.transposed for p in self.pairs if p.transposed}, self)
        function = "\n".join(self.renaming.as_code(list(self.renamed())))
        imports = ["import re"] if "re.sub(" in function else []
        imports += ["from parity import transposed"] if turned else []
        cut = {whole: str(v).replace("'", '"') for whole, v in starred(self.splits).items()}
        layout = {name: f"transposed{axes}" for name, axes in turned.items()}
        blocks = ["\n\n".join(imports), function, table("SPLIT", cut), table("LAYOUT", layout)]
        return "\n\n\n".join(filter(None, blocks))


def table(name: str, entries: Mapping[str, str]) -> str:
    lines = (f'    "{key}": {value},' for key, value in entries.items())
    return "\n".join([f"{name} = {{", *lines, "}"]) if entries else ""


def starred(splits: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """The same with a star for what a whole and its parts have in common, each line once."""
    found = {}
    for whole, parts in splits.items():
        head = whole.rpartition(".")[0]
        inside = head and all(part.startswith(f"{head}.") for part in parts)
        cut = len(head) if inside else 0
        star = "*" if inside else ""
        found[star + whole[cut:]] = tuple(star + part[cut:] for part in parts)
    return found


def patterns(turned: Mapping[str, tuple], proposals: Proposals) -> dict[str, tuple]:
    """Axes by pattern of the candidate's names: one line for several where it matches no other name."""
    names, found = list(proposals.renamed()), {}
    for name, axes in turned.items():
        parts = name.split(".")
        ends = [".".join(["", *parts[-k:]]) for k in (1, 2) if len(parts) > k]
        alike = {end: [n for n in names if n.endswith(end)] for end in ends}
        fits = (
            e for e in ends if len(alike[e]) > 1 and all(turned.get(n) == axes for n in alike[e])
        )
        end = next(fits, "")
        found[f"*{end}" if end else name] = axes
    return found


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
    """Equal names and shapes first, then the assignment that costs least by shape, kind, name and order; where a few
    rules explain nearly all of that, they name the rest, too."""
    first = assigned(reference, candidate, lambda name: name)
    rules = Renaming(find_rules(first.renamed(), LOST))
    found = assigned(reference, candidate, rules) if rules.rules else first
    found = found if len(found.pairs) >= len(first.pairs) else first
    ours, theirs = found.only_reference, found.only_candidate
    for alone, others in ((ours, theirs), (theirs, ours)):
        for whole in list(alone):
            parts = parts_of(whole, others, found.renaming)
            if parts:
                (name, *names) = (
                    p.name if p in found.only_reference else found.renaming(p.name)
                    for p in (whole, *parts)
                )
                found.splits[name] = tuple(names)
                alone.remove(whole)
                others[:] = [p for p in others if p not in parts]
    return found


def assigned(reference: list[Parameter], candidate: list[Parameter], rename: Callable) -> Proposals:
    """Names that agree as `rename` makes them, then the rest by cost."""
    result = Proposals()
    by_name = {p.name: p for p in reference}
    same: dict[str, str] = {}
    for p in candidate:
        named = rename(p.name)
        if named in by_name and by_name[named].shape == p.shape and named not in same.values():
            same[p.name] = named
    for own, named in sorted(same.items()):
        why = "the same name and shape" if own == named else "a rule for names says so"
        result.pairs.append(Proposal(own, named, SURE, why))
    taken = set(same.values())
    ours = [p for p in reference if p.name not in taken]
    theirs = [p for p in candidate if p.name not in same]
    if ours and theirs:
        costs = np.array([[cost(a, b, len(ours), len(theirs)) for b in theirs] for a in ours])
        # workers may be without SciPy
        assign = importlib.import_module("scipy.optimize").linear_sum_assignment
        rows, columns = assign(costs)
        for row, column in zip(rows, columns):
            if costs[row, column] < IMPOSSIBLE:
                result.pairs.append(judged(ours, theirs, costs, row, column))
    matched = {p.reference for p in result.pairs}, {p.candidate for p in result.pairs}
    result.only_reference = [p for p in reference if p.name not in matched[0]]
    result.only_candidate = [p for p in candidate if p.name not in matched[1]]
    return result


def letter(name: str) -> str:
    """q, k or v where the last two parts of the name say query, key or value, else ""."""
    words = re.split(r"[._]", ".".join(name.split(".")[-2:]))
    found = [w[0] for w in words if w in ("q", "k", "v", "query", "key", "value")]
    return found[0] if found else ""


def parts_of(whole: Parameter, others: list[Parameter], rename: Callable) -> list[Parameter]:
    """Parameters of one module, or of those in it, that make up the whole along axis 0; [] where there are none."""
    head, _, leaf = whole.name.rpartition(".")
    inside = {head, rename(head)}

    def fits(part: Parameter) -> bool:
        own, _, end = part.name.rpartition(".")
        around = {own, rename(own), own.rpartition(".")[0], rename(own).rpartition(".")[0]}
        return (
            bool(inside & around) and leaf.endswith(end[-4:]) and part.shape[1:] == whole.shape[1:]
        )

    parts = [p for p in others if whole.shape and p.shape and fits(p)]
    letters = [letter(p.name) for p in parts]
    if sorted(letters) == ["k", "q", "v"]:
        parts = [parts[letters.index(c)] for c in "qkv"]
    summed = sum(p.shape[0] for p in parts)
    return parts if len(parts) > 1 and summed == whole.shape[0] else []


def cost(a: Parameter, b: Parameter, count_a: int, count_b: int) -> float:
    """How unlikely it is that both are the same: order counts most, then kind and name."""
    if a.shape != b.shape and a.shape != b.shape[::-1]:
        return IMPOSSIBLE
    order = abs(a.place / max(count_a, 1) - b.place / max(count_b, 1))
    ends = [(["", *p.name.split(".")])[-2:] for p in (a, b)]
    odd = sum(x != y for x, y in zip(*ends))
    names = 1 - SequenceMatcher(None, a.name, b.name, autojunk=False).ratio()
    kinds = float(normal(a.kind) != normal(b.kind))
    turned = float(a.shape != b.shape)
    return 4 * order + names + kinds + odd + 2 * turned


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
