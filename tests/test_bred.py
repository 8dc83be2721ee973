"""What mutants that nobody wrote found untested (docs/breeding.md)."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from neutral import geometry
from neutral.choices import relative
from neutral.config import ScenesConfig
from neutral.data import masks, scenes
from neutral.data.annotations import check_annotation, with_area
from neutral.finite import first_bad
from neutral.randomness import Draws
from parity.engine.judge import checks, kinds
from parity.engine.judge.crashes import judge_crashes, returned_less
from parity.engine.judge.judging import judge
from parity.engine.judge.ledger import judge_choice
from parity.engine.judge.outcomes import compare_changed
from parity.engine.judge.verdicts import Status, Verdict
from parity.engine.tell.causes import Cause
from parity.engine.values.arrays import sizes
from parity.errors import InputError
from torch_impl import runtime
from torch_impl.dropout import Dropout
from torch_impl.ops import regions, training


def test_the_first_bad_array_is_told_and_one_bad_number_is_enough():
    arrays = {
        "fine": np.ones(3),
        "none": None,
        "whole": np.array([1, 2]),
        "bad": np.array([[1.0, np.nan], [np.inf, np.nan]]),
        "worse": np.full(2, np.nan),
    }
    found = first_bad(arrays, arrays)
    assert json.loads(json.dumps(found)) == found, "it goes into a log"
    assert found == {"node": "bad", "shape": [2, 2], "nan": 2, "infinite": 1}
    assert first_bad(arrays, ["worse", "bad"])["node"] == "worse"
    assert first_bad(arrays, ["fine", "none", "whole"]) is None


def test_dropout_of_rate_zero_keeps_what_is_drawn_as_zero(monkeypatch):
    draws = Draws(0)
    draws.begin_step(0)
    monkeypatch.setattr(Draws, "uniform", lambda self, site, shape: np.zeros(shape, np.float32))
    assert draws.keep("site", (2, 2), 0.0).all()
    assert not draws.keep("site", (2, 2), 0.5).any()


def test_sizes_of_float32_are_taken_in_float64():
    great = np.array([3e30, 4e30], np.float32)
    (whole, difference) = sizes(great, np.zeros(2, np.float32))
    assert whole.norm == pytest.approx(5e30) and difference.norm == pytest.approx(5e30)
    assert difference.greatest == pytest.approx(4e30)


def test_a_cause_names_its_side_where_it_is_known():
    cause = Cause("case", "head", "jittor", "sign", "sure", "head: by -1", "a.py:1", "b.py:2")
    assert cause.lines() == [
        "head: sign in jittor (sure)",
        "    head: by -1",
        "    a.py:1 | b.py:2",
    ]
    more = replace(cause, side="", where="", also=("tail",), candidate_code="").lines()
    assert more == ["case and 1 more: sign (sure)", "    head: by -1", "    a.py:1"]


def test_a_choice_beyond_the_noise_is_called_unexplained():
    entry = {"choices": 9, "different": 2, "ties": 1, "regret": 0.5}
    found = {noise: judge_choice("case", "order", entry, noise) for noise in (0.4, 0.5)}
    assert found[0.4].status is Status.FAIL and "unexplained" in found[0.4].message
    assert found[0.5].status is Status.PASS and "unexplained" not in found[0.5].message
    assert "2 of 9 chosen otherwise, 1 of them ties" in found[0.5].message


def test_what_a_file_holds_comes_as_float32():
    for values in (
        torch.ones(2, dtype=torch.float16),
        np.ones(2),
        torch.ones(2, dtype=torch.int64),
    ):
        assert runtime.as_array(values).dtype == np.float32


def test_the_frameworks_layers_are_set_to_training_and_back():
    model = torch.nn.Sequential(torch.nn.Dropout(), torch.nn.Sequential(torch.nn.BatchNorm2d(2)))
    for flag in (False, True):
        training.set_mode(model, flag)
        assert {part.training for part in model.modules()} == {flag}


@pytest.mark.parametrize(("length", "resized"), [(5, 8), (8, 3), (4, 4), (1, 5), (7, 1), (6, 13)])
def test_bilinear_weights_are_pytorchs(length, resized):
    x = torch.eye(length, dtype=torch.float64)[None, :, None]  # [1, length, 1, length]
    wanted = torch.nn.functional.interpolate(x, size=(1, resized), mode="bilinear")[0, :, 0].T
    found = geometry.bilinear_weights(length, resized)
    assert np.allclose(found, wanted.numpy(), atol=1e-14) and np.allclose(found.sum(1), 1)


def test_nearest_indices_are_pytorchs_with_its_float32():
    for length in range(1, 80, 3):
        x = torch.arange(length, dtype=torch.float32)[None, None, None]
        for resized in range(1, 250):
            wanted = torch.nn.functional.interpolate(x, size=(1, resized), mode="nearest")
            found = geometry.nearest_index(length, resized)
            assert found.tolist() == wanted[0, 0, 0].tolist(), (length, resized)


def test_dropout_is_inactive_until_it_is_told():
    layer, x = Dropout(0.5), torch.ones(50)
    assert layer(x) is x
    layer.active = True
    assert set(layer(x).tolist()) == {0.0, 2.0}


def test_what_a_loss_does_not_depend_on_has_no_gradient():
    x, other = (torch.ones(2, requires_grad=True) for _ in range(2))
    found = training.grad((3 * x).sum(), [x, other])
    assert found[0].tolist() == [3, 3] and found[1] is None


def test_torchvisions_operators_are_loaded_for_whoever_comes_first(monkeypatch):
    asked, load = [], regions._vision
    monkeypatch.setattr(regions, "_vision", lambda: asked.append(1) or load())
    boxes, images = torch.tensor([[0.0, 0.0, 3.0, 3.0]]), torch.zeros(1, dtype=torch.int64)
    x = torch.arange(16.0).reshape(1, 1, 4, 4)
    for pool in (regions.roi_pool, lambda *a: regions.roi_align(*a, 2, False)):
        before = len(asked)
        pool(x, boxes, images, 1, 1.0)
        assert len(asked) > before


def test_regrets_are_fractions_of_the_greatest_value():
    assert relative(np.array([2.0, -1.0]), np.array([4.0, -8.0])).tolist() == [0.25, -0.125]
    assert relative(np.array([0.0]), np.zeros(3)).tolist() == [0.0]


def test_an_annotation_without_an_area_gets_that_of_its_box(tmp_path):
    base = {"id": 5, "image_id": 1, "category_id": 2, "bbox": [1, 2, 3, 4]}
    for given, area in (({}, 12), ({"area": 7.5}, 7.5)):
        annotation = base | given
        check_annotation(annotation, {1: {}}, {2: {}}, tmp_path / "a.json", "error")
        assert annotation["area"] == area


@pytest.mark.parametrize("box", [[1, 2, 0, 4], [1, 2, 3, 0], [1, 2, -3, 4]])
def test_a_box_without_an_area_is_refused_where_it_is_to_be(tmp_path, box):
    annotation = {"id": 5, "image_id": 1, "category_id": 2, "bbox": box}
    for rule in ("drop", "keep"):
        check_annotation(dict(annotation), {1: {}}, {2: {}}, tmp_path / "a.json", rule)
    with pytest.raises(InputError, match="has no area"):
        check_annotation(annotation, {1: {}}, {2: {}}, tmp_path / "a.json", "error")


@pytest.mark.parametrize("faster", [True, False])
def test_scenes_that_another_process_made_first_are_used(tmp_path, monkeypatch, faster):
    config = ScenesConfig(train_images=2, val_images=1)
    own = scenes.write_scenes

    def slow(staging, *arguments) -> None:
        own(staging, *arguments)
        if faster:  # the other's
            monkeypatch.setattr(scenes, "write_scenes", own)
            made.append(scenes.ensure_scenes(tmp_path, config, 0))
        else:
            raise OSError("no space left")

    made: list = []
    monkeypatch.setattr(scenes, "write_scenes", slow)
    if faster:
        assert scenes.ensure_scenes(tmp_path, config, 0) == made[0]
        assert (made[0] / "annotations").is_dir()
    else:
        with pytest.raises(OSError, match="no space"):
            scenes.ensure_scenes(tmp_path, config, 0)
    assert len(list(tmp_path.glob("*"))) == len(made)  # nothing half made is left


@pytest.mark.parametrize(
    "code",
    [
        [[0, 0, 1e9, 0, 1e9, 1e9]],
        [[0, 0, 5]],
        {"size": [4, 9], "counts": [36]},
        {"size": [5, 6], "counts": "?"},
    ],
)
def test_what_is_no_mask_of_the_image_is_refused_before_it_is_decoded(code, monkeypatch):
    annotation = {"id": 7, "image_id": 3, "segmentation": code}
    monkeypatch.setattr(masks.coco_masks, "decode", lambda *_: np.zeros((5, 6, 1), np.uint8))
    monkeypatch.setattr(masks.coco_masks, "frPyObjects", lambda code, *_: code)
    with pytest.raises(InputError, match="annotation 7 of image 3"):
        masks.decode_masks([annotation], 5, 6)


def test_an_outline_may_be_as_long_as_the_limit(monkeypatch):
    square = [0, 0, 4, 0, 4, 4, 0, 4]
    for limit, fits in ((16.0, True), (15.9, False)):
        monkeypatch.setattr(masks, "OUTLINE_LIMIT", limit)
        assert (masks._unfit([square], 5, 6) == "") == fits


def test_one_box_outside_of_its_image_is_enough_and_goes_alone(tmp_path):
    images = {1: {"width": 10, "height": 8}}
    boxes = [[0, 0, 3, 3], [10, 2, 4, 4], [5, 5, 90, 90]]
    annotations = [{"id": k, "image_id": 1, "bbox": box} for k, box in enumerate(boxes)]
    assert [a["id"] for a in with_area(annotations, images, tmp_path, "drop")] == [0, 2]
    assert with_area(annotations[::2], images, tmp_path, "error") == annotations[::2]
    with pytest.raises(InputError, match=r"annotation 1 .*no area within its image of 10x8"):
        with_area(annotations, images, tmp_path, "error")


def test_inputs_that_one_side_alone_changes_fail():
    def status(reference: tuple, candidate: tuple) -> list[tuple]:
        traces = ({"changed": c, "modules": {}} for c in (reference, candidate))
        return [(v.node, v.status.value, v.guilty) for v in compare_changed("case", *traces)]

    assert status((), ()) == []
    assert status(("x",), ()) == [("x", "FAIL", "torch")]
    assert status((), ("x",)) == [("x", "FAIL", "jittor")]
    assert status(("x",), ("x",)) == [("x", "PASS", "")]


def a_missing(node: str, check: str = checks.FORWARD_64, side: str = "jittor") -> Verdict:
    other = "torch" if side == "jittor" else "jittor"
    message = f"{other} has this node, {side} has not"
    return Verdict("case", check, node, Status.FAIL, message=message, kind=kinds.MISSING)


def crashed(call: str, *called: str) -> dict:
    raised = {"error": "IndexError: out of range", "code": "", "traceback": "a.py:1, in f"}
    return {"crashes": {call: raised}, "called": dict.fromkeys(called, "a.py:1")}


def test_what_raised_follows_from_a_call_that_gave_less():
    traces = {"torch": {}, "jittor": crashed("head", "body", "neck", "head")}
    found = judge_crashes("case", traces, [a_missing("body[3]"), a_missing("head")], set())
    failed = [(v.check, v.node, v.kind, v.owner, v.guilty) for v in found if v.kind]
    assert failed == [
        (checks.BEHIND, "head", kinds.CRASH, "head", "jittor"),
        (checks.FORWARD_64, "body[3]", kinds.LESS, "body", "jittor"),
    ]
    assert [v.status for v in found if not v.kind] == [Status.NOT_RUN]  # head was not reached


def test_what_raised_follows_from_nan_before_it():
    traces = {"torch": {}, "jittor": crashed("(outside) losses", "body")}
    nan, one = np.array([1.0, np.nan]), np.ones(2)
    before = [judge("case", checks.FORWARD_64, "body", np.ones(3), one, 1)]
    assert judge_crashes("case", traces, before, set())[0].check == checks.BEHIND
    for before, check in (
        (judge("case", checks.FORWARD_64, "body", nan, one, 1), checks.BEHIND),
        (judge("case", checks.FORWARD_64, "body", 2 * one, one, 1), "worker"),
    ):
        found = judge_crashes("case", traces, [before], set())
        assert [v.check for v in found if v.kind == kinds.CRASH] == [check]


@pytest.mark.parametrize("node", ["head.fc", "head", "(model)", "tail", "body/in[1]"])
def test_what_a_crash_kept_from_being_made_is_no_less(node):
    trace = crashed("head.fc", "(model)", "body", "head", "head.fc")
    assert returned_less(a_missing(node), {"jittor": trace}).kind == kinds.MISSING
    gradient = a_missing("body", checks.NODE_GRADIENTS_64)
    assert returned_less(gradient, {"jittor": trace}).kind == kinds.MISSING
    assert returned_less(a_missing("body", side="torch"), {"jittor": trace}).kind == kinds.MISSING
    assert returned_less(a_missing("body"), {"jittor": trace}).kind == kinds.LESS
    outside = crashed("(outside) losses", "(model)")
    assert returned_less(a_missing("(model)[1]"), {"jittor": outside}).kind == kinds.LESS
