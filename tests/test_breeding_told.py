"""What is told of bred mutants: rates, what became of survivors, the report's tables."""

from __future__ import annotations

from parity.mutants.breeding import bred
from parity.report.bred import bred as shown
from parity.report.page import render
from parity.report.report import Report
from parity.suite.breeding import parts, variations
from parity.suite.breeding.progress import ALARM, CAUGHT, EQUIVALENT, PROOF, SILENT, Progress
from parity.suite.breeding.table import counted, page, summary
from parity.suite.breeding.table import told as line_of
from parity.suite.breeding.unit_tests import CHECK
from tests.bred_outcomes import an_outcome


def test_what_became_of_survivors_is_told_by_how_it_was_found(tmp_path):
    found = {part: Progress(tmp_path / f"{part}-0.jsonl", False) for part in parts.PARTS}
    names = [f"a.py:{k}:0:constant:0" for k in range(5)]
    for name in names:
        found["mutants"].add(an_outcome(name=name))
    found["mutants"].add(
        an_outcome(name="b.py:1:0:constant:0", outcome=CAUGHT, check="ops", right=True)
    )
    for name, outcome, reason in (
        (names[0], CAUGHT, ""),
        (names[1], EQUIVALENT, "a word"),
        (names[2], EQUIVALENT, f"f gives the same on 50 {PROOF}"),
        (names[3], EQUIVALENT, "another word"),
    ):
        check = CHECK if outcome == CAUGHT else ""
        found["again"].add(an_outcome(name=name, outcome=outcome, reason=reason, check=check))
    options = type("Options", (), {"seed": 0, "count": 3, "judges": 1, "commit": ""})
    told = summary(found, options)
    became = told["counts"]["survivors of mutants"]
    keys = ("tried", "caught", "equivalent", "proven", "survived")
    assert [became[k] for k in keys] == [5, 1, 3, 1, 1]
    line = "6 of 6 mutants tried: 1 caught, 0 equivalent, 5 survived"
    assert told["text"].partition("; ")[0] == line
    assert told["unexplained"] == 1 and told["counts"]["mended"]["caught"] == 2
    text = page(told)
    assert "Of the 5 that survived 1 are caught now" in text
    assert "after they had survived: 1 by proof, 2 by hand." in text and "1 is left." in text
    assert "6 of 6 were tried: 1 caught (1 by the suite), 0 equivalent (0 by proof)" in text
    assert text.count("| left |") == 1


def test_a_sound_variation_that_alarmed_is_left_until_it_is_silent(tmp_path):
    found = {part: Progress(tmp_path / f"{part}-0.jsonl", False) for part in parts.PARTS}
    options = type("Options", (), {"seed": 0, "count": 3, "judges": 1, "commit": ""})
    row = {"side": "", "operator": variations.INPUTS, "name": "other images", "file": ""}
    found["sound"].add(an_outcome(**row, outcome=ALARM, check="float64 choices", node="labels"))
    found["sound"].add(an_outcome(outcome=SILENT))
    told = summary(found, options)
    assert told["unexplained"] == 1 and told["counts"]["sound mended"]["alarms"] == 1
    assert "2 of 100 variations: 1 alarm.\n" in page(told)
    assert "| float64 choices / `labels` | left |" in page(told)
    found["again"].add(an_outcome(**row, outcome=SILENT))
    told = summary(found, options)
    assert told["unexplained"] == 0 and told["counts"]["sound"]["alarms"] == 1
    text = page(told)
    assert "On the code as it is now: 0." in text
    assert "| float64 choices / `labels` | silent |" in text


def test_a_part_of_another_campaign_is_told_with_its_seed():
    counts = {"mutants": counted([]) | {"wanted": 2}}
    now = {part: {"seed": 1, "counts": counted([])} for part in ("judges", "together")}
    now["sound"] = {"seed": 0, "counts": counted([]) | {"tried": 99}}
    text = line_of({"seed": 1, "counts": counts, "latest": now})
    assert text.endswith("; 0 of 0 groups all named; 0 alarms in 99 sound variations (seed 0)")


def test_a_campaign_goes_on_until_there_are_as_many_as_wanted_though_code_has_changed(tmp_path):
    drawn = bred("neutral/geometry.py", "torch")[:6]
    progress = Progress(tmp_path / "mutants-0.jsonl", False)
    progress.add(an_outcome(name=drawn[1].name))
    assert parts.left_of(drawn, progress) == [drawn[0], *drawn[2:]]
    for k in range(3):  # of code that is no more
        progress.add(an_outcome(name=f"gone.py:{k}:0:constant:0"))
    assert parts.left_of(drawn, progress) == [drawn[0], drawn[2]]
    for k in range(9):
        progress.add(an_outcome(name=f"gone.py:{k}:0:constant:0"))
    assert parts.left_of(drawn, progress) == []


def test_the_report_shows_rates_and_all_that_is_not_simply_caught(tmp_path):
    row = {"side": "torch", "change": "`1` became `2`", "node": "x", "right": True, "reason": ""}
    names = ("caught", "SURVIVED", "equivalent", "SURVIVED", "caught")
    rows = [
        row | {"name": f"a.py:{k}:0:constant:0", "check": "ops", "outcome": name}
        for k, name in enumerate(names)
    ]
    rows[2]["reason"] = "<both> are alike"
    rows[4]["right"] = False
    later = [
        rows[3] | {"outcome": "caught", "check": "unit tests", "node": "tests/test_it.py::one"},
        rows[4] | {"right": True},
    ]
    counts = {part: counted([]) for part in ("mutants", "mended", "sound")}
    counts["mutants"] |= {"tried": 5, "wanted": 300}
    found = {"seed": 1, "created": "2026-11-27", "text": "5 of 5 tried", "unexplained": 1}
    found |= {"counts": counts, "outcomes": {"mutants": rows, "again": later}}
    found["latest"] = {"sound": {"seed": 0, "counts": counted([]) | {"tried": 99}, "mended": {}}}
    table = shown(found)
    assert table["status"] == "FAIL" and shown(found | {"unexplained": 0})["status"] == "PASS"
    told = [(r["outcome"], r["now"], r["is_left"]) for r in table["rows"]]
    assert told == [
        ("SURVIVED", "SURVIVED", True),
        ("SURVIVED", "caught", False),
        ("equivalent", "equivalent", False),
        ("caught, named elsewhere", "caught, rightly named", False),
    ]
    assert table["rows"][1]["why"] == "unit tests: tests/test_it.py::one"
    assert [(seed, c["tried"]) for _, seed, c in table["parts"]] == [(1, 5), (0, 99)]
    text = render(Report(tmp_path, bred=found).to_dict())
    told = "5 tried: 0 caught, 0 equivalent, 0 survived, 1 left (seed 1, 2026-11-27)"
    assert told in text and "&lt;both&gt; are alike" in text
    assert "5 of 300" in text
    assert shown(None)["rows"] == [] and "make breed" in render(Report(tmp_path).to_dict())
