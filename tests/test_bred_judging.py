"""What bred mutants of what judges showed to be open, against brute force where there is one."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from parity.engine.ask.again import WHOLE, is_whole
from parity.engine.ask.called import right_together
from parity.engine.judge import kinds
from parity.engine.judge.checks import LOCAL_FORWARD_64, LOCAL_GRADIENTS_64, NAMES
from parity.engine.judge.verdicts import Status, Verdict
from parity.engine.tell.consequences import is_of_frozen
from parity.engine.values.parts import starts_of


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
