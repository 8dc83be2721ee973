"""Copies of processes that have imported their framework (tests/warm.py), and the order of the files."""

from __future__ import annotations

import signal
import subprocess

import pytest

from tests import starting, warm
from tests.conftest import LONG

MISSING = ("no_log.txt", "no_log.txt")


@pytest.fixture(autouse=True)
def of_this_environment(monkeypatch):
    """A source of copies as this file finds the environment, whatever other tests have left in it."""
    monkeypatch.setattr(warm, "SOURCES", {})
    yield
    for source in warm.SOURCES.values():
        source.close()


def test_a_copy_answers_and_ends_as_a_process_from_scratch_does(monkeypatch):
    copy = starting.start("plot", *MISSING)
    monkeypatch.setenv("ANOTHER_VARIABLE", "1")
    other = starting.start("plot", *MISSING)
    assert isinstance(copy, warm.Copy) and isinstance(other, subprocess.Popen)
    assert copy.communicate(timeout=100) == other.communicate(timeout=100)
    assert copy.returncode == other.returncode == 2 and copy.poll() == 2


def test_a_copy_is_killed_alone():
    first, second = starting.start("plot", *MISSING), starting.start("plot", *MISSING)
    first.kill()
    assert first.wait(100) == -signal.SIGKILL
    assert "no such log" in second.communicate(timeout=100)[1]


def test_a_copy_that_takes_too_long_is_ended():
    process = starting.start("plot", *MISSING)
    process.send_signal(signal.SIGSTOP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.communicate(timeout=0.2)
    assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("name", LONG)
def test_files_that_begin_first_are_there(name):
    assert list((warm.ROOT / "tests").rglob(name))
