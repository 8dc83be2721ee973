"""Whether a mutant's function gives what the sound one gives, on random inputs of the kinds that it is called with.

In a copy (warm.py): the calls of a run are noted, then repeated with other numbers, by both functions. Half of the
numbers lie on a coarse grid, where ties and zeros are common.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager

import numpy as np

from parity import loading
from parity.engine.values import tree
from parity.mutants.breeding import Bred, named

CALLS = 16  # that are noted
INPUTS = 50
GRID = 8


class Noted:
    """Arguments of the first calls of a function of this process: `module:qualified.name`."""

    def __init__(self, target: str):
        self.calls: list[tuple[tuple, dict]] = []
        self.sound = loading.resolve(target)
        if not isinstance(self.sound, types.FunctionType) or self.sound.__code__.co_freevars:
            raise TypeError(f"{target} is no plain function")

        def noting(*args, **named):
            if len(self.calls) < CALLS:
                self.calls.append((args, named))
            return self.sound(*args, **named)

        module, _, name = target.partition(":")
        owner, _, attribute = name.rpartition(".")
        if owner:
            setattr(loading.resolve(f"{module}:{owner}"), attribute, noting)
        for other in list(sys.modules.values()):
            for key, value in list(getattr(other, "__dict__", {}).items()):
                if value is self.sound and other is not None:
                    setattr(other, key, noting)


STARTED: list[Noted] = []


def begin(target: str) -> None:
    """A preload: from now on the calls of a function are noted."""
    STARTED.append(Noted(target))


def mutated(mutant: Bred, sound: types.FunctionType) -> types.FunctionType:
    """The mutant's function in the sound one's surroundings; LookupError where the file makes none of this name."""
    found = compile(mutant.patched(), str(mutant.path), "exec")
    for name in mutant.function.split("."):
        codes = [c for c in found.co_consts if isinstance(c, types.CodeType) and c.co_name == name]
        if len(codes) != 1:
            raise LookupError(f"{mutant.function} is not one function")
        found = codes[0]
    other = types.FunctionType(found, sound.__globals__, sound.__name__, sound.__defaults__)
    other.__kwdefaults__ = sound.__kwdefaults__
    return other


def compared(server, name: str, side: str) -> dict:
    """{"inputs": how many that reach the change, "different": how many gave something else}, of INPUTS. Nothing is
    shown where no number could be drawn."""
    mutant, noted = named(name, side), STARTED[-1]
    other = mutated(mutant, noted.sound)
    lines = range(mutant.first, mutant.last + 1)
    random, found = np.random.default_rng(0), {"inputs": 0, "different": 0}
    for k in range(INPUTS if noted.calls else 0):
        args, options = given = noted.calls[k % len(noted.calls)]
        drawn: list[str] = []
        if k:
            args, options = varied(server.backend, given, random, drawn)
        sound = outcome(server.backend, noted.sound, args, options)
        with reached(other.__code__, lines) as there:
            answer = outcome(server.backend, other, args, options)
        found["inputs"] += bool(there and (drawn or not k))
        found["different"] += not same(sound, answer)
    return found


@contextmanager
def reached(code: types.CodeType, lines: Container[int]) -> Iterator[list[int]]:
    """Gets the lines of a function that run inside, of these."""
    found: list[int] = []

    def watch(frame, event, _):
        if frame.f_code is not code:
            return None
        if event == "line" and frame.f_lineno in lines:
            found.append(frame.f_lineno)
        return watch

    before = sys.gettrace()
    sys.settrace(watch)
    try:
        yield found
    finally:
        sys.settrace(before)


def varied(backend, value, random: np.random.Generator, drawn_at: list[str]):
    """The same tree with other floats: of a normal distribution, or of a coarse grid, of the size that they had.
    `drawn_at` gets their paths."""
    coarse = random.random() < 0.5

    def other(path: str, leaf):
        array = leaf if isinstance(leaf, np.ndarray) else backend.to_numpy(leaf)
        if array.dtype.kind != "f" or not array.size:
            return leaf
        drawn_at.append(path)
        size = float(np.nanmax(np.abs(np.where(np.isfinite(array), array, 0)))) or 1.0
        drawn = random.standard_normal(array.shape) * size
        if coarse:
            drawn = random.integers(-GRID, GRID + 1, array.shape) * (size / GRID)
        drawn = np.abs(drawn) if (array >= 0).all() else drawn
        drawn = drawn.astype(array.dtype)
        return drawn if isinstance(leaf, np.ndarray) else backend.array(drawn, like=leaf)

    return tree.replaced(value, lambda x: is_array(backend, x), other)


def is_array(backend, value) -> bool:
    return isinstance(value, np.ndarray) or backend.is_tensor(value)


def outcome(backend, function: Callable, args: tuple, options: dict):
    """What a call gives, arrays as NumPy's; the type of what it raises."""
    args, options = tree.replaced(
        (args, options),
        lambda x: isinstance(x, np.ndarray),
        lambda path, x: x.copy(),
    )
    try:
        with np.errstate(all="ignore"):
            found = function(*args, **options)
            if isinstance(found, types.GeneratorType):
                found = list(found)
            return tree.replaced(
                found,
                backend.is_tensor,
                lambda path, x: backend.to_numpy(x),
            )
    except Exception as error:
        return type(error)


def same(a, b) -> bool:
    """Bit for bit, NaN being NaN."""
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray):
        equal_nan = a.dtype.kind in "fc"
        return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=equal_nan)
    if isinstance(a, (tuple, list)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if hasattr(a, "__dict__") and not callable(a):
        return same(vars(a), vars(b))
    return a is b or bool(a == b)
