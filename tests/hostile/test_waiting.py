"""Nothing waits for ever: pipes, sockets, dripping addresses, full disks and homes that cannot be used."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from door.files import read_json, sha256_of
from jittor_setup import home
from neutral import fetching
from neutral.data import open_dataset
from neutral.data.images import load_image
from neutral.data.panoptic import read_segments
from neutral.data.voc import open_voc
from neutral.errors import InputError
from neutral.evaluation import from_results
from neutral.fetching import fetch
from neutral.runlog import read_log
from neutral.weights.readers import read_checkpoint
from tests.commands import ROOT, TINY, TINY_RCNN, run
from tests.hostile.small import start, tiny, trained

READERS = [read_checkpoint, read_json, load_image, read_log, read_segments, sha256_of]


@pytest.fixture(params=["a named pipe", "a socket", "a device", "a folder"])
def no_file(request, tmp_path):
    """Something with the name of a file, and what it is."""
    path = tmp_path / "input.json"
    if request.param == "a named pipe":
        os.mkfifo(path)
    elif request.param == "a folder":
        path.mkdir()
    elif request.param == "a device":
        path.symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as server:
        if request.param == "a socket":
            server.bind(str(path))
        yield path, request.param


@pytest.mark.parametrize("read", READERS, ids=lambda read: read.__name__)
def test_what_is_no_file_is_not_waited_for(read, no_file):
    path, kind = no_file
    with pytest.raises(InputError, match=f"input.json: is {kind}"):
        read(path)


def test_pipes_within_data_sets(tmp_path, coco_folder):
    root = tmp_path / "VOC2007"
    for folder in ("Annotations", "ImageSets/Main", "JPEGImages"):
        (root / folder).mkdir(parents=True)
    listing = root / "ImageSets" / "Main" / "test.txt"
    os.mkfifo(listing)
    with pytest.raises(InputError, match="a named pipe"):
        open_voc(root, "val", (), 21)
    listing.unlink()
    listing.write_text("000001\n")
    os.mkfifo(root / "Annotations" / "000001.xml")
    with pytest.raises(InputError, match=r"000001\.xml: is a named pipe"):
        open_voc(root, "val", (), 21)
    data = coco_folder()
    config, _ = tiny("data.kind=coco", f"data.root={data}")
    image = data / "val2017" / "1.png"
    image.unlink()
    os.mkfifo(image)
    with pytest.raises(InputError, match=r"1\.png: is a named pipe"):
        open_dataset(config, "val")[0]
    found = data / "found.json"
    os.mkfifo(found)
    with pytest.raises(InputError, match="a named pipe"):
        from_results(tiny()[1]["val"], found, None)


def test_a_command_given_a_pipe(tmp_path):
    """In a process, with nobody at the other end."""
    os.mkfifo(tmp_path / "pipe.safetensors")
    arguments = [*TINY, f"--weights={tmp_path / 'pipe.safetensors'}", f"--out={tmp_path / 'out'}"]
    told = run("train", "--framework=torch", *arguments, code=2).stderr
    assert "pipe.safetensors: is a named pipe, not a file" in told and "Traceback" not in told


@contextlib.contextmanager
def dripping(head: bytes):
    """A server that answers with `head` and then a byte every 50 ms, without end; its address."""
    over = threading.Event()

    def serve(server) -> None:
        with contextlib.suppress(OSError):
            connection, _ = server.accept()
            with connection:
                connection.sendall(head)
                while not over.wait(0.05):
                    connection.sendall(b"x")

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, args=(server,), daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/photo.jpg"
        over.set()


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_an_address_that_drips(head, tmp_path, monkeypatch):
    """In its first line, its header, or its content: each byte in time, the whole never."""
    monkeypatch.setattr(fetching, "FETCHING", 1.0)
    began = time.monotonic()
    with dripping(head) as address, pytest.raises(InputError, match="not there after 1 s"):
        fetch(address, tmp_path / "fetched")
    assert time.monotonic() - began < 5 and not (tmp_path / "fetched").exists()


def test_sigterm_ends_what_waits(tmp_path):
    """An address that drips, and a command that waits for it: ended at once, nothing left."""
    with dripping(b"HTTP/1.1 200 OK\r\n\r\n") as address:
        options = ["--framework=torch", *TINY, "--weights=none", f"--out={tmp_path / 'out'}"]
        process = start("predict", *options, address)
        while not (tmp_path / "out").exists():
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.05)
        process.terminate()
        _, errors = process.communicate(timeout=10)
    assert process.returncode == 128 + signal.SIGTERM
    assert errors.strip() == "ended by SIGTERM" and not (tmp_path / "out").exists()


def test_a_full_disk_at_every_writer(tmp_path, monkeypatch):
    """Of a run: what was there stays, and the run goes on once there is room."""
    trained(tmp_path)
    writers = (
        "door.tensorfile.write_array",
        "neutral.files.os.fsync",
        "neutral.runlog.csv.DictWriter.writerows",
    )

    def full(*_):
        raise OSError(28, "No space left on device")

    for writer in writers:
        before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
        with monkeypatch.context() as patch, pytest.raises((OSError, InputError), match="No space"):
            patch.setattr(writer, full)
            trained(tmp_path, "optimiser.epochs=2", resume=True)
        left = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
        assert left.keys() == before.keys() and not list(tmp_path.glob(".*"))
    trained(tmp_path, "optimiser.epochs=3", resume=True)
    assert [e["epoch"] for e in read_log(tmp_path / "log.txt").epochs] == [0, 1, 2]


# homes


@pytest.fixture
def other(monkeypatch, tmp_path):
    """Where Jittor's files go instead."""
    monkeypatch.setattr(home, "other_place", lambda: tmp_path / "other")
    return str(tmp_path / "other")


def test_a_home_that_works_is_left_alone(monkeypatch, tmp_path, other, capsys):
    for name in ("me", "ümläut-家", "a.b_c+d@e"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv("HOME", str(tmp_path / name))
        assert home.settle(tmp_path / name) == {} and home.settle(tmp_path / "elsewhere") == {}
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", ["my name", "it's", "a&b", "a;b", "$x", "(1)", "a\tb", "*"])
def test_a_home_that_a_shell_takes_apart(monkeypatch, tmp_path, other, capsys, name):
    (tmp_path / name).mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / name))
    assert home.settle(tmp_path / name) == {"JITTOR_HOME": other}
    told = capsys.readouterr().err
    assert (
        told.count("\n") == 1 and other in told and "JITTOR_HOME" in told and "(a space?)" in told
    )


def test_a_home_that_is_not_there_or_cannot_be_written(monkeypatch, tmp_path, other, capsys):
    (tmp_path / "file").write_text("")
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / ".cache").write_text("")
    both = {"HOME": other, "JITTOR_HOME": other}
    for name, why in (
        ("none", "is not there"),
        ("file", "is not there"),
        ("half", "cannot be made"),
    ):
        monkeypatch.setenv("HOME", str(tmp_path / name))
        assert home.settle(tmp_path / name) == both
        assert why in capsys.readouterr().err
        assert not (tmp_path / "none").exists()
        (tmp_path / "jittor").mkdir(exist_ok=True)  # chosen by the user, and good
        assert home.settle(tmp_path / "jittor") == {"HOME": other}
    monkeypatch.setattr(home.os, "access", lambda path, mode: "locked" not in str(path))
    (tmp_path / "locked").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "locked"))
    assert (
        home.settle(tmp_path / "locked") == both and "cannot be written" in capsys.readouterr().err
    )


def test_the_other_place_is_safe(monkeypatch, tmp_path):
    """One that somebody else prepared is not used."""
    monkeypatch.setattr(home.tempfile, "gettempdir", lambda: str(tmp_path))
    real = Path.mkdir
    monkeypatch.setattr(
        Path,
        "mkdir",
        lambda self, *a, **k: None if "/var/tmp" in str(self) else real(self, *a, **k),
    )
    monkeypatch.setattr(
        Path, "lstat", lambda self: os.lstat("/dev/null" if "/var/tmp" in str(self) else self)
    )
    place = home.other_place()
    assert place.parent == tmp_path and place.stat().st_mode & 0o777 == 0o700
    place.chmod(0o777)
    with pytest.raises(OSError, match="set JITTOR_HOME"):
        home.other_place()
    place.rmdir()
    (tmp_path / "target").mkdir()
    place.symlink_to("target")
    with pytest.raises(OSError, match="set JITTOR_HOME"):
        home.other_place()


@pytest.mark.hostile
@pytest.mark.parametrize("where", ["missing", "/dev/null/me", ""])
def test_pytorch_needs_no_home(tmp_path, where):
    environment = os.environ | {"HOME": str(tmp_path / where) if where == "missing" else where}
    command = [
        sys.executable,
        "-m",
        "scripts.train",
        "--framework=torch",
        *TINY,
        "--set=optimiser.epochs=1",
    ]
    command += [f"--out={tmp_path / 'run'}"]
    result = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert not (tmp_path / "missing").exists()


@pytest.mark.hostile
@pytest.mark.parametrize("where", ["with space", "missing", "ümläut 家"])
def test_jittor_trains_in_any_home(tmp_path, where):
    """Compiled for once in its other place: two minutes."""
    place = tmp_path / where
    if where != "missing":
        place.mkdir()
    environment = {k: v for k, v in os.environ.items() if k != "JITTOR_HOME"} | {"HOME": str(place)}
    command = [sys.executable, "-m", "scripts.train", "--framework=jittor", *TINY_RCNN]
    command += ["--set=optimiser.epochs=1", f"--out={tmp_path / 'run'}"]
    result = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "Jittor keeps its compiled kernels in" in result.stderr
    assert read_log(tmp_path / "run" / "log.txt").epochs
