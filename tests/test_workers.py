"""A worker that dies, hangs or raises is reported, and the next request gets a new one."""

from __future__ import annotations

import ctypes
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from neutral.config import preset, to_dict
from parity.backends import base
from parity.engine.sides.workers import Worker, Workers
from parity.engine.values import places
from parity.errors import InputError, WorkerDied, WorkerError
from parity.suite.ask import ask
from tests.commands import ROOT


@pytest.fixture
def worker():
    worker = Worker("torch")
    yield worker
    worker.close()


def test_answers_and_errors(worker):
    assert worker.call("describe", "cpu")["framework"] == "torch"
    with pytest.raises(WorkerError, match="AttributeError") as caught:
        worker.call("no_such_request")
    assert "Traceback" in caught.value.details
    ask(worker, "build", to_dict(preset("scenes_detr")), "cpu", "float32")
    with pytest.raises(InputError, match="missing"):
        worker.call("load", {"a": np.zeros(1)})


def test_a_dead_worker_is_replaced(worker):
    worker.call("describe", "cpu")
    first = worker.process.pid
    os.kill(first, signal.SIGKILL)
    worker.process.wait()
    assert worker.call("describe", "cpu")["framework"] == "torch"
    assert worker.process.pid != first


def test_death_during_a_request(worker):
    worker.call("describe", "cpu")
    os.kill(worker.process.pid, signal.SIGSTOP)
    worker.submit("describe", "cpu")
    (worker.folder / "node").write_bytes(b"transformer.encoder".ljust(200))
    os.kill(worker.process.pid, signal.SIGKILL)
    with pytest.raises(WorkerDied, match=r"last node entered: transformer\.encoder") as caught:
        worker.result()
    assert "-9" in str(caught.value)


def test_a_worker_that_hangs_is_ended(worker):
    worker.call("describe", "cpu")
    worker.timeout = 0.5
    os.kill(worker.process.pid, signal.SIGSTOP)
    with pytest.raises(WorkerDied, match="did not answer"):
        worker.call("describe", "cpu")
    assert worker.process is None


def stuck(server, how: str) -> None:
    """Never answers."""
    if how == "crashes":
        ctypes.string_at(0)
    while True:
        time.sleep(0.01)


@pytest.mark.parametrize(("how", "told"), [("hangs", "did not answer"), ("crashes", "died")])
def test_who_hangs_or_crashes_tells_the_line_that_it_ran(worker, how, told):
    worker.call("describe", "cpu")
    worker.timeout = 2.0
    with pytest.raises(WorkerDied, match=told) as caught:
        worker.run("tests.test_workers:stuck", how)
    assert re.search(rf"; it ran {re.escape(__file__)}:\d+, in stuck; ", str(caught.value))


def refusing(server) -> None:
    raise InputError("two sizes")


def test_bad_input_that_the_users_code_refuses_tells_where(worker):
    ask(worker, "build", to_dict(preset("scenes_detr")), "cpu", "float32")
    with pytest.raises(InputError, match="two sizes") as caught:
        worker.run("tests.test_workers:refusing")
    assert caught.value.told["code"].startswith(f"{__file__}:")
    assert caught.value.told["node"] == "(outside) refusing"


@pytest.mark.parametrize("name", base.NAMES)
def test_a_framework_that_is_not_there_is_named_with_its_interpreter(name):
    code = f"import sys; sys.modules[{name!r}] = None; from parity.backends import base; base.load"
    command = [sys.executable, "-c", f"{code}({name!r})"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stderr
    last = told.splitlines()[-1]
    assert f"{name} is not installed for {sys.executable}: pip install {name}" in last


def test_frames_of_a_stack_are_the_users_innermost_first():
    printed = (
        "noise\nCurrent thread 0x1 (most recent call first):\n"
        f'  File "{json.__file__}", line 1 in loads\n'
        '  File "/usr/lib/python3/dist-packages/torch/nn/x.py", line 2 in forward\n'
        '  File "/home/port/head.py", line 3 in detect\n'
        '  File "/home/port/model.py", line 44 in forward\n'
        f'  File "{places.__file__}", line 5 in traced\n\nExtension modules: x\n'
    )
    assert places.last_frames(printed) == [
        "/home/port/head.py:3, in detect",
        "/home/port/model.py:44, in forward",
    ]
    assert places.last_frames("Killed") == []


def test_what_workers_say_of_themselves_needs_no_framework_here():
    """Four hundred megabytes of the process that compares."""
    program = (
        "import sys\n"
        "from parity import Workers\n"
        "from parity.engine.ask.environment import examine_environment\n"
        "with Workers() as workers:\n"
        "    examine_environment(workers)\n"
        "print(sorted({'torch', 'torchvision', 'jittor'} & set(sys.modules)))\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert said.stdout.splitlines()[-1] == "[]"


def test_each_side_is_asked_at_the_same_time():
    met = threading.Barrier(2)  # of which each waits for the other

    def label(worker):
        met.wait(timeout=10)
        return worker.label

    with Workers() as workers:
        assert workers.each(label) == {"torch": "torch", "jittor": "jittor"}
