"""CUDA sources as C++ that g++ compiles, for a CPU to run them (emulated.h)."""

from __future__ import annotations

import re
from pathlib import Path

HEADER = Path(__file__).with_name("emulated.h")
WAITING = re.compile(r"__syncthreads|__syncwarp|__shfl_|cub::Block")
# a name, perhaps with the arguments of a template, before "<<<"
LAUNCHED = re.compile(r"([\w:]+(?:<[\w:, *]*>)?)\s*<<<")


def closing(text: str, begin: int, ends: str) -> int:
    """Where the first of `ends` stands from `begin` on that no bracket encloses."""
    depth = 0
    for k in range(begin, len(text)):
        if depth == 0 and text.startswith(ends, k):
            return k
        depth += (text[k] in "([{") - (text[k] in ")]}")
    raise ValueError(f"{ends} is missing behind: {text[begin : begin + 80]}")


def split(text: str) -> list[str]:
    """At the commas that no bracket encloses."""
    parts, begin = [], 0
    while True:
        try:
            end = closing(text, begin, ",")
        except ValueError:
            return [*parts, text[begin:]]
        parts.append(text[begin:end])
        begin = end + 1


def without_launches(source: str) -> str:
    """`name<<<grid, block, ...>>>(arguments)` as a call of emulated::launch."""
    while found := LAUNCHED.search(source):
        end = closing(source, found.end(), ">>>")
        grid, block = split(source[found.end() : end])[:2]
        opening = source.index("(", end)
        close = closing(source, opening + 1, ")")
        call = f"{found[1]}({source[opening + 1 : close]})"
        call = f"emulated::launch({grid}, {block}, [&] {{ {call}; }})"
        source = source[: found.start()] + call + source[close + 1 :]
    return source


def translate(source: str) -> str:
    """A CUDA source as a C++ source, which includes emulated.h by its path."""
    together = "#define EMULATED_TOGETHER\n" if WAITING.search(source) else ""
    return f'{together}#include "{HEADER}"\n#line 1\n{without_launches(source)}'
