"""scripts/bench_peers: every refusal, turns, ratios, and tiny runs with each public implementation."""

from __future__ import annotations

import importlib.util
import json
import statistics

import numpy as np
import pytest

from neutral.config import preset
from neutral.errors import InputError
from parity.engine.judge.gates import DETECTION_SCORE
from scripts.peers import SYSTEMS, check_installed, systems_of
from scripts.peers.measure import WORK, Plan, other_sizes, turns
from scripts.peers.report import chart_of, ratios
from tests.commands import TINY_RCNN, run

SMALL_DETR = [
    "--set=model.backbone.name=resnet18",
    "--set=model.num_classes=9",
    "--set=model.transformer.hidden_dim=32",
    "--set=model.transformer.feedforward_dim=32",
    "--set=model.transformer.encoder_layers=1",
    "--set=model.transformer.decoder_layers=2",
]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--presets=detr_r34"], "unknown preset 'detr_r34'"),
        (["--systems=hugging"], "no system 'hugging': choose among torch, jittor, huggingface"),
        (["--presets=scenes_detr", "--systems=huggingface"], "none of huggingface implements"),
        (["--device=tpu"], "choose cpu or cuda"),
        (["--size=96"], "HEIGHTxWIDTH"),
        (["--size=96x8"], "below 32"),
        (["--rounds=0"], "--rounds: '0': give an integer, 1 or more"),
        (["--batch=0"], "--batch: '0'"),
        (["--threads=0"], "--threads: '0'"),
        (["--data=/nowhere"], "/nowhere"),
        (["--set=optimiser.lr=x"], "optimiser.lr"),
    ],
)
def test_bad_options_are_one_clear_error(arguments, named):
    told = run("bench_peers", *arguments, code=2).stderr.strip().splitlines()
    assert len(told) == 1 and named in told[0]


def test_a_missing_package_is_named_with_its_remedy(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    check_installed([SYSTEMS["torch"], SYSTEMS["jittor"]])
    with pytest.raises(InputError, match=r"transformers.*pip install.*\[bench\].*--systems"):
        check_installed(systems_of("detr_r50"))


def test_systems_of_a_preset():
    assert [s.name for s in systems_of("detr_r50")] == ["torch", "jittor", "huggingface"]
    assert [s.name for s in systems_of("torchvision_r50_fpn", ["torchvision", "torch"])] == [
        "torch",
        "torchvision",
    ]
    assert [s.name for s in systems_of("a5_fpn")] == ["torch", "jittor"]
    for system in SYSTEMS.values():
        for name in system.presets:
            preset(name)


def test_round_robin():
    assert turns("abc", 2) == [(0, "a"), (0, "b"), (0, "c"), (1, "a"), (1, "b"), (1, "c")]
    assert other_sizes(Plan("cpu", (100, 200), 1, 0)) == []
    assert other_sizes(Plan("cpu", (100, 200), 1, 2)) == [(75, 150), (125, 250)]
    # of an odd number the middle, which is the size measured already, is left out: 4 scales, the first 3
    assert other_sizes(Plan("cpu", (120, 240), 1, 3))[0] == (90, 180)
    assert (120, 240) not in other_sizes(Plan("cpu", (120, 240), 1, 3))


def test_ratios_come_from_the_raw_times():
    def system(*seconds: float) -> dict:
        return {"training": {"seconds": list(seconds)}, "inference": {"seconds": [1.0]}}

    systems = {"torch": system(2, 9, 4), "jittor": system(8, 6, 7), "torchvision": system(2, 1, 8)}
    found = ratios(systems)
    assert list(found) == ["torch / torchvision", "jittor / torch"]
    assert found["torch / torchvision"]["training"] == {"median": 4 / 2, "best": 2 / 1}
    assert found["jittor / torch"]["training"] == {"median": 7 / 4, "best": 6 / 2}
    assert found["jittor / torch"]["inference"] == {"median": 1.0, "best": 1.0}
    assert ratios({"torchvision": system(1), "jittor": system(1)}) == {}
    charted = chart_of({"presets": {"p": {"systems": systems}}})
    assert charted["p: training"]["ours, Jittor"] == [8, 6, 7]


def measured(out, preset_name: str, systems: str, *arguments: str, shapes: int = 0) -> dict:
    """The record of a run of two rounds on scenes."""
    run(
        "bench_peers",
        f"--presets={preset_name}",
        f"--systems={systems}",
        "--set=data.kind=scenes",
        "--set=data.scenes.train_images=8",
        "--set=data.scenes.val_images=3",
        "--rounds=2",
        f"--shapes={shapes}",
        *arguments,
        f"--out={out}",
    )
    for suffix in (".png", ".svg"):
        assert out.with_suffix(suffix).stat().st_size > 0
    record = json.loads(out.with_suffix(".json").read_text())
    assert record["machine"]["cpu"] and record["date"] and record["device"] == "cpu"
    return record["presets"][preset_name]


def check_shape(found: dict, systems: list[str]) -> None:
    assert list(found["systems"]) == systems
    assert found["weights"]["gradients of parameters"]["numbers"] > 1000
    assert found["weights"]["gradients of parameters"]["denormal"] == 0
    for answers in found["systems"].values():
        for kind in WORK:
            assert len(answers[kind]["seconds"]) == len(answers[kind]["cpu_seconds"]) == 2
            assert answers[kind]["first"] > 0
        assert len(answers["losses"]) == 4 and np.isfinite(answers["losses"]).all()
        assert answers["peak_memory_mib"] > 50 and answers["gpu_memory_mib"] is None
        assert answers["environment"]["version"]
    for name, kinds in found["ratios"].items():
        first, second = (found["systems"][s]["training"]["seconds"] for s in name.split(" / "))
        quotient = statistics.median(first) / statistics.median(second)
        assert kinds["training"]["median"] == quotient


def check_same_work(found: dict) -> None:
    """As many regions, trained parameters and detections, with the same scores."""
    ours, theirs = found["systems"].values()
    assert ours["trained parameters"] == theirs["trained parameters"]
    assert ours["detections"] == theirs["detections"]
    for kind in WORK:
        assert ours[kind]["regions"] == theirs[kind]["regions"]
    gaps = np.abs(np.array(ours["scores"]) - theirs["scores"])
    assert gaps.size and (gaps <= DETECTION_SCORE).all(), gaps.max()


def test_hugging_faces_detr_is_the_same_work(tmp_path):
    pytest.importorskip("transformers")
    sizes = ["--batch=2", "--size=96x128", *SMALL_DETR]
    found = measured(tmp_path / "peers", "detr_r50", "torch,huggingface", *sizes)
    check_shape(found, ["torch", "huggingface"])
    check_same_work(found)


def test_torchvisions_faster_rcnn_is_the_same_work(tmp_path):
    pytest.importorskip("torchvision")
    few = [
        f"--set=model.rpn.proposals.{name}=50"
        for name in ("pre_nms_train", "pre_nms_test", "post_nms_train", "post_nms_test")
    ]
    few += ["--set=model.backbone.name=resnet18", "--set=model.roi.detections.score_threshold=0"]
    few += ["--set=model.num_classes=9", "--set=model.roi.sampler.count=32"]  # no slot stays empty
    sizes = ["--batch=2", "--size=90x128", *few]
    found = measured(tmp_path / "peers", "torchvision_r50_fpn", "torch,torchvision", *sizes)
    check_shape(found, ["torch", "torchvision"])
    check_same_work(found)
    assert found["systems"]["torch"]["inference"]["regions"] > 0


def test_both_frameworks_and_other_shapes(tmp_path):
    arguments = [a for a in TINY_RCNN if a.startswith("--set=model")]
    sizes = ["--batch=2", "--size=96x128"]
    found = measured(
        tmp_path / "peers", "scenes_frcnn", "torch,jittor", *sizes, *arguments, shapes=1
    )
    check_shape(found, ["torch", "jittor"])
    for answers in found["systems"].values():
        assert len(answers["new shapes"]["seconds"]) == len(answers["the same again"]["seconds"])
    first, second = (answers["losses"][0] for answers in found["systems"].values())
    assert abs(first / second - 1) < DETECTION_SCORE, "the same weights, images, samples"


def test_inference_gives_what_evaluation_gives():
    """Detections without losses on the way are the same detections."""
    from neutral.weights import initial_weights
    from scripts.common import open_session
    from tests.test_faster_rcnn_torch import example_batch

    config = preset("torchvision_r50_fpn")
    session = open_session("torch", config, "cpu")
    session.load(initial_weights(session.shapes(), config))
    batch = example_batch()
    for one, other in zip(session.detect(batch), session.evaluate(batch)[1], strict=True):
        for key in other:
            assert np.array_equal(one[key], other[key])
