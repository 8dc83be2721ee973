"""Stand-ins of packages that are not installed, and code that ends the process."""

from __future__ import annotations

import sys

import pytest

from parity import Side, Workers
from parity.engine.sides.imports import StandIn
from parity.errors import WorkerError


def test_what_stands_in_is_derived_from_and_leaves_what_it_decorates():
    lost = StandIn("lost")

    class Config(lost.Dict):
        @lost.register(name="x")
        @lost.once
        def size(self) -> int:
            return 7

    assert Config(a=1).size() == 7 and (Config | None)
    assert lost.registry.register_module()(Config) is Config
    with lost.scope(1) as found:
        assert found is not None


def leave(server):
    """In a worker: what an argument parser does with arguments that it does not know."""
    sys.exit(2)


def goes_on(server) -> str:
    return "on"


def test_code_that_ends_the_process_is_an_error_and_the_process_goes_on(warm_workers):
    with Workers(Side("", "torch")) as workers:
        with pytest.raises(WorkerError, match=r"sys.exit\(2\) was called"):
            workers.run(f"{__file__}:leave")
        assert workers.run(f"{__file__}:goes_on") == {"torch": "on"}
