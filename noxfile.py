"""The tests of jittor_setup and of the harness on every Python that this machine has: `nox`, `nox -s setup`, `nox -l`.

setup    jittor_setup by itself, without PyTorch, with NumPy 1.26 and NumPy 2
engine   the harness's own tests, PyTorch and Jittor in one environment

Each environment compiles Jittor's core once, for a minute or two; `nox -r` keeps environments. Interpreters that are
not there are left out. Jittor's metadata asks for NumPy 1, so that it is installed without its dependencies here.
"""

from __future__ import annotations

import re
from pathlib import Path

import nox

nox.needs_version = ">=2024.3"
nox.options.error_on_missing_interpreters = False
nox.options.sessions = ["setup"]
PYTHONS = ["3.10", "3.11", "3.12", "3.13"]
JITTOR = ("astunparse", "tqdm", "six", "wheel", "Pillow")  # what it asks for beside NumPy
HARNESS = (
    *("scipy", "rich", "pytest>=8", "hypothesis", "safetensors", "matplotlib", "jinja2"),
    *("pycocotools", "tensorboard"),
)
SETUP = ("test_jittor_setup", "test_environment", "test_compiling", "test_cuda_home")
ENGINE = (
    *("test_verdicts", "test_records", "test_transport", "test_workers", "test_steps"),
    *("test_oracle", "test_floors", "test_pairs", "test_offline", "test_float64"),
)
FOLDER = Path(__file__).resolve().parent


def pinned(name: str) -> str:
    """`name==version` as constraints.txt has it."""
    text = (FOLDER / "constraints.txt").read_text()
    return re.search(rf"^{name}==\S+", text, re.MULTILINE)[0]


def install(session: nox.Session, numpy: str, *more: str) -> None:
    session.env["PIP_FIND_LINKS"] = ""  # a wheel folder of the machine's could supply another build
    onednn = (pinned("onednn-cpu-gomp"), pinned("onednn-devel-cpu-gomp"))
    session.install(numpy, *JITTOR, *HARNESS, *onednn, *more)
    session.install("--no-deps", pinned("jittor"))


def test(session: nox.Session, names: tuple[str, ...]) -> None:
    session.run("python", "-m", "jittor_setup")
    files = [f"tests/{name}.py" for name in names]
    session.run("python", "-m", "pytest", "-q", *(session.posargs or files))


@nox.session(python=PYTHONS)
@nox.parametrize("numpy", ["numpy>=1.26,<2", "numpy>=2"], ids=["numpy1", "numpy2"])
def setup(session: nox.Session, numpy: str) -> None:
    if session.python == "3.13" and "<2" in numpy:
        session.skip("NumPy 1.26 has no wheels for Python 3.13")
    install(session, numpy)
    test(session, SETUP)


@nox.session(python=PYTHONS)
def engine(session: nox.Session) -> None:
    """NumPy as constraints.txt has it; 2 where that one has no wheels."""
    numpy = "numpy>=2" if session.python == "3.13" else pinned("numpy")
    install(session, numpy, "torch", "torchvision")
    test(session, ENGINE)
