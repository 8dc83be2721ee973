"""Weight files of every layout, whole, damaged and hostile."""

from __future__ import annotations

import hashlib
import pickle
import zipfile

import numpy as np
import pytest
import torch

from door.tensorfile import Item
from neutral.errors import InputError
from neutral.weights.readers import JITTOR_MARK, read_checkpoint
from neutral.weights.writers import write_weights
from tests.weight_files import LAYOUTS, example_arrays, write_file


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_arrays(tmp_path, layout):
    path, arrays = write_file(tmp_path, layout), example_arrays()
    found = read_checkpoint(path)
    assert found.layout == LAYOUTS[layout][2]
    assert set(found.tensors) == set(arrays)
    for name, array in arrays.items():
        tensor = found.tensors[name]
        assert tensor.dtype == str(array.dtype)
        assert tensor.shape == array.shape
        assert np.array_equal(tensor.values(), array), name


@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "stream"])
def test_pytorchs_tensors_of_every_kind(tmp_path, is_zip):
    """Views, other dtypes, tied and expanded tensors, and a Namespace, as PyTorch itself sees them."""
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    state = {
        "whole": base,
        "view": base[1:3, ::2],
        "transposed": base.T,
        "channels last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "double": torch.tensor([1.5], dtype=torch.float64),
        "half": torch.tensor([1.5, -0.0, 65504, torch.inf], dtype=torch.float16),
        "bfloat": torch.tensor([1.5, -0.0, 3e38, torch.nan], dtype=torch.bfloat16),
        "count": torch.tensor(7),
        "flag": torch.tensor([True, False]),
        "empty": torch.zeros(0, 3),
        "expanded": torch.ones(1).expand(3, 4),
        "parameter": torch.nn.Parameter(torch.ones(2)),
        "tied": base,
    }
    path = tmp_path / "c.pth"
    torch.save({"state_dict": state, "epoch": 3}, path, _use_new_zipfile_serialization=is_zip)
    found = read_checkpoint(path)
    assert list(found.tensors) == list(state)
    for name, tensor in state.items():
        values, wanted = found.tensors[name].values(), tensor.detach()
        assert found.tensors[name].dtype == str(wanted.dtype).removeprefix("torch.")
        wanted = (wanted.float() if wanted.dtype == torch.bfloat16 else wanted).numpy()
        assert values.shape == wanted.shape
        assert np.ascontiguousarray(values).tobytes() == wanted.tobytes(), name
    assert found.tied() == [["whole", "tied"]]
    assert found.beside == {"epoch": "int"}


def test_safetensors_bfloat16_and_scalars(tmp_path):
    from safetensors.torch import save_file

    path = tmp_path / "w.safetensors"
    state = {"b": torch.tensor([1.25, -3e38], dtype=torch.bfloat16), "s": torch.tensor(2.5)}
    save_file(state, path)
    found = read_checkpoint(path).tensors
    assert found["b"].values().tolist() == state["b"].tolist()
    assert found["s"].shape == ()


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".pkl"])
def test_what_we_write_others_load(tmp_path, suffix):
    arrays = {k: v for k, v in example_arrays().items() if v.dtype == np.float32}
    arrays["empty"] = np.zeros((0, 3), np.float32)
    arrays["transposed"] = arrays["big"].T
    items = [Item(k, "float32", v.shape, lambda v=v: v) for k, v in arrays.items()]
    path = write_weights(tmp_path / f"w{suffix}", items, {"a": "b"})
    read = read_checkpoint(path)
    if suffix == ".pth":
        theirs = {k: v.numpy() for k, v in torch.load(path, weights_only=True).items()}
    elif suffix == ".pkl":
        data = path.read_bytes()
        assert hashlib.sha1(data[:-28]).digest() + JITTOR_MARK == data[-28:], "as jt.load checks it"
        theirs = pickle.loads(data[:-28])
    else:
        from safetensors.numpy import load_file

        theirs = load_file(path)
        assert read.metadata == {"a": "b"}
    for found in ({k: t.values() for k, t in read.tensors.items()}, theirs):
        assert set(found) == set(arrays)
        assert all(
            np.array_equal(found[k], v) and found[k].dtype == v.dtype for k, v in arrays.items()
        )


def test_large_files_are_read_without_being_copied(tmp_path):
    """Tensors are views of the mapped file: reading 64 MB allocates next to nothing."""
    import tracemalloc

    arrays = {"large": np.ones((4096, 4096), np.float32)}
    for layout in ("torch-zip", "torch-stream", "jittor", "npz", "safetensors", "detectron2"):
        path = write_file(tmp_path, layout, arrays)
        tracemalloc.start()
        found = read_checkpoint(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert found.tensors["large"].shape == (4096, 4096)
        assert peak < 4e6, f"{layout}: {peak / 1e6:.0f} MB"
        path.unlink()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_truncated_files_are_named(tmp_path, layout):
    path = write_file(tmp_path, layout)
    whole = path.read_bytes()
    for length in (0, 1, 9, 10, 200, len(whole) // 2, len(whole) - 100, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=path.name):
            read_checkpoint(path)


def test_absent_files_folders_and_other_things(tmp_path):
    with pytest.raises(InputError, match=r"absent\.pth: no such"):
        read_checkpoint(tmp_path / "absent.pth")
    with pytest.raises(InputError, match="is a folder"):
        read_checkpoint(tmp_path)
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8\xff\xe0 a photograph")
    with pytest.raises(InputError, match="neither safetensors, a zip nor a pickle"):
        read_checkpoint(tmp_path / "a.jpg")
    (tmp_path / "list.pkl").write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(InputError, match="holds no tensors by name"):
        read_checkpoint(tmp_path / "list.pkl")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("a.txt", "text")
    with pytest.raises(InputError, match=r"without data\.pkl"):
        read_checkpoint(tmp_path / "other.zip")
