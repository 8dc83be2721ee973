"""Which files are drawn from where what judges is mutated."""

from __future__ import annotations

import re

import pytest

from parity.mutants import ROOT
from parity.suite.breeding import judges

# what makes a verdict, or changes what one says of agreement, side or kind
JUDGING = re.compile(r"\bVerdict\(|\.but\([^)]*\b(?:status|guilty|kind|measured|limit)=")
UNDRAWN = {name: why for why, names in judges.UNDRAWN.items() for name in names}


def text_of(name: str) -> str:
    return (ROOT / "parity" / "engine" / f"{name}.py").read_text()


@pytest.mark.parametrize("name", sorted(UNDRAWN))
def test_what_is_not_drawn_from_is_there_and_judges_nothing(name):
    assert UNDRAWN[name] and not JUDGING.search(text_of(name))
    assert sum(name in names for names in judges.UNDRAWN.values()) == 1


def test_all_else_of_the_engine_is_drawn_from():
    for name in ("sides/noting", "sides/lent", "ask/arguments", "ask/called", "judge/judging"):
        assert f"parity/engine/{name}.py" in judges.FILES
    assert not any(f"parity/engine/{name}.py" in judges.FILES for name in UNDRAWN)
    assert len(set(judges.FILES)) == len(judges.FILES)
    assert all((ROOT / file).is_file() for file in judges.FILES)


def test_a_new_file_of_the_engine_is_drawn_from(tmp_path, monkeypatch):
    for name in ("judge/new", "judge/__init__", "judge/gates"):
        path = tmp_path / "parity" / "engine" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    monkeypatch.setattr(judges, "ROOT", tmp_path)
    assert judges.engine() == ["parity/engine/judge/new.py"]


def test_what_makes_a_verdict_is_known_by_its_text():
    judging = [
        n for n in ("judge/judging", "ask/coverage", "judge/noise") if JUDGING.search(text_of(n))
    ]
    assert judging == ["judge/judging", "ask/coverage", "judge/noise"]
    assert JUDGING.search("v.but(status=Status.FAIL)") and not JUDGING.search("v.but(script=1)")


def test_tests_of_the_librarys_functions_are_those_of_the_modules_that_have_them():
    """`from parity import check_steps` names no module."""
    test = "tests/test_steps_of_ours.py"
    assert test in judges.tests_of("parity.engine.ask.training")
    assert test not in judges.tests_of("parity.engine.ask.functions")
    # what nearly every test is written with is nobody's own
    assert test not in judges.tests_of("parity.engine.sides.workers")
