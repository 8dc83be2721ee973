"""Both detectors, node by node: converted weights, activations, losses, choices, detections, gradients."""

from __future__ import annotations

import pytest

from neutral.config import to_dict
from neutral.evaluation import evaluate
from parity.engine.judge.detections import match_detections
from parity.engine.sides.workers import FRAMEWORKS
from parity.suite.ask import ask
from parity.suite.average_precision import compare_ap
from parity.suite.cases import CASES, FASTER_RCNN, OVERFITTING
from parity.suite.detector_case import DetectorCase
from parity.suite.overfitting import scenes_of


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
def test_average_precision(name, overfitted, pair, conclude, scenes_folder):
    """PyTorch learns four scenes by heart; both frameworks then detect on them with those weights."""
    config, dataset, batch = scenes_of(name, scenes_folder)
    ask(pair, "build", to_dict(config), pair.device, "float32")
    pair.both("load", overfitted[name].result())
    found = ask(pair, "detect", batch)
    case = f"{name} with trained weights"
    verdicts = match_detections(case, "detections", found["torch"], found["jittor"])
    scores = [
        evaluate(dataset, {t.image_id: d for t, d in zip(batch.targets, found[side], strict=True)})
        for side in FRAMEWORKS
    ]
    conclude(verdicts + compare_ap(case, *scores))
