"""Stand-ins of packages that are not installed."""

from __future__ import annotations

from parity.engine.sides.imports import StandIn


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
