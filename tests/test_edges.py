"""What the suite asks beside traces (parity/suite/edges.py): both implementations answer as they should."""

from __future__ import annotations

import numpy as np
import pytest

from parity import Workers
from parity.suite.edges import LAYERS, SIZE

pytestmark = pytest.mark.usefixtures("warm_workers")


@pytest.fixture(scope="module")
def found(warm_workers):
    with Workers() as both:
        yield both.run("parity.suite.edges:edges")


@pytest.fixture(params=["torch", "jittor"])
def answers(found, request):
    return found[request.param]


def test_every_layer_is_matched_by_indices_of_64_bits(answers):
    for layer in range(LAYERS):  # queries 0 and 1 sit on the objects, moved on by one each layer
        where = sorted(((k + layer) % 3, k) for k in range(2))
        (pairs,) = answers[f"matches/layer{layer}"]
        assert pairs.tolist() == np.transpose(where).tolist()
    assert answers["matches/bytes"].tolist() == [8]


def test_one_number_that_is_not_finite_is_told_as_such(answers):
    assert answers["matches/refused"] == 1


def test_a_pixel_at_the_threshold_is_no_part_of_a_mask(answers):
    assert answers["detection masks/at the threshold"].tolist() == np.zeros((1, *SIZE)).tolist()
    assert answers["detection masks/above it"].tolist() == np.ones((1, *SIZE)).tolist()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_order_is_numpys_as_on_cuda_too(answers, dtype):
    x = np.random.default_rng(0).standard_normal((3, 50)).astype(dtype)
    wanted = np.argsort(-x, axis=1, kind="stable")
    assert answers[f"sort_descending[{dtype}]"].tolist() == wanted.tolist()
