"""Faults planted at known nodes: the harness names exactly these, and the side that has them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from parity.engine.judge.localise import classify, culprits
from parity.engine.judge.verdicts import Status, Verdict
from parity.engine.sides.workers import FRAMEWORKS
from parity.suite.cases import CASES, FASTER_RCNN

# two faults forward, one in the backward pass only
FAULTS = {
    "scenes_detr on scenes": {
        "backbone.0.body.layer2.0.conv2": "forward",
        "transformer.decoder.layers.1.linear1": "forward",
        "transformer.encoder.layers.0.norm1": "backward",
    },
    "scenes_frcnn on scenes": {
        "backbone.fpn.layer_blocks.1.0": "forward",
        "roi_heads.box_head.fc7": "forward",
        "backbone.body.layer3.0.bn1": "backward",
    },
}
BY_NAME = {case.name: case for case in CASES + FASTER_RCNN}


@pytest.fixture
def planted(pair):
    """planted(side, faults) spoils modules of the session that a side has; all is undone at the end."""
    yield lambda side, faults: pair[side].call("plant", faults)
    for side in FRAMEWORKS:
        pair[side].call("plant", {})


def examine(case, pair, scenes_folder, planted, side, faults, **precision) -> list[Verdict]:
    """All verdicts on the pair with these faults on one side."""
    examination = replace(case, **precision).examination(pair, scenes_folder)
    build = examination.build

    def build_and_plant(sides, dtype):
        build(sides, dtype)
        if side in sides:
            planted(side, faults)

    examination.build = build_and_plant
    with examination:
        return examination.run()


@pytest.mark.parametrize("side", FRAMEWORKS)
@pytest.mark.parametrize("name", FAULTS)
def test_three_faults_are_named_and_nothing_else(
    name, side, pair, planted, conclude, scenes_folder
):
    faults = FAULTS[name]
    found = examine(BY_NAME[name], pair, scenes_folder, planted, side, faults, float32=False)
    blamed = culprits(found)
    case = f"three faults in {side}'s {name}"
    same = set(blamed) == set(faults)
    message = "" if same else f"named {sorted(blamed)}, planted {sorted(faults)}"
    status = Status.PASS if same else Status.FAIL
    verdicts = [Verdict(case, "culprits", "names", status, message=message)]
    for node in faults:
        guilty = {v.guilty for v in blamed.get(node, [])} - {""}
        layer = node.rpartition(".")[2]
        fine = guilty == {side}
        status = Status.PASS if fine else Status.FAIL
        message = "" if fine else f"{layer}: blamed {sorted(guilty) or 'nobody'}"
        verdicts.append(Verdict(case, "guilty side", node, status, message=message))
    conclude(verdicts)


@pytest.mark.parametrize("side", FRAMEWORKS)
def test_lost_digits_are_a_matter_of_precision(side, pair, planted, conclude, scenes_folder):
    """A node of one side that is 100 times less precise in float32, and exact in float64."""
    case, node = BY_NAME["scenes_detr on scenes"], "transformer.encoder.layers.1.linear2"
    found = examine(case, pair, scenes_folder, planted, side, {node: "digits"}, float64=False)
    of_node = [v for v in found if v.owner == node]
    wanted, classified = f"PRECISION-DIFF({side})", classify(of_node)
    others = set(culprits(found)) - {node}
    fine = classified == wanted and not others
    message = "" if fine else f"{node} is {classified}; others blamed: {sorted(others)}"
    status = Status.PASS if fine else Status.FAIL
    conclude([Verdict(f"lost digits in {side}", "class", node, status, message=message)])
