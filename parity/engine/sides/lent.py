"""Functions of a framework or of torchvision that the other side's own code has by the same name: a port writes many of
them anew, as NMS, RoIAlign, losses, box coders.

Before: values/places.py. called.py watches them.
"""

from __future__ import annotations

import sys
from types import FrameType, FunctionType

from parity.engine.values.places import home, is_foreign, is_installed, is_of_library

LENDERS = ("torch.nn.functional", "torch.functional", "torchvision", "jittor")


def own_names(server, passed: list[str]) -> list[str]:
    """In a worker: names of the user's functions, "Class.method" of methods, in all that is imported; `passed`: files
    whose functions are none of the port's."""
    found: set[str] = set()
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None) or ""
        if not file or file in passed or is_foreign(name):
            continue
        if is_of_library(file) or is_installed(file):
            continue
        for value in list(vars(module).values()):
            if getattr(value, "__module__", None) != name:
                continue
            if isinstance(value, FunctionType):
                found.add(value.__name__)
            elif isinstance(value, type):
                methods = (k for k, v in vars(value).items() if isinstance(v, FunctionType))
                found |= {f"{value.__name__}.{method}" for method in methods}
    return sorted(found)


def is_lender(frame: FrameType) -> bool:
    """Whether a frame runs what is a library's, and may be written anew elsewhere."""
    place = home(frame)
    return any(place == name or place.startswith(f"{name}.") for name in LENDERS)
