"""Both detectors, node by node: converted weights, activations, losses, choices, detections, gradients."""

from __future__ import annotations

import pytest

from neutral.config import preset, to_dict, with_overrides
from neutral.data import open_dataset
from neutral.data.batching import val_batches
from neutral.evaluation import evaluate
from neutral.weights import initial_weights
from parity import compare
from parity.cases import CASES, FASTER_RCNN, FEW_SCENES, OVERFITTED_IMAGES, OVERFITTING, Case
from parity.examine import examine_case
from parity.workers import FRAMEWORKS


def identifier(case: Case) -> str:
    return case.name.replace(" ", "_").replace(",", "")


def marked(case: Case):
    marks = [pytest.mark.full] if case.full else []
    return pytest.param(case, id=identifier(case), marks=marks)


@pytest.mark.parametrize("case", map(marked, CASES + FASTER_RCNN))
def test_detector(case, pair, conclude, stage, scenes_folder, scripts):
    if case.data is not None and not case.data.is_dir():
        pytest.skip(f"{case.data.name} is not at ../shared/data")
    with examine_case(case, pair, scenes_folder, scripts) as examination:
        conclude(examination.run(stage))


@pytest.mark.parametrize("name", OVERFITTING)
def test_average_precision(name, pair, conclude, scenes_folder):
    """PyTorch learns four scenes by heart; both frameworks then detect on them with those weights."""
    config = with_overrides(preset(name), [FEW_SCENES])
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
