"""What is told by default: by the rates of the blind rounds, each of which is judged by the others."""

from __future__ import annotations

import re

import pytest

from parity.atlas.lint import DOUBTED, WARNING, lint_path
from parity.atlas.lint.covered import COVERED, HINTS, how_told
from parity.atlas.lint.doubts import ENTRIES, doubted, expected
from parity.atlas.lint.judged import JUDGED
from scripts.lint_rates import blind_rows, counted, left_out
from tests.commands import ROOT, lint

CODE = "import jittor as jt\nx = jt.rand(3, 3)\na = x.var(0)\nb = x.max(1)[0]\n"


def test_the_counts_are_those_judged():
    assert counted(blind_rows()) == JUDGED, "python -m scripts.lint_rates --write"


def test_who_is_doubted():
    """One told and not true is, until as many are true; one of which nothing is known is not."""
    judged = {"a": (0, 1), "b": (1, 1), "c": (3, 6), "d": (30, 9), "e": (1, 0)}
    assert doubted(judged) == {"a", "c"}
    assert expected(0, 0) == 0.75 > expected(0, 1) > expected(0, 5)


def test_all_told_by_default_is_seldom_wrong():
    told = [counts for entry, counts in JUDGED.items() if entry not in ENTRIES]
    assert sum(true for true, _ in told) / sum(map(sum, told)) >= 0.85


def test_rounds_left_out():
    """The round that is judged has no say in what is told of it."""
    rows = [
        ("a", "true", 1),
        ("a", "false", 2),
        ("b", "true", 2),
        ("a", "missed", 2),
        ("a", "false doubted", 3),
    ]
    assert left_out(rows[:1]) == (1, 1, 1)
    assert left_out(rows) == (3, 1, 3), "a is doubted in round 1, by the others, and in no other"
    assert counted(rows) == {"a": (1, 2), "b": (1, 0)}


def test_the_page_has_these_rates():
    told, true, defects = left_out(blind_rows())
    page = (ROOT / "docs" / "lint.md").read_text()
    assert f"{true} of {told} told are true, {true / told:.0%}" in page
    assert f"{true} of {defects} defects are told, {true / defects:.0%}" in page
    listed = re.search(r"^Doubted by now: (.*?)\.\n", page, re.MULTILINE | re.DOTALL)[1]
    assert set(re.findall(r"`([\w-]+)`", listed)) == ENTRIES


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([], ["max-pair"]),
        (["--hints"], ["var-biased", "max-pair"]),
        (["--select", "var-biased"], ["var-biased"]),
        (["--ignore", "var-biased", "--hints"], ["max-pair"]),
    ],
)
def test_the_command(tmp_path, capsys, options, told):
    assert "var-biased" in ENTRIES and "max-pair" not in ENTRIES
    (tmp_path / "port.py").write_text(CODE)
    levels = {f.entry: f.level for f in lint_path(tmp_path).findings}
    assert levels == {"var-biased": DOUBTED, "max-pair": WARNING}
    code, out, _ = lint(capsys, tmp_path, *options)
    assert code == 1 and re.findall(r" \[([a-z-]+)\]", out) == told
    _, out, _ = lint(capsys, tmp_path, *options, "--format", "sarif")
    assert re.findall(r'"level": "(\w+)"', out) == [
        "note" if t == "var-biased" else "warning" for t in told
    ]


def test_how_it_is_put_into_words():
    assert how_told("var-biased") == f"{COVERED['var-biased']}, with --hints"
    assert how_told("max-pair") == COVERED["max-pair"] and how_told("none such") == ""
    assert how_told("item-of-one") == HINTS and "item-of-one" in ENTRIES
