"""Functions compared one by one, against brute force: programs are drawn, some functions of one side made wrong, and
exactly those must be told. Both sides run in this process."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from parity import Case, Side, loading
from parity.engine.ask.called import compared
from parity.engine.judge import kinds
from parity.engine.judge.verdicts import Status

SIDES = ("reference", "candidate")
X = np.random.default_rng(0).uniform(0.5, 2.0, (7, 3))


@dataclass
class Function:
    """Gives factor * x + shift, and its share of what each of the functions below it gives for its own numbers."""

    factor: float
    shift: float
    calls: dict[str, tuple[float, float]]  # by name: what it is given x times, and the share

    def text(self, name: str) -> str:
        parts = [f"{self.factor} * x + {self.shift}"]
        parts += [f"{share} * {n}({times} * x)" for n, (times, share) in self.calls.items()]
        return f"def {name}(x):\n    return {' + '.join(parts)}\n"


def drawn(random: np.random.Generator, count: int) -> dict[str, Function]:
    """A program: each function calls some of those that come later, the first all that nobody else calls."""
    number = lambda: float(np.round(random.uniform(0.5, 2.0), 3))  # noqa: E731
    names = [f"f{k}" for k in range(count)]
    found = {}
    for k, name in enumerate(names):
        below = [n for n in names[k + 1 :] if random.random() < 0.4]
        found[name] = Function(number(), number(), {n: (number(), number()) for n in below})
    called = {n for f in found.values() for n in f.calls}
    found["f0"].calls |= {n: (number(), number()) for n in names[1:] if n not in called}
    return found


def text_of(program: dict[str, Function]) -> str:
    return "\n\n".join(f.text(name) for name, f in program.items())


class Here:
    """Stands for the workers: each side's code is a module of this process."""

    def __init__(self, folder, **texts: str):
        self.servers = {}
        backend = SimpleNamespace(is_tensor=lambda x: False, to_numpy=np.asarray, array=lambda x: x)
        for side, text in texts.items():
            module = ModuleType(f"drawn_{side}")
            path = folder / f"{side}.py"
            path.write_text(text)
            exec(compile(text, str(path), "exec"), module.__dict__)
            sys.modules[module.__name__] = module
            runner = SimpleNamespace(
                subject=SimpleNamespace(losses=None, postprocess=None),
                plain_run=lambda: None,
                prepare=lambda inputs, differentiable: inputs,
                trained=[],
                modules=dict,
                forward=lambda inputs, run, module=module: module.f0(*inputs),
            )
            self.servers[side] = SimpleNamespace(runner=runner, backend=backend)
        self.asked = Counter()

    def run(self, target: str, *arguments, sides) -> dict:
        self.asked[target.rpartition(":")[2]] += 1
        return {side: loading.resolve(target)(self.servers[side], *arguments) for side in sides}


@pytest.fixture
def told(tmp_path):
    def tell(reference: str, candidate: str, *inputs) -> dict:
        workers = Here(tmp_path, reference=reference, candidate=candidate)
        halves = [Side(f"{tmp_path}/pair.py:half", "torch", label=side) for side in SIDES]
        case = Case("drawn", *halves, lambda: inputs)
        try:
            return {v.owner: v for v in compared(case, workers, inputs or (X,), None)}
        finally:
            for side in SIDES:
                del sys.modules[f"drawn_{side}"]

    return tell


def failed(found: dict) -> set[str]:
    return {name.removesuffix("()") for name, v in found.items() if v.status is Status.FAIL}


@pytest.mark.parametrize("seed", range(25))
def test_of_drawn_programs_exactly_the_wrong_functions_are_told(told, seed):
    random = np.random.default_rng(seed)
    count = int(random.integers(2, 8))
    program = drawn(random, count)
    names = sorted(program)
    wrong = {n for n in names if random.random() < 0.35}
    other = {n: Function(**vars(f)) for n, f in program.items()}
    for name in wrong:
        setattr(other[name], str(random.choice(["factor", "shift"])), 3.7)
    found = told(text_of(program), text_of(other))
    assert {n.removesuffix("()") for n in found} == set(names)
    assert failed(found) == wrong
    assert all(found[f"{n}()"].limit > 0 and found[f"{n}()"].measured > 0 for n in wrong)
    places = {n: found[f"{n}()"].code for n in wrong}
    for name, (ours, theirs) in places.items():
        line = text_of(program).split("\n").index(f"def {name}(x):") + 1
        assert ours.endswith(f"reference.py:{line}") and theirs.endswith(f"candidate.py:{line}")


@pytest.mark.parametrize("seed", range(12))
def test_of_drawn_programs_the_call_that_is_left_out_is_told(told, seed):
    random = np.random.default_rng(100 + seed)
    pairs = []
    while not pairs:  # of one that others call, too: else it is not known that this side has it
        program = drawn(random, int(random.integers(3, 7)))
        callers = Counter(n for f in program.values() for n in f.calls)
        pairs = [(a, b) for a, f in program.items() for b in f.calls if callers[b] > 1]
    caller, left = pairs[int(random.integers(len(pairs)))]
    other = {n: Function(f.factor, f.shift, dict(f.calls)) for n, f in program.items()}
    del other[caller].calls[left]
    found = told(text_of(program), text_of(other))
    assert failed(found) == {caller}
    verdict = found[f"{caller}()"]
    assert verdict.kind == kinds.UNCALLED
    assert verdict.message.endswith(f"; {left}() is never called")


def test_what_the_whole_run_makes_good_is_no_cause(told):
    """As where one function halves what another doubles."""
    text = "def f0(x):\n    return {} * g(x)\n\n\ndef g(x):\n    return {} * x\n"
    assert not failed(told(text.format(2.0, 3.0), text.format(3.0, 2.0)))
    assert failed(told(text.format(2.0, 3.0), text.format(3.0, 2.5))) == {"f0", "g"}


def test_a_function_whose_port_calls_with_a_list_for_an_array_is_still_compared(told):
    text = "def f0(x):\n    return {} * g({}) + x[:, 0]\n\n\ndef g(x):\n    return 2 * sum(x)\n"
    reference = text.format(3.0, "x[:, 0]")
    for factor, wrong in ((3.0, set()), (3.5, {"f0"})):
        found = told(reference, text.format(factor, "x[:, 0].tolist()"))
        assert set(found) == {"f0()"} and failed(found) == wrong


def test_numbers_that_differ_by_rounding_are_the_same_arguments(told):
    """What is called with them answers as the reference's did, though it is wrong itself."""
    text = "def f0(x):\n    return g({}, x)\n\n\ndef g(scale, x):\n    return {} * scale * x\n"
    mean, other = "float(x.sum())", "float((x * 0.1).sum() * 10.0 * (1 + 1e-15))"
    assert eval(mean, {"x": X}) != eval(other, {"x": X})
    found = told(text.format(mean, 2.0), text.format(other, 3.0))
    assert failed(found) == {"g"} and found["f0()"].status is Status.PASS


def test_what_is_no_number_in_the_reference_alone_parts_nobody(told):
    """The work is shared in another way, and the guard against NaN is the port's."""
    text = """import numpy as np


def f0(x):
    return [shared(x), scaled(x)]


def shared(x):
    return OUTER * half(x) + guarded(x)


def half(x):
    return INNER * x


def guarded(x):
    return x * 0 + np.array([1.0, 1.0, NAN])


def scaled(x):
    return SCALE * x
"""

    def side(**names: str) -> str:
        found = text
        for name, value in names.items():
            found = found.replace(name, value)
        return found

    reference = side(OUTER="2", INNER="0.5", NAN="np.nan", SCALE="3")
    port = side(OUTER="1", INNER="1.0", NAN="1.0", SCALE="4")
    assert failed(told(reference, port)) == {"scaled"}
