"""Which of the user's functions makes a number, such as a loss: seen while it runs, in its framework's process.

Before: whereabouts.py. runner.py asks.
"""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from types import FrameType

from parity.engine.sides.whereabouts import function_of, owner
from parity.engine.values.nodes import ROOT
from parity.engine.values.places import is_own

DEPTH, MOST = 3, 1000  # of mappings and sequences that a function returns, and of their parts


class Makers:
    """Inside of a `with` block, every tensor of one number is known by the innermost function of the user's that first
    returned it. `modules` by name."""

    def __init__(self, is_tensor: Callable[[object], bool], modules: Mapping):
        self.is_tensor = is_tensor
        self.names = {id(module): name or ROOT for name, module in modules.items()}
        self.found: dict[int, tuple] = {}  # by id: the tensor, which lives as long, and its maker

    def __enter__(self) -> Makers:
        self.before = sys.getprofile()
        sys.setprofile(self.watch)
        return self

    def __exit__(self, *_) -> None:
        sys.setprofile(self.before)

    def watch(self, frame: FrameType, event: str, value) -> None:
        if event != "return" or value is None or not is_own(frame):
            return
        with contextlib.suppress(
            Exception
        ):  # what is odd about a value is told by what runs, not by who looks
            for tensor in self.numbers(value, DEPTH):
                if id(tensor) not in self.found:
                    self.found[id(tensor)] = tensor, self.told(frame)

    def numbers(self, value, depth: int) -> Iterator:
        if self.is_tensor(value):
            if math.prod(value.shape) == 1:
                yield value
        elif depth and isinstance(value, (tuple, list, dict)) and len(value) <= MOST:
            for part in value.values() if isinstance(value, dict) else value:
                yield from self.numbers(part, depth - 1)

    def told(self, frame: FrameType) -> dict[str, str]:
        """function; code, FILE:LINE of its return; module, in whose code it runs, "" for none."""
        above, module = frame, ""
        while above is not None and not module:
            module = self.names.get(id(owner(above)), "")
            above = above.f_back
        code = f"{frame.f_code.co_filename}:{frame.f_lineno}"
        return {"function": function_of(frame), "code": code, "module": module}

    def of(self, tensors: Mapping) -> dict[str, dict[str, str]]:
        """By name, of those whose maker is known."""
        return {n: self.found[id(x)][1] for n, x in tensors.items() if id(x) in self.found}
