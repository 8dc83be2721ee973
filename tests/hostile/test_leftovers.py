"""Nothing is left behind after any way to end; what kill -9 left is gone after the next start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from door.files import clear_once, write_json
from door.unfinished import clear_unfinished, unfinished
from neutral.config import preset, with_overrides
from neutral.data.scenes import ensure_scenes
from parity.engine.values import scratch as scratches
from parity.engine.values.scratch import scratch, scratch_folder
from tests.commands import ROOT
from tests.hostile.small import wait_for

HOLDER = """
import sys, time
from neutral.processes import end_politely
from parity.engine.values.scratch import scratch, discard_all
end_politely()
folder = scratch("test")
(folder / "content").write_text("1")
print(folder, flush=True)
{then}
"""


def holder(then: str) -> tuple[subprocess.Popen, Path]:
    """A process with a scratch folder, and that folder."""
    code = HOLDER.format(then=then)
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    return process, Path(process.stdout.readline().strip())


@pytest.mark.parametrize(
    ("then", "number"),
    [
        ("", None),
        ("raise RuntimeError", None),
        ("sys.exit(3)", None),
        ("time.sleep(60)", signal.SIGTERM),
        ("time.sleep(60)", signal.SIGHUP),
        ("time.sleep(60)", signal.SIGINT),
    ],
)
def test_scratch_folders_go_with_their_process(then, number):
    process, folder = holder(then)
    if number is not None:
        process.send_signal(number)
    process.communicate(timeout=30)
    assert folder.name.startswith("parity-") and not folder.exists()


def test_what_kill_9_left_is_cleared_by_the_next_start():
    """And what a living process uses is not."""
    victim, left = holder("time.sleep(60)")
    living, used = holder("time.sleep(60)")
    try:
        victim.kill()
        victim.communicate()
        assert (left / "content").exists()
        with scratch_folder("next") as ours:
            assert ours.is_dir() and not left.exists() and (used / "content").exists()
        assert not ours.exists()
    finally:
        living.kill()
        living.communicate()
    scratches.sweep(used.parent)
    assert not used.exists()


def test_on_disk_and_in_memory(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(scratches, "ROOM", 1 << 62)
    folder = scratch("disk")
    assert folder.parent == tmp_path
    strangers = [tmp_path / "parity-notes-mine", tmp_path / f"parity-{os.getpid()}-x"]
    for stranger in strangers:
        stranger.mkdir()
    scratches.sweep(tmp_path)
    assert folder.exists() and all(s.exists() for s in strangers)
    scratches.discard(folder)
    assert not folder.exists()


def test_unfinished_files_and_folders(tmp_path):
    """Those of the dead go, those of the living stay."""
    path, descriptor = unfinished(tmp_path, ".png")
    folder, second = unfinished(tmp_path, is_folder=True)
    (folder / "within").write_text("1")
    clear_unfinished(tmp_path)
    assert path.exists() and (folder / "within").exists()
    os.close(descriptor)
    os.close(second)
    clear_unfinished(tmp_path)
    assert not list(tmp_path.iterdir())


def test_any_writer_clears_its_folder(tmp_path):
    left = tmp_path / ".unfinished-00000000.safetensors"
    left.write_bytes(b"a large half")
    clear_once.cache_clear()  # as in a new process
    write_json(tmp_path / "a.json", 1)
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_scenes_of_a_killed_run(tmp_path):
    config = with_overrides(
        preset("scenes_detr"), ["data.scenes.train_images=2", "data.scenes.val_images=1"]
    ).data.scenes
    code = (
        "import time, neutral.data.scenes as s; s.write_scenes = lambda root, *_: (print(root, flush=True), "
        "time.sleep(60)); from pathlib import Path; from neutral.config import preset; "
        f"s.ensure_scenes(Path({str(tmp_path)!r}), preset('scenes_detr').data.scenes, 1)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    staging = Path(process.stdout.readline().strip())
    (tmp_path / ".scenes-abcd1234").mkdir()
    (tmp_path / "notes").mkdir()
    ensure_scenes(tmp_path, config, 1)
    assert staging.is_dir(), "its process lives"
    process.kill()
    process.communicate()
    root = ensure_scenes(tmp_path, config, 2)
    assert not staging.exists() and root.stat().st_mode & 0o777 == 0o777 & ~current_umask()
    assert sorted(p.name[:6] for p in tmp_path.iterdir()) == ["notes", "scenes", "scenes"]


def current_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.hostile
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_the_parity_suite_that_is_ended(number):
    """Its workers end, and their folders in memory go: at once, or with the next start."""

    def folders() -> set:
        return {
            p
            for base in (Path("/dev/shm"), Path("/tmp"))
            for p in base.glob(f"parity-{process.pid}-*")
        }

    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "parity/suite/test_detectors.py",
        "--parity-report",
    ]
    with tempfile.TemporaryDirectory() as out:
        process = subprocess.Popen([*command, out], cwd=ROOT, stdout=subprocess.DEVNULL)
        wait_for(folders)
        process.send_signal(number)
        process.wait(timeout=60)
    if number == signal.SIGKILL:
        with scratch_folder("next"):
            pass
    assert not folders()
