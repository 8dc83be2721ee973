"""Both detectors, node by node: converted weights, activations, losses, choices, detections, gradients."""

from __future__ import annotations

import pytest

from neutral.config import preset, to_dict, with_overrides
from neutral.data import open_dataset
from neutral.data.batching import val_batches
from neutral.evaluation import evaluate
from neutral.weights import initial_weights
from parity.engine.judge.detections import match_detections
from parity.engine.sides.workers import FRAMEWORKS
from parity.suite.ask import ask
from parity.suite.average_precision import compare_ap
from parity.suite.cases import CASES, FASTER_RCNN, FEW_SCENES, OVERFITTED_IMAGES, OVERFITTING
from parity.suite.detector_case import DetectorCase


def identifier(case: DetectorCase) -> str:
    return case.name.replace(" ", "_").replace(",", "")


def marked(case: DetectorCase):
    marks = [pytest.mark.full] if case.full else []
    return pytest.param(case, id=identifier(case), marks=marks)


@pytest.mark.parametrize("case", map(marked, CASES + FASTER_RCNN))
def test_detector(case, pair, conclude, stage, scenes_folder, scripts):
    if case.data is not None and not case.data.is_dir():
        pytest.skip(f"{case.data.name} is not at ../shared/data")
    with case.examination(pair, scenes_folder, scripts) as examination:
        conclude(examination.run(stage))


@pytest.mark.parametrize("name", OVERFITTING)
def test_average_precision(name, pair, conclude, scenes_folder):
    """PyTorch learns four scenes by heart; both frameworks then detect on them with those weights."""
    config = with_overrides(preset(name), [FEW_SCENES])
    steps, rate = OVERFITTING[name]
    dataset = open_dataset(config, "val", scenes_folder)
    batch = next(val_batches(dataset, config, OVERFITTED_IMAGES))
    ask(pair, "build", to_dict(config), pair.device, "float32")
    worker = pair["torch"]
    shapes, names = worker.call("shapes"), worker.call("trained_names")
    worker.call("load", initial_weights(shapes, config))
    weights = ask(worker, "fit", batch, steps, dict.fromkeys(names, rate))
    pair.both("load", weights)
    found = ask(pair, "detect", batch)
    case = f"{name} with trained weights"
    verdicts = match_detections(case, "detections", found["torch"], found["jittor"])
    scores = [
        evaluate(dataset, {t.image_id: d for t, d in zip(batch.targets, found[side], strict=True)})
        for side in FRAMEWORKS
    ]
    conclude(verdicts + compare_ap(case, *scores))
