"""A worker that dies, hangs or raises is reported, and the next request gets a new one."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest

from neutral.config import preset, to_dict
from parity.engine.sides.workers import Worker
from parity.errors import InputError, WorkerDied, WorkerError
from parity.suite.ask import ask


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
