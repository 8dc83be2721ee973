"""Both detectors, node by node: converted weights, activations, losses, choices, detections, gradients."""

from __future__ import annotations

import pytest

from neutral.config import preset, to_dict
from neutral.data import open_dataset
from neutral.data.batching import val_batches
from neutral.evaluation import evaluate
from neutral.weights import initial_weights
from parity import compare
from parity.cases import CASES, FASTER_RCNN, Case
from parity.golden import golden_weights
from parity.mutants.probes import PROBES
from parity.workers import FRAMEWORKS

OVERFITTED_IMAGES = 4
# steps and rate at which PyTorch learns four scenes by heart: AP about 0.7 and more
OVERFITTING = {"scenes_detr": (150, 5e-4), "scenes_frcnn": (80, 2e-3)}


def identifier(case: Case) -> str:
    return case.name.replace(" ", "_").replace(",", "")


def marked(case: Case):
    marks = [pytest.mark.full] if case.full else []
    return pytest.param(case, id=identifier(case), marks=marks)


@pytest.mark.parametrize("case", map(marked, CASES + FASTER_RCNN))
def test_detector(case, pair, conclude, scenes_folder):
    if case.data is not None and not case.data.is_dir():
        pytest.skip(f"{case.data.name} is not at ../shared/data")
    config, batch = case.config(), case.batch(scenes_folder)
    traces, verdicts = {}, []
    for dtype in ("float64", "float32"):
        if not getattr(case, dtype) and not (dtype == "float64" and case.float32):
            continue
        # float64 PyTorch is the reference, so it runs even where Jittor's float64 would take too long
        sides = FRAMEWORKS if getattr(case, dtype) else ("torch",)
        pair.both("build", to_dict(config), pair.device, dtype, sides=sides)
        weights = golden_weights(pair["torch"].call("shapes"))
        pair.both("load", weights, sides=sides)
        if dtype == ("float32" if case.float32 else "float64"):
            names, states = pair.both("trained_names"), pair.both("state")
            verdicts.append(compare.compare_names(case.name, names["torch"], names["jittor"]))
            given = {k: v.astype(dtype) for k, v in weights.items()}
            verdicts += compare.compare_weights(case.name, given, states["torch"], states["jittor"])
        # float32 runs go on from the reference's choices, and tell their own
        reference = traces.get(("torch", "float64"), {}).get("decisions")
        options = {"dropout_step": case.dropout_step, "replay": reference}
        answers = pair.both("trace", batch, sides=sides, **options)
        traces |= {(side, dtype): trace for side, trace in answers.items()}
    if case.float64:
        verdicts += compare.compare_semantics(
            case.name, traces["torch", "float64"], traces["jittor", "float64"]
        )
    if case.float32:
        three = (
            traces["torch", "float64"],
            traces["torch", "float32"],
            traces["jittor", "float32"],
        )
        matches = ()
        if "matches" in three[0]:
            matches = compare.compare_matches_32(case.name, three, batch, config.model.matcher)
        verdicts += compare.compare_precision(case.name, *three, matches)
    conclude(verdicts)


@pytest.mark.parametrize("name", ["detr steps", "frcnn steps"])
def test_training_steps(name, pair, conclude):
    """Four coupled float64 steps across a learning-rate drop, dropout, samplers and clipping included."""
    probe = PROBES[name]
    conclude(probe.compare(*(probe.collect(pair[side]) for side in FRAMEWORKS)))


@pytest.mark.parametrize("name", OVERFITTING)
def test_average_precision(name, pair, conclude, scenes_folder):
    """PyTorch learns four scenes by heart; both frameworks then detect on them with those weights."""
    config = preset(name)
    steps, rate = OVERFITTING[name]
    dataset = open_dataset(config, "val", scenes_folder)
    batch = next(val_batches(dataset, config, OVERFITTED_IMAGES))
    pair.both("build", to_dict(config), pair.device, "float32")
    worker = pair["torch"]
    shapes, names = worker.call("shapes"), worker.call("trained_names")
    worker.call("load", initial_weights(shapes, config))
    weights = worker.call("fit", batch, steps, dict.fromkeys(names, rate))
    pair.both("load", weights)
    found = pair.both("detect", batch)
    case = f"{name} with trained weights"
    verdicts = compare.match_detections(case, "detections", found["torch"], found["jittor"])
    scores = [
        evaluate(dataset, {t.image_id: d for t, d in zip(batch.targets, found[side], strict=True)})
        for side in FRAMEWORKS
    ]
    conclude(verdicts + compare.compare_ap(case, *scores))
