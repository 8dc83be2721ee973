"""Which of oneDNN's kernels Jittor's convolutions of float32 are (jittor_setup/convolutions.py), and what they give."""

from __future__ import annotations

import filecmp
import json
import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from door.randomness import stream
from jittor_setup import convolutions

torch = pytest.importorskip("torch")

SOURCES = Path(metadata.distribution("jittor").locate_file("jittor/extern/mkl/ops")).resolve()
LIMIT = 1e-6  # relative L2, float32, sums of up to 600 products
CASES = {  # shapes of image and weights, options
    "3x3": ([2, 64, 14, 11], [64, 64, 3, 3], {"padding": 1}),
    "1x1": ([2, 64, 14, 11], [128, 64, 1, 1], {}),
    "1x1, stride 2": ([2, 64, 14, 11], [128, 64, 1, 1], {"stride": 2}),
    "7x7 of an image": ([2, 3, 40, 33], [64, 3, 7, 7], {"stride": 2, "padding": 3}),
    "dilated": ([1, 64, 14, 11], [48, 64, 3, 3], {"padding": 2, "dilation": 2}),
    "odd channels": ([1, 5, 9, 8], [7, 5, 3, 3], {}),
    "depthwise": ([2, 32, 9, 8], [32, 1, 3, 3], {"padding": 1, "groups": 32}),
}
JITTOR = """
import json, sys
import numpy as np
import jittor_setup
jt = jittor_setup.import_jittor()
given, found = np.load(sys.argv[1]), {}
for name, (_, _, options) in json.loads(sys.argv[2]).items():
    x, w, dy = (jt.array(given[f"{name}/{k}"]) for k in ("x", "w", "dy"))
    y = jt.nn.conv2d(x, w, **options)
    dx, dw = jt.grad((y * dy).sum(), [x, w])
    found |= {f"{name}/{k}": v.numpy() for k, v in {"y": y, "dx": dx, "dw": dw}.items()}
np.savez(sys.argv[3], **found)
"""


def test_one_file_is_mended_once(tmp_path):
    place = convolutions.mended(SOURCES, tmp_path)
    changed = [p.name for p in place.iterdir() if not filecmp.cmp(p, SOURCES / p.name, False)]
    assert changed == [convolutions.FILE]
    assert {p.name for p in SOURCES.iterdir() if p.is_file()} == {p.name for p in place.iterdir()}
    assert convolutions.mended(SOURCES, tmp_path) == place
    assert [*(tmp_path / convolutions.FOLDER).iterdir()] == [place], "nothing else is left"


def test_sources_of_another_version_stay(tmp_path):
    (tmp_path / convolutions.FILE).write_text("// nothing that we know\n")
    assert convolutions.mended(tmp_path, tmp_path / "cache") == tmp_path
    assert not (tmp_path / "cache").exists()


def inputs_of(name: str) -> dict[str, np.ndarray]:
    x, w, options = CASES[name]
    given = {"x": x, "w": w}
    given = {k: stream(0, name, k).standard_normal(shape) for k, shape in given.items()}
    y = torch.nn.functional.conv2d(*map(torch.from_numpy, given.values()), **options)
    return given | {"dy": stream(0, name, "dy").standard_normal(tuple(y.shape))}


@pytest.fixture(scope="module")
def ran(tmp_path_factory) -> tuple[dict[str, np.ndarray], str]:
    """What Jittor has, and what oneDNN tells of its work."""
    folder = tmp_path_factory.mktemp("convolutions")
    given = {
        f"{name}/{k}": v.astype(np.float32) for name in CASES for k, v in inputs_of(name).items()
    }
    np.savez(folder / "given.npz", **given)
    arguments = folder / "given.npz", json.dumps(CASES), folder / "found.npz"
    result = subprocess.run(
        [sys.executable, "-c", JITTOR, *map(str, arguments)],
        check=True,
        env=os.environ | {"DNNL_VERBOSE": "1"},
        capture_output=True,
        text=True,
    )
    return dict(np.load(folder / "found.npz")), result.stdout


@pytest.mark.parametrize("name", CASES)
def test_against_torch(name, ran):
    given = {k: v.astype(np.float32).astype(np.float64) for k, v in inputs_of(name).items()}
    x, w = (torch.from_numpy(given[k]).requires_grad_() for k in "xw")
    y = torch.nn.functional.conv2d(x, w, **CASES[name][2])
    dx, dw = torch.autograd.grad(y, (x, w), torch.from_numpy(given["dy"]))
    for key, wanted in {"y": y.detach(), "dx": dx, "dw": dw}.items():
        found = ran[0][f"{name}/{key}"]
        assert found.dtype == np.float32 and found.shape == tuple(wanted.shape)
        error = np.linalg.norm(found - wanted.numpy()) / np.linalg.norm(wanted.numpy())
        assert error <= LIMIT, (key, error)


def test_no_slow_reordering(ran):
    forward = re.findall(r"exec,cpu,convolution,([\w:]+),forward", ran[1])
    assert len(forward) >= len(CASES), "every case is oneDNN's"
    assert not [kernel for kernel in forward if kernel.startswith("brgconv")]
    padded = [line for line in ran[1].splitlines() if "simple:any" in line and "Acdb48a" in line]
    assert padded == []
