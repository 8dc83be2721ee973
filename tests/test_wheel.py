"""The wheel: what is in it, and that a pair runs with nothing of the repository at hand.

The frameworks are those of this environment, put on the path of a fresh one; `nox -s wheel` installs them anew.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAIR = ROOT / "docs" / "example_pair.py"
TEST = """
from parity import Case, examine

def test_pair():
    result = examine(Case.from_file("pair.py"))
    result.raise_for_failures()
    assert result.counts()["PASS"] > 100
"""
TORCH_TEST = """
from parity import Case, Side, Workers, examine

def build():
    from torch import nn
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))

def build_otherwise():
    from torch import nn
    return nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 3))

def test_torch_against_torch(parity_conclude):
    import numpy as np
    inputs = lambda: (np.ones((5, 4)),)
    sides = [Side(f"{__file__}:{name}", "torch") for name in ("build", "build_otherwise")]
    with Workers(*sides) as workers:
        same = examine(Case("same", sides[0], sides[0], inputs), workers)
        wrong = examine(Case("wrong", *sides, inputs), workers)
    parity_conclude(same.verdicts)
    assert set(wrong.culprits) == {"1"} and wrong.culprits["1"].guilty == "candidate"
"""
TORCH_PAIR = """
import numpy as np
from parity import Case, Side

def half(eps):
    from torch import nn
    return nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8, eps=eps), nn.Linear(8, 3))

def inputs():
    return (np.random.default_rng(0).standard_normal((5, 4)),)

sides = [Side(f"{__file__}:half", "torch", arguments={"eps": eps}) for eps in (1e-5, EPS)]
CASE = Case("ours", *sides, inputs)
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """What is built, as a build leaves files behind: not in the clone."""
    folder = tmp_path_factory.mktemp("source")
    for name in ("parity", "jittor_setup", "door"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for name in ("pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "tests/test_wheel.py"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def wheel(source, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    result = subprocess.run(
        [*command, "-w", str(folder), str(source)], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory) -> Path:
    """An interpreter with the wheel installed, and this environment's other packages on its path."""
    if "PARITY_WHEEL_PYTHON" in os.environ:  # `nox -s wheel`: pip installed it, with its extras
        return Path(os.environ["PARITY_WHEEL_PYTHON"]).absolute()
    return installed(wheel, tmp_path_factory.mktemp("bare"), Path(sysconfig.get_paths()["purelib"]))


@pytest.fixture(scope="module")
def torch_python(wheel, tmp_path_factory) -> Path:
    """The same without Jittor."""
    others = tmp_path_factory.mktemp("others")
    for package in Path(sysconfig.get_paths()["purelib"]).iterdir():
        if not package.name.lower().startswith(("jittor", "onednn", "parity", "detector_parity")):
            (others / package.name).symlink_to(package)
    return installed(wheel, tmp_path_factory.mktemp("torch_alone"), others)


def installed(wheel: Path, folder: Path, others: Path) -> Path:
    """The interpreter of a fresh environment, in which pip has installed the wheel, `others` behind it on its path."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    command = [*pip, "--no-deps", "--no-index", "--disable-pip-version-check", str(wheel)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    site = next((folder / "lib").glob("python*")) / "site-packages"
    # a folder named here is searched, but its own .pth files (this clone's among them) are not read
    (site / "others.pth").write_text(f"{others}\n")
    return python


def execute(folder: Path, *command) -> subprocess.CompletedProcess:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def run(python: Path, folder: Path, *command: str) -> subprocess.CompletedProcess:
    return execute(folder, python, "-m", *command)


def parity(python: Path, folder: Path, *command: str) -> subprocess.CompletedProcess:
    """The command that was installed."""
    return execute(folder, python.with_name("parity"), *command)


def test_it_has_the_library_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names if ".dist-info" not in name}
    assert tops == {"parity", "jittor_setup", "door"}
    assert not [name for name in names if name.startswith("parity/suite")]
    for wanted in (
        "templates/report.html.j2",
        "templates/vendor/uplot.js",
        "atlas/atlas.json",
        "cli.py",
    ):
        assert f"parity/{wanted}" in names
    assert "jittor_setup/compiler.sh" in names
    entry_points = next(name for name in names if name.endswith("entry_points.txt"))
    text = zipfile.ZipFile(wheel).read(entry_points).decode()
    assert "parity = parity.cli:main" in text and "[pytest11]" in text


def test_the_source_distribution_has_the_same(source, tmp_path):
    """As `python -m build` makes it, without the environment of its own."""
    code = (
        "import sys; from setuptools import build_meta; print(build_meta.build_sdist(sys.argv[1]))"
    )
    result = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning", "-c", code, str(tmp_path)],
        cwd=source,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        parts = {tuple(Path(name).parts[1:3]) for name in opened.getnames()}
    assert {p[0] for p in parts if len(p) == 2} == {
        *("parity", "jittor_setup", "door", "detector_parity.egg-info")
    }
    assert ("parity", "suite") not in parts and ("parity", "cli.py") in parts


def test_nothing_of_the_repository_is_at_hand(python, tmp_path):
    code = "import parity, neutral"
    result = subprocess.run([python, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert "No module named 'neutral'" in result.stderr


def test_a_pair_runs_in_an_empty_folder(python, tmp_path):
    (tmp_path / "pair.py").write_text(PAIR.read_text())
    (tmp_path / "test_pair.py").write_text(TEST)
    (tmp_path / "test_torch.py").write_text(TORCH_TEST)
    result = run(python, tmp_path, "pytest", "-q", "-p", "parity.pytest_plugin")
    assert result.returncode == 0, result.stdout + result.stderr
    assert (tmp_path / "logs" / "parity" / "report.html").is_file()


def test_the_command_tells_a_wrong_pair(python, tmp_path):
    source = PAIR.read_text()
    before, jittor = source.split("def jittor_side():")
    wrong = before + "def jittor_side():" + jittor.replace("Norm2d(8)", "Norm2d(8, eps=1e-3)")
    assert wrong != source
    (tmp_path / "wrong.py").write_text(wrong)
    result = parity(python, tmp_path, "run", "wrong.py", "--out", "out", "--steps", "0")
    assert result.returncode == 1, result.stdout + result.stderr
    assert "eps: torch 1e-05, jittor 0.001" in result.stdout.replace("\n", " ")
    result = parity(python, tmp_path, "run", "missing.py")
    assert result.returncode == 2 and "no such file" in result.stderr
    assert "Traceback" not in result.stderr


def test_pytorch_alone_is_enough_for_pytorch_against_pytorch(torch_python, tmp_path):
    lost = run(torch_python, tmp_path, "jittor")
    assert "No module named jittor" in lost.stderr
    (tmp_path / "test_torch.py").write_text(TORCH_TEST)
    result = run(torch_python, tmp_path, "pytest", "-q", "-p", "parity.pytest_plugin")
    assert result.returncode == 0, result.stdout + result.stderr
    for eps, code in ((1e-5, 0), (1e-3, 1)):
        (tmp_path / "ours.py").write_text(TORCH_PAIR.replace("EPS", str(eps)))
        result = parity(torch_python, tmp_path, "run", "ours.py", "--steps", "0", "--no-branches")
        assert result.returncode == code, result.stdout + result.stderr
        assert (tmp_path / "logs" / "parity" / "report.html").is_file()
    assert "eps" in result.stdout
    unable = parity(torch_python, tmp_path, "map", str(PAIR))
    assert unable.returncode == 2 and "jittor" in unable.stderr
