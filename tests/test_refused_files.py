"""Hostile and damaged weight files: refused in one line, and nothing in them runs."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import struct
import sys
import time
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neutral.errors import InputError
from neutral.weights.readers import JITTOR_MARK, read_checkpoint
from tests.weight_files import LAYOUTS, write_file

# hostile files


class Runs:
    """Pickled as a call that would leave a mark."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def hostile(function, *arguments) -> bytes:
    return pickle.dumps({"w": np.ones(2, np.float32), "x": Runs(function, *arguments)})


@pytest.mark.parametrize("place", ["pickle", "jittor", "torch zip", "torch stream", "magic"])
def test_code_is_refused_and_never_runs(tmp_path, place):
    import os

    mark = tmp_path / "mark"
    data = hostile(os.system, f"touch {mark}")
    path = tmp_path / "evil.pth"
    if place == "torch zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", data)
    elif place == "torch stream":
        head = [pickle.dumps(x, 2) for x in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
        path.write_bytes(b"".join(head) + data)
    elif place == "magic":  # in the first object, which used to be read by Python's own unpickler
        path.write_bytes(pickle.dumps(Runs(os.system, f"touch {mark}"), 2))
    else:
        tail = hashlib.sha1(data).digest() + JITTOR_MARK if place == "jittor" else b""
        path.write_bytes(data + tail)
    with pytest.raises(InputError, match=r"evil\.pth: refused: it names (posix|nt)\.system"):
        read_checkpoint(path)
    assert not mark.exists()


@pytest.mark.parametrize(
    "function",
    [eval, getattr, __import__, open, np.load, np.fromfile, torch.load, bytearray.fromhex],
)
def test_other_functions_are_refused(tmp_path, function):
    path = tmp_path / "evil.pkl"
    path.write_bytes(hostile(function, "x"))
    with pytest.raises(InputError, match="refused"):
        read_checkpoint(path)


def refuse(path, pattern: str) -> None:
    started = time.perf_counter()
    with pytest.raises(InputError, match=pattern):
        read_checkpoint(path)
    assert time.perf_counter() - started < 60, "a hang"


def test_object_arrays_and_other_dtypes_are_refused(tmp_path):
    path = tmp_path / "o.pkl"
    for array in (np.array([print], dtype=object), np.array(["a"]), np.zeros(2, "f4,i4")):
        path.write_bytes(pickle.dumps({"w": array}))
        refuse(path, "refused")
    np.savez(tmp_path / "o.npz", w=np.array([{"a": 1}], dtype=object))
    refuse(tmp_path / "o.npz", "refused")


def test_wrong_endianness_is_refused(tmp_path):
    big = np.arange(4, dtype=">f4")
    np.savez(tmp_path / "b.npz", w=big)
    refuse(tmp_path / "b.npz", "big-endian")
    (tmp_path / "b.pkl").write_bytes(pickle.dumps({"w": big}))
    refuse(tmp_path / "b.pkl", "big-endian")
    path = tmp_path / "b.pth"
    torch.save({"w": torch.ones(2)}, path)
    other = tmp_path / "c.pth"
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(other, "w") as target:
        for name in source.namelist():
            big_order = name.endswith("byteorder")
            target.writestr(name, b"big" if big_order else source.read(name))
    refuse(other, "big-endian machine")
    head = [pickle.dumps(x, 2) for x in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": False})]
    path.write_bytes(b"".join(head))
    refuse(path, "big-endian machine")


def test_zip_bombs_are_refused(tmp_path):
    path = tmp_path / "bomb.npz"
    header = b"\x93NUMPY\x01\x00" + struct.pack("<H", 118)
    text = "{'descr': '<f4', 'fortran_order': False, 'shape': (1073741824,), }"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("w.npy", "w", force_zip64=True) as member,
    ):
        member.write(header + text.ljust(117).encode() + b"\n")
        for _ in range(256):
            member.write(bytes(1 << 20))
    assert path.stat().st_size < 1 << 20
    refuse(path, r"refused: w\.npy unpacks to")


def test_absurd_sizes_are_refused(tmp_path):
    path = tmp_path / "absurd.safetensors"
    path.write_bytes(struct.pack("<Q", 1 << 62) + b"{}")
    refuse(path, "absurd")
    header = json.dumps({"w": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}})
    path.write_bytes(struct.pack("<Q", len(header)) + header.encode())
    refuse(path, "absurd")
    text = "{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807, 4), }".ljust(
        117
    )
    npy = b"\x93NUMPY\x01\x00" + struct.pack("<H", 118) + text.encode() + b"\n"
    with zipfile.ZipFile(tmp_path / "absurd.npz", "w") as archive:
        archive.writestr("w.npy", npy)
    refuse(tmp_path / "absurd.npz", "another size than its shape")
    pickles = {
        "bytes": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 60) + b"x.",
        "bytearray": b"\x80\x05\x96" + struct.pack("<Q", 1 << 60) + b"x.",
        "frame": b"\x80\x04\x95" + struct.pack("<Q", 1 << 60) + b"N.",
        "memo": b"\x80\x02Nr" + struct.pack("<I", 0xFFFFFFFF) + b".",
        "long": b"\x80\x02\x8b" + struct.pack("<i", 0x7FFFFFFF) + b"x.",
        "number": b"I" + b"9" * 9000 + b"\n.",
    }
    for name, data in pickles.items():
        path = tmp_path / f"{name}.pkl"
        path.write_bytes(data)
        refuse(path, name)


def test_costly_pickles_are_refused(tmp_path):
    """Keys whose hash takes forever, and small files that copy one long list without end."""
    nested = b"\x80\x02)" + b"2\x86" * 200  # a tuple of itself twice, 200 times over
    path = tmp_path / "keys.pkl"
    path.write_bytes(b"\x80\x02}" + nested[2:] + b"Ns.")
    refuse(path, "as a key")
    members = b"(" + b"K\x01" * 100_000
    again = b"h\x00" + b"\x85R0"  # the same list handed to a function again, the result dropped
    start = b"\x80\x02]" + members + b"eq\x000"
    for function, name in ((b"ctorch\nSize\n", "size"), (b"ccollections\nOrderedDict\n", "dict")):
        path = tmp_path / f"{name}.pkl"
        path.write_bytes(start + b"".join(function + again for _ in range(2000)) + b"N.")
        refuse(path, name)
    text = b"X" + struct.pack("<I", 1 << 20) + b"x" * (1 << 20) + b"q\x01q\x000"
    once = b"c_codecs\nencode\nh\x00\x85R"
    path = tmp_path / "encode.pkl"
    path.write_bytes(b"\x80\x02" + text + once * 6000 + b".")
    refuse(path, "encode")


def torch_pickle(offset: int, shape: tuple, strides: tuple, count: int = 4) -> bytes:
    """A tensor of `count` float32 with whatever view is asked for, as a zip."""

    def number(value: int) -> bytes:
        return b"\x8a\x08" + struct.pack("<q", value)

    def text(value: str) -> bytes:
        return b"X" + struct.pack("<I", len(value)) + value.encode()

    storage = (
        b"("
        + text("storage")
        + b"ctorch\nFloatStorage\n"
        + text("0")
        + text("cpu")
        + number(count)
        + b"tQ"
    )
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + number(offset)
    for sizes in (shape, strides):
        tensor += b"(" + b"".join(map(number, sizes)) + b"t"
    data = b"\x80\x02}" + text("w") + tensor + b"\x89ccollections\nOrderedDict\n)RtRs."
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/data/0", np.arange(4, dtype=np.float32).tobytes())
    return file.getvalue()


def test_views_stay_within_their_memory(tmp_path):
    path = tmp_path / "view.pth"
    path.write_bytes(torch_pickle(1, (3,), (1,)))
    assert read_checkpoint(path).tensors["w"].values().tolist() == [1, 2, 3]
    for view in (
        (2, (3,), (1,)),
        (0, (2, 2), (3, 2)),
        (-1, (2,), (1,)),
        (0, (-2,), (1,)),
        (3, (2,), (-1,)),
        (0, (1 << 40,), (0,)),
        (0, (2,), (1, 1)),
        (0, (1,) * 40, (1,) * 40),
    ):
        path.write_bytes(torch_pickle(*view))
        refuse(path, "view")
    path.write_bytes(torch_pickle(0, (4,), (1,), count=1 << 40))
    refuse(path, "shorter than it should be")


@pytest.fixture(scope="module")
def whole_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return {layout: write_file(folder, layout) for layout in LAYOUTS}


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    layout=st.sampled_from(sorted(LAYOUTS)),
    edits=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=8),
    end=st.floats(0.2, 1),
    data=st.data(),
)
def test_damaged_files_never_surprise(whole_files, layout, edits, end, data):
    """Any bytes changed, any end cut off: arrays or an InputError, nothing else, quickly."""
    source = whole_files[layout]
    content = bytearray(source.read_bytes())
    content = content[: int(len(content) * end)] if data.draw(st.booleans()) else content
    for place, value in edits:
        if content:
            # most of the interesting bytes are at the beginning and at the end
            where = data.draw(st.sampled_from([place, place / 8, 1 - place / 8]))
            content[int(where * (len(content) - 1))] = value
    if layout.startswith("jittor") and len(content) > 28 and data.draw(st.booleans()):
        content[-28:-8] = hashlib.sha1(content[:-28]).digest()  # past the checksum
        content[-8:] = JITTOR_MARK
    path = source.with_name(f"damaged{source.suffix}")
    path.write_bytes(content)
    started = time.perf_counter()
    try:
        found = read_checkpoint(path)
        for tensor in found.tensors.values():
            assert np.ascontiguousarray(tensor.values()).nbytes < 1 << 27
    except InputError as error:
        assert path.name in str(error)
    assert time.perf_counter() - started < 60, "a hang"


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    body=st.binary(max_size=300), suffix=st.sampled_from([".pth", ".pkl", ".npz", ".safetensors"])
)
def test_random_bytes_never_surprise(tmp_path_factory, body, suffix):
    path = tmp_path_factory.getbasetemp() / f"random{suffix}"
    path.write_bytes(b"\x80\x04" + body if suffix == ".pkl" else body)
    try:
        read_checkpoint(path)
    except InputError as error:
        assert path.name in str(error)


def test_python_is_as_the_reader_expects_it():
    """The reader cuts down the table of Python's own unpickler, which is not a public class."""
    assert pickle._Unpickler.dispatch, sys.version
    assert {"load_reduce", "load_build", "_decode_string"} <= set(dir(pickle._Unpickler))
