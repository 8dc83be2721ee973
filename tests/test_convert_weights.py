"""scripts/convert_weights as a user runs it: what it prints, writes and refuses."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from neutral.config import preset
from neutral.runlog import read_log
from neutral.weights import load_file, save_weights
from neutral.weights.layout import canonical_shapes
from parity.engine.judge.weights import drawn_weights
from tests.commands import ROOT, run

PRESET = "--preset=scenes_detr"


@pytest.fixture(scope="module")
def official(tmp_path_factory):
    """A DETR checkpoint as its reference writes them."""
    path = tmp_path_factory.mktemp("weights") / "checkpoint.pth"
    weights = drawn_weights(canonical_shapes(preset("scenes_detr")))
    state = {k: torch.from_numpy(v) for k, v in weights.items()}
    state["backbone.0.body.bn1.num_batches_tracked"] = torch.tensor(3)
    torch.save({"model": state, "epoch": 7}, path)
    return path


def test_conversion_writes_the_file_and_its_proof(official, tmp_path):
    out = tmp_path / "w.safetensors"
    result = run("convert_weights", "convert", official, PRESET, f"--out={out}")
    assert "facebookresearch/detr" in result.stdout
    proof = json.loads((tmp_path / "w.safetensors.json").read_text())
    shapes = canonical_shapes(preset("scenes_detr"))
    assert proof["tensors"] == {
        "theirs": len(shapes) + 1,
        "used": len(shapes),
        "ours": len(shapes),
    }
    assert list(proof["left_out"]) == ["backbone.0.body.bn1.num_batches_tracked"]
    assert proof["round_trip"].startswith("bit for bit")
    weights, metadata = load_file(out)
    assert metadata["source_file"] == "checkpoint.pth"
    theirs = torch.load(official, weights_only=True)["model"]
    assert all(np.array_equal(weights[k], theirs[k].numpy()) for k in shapes)


def test_both_files_are_verified_in_both_frameworks(official, tmp_path):
    """To Jittor's format under Hugging Face's names: the most that changes on one way."""
    out = tmp_path / "w.pkl"
    naming = "--naming=Hugging Face DETR"
    result = run("convert_weights", "convert", official, PRESET, f"--out={out}", naming, "--verify")
    assert "both frameworks compute the same" in result.stdout
    proof = json.loads((tmp_path / "w.pkl.json").read_text())
    assert proof["verified"]["PASS"] > 300
    assert proof["verified"]["FAIL"] == 0


def test_inspect(official):
    result = run("convert_weights", "inspect", official)
    for text in (
        "PyTorch zip",
        "facebookresearch/detr",
        "epoch (int)",
        "class_embed",
        "weight: float32 [9, 64]",
        "std",
    ):
        assert text in result.stdout, text
    about = json.loads(run("convert_weights", "inspect", official, "--json").stdout)
    assert about["sources"] == ["facebookresearch/detr"]
    tensor = about["tensors"]["class_embed.weight"]
    values = torch.load(official, weights_only=True)["model"]["class_embed.weight"].numpy()
    assert tensor["mean"] == pytest.approx(float(values.mean()), abs=1e-6)
    assert tensor["max"] == float(values.max())
    assert "Hugging Face DETR" in run("convert_weights", "sources").stdout


def test_values_that_are_not_finite_are_counted(tmp_path):
    path = tmp_path / "w.safetensors"
    save_weights(path, {"a.b": np.array([1, np.nan, np.inf, 0], np.float32)})
    assert "2 NaN or infinite" in run("convert_weights", "inspect", path).stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--preset=scenes_frcnn"], "a detr model; the preset scenes_frcnn"),
        ([PRESET, "--set=model.num_classes=3"], "--reset-heads begins class_embed.weight"),
        ([PRESET, "--source=nobody"], "is not one of"),
        ([PRESET, "--naming=trzy"], "has no name for transformer.encoder"),
        ([PRESET, "--out={folder}/w.bin"], "are written as .safetensors, .pth"),
        (["--preset=nothing"], "unknown preset 'nothing'"),
    ],
)
def test_what_cannot_be_converted(official, tmp_path, arguments, message):
    arguments = [a.format(folder=tmp_path) for a in arguments]
    out = [] if any(a.startswith("--out") for a in arguments) else [f"--out={tmp_path}/w.pth"]
    result = run("convert_weights", "convert", official, *arguments, *out, code=2)
    assert message in result.stderr
    assert result.stderr.startswith("error: ")
    assert list(tmp_path.iterdir()) == [], "nothing half written"


def test_damaged_and_hostile_files(tmp_path):
    import os
    import pickle

    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path}/mark",)

    path = tmp_path / "evil.pth"
    path.write_bytes(pickle.dumps({"model": Evil()}))
    for command in (["inspect"], ["convert", PRESET, f"--out={tmp_path}/w.pth"]):
        result = run("convert_weights", command[0], path, *command[1:], code=2)
        assert "evil.pth: refused: it names posix.system" in result.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["evil.pth"]


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".pkl"])
def test_a_full_disk_leaves_nothing(official, tmp_path, suffix):
    """As far as a limit on the size of files is a full disk."""
    command = f"ulimit -f 200; exec {sys.executable} -m scripts.convert_weights convert {official} {PRESET}"
    result = subprocess.run(
        ["bash", "-c", f"{command} --out {tmp_path}/w{suffix}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2, result.stderr
    assert f"w{suffix}: cannot be written (File too large)" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_training_starts_from_other_classes(official, tmp_path):
    """Fine-tuning: the heads that begin anew are named, in the terminal and in the log."""
    few = ["--set=data.scenes.train_images=4", "--set=data.scenes.val_images=2"]
    few += ["--set=optimiser.batch_size=4"]
    command = ["train", "--framework=torch", PRESET, *few, f"--weights={official}"]
    command += ["--set=model.num_classes=12", "--set=optimiser.epochs=1", f"--out={tmp_path}"]
    result = run(*command, code=2)
    assert "--reset-heads" in result.stderr
    result = run(*command, "--reset-heads")
    names = "class_embed.weight, class_embed.bias"
    assert names in " ".join((result.stdout + result.stderr).split())
    told = read_log(tmp_path / "log.txt").header["weights"]
    assert list(told["begun_anew"]) == names.split(", ")
    assert told["source"] == "facebookresearch/detr"
