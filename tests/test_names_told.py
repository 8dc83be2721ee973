"""Long lists of names: a message tells a few, the report all."""

from __future__ import annotations

import pytest

from parity.engine.ask.initial import compare_initial
from parity.engine.judge.weights import compare_names
from parity.engine.tell.causes import causes_of
from parity.report.page import render

MANY = [f"layer{k}.weight" for k in range(9)]


def causes(names):
    return causes_of([compare_names("pair", ["a"], ["a", *names], ("torch", "jittor"))])


def test_all_names_are_in_the_report_and_the_terminal_says_where():
    (cause,) = causes(MANY)
    assert "and 6 more" in cause.summary and "layer8.weight" not in cause.summary
    assert cause.to_dict()["names"] == [f"{name} (jittor)" for name in MANY]
    assert any(
        line.endswith("all 9: on the page, and names of this cause in report.json")
        for line in cause.lines()
    )
    found = {"verdicts": [], "counts": {}, "causes": [cause.to_dict()]}
    assert "<code>layer8.weight (jittor)</code>" in render(found)


def test_a_short_list_is_told_where_it_is():
    (cause,) = causes(MANY[:3])
    assert not any("report.json" in line for line in cause.lines())


@pytest.mark.parametrize("count", [2, 9])
def test_names_that_constructors_make_on_one_side_alone(count):
    alone = {name: {"shape": (1,)} for name in MANY[:count]}
    (verdict,) = compare_initial("pair", {}, alone)
    assert verdict.names == tuple(MANY[:count])
