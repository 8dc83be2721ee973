"""One parity case for every function of the ops contract: the inputs it is tried on.

Inputs hold what detectors meet: ties, exact zeros, all-padding rows, values far from 0, sizes that
do not divide. Gradients are compared wherever the output has one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neutral.randomness import stream
from parity.worker import Plain


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


TIED = np.array([[0.0, 1.0, 1.0, -2.0], [3.0, 3.0, 0.0, 0.5]])
INDEX = Plain(np.array([0, 2, 2, 1], dtype=np.int64))
OP_CASES = (
    OpCase("frozen", (_normal(2, 3),)),
    OpCase("cast", (_mask(2, 5, 6), _normal(1))),
    OpCase("as_float32", (_normal(2, 3),)),
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
    OpCase("resize_mask", (_mask(2, 37, 50), 3, 4)),
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
    *("finish", "no_grad", "update", "load_array", "named_tensors", "watch", "random_keep"),
}
