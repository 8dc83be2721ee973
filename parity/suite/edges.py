"""What no trace of a detector meets: values exactly at a bound, one bad number among good ones, what CUDA alone runs.

`edges` is asked of a worker; its answers are numbers, by what was made.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from neutral.choices import Choices
from neutral.config import CriterionConfig, MaskConfig, MatcherConfig
from neutral.data.batching import Batch
from neutral.data.coco import Target
from neutral.errors import NonFinite
from parity.engine.sides.server import Server
from parity.suite.requests import fresh

SIZE = (4, 6)  # of an image
GOALS = np.array([[0.7, 0.7, 0.2, 0.2], [0.2, 0.2, 0.1, 0.1]], np.float32)
FAR = np.array([0.5, 0.1, 0.3, 0.1])  # a query that sits on no object
LAYERS = 3


def target() -> Target:
    """Two objects."""
    labels, area = np.array([1, 0], np.int64), np.ones(2, np.float32)
    return Target(GOALS, labels, area, 5, SIZE, SIZE)


def edges(server: Server) -> dict[str, np.ndarray]:
    """A float64 implementation's answers as numbers, by name."""
    found = matched(server) | masked(server) | ordered(server)
    return {name: np.asarray(x, np.float64) for name, x in found.items()}


def matched(server: Server) -> dict[str, np.ndarray]:
    """Pairs of every decoder layer, how wide their indices are, and whether one bad number among the boxes is told."""
    criterion, matcher, ops = fresh(
        server, "detr.criterion", "detr.matcher", "ops", dtype="float64"
    )
    boxes = np.stack([*GOALS, FAR])[None].astype(np.float64)
    logits, goals = ops.array(np.zeros((1, len(boxes[0]), 3))), (target(),)
    orders = [np.roll(boxes, k, axis=1) for k in range(LAYERS)]
    layers = [(logits, ops.array(x)) for x in orders]
    settings = goals, MatcherConfig(), CriterionConfig(), Choices(), 2.0
    pairs = criterion.criterion(layers, *settings)[3]
    found = {f"matches/layer{k}": np.array(one) for k, one in enumerate(pairs)}
    widths = {x.dtype.itemsize for one in pairs for pair in one for x in pair}
    found["matches/bytes"] = np.array(sorted(widths))
    boxes[0, 2, 0] = np.nan
    given = logits, ops.array(boxes), goals, MatcherConfig(), Choices(), "matches"
    return found | {"matches/refused": np.array(refuses(matcher.match, *given))}


def refuses(function, *given) -> bool:
    """Whether it tells of numbers that are not finite; what it raises otherwise counts as no word of them."""
    try:
        function(*given)
    except NonFinite:
        return True
    except ValueError:
        pass
    return False


def masked(server: Server) -> dict[str, np.ndarray]:
    """Masks of logits that the sigmoid takes to the threshold exactly, and a little beyond."""
    module, ops = fresh(server, "detr.post_process", "ops", dtype="float64")
    batch = Batch(np.zeros((1, 3, *SIZE), np.float32), np.zeros((1, *SIZE), bool), (target(),))
    found = {}
    for name, logit in {"at the threshold": 0.0, "above it": 1e-6}.items():
        logits = ops.array(np.full((1, *SIZE), logit))
        made = module.post_process_masks(logits, batch, target(), MaskConfig())
        found[f"detection masks/{name}"] = made
    return found


def ordered(server: Server) -> dict[str, np.ndarray]:
    """The descending order of distinct values; Jittor's as on CUDA, by integers, which the CPU's kernel makes here."""
    found = {}
    for dtype in ("float32", "float64"):
        ops, runtime = fresh(server, "ops", "runtime", dtype=dtype)
        x = np.random.default_rng(0).standard_normal((3, 50)).astype(dtype)
        module = getattr(ops.selecting, "kernels", None)
        if module is not None:
            module.jt = Pretended(runtime.jt)
        try:
            found[f"sort_descending[{dtype}]"] = ops.to_numpy(ops.sort_descending(ops.array(x))[1])
        finally:
            if module is not None:
                module.jt = runtime.jt
    return found


class Pretended:
    """Jittor, as it is but for a flag."""

    def __init__(self, jittor):
        self.jittor, self.flags = jittor, SimpleNamespace(use_cuda=1)

    def __getattr__(self, name: str):
        return getattr(self.jittor, name)
