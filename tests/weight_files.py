"""Small weight files of every layout, for the tests of readers and the fuzzer."""

from __future__ import annotations

import argparse
import hashlib
import io
import pickle
from pathlib import Path

import numpy as np

from neutral.weights.readers import JITTOR_MARK


def example_arrays() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    return {
        "conv.weight": generator.standard_normal((4, 3, 2, 2)).astype(np.float32),
        "fc.weight": generator.standard_normal((5, 5)).astype(np.float32),
        "fc.bias": generator.standard_normal(5).astype(np.float32),
        "big": generator.standard_normal((64, 32)).astype(np.float32),
        "count": np.array(7, dtype=np.int64),
    }


def as_torch_zip(arrays) -> bytes:
    return _torch(arrays, True)


def as_torch_stream(arrays) -> bytes:
    return _torch(arrays, False)


def _torch(arrays, is_zip: bool) -> bytes:
    import torch

    file = io.BytesIO()
    state = {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}
    content = {"model": state, "args": argparse.Namespace(lr=1), "epoch": 3}
    torch.save(content, file, _use_new_zipfile_serialization=is_zip)
    return file.getvalue()


def as_jittor(arrays, protocol: int = 4) -> bytes:
    """As jt.save writes a state dict of arrays."""
    data = pickle.dumps(dict(arrays), protocol)
    return data + hashlib.sha1(data).digest() + JITTOR_MARK


def as_detectron2(arrays) -> bytes:
    return pickle.dumps({"model": dict(arrays), "__author__": "test", "matching_heuristics": True})


def as_npz(arrays, compressed: bool = False) -> bytes:
    file = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(file, **arrays)
    return file.getvalue()


def as_safetensors(arrays) -> bytes:
    from safetensors.numpy import save

    return save(arrays, {"format": "pt"})


LAYOUTS = {  # suffix, maker, what the reader calls it
    "torch-zip": (".pth", as_torch_zip, "PyTorch zip"),
    "torch-stream": (".pth", as_torch_stream, "PyTorch pickle stream"),
    "jittor": (".pkl", as_jittor, "Jittor pickle"),
    "jittor-protocol-2": (".pkl", lambda a: as_jittor(a, 2), "Jittor pickle"),
    "jittor-protocol-5": (".pkl", lambda a: as_jittor(a, 5), "Jittor pickle"),
    "detectron2": (".pkl", as_detectron2, "pickle"),
    "npz": (".npz", as_npz, "NumPy zip"),
    "npz-compressed": (".npz", lambda a: as_npz(a, True), "NumPy zip"),
    "safetensors": (".safetensors", as_safetensors, "safetensors"),
}


def write_file(folder: Path, layout: str, arrays=None) -> Path:
    suffix, make, _ = LAYOUTS[layout]
    path = folder / f"{layout}{suffix}"
    path.write_bytes(make(arrays or example_arrays()))
    return path
