"""What the harness judges by, against brute force on drawn inputs: partners, sizes, sums, relabellings, last places."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from parity.engine.judge import gates
from parity.engine.judge.checks import LOCAL_FORWARD_32, LOCAL_GRADIENTS_32
from parity.engine.judge.detections import match_detections, overlaps, partners
from parity.engine.judge.gradients import precision_gradient_scale
from parity.engine.judge.judging import relative_l2, relative_max
from parity.engine.judge.less_precise import judge_precision
from parity.engine.judge.noise import error_at
from parity.engine.judge.norms import relative
from parity.engine.judge.outcomes import same
from parity.engine.judge.rounding import count_terms, summation_errors
from parity.engine.judge.statistics import null_distribution, permutation_band
from parity.engine.judge.ulps import judge_ulps, ulps
from parity.engine.judge.verdicts import Status, Verdict
from parity.engine.values.arrays import BLOCK, is_zero, norm, ratio, sizes

SEEDS = range(12)


def overlap(a, b) -> float:
    """IoU of two boxes, counted on a grid of whole numbers; equal ones overlap whole."""
    if list(a) == list(b):
        return 1.0
    cells = [
        {(x, y) for x in range(int(b[0]), int(b[2])) for y in range(int(b[1]), int(b[3]))}
        for b in (a, b)
    ]
    both = cells[0] | cells[1]
    return len(cells[0] & cells[1]) / len(both) if both else 0.0


def boxes(random, count: int, most: int = 12) -> np.ndarray:
    return np.sort(random.integers(0, most, (count, 2, 2)), 1).reshape(count, 4).astype(float)


@pytest.mark.parametrize("seed", SEEDS)
def test_overlaps_are_counted(seed):
    random = np.random.default_rng(seed)
    a, b = boxes(random, 7, 5), boxes(random, 9, 5)
    b[0] = a[0]
    wanted = [[overlap(x, y) for y in b] for x in a]
    np.testing.assert_allclose(overlaps(a, b), wanted, rtol=1e-12)


def detections(random, count: int) -> dict[str, np.ndarray]:
    return {
        "scores": 0.5 + random.integers(0, 3, count) * gates.DETECTION_SCORE * 0.8,
        "labels": random.integers(1, 3, count),
        "boxes": np.array([[0.0, 0, 10, 10], [0, 0, 1000, 1000], [0, 0, 1000, 1009]])[
            random.integers(0, 3, count)
        ],
    }


def fits(a: dict, b: dict, i: int, j: int) -> bool:
    return bool(
        a["labels"][i] == b["labels"][j]
        and abs(a["scores"][i] - b["scores"][j]) <= gates.DETECTION_SCORE
        and overlap_of(a["boxes"][i], b["boxes"][j]) >= gates.DETECTION_IOU
    )


def overlap_of(a, b) -> float:
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    shared = np.prod(np.clip(high - low, 0, None))
    return shared / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - shared)


@pytest.mark.parametrize("seed", range(30))
def test_as_many_partners_as_any_pairing_has(seed):
    random = np.random.default_rng(seed)
    a, b = (detections(random, int(random.integers(1, 6))) for _ in range(2))
    rows, columns = partners(a, b)
    assert len(set(rows)) == len(rows) == len(set(columns)) == len(columns)
    assert all(fits(a, b, i, j) for i, j in zip(rows, columns))
    few, many = sorted((a, b), key=lambda x: len(x["scores"]))
    best = max(
        sum(fits(few, many, i, j) for i, j in enumerate(chosen))
        for chosen in itertools.permutations(range(len(many["scores"])), len(few["scores"]))
    )
    assert len(rows) == best
    (verdict,) = match_detections("case", "check", [a], [b])
    total = len(many["scores"])
    assert verdict.message == f"{best} of {total} detections have a partner"
    assert verdict.measured == pytest.approx(1 - best / total)
    assert (verdict.status is Status.PASS) == (best == total)


@pytest.mark.parametrize("share", [1, 0.9995, 0.9985])
def test_one_detection_in_a_thousand_may_lack_a_partner(share):
    count = 2000
    a = {"scores": np.full(count, 0.5), "labels": np.arange(count), "boxes": np.ones((count, 4))}
    b = {k: v.copy() for k, v in a.items()}
    b["scores"][: round(count * (1 - share))] += 0.1
    (verdict,) = match_detections("case", "check", [a, a], [a, b])
    wanted = Status.PASS if (1 - share) / 2 <= 1e-3 else Status.FAIL
    assert verdict.status is wanted and verdict.limit == pytest.approx(1e-3)
    (alone,) = match_detections("case", "check", [a], [b])
    assert alone.status is (Status.PASS if 1 - share <= 1e-3 else Status.FAIL)


@pytest.mark.parametrize("seed", SEEDS)
def test_sizes_are_those_of_whole_arrays(seed):
    random = np.random.default_rng(seed)
    count = int(random.choice([1, 5, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 7]))
    reference, *others = random.standard_normal((3, count)) * 10.0 ** random.integers(-3, 4, (3, 1))
    narrow = others[1].astype(np.float32)
    found = sizes(reference, others[0], narrow)
    for size, x in zip(found, (reference, others[0] - reference, narrow - reference)):
        assert size.norm == pytest.approx(np.linalg.norm(x), rel=1e-12)
        assert size.greatest == np.abs(x).max()
    assert norm(reference) == found[0].norm
    size, error = np.linalg.norm(reference), np.linalg.norm(others[0] - reference)
    assert relative_l2(others[0], reference) == pytest.approx(error / size)
    assert relative_l2(others[0], reference, 2 * size) == pytest.approx(error / (3 * size))
    most, apart = np.abs(reference).max(), np.abs(others[0] - reference).max()
    assert relative_max(others[0], reference, most) == pytest.approx(apart / (2 * most))
    at = int(random.integers(count))
    for odd in (math.nan, math.inf):
        spoiled = others[0].copy()
        spoiled[at] = odd
        assert not math.isfinite(sizes(reference, spoiled)[1].norm)
        assert not math.isfinite(sizes(reference, spoiled)[1].greatest)
    one = np.zeros(count)
    assert is_zero(one) and ratio(0, norm(one)) == 0 and ratio(1, norm(one)) == math.inf
    one[at] = -1e-300
    assert not is_zero(one) and not is_zero(one * math.nan)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_side_that_errs_more_is_named(seed):
    random = np.random.default_rng(seed)
    exact = random.standard_normal(500)
    errors = 10.0 ** random.uniform(-7, -4, 2)
    ours, theirs = ((exact * (1 + e)).astype(np.float32) for e in errors)
    measured = [np.linalg.norm(x - exact) / np.linalg.norm(exact) for x in (ours, theirs)]
    verdict = judge_precision("c", "check", "x", ours, theirs, exact, 4.0, 1e-6)
    worse = int(measured[1] > measured[0])
    limit = max(4.0 * measured[1 - worse], 1e-6)
    wanted = Status.FAIL if measured[worse] > limit else Status.PASS
    assert verdict.status is wanted and verdict.sides == pytest.approx(measured)
    assert verdict.guilty == (("torch", "jittor")[worse] if wanted is Status.FAIL else "")
    if wanted is Status.FAIL:
        assert verdict.measured == pytest.approx(measured[worse])
        assert verdict.limit == pytest.approx(limit)


LAYERS = (
    *(torch.nn.Conv2d(6, 4, 3, groups=2), torch.nn.Conv2d(3, 2, (1, 5)), torch.nn.Linear(7, 2)),
    torch.nn.Conv2d(5, 5, 1),
)


@pytest.mark.parametrize("layer", LAYERS)
def test_terms_of_a_sum_are_those_that_an_output_depends_on(layer):
    """Counted by the gradient of one output."""
    names = ("in_channels", "kernel_size", "groups", "in_features")
    told = {k: getattr(layer, k) for k in names if hasattr(layer, k)}
    x = torch.rand(
        (1, layer.in_channels, 9, 9) if hasattr(layer, "groups") else (1, layer.in_features),
        requires_grad=True,
    )
    layer(x).reshape(-1)[0].backward()
    assert count_terms(told) == int((x.grad != 0).sum())
    if "kernel_size" in told and len(set(layer.kernel_size)) == 1:
        assert count_terms(told | {"kernel_size": layer.kernel_size[0]}) == count_terms(told)
    assert count_terms({"kernel_size": 3}) == 0


def test_what_rounding_a_long_sum_is_allowed_is_what_it_needs_and_not_much_more():
    random = np.random.default_rng(0)
    for terms in (64, 1024, 16384):
        x = random.standard_normal((terms, 400)).astype(np.float32)
        chain = np.zeros(400, np.float32)
        for row in x:
            chain += row
        exact = x.astype(np.float64).sum(0)
        error = np.linalg.norm(chain - exact) / np.linalg.norm(exact)
        trace = {"modules": {"fc": {"in_features": terms}}, "nodes": {"fc": chain, "fc/in[0]": x}}
        (allowed,) = summation_errors(trace).values()
        assert allowed == gates.U32 * math.sqrt(terms / gates.SUMMATION_TERMS)
        assert 0.1 < error / allowed < 10


def test_a_pool_over_all_it_is_given_adds_up_all_of_it():
    pooled = {"type": "AdaptiveAvgPool2d"}
    modules = {"pool": pooled, "act": {"type": "ReLU"}}
    nodes = {"pool#2/in[0]": 1, "pool/in[0]": np.ones((2, 3, 8, 8)), "pool": np.ones((2, 3, 2, 2))}
    nodes |= {"pool#2/in[0]": np.ones((2, 3, 8, 8)), "pool/in[0]#2": np.ones((2, 3, 4, 4))}
    nodes |= {"pool#2": np.ones((2, 3, 1, 1)), "act": np.ones(4), "other": np.ones(4)}
    found = summation_errors({"modules": modules, "nodes": nodes})
    root = gates.U32 / math.sqrt(gates.SUMMATION_TERMS)
    assert found == {"pool": pytest.approx(root * 4), "pool#2": pytest.approx(root * 4)}


def test_relabellings_are_all_there_are():
    random = np.random.default_rng(0)
    a, b = random.standard_normal((2, 3, 4))
    observed = b.mean(0) - a.mean(0)
    pairs = []
    for signs in itertools.product((1, -1), repeat=3):
        pairs.append(((b - a) * np.array(signs)[:, None]).mean(0))
    rows = np.concatenate([a, b])
    free = []
    for chosen in itertools.combinations(range(6), 3):
        rest = [k for k in range(6) if k not in chosen]
        free.append(rows[rest].mean(0) - rows[list(chosen)].mean(0))
    for paired, wanted in ((True, pairs), (False, free)):
        found = null_distribution(a, b, observed, paired)
        assert len(found) == len(wanted)
        key = lambda x: np.round(np.array(x)[np.lexsort(np.round(x, 9).T)], 9)  # noqa: E731
        np.testing.assert_allclose(key(found), key(wanted), atol=1e-9)
        band = permutation_band(a, b, 0.25, paired)
        spread = np.sqrt((np.array(wanted) ** 2).mean(0))
        greatest = np.sort([np.abs(x / spread).max() for x in wanted])
        reached = np.abs(observed / spread).max()
        assert band.p == pytest.approx(np.mean([g >= reached * (1 - 1e-9) for g in greatest]))
        at = math.ceil(0.75 * (len(greatest) - 1))
        np.testing.assert_allclose(band.width, greatest[at] * spread)
        np.testing.assert_allclose(band.difference, observed)
    alone = null_distribution(a[:1], b[:1], b[0] - a[0], True)
    np.testing.assert_array_equal(alone, [b[0] - a[0], a[0] - b[0]])


@pytest.mark.parametrize("steps", [0, 1, 3, 50])
def test_last_places_are_steps_to_the_next_number(steps):
    start = np.array([1.1, -3.7, 1e-20, 12345.6], np.float32)
    other = start
    for _ in range(steps):
        other = np.nextafter(other, np.float32(np.inf), dtype=np.float32)
    np.testing.assert_array_equal(ulps(other, start), [steps] * 4)
    verdict = judge_ulps("case", "check", "x", other, start, 3)
    assert verdict.measured == steps
    assert verdict.status is (Status.PASS if steps <= 3 else Status.FAIL)
    one = start.copy()
    one[2] = other[2]
    assert judge_ulps("case", "check", "x", one, start, 3).measured == steps
    # what is left of large operands has their last place
    operand = np.full(4, 2.0**20, np.float32)
    assert (ulps(other, start, None, operand) <= np.abs(other - start) / 0.125).all()


@pytest.mark.parametrize("section", ["nodes", "gradients", "node_gradients"])
@pytest.mark.parametrize("measure", ["relative L2", "the greatest error"])
def test_an_error_beside_is_measured_by_the_exact_values(section, measure):
    check = LOCAL_FORWARD_32 if section == "nodes" else LOCAL_GRADIENTS_32
    verdict = Verdict("case", check, "x", Status.FAIL, 1.0, 0.1, measure)
    exact, narrow = np.array([3.0, 4.0]), np.array([4.5, 6.0])
    found = error_at(verdict, {section: {"x": exact}}, {section: {"x": narrow}})
    scale = 0.0 if section == "nodes" else precision_gradient_scale({"x": exact})
    assert found == relative(narrow - exact, exact, scale, verdict)
    assert section != "nodes" or found == 0.5
    assert error_at(verdict, {section: {"x": exact}}, {section: {}}) == 0.0
    wide = {section: {"x": np.ones(3)}}
    assert error_at(verdict, {section: {"x": exact}}, wide) == 0.0


def test_plain_numbers_are_the_same_to_so_many_digits_of_the_greater():
    least = gates.PLAIN_NUMBERS
    for a in (1.0, -1.0, 1e30, 1e-30):
        near, far = a * (1 + 0.9 * least), a * (1 + 1.1 * least)
        assert same(a, near) and same(near, a) and not same(a, far) and not same(far, a)
    assert same(2.0, 2) and not same(2.0, True) and not same(0.0, 1e-300) and same("a", "a")
