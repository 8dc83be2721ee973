"""Prepares Jittor in this environment and says what was found: `python -m jittor_setup`.

The first time Jittor's core is compiled, for a minute or two; nothing is downloaded. Exit code 1 when Jittor cannot be
imported in the end. `--always` makes a bare `import jittor` of this environment work, by a start-up file; `--never`
takes that back.
"""

from __future__ import annotations

import argparse
import platform
import sys
from importlib import metadata

from jittor_setup import compiling, importing, onednn, repairs, startup
from jittor_setup.environment import cuda_usable, jittor_cache


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m jittor_setup",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    either = parser.add_mutually_exclusive_group()
    either.add_argument("--always", action="store_true", help="every `import jittor` from now on")
    either.add_argument("--never", action="store_true", help="Jittor's own way again")
    either.add_argument(
        "--unless-cuda",
        action="store_true",
        help="do nothing where a GPU answers: PyTorch's wheels, which Jittor needs there, may come later",
    )
    return parser.parse_args()


def version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def found(jittor) -> dict[str, str]:
    """What this environment has, and what was made of it."""
    with_onednn = onednn.is_there(jittor_cache() / "mkl" / onednn.FOLDER)
    return {
        "Python": platform.python_version(),
        "NumPy": repairs.numpy_version(),
        "Jittor": f"{jittor.__version__} in {jittor.__path__[0]}",
        "repairs": ", ".join(dict.fromkeys(r.file for r in repairs.needed())) or "none needed",
        "compiler": compiling.real_compiler(),
        "prepared headers": compiling.describe(),
        "oneDNN": "there" if with_onednn else f"none: pip install {' '.join(onednn.PACKAGES)}",
        "CUDA": jittor.flags.nvcc_path if jittor.has_cuda else "none: runs on the CPU",
        "cache": str(jittor_cache()),
        "a bare import jittor": "works too" if startup.is_on() else "Jittor's own way (--always)",
    }


def main() -> int:
    options = parse()
    if options.always or options.never:
        try:
            path = startup.switch(options.always)
        except OSError as error:
            print(f"error: {error}; use a virtual environment of your own", file=sys.stderr)
            return 2
        print(f"{'written' if options.always else 'removed'}: {path}")
        return 0
    if options.unless_cuda and cuda_usable():
        return 0
    try:
        jittor = importing.import_jittor()
    except ImportError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for name, text in found(jittor).items():
        print(f"{name:>22}  {text}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
