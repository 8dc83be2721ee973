"""The tests of jittor_setup and of the harness on every Python that this machine has: `nox`, `nox -s setup`, `nox -l`.

setup    jittor_setup by itself, without PyTorch, with NumPy 1.26 and NumPy 2
engine   the harness's own tests, PyTorch and Jittor in one environment
wheel    the wheel as pip installs it with its extras, where nothing else is
apart    one side in an interpreter of its own: another PyTorch, or Jittor with NumPy 2

The last two run their tests with the Python that runs nox (`.venv/bin/nox`). Each environment compiles
Jittor's core once, for a minute or two; `nox -r` keeps environments. Interpreters that are not there are left
out. Jittor's metadata asks for NumPy 1, so that it is installed without its dependencies here.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path

import nox

nox.needs_version = ">=2024.3"
nox.options.error_on_missing_interpreters = False
nox.options.sessions = ["setup"]
PYTHONS = ["3.10", "3.11", "3.12", "3.13"]
JITTOR = ("astunparse", "tqdm", "six", "wheel", "Pillow")  # what it asks for beside NumPy
SETUP = (
    *("test_jittor_setup", "test_jittor_repairs", "test_environment", "test_compiling"),
    "test_cuda_home",
    "test_nvcc",
)
ENGINE = (
    *("test_verdicts", "test_records", "test_transport", "test_workers", "test_steps"),
    *("test_oracle", "test_floors", "test_pairs", "test_offline", "test_float64"),
)
FOLDER = Path(__file__).resolve().parent
PROJECT = nox.project.load_toml(FOLDER / "pyproject.toml")["project"]
HARNESS = (
    *(name for name in PROJECT["dependencies"] if not name.startswith("numpy")),
    *PROJECT["optional-dependencies"]["pytest"],
    *("hypothesis", "safetensors", "pycocotools", "tensorboard"),
)
# pyenv's own python3.x are scripts that look for a version for seconds, and find none unless they are told
_PYENV = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
_BINS = [f"{x}/bin" for python in PYTHONS for x in _PYENV.glob(f"{python}.*")]
os.environ["PATH"] = os.pathsep.join([*_BINS, os.environ.get("PATH", "")])


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
    """Versions as constraints.txt has them; the nearest where those have no wheels for this Python."""
    numpy = "numpy>=2" if session.python == "3.13" else pinned("numpy")
    # PyTorch 2.15 has none for 3.10: its newest there is an older one, with the torchvision that fits
    torch = ("torch", "torchvision")
    if session.python != "3.10":
        torch = (pinned("torch"), pinned("torchvision"))
    install(session, numpy, *torch)
    session.install("--no-deps", "-e", str(FOLDER))  # for the scripts that show a defect
    test(session, ENGINE)


@nox.session(python=False)
def wheel(session: nox.Session) -> None:
    """Extras from the registry, nothing pinned by us."""
    folder = session.create_tmp()
    session.run(sys.executable, "-m", "venv", "--clear", f"{folder}/bare", external=True)
    python = f"{folder}/bare/bin/python"
    pip = (python, "-m", "pip", "--quiet", "--disable-pip-version-check")
    session.run(*pip, "wheel", "--no-deps", "-w", folder, str(FOLDER), external=True)
    (built,) = Path(folder).glob("*.whl")
    extras = f"{built}[torch,jittor,pytest]"
    session.run(*pip, "install", extras, env={"PIP_FIND_LINKS": ""}, external=True)
    # nox's own temporary folder is in the clone, where pytest would find the clone's settings
    found = {"PARITY_WHEEL_PYTHON": python, "TMPDIR": tempfile.gettempdir()}
    session.run(
        *(sys.executable, "-m", "pytest", "-q", "tests/test_wheel.py"), env=found, external=True
    )


@nox.session(python="3.12")
@nox.parametrize("what", ["torch", "jittor"], ids=["torch", "jittor"])
def apart(session: nox.Session, what: str) -> None:
    session.env["PIP_FIND_LINKS"] = ""
    needed = ("numpy>=2", "msgspec", "typing_extensions")  # docs/pairs.md says so
    session.install(*needed, *(["torch<2.12"] if what == "torch" else JITTOR))
    if what == "jittor":
        session.install(pinned("onednn-cpu-gomp"), pinned("onednn-devel-cpu-gomp"))
        session.install("--no-deps", pinned("jittor"))
    found = {"PARITY_OTHER_PYTHON": f"{session.bin}/python", "PARITY_OTHER_FRAMEWORK": what}
    command = (sys.executable, "-m", "pytest", "-q", "tests/test_apart.py")
    session.run(*command, env=found, external=True)
