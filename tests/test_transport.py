"""How arrays get from one process to another, and how they are measured without copies."""

from __future__ import annotations

import math
import multiprocessing
import os
import subprocess
import sys

import numpy as np
import pytest

from door.process import resident_memory
from door.tensorfile import Item, write_tensors
from parity.engine.judge.judging import judge
from parity.engine.judge.less_precise import judge_precision
from parity.engine.values import scratch, transport
from parity.engine.values.arrays import BLOCK, is_zero, sizes
from parity.engine.values.mapped import MappedTensors

MESSAGE = {
    "large": np.arange(40_000.0).reshape(200, 200),
    "larger, of odd length": np.arange(100_001, dtype=np.int8),
    "small": np.float32([1, 2]),
    "turned": np.arange(40_000.0).reshape(200, 200).T,
    "empty": np.zeros((0, 3)),
    "none": [None, "text"],
}


@pytest.fixture
def ends():
    ours, theirs = multiprocessing.Pipe()
    yield ours, theirs
    ours.close()
    theirs.close()


def test_what_is_sent_is_what_is_received(ends, tmp_path):
    for _ in range(2):  # the file's name is used again
        transport.send(ends[0], MESSAGE, tmp_path / "request")
        found = transport.receive(ends[1], tmp_path / "request")
        assert list(found) == list(MESSAGE) and found["none"] == MESSAGE["none"]
        for name, values in MESSAGE.items():
            if isinstance(values, np.ndarray):
                assert found[name].dtype == values.dtype
                assert np.array_equal(found[name], values)
    assert not list(tmp_path.iterdir()), "memory is given back as soon as nobody holds the arrays"
    found["large"][0, 0] = -1.0  # its own to write to
    assert MESSAGE["large"][0, 0] == 0.0


def test_large_arrays_do_not_go_through_the_pipe(ends, tmp_path):
    """A pipe takes 64 KiB before its writer waits for a reader, and here nobody reads."""
    transport.send(ends[0], np.zeros(1_000_000), tmp_path / "request")
    assert (tmp_path / "request").stat().st_size == 8_000_000
    assert transport.receive(ends[1], tmp_path / "request").shape == (1_000_000,)


def test_mapped_arrays_are_given_back(tmp_path):
    """Half a gigabyte is looked at, twice; some 32 MiB stay."""
    rows = [np.full(1 << 20, float(k)) for k in range(8)]
    items = [Item(f"{k}", "float64", (1 << 20,), lambda k=k: rows[k % 8]) for k in range(64)]
    path = write_tensors(tmp_path / "a.safetensors", items, {})
    mapped = MappedTensors(path, 32 << 20)
    before, most = resident_memory(), 0.0
    held = mapped["3"]
    for _ in range(2):
        for k in range(64):
            assert mapped[f"{k}"].sum() == (k % 8) * (1 << 20)
            most = max(most, resident_memory() - before)
    assert most < 64
    assert held[5] == 3.0, "an array stays what it is when its memory was given back"


def test_scratch_folders_of_the_dead_are_swept(tmp_path):
    process = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], stdout=-1)
    dead = int(process.stdout)
    names = [f"parity-{dead}-old", f"parity-{dead}-fresh", f"parity-{os.getpid()}-mine", "other-1"]
    for name in names:
        (tmp_path / name).mkdir()
    scratch.sweep(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(names[2:])


def test_without_room_in_memory_the_disk_is_used(tmp_path, monkeypatch):
    monkeypatch.setattr(scratch, "MEMORY", tmp_path)
    for room, inside in ((1 << 60, False), (0, True)):
        monkeypatch.setattr(scratch, "ROOM", room)
        folder = scratch.scratch("test")
        assert (folder.parent == tmp_path) is inside
        folder.rmdir()


@pytest.mark.parametrize("count", [1, BLOCK, BLOCK + 1, 3 * BLOCK + 5])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sizes_are_those_of_the_whole_array(count, dtype):
    generator = np.random.default_rng(count)
    exact = generator.standard_normal(count)
    other = (exact + 1e-6 * generator.standard_normal(count)).astype(dtype)
    size, difference = sizes(exact, other)
    assert size.norm == pytest.approx(np.linalg.norm(exact), rel=1e-14)
    assert difference.norm == pytest.approx(np.linalg.norm(other - exact), rel=1e-12)
    assert size.greatest == np.abs(exact).max()
    assert difference.greatest == np.abs(other - exact).max()


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", [0, BLOCK - 1, BLOCK, 2 * BLOCK + 2])
def test_one_value_that_is_not_finite_is_seen_wherever_it_is(value, place):
    a = np.ones(2 * BLOCK + 3)
    b = a.copy()
    b[place] = value
    for pair in ((a, b), (b, a), (b, b.copy())):
        verdict = judge("case", "check", "node", *pair, 1e9)
        assert verdict.status.value == "FAIL" and verdict.measured is None
    same, other = a.astype(np.float32), b.astype(np.float32)
    for three in ((same, other, a), (other, same, a), (same, same, b), (other, other, b)):
        verdict = judge_precision("case", "check", "node", *three, 4.0, 1e9)
        assert verdict.status.value == "FAIL" and "float64 reference" in verdict.message
    assert not sizes(a, b)[1].greatest <= 1e300


@pytest.mark.parametrize("size", (0, 1, BLOCK, BLOCK + 1, 3 * BLOCK + 7))
@pytest.mark.parametrize("value", (0.0, -0.0, 5e-324, np.nan, np.inf))
def test_zeros_are_known_wherever_another_value_stands(size, value):
    for place in {0, size // 2, size - 1} if size else ():
        x = np.zeros(size)
        x[place] = value
        assert is_zero(x) == (not x.any()) == (value == 0)
    assert is_zero(np.zeros(size)) and is_zero(np.zeros(()))
    assert not is_zero(np.ones((3, 4, 5)).transpose(2, 0, 1))
