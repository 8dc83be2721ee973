"""Random index expressions: NumPy, PyTorch and Jittor agree on reading and writing, but for what known.json lists.

A disagreement is shrunk by hypothesis and comes with three lines that show it.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from door.files import read_json
from parity.atlas.catalogue import BY_ID
from parity.atlas.conformance import KNOWN, agrees, by_numpy, known_for, repro, tags, written
from parity.atlas.judge import PATIENCE
from parity.engine.judge.verdicts import Status, Verdict
from parity.engine.sides.workers import FRAMEWORKS, Worker
from parity.errors import WorkerDied

CASE = "indexing"
BY_FRAMEWORK = "parity.atlas.conformance:by_framework"
# every new pattern is a kernel that Jittor compiles: the default run always has the same few
FEW, MANY = 30, 400


def axis_index(length: int, joint: tuple[int, ...]) -> st.SearchStrategy[list[list]]:
    """What may stand for one axis, as items: an integer, a slice, new axes, an array of shape `joint`, a mask."""
    basic = npst.basic_indices((length,), allow_newaxis=True, allow_ellipsis=False, max_dims=2)
    array = npst.integer_array_indices((length,), result_shape=st.just(joint or (2,)))
    mask = npst.arrays(bool, length).map(lambda mask: (mask,))
    choices = (basic, basic, array) if joint else (basic, basic, array, mask)
    return st.one_of(*choices).map(items_of)


def items_of(index) -> list[list]:
    """A NumPy index of one axis as conformance.py writes it."""
    parts = index if isinstance(index, tuple) else (index,)
    items = []
    for part in parts or (slice(None),):
        if part is None:
            items.append(["none"])
        elif isinstance(part, slice):
            items.append(["slice", part.start, part.stop, part.step])
        elif isinstance(part, np.ndarray):
            items.append(["mask" if part.dtype == bool else "array", part.tolist()])
        else:
            items.append(["int", int(part)])
    return items


@st.composite
def expressions(draw, writing: bool):
    """(shape, dtype, items, value)."""
    shape = draw(npst.array_shapes(min_dims=1, max_dims=3, max_side=4))
    items, axis = [], 0
    count = draw(st.integers(1, len(shape)))
    if draw(st.integers(0, 5)) == 0:
        items.append(["ellipsis"])
        count = min(count, len(shape) - 1)
        axis = len(shape) - count
    joint = draw(st.sampled_from([(), (2,), (3,), (2, 1)]))  # arrays broadcast against each other
    for length in shape[axis : axis + count]:
        items += draw(axis_index(length, joint))
    dtype = draw(st.sampled_from(["float32", "int32", "bool"]))
    value = None
    if writing:
        dtype = "float32"
        index_of = by_numpy(shape, "int64", items)
        assume(index_of is not None)
        assume(
            len(set(index_of.ravel().tolist())) == index_of.size
        )  # which of two writes wins is open
        value = -1.5
        if draw(st.booleans()):
            value = -1.0 - np.arange(index_of.size, dtype=np.float32).reshape(index_of.shape)
            assume(value.ndim > 0 and value.size > 0)
    return shape, dtype, items, value


@pytest.fixture(scope="module")
def workers():
    found = {side: Worker(side, PATIENCE) for side in FRAMEWORKS}
    yield found
    for worker in found.values():
        worker.close()


def check(workers, mode: str, expression) -> None:
    shape, dtype, items, value = expression
    expected = by_numpy(shape, dtype, items, value)
    assume(expected is not None)
    had = tags(shape, items, value)
    for side in FRAMEWORKS:
        if known_for(side, mode, had):
            continue
        try:
            found = workers[side].run(BY_FRAMEWORK, shape, dtype, items, value)
        except WorkerDied as death:
            found = f"crash: {death}"
        told = found if isinstance(found, str) else found.tolist()
        assert agrees(expected, found), (
            f"{side}: x[{written(items)}] of {dtype}{list(shape)} gives {told}, NumPy {expected.tolist()}; "
            f"tags {sorted(had)}\n"
            f"{repro(side, shape, dtype, items, value)}"
        )


def explored(workers, mode: str, examples: int) -> None:
    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(expressions(mode == "set"))
    def property_holds(expression):
        check(workers, mode, expression)

    property_holds()


@pytest.mark.parametrize("mode", ["get", "set"])
def test_random_expressions(mode, workers, conclude):
    explored(workers, mode, FEW)
    conclude([Verdict(CASE, f"random expressions, {mode}", f"{FEW} examples", Status.PASS)])


@pytest.mark.full
@pytest.mark.parametrize("mode", ["get", "set"])
def test_many_random_expressions(mode, workers, conclude):
    explored(workers, mode, MANY)
    conclude([Verdict(CASE, f"random expressions, {mode}", f"{MANY} examples", Status.PASS)])


def test_known_disagreements_lead_to_the_atlas():
    for entry in read_json(KNOWN):
        assert entry["entry"] in BY_ID and entry["side"] in FRAMEWORKS
        assert entry["mode"] in ("get", "set", "both") and entry["tags"]
