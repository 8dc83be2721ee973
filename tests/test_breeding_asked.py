"""Which tests a mutant of what judges is asked of."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from neutral import choices
from parity.engine.values.transport import pack
from parity.errors import InputError
from parity.mutants.breeding import bred
from parity.mutants.kill import Experiment
from parity.mutants.sound import SOUND
from parity.suite.breeding import again, campaign, judges, parts, tested, together, variations
from parity.suite.breeding.checks import Check, Tried
from parity.suite.breeding.progress import ALARM, CAUGHT, SILENT, UNSOUND, Progress
from parity.suite.breeding.tested import Lines, asked_of
from tests.bred_outcomes import a_mutant, an_outcome, line_of

FILE = "neutral/choices.py"
FIRST, SECOND = "tests/test_a.py", "tests/test_b.py"


def test_lines_are_noted_of_the_test_that_runs_them():
    plugin, before = Lines([FILE]), sys.gettrace()
    try:
        sys.settrace(plugin)
        plugin.pytest_runtest_logstart("one", None)
        choices.relative(np.ones(3), np.ones(3))
        plugin.pytest_runtest_logfinish("one", None)
        plugin.pytest_runtest_logstart("other", None)
        np.ones(3).sum()
        plugin.pytest_runtest_logfinish("other", None)
    finally:
        sys.settrace(before)
    told = plugin.told()
    assert set(told) == {"one"} and told["one"]["seconds"] >= 0
    assert list(told["one"]["lines"]) == [FILE]
    begin = line_of(FILE, "def relative")
    assert {begin, line_of(FILE, "np.finfo(np.float32).tiny")} <= set(told["one"]["lines"][FILE])


def test_tests_that_run_the_line_come_first_then_their_whole_files(monkeypatch):
    def runs(seconds: float, *lines: int) -> dict:
        return {"seconds": seconds, "lines": {FILE: list(lines)}}

    learned = {
        FIRST: {f"{FIRST}::slow": runs(50.0, 5), f"{FIRST}::quick": runs(2.0, 5, 6)},
        SECOND: {
            f"{SECOND}::slow": runs(20.0, 6),
            f"{SECOND}::other": runs(1.0, 7),
            "": runs(0.0, 9),
        },
    }
    asked = []

    def learn(test_file, files):
        asked.append(test_file)
        return learned[test_file]

    known = {FIRST: learned[FIRST]}
    monkeypatch.setattr(tested, "known_of", lambda test_file, file: known.get(test_file))
    monkeypatch.setattr(tested, "learned", learn)
    places = {"side": "harness", "file": FILE, "function": "relative"}

    def of(first: int, last: int):
        mutant = a_mutant(**places, line=first, first=first, last=last)
        return asked_of(mutant, [SECOND, FIRST], (FILE,))

    slow, quick = f"{FIRST}::slow", f"{FIRST}::quick"
    third = "tests/test_c.py"
    learned[third] = {f"{third}::one": runs(3.0, 5)}
    given = [FIRST, third]
    mutant = a_mutant(**places, line=5, first=5, last=5)
    assert next(asked_of(mutant, given, (FILE,))) == [quick, slow] and not asked
    assert list(asked_of(mutant, given, (FILE,))) == [[quick, slow], [f"{third}::one"], given]
    assert asked == [third], "learned when what is known saw nothing"
    assert next(of(6, 6)) == [quick, f"{SECOND}::slow"], "the first is learned at once"
    assert list(of(6, 6)) == [[quick, f"{SECOND}::slow"], [SECOND, FIRST]]
    known[SECOND] = learned[SECOND]
    # the slowest would take all of them past the limit
    assert list(of(5, 6)) == [[quick, f"{SECOND}::slow"], [SECOND, FIRST]]
    assert list(of(7, 8)) == [[f"{SECOND}::other"], [SECOND]]
    assert list(of(9, 9)) == [[], [SECOND]], "while a module is imported"
    assert list(of(10, 12)) == [[], [SECOND, FIRST]], "seen by nobody"


def test_lines_are_learned_of_the_checks_that_are_asked_for_and_kept(tmp_path, monkeypatch):
    """A group of mutants needs one check, a single mutant all of them."""
    asked: list[str] = []

    def lines_of(self, check, side):
        asked.append(check.name)
        return {"lines": {"a.py": [5]}}

    def new() -> campaign.Campaign:
        checks = {name: Check() for name in ("one", "two", "three")}
        for name, check in checks.items():
            check.name = name
        nursery = SimpleNamespace(seconds={"one": 3.0, "two": 2.0, "three": 1.0})
        return campaign.Campaign(nursery, checks, tmp_path)

    monkeypatch.setattr(campaign.Campaign, "lines_of", lines_of)
    monkeypatch.setattr(campaign, "sources_digest", lambda: "first")
    found = new()
    found.learn(["two"])
    found.learn(["two"])
    assert asked == ["two", "two"], "both sides, once"
    found = new()
    mutant = a_mutant(file="a.py", first=5, last=5)
    assert [c.name for c in found.checks_of([mutant])] == ["three", "two", "one"]
    assert asked[2:] == ["one", "one", "three", "three"]
    monkeypatch.setattr(campaign, "sources_digest", lambda: "changed")
    new().learn(["one"])
    assert asked[6:] == ["one", "one"]


def test_sound_sides_are_asked_before_mutants_even_where_both_sides_have_one():
    """A side without a mutant draws the weights, and kernels are loaded where copies find them."""
    asked: list[str] = []

    class Question(Check):
        name = "question"

        def collect(self, worker, path):
            asked.append(worker)
            return worker

        def judge(self, nursery, copies, answers):
            return answers

    def sound(check, side):
        asked.append(f"sound {side}")
        return f"sound {side}"

    nursery = SimpleNamespace(sound=sound, path=lambda check, side, what: Path("nothing"))
    copies = {"torch": "first", "jittor": "second"}
    assert Question().attempt(nursery, copies) == copies
    assert asked == ["sound torch", "sound jittor", "first", "second"]
    del copies["torch"]
    assert Question().attempt(nursery, copies) == {"torch": "sound torch", "jittor": "second"}


def test_what_tests_run_is_known_until_they_or_the_mutants_file_change(tmp_path, monkeypatch):
    texts = {FIRST: "1", SECOND: "1", FILE: "1", "neutral/regret.py": "1"}
    files = (FILE, "neutral/regret.py")
    runs = {"one": {"seconds": 1.0, "lines": {}}}
    monkeypatch.setattr(tested, "KEPT", tmp_path / "tested.json")
    monkeypatch.setattr(tested, "asked", lambda *rest: (runs, 0))
    monkeypatch.setattr(tested, "shared", list)
    monkeypatch.setattr(tested, "digest", lambda *names: "".join(texts[n] for n in names))
    assert tested.known_of(FIRST, FILE) is None
    assert tested.learned(FIRST, files) == tested.known_of(FIRST, FILE) == runs
    assert tested.known_of(SECOND, FILE) is None
    texts["neutral/regret.py"] += "2"  # another file, whose lines nobody asks for
    assert tested.known_of(FIRST, FILE) == runs
    assert tested.known_of(FIRST, "neutral/regret.py") is None
    for changed in (FILE, FIRST):
        tested.learned(FIRST, files)
        texts[changed] += "2"
        assert tested.known_of(FIRST, FILE) is None
    monkeypatch.setattr(tested, "asked", lambda *rest: (None, -9))
    with pytest.raises(RuntimeError, match="its process: -9"):
        tested.learned(FIRST, files)


def test_what_a_mutants_side_refuses_is_told_by_where_it_was_raised(tmp_path):
    """And not by its text alone, of which nobody could tell what is wrong."""
    check = Tried("data", Experiment(None, lambda *answers: ["compared"]))
    nursery, refused = None, InputError("the box has no area")
    refused.told = {
        **{"node": "(outside) with_area", "error": "InputError: the box has no area"},
        **{"traceback": "@", "code": "neutral/data/annotations.py:134"},
    }
    answers = {"torch": {"x": np.ones(2)}, "jittor": refused}
    packed = {s: (pack(a, tmp_path / s), tmp_path / s) for s, a in answers.items()}
    (verdict,) = check.judge(nursery, {"jittor": None}, packed)
    assert (verdict.node, verdict.guilty) == ("(outside) with_area", "jittor")
    assert verdict.code == ("", "neutral/data/annotations.py:134")
    packed["jittor"] = packed["torch"]
    assert check.judge(nursery, {"jittor": None}, packed) == ["compared"]


def test_groups_of_which_one_was_not_named_are_asked_again(tmp_path, monkeypatch):
    mutants = bred("neutral/geometry.py", "torch")[:60:20]
    found = {part: Progress(tmp_path / f"{part}-0.jsonl", False) for part in parts.PARTS}
    for m in mutants:
        row = {"name": m.name, "side": m.side, "file": m.file, "function": m.function}
        row |= {"change": m.text, "operator": m.operator, "outcome": CAUGHT, "right_first": True}
        found["mutants"].add(an_outcome(**row))
    for pair, right in ((mutants[:2], True), (mutants[1:], False)):
        side, name = together.key(pair)
        row = {"name": name, "side": side, "outcome": CAUGHT, "right": right, "tried": ["data"]}
        found["together"].add(an_outcome(**row, operator=again.TOGETHER))
    asked = []

    def attempt(ground, check, group):
        asked.append((check, group))
        return an_outcome(side="torch torch", name="another", outcome=CAUGHT, right=True)

    monkeypatch.setattr(together, "attempt", attempt)
    ground = SimpleNamespace(campaign=None)
    parts.try_again(SimpleNamespace(minutes=0), found, ground)
    assert asked == [("data", mutants[1:])]
    ((_, name),) = found["again"].found
    assert name == together.key(mutants[1:])[1]
    parts.try_again(SimpleNamespace(minutes=0), found, ground)
    assert len(asked) == 1


@pytest.mark.parametrize("minutes", [0, 60, 1e-9])
def test_other_inputs_are_varied_before_anything_is_learned(tmp_path, monkeypatch, minutes):
    done: list[str] = []

    def outcome(name: str, side: str):
        done.append(name)
        return an_outcome(name=name, side=side)

    def rewritings(ground, side, seed):
        done.append(f"learned {side}")
        return bred("neutral/geometry.py", side)[:1]

    found = {"sound": Progress(tmp_path / "sound-0.jsonl", False)}
    inputs = [SimpleNamespace(name=name) for name in ("one", "two")]
    monkeypatch.setattr(variations, "other_inputs", lambda seed: inputs)
    monkeypatch.setattr(variations, "examined", lambda ground, check: outcome(check.name, ""))
    monkeypatch.setattr(variations, "rewritings", rewritings)
    monkeypatch.setattr(variations, "attempt", lambda ground, m: outcome(m.name, m.side))
    options = SimpleNamespace(minutes=minutes, seed=0)
    ground = SimpleNamespace(campaign=None)
    parts.try_sound(options, found, ground)
    inputs_done = [name for name in done if name in ("one", "two")]
    if minutes == 1e-9:
        assert len(done) < 2 and "learned torch" not in done
        return
    assert done[:4] == ["one", "two", "learned torch", "learned jittor"] and len(done) == 6
    parts.try_sound(options, found, ground)
    assert inputs_done == ["one", "two"] and len(done) == 8


def test_what_alarmed_is_asked_again_as_it_was(tmp_path, monkeypatch):
    """Other inputs by their name, a rewriting where it stands now."""
    found = {part: Progress(tmp_path / f"{part}-1.jsonl", False) for part in parts.PARTS}
    name = list(variations.other_inputs(1))[7].name
    rewriting = bred("neutral/geometry.py", "torch", operators=SOUND)[3]
    row = {"side": "torch", "file": rewriting.file, "function": rewriting.function}
    row |= {"change": rewriting.text, "operator": rewriting.operator, "name": rewriting.name}
    inputs = {"name": name, "side": "", "operator": variations.INPUTS}
    for outcome in (row, inputs, row | {"name": "silent", "outcome": SILENT}):
        found["sound"].add(an_outcome(**({"outcome": ALARM} | outcome)))
    asked = []

    def silent(campaign, what):
        asked.append(what.name)
        return an_outcome(name=what.name, side=getattr(what, "side", ""), outcome=SILENT)

    monkeypatch.setattr(variations, "examined", silent)
    monkeypatch.setattr(variations, "attempt", silent)
    options = SimpleNamespace(minutes=0, seed=1)
    parts.try_again(options, found, SimpleNamespace(campaign=None))
    assert sorted(asked) == sorted([rewriting.name, name])
    assert {o.outcome for o in found["again"].found.values()} == {SILENT}


def test_a_modules_namesake_is_asked_first_and_tests_with_workers_last():
    found = judges.tests_of("parity.engine.judge.kinds")
    assert found[0] == "tests/test_kinds.py" and "tests/test_branches.py" in found
    branches = judges.tests_of("parity.engine.sides.branches")
    assert branches == ["tests/test_branches_decided.py", "tests/test_branches.py"]
    assert "tests/test_breeding.py" not in judges.tests_of("parity.engine.judge.verdicts")


def test_what_both_sides_share_is_not_rounded_otherwise():
    """A re-association there was taken for sound, and alarmed: batches are compared by their bits."""
    shared, own = "neutral/data/transforms.py", "torch_impl/detr/box_ops.py"
    rounding = [m for m in bred(shared, "torch", operators=SOUND) if not variations.is_sound(m)]
    assert "`(pixels - mean) / std` became `pixels / std - mean / std`" in [
        m.text for m in rounding
    ]
    assert all(variations.is_sound(m) for m in bred(own, "torch", operators=SOUND))
    kept = {m.operator for m in bred(shared, "torch", operators=SOUND) if variations.is_sound(m)}
    assert {"commuted", "mirrored"} <= kept and not kept & {"divided", "distributed"}
    outcome = variations.attempt(None, rounding[0])
    assert outcome.outcome == UNSOUND and outcome.reason == variations.HASHED
