"""Entries of the atlas that the linter tells of: whether as a warning or a hint, and whether --fix mends them."""

from __future__ import annotations

from parity.atlas.lint.doubts import ENTRIES

WARNS, MENDS, HINTS = "warns", "warns, mends some", "hints"
COVERED = {
    **dict.fromkeys(
        (
            *("adamw-default-decay", "argmax-pair", "argmin-pair", "argsort-pair", "bool-invert"),
            *("buffer-is-parameter", "clamp-keywords", "cumsum-bool", "equal-none"),
            *(
                "instance-norm-affine",
                "interpolate-default",
                "keyword-unknown",
                "learning-rate-key",
            ),
            *("max-pair", "max-two", "nan-self-test", "plain-attribute", "randperm-of-tensor"),
            *("result-unused", "set-row-scalar", "stop-grad-in-place", "train-false", "var-biased"),
            *("view-clamp-columns", "step-after-backward", "sum-two-integers", "second-backward"),
            *("conv-kernel-list", "optimizer-default-rate", "upsampling-corners"),
            *("index-range", "mean-of-mask"),
        ),
        MENDS,
    ),
    **dict.fromkeys(
        (
            *("clip-returns-norm", "scatter-number"),
            *("adam-argument-order", "argmax-flat", "backward-method", "cached-attribute", "cdist"),
            *("conv-same", "cross-entropy-smoothing", "cumsum-dtype", "cumsum-negative-axis"),
            *("embedding-padding", "eval-freezes-affine", "eval-stops-gradients", "forward-name"),
            *(
                "group-lr-missing",
                "index-mask-list",
                "index-mask-numpy",
                "index-mask-uint8",
                "matrix-T",
            ),
            *(
                "max-unpack",
                "mixed-precision-level",
                "multi-step-lr",
                "name-missing",
                "nms-offset",
                "no-grad-build",
            ),
            *("no-grad-load", "optimizer-lr-attribute", "permute-negative", "permute-two"),
            *(
                "scheduler-state",
                "sequential-modules",
                "module-list-generator",
                "set-chained",
                "sgd-argument-order",
            ),
            *("slice-of-sequential", "class-name", "max-pool-whole", "module-dict", "view-slice"),
            *(
                "accumulation",
                "assign-stopped",
                "clip-after-step",
                "detach-inplace",
                "to-word",
                "var-of-values",
            ),
            *("dataset-attribute", "dropout-fresh", "function-as-layer"),
            *("function-gradients", "function-reused", "function-saved", "init-of-data"),
            *("init-under-no-grad", "optimizer-state", "save-parameters"),
            *("update-under-no-grad", "resize-short-side", "dataset-length"),
            *("data-attribute", "loader-own-length", "to-pil-tensor", "to-tensor"),
            *(
                "accumulation",
                "argument-place",
                "cosine-annealing",
                "exponential-lr",
                "hook-handle",
            ),
            *("lazy-time", "module-to", "squeeze-not-one", "step-lr-one", "zero-grad-method"),
            *(
                "batch-norm-parameters",
                "softmax-axis",
                "underscore-attribute",
                "unique-floats",
                "view-reshape",
                "view-rows",
            ),
        ),
        WARNS,
    ),
    **dict.fromkeys(
        (
            *(
                "floor-divide-negative",
                "floor-of-quotient",
                "item-of-one",
                "load-missing",
                "norm-default-axis",
            ),
            "round-half",
        ),
        HINTS,
    ),
}


def how_told(entry: str) -> str:
    """In words; empty for an entry that the linter does not tell of."""
    how = COVERED.get(entry, "")
    return f"{how}, with --hints" if how and how != HINTS and entry in ENTRIES else how
