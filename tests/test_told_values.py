"""What the first of several processes tells the others, in Jittor's group."""

from __future__ import annotations

import pytest

from parity.engine.sides.workers import Worker
from parity.suite.requests import fresh

pytestmark = pytest.mark.usefixtures("warm_workers")


def told(server, size: int):
    """In a worker: what a group of that size makes of a value that is told."""
    (module,) = fresh(server, "group")
    group = module.Group()
    group.size, group.passed = size, lambda value, root: ("passed", value, root)
    return group.tell("own")


def test_of_several_processes_all_hear_of_the_first_ones_value():
    worker = Worker("jittor")
    try:
        assert worker.run("tests.test_told_values:told", 1) == "own"
        assert worker.run("tests.test_told_values:told", 2) == ("passed", "own", 0)
    finally:
        worker.close()
