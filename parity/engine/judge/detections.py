"""What post-processing gives: exact in float64, and detections (boxes, labels, scores) one to one in float32.

Before: judging.py. semantic.py, precision.py and localise.py ask here.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping

import numpy as np

from parity.engine.judge import checks, gates
from parity.engine.judge.judging import SIDES, judge, judge_nodes
from parity.engine.judge.verdicts import Status, Verdict
from parity.engine.values import tree


def are_detections(value) -> bool:
    """Whether it is a list with boxes, labels and scores for each image."""
    return isinstance(value, (list, tuple)) and all(
        isinstance(image, Mapping) and {"boxes", "labels", "scores"} <= set(image)
        for image in value
    )


def compare_detections(
    case: str, check: str, reference, candidate, limit: float, sides: tuple[str, str] = SIDES
) -> list[Verdict]:
    """One by one: labels identical, scores and boxes within `limit`; an image may have none on both sides.

    Any other tree of arrays: every array within `limit`, integers identical.
    """
    if not are_detections(reference) or not are_detections(candidate):
        flat = [flattened(x) for x in (reference, candidate)]
        return judge_nodes(
            case, check, *flat, lambda n, x, y: judge(case, check, n, y, x, limit), sides
        )
    if len(reference) != len(candidate) or not reference:
        message = f"{len(reference)} and {len(candidate)} images"
        return [Verdict(case, check, "images", Status.FAIL, message=message)]
    verdicts = []
    for i, (a, b) in enumerate(zip(reference, candidate, strict=True)):
        if len(a["scores"]) == len(b["scores"]) == 0:
            continue
        verdicts += judge_nodes(
            case,
            check,
            a,
            b,
            lambda n, x, y, i=i: judge(case, check, f"image{i}/{n}", y, x, limit),
            sides,
        )
    return verdicts or [nothing_detected(case, check)]


def flattened(value) -> dict[str, np.ndarray]:
    """Arrays and numbers of a tree, by path."""
    return {
        path or "(all)": np.asarray(leaf)
        for path, leaf in tree.leaves(value, lambda x: isinstance(x, (np.ndarray, int, float)))
    }


def array_at(value, node: str) -> np.ndarray | None:
    """What compare_detections calls `node`: "image0/boxes" of detections, else a path."""
    if are_detections(value):
        image, _, name = node.partition("/")
        number = image.removeprefix("image")
        found = value[int(number)] if number.isdigit() and int(number) < len(value) else {}
        return found.get(name)
    return flattened(value).get(node)


def nothing_detected(case: str, check: str) -> Verdict:
    return Verdict(
        case, check, "detections", Status.FAIL, message="nothing to compare: no detections"
    )


def compare_detections_32(
    case: str, exact, reference, candidate, sides: tuple[str, str] = SIDES
) -> list[Verdict]:
    """One to one; where the reference's own float32 detections miss its float64 ones too, nobody is to blame.

    Only detections: what another post-processing makes of float32 is judged through what it was given.
    """
    if not all(map(are_detections, (exact, reference, candidate))):
        message = "not detections: in float32 judged through what post-processing was given"
        status = Status.NOT_RUN
        return [Verdict(case, checks.DETECTIONS_32, "(all)", status, message=message)]
    check, name = checks.DETECTIONS_32, {"torch": "PyTorch"}.get(sides[0], sides[0])
    own = match_detections(case, check, exact, reference)[0]
    return [
        v.but(status=Status.INCONCLUSIVE, message=f"{v.message}; of {name}'s own {own.message}")
        if v.status is Status.FAIL and v.measured is not None and own.status is Status.FAIL
        else v
        for v in match_detections(case, check, reference, candidate)
    ]


def partners(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Rows of `a` and of `b` (scores, labels, boxes) that are the same detection, one to one."""
    if len(a["scores"]) == 0 or len(b["scores"]) == 0:
        return np.zeros(0, int), np.zeros(0, int)
    fits = overlaps(a["boxes"].astype(float), b["boxes"].astype(float)) >= gates.DETECTION_IOU
    fits &= a["labels"][:, None] == b["labels"][None]
    fits &= np.abs(a["scores"][:, None].astype(float) - b["scores"][None]) <= gates.DETECTION_SCORE
    # workers may be without SciPy
    assign = importlib.import_module("scipy.optimize").linear_sum_assignment
    rows, columns = assign(~fits)
    kept = fits[rows, columns]
    return rows[kept], columns[kept]


def overlaps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """IoU [N, M] of xyxy boxes a [N, 4] and b [M, 4]; equal boxes without area overlap whole."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=2)
    area_a, area_b = (np.prod(x[:, 2:] - x[:, :2], axis=1) for x in (a, b))
    union = area_a[:, None] + area_b[None] - shared
    same = (a[:, None] == b[None]).all(axis=2)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(same, 1.0, np.nan_to_num(shared / union))


def match_detections(case: str, check: str, reference: list, candidate: list) -> list[Verdict]:
    """One-to-one matching per image: same label, IoU >= 0.99, score within 1e-4; 99.9 % must have a partner."""
    if len(reference) != len(candidate) or not reference:
        message = f"{len(reference)} and {len(candidate)} images"
        return [Verdict(case, check, "images", Status.FAIL, message=message)]
    total = matched = 0
    for a, b in zip(reference, candidate, strict=True):
        total += max(len(a["scores"]), len(b["scores"]))
        matched += len(partners(a, b)[0])
    if total == 0:
        return [nothing_detected(case, check)]
    missing = 1 - matched / total
    status = Status.PASS if missing <= 1 - gates.DETECTIONS_MATCHED else Status.FAIL
    message = f"{matched} of {total} detections have a partner"
    return [Verdict(case, check, "matched", status, missing, 1 - gates.DETECTIONS_MATCHED, message)]
