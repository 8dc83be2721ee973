"""What bred mutants of what judges showed to be open, against brute force where there is one."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from door import schema
from parity.backends import torch as backend
from parity.case import Side
from parity.engine.ask.again import WHOLE, is_whole
from parity.engine.ask.called import right_together
from parity.engine.ask.environment import describe_machine
from parity.engine.ask.functions import call_function
from parity.engine.ask.measure import node_errors
from parity.engine.ask.result import Result
from parity.engine.judge import kinds
from parity.engine.judge.checks import DETECTIONS_64, LOCAL_FORWARD_64, LOCAL_GRADIENTS_64, NAMES
from parity.engine.judge.crashes import judge_crashes
from parity.engine.judge.noise import with_steady
from parity.engine.judge.semantic import compare_forward_64
from parity.engine.judge.verdicts import Status, Verdict
from parity.engine.sides.layers import is_cut
from parity.engine.sides.weighting import fixed_weighting
from parity.engine.tell.consequences import is_of_frozen
from parity.engine.values import tree
from parity.engine.values.lazy import Lazy
from parity.engine.values.parts import starts_of
from parity.engine.values.renaming import shifts
from parity.engine.values.shapes import Floor


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("check", [*WHOLE, LOCAL_FORWARD_64])
def test_a_fail_of_the_whole_run_is_one_of_its_checks_and_fails(check, status):
    whole = is_whole(Verdict("case", check, "node", status))
    assert whole == (status is Status.FAIL and check in WHOLE)


def test_what_a_star_stands_for_is_what_completes_the_pattern():
    texts = ["".join(x) for n in range(5) for x in product("ab", repeat=n)]
    for seed, pattern in enumerate(("a*b", "*b", "ab*", "ab*ba", "*", "aa*a")):
        names = list(np.random.default_rng(seed).permutation(texts)[:12])
        wanted = [text for text in texts if pattern.replace("*", text) in names]
        assert sorted(starts_of(pattern, names)) == sorted(wanted)
    assert starts_of("a", texts) == [""]


class Answers:
    """Both sides, asked again: the candidate gives its own call as it was, and none of the reference's."""

    def __init__(self, own: dict):
        self.own = own

    def others(self, jobs: list[tuple]) -> list[dict | None]:
        return [self.own if len(job) == 4 else None for job in jobs]


@pytest.mark.parametrize(("factor", "right"), [(2.0, {"moved"}), (1.0, set())])
def test_the_same_results_of_other_arguments_are_right(factor, right):
    x = np.arange(3.0)
    call = {"name": "moved", "arguments": [x], "results": x + 1, "answers": [], "places": ()}
    other = call | {"arguments": [x * factor], "which": 0}
    found = right_together([call], {"moved": other}, {"moved"}, Answers(other))
    assert found == right


@pytest.mark.parametrize("node", ["w", "v"])
def test_a_gradient_that_one_side_alone_has_follows_from_names_unless_its_value_differs(node):
    frozen = Verdict("case", NAMES, "names", Status.FAIL, kind=kinds.FROZEN)
    lacking = Verdict("case", LOCAL_GRADIENTS_64, "w", Status.FAIL, kind=kinds.MISSING)
    forward = Verdict("case", LOCAL_FORWARD_64, node, Status.FAIL)
    assert is_of_frozen(lacking, [frozen, lacking, forward]) == (node != "w")
    assert not is_of_frozen(lacking, [lacking, forward])


@pytest.mark.parametrize("has", [0, 1])
def test_detections_of_one_side_alone_fail(has):
    x, empty = np.ones(2), ("choices", "gradients", "inputs", "losses", "errors")
    trace = {"nodes": {"x": x}, "order": ["x"]} | {key: {} for key in empty}
    traces = [dict(trace), dict(trace)]
    traces[has]["detections"] = []
    found = compare_forward_64("case", *traces, ("ours", "theirs"))
    failed = [v for v in found if v.status is Status.FAIL]
    assert [(v.check, v.node) for v in failed] == [(DETECTIONS_64, "(all)")]
    assert failed[0].message.startswith(("ours", "theirs")[has])


def test_an_error_tells_eight_failures_and_eight_modules():
    found = [
        Verdict("case", LOCAL_FORWARD_64, f"m{k}", Status.FAIL, owner=f"m{k}", message=f"no. {k};")
        for k in range(12)
    ]
    with pytest.raises(AssertionError, match=r"^12 of 12 comparisons failed") as told:
        Result(found).raise_for_failures()
    first, blamed, *_ = str(told.value).splitlines()
    assert len(blamed.split("; ")) == 8, first
    assert str(told.value).splitlines()[-8:] == [str(v) for v in found[:8]]


def test_the_processor_is_the_one_that_the_system_names():
    path = Path("/proc/cpuinfo")
    names = re.findall(r"^model name\s*: (.*)", path.read_text(), re.M) if path.exists() else []
    assert describe_machine()["cpu"] in (names[:1] or [describe_machine()["cpu"]])


def test_gradients_of_functions_are_those_of_all_floats_weighted():
    server = SimpleNamespace(configure=lambda device, dtype: None, backend=backend)
    given = np.arange(6.0).reshape(2, 3)
    side = Side(f"{__name__}:two_results", "torch")
    found = call_function(server, side, [given], "cpu", "float64", gradients=True)
    weights = fixed_weighting((2, 3))
    (gradient,) = found["gradients"].values()
    np.testing.assert_allclose(gradient, 3 * weights + 5 * fixed_weighting((2,))[:, None])


def two_results(x):
    return x * 3, x.sum(1) * 5


def test_numbers_of_a_new_name_come_from_those_of_the_old_one():
    drawn = [x for n in range(4) for x in product(range(3), repeat=n)]
    for had, has in product(drawn, drawn):
        old, new = (".".join(f"layer{k}" for k in numbers) for numbers in (had, has))
        found = shifts(old, new)
        possible = len(had) == len(has) or (len(has) < len(had) and set(has) <= set(had))
        assert bool(found) == bool(had and has and possible), (old, new)
        if found:
            assert tuple(had[place] + more for place, more in found) == has
            assert len(had) == len(has) or not any(more for _, more in found)


def test_a_verdict_as_json_has_nothing_that_is_empty():
    verdict = Verdict("case", NAMES, "node", Status.PASS, measured=0.0)
    wanted = {"case": "case", "check": NAMES, "node": "node", "status": "PASS", "measured": 0.0}
    assert verdict.to_dict() == wanted


def test_errors_are_measured_of_floats_that_both_runs_have():
    exact = {"a": np.ones(4), "b": np.ones(4), "none": None, "absent": np.ones(1), "whole": None}
    run = {"a": np.ones(4), "b": None, "none": np.ones(2), "whole": np.arange(3)}
    run |= {"more": np.ones(2), "number": np.arange(3)}
    assert node_errors(exact | {"number": np.ones(3)}, run) == {"a": [0.0, 0.0]}
    (two,) = node_errors({"a": exact["a"]}, {"a": np.array([1, 1, 1, 1 + 2.0**-20])}).values()
    np.testing.assert_allclose(two, [2.0**-20 / 2 / 2.0**-24, 2.0**-20 / 2.0**-24])


def test_what_is_looked_at_is_wide_where_it_is_a_number():
    given = {"none": None, "whole": np.arange(3, dtype=np.int32), "bit": np.ones(2, np.uint8)}
    given |= {"float": np.ones(2, np.float32), "truth": np.ones(2, bool)}
    lazy = Lazy(backend, given)
    assert lazy["none"] is None
    kinds_of = {name: str(lazy[name].dtype) for name in given if name != "none"}
    wanted = {"whole": "int64", "bit": "int64", "float": "float32", "truth": "bool"}
    assert kinds_of == wanted


def test_what_does_not_fit_is_told_of_the_first_module_with_parts_alone():
    nodes = {"whole/in[0]": np.ones((2, 3)), "part/in[0]": np.ones((2, 3)), "whole": np.ones(2)}
    whole, part = (SimpleNamespace(children=lambda n=n: iter(range(n))) for n in (1, 0))
    modules = {"whole": whole, "part": part}
    tracer = SimpleNamespace(misfits=[], cut=set(), modules=modules, reference={"nodes": nodes})
    other = np.ones((2, 4))
    assert not is_cut(tracer, "part/in[0]", other) and not is_cut(tracer, "whole", other)
    assert not is_cut(tracer, "whole/in[0]", nodes["whole/in[0]"]) and not tracer.misfits
    assert is_cut(tracer, "whole/in[0]", other)
    assert tracer.misfits == ["whole/in[0]: (2, 3) for (2, 4)"]
    tracer.misfits.append("something else before")
    tracer.cut.clear()
    assert not is_cut(tracer, "whole/in[0]", other)


def test_a_floor_is_no_negative_number():
    schema.parse(b"0", Floor, "a floor")
    with pytest.raises(ValueError, match="a floor"):
        schema.parse(b"-0.5", Floor, "a floor")


def test_what_raises_for_a_value_that_was_forced_in_is_no_fault_of_its_own():
    crash = {
        "error": "ValueError: odd",
        "code": "a.py:1",
        "traceback": "",
        "misfit": "x: (2,) for (3,)",
    }
    traces = {"ours": {}, "theirs": {"crashes": {"part": crash}}}
    (found,) = judge_crashes("case", traces, [], set(), "forced 64")
    assert (found.case, found.node, found.status) == ("case", "part", Status.NOT_RUN)
    assert (
        found.message
        == "theirs raised ValueError: odd, given the reference's x: (2,) for (3,) computed"
    )


def test_a_fail_is_known_where_it_passes_with_steady_functions_and_nowhere_else():
    failing = Verdict("case", LOCAL_FORWARD_64, "x", Status.FAIL, message="too much")
    for other, status in (
        (failing.but(status=Status.PASS), Status.KNOWN),
        (failing, Status.FAIL),
        (failing.but(status=Status.PASS, node="y"), Status.FAIL),
        (failing.but(status=Status.PASS, check=NAMES), Status.FAIL),
    ):
        found = with_steady(failing, {(other.check, other.node): other}, "norms cancel")
        assert found.status is status
        known = status is Status.KNOWN
        assert found.message == ("norms cancel; too much" if known else "too much")


class Holding:
    def __init__(self, part):
        self.part = part


@pytest.mark.parametrize(
    ("held", "deepest"), [(lambda x: [x], 9), (lambda x: {"a": x}, 9), (Holding, 4)]
)
def test_what_lies_so_deep_is_found_and_replaced(held, deepest):
    is_leaf = lambda x: isinstance(x, np.ndarray)  # noqa: E731
    value = np.zeros(1)
    for depth in range(12):
        paths = [path for path, _ in tree.leaves(value, is_leaf)]
        changed = tree.replaced(value, is_leaf, lambda _, x: x + 1)
        assert [path.count("[") for path in paths] == [depth] * (depth <= deepest)
        assert [x.item() for _, x in tree.leaves(changed, is_leaf)] == [1.0] * len(paths)
        value = held(value)
