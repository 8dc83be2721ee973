"""What follows from other FAILs: boxes from the size of their image, containers from the names of what they hold."""

from __future__ import annotations

from parity.engine.judge import checks, kinds
from parity.engine.judge.judging import NOTHING
from parity.engine.judge.verdicts import Status, Verdict
from parity.engine.tell.causes import causes_of


def data(node: str, text: str) -> Verdict:
    found = Verdict("pair: data", checks.BATCHES, node, Status.FAIL, message=text)
    return found.but(kind=kinds.DATA)


IMAGE = data("seed0/batch0[image]", "sizes 79 x 111 and 80 x 112: another resize, crop or padding")


def test_boxes_that_are_scaled_as_their_image_follow_from_its_size():
    boxes = data("seed0/batch0[boxes]", "times 1.00901 in x and 1.01266 in y")
    (cause,) = causes_of([IMAGE, boxes])
    assert cause.where == "seed0/batch0[image]" and cause.consequences == 1
    for other in (
        boxes.but(node="seed0/batch1[boxes]"),
        boxes.but(message="times 1.1 in x and 1.01266 in y"),
    ):
        assert len(causes_of([IMAGE, other])) == 2


def local(node: str, owner: str, kind: str) -> Verdict:
    return Verdict("pair", checks.LOCAL_FORWARD_64, node, Status.FAIL, owner=owner, kind=kind)


def test_what_holds_others_under_other_names_follows_from_these():
    names = Verdict("pair", checks.NAMES, "names", Status.FAIL, kind=kinds.NAMES)
    lost = Verdict("pair", "weights: b round trip", "mask.fcn1.weight", Status.FAIL)
    missing = local("mask.fcn1", "mask.fcn1", kinds.MISSING)
    whole = local("mask", "mask", kinds.BRANCH)
    told = [names, lost.but(kind=kinds.MISSING), missing, whole]
    assert [c.where for c in causes_of(told)] == ["names"]
    forced = [v for v in told if v is not missing]  # what is inside has run on the same values
    assert [c.where for c in causes_of(forced)] == ["names", "mask"]


def test_what_the_whole_model_is_given_in_another_form_is_no_cause():
    wrong = local("head", "head", kinds.FORMULA)
    given = local("(model)/in[0][tensors]", "", kinds.MISSING)
    assert [c.where for c in causes_of([given, wrong])] == ["head"]
    inside = local("neck/in[0][tensors]", "neck", kinds.MISSING).but(message="a has it, b has not")
    other = local("neck/in[0]", "neck", kinds.MISSING).but(message="b has it, a has not")
    assert [c.where for c in causes_of([inside, other, wrong])] == ["head"]  # another form on each
    assert len(causes_of([inside, wrong])) == 2


def test_where_a_side_raises_before_anything_was_made_that_is_the_cause():
    raised = Verdict("pair", "worker", "(outside) forward", Status.FAIL, kind=kinds.CRASH)
    raised = raised.but(message="jittor raised AttributeError: _calc_ious")
    nothing = [
        Verdict("pair", check, "(all)", Status.FAIL, message=NOTHING)
        for check in (checks.LOCAL_FORWARD_64, checks.FORWARD_32, checks.LOCAL_FORWARD_32)
    ]
    (cause,) = causes_of([raised, *nothing])
    assert cause.kind == kinds.CRASH and cause.consequences == 3
    assert causes_of(nothing), "without it nothing explains that"


def test_what_is_lazy_raises_again_where_nobody_knows():
    def raised(node: str, text: str, case: str = "pair") -> Verdict:
        found = Verdict(case, "worker", node, Status.FAIL, message=f"jittor raised {text}")
        return found.but(kind=kinds.CRASH)

    first = raised("roi", "RuntimeError: Wrong inputs arguments, see help(jt.sync)")
    again = raised("(run)", "RuntimeError: Wrong inputs arguments, see help(jt.numpy)")
    (cause,) = causes_of([first, again])
    assert cause.where == "roi" and cause.consequences == 1
    for other in (again.but(node="head"), raised("(run)", "ValueError: no boxes")):
        assert len(causes_of([first, other])) == 2


def test_gradients_that_lack_where_the_whole_model_raised_follow_from_that():
    raised = Verdict("pair", "worker", "(model)", Status.FAIL, kind=kinds.CRASH)
    raised = raised.but(message="jittor raised AssertionError: no GPU")
    lacks = Verdict("pair", checks.LOCAL_GRADIENTS_64, "stem.0.weight", Status.FAIL)
    lacks = lacks.but(kind=kinds.DETACHED, owner="stem.0")
    (cause,) = causes_of([raised, lacks])
    assert cause.kind == kinds.CRASH and cause.consequences == 1
    assert len(causes_of([raised.but(node="stem"), lacks])) == 1
    for node, other in (("head", lacks), ("(model)", lacks.but(kind=kinds.BACKWARD))):
        assert len(causes_of([raised.but(node=node), other])) == 2


def test_of_one_module_the_greatest_difference_speaks_first():
    small = local("a.b/in[0]", "a", "").but(measured=4.6e-7)
    great = local("a", "a", kinds.BRANCH).but(measured=0.01)
    backward = small.but(check=checks.LOCAL_GRADIENTS_64, node="a.b", measured=1.0)
    assert [(c.node, c.consequences) for c in causes_of([small, great, backward])] == [("a", 2)]
    others = ([small, backward], [small.but(measured=0.001), great])
    assert [causes_of(x)[0].node for x in others] == [small.node] * 2


def test_what_one_side_trains_is_told_beside_names_that_it_alone_has():
    names = Verdict("pair", checks.NAMES, "names", Status.FAIL, kind=kinds.MISSING)
    lost = Verdict("pair", "weights: b round trip", "more", Status.FAIL, kind=kinds.MISSING)
    trained = names.but(case="pair: training steps", kind=kinds.FROZEN, names=("more (b)",))
    assert [c.kind for c in causes_of([names, lost, trained])] == [kinds.MISSING]
    both = trained.but(names=("table (b)", "more (b)"), message="only one side trains table (b)")
    found = causes_of([names, lost, both])
    assert [c.kind for c in found] == [kinds.MISSING, kinds.FROZEN]
    assert "table" in found[1].summary
    assert len(causes_of([names.but(kind=kinds.NAMES), both])) == 1, "told with the names"
