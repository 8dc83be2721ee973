"""How the tests run a script: in a process of its own, with options that make it quick."""

from __future__ import annotations

import subprocess

from parity.atlas.lint import main as linted
from tests import starting, warm

ROOT = warm.ROOT
TINY = [
    "--preset=scenes_detr",
    "--set=model.backbone.width=8",
    "--set=model.transformer.hidden_dim=16",
    "--set=model.transformer.feedforward_dim=16",
    "--set=model.transformer.encoder_layers=1",
    "--set=model.transformer.decoder_layers=2",
    "--set=model.transformer.dropout=0.1",
    "--set=data.scenes.train_images=8",
    "--set=data.scenes.val_images=3",
    "--set=optimiser.batch_size=4",
]

TINY_RCNN = [
    "--preset=scenes_frcnn",
    "--set=model.backbone.width=8",
    "--set=model.fpn.channels=8",
    "--set=model.roi.hidden=16",
    "--set=model.roi.dropout=0.1",
    "--set=optimiser.kind=sgd",
    "--set=data.scenes.train_images=8",
    "--set=data.scenes.val_images=3",
]


def run(name: str, *arguments, code: int = 0) -> subprocess.CompletedProcess:
    result = starting.run(name, *arguments)
    assert result.returncode == code, result.stdout + result.stderr
    return result


def lint(capsys, *arguments) -> tuple[int, str, str]:
    """`parity lint ARGUMENTS` in this process: its exit code, stdout and stderr."""
    code = linted([str(a) for a in arguments])
    told = capsys.readouterr()
    return code, told.out, told.err
