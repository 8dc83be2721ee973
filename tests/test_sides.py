"""Where halves live: other interpreters, packages of one name, folders and variables of their own."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest

from parity import (
    Case,
    InputError,
    Side,
    Workers,
    check_steps,
    examine,
)
from parity.engine.sides.workers import Worker

HALF = """
import os
import sys
from torch import nn


def build():
    from models import make  # both halves call theirs so

    return make()


def where(server):
    return {"cwd": os.getcwd(), "python": sys.executable, "said": os.environ.get("SAID")}
"""
pytestmark = pytest.mark.usefixtures("warm_workers")

MODELS = "from torch import nn\n\n\ndef make():\n    return nn.Sequential(nn.Linear(4, 3), nn.{})\n"


@pytest.fixture(scope="module")
def other_python(tmp_path_factory) -> Path:
    """Another interpreter that has this one's packages, and no clone of ours."""
    folder = tmp_path_factory.mktemp("other")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    site = next((folder / "lib").glob("python*")) / "site-packages"
    (site / "others.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return folder / "bin" / "python"


@pytest.fixture
def halves(tmp_path) -> dict[str, Path]:
    (tmp_path / "half.py").write_text(HALF)
    for name, layer in (("ours", "ReLU()"), ("theirs", "ReLU()"), ("wrong", "GELU()")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "models.py").write_text(MODELS.format(layer))
    return {name: tmp_path / name for name in ("ours", "theirs", "wrong")} | {"root": tmp_path}


@pytest.fixture(scope="module")
def workers():
    with Workers() as both:
        yield both


def inputs():
    return (np.random.default_rng(0).standard_normal((5, 4)),)


def test_halves_with_packages_of_one_name_in_two_interpreters(halves, other_python):
    build = f"{halves['root'] / 'half.py'}:build"
    ours = Side(build, "torch", path=(str(halves["ours"]),))
    theirs = Side(build, "torch", path=(str(halves["theirs"]),), python=str(other_python))
    result = examine(Case("same", ours, theirs, inputs))
    result.raise_for_failures()
    pythons = {result.environment[s]["framework"] for s in ("reference", "candidate")}
    assert pythons == {"torch"}
    wrong = Side(build, "torch", path=(str(halves["wrong"]),), python=str(other_python))
    found = examine(Case("wrong", ours, wrong, inputs, float32=False))
    assert set(found.culprits) == {"1"}
    assert found.culprits["1"].guilty == "candidate"
    with pytest.raises(AssertionError, match="1: SEMANTIC-DIFF candidate"):
        found.raise_for_failures()


def test_a_process_of_its_own(halves, other_python, tmp_path):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    side = Side("", "torch", python=str(other_python), cwd=folder, env={"SAID": "so"})
    worker = Worker(side)
    try:
        found = worker.run(f"{halves['root'] / 'half.py'}:where")
    finally:
        worker.close()
    assert found == {"cwd": str(folder), "python": str(other_python), "said": "so"}


@pytest.mark.parametrize(
    ("side", "message"),
    [
        (Side("x:y", "torch", python="/nowhere/python"), "cannot be started"),
        (Side("x:y", "torch", cwd=Path("/nowhere")), "cannot be started"),
        (Side("no_such_module:f", "torch"), "no module no_such_module"),
        (Side("json:no_such_function", "torch"), "defines no function no_such_function"),
        (Side("json", "torch"), "package.module:function"),
        (Side("json:loads", "tensorflow"), "there are torch and jittor"),
    ],
)
def test_what_cannot_be_is_told(side, message):
    worker = Worker(side)
    try:
        with pytest.raises(InputError, match=message):
            worker.call("build", side, "cpu", "float32")
    finally:
        worker.close()


KINDS = """
import numpy as np


def half(framework, kind):
    if framework == "torch":
        import torch as fw
        from torch import nn
    else:
        import jittor as fw
        from jittor import nn
    forwards = {
        "no parameters": lambda self, x: x * 2 + 1,
        "several": lambda self, x: (x.sum(1), None, "word", 3, {"a": [x * 3]}),
        "detached": lambda self, x: (x * x).detach(),
        "its input": lambda self, x: x,
        "nothing": lambda self, x: {},
    }
    return type("Half", (nn.Module,), {"forward": forwards[kind], "execute": forwards[kind]})()
"""


@pytest.mark.parametrize("kind", ["no parameters", "several", "detached", "its input", "nothing"])
def test_whatever_a_module_returns_is_no_alarm(kind, tmp_path, workers):
    (tmp_path / "kinds.py").write_text(KINDS)
    sides = [
        Side(f"{tmp_path / 'kinds.py'}:half", fw, arguments={"framework": fw, "kind": kind})
        for fw in ("torch", "jittor")
    ]
    case = Case(kind, *sides, inputs)
    for result in (examine(case, workers), check_steps(case, workers, steps=2)):
        result.raise_for_failures()
    compared = {v.check for v in examine(case, workers).verdicts}
    assert ("float64 node gradients" in compared) == (kind not in ("detached", "nothing"))
