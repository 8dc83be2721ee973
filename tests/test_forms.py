"""Values in another form on each side: one for several, fewer arguments."""

from __future__ import annotations

from parity.engine.judge import checks, kinds
from parity.engine.judge.verdicts import Status, Verdict
from parity.engine.tell.causes import causes_of

LACKS, HAS = "a has this node, b has not", "b has this node, a has not"


def local(node: str, owner: str, kind: str, message: str = "") -> Verdict:
    check = checks.LOCAL_FORWARD_64
    return Verdict("pair", check, node, Status.FAIL, message=message, owner=owner, kind=kind)


def backward(node: str, owner: str) -> Verdict:
    return local(node, owner, kinds.FORMULA).but(check=checks.LOCAL_GRADIENTS_64)


def forms(name: str) -> list[Verdict]:
    several = [local(f"{name}{x}", "", kinds.MISSING, HAS) for x in ("[0]", "[1][0]", "[1][1]")]
    return [local(name, "", kinds.MISSING, LACKS), *several]


LOSSES = [
    local("loss/total", "(outside)", kinds.FORMULA),
    local("loss/output1", "(outside)", kinds.MISSING, HAS),
]
LOSSES = [v.but(check=checks.LOCAL_LOSSES_64) for v in LOSSES]


def test_one_value_for_several_is_one_cause_and_tells_both_forms():
    found = causes_of([*forms("(model)"), *LOSSES, backward("blocks.0", "(model)")])
    (cause,) = found
    text = "a gives one value, b a structure of 3: (model)[0], (model)[1][0], (model)[1][1]"
    assert cause.summary.endswith(text) and cause.kind == kinds.SHAPE
    assert cause.consequences == 6
    inside = [*forms("head"), *forms("(model)"), *LOSSES, backward("head.conv", "head")]
    assert [c.where for c in causes_of(inside)] == ["head"]


def test_what_another_form_does_not_explain_stays_a_cause():
    stem, neck = local("stem", "stem", kinds.FORMULA), backward("neck", "neck")
    found = [c.where for c in causes_of([*forms("(model)"), *LOSSES, stem, neck])]
    assert found[0] == "(model)" and {"stem", "neck"} < set(found)
    alone = causes_of([*forms("head"), *LOSSES])
    assert {"head", "loss/total"} <= {c.node for c in alone}, (
        "only the whole model's form is summed"
    )
    one = [c.summary for c in causes_of(forms("head")[1:])]
    assert all("gives one value" not in text for text in one), "a further output alone is no form"


def test_what_a_module_makes_without_an_argument_follows_from_a_caller_that_gives_others():
    caller = local("neck.head/in[0]", "neck", kinds.FORMULA)
    missing = [
        local("neck.head/in[1]", "neck", kinds.MISSING, LACKS),
        local("neck.head.attn/in[1]", "neck.head", kinds.MISSING, LACKS),
    ]
    made = local("neck.head.attn.out/in[0]", "neck.head.attn", kinds.FORMULA)
    assert [c.node for c in causes_of([caller, *missing, made])] == [caller.node]
    for less in ([*missing, made], [caller, missing[0], made], [caller, missing[1], made]):
        assert made.node in [c.node for c in causes_of(less)]
