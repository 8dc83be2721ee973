"""What is noted of a run, against brute force: programs are drawn, walked through here, and run under `Calls`."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field

import numpy as np
import pytest

from parity.engine.sides.noting import ROOM
from tests.noting import Tensor, noted, plain, program

FUNCTION, METHOD, MODULE, PASSED = "function", "method", "module", "passed"
HEADS = {  # of those that nobody can call by name: what is in them belongs to whoever called them
    FUNCTION: "def {name}(x):",
    PASSED: "def {name}(x, *more):",
    METHOD: "class {name}:\n    def made(self, x):",
    MODULE: "class {name}:\n    def forward(self, x):",
}


@dataclass
class Part:
    """Gives factor * x and what each of the parts below makes of its own multiple of x; nothing where it is silent."""

    kind: str
    factor: float
    below: list[tuple[str, float]]
    silent: bool

    def text(self, name: str, parts: dict[str, Part]) -> str:
        head = HEADS[self.kind].format(name=name)
        space = " " * (8 if "\n" in head else 4)
        lines = [f"made = {self.factor} * x"]
        for other, times in self.below:
            call = {METHOD: "().made", MODULE: "_it.forward"}.get(parts[other].kind, "")
            lines.append(f"found = {other}{call}({times} * x)")
            lines.append("made = made if found is None else made + found")
        lines.append("return None" if self.silent else "return made")
        return "\n".join([head, *(space + line for line in lines)])


@dataclass
class Walk:
    """What a run should leave, found by going through the parts."""

    parts: dict[str, Part]
    noted: list[tuple] = field(default_factory=list)
    taken: int = 0

    def go(self, name: str, x: np.ndarray) -> tuple[np.ndarray | None, list[tuple]]:
        """What a part gives, and what whoever called it is told of it."""
        part, inside = self.parts[name], []
        made = part.factor * x
        for other, times in part.below:
            found, told = self.go(other, times * x)
            made, inside = made if found is None else made + found, inside + told
        made = None if part.silent else made
        if part.kind == PASSED or (part.kind == MODULE and (part.silent or not inside)):
            return made, inside
        self.taken += x.size
        if part.silent:
            return None, []
        self.taken += x.size
        label = f"{name}.made" if part.kind == METHOD else name
        self.noted.append((label, [x], made, inside))
        return made, [(label, [x], made)]


def drawn(random: np.random.Generator) -> dict[str, Part]:
    names = [f"p{k}" for k in range(int(random.integers(2, 9)))]
    found = {}
    for k, name in enumerate(names):
        kind = str(random.choice([*HEADS, FUNCTION, MODULE])) if k else FUNCTION
        later = [n for n in names[k + 1 :] if random.random() < 0.5]
        below = [(n, float(random.integers(1, 9)) / 4) for n in later]
        below += below[:1] if random.random() < 0.3 else []
        silent = k > 0 and random.random() < 0.35
        found[name] = Part(kind, float(random.integers(1, 9)) / 2, below, silent)
    return found


@pytest.mark.parametrize("seed", range(40))
def test_of_drawn_programs_all_is_noted_that_has_a_name(tmp_path, seed):
    random = np.random.default_rng(seed)
    parts = drawn(random)
    text = "\n\n".join(part.text(name, parts) for name, part in reversed(parts.items()))
    modules = [name for name, part in parts.items() if part.kind == MODULE]
    text += "".join(f"\n\n{name}_it = {name}()" for name in modules) + "\n"
    space, path = program(text, tmp_path)
    x = random.integers(-4, 5, (2, 3)).astype(float)
    before = sys.getprofile()
    with noted(modules={n: space[f"{n}_it"] for n in modules}) as calls:
        space["p0"](Tensor(x))
    assert sys.getprofile() is before
    walk = Walk(parts)
    walk.go("p0", x)
    found = [(c.name, c.arguments, c.results, c.answers) for c in calls.noted]
    assert plain(found) == plain(walk.noted)
    assert calls.room == ROOM - walk.taken and not calls.open
    assert [c.module for c in calls.noted] == [n in modules for n, *_ in walk.noted]
    lines = text.split("\n")
    for call in calls.noted:
        owner, _, method = call.name.partition(".")
        head = HEADS[parts[owner].kind].format(name=owner).split("\n")[-1]
        at = lines.index(head) if "class" not in HEADS[parts[owner].kind] else None
        at = lines.index(f"class {owner}:") + 1 if at is None else at
        assert call.code == f"{path}:{at + 1}" and call.names == ("x",) and not call.lent
        assert call.which == 0 or method, "each is made once; of a class there are many objects"
