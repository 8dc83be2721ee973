"""In what order `pytest parity/` looks at things: whatever can tell something soon comes first, full sizes last.

In a fresh clone Jittor compiles every kernel when it is first used, so the first verdict on a detector comes soonest
when nothing is compiled before it that it does not need.
"""

from __future__ import annotations

from collections.abc import Sequence

from parity.report.live import name_of

SCENES = "test_detectors.py::test_detector["
# beginnings of names, FILE::TEST[PARAMETERS]; a case stands where the longest that fits it does
ORDER = (
    f"{SCENES}scenes_detr_on_scenes]",
    f"{SCENES}scenes_frcnn_on_scenes]",
    "test_ops.py",
    "test_pairs.py",
    "test_indexing.py",
    "test_kernels.py",
    "test_steps.py",
    "test_localise.py",
    "test_regrets.py",
    f"{SCENES}scenes_detr_with_dropout",
    f"{SCENES}pre-norm",
    f"{SCENES}one_map",
    f"{SCENES}scenes_detr_with_masks]",
    "test_weights.py",
    "test_ranks.py",
    "test_mutants.py",
    "test_detectors.py::test_average_precision",  # both are computed meanwhile, see conftest.py
    "test_semantics.py",
    "test_",  # a file that nobody has placed
    "test_golden.py",
    "test_detectors.py",  # the presets at their real size, in the order of parity/suite/cases.py
    f"{SCENES}detr_r101_dc5_on_scenes]",
    f"{SCENES}detr_r50_on_coco_mini",
)


def place(name: str) -> int:
    """Where a test stands, by its name without folders."""
    fitting = [prefix for prefix in ORDER if name.startswith(prefix)]
    return ORDER.index(max(fitting, key=len)) if fitting else len(ORDER)


def is_first(name: str) -> bool:
    """Whether it is one of the two detectors whose verdicts are awaited."""
    return name.startswith(ORDER[:2])


def in_order(items: Sequence, ours) -> list:
    """pytest's items with those of the suite, `ours(item)`, in the declared order, in the places that they had.

    Items of one place stay as they were.
    """
    places = [i for i, item in enumerate(items) if ours(item)]
    moved = sorted((items[i] for i in places), key=lambda item: place(name_of(item)))
    result = list(items)
    for i, item in zip(places, moved, strict=True):
        result[i] = item
    return result
