"""One entry of the atlas: the same thing said in both frameworks, and a spelling that means the same in both."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass

AREAS = (
    *("indexing", "assignment", "reductions", "sorting", "types", "arithmetic", "NaN", "shapes"),
    *("views", "layers", "losses", "random", "autograd", "optimisers", "modules", "files", "lazy"),
    *("data", "names"),
)


@dataclass(frozen=True)
class Entry:
    """`torch` and `jittor` are code whose last line is an expression; `given` assigns NumPy arrays that they use.

    jittor: "" is PyTorch's text with `jt` for `torch`. safe: Jittor code that gives what PyTorch gives. Arrays of
    `given` become tensors; names that begin with "np_" stay NumPy arrays. effect: what the difference does to a
    detector; cause: where in Jittor's source it comes from. isolated: in a process of its own, because it may
    crash or disturb what runs behind it; varies: values are garbage, only the kind of result is compared;
    minor: it differs, and no number of a detector hangs on it.
    """

    id: str
    title: str
    torch: str
    jittor: str = ""
    given: str = ""
    safe: str = ""
    effect: str = ""
    cause: str = ""
    source: str = ""
    operators: str = ""  # names to look it up by, separated by blanks; "" is what the code calls
    area: str = ""
    isolated: bool = False
    varies: bool = False
    minor: bool = False

    def __post_init__(self):
        for name in ("torch", "jittor", "given", "safe"):  # written indented, for the eye
            object.__setattr__(self, name, textwrap.dedent(getattr(self, name)).strip())
        if not self.operators:
            called = re.findall(r"\b([A-Za-z]\w*)\(", f"{self.torch}\n{self.jittor}")
            object.__setattr__(self, "operators", " ".join(dict.fromkeys(called)) or self.id)

    @property
    def jittor_code(self) -> str:
        return self.jittor or translated(self.torch)


def translated(code: str) -> str:
    return code.replace("torch.", "jt.")


def repro(entry: Entry, framework: str, code: str | None = None) -> str:
    """A script of a few lines that shows one side of an entry and needs nothing of this project."""
    if code is None:
        code = entry.torch if framework == "torch" else entry.jittor_code
    lines = ["import numpy as np"]
    if framework == "torch":
        lines += ["import torch", "from torch import nn", "import torch.nn.functional as F"]
        make = "torch.from_numpy({0})"
    else:
        lines += ["import jittor as jt", "from jittor import nn", "from jittor import init"]
        make = "jt.array({0})"
    for line in entry.given.strip().splitlines():
        name, equals, _ = line.partition(" = ")
        lines.append(line)
        if equals and name.isidentifier() and "np." in line and not name.startswith("np_"):
            lines.append(f"{name} = {make.format(name)}")
    *head, last = code.strip().splitlines()
    return "\n".join([*lines, *head, f"print({last})"]) + "\n"
