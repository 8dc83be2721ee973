"""The plan of a GPU check: what is worth most in the time that is left (scripts/gpu/plan.py)."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.gpu import plan
from scripts.gpu.plan import BY_NAME, CLOSING, STEPS, Step, choose, next_step

CORES = 16


def step(name: str, seconds: float = 10.0, value: float = 1.0, **more) -> Step:
    return Step(name, "timeit -n 1 -r 1 pass", seconds, value=value, **more)


small = st.tuples(st.floats(0.5, 30), st.integers(1, 9))


@settings(deadline=None, max_examples=60)
@given(st.lists(small, min_size=1, max_size=7), st.floats(0, 90))
def test_what_is_chosen_is_worth_most_of_all_that_fits(table, seconds):
    steps = [step(str(i), s, v) for i, (s, v) in enumerate(table)]
    chosen = choose(steps, seconds, CORES)

    def cost(subset) -> float:  # whole seconds, as the table counts
        return sum(-(-s.expected(CORES) // 1) for s in subset)

    assert chosen == [s for s in steps if s in chosen], "in the plan's order"
    assert sum(s.expected(CORES) for s in chosen) <= seconds
    every = (c for n in range(len(steps) + 1) for c in itertools.combinations(steps, n))
    best = max(sum(s.value for s in c) for c in every if cost(c) <= int(seconds))
    assert sum(s.value for s in chosen) == best


def test_what_comes_after_another_is_chosen_with_it_only():
    first = step("first", 10, 5, kernels=300)
    second, third = step("second", 10, 100, after="first"), step("third", 10, 40, after="first")
    other = step("other", 30, 60)
    steps, dear = [first, other, second, third], first.expected(CORES)
    assert dear > 100
    assert choose(steps, dear + 15, CORES) == [first, second], "its kernels are paid once"
    assert choose(steps, dear + 25, CORES) == [first, second, third]
    assert choose(steps, dear + 5, CORES) == [other]
    assert choose([second, other], 12, CORES) == [second], "when the other has run"


def test_what_others_would_have_compiled_costs_where_they_did_not(monkeypatch):
    first, second = step("first", 10, kernels=300), step("second", 10, after="first")
    monkeypatch.setattr(plan, "BY_NAME", {"first": first, "second": second})
    assert plan.settled([first, second], []) == [first, second]
    (alone,) = plan.settled([second], [])
    assert alone.expected(CORES) == first.expected(CORES) and not alone.after
    (ready,) = plan.settled([second], ["first"])
    assert ready.expected(CORES) == 10
    assert all(BY_NAME[s.after] in STEPS[: STEPS.index(s)] for s in STEPS if s.after)


def test_what_is_left_at_the_end_goes_to_a_step_that_keeps_its_parts():
    whole, parts = step("whole", 100, 5), step("parts", 100, 1, parts=True)
    assert next_step([whole, parts], 60, CORES) is parts
    assert next_step([whole], 60, CORES) is None
    assert next_step([whole, parts], CLOSING + 5, CORES) is None, "too little to begin anything"
    assert next_step([step("timed", 100, parts=True, alone=True)], 60, CORES) is None
    assert next_step([whole, parts], None, CORES) is whole, "without a limit, one after the other"


def test_kernels_count_by_the_cores_that_compile_them():
    compiling = step("x", 10, kernels=300)
    assert compiling.expected(16) > 10 + 300 * plan.A_KERNEL["cuda"] / 16
    assert compiling.expected(2) > 5 * compiling.expected(16)
    assert compiling.expected(2, "cpu") < compiling.expected(2) / 3


def test_what_nothing_can_be_known_before_comes_first_even_if_it_does_not_fit():
    environment, other = step("environment", 100, first=True), step("other", 20, 1000)
    assert next_step([environment, other], 60, CORES) is environment
    assert choose([environment, other], 60, CORES) == [environment], "nothing is left for another"
    both = environment.expected(CORES) + 30
    assert choose([environment, other], both, CORES) == [environment, other]
    assert STEPS[0].first and not any(s.first for s in STEPS[1:])
