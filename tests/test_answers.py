"""What functions answer while another of them is called again: by what they were given, in turn, and put back."""

from __future__ import annotations

import sys
from functools import partial
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from parity.engine.ask.called import below, judge, told_of
from parity.engine.judge import gates
from parity.engine.judge.verdicts import Status, Verdict
from parity.engine.sides.answers import MISSES, Answers, Known, answering, found_by_name


def own(x, scale=2.0):
    return ["own", x, scale]


def answers(*known, function=own, is_method=False, **options) -> tuple[Answers, callable]:
    """known: (arguments, results)."""
    found = Answers(list, "f", list(map(list, known)), partial(map, str), set(), set(), **options)
    found.tensors = lambda results: f"{results}!"
    return found, found.instead_of(function, is_method)


def test_the_same_arguments_are_answered_in_turn_from_behind_the_last_answer():
    told, answer = answers(([1.0, 2.0], "a"), ([5.0, 2.0], "x"), ([1.0, 2.0], "b"))
    assert [answer(1.0), answer(1.0), answer(5.0), answer(1.0)] == ["a!", "b!", "x!", "b!"]
    assert [answer(5.0), answer(5.0), answer(1.0)] == ["x!", "x!", "b!"]
    assert told.asked == {"f"} and not told.own and told.missed == 0


def test_arguments_are_bound_as_the_function_takes_them():
    _, answer = answers(([1.0, 3.0], "three"), ([1.0, 2.0], "usual"))
    assert answer(scale=3.0, x=1.0) == "three!" and answer(1.0) == "usual!"
    _, answer = answers(([1.0], "a"), function=lambda self, x: [self, x], is_method=True)
    assert answer("me", 1.0) == "a!" and answer("me", 2.0) == ["me", 2.0]


def test_what_nobody_was_given_is_computed_and_after_some_nothing_is_looked_for():
    told, answer = answers(([1.0, 2.0], "a"))
    for k in range(MISSES):
        assert told.missed == k and answer(9.0) == ["own", 9.0, 2.0]
        assert answer(1.0) == "a!" or k == MISSES - 1
    assert told.own == {"f"} and answer(1.0) == ["own", 1.0, 2.0]
    told, answer = answers()
    told.missed = MISSES
    assert answer(1.0, scale=4.0) == ["own", 1.0, 4.0] and told.own == told.asked == {"f"}


def test_arguments_are_compared_where_they_come_from():
    # the other side's second is this side's first; the second is this side's own
    places = [(True, 1), (False, 7.0), (True, 0)]

    def three(x, mode, y):
        return [x, mode, y]

    _, answer = answers(([1.0, 2.0, None], "a"), function=three, places=places)
    assert answer(2.0, "any", 1.0) == "a!" and answer(1.0, 7.0, 2.0) == [1.0, 7.0, 2.0]


@pytest.fixture
def module(monkeypatch):
    def put(name: str, **members) -> ModuleType:
        found = ModuleType(name)
        vars(found).update(members)
        monkeypatch.setitem(sys.modules, name, found)
        return found

    return put


def made(text: str, name: str):
    space = {"__name__": name}
    exec(text, space)
    return space


TEXT = "def f(x):\n    return 2 * x\n\n\ndef g(x):\n    return 3 * x\n"


def test_a_function_answers_in_every_module_that_has_it_and_is_put_back(module):
    f = made(TEXT, "drawn.one")["f"]
    one, other = module("drawn.one", f=f), module("drawn.two", alias=f, number=3)
    told, _ = answers(([4.0], "a"), function=f)
    with answering("f", Known(f), told):
        assert one.f(4.0) == other.alias(4.0) == "a!" and one.f(1.0) == 2.0
    assert one.f is other.alias is f and other.number == 3
    with pytest.raises(KeyError), answering("f", Known(f), told):
        raise KeyError
    assert one.f is f
    with answering("f", None, told):
        assert one.f is f


class Coder:
    def encode(self, x):
        return 2 * x

    forward = encode


def test_a_method_answers_of_all_objects_and_a_module_of_itself_alone():
    one, other, kept = Coder(), Coder(), lambda x: "kept"
    encode = Coder.encode
    told, _ = answers(([4.0], "a"))
    with answering("Coder.encode", Known(encode, Coder, one), told):
        assert one.encode(4.0) == other.encode(4.0) == "a!"
    assert Coder.encode is encode
    forward = Known(encode, Coder, one, is_module=True)
    with answering("it", forward, told):
        assert one.encode(4.0) == "a!" and other.encode(4.0) == 8.0
    assert not vars(one) and one.encode(4.0) == 8.0
    one.encode = kept
    with answering("it", forward, told):
        assert one.encode(4.0) == "a!"
    assert one.encode is kept


def test_functions_are_found_by_name_among_those_that_ran_and_beside_them(module):
    space, more = made(TEXT, "drawn.one"), made(TEXT, "drawn.two")
    module("drawn.one", f=space["f"], g=more["g"], number=1)
    module("drawn.two", f=more["f"], g=more["g"])
    module("elsewhere", h=made("def h(x):\n    return x\n", "elsewhere")["h"])
    first, second = Known(space["f"]), Known(more["f"])
    known = {"f": [first, second], "C.m": [first]}
    assert found_by_name("f", known) is first and found_by_name("C.m", known) is first
    assert found_by_name("g", known).function is more["g"], "where it is defined, not imported"
    for name in ("h", "number", "C.other", "nothing"):
        assert found_by_name(name, known) is None


def test_all_that_is_below_a_function_is_found_also_where_two_call_each_other():
    called = {"a": {"b"}, "b": {"c", "d"}, "c": {"b", "e"}, "x": {"a"}}
    assert below("a", called) == {"b", "c", "d", "e"}
    assert below("c", called) == {"b", "c", "d", "e"} and below("e", called) == set()


def test_what_comes_of_a_wrong_function_is_told_with_that_one():
    def of(name: str, status: Status = Status.FAIL, asked=(), text="") -> tuple:
        verdict = Verdict("case", "check", f"{name}()", status, owner=f"{name}()")
        message = f"given the reference's arguments: {text}"
        results = {"results": np.ones(2), "name": name}
        return verdict.but(message=message), results, results | {"own": list(asked)}

    wrong = {"f", "g", "h"}
    found = [
        of("h", asked=["g", "f"], text="twice"),
        of("f", text="once"),
        of("g", text="1"),
        of("g", text="2"),
    ]
    told = {v.owner: v for v in told_of(found, wrong, None)}
    assert set(told) == {"f()", "g()"}
    assert told["f()"].message.endswith("once; so h() gives twice"), "of the first by name"
    assert told["g()"].message.endswith(" 1")
    both = [of("a", Status.PASS), of("f", asked=["g"]), of("g", asked=["f"], text="2")]
    told = told_of(both, wrong, None)
    assert [v.owner for v in told] == ["a()", "f()"] and told[1].message.endswith(
        "; so g() gives 2"
    )
    told = told_of([of("f", Status.PASS), of("f"), of("f", Status.PASS)], wrong, None)
    assert [v.status for v in told] == [Status.FAIL]


def test_a_function_that_cannot_be_asked_or_is_random_gets_no_verdict():
    case, x = SimpleNamespace(name="pair"), np.array([1.0, 2.0])

    def answer(results, left=()):
        return {"results": results, "left out": list(left)}

    call = {"name": "f", "results": x}
    for pair in (
        *(
            (None, answer(x)),
            (answer(x), None),
            (answer(None), answer(x)),
            (answer(x), answer(None)),
        ),
        *((answer(x + 1), answer(x)), (answer(x), answer([x, x]))),
    ):
        assert judge(case, call, *pair, ("", "")) is None
    found = judge(case, call, answer(x), answer(x), ("", ""))
    assert (found.status, found.measured, found.limit) == (Status.PASS, 0.0, gates.BRANCH)
    wrong = judge(case, call, answer(x), answer(x * 1.5, ["g"]), ("a:1", "b:2"))
    assert wrong.status is Status.FAIL and wrong.message.endswith("; g() is never called")
    assert wrong.code == ("a:1", "b:2") and wrong.owner == "f()" and wrong.measured > wrong.limit
