"""What rounding chooses of equal values is KNOWN, where nothing else can have gone wrong."""

from __future__ import annotations

import pytest

from parity.engine.judge import checks
from parity.engine.judge.verdicts import Status, Verdict
from parity.engine.tell.agreeing import EQUALS
from parity.engine.tell.known import strictly, with_known


def a_verdict(
    check: str, node: str, status=Status.PASS, measured=0.0, message="", **more
) -> Verdict:
    return Verdict("pair", check, node, status, measured, 1e-11, message, **more)


POOL = a_verdict(
    *(checks.CHOICES_64, "max_pool in body", Status.FAIL, 90.0, "90 of 54720 elements differ")
)
BEFORE = a_verdict(checks.NODE_GRADIENTS_64, "body.conv", Status.FAIL, 0.015)
FINE = [
    a_verdict(checks.FORWARD_64, "body.conv"),
    a_verdict(checks.LOCAL_FORWARD_64, "body.conv"),
    a_verdict(checks.LOCAL_GRADIENTS_64, "body.conv"),
    a_verdict(checks.GRADIENTS_64, "body.conv.weight"),
]
CHANGED = "shapes differ: (2,) and (3,)"


def failed(verdicts: list[Verdict]) -> list[str]:
    return [v.node for v in with_known(verdicts) if v.status is Status.FAIL]


@pytest.mark.parametrize("name", ["max_pool in body", "relu in body#2"])
def test_pools_and_relus_of_equal_values_are_known_with_the_gradients_before_them(name):
    pool = POOL.but(node=name)
    found = with_known([*FINE, pool, BEFORE])
    known = [v for v in found if v.status is Status.KNOWN]
    assert [v.node for v in known] == [name, "body.conv"]
    assert known[0].message == f"{EQUALS}; 90 of 54720 elements differ"
    assert len([v for v in strictly(found) if v.status is Status.FAIL]) == 2
    assert not failed([*FINE, pool])


@pytest.mark.parametrize("check", [v.check for v in FINE])
def test_they_are_not_where_anything_else_differs(check):
    wrong = [v.but(status=Status.FAIL, measured=0.1) if v.check == check else v for v in FINE]
    assert set(failed([*wrong, POOL, BEFORE])) >= {POOL.node, BEFORE.node}


@pytest.mark.parametrize("check", [checks.LOCAL_FORWARD_64, checks.LOCAL_GRADIENTS_64])
def test_they_are_not_where_no_forced_run_shows_it(check):
    assert failed([v for v in FINE if v.check != check] + [POOL]) == [POOL.node]


@pytest.mark.parametrize("changes", [{"node": "matches/layer0/image0"}, {"message": CHANGED}])
def test_what_a_port_chooses_itself_is_not(changes):
    other = POOL.but(**changes)
    assert failed([*FINE, other]) == [other.node]
    assert failed([*FINE, other, POOL]) == [other.node, POOL.node]


def test_gradients_alone_are_not():
    assert failed([*FINE, BEFORE]) == [BEFORE.node]
    lost = BEFORE.but(measured=None, message=CHANGED)
    assert set(failed([*FINE, POOL, lost])) == {POOL.node, lost.node}
