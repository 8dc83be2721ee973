"""What differs where other values are put in, and gradients of functions: against one element after the other."""

from __future__ import annotations

import math

import numpy as np
import pytest

from parity import Case, Side
from parity.engine.ask.called import judge_gradients
from parity.engine.judge import gates, kinds
from parity.engine.judge.branching import difference, differs, has_ties, is_number, size_of
from parity.engine.judge.verdicts import Status

ODD = (math.inf, -math.inf, math.nan)


def drawn(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """An array, and another that is the same but for an element or two."""
    a = random.uniform(1, 2, 6)
    a[random.random(6) < 0.3] = random.choice(ODD)
    b = a * (1 + random.choice([0.0, 1e-15, 1e-3]))
    for k in range(6):
        if random.random() < 0.15:
            b[k] = random.choice([*ODD, 1.5])
    return a, b


def is_odd(x: float, y: float) -> bool:
    """Where the reference is a number, or infinite, and the candidate is no such thing."""
    if math.isnan(x):
        return False
    if math.isfinite(x) != math.isfinite(y):
        return True
    return math.isinf(x) and x == -y


@pytest.mark.parametrize("seed", range(200))
def test_what_differs_is_what_differs_in_one_element_or_in_all_that_are_numbers(seed):
    a, b = drawn(np.random.default_rng(seed))
    both = [(x, y) for x, y in zip(a, b, strict=True) if math.isfinite(x) and math.isfinite(y)]
    apart = math.sqrt(sum((x - y) ** 2 for x, y in both))
    size = math.sqrt(sum(x**2 for x, _ in both))
    wrong = any(map(is_odd, a, b)) or apart > gates.BRANCH * size
    found = difference(a, b, 0.0, ties=False)
    assert (found is not None) == wrong, (a, b, found)
    if found is not None and not any(map(is_odd, a, b)):
        assert found[2] == pytest.approx(apart / size)


def test_infinities_of_two_signs_are_told_and_what_is_no_number_is_no_standard():
    up, none = np.array([1.0, math.inf]), np.array([1.0, math.nan])
    kind, text, measured = difference(up, np.array([1.0, -math.inf]), 0.0, ties=False)
    assert (kind, measured) == (kinds.BRANCH, 1.0) and "other sign" in text
    for a, b in ((up, up), (none, up), (none, none), (up, none), (none, np.ones(2))):
        assert difference(a, b, 0.0, ties=False) is None
    for a, b, side in ((up, np.ones(2), "the reference"), (np.ones(2), up, "the candidate")):
        assert difference(a, b, 0.0, ties=False)[1] == f"not finite in {side} only"


def test_ties_may_be_put_in_any_order_and_a_missing_gradient_is_none():
    whole, turned = np.array([1, 2, 3]), np.array([3, 2, 1])
    assert difference(whole, turned, 0.0, ties=True) is None
    assert difference(whole, whole, 0.0, ties=False) is None
    assert difference(whole, turned, 0.0, ties=False)[0] == kinds.tell(whole, turned)[0]
    assert difference(whole, whole[:2], 0.0, ties=True) is None
    assert difference(whole, whole[:2], 0.0, ties=False)[2] == 1.0
    x, zero = np.ones(3), np.zeros(3)
    assert difference(None, x, 0.0, ties=False) is None is difference(x, None, 0.0, ties=False)
    for a, b in ((None, x), (x, None)):
        assert difference(a, b, 0.0, ties=False, backward=True) is not None
    assert difference(None, zero, 0.0, ties=False, backward=True) is None
    assert difference(np.array(2.0), np.array([2.0]), 0.0, ties=False) is None


def test_next_to_nothing_is_measured_by_what_was_there_before():
    tiny = np.array([1e-13, 0.0])
    assert difference(tiny, 2 * tiny, 0.0, ties=False) is not None
    for size, backward in ((1e-13 / gates.BRANCH_NOISE, False), (1e-13 / 1e-8, True)):
        assert difference(tiny, tiny * (1 + 0.9e-6), 0.0, False, backward) is None
        assert difference(tiny, tiny * (1 + 1.9e-6), 0.0, False, backward) is not None
        assert difference(tiny, tiny * (1 + 1.9e-6), size, False, backward) is None
        # ... and by rounding there, which is more than that of the first size
        other = tiny * (1 + max(2.1e-6, 17 * gates.EPS64 * size / 1e-13))
        assert difference(tiny, other, size, False, backward) is not None
        less = tiny * (1 + 15 * gates.EPS64 * size / 1e-13)
        assert difference(tiny, less, size, False, backward) is None


def test_of_two_widths_no_more_is_asked_than_the_narrower_holds():
    wide = np.array([1.0, 1e300])
    narrow = np.array([1 + 0.9e-4, np.inf], np.float32)
    assert difference(wide, narrow, 0.0, ties=False) is None
    assert difference(wide, narrow + np.float32(2e-4), 0.0, ties=False) is not None
    assert difference(wide[:1], narrow[:1].astype(float), 0.0, ties=False) is not None
    with np.errstate(over="raise"):  # says nothing of what overflows
        assert difference(narrow, wide, 0.0, ties=False) is None


def test_another_form_is_told_as_the_reference_has_it():
    kind, text, measured = difference(np.ones(3), np.ones(2), 0.0, ties=False)
    assert (kind, text, measured) == (kinds.SHAPE, "(3,) and (2,)", 1.0)
    whole = np.ones(3, np.int64)
    assert difference(np.ones(3), whole, 0.0, ties=False)[:2] == (kinds.DTYPE, "float64 and int64")


def test_trees_differ_where_an_array_does():
    x = np.array([1.0, 2.0])
    assert not differs({"a": [x, 1]}, {"a": [x.copy(), 2]})
    for other in (np.array([1.0, 3.0]), np.ones((2, 2)), x[:1]):
        assert differs([x, {"a": x}], [x, {"a": other}])


def test_small_questions():
    assert has_ties({"a": np.array([1.0, 2.0, 1.0])}) and not has_ties({"a": np.array([1, 2, 1])})
    assert not has_ties({"a": np.ones((2, 2)), "b": np.array([1.0, 2.0])})
    assert size_of(np.array([3.0, math.nan, 4.0, math.inf, -math.inf])) == 5.0
    assert size_of(None) == size_of(np.array([3])) == 0.0
    assert is_number(np.array([math.nan, 1.0])) and not is_number(np.array([math.nan]))
    assert is_number(np.zeros(0)) and is_number(None) and is_number(np.array([1]))


CASE = Case("pair", *(Side(f"pair.py:{half}", "torch", label=half) for half in "ab"), list)


def backward(wanted: dict, given: dict):
    """The verdict on gradients of one function, by path."""
    sides = ({"asked": [], "own": [], "gradients": g} for g in (wanted, given))
    return judge_gradients(CASE, "f", *sides, ("", ""))


@pytest.mark.parametrize("seed", range(200))
def test_gradients_of_a_function_are_those_that_differ_by_more_than_rounding(seed):
    random = np.random.default_rng(seed)
    wanted = {
        f"[{k}]": random.standard_normal(3) * 10.0 ** random.integers(-9, 1) for k in range(4)
    }
    given = {k: g * (1 + random.choice([0, 1e-12])) for k, g in wanted.items()}
    for path in wanted:
        what = random.integers(9)
        if what == 0:
            wanted[path] = wanted[path] * math.nan
        elif what == 1:
            given[path] = given[path] * math.nan
        elif what == 2:
            given[path] = 1.01 * given[path]
        elif what == 3:
            given[path] = None
        elif what == 4:
            wanted[path] = None if random.random() < 0.5 else np.zeros(3)
    sizes = {k: 0.0 if g is None else float(np.linalg.norm(g)) for k, g in wanted.items()}
    least = gates.BRANCH * max([s for s in sizes.values() if math.isfinite(s)], default=0.0)

    def is_wrong(path: str) -> bool:
        ours, theirs = wanted[path], given[path]
        if not math.isfinite(sizes[path]):
            return False
        ours, theirs = (np.zeros(3) if g is None else g for g in (ours, theirs))
        if not np.isfinite(theirs).all():
            return True
        apart = np.linalg.norm(ours - theirs)
        return apart > least and apart > gates.BRANCH * sizes[path]

    wrong = [path for path in wanted if is_wrong(path)]
    found = backward(wanted, given)
    assert (found.node if found else None) == (f"f()/in{wrong[0]}" if wrong else None)
    assert found is None or found.status is Status.FAIL


def test_gradients_say_nothing_where_the_two_sides_did_not_ask_the_same():
    two = {"[0]": np.ones(3)}, {"[0]": 2 * np.ones(3)}
    assert backward(*two) is not None
    for more in ({"asked": ["g"]}, {"own": ["g"]}):
        plain = {"asked": [], "own": []}
        sides = (plain | {"gradients": two[0]}, plain | {"gradients": two[1]} | more)
        assert judge_gradients(CASE, "f", *sides, ("", "")) is None
    assert backward({}, two[1]) is None and backward(two[0], None) is None
