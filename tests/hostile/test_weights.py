"""Damaged weights, checkpoints and records: limits before reading, one error after."""

from __future__ import annotations

import io
import json
import struct
import time
import zipfile

import numpy as np
import pytest

from neutral.errors import InputError
from neutral.weights import archives
from neutral.weights.readers import read_checkpoint
from parity.engine.values.record import SCHEMA, Record, write_record
from tests.hostile.asking import refused
from tests.weight_files import LAYOUTS, write_file

TRACE = {
    "nodes": {"a": np.arange(6.0).reshape(2, 3), "b": np.ones(4, np.float32)},
    "losses": {"loss": np.array(1.0)},
    "errors": {"class_error": 50.0},
    "total": np.array(3.5),
    "owners": {"a": "(model)"},
}
ABOUT = {"side": "torch", "dtype": "float64", "subject": "x", "forced": False, "shapes": {}}
ABOUT |= {"environment": {}}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_truncated(tmp_path, layout):
    """Cut anywhere, it is an error that names the file."""
    path = write_file(tmp_path, layout)
    whole = path.read_bytes()
    for share in (0.0, 0.01, 0.1, 0.5, 0.9, 0.999):
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(InputError, match=path.name):
            for tensor in read_checkpoint(path).tensors.values():
                tensor.values()


def npz(entries, compression=zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return file.getvalue()


def zeros(count: int) -> bytes:
    file = io.BytesIO()
    np.save(file, np.zeros(count, np.float32))
    return file.getvalue()


def quick_refusal(path, told: str) -> None:
    started = time.process_time()
    with pytest.raises(InputError, match=f"{path.name}: refused: .*{told}"):
        read_checkpoint(path)
    assert time.process_time() - started < 2


def claiming(data: bytes, size: int) -> bytes:
    """The archive, whose directory says that every member has `size` bytes unpacked and 1/50 of that packed."""
    out, place = bytearray(data), data.find(b"PK\x01\x02")
    while place >= 0:
        out[place + 20 : place + 28] = struct.pack("<II", size // 50, size)
        place = data.find(b"PK\x01\x02", place + 4)
    return bytes(out)


def test_archives_that_unpack_to_terabytes(tmp_path):
    path = tmp_path / "a.npz"
    many = npz([(f"{k}.npy", zeros(4)) for k in range(300)])
    path.write_bytes(claiming(many, 0xFFFFFF00))
    quick_refusal(path, r"unpacks to 1\d{3}.\d GiB")
    path.write_bytes(npz([("a.npy", zeros(50_000_000))]))  # 200 MB in 200 KB
    quick_refusal(path, "times and more")


def test_archives_whose_members_lie_on_one_another(tmp_path):
    path = tmp_path / "a.npz"
    path.write_bytes(claiming(npz([(f"{k}.npy", zeros(4)) for k in range(300)]), 5_000_000))
    quick_refusal(path, "lie on one another")


def test_archives_of_very_many_members(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    data = npz([(f"{k}.npy", b"") for k in range(2000)], zipfile.ZIP_STORED)
    path.write_bytes(data)
    monkeypatch.setattr(archives, "MEMBERS", 1000)
    quick_refusal(path, "it has 2000 members")
    monkeypatch.setattr(archives, "DIRECTORY", 1000)
    quick_refusal(path, "its list of members has")


@pytest.mark.hostile
def test_archives_of_a_million_members(tmp_path):
    """Not even listed: that alone takes half a minute and a gigabyte."""
    path = tmp_path / "a.npz"
    path.write_bytes(npz(((f"{k}.npy", b"") for k in range(1_000_000)), zipfile.ZIP_STORED))
    quick_refusal(path, "its list of members has")


def test_members_of_one_name(tmp_path):
    path = tmp_path / "a.npz"
    with pytest.warns(UserWarning, match="Duplicate name"):
        path.write_bytes(npz([("a.npy", zeros(4)), ("a.npy", zeros(5))]))
    quick_refusal(path, "two of its members have the same name")


def edited(path, change) -> None:
    """Rewrites the header of a safetensors file."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    change(header)
    packed = json.dumps(header).encode()
    path.write_bytes(len(packed).to_bytes(8, "little") + packed + data[8 + length :])


def entry(name, **changes):
    return lambda header: header[name].update(changes)


def metadata(**changes):
    def change(header):
        for key, value in changes.items():
            if value is None:
                header["__metadata__"].pop(key)
            else:
                header["__metadata__"][key] = value

    return change


def swapped(header):
    """The offsets of two tensors of other sizes."""
    a, b = header["/nodes/a"], header["/nodes/b"]
    a["data_offsets"], b["data_offsets"] = b["data_offsets"], a["data_offsets"]


DEEP = "[" * 100_000 + "]" * 100_000


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (entry("/nodes/a", data_offsets=[0, 10**15]), "/nodes/a does not lie in it"),
        (entry("/nodes/a", data_offsets=[-8, 40]), "/nodes/a: data_offsets"),
        (entry("/nodes/a", data_offsets=[0]), "/nodes/a: data_offsets"),
        (entry("/nodes/a", dtype="F32"), "/nodes/a does not lie in it"),
        (entry("/nodes/a", dtype="\x1b[31m"), "/nodes/a is of the unknown type"),
        (entry("/nodes/a", shape=[2**40, 2**40]), "/nodes/a does not lie in it"),
        (entry("/nodes/a", shape=[-2, -3]), "/nodes/a: shape"),
        (entry("/nodes/a", shape="23"), "/nodes/a: shape"),
        (swapped, "does not lie in it"),
        (lambda header: header.update({"/nodes/a": 3}), "/nodes/a: expected object"),
        (lambda header: header.update(__metadata__=[]), "__metadata__"),
        (lambda header: header.update(__metadata__={"schema": 3}), "__metadata__"),
        (lambda header: header.pop("/nodes/a"), "its tree names /nodes/a, which is not there"),
        (metadata(schema="x"), "schema"),
        (metadata(tree=None), "its metadata lack 'tree'"),
        (metadata(about=None), "its metadata lack 'about'"),
        (metadata(tree="[1]"), "tree: expected object"),
        (metadata(tree="{"), "tree: not valid JSON"),
        (metadata(tree='{"nodes": 3}'), "tree: nodes: expected object"),
        (metadata(tree='{"nodes": {"a": {"array": 3}}}'), "tree: nodes"),
        (metadata(tree='{"x": ' + DEEP + "}"), "tree: nested too deeply"),
        (metadata(about='{"environment": 3}'), "about: environment: expected object"),
        (metadata(about='{"dtype": 64}'), "about: dtype: expected str"),
    ],
)
def test_records(tmp_path, change, told):
    path = write_record(tmp_path / "r.safetensors", TRACE, ABOUT)
    assert Record(path)["nodes"]["a"].shape == (2, 3)
    edited(path, change)
    with pytest.raises(InputError, match=f"r.safetensors.*{told}"):
        Record(path)


@pytest.mark.parametrize("content", [b"", b"\xff" * 8, b"\x00" * 8, (2**62).to_bytes(8, "little")])
def test_records_that_are_none(tmp_path, content):
    (tmp_path / "r.safetensors").write_bytes(content)
    with pytest.raises(InputError, match=r"r.safetensors: not a record"):
        Record(tmp_path / "r.safetensors")


def test_a_header_of_a_terabyte(tmp_path):
    path = tmp_path / "r.safetensors"
    with path.open("wb") as file:
        file.write((1 << 40).to_bytes(8, "little"))
        file.truncate(1 << 41)  # of holes
    with pytest.raises(InputError, match=r"r.safetensors: not a record .*more than 100 MiB"):
        Record(path)
    with pytest.raises(InputError, match=r"r.safetensors: truncated, damaged"):
        read_checkpoint(path)


def test_records_that_cannot_be_compared(tmp_path, monkeypatch):
    path = write_record(tmp_path / "r.safetensors", TRACE, {"side": "torch"})
    assert "about: has no 'dtype'" in refused(monkeypatch, "compare", path, path)
    write_record(path, {"nodes": TRACE["nodes"]}, ABOUT)
    assert "has no losses" in refused(monkeypatch, "compare", path, path)
    assert SCHEMA.startswith("detector-parity")
