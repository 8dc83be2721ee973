"""What the user's own functions answer while another of them is called again: what the other side's gave.

Before: values/places.py, values/plain.py. called.py calls them again.
"""

from __future__ import annotations

import contextlib
import inspect
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from types import FunctionType

from parity.engine.values.places import is_foreign
from parity.engine.values.plain import same

MISSES = 20  # of what is given something else; then it is no longer looked for


@dataclass
class Known:
    """Where a function of the side's is: in a class, or in modules; `me`: the object that a method belongs to;
    is_module: whether it is a module's forward."""

    function: Callable
    holder: type | None = None
    me: object = None
    is_module: bool = False


@dataclass
class Answers:
    """What the function `name` gave on the other side, by what it was given. asked: names of what is called, own: of
    what is given something else. places: where each parameter comes from, see ask/arguments.py; None where both sides
    take the same."""

    plain: Callable  # to arrays
    name: str
    known: list[list]  # arguments, results
    tensors: Callable
    asked: set[str]
    own: set[str]
    places: list[tuple] | None = None
    missed: int = 0

    def instead_of(self, function: Callable, is_method: bool) -> Callable:
        def answer(*given, **named):
            self.asked.add(self.name)
            if self.missed >= MISSES:
                self.own.add(self.name)
                return function(*given, **named)
            bound = inspect.signature(function).bind(*given, **named)
            bound.apply_defaults()
            arguments = self.plain(list(bound.arguments.values())[is_method:])
            for number, (wanted, results) in enumerate(self.known):
                if self.fit(wanted, arguments):
                    self.known = self.known[number + 1 :] + self.known[: number + 1]
                    return self.tensors(results)
            self.missed += 1
            self.own.add(self.name)
            return function(*given, **named)

        return answer

    def fit(self, wanted: list, arguments: list) -> bool:
        """Whether the other side was given the same."""
        if self.places is None:
            return same(wanted, arguments)
        given = [(k, at) for k, (is_given, at) in enumerate(self.places) if is_given]
        return same([wanted[at] for _, at in given], [arguments[k] for k, _ in given])


@contextlib.contextmanager
def answering(name: str, found: Known | None, answers: Answers) -> Iterator[None]:
    """Within the block the function of that name answers so."""
    if found is None:
        yield
        return
    instead = answers.instead_of(found.function, found.holder is not None)
    if found.is_module:  # others of its class may be given the same
        key, own = found.function.__name__, vars(found.me)
        before = own.get(key)
        own[key] = partial(instead, found.me)
        try:
            yield
        finally:
            own.pop(key) if before is None else own.update({key: before})
        return
    homes = [found.holder] if found.holder else modules_with(found.function)
    places = [(home, k) for home in homes for k, v in vars(home).items() if v is found.function]
    try:
        for home, key in places:
            setattr(home, key, instead)
        yield
    finally:
        for home, key in places:
            setattr(home, key, found.function)


def modules_with(function: Callable) -> list:
    def named(module) -> list:
        return [x for x in getattr(module, "__dict__", {}).values() if isinstance(x, FunctionType)]

    return [m for m in list(sys.modules.values()) if function in named(m)]


def found_by_name(name: str, known: dict[str, Known]) -> Known | None:
    """Of functions that this side has: those that ran, and those of the modules where such are."""
    if name in known or "." in name:
        return known.get(name, [None])[0]
    packages = {k.function.__module__.partition(".")[0] for alike in known.values() for k in alike}
    for home, module in list(sys.modules.items()):
        if home.partition(".")[0] in packages and module and not is_foreign(home):
            found = vars(module).get(name)
            if isinstance(found, FunctionType) and found.__module__ == home:
                return Known(found)
    return None
