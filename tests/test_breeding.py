"""Bred mutants: what the operators make, how they are drawn and planted, and what becomes of an outcome."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

from door.files import read_json
from parity.mutants import ROOT
from parity.mutants.breeding import PLANTING, bred, changes, draw, grafted, named
from parity.suite.breeding import again, campaign, judges, parts, together, verdict
from parity.suite.breeding.progress import CAUGHT, EQUIVALENT, SURVIVED, Progress
from parity.suite.breeding.table import REFERENCE, counted, latest, page
from parity.suite.breeding.unit_tests import CHECK
from tests.bred_outcomes import a_mutant, an_outcome

CODE = '''
"""A docstring that is 1 constant."""
import math

def loss(x: int, scale=0.5, axis=1):
    """Another, 2."""
    if not x > 0:
        raise ValueError("below 0")
    total = x.sum(axis) - scale * x[1:, 0]
    total.update(math.floor(total), x, keepdims=True)
    return total if scale else -total
'''


def made(code: str = CODE) -> dict[str, set[str]]:
    """Texts of the changed statements, by operator."""
    found: dict[str, set[str]] = {}
    count = len(list(changes(ast.parse(code))))
    for k in range(count):
        change = list(changes(ast.parse(code)))[k]
        before = ast.unparse(ast.parse(code))
        after = ast.unparse(change.apply())
        assert before != after or change.operator == "operands"
        found.setdefault(change.operator, set()).add(after)
    return found


def test_every_kind_of_slip_is_made():
    found = made()
    kinds = {k: "\n".join(v) for k, v in found.items()}
    for operator, piece in {
        "operator": "x.sum(axis) + scale * x[1:, 0]",
        "operands": "scale * x[1:, 0] - x.sum(axis)",
        "comparison": "if not x >= 0:",
        "constant": "scale=1.0",
        "keyword": "total.update(math.floor(total), x)",
        "arguments": "total.update(x, math.floor(total), keepdims=True)",
        "bound": "x[:, 0]",
        "reduction": "x.mean(axis)",
        "call": "math.ceil(total)",
        "statement": "    pass\n",
        "condition": "return total if not scale else -total",
    }.items():
        assert piece in kinds[operator], (operator, piece)
    assert "2 constant" not in kinds["constant"] and "3." not in kinds["constant"]  # docstrings
    assert all("raise ValueError('below 0')" in text for text in set().union(*found.values()))


def test_names_lead_back_and_lines_stay():
    mutants = bred("neutral/geometry.py", "jittor")
    assert len({m.name for m in mutants}) == len(mutants) > 50
    for mutant in mutants[::9]:
        assert named(mutant.name, "jittor") == mutant
        tree = mutant.patched()
        compile(tree, "x", "exec")
        lines = [n.lineno for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]
        own = ast.parse(mutant.path.read_text())
        assert lines == [n.lineno for n in ast.walk(own) if isinstance(n, ast.FunctionDef)]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("neutral/geometry.py:1", "no mutant's name"),
        ("neutral/nowhere.py:1:0:constant:0", "no file"),
        ("neutral/geometry.py:1:0:constant:0", "no such place"),
    ],
)
def test_a_name_of_nothing_is_told(name, why):
    with pytest.raises(ValueError, match=why):
        named(name)


def test_a_draw_is_of_its_seed_and_of_every_file():
    found = {f: bred(f, "torch") for f in campaign.files("torch")}
    full = [f for f, mutants in found.items() if mutants]
    first = draw(found, 2 * len(full), 3)
    assert first == draw(found, 2 * len(full), 3) != draw(found, 2 * len(full), 4)
    assert {m.file for m in first[: len(full)]} == set(full)
    assert len({(m.file, m.line, m.column, m.operator) for m in first}) == len(first)
    assert not any("jittor_impl" in f for f in found)


def test_both_changes_of_one_file_are_planted():
    one, other = (m for m in bred("neutral/geometry.py", "torch")[:40:20])
    tree = ast.unparse(grafted([one, other]))
    assert tree not in (ast.unparse(one.patched()), ast.unparse(other.patched()))


def test_a_planted_change_is_there_in_that_process_only():
    mutant = next(
        m for m in bred("neutral/data/transforms.py", "torch") if m.old == "short * height / width"
    )
    code = (
        "import sys\nfrom parity.loading import resolve\n"
        f"[resolve({PLANTING!r})(name) for name in sys.argv[1:]]\n"
        "from neutral.data.transforms import resized_size; print(resized_size((100, 143), 99, None))"
    )
    answers = []
    for names in ([], [mutant.name]):
        command = [sys.executable, "-c", code, *names]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        answers.append(done.stdout or done.stderr[-200:])
    assert answers[0].strip() == "(99, 141)" != answers[1].strip()


def test_what_checks_let_pass_goes_to_the_tests_and_to_what_was_judged(monkeypatch):
    monkeypatch.setattr(verdict, "by_hand", lambda: [])
    monkeypatch.setattr(verdict, "ask_tests", lambda mutants: ("", ""))
    assert verdict.settle(an_outcome(), a_mutant(), lambda m: "").outcome == SURVIVED
    monkeypatch.setattr(verdict, "ask_tests", lambda mutants: ("tests/test_a.py::b", "assert"))
    found = verdict.settle(an_outcome(), a_mutant(), lambda m: "")
    assert (found.outcome, found.node) == (CAUGHT, "tests/test_a.py::b")
    row = {"file": "{side}_impl/detr/model.py", "function": "MLP.execute"}
    row |= {"old": "", "new": "", "reason": "why"}
    monkeypatch.setattr(verdict, "by_hand", lambda: [row])
    assert verdict.settle(an_outcome(), a_mutant(), lambda m: "").outcome == EQUIVALENT
    assert verdict.settle(an_outcome(), a_mutant(old="1"), lambda m: "").outcome == CAUGHT


def test_what_no_test_sees_is_equivalent_where_that_is_shown(monkeypatch):
    monkeypatch.setattr(verdict, "by_hand", lambda: [])
    monkeypatch.setattr(verdict, "ask_tests", lambda mutants: ("", ""))
    found = verdict.settle(an_outcome(), a_mutant(), lambda mutant: "the same on 50")
    assert (found.outcome, found.reason) == (EQUIVALENT, "the same on 50")


def test_a_lost_guard_is_told_from_other_changes():
    found = bred("neutral/anchors.py", "torch") + bred("neutral/geometry.py", "torch")
    guards = [m for m in found if verdict.is_guard(m)]
    assert {m.operator for m in guards} == {"keyword", "constant"}
    assert all("strict" in m.path.read_text().splitlines()[m.line - 1] for m in guards)
    assert len(guards) == 2 * sum(
        "strict=True" in (ROOT / f"neutral/{n}.py").read_text()
        and (ROOT / f"neutral/{n}.py").read_text().count("strict=True")
        for n in ("anchors", "geometry")
    )


def test_the_order_of_types_is_told_from_other_orders():
    exchanged = [
        m
        for m in bred("parity/engine/ask/arguments.py", "harness")
        if m.operator == "arguments" and m.function == "alike"
    ]
    types = [m for m in exchanged if verdict.reason_for(m)]
    assert [m.new for m in types] == ["(tuple, list)"] * 2
    assert {verdict.reason_for(m) for m in types} == {verdict.KINDS}
    assert any(m.new == "isinstance(dict, a)" for m in exchanged)


def test_what_is_judged_by_hand_is_still_in_the_code():
    for row in verdict.by_hand():
        file = row["file"].replace("{side}", "jittor")
        found = {(m.function, m.old, m.new) for m in bred(file, "jittor")}
        assert (row["function"], row["old"], row["new"]) in found, row
        assert row["reason"]


def test_a_campaign_goes_on_where_it_was(tmp_path):
    path = tmp_path / "outcomes.jsonl"
    Progress(path, resume=False).add(an_outcome(outcome=CAUGHT))
    assert list(Progress(path, resume=True).found) == [("torch", "a.py:1:0:constant:0")]
    assert not Progress(path, resume=False).found and not path.exists()


def test_counts_of_modules_and_sides_are_of_the_suite():
    suite = an_outcome(outcome=CAUGHT, check="ops", right=True, guilty="jittor")
    tests = an_outcome(outcome=CAUGHT, check="unit tests")
    counts = counted([suite, tests, an_outcome()])
    assert (counts["tried"], counts["caught"], counts["by_suite"], counts["survived"]) == (
        3,
        2,
        1,
        1,
    )
    assert (counts["right"], counts["right_first"]) == (1, 0)
    assert (counts["spoken"], counts["guilty_right"]) == (1, 0)


def test_what_is_open_is_asked_again_under_its_name():
    fine = an_outcome(outcome=CAUGHT, check="ops", right_first=True)
    tested = an_outcome(outcome=CAUGHT, check=CHECK, name="b.py:1:0:constant:0")
    elsewhere = an_outcome(outcome=CAUGHT, check="ops", name="c.py:1:0:constant:0")
    left = an_outcome(name="d.py:1:0:constant:0")
    assert [again.is_open(o) for o in (fine, tested, elsewhere, left)] == [False, False, True, True]
    now = again.under(an_outcome(outcome=EQUIVALENT, name="d.py:2:0:constant:0"), left.name)
    found = again.mended([fine, left], [now])
    assert [o.outcome for o in found] == [CAUGHT, EQUIVALENT] and found[1].name == left.name


def test_a_change_is_found_again_where_its_line_has_moved():
    mutant = bred("neutral/geometry.py", "torch")[30]
    parts = {"file": mutant.file, "function": mutant.function, "change": mutant.text}
    name = mutant.name.replace(f":{mutant.line}:", f":{mutant.line + 9}:", 1)
    moved = an_outcome(name=name, operator=mutant.operator, **parts)
    assert again.present(moved).text == mutant.text
    assert again.present(an_outcome(name=name, **(parts | {"change": "gone"}))) is None
    assert again.present(an_outcome(name=name, **(parts | {"file": "neutral/gone.py"}))) is None


def test_groups_are_of_the_code_as_it_is():
    found = bred("neutral/geometry.py", "torch") + bred("neutral/anchors.py", "jittor")
    rows = [
        an_outcome(
            **{"name": m.name, "side": m.side, "file": m.file, "function": m.function},
            **{"change": m.text, "operator": m.operator, "outcome": CAUGHT, "check": "float64"},
            **{"right": True, "tried": ["frcnn"]},
        )
        for m in found[::3]
    ]
    drawn = together.groups(rows, 0)
    assert len(drawn) > 10 and {len(mutants) for _, mutants in drawn} == {2, 3}
    gone = [again.under(o, o.name) for o in rows]
    for outcome in gone:
        outcome.change = "`a` became `b`"
    assert together.groups(gone, 0) == []
    names = [again.under(o, f"{o.name}0") for o in gone]
    assert len(together.groups([*rows, *names], 0)) == len(drawn) == sum(together.COUNTS.values())


def test_what_a_campaign_did_not_come_to_is_told_of_the_one_before():
    def counts(**tried: int) -> dict:
        return {part: {"tried": tried.get(part, 0)} for part in ("judges", "together")}

    oldest = {"seed": 0, "counts": counts(judges=60, together=69)}
    older = {"seed": 1, "counts": counts(judges=19) | {"judges mended": {"survived": 0}}}
    found = {"seed": 2, "counts": counts(), "before": older | {"before": oldest}}
    assert latest(found, "judges")["seed"] == 1
    assert latest(found, "judges")["mended"] == {"survived": 0}
    assert latest(found, "together") == {
        **{"seed": 0, "counts": {"tried": 69}},
        **{"mended": {}, "survivors": {}},
    }
    assert latest(older, "together")["counts"] == {"tried": 0}


def test_the_page_is_that_of_the_committed_campaign():
    assert (ROOT / "docs" / "breeding.md").read_text() == page(read_json(REFERENCE))


def test_every_campaign_before_is_told_with_its_seed():
    known = read_json(REFERENCE)
    tried = known["counts"]["mutants"]["tried"]
    older = {"seed": 8, "counts": known["counts"], "before": {"seed": 7, "counts": known["counts"]}}
    text = page(known | {"seed": 9, "before": older})
    assert [f"\nOf seed {seed} {tried} of " in text for seed in (7, 8, 9)] == [True, True, False]


def test_mutants_of_what_judges_are_asked_again_of_the_tests(tmp_path, monkeypatch):
    mutant = bred("neutral/regret.py", judges.SIDE)[5]
    row = {
        "name": mutant.name,
        "side": judges.SIDE,
        "file": mutant.file,
        "operator": mutant.operator,
    }
    row |= {"function": mutant.function, "change": mutant.text}
    found = {part: Progress(tmp_path / f"{part}-0.jsonl", False) for part in parts.PARTS}
    found["judges"].add(an_outcome(**row))
    caught = an_outcome(**(row | {"outcome": CAUGHT, "check": CHECK}))
    monkeypatch.setattr(judges, "attempt", lambda m: caught if m == mutant else None)
    options = type("Options", (), {"minutes": 0})
    parts.try_again(options, found, None)
    assert list(found["again"].found.values()) == [caught]
