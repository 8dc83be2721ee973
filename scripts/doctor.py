"""Says what was found on this machine, what is wrong with it, and the line that mends it.

`python -m scripts.doctor`; exit code 1 when a framework cannot run. Each framework is imported in a
process of its own; Jittor's first import compiles for a minute or two. `--fix-cuda` makes the CUDA home that
Jittor needs (jittor_setup/cuda_home.py), of the toolkit or, `--prefer-wheels`, of pip's nvcc, and compiles what
Jittor's kernels include; no GPU is needed for that, and workers make it by themselves where a GPU answers.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from door.terminal import Console, Table
from jittor_setup import cuda_home
from jittor_setup.compiling import real_compiler
from jittor_setup.environment import cuda_usable, jittor_cache
from jittor_setup.onednn import PACKAGES as ONEDNN_PACKAGES
from neutral.errors import InputError
from scripts.common import FRAMEWORKS, run_main
from scripts.options import Parser

PROBE = """
import json
import {0}_impl.runtime
from parity.backends import {0} as backend
backend.configure("cpu", "float32")
print("RESULT" + json.dumps(backend.describe()))
"""
PACKAGES = (
    "torch",
    "torchvision",
    "jittor",
    "numpy",
    "scipy",
    "pycocotools",
    "safetensors",
    *ONEDNN_PACKAGES,
)


@dataclass(frozen=True)
class Problem:
    what: str
    fix: str
    fatal: bool  # a framework cannot run


def version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def probe(framework: str) -> tuple[dict | None, str]:
    """What the framework says of itself, or None and the last line of what went wrong."""
    command = [sys.executable, "-c", PROBE.format(framework)]
    root = Path(__file__).resolve().parent.parent
    result = subprocess.run(command, capture_output=True, text=True, cwd=root, check=False)
    for line in result.stdout.splitlines():
        if line.startswith("RESULT"):
            return json.loads(line.removeprefix("RESULT")), ""
    lines = result.stderr.strip().splitlines() or [f"exit code {result.returncode}"]
    return None, lines[-1]


def find_problems(found: dict, answers: dict[str, tuple[dict | None, str]]) -> list[Problem]:
    """Everything wrong with what was found; see `main` for the keys of `found`."""
    problems = []
    if not (3, 10) <= found["python"][:2] <= (3, 13):
        problems.append(
            Problem(
                f"Python {'.'.join(map(str, found['python']))} is not supported",
                "apt-get install python3.11 python3.11-venv && rm -rf .venv && make setup",
                True,
            )
        )
    if not found["compiler"]:
        problems.append(
            Problem("no g++: Jittor compiles its kernels with it", "apt-get install g++", True)
        )
    numpy = found["packages"].get("numpy")
    if numpy and int(numpy.split(".")[0]) >= 3:
        problems.append(
            Problem(
                f"numpy {numpy}: Jittor has been mended for numpy 1 and 2 alone",
                "pip install -c constraints.txt numpy",
                True,
            )
        )
    for package in ONEDNN_PACKAGES:
        if found["packages"].get(package) is None:
            what = f"{package} is not installed: Jittor's convolutions run without oneDNN, slowly"
            problems.append(Problem(what, f"pip install -c constraints.txt {package}", False))
    if found["nvcc"] and not found["cuda_usable"]:
        what = f"{found['nvcc']} found, but no CUDA driver answers: Jittor is told to ignore it"
        problems.append(Problem(what, "install an NVIDIA driver, or do without a GPU", False))
    for framework, (answer, error) in answers.items():
        if answer is None:
            fix = "pip install -c constraints.txt -e '.[dev]'"
            problems.append(Problem(f"{framework} cannot run: {error}", fix, True))
        elif framework == "torch" and answer["flush_to_zero"]:
            what = "PyTorch, the reference, flushes small numbers to zero"
            problems.append(Problem(what, "unset whatever loads -Ofast libraries into it", False))
    return problems


def fix_cuda(options: argparse.Namespace) -> int:
    """Makes the CUDA home and tries the compiler; exit code 1 when it does not compile."""
    found = cuda_home.wheels()
    toolkit = cuda_home.find_toolkit(
        options.toolkit, of_wheels=found, prefer_wheels=options.prefer_wheels
    )
    print(f"nvcc {'.'.join(map(str, toolkit.version))}: {toolkit.nvcc}")
    home = cuda_home.build(options.out or jittor_cache(), toolkit, found)
    print(f"CUDA home: {home}")
    for name, value in cuda_home.variables(home).items():
        print(f"  {name}={value}")
    failed = False
    for architecture in options.architectures.split(","):
        errors = cuda_home.compiles(home, architecture)
        failed |= bool(errors)
        print(f"sm_{architecture}: {errors or 'compiles'}")
    if not cuda_usable():
        print("no CUDA driver answers here: nothing was run")
    return int(failed)


def main() -> int:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fix-cuda", action="store_true", help="make Jittor's CUDA home")
    parser.add_argument("--toolkit", type=Path, help="folder of a CUDA toolkit (default: found)")
    parser.add_argument("--prefer-wheels", action="store_true", help="pip's nvcc before others")
    parser.add_argument("--out", type=Path, help="where the home is put (default: Jittor's cache)")
    parser.add_argument("--architectures", default="80,90", help="that must compile")
    options = parser.parse_args()
    if options.fix_cuda:
        try:
            return fix_cuda(options)
        except cuda_home.CudaHomeError as error:
            raise InputError(str(error)) from None
    console = Console()
    found = {
        "python": tuple(sys.version_info[:3]),
        "compiler": real_compiler(),
        "nvcc": shutil.which("nvcc") or "",
        "cuda_usable": cuda_usable(),
        "packages": {package: version(package) for package in PACKAGES},
    }
    with console.status("importing the frameworks (Jittor compiles on its first import) ..."):
        answers = {framework: probe(framework) for framework in FRAMEWORKS}
    table = Table("what", "found")
    table.add_row("Python", ".".join(map(str, found["python"])))
    table.add_row("g++", found["compiler"] or "none")
    table.add_row("nvcc", found["nvcc"] or "none")
    table.add_row("CUDA driver", "answers" if found["cuda_usable"] else "none")
    for package, number in found["packages"].items():
        table.add_row(package, number or "not installed")
    console.print(table)
    rows = Table("numerics", *FRAMEWORKS)
    keys = dict.fromkeys(k for answer, _ in answers.values() if answer for k in answer)
    for key in keys:
        if key != "framework":
            rows.add_row(key, *(str((answers[f][0] or {}).get(key, "-")) for f in FRAMEWORKS))
    console.print(rows)
    problems = find_problems(found, answers)
    for problem in problems:
        console.print(
            f"{'ERROR' if problem.fatal else 'note'}: {problem.what}", markup=False, soft_wrap=True
        )
        console.print(f"       fix: {problem.fix}", markup=False, soft_wrap=True)
    fatal = any(problem.fatal for problem in problems)
    console.print("a framework cannot run" if fatal else "both frameworks can run")
    return int(fatal)


if __name__ == "__main__":
    run_main(main)
