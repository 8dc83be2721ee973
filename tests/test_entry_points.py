"""Whole models from their entry points: two packages of one name, and the reference's checkpoint in both."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from parity import Case, InputError, checkpoint, examine, propose_names

MODEL = """
from FRAMEWORK import nn


class Net(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.STEM = nn.Linear(6, width)
        self.head = nn.Linear(width, 3)

    def forward(self, x):
        return self.head(self.STEM(x))

    execute = forward


def build_model(args):
    return Net(args.width)
"""
PAIR = """
import sys
from argparse import Namespace

import numpy as np

HERE = "FOLDER"


def build(folder):
    sys.path.insert(0, f"{HERE}/{folder}")
    from models import build_model

    return build_model(Namespace(width=5))


def torch_side():
    return build("reference")


def jittor_side():
    return build("port")


def jittor_name(name):
    return name.replace("backbone", "stem")


def weights(shapes):
    from parity import checkpoint

    return checkpoint(f"{HERE}/net.pth", shapes)


def inputs():
    return (np.random.default_rng(0).standard_normal((2, 6)),)
"""
STATE = {
    name: torch.randn(shape)
    for name, shape in {
        "stem.weight": (5, 6),
        "stem.bias": (5,),
        "head.weight": (3, 5),
        "head.bias": (3,),
    }.items()
}


def write(folder: Path) -> Path:
    for name, framework, stem in (("reference", "torch", "stem"), ("port", "jittor", "backbone")):
        package = folder / name / "models"
        package.mkdir(parents=True)
        text = MODEL.replace("FRAMEWORK", framework).replace("STEM", stem)
        (package / "__init__.py").write_text(text)
    torch.save(
        {"epoch": 3, "model": {f"module.{k}": x for k, x in STATE.items()}}, folder / "net.pth"
    )
    (folder / "pair.py").write_text(PAIR.replace("FOLDER", str(folder)))
    return folder / "pair.py"


def test_packages_of_one_name_and_a_checkpoint_in_both(tmp_path):
    path = write(tmp_path)
    case = Case.from_file(path)
    result = examine(case)
    assert not result.failures and result.counts()["PASS"] > 20
    path.write_text(path.read_text().replace("def jittor_name", "def unused"))
    names = propose_names(Case.from_file(path)).names()
    assert names["backbone.weight"] == "stem.weight" and names["backbone"] == "stem"


def test_checkpoints_are_found_inside_and_what_is_missing_is_named(tmp_path):
    write(tmp_path)
    shapes = {name: tuple(x.shape) for name, x in STATE.items()}
    found = checkpoint(tmp_path / "net.pth", shapes)
    assert all((found[name] == x.numpy()).all() for name, x in STATE.items())
    np.savez(tmp_path / "net.npz", **{k: x.numpy() for k, x in STATE.items()})
    assert checkpoint(tmp_path / "net.npz", shapes).keys() == shapes.keys()
    with pytest.raises(InputError, match="lacks 1 of 5 weights, neck"):
        checkpoint(tmp_path / "net.pth", shapes | {"neck": (2,)})
    drawn = checkpoint(tmp_path / "net.pth", shapes | {"neck": (2,)}, draw_missing=True)
    assert drawn["neck"].shape == (2,)
    with pytest.raises(InputError, match="bias has shape"):
        checkpoint(tmp_path / "net.pth", shapes | {"head.bias": (4,)})
    (tmp_path / "bad.pth").write_bytes(b"nothing")
    with pytest.raises(InputError, match="cannot be read as weights"):
        checkpoint(tmp_path / "bad.pth", shapes)
