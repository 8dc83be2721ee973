"""CUDA sources as C++ that g++ compiles, for a CPU to run them (emulated.h).

As a program it takes nvcc's place where Jittor calls it: pretend.py.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).with_name("emulated")  # headers and libraries in the place of NVIDIA's
HEADER = FOLDER / "emulated.h"
LIBRARIES = {path.stem: path.read_text() for path in FOLDER.glob("*.cc")}
# what only nvcc understands, and what is said below
NVCC_ALONE = ("-arch", "-code", "-ccbin", "--cuda", "--use_fast_math", "--extended-lambda")
NVCC_ALONE += ("-std=", "-O")
LAUNCHING = "misc/cuda_atomic.h"  # a header of Jittor's that launches kernels
WAITING = re.compile(r"__syncthreads|__syncwarp|__shfl_|cub::Block")
# a name, perhaps with the arguments of a template, before "<<<"
LAUNCHED = re.compile(r"([\w:]+\s*(?:<[\w:,\s*]*>)?)\s*<<<")


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


def translate(source: str, more: str = "") -> str:
    """A CUDA source as a C++ source, which includes emulated.h by its path, with what `more` defines before it."""
    together = "#define EMULATED_TOGETHER\n" if WAITING.search(source) else ""
    return f'{together}{more}#include "{HEADER}"\n#line 1\n{without_launches(source)}'


def compile_with_gcc(arguments: list[str]) -> None:
    """What nvcc would make of these arguments, by g++ in its place; does not return."""
    kept, following, place = [], False, Path(tempfile.mkdtemp(prefix="emulated-"))
    for word in arguments:
        launching = Path(word[2:]) / LAUNCHING
        if following or word == "-Xcompiler":
            kept += [word] if following else []
            following = not following
        elif word in ("-x", "cu") or word.startswith(NVCC_ALONE):
            continue
        elif word.endswith((".cc", ".cu")):
            text = translate(Path(word).read_text(), "#define EMULATED_IN_JITTOR\n")
            kept.append(str(place / f"{Path(word).stem}.cc"))
            Path(kept[-1]).write_text(text)
        elif word.startswith("-I") and launching.is_file():
            (place / LAUNCHING).parent.mkdir(exist_ok=True)
            (place / LAUNCHING).write_text(without_launches(launching.read_text()))
            kept += [f"-I{place}", word]
        else:
            kept.append(word)
    command = ["g++", "-std=c++17", f"-I{FOLDER}", *kept, "-w", "-O1", "-fpermissive"]
    code = subprocess.run(command, check=False).returncode
    shutil.rmtree(place)
    sys.exit(code)


if __name__ == "__main__":
    compile_with_gcc(sys.argv[1:])
