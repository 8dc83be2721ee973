"""One parity case for every function of the ops contract: the inputs it is tried on.

Inputs hold what detectors meet: ties, exact zeros, all-padding rows, values far from 0, sizes that
do not divide. Gradients are compared wherever the output has one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from door.randomness import stream
from parity.engine.judge import gates
from parity.engine.judge.gradients import judge_gradient
from parity.engine.judge.judging import judge
from parity.engine.judge.verdicts import Verdict
from parity.engine.sides.workers import Worker
from parity.errors import WorkerDied, WorkerError
from parity.suite.arguments import Constant, Plain
from parity.suite.ask import ask


@dataclass(frozen=True)
class OpCase:
    name: str
    arguments: tuple


def _normal(*shape: int, key: str = "") -> np.ndarray:
    return stream(0, "ops", key, *shape).standard_normal(shape)


def _mask(*shape: int) -> np.ndarray:
    """Padding at the right of the first row and the bottom of the second, as batching makes it."""
    mask = np.zeros(shape, dtype=bool)
    mask[0, :, shape[2] // 2 :] = True
    mask[1, shape[1] - 3 :] = True
    return mask


# on a map of 9 x 12 cells at stride 8: inside, across the edge, outside, without area, reversed, tiny, whole
BOXES = np.array(
    [
        [8.0, 4.0, 50.0, 60.0],
        [-30.0, -20.0, 20.0, 30.0],
        [70.0, 50.0, 130.0, 110.0],
        [200.0, 200.0, 260.0, 240.0],
        [33.0, 21.0, 33.0, 21.0],
        [60.0, 40.0, 20.0, 10.0],
        [41.0, 30.0, 42.5, 31.5],
        [0.0, 0.0, 96.0, 72.0],
    ]
)
OWNERS = np.array([0, 1, 1, 0, 0, 1, 1, 0], dtype=np.int32)
REGIONS = (Constant(BOXES), OWNERS)


def _crowd() -> tuple:
    """200 boxes in order of score in which many overlap, some are equal, and one pair lies at IoU 0.5 exactly."""
    generator = stream(0, "ops", "crowd")
    corners = generator.integers(0, 60, (200, 2)).astype(float)
    boxes = np.concatenate([corners, corners + generator.integers(0, 40, (200, 2))], axis=1)
    boxes[:3] = [[100, 100, 110, 110], [100, 100, 110, 105], [100, 100, 110, 106]]
    return (
        Constant(boxes),
        (np.arange(200) % 3).astype(np.int32) * (np.arange(200) > 2),
        np.arange(200) % 7 != 5,
    )


WITH_NAN = np.array([[1.0, np.nan, 3.0, -2.0], [np.nan, 0.5, np.nan, 4.0]])
SPECIAL = Constant(np.array([0.0, np.nan, np.inf, -np.inf, 1e-310, 3e38]))
TIED = np.array([[0.0, 1.0, 1.0, -2.0], [3.0, 3.0, 0.0, 0.5]])
INDEX = Plain(np.array([0, 2, 2, 1], dtype=np.int64))
OP_CASES = (
    OpCase("frozen", (_normal(2, 3),)),
    OpCase("cast", (_mask(2, 5, 6), _normal(1))),
    OpCase("as_float32", (_normal(2, 3),)),
    OpCase("identity", (_normal(2, 3),)),
    OpCase("full_precision", (_normal(2, 3),)),
    OpCase("is_finite", (SPECIAL,)),
    OpCase("nan_to_num", (WITH_NAN, -7.5)),
    OpCase("nanmean", (WITH_NAN,)),
    OpCase("nanmean", (_normal(2, 3, 5),)),
    OpCase("permute", (_normal(2, 3, 4), 2, 0, 1)),
    OpCase("permute", (_normal(2, 3), 0, 1)),
    OpCase("expand", (_normal(2, 1, 3), 2, 4, 3)),
    OpCase("arange", (5, _normal(1))),
    OpCase("relu", (TIED,)),
    OpCase("sigmoid", (_normal(3, 5) * 20,)),
    OpCase("power", (10000.0, _normal(7))),
    OpCase("absolute", (TIED,)),
    OpCase("maximum", (TIED, TIED[::-1].copy())),
    OpCase("minimum", (TIED, np.maximum(TIED, 0))),
    OpCase("clamp_min", (TIED, 0)),
    OpCase("softplus", (np.concatenate([TIED, TIED * 20]),)),
    OpCase("where", (TIED > 0, TIED, TIED[::-1].copy())),
    OpCase("round_half_even", (Constant(np.array([0.5, 1.5, 2.5, 0.25, 31.75])),)),
    *(  # by way of 1 / n these meet whole numbers from below, the first in float64, the others in float32
        OpCase("quotient", (Constant(np.arange(8.0 * n)), n)) for n in (49, 41, 55)
    ),
    OpCase("logical_and", (_mask(2, 5, 6), _mask(2, 5, 6)[::-1].copy())),
    OpCase("logical_or", (_mask(2, 5, 6), _mask(2, 5, 6)[::-1].copy())),
    OpCase("as_index", (Constant(np.array([0.0, 3.7, 250000.0])),)),
    OpCase("as_float", (INDEX.array.astype(np.int32),)),
    OpCase("max_first", (TIED, 1)),
    OpCase("max_first", (np.round(_normal(2, 5, 3)), 1)),
    OpCase("sort_descending", (np.round(_normal(3, 40)),)),
    OpCase("ranks", (Constant(np.round(_normal(3, 40))),)),
    OpCase("one_hot", (np.array([[0, 3], [-1, 2]], dtype=np.int32), 3, _normal(1))),
    OpCase("take", (_normal(2, 5, 3), np.array([[4, 0, 0], [1, 1, 2]], dtype=np.int32))),
    OpCase("take_rows", (_normal(5, 3), INDEX.array.astype(np.int32))),
    OpCase("logical_not", (_mask(2, 5, 6),)),
    OpCase("cumsum", (_normal(2, 5, 6), 1)),
    OpCase("argmax", (_normal(4, 9), 1)),
    OpCase("max_with_index", (_normal(4, 9), 1)),
    OpCase("gather_pairs", (_normal(3, 4, 2), INDEX, INDEX)),
    OpCase(
        "take_last",
        (_normal(2, 4, 3), Plain(np.array([[0, 2, 1, 1], [2, 2, 0, 1]], dtype=np.int64))),
    ),
    OpCase("softmax", (_normal(3, 7) * 30, 1)),
    OpCase("softmax", (np.array([[0.5, -1e30, 2.0], [-1e30, -1e30, 1.0]]), 1)),
    OpCase("log_softmax", (_normal(3, 7) * 30, 1)),
    OpCase("layer_norm", (_normal(3, 6) + 50, _normal(6, key="w"), _normal(6, key="b"), 1e-5)),
    OpCase(
        "group_norm", (_normal(2, 6, 5, 3) + 5, 3, _normal(6, key="w"), _normal(6, key="b"), 1e-5)
    ),
    OpCase("linear", (_normal(2, 3, 6), _normal(4, 6), _normal(4))),
    OpCase("max_pool", (np.round(_normal(2, 3, 9, 8)), 3, 2, 1)),
    OpCase("max_pool", (_normal(2, 3, 9, 7), 2, 2, 0)),
    # maps of strips and specks
    OpCase("max_pool", (_normal(2, 3, 1, 8), 3, 2, 1)),
    OpCase("max_pool", (_normal(2, 3, 8, 2), 3, 2, 1)),
    OpCase("max_pool", (_normal(2, 3, 3, 3), 3, 2, 1)),
    OpCase("max_pool", (_normal(2, 3, 2, 5), 2, 2, 0)),
    OpCase("max_pool", (_normal(2, 3, 1, 4), 1, 2, 0)),
    OpCase("resize_mask", (_mask(2, 1, 50), 1, 4)),
    OpCase("upsample_nearest", (_normal(2, 3, 1, 4), 1, 8)),
    OpCase("resize_bilinear", (_normal(2, 3, 1, 4), 3, 9)),
    OpCase("roi_align", (_normal(2, 3, 1, 12), *REGIONS, 3, 0.125, 2, False)),
    OpCase("roi_pool", (_normal(2, 3, 1, 12), *REGIONS, 3, 0.125)),
    OpCase("crop_and_resize", (_normal(2, 3, 12, 1), *REGIONS, 4, 0.125)),
    OpCase("resize_mask", (_mask(2, 37, 50), 3, 4)),
    OpCase("upsample_nearest", (_normal(2, 3, 3, 4), 7, 8)),
    OpCase("resize_bilinear", (_normal(2, 3, 3, 4), 7, 9)),
    *(OpCase("nms", (*_crowd(), threshold)) for threshold in (0.5, 0.7)),
    *(
        OpCase("roi_align", (_normal(2, 3, 9, 12), *REGIONS, 3, 0.125, ratio, aligned))
        for ratio in (0, 2)
        for aligned in (False, True)
    ),
    OpCase("roi_pool", (_normal(2, 3, 9, 12), *REGIONS, 3, 0.125)),
    OpCase("roi_pool", (np.round(_normal(2, 3, 9, 12)), *REGIONS, 7, 0.125)),
    OpCase("crop_and_resize", (_normal(2, 3, 9, 12), *REGIONS, 4, 0.125)),
    OpCase("crop_and_resize", (_normal(2, 3, 9, 12), *REGIONS, 1, 0.125)),
    OpCase("attention_bias", (_mask(2, 5, 6).reshape(2, -1), _normal(1))),
    OpCase("cat", ([_normal(2, 3), _normal(2, 1)], 1)),
    OpCase("stack", ([_normal(2, 3), _normal(2, 3, key="second")], 1)),
    OpCase("total_norm", ([_normal(4, 3), _normal(7)],)),
)
# not compared by value: what every other case goes through, random numbers, and module plumbing
NOT_BY_VALUE = {
    *(
        "array",
        "to_numpy",
        "scalar",
        "parameter",
        "buffer",
        "check_index",
        "grad",
        "is_differentiable",
        "set_trainable",
    ),
    *("finish", "no_grad", "update", "load_array", "named_tensors", "surround", "random_keep"),
    *("vjp", "is_tensor", "set_mode"),
}


def collect_ops(worker: Worker, dtype: str, device: str = "cpu") -> dict[str, tuple[list, list]]:
    """(outputs, gradients) of every case by label: the op's name, and a number from its second case on. Where one ends
    the worker's work, its label is the error's node."""
    found: dict[str, tuple[list, list]] = {}
    for case in OP_CASES:
        count = sum(label.partition("#")[0] == case.name for label in found)
        label = case.name if not count else f"{case.name}#{count + 1}"
        try:
            parts = ask(worker, "run_op", case.name, case.arguments, device, dtype)
        except (WorkerDied, WorkerError) as error:
            error.node = label
            raise
        found[label] = tuple([comparable(x) for x in part or []] for part in parts)
    return found


def compare_ops_64(torch: dict, jittor: dict) -> list[Verdict]:
    """Semantics of every op, forward and gradient."""
    name, verdicts = "ops in float64", []
    for label in torch:
        for kind, check, judge_one, limit in (
            (0, "forward", judge, gates.SEMANTIC_FORWARD),
            (1, "gradient", judge_gradient, gates.SEMANTIC_GRADIENT),
        ):
            pairs = zip(*pad(torch[label][kind], jittor[label][kind]), strict=True)
            for i, (a, b) in enumerate(pairs):
                verdicts.append(judge_one(name, check, f"{label}[{i}]", b, a, limit))
    return verdicts


def pad(*lists: list) -> list[list]:
    """As long as the longest, with None: what one side lacks must show, not be passed over."""
    length = max(map(len, lists))
    return [[*values, *[None] * (length - len(values))] for values in lists]


def comparable(x: np.ndarray | None) -> np.ndarray | None:
    """Scalars have shape (1,) in Jittor and its indices are 32 bit wide: both are part of the contract."""
    if x is None:
        return None
    x = x.reshape(1) if x.ndim == 0 else x
    return x.astype(np.int64) if x.dtype.kind == "i" else x
