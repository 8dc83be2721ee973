"""What jittor_setup mends in a copy of Jittor: for NumPy 2, for newer Pythons, for a GPU."""

from __future__ import annotations

import filecmp
import json
import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from jittor_setup import repairs

ROOT = Path(__file__).resolve().parent.parent
INSTALLED = Path(metadata.distribution("jittor").locate_file("")).resolve()


@pytest.mark.parametrize(
    ("numpy", "python", "wanted"),
    [
        ("1.24.4", (3, 10), set()),
        ("1.26.4", (3, 12), set()),
        ("", (3, 12), set()),
        ("2.0.0rc1", (3, 12), {"numpy"}),
        ("2.5.2", (3, 10), {"numpy"}),
        ("1.26.4", (3, 13), {"python"}),
        ("2.5.2", (3, 13), {"numpy", "python"}),
    ],
)
@pytest.mark.parametrize("cuda", [False, True])
def test_what_needs_repairs(numpy, python, wanted, cuda, monkeypatch):
    monkeypatch.setattr(repairs, "numpy_version", lambda: numpy)
    monkeypatch.setattr(repairs.sys, "version_info", (*python, 1))
    monkeypatch.setattr(repairs, "cuda_usable", lambda: cuda)
    assert {repair.what for repair in repairs.needed()} == wanted | ({"cuda"} if cuda else set())


def test_each_repair_changes_its_file_and_nothing_else(tmp_path):
    before = {r.file: (INSTALLED / r.file).read_text() for r in repairs.REPAIRS}
    place = repairs.mended(INSTALLED, tmp_path, repairs.REPAIRS)
    for repair in repairs.REPAIRS:
        text = (place / repair.file).read_text()
        assert text != before[repair.file], repair.why
        assert (INSTALLED / repair.file).read_text() == before[repair.file]
    assert "descr->elsize" not in (place / "jittor/src/pyjt/numpy.h").read_text()
    assert "copy=False" not in (place / "jittor/transform/__init__.py").read_text()
    for file in ("jittor/compiler.py", "jittor_utils/__init__.py"):
        text = (place / file).read_text()
        assert "locals()" not in text
        compile(text, file, "exec", dont_inherit=True)
    changed = set()
    for package in repairs.PACKAGES:
        for path in (p for p in (place / package).rglob("*") if p.is_file()):
            if not filecmp.cmp(path, INSTALLED / path.relative_to(place), shallow=False):
                changed.add(path.relative_to(place).as_posix())
    assert changed == set(before)
    assert repairs.mended(INSTALLED, tmp_path, repairs.REPAIRS) == place, "made once"
    assert [p.name for p in tmp_path.iterdir()] == [place.name], "nothing else is left"


def test_cuda_has_a_function_of_float64_wherever_it_has_one_of_float32(tmp_path):
    """Jittor writes ::expf(...), which makes float32 of a float64."""
    place = repairs.mended(INSTALLED, tmp_path, repairs.REPAIRS)
    text = (place / "jittor/src/type/common_op_type.cc").read_text()
    table = text[text.index("common_op_type_cuda_map") : text.index("struct CommonOpType")]
    rows = dict(re.findall(r'\{"(\w+)", "(.*)"\},', table))
    single = {name: re.findall(r"::(\w+)f\b", row) for name, row in rows.items()}
    single = {name: found[-1] for name, found in single.items() if found}
    assert {"exp", "sqrt", "sigmoid", "floor_int", "atanh", "erfinv", "mod"} <= set(single)
    for name, function in single.items():
        assert "float64" in rows[name] and re.search(rf"::{function}\b", rows[name]), name
    for name in (
        "sin",
        "floor_int",
        "exp",
    ):  # as Jittor unfolds it: the first text where the types are equal
        kind, wide, narrow = re.fullmatch(
            r"@if\(@strcmp\((\$\d),float64\)==0,(.*),(.*)\)", rows[name]
        ).groups()
        assert kind == ("$3" if name == "floor_int" else "$1")
        for branch in (wide, narrow):
            assert branch.count("(") == branch.count(")"), rows[name]
    for name in ("cublas_matmul", "cublas_batched_matmul", "cublas_acc_matmul"):
        op = (place / f"jittor/extern/cuda/cublas/ops/{name}_op.cc").read_text()
        assert "ns_float64 ? CUBLAS_COMPUTE_64F" in op
    depthwise = (place / "jittor/depthwise_conv.py").read_text()
    added = re.search(
        r"void CudaAtomicAddWithWarp\(T\* sum, T value\) \{(.*?)\}", depthwise, re.DOTALL
    )
    assert added[1].split() == ["atomicAdd(sum,", "value);"]
    compile(depthwise, "depthwise_conv.py", "exec", dont_inherit=True)


def test_another_jittor_is_refused_by_name(tmp_path):
    for repair in repairs.REPAIRS:
        (tmp_path / "site" / repair.file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "site" / repair.file).write_text("// rewritten\n")
    with pytest.raises(
        ImportError, match=r"src/pyjt/numpy\.h cannot be mended.*pip install jittor==1\.3\.11"
    ):
        repairs.mended(tmp_path / "site", tmp_path / "out", repairs.REPAIRS)
    assert not (tmp_path / "out").exists()


def test_the_mended_copy_comes_first_and_is_not_mended_again(tmp_path, monkeypatch):
    monkeypatch.setattr(repairs, "numpy_version", lambda: "2.1.0")
    monkeypatch.setattr(sys, "path", list(sys.path))
    place = repairs.apply(tmp_path)
    assert sys.path[0] == str(place) and place.parent == tmp_path / repairs.FOLDER
    sys.path_importer_cache.clear()
    assert repairs.apply(tmp_path) == place
    assert len(list(place.parent.iterdir())) == 1 and sys.path.count(str(place)) == 1
    monkeypatch.setattr(repairs, "needed", tuple)
    assert repairs.apply(tmp_path) is None


# what NumPy 2 broke; with NumPy 1 the same must hold

WORKS = """
import json, numpy as np, jittor_setup
jt = jittor_setup.import_jittor()
from PIL import Image
from jittor import transform
found = {}
rows = np.arange(12, dtype="float64").reshape(3, 4)
for kind in "bool int8 uint8 int16 int32 int64 float32 float64".split():
    x = rows.astype(kind)
    with jt.flag_scope(auto_convert_64_to_32=0):
        found[f"array {kind}"] = bool((jt.array(x).numpy() == x).all())
        found[f"part {kind}"] = bool((jt.array(x[::2, ::-1]).numpy() == x[::2, ::-1]).all())
var = jt.array(rows.astype("float32"))
for kind in (np.int32, np.int64, np.uint8):
    found[f"get {kind.__name__}"] = var[kind(1)].numpy().tolist() == rows[1].tolist()
    other = jt.array(rows.astype("float32"))
    other[kind(2)] = jt.full((4,), 7.0)  # a number would meet another of Jittor's faults
    found[f"set {kind.__name__}"] = other.numpy()[2].tolist() == [7.0] * 4
    found[f"both {kind.__name__}"] = float(var[kind(1), kind(3)].item()) == rows[1, 3]
picture = Image.fromarray((np.arange(60) * 4).astype("uint8").reshape(4, 5, 3))
for mode in ("RGB", "L", "I", "F", "1"):
    image = picture if mode == "RGB" else picture.convert("L").convert(mode)
    array = transform.to_tensor(image)
    found[f"picture {mode}"] = array.shape[-2:] == (4, 5) and bool(np.isfinite(array).all())
turned = np.asarray(transform.adjust_hue(picture, -0.05))
found["hue"] = turned.shape == (4, 5, 3) and bool((np.asarray(transform.adjust_hue(picture, 0.0)) != turned).any())
system = np.stack([np.eye(3) * 2, np.eye(3) * 4]).astype("float32")
for shape in ((2, 3), (2, 3, 1), (2, 3, 2)):
    a, b = jt.array(system), jt.array(np.ones(shape, "float32"))
    x = jt.linalg.solve(a, b)
    wanted = np.ones(shape) / np.array([2, 4]).reshape(2, *[1] * (len(shape) - 1))
    found[f"solve {shape}"] = x.shape == shape and bool(np.allclose(x.numpy(), wanted))
    slope = jt.grad(x.sum(), a).numpy()  # of 1 / d for every right-hand side, in every place
    columns = 1 if len(shape) == 2 else shape[2]
    wanted = -columns / np.array([4, 16]).reshape(2, 1, 1) * np.ones((2, 3, 3))
    found[f"gradient of solve {shape}"] = bool(np.allclose(slope, wanted))
print(json.dumps({"numpy": np.__version__, "wrong": [k for k, v in found.items() if not v], "looked at": len(found)}))
"""


def test_what_numpy_2_broke_works():
    command = [sys.executable, "-c", WORKS]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-2000:]
    found = json.loads(result.stdout.splitlines()[-1])
    assert found["wrong"] == [] and found["looked at"] == 37, found


def test_the_copy_is_named_by_what_is_in_it(tmp_path):
    """Installed anew from the same wheel, on another machine, too, it is the same."""
    (repair,) = [r for r in repairs.REPAIRS if r.file == "jittor/src/pyjt/numpy.h"][:1]
    installed, cache = tmp_path / "site", tmp_path / "cache"
    for file in (repair.file, "jittor_utils/__init__.py"):
        (installed / file).parent.mkdir(parents=True, exist_ok=True)
        (installed / file).write_bytes((INSTALLED / file).read_bytes())
    place = repairs.mended(installed, cache, (repair,))
    os.utime(installed / repair.file, (1, 1))
    assert repairs.mended(installed, cache, (repair,)) == place
    with (installed / repair.file).open("a") as file:
        file.write("// another Jittor\n")
    assert repairs.mended(installed, cache, (repair,)) != place
