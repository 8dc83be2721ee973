"""The limits of gates.py are those that docs/parity.md states."""

from __future__ import annotations

import pytest

from parity.engine.judge import gates
from parity.mutants import ROOT

PAGE = (ROOT / "docs/parity.md").read_text()
ROWS = dict(line.strip("| ").split(" | ", 1) for line in PAGE.split("\n") if line.startswith("| "))


def units(limit: float) -> str:
    return f"{limit / gates.U32:g} u"


def power(limit: float) -> str:
    return f"{limit:.0e}".replace("e-0", "e-")


@pytest.mark.parametrize(
    ("row", "texts"),
    [
        ("float64 forward", [f"<= {power(gates.SEMANTIC_FORWARD)}"]),
        ("float64 losses, detections", [f"<= {power(gates.LOSS_64)}"]),
        ("float64 node gradients, gradients", [f"<= {power(gates.SEMANTIC_GRADIENT)}"]),
        (
            "float32 forward",
            [
                f"max({gates.PRECISION_FACTOR:g} e_other, {units(gates.PRECISION_LEAST)} or",
                f"max({gates.MAXIMUM_FACTOR:g} of the other, {units(gates.MAXIMUM_LEAST)}, ",
                f"{gates.FLOOR_FACTOR:g} floors)",
            ],
        ),
        (
            "float32 gradients",
            [
                f"max({gates.GRADIENT_FACTOR:g} e_other, {units(gates.GRADIENT_LEAST)}, "
                f"{gates.FLOOR_FACTOR:g} floors)"
            ],
        ),
        (
            "float32 losses",
            [f"max({gates.PRECISION_FACTOR:g} e_other, ", f", {power(gates.LOSS)})"],
        ),
        (
            "float32 detections",
            [
                f"{100 * gates.DETECTIONS_MATCHED:g} % have a partner",
                f"IoU >= {gates.DETECTION_IOU:g}, ",
                f"score within {power(gates.DETECTION_SCORE)}",
            ],
        ),
        (
            "coupled steps",
            [f"losses {power(gates.STEPS_LOSS)}, displacement {power(gates.STEPS_STATE)}"],
        ),
        ("tube", [f"within {gates.TUBE:g} times the furthest of {gates.TUBE_COPIES} "]),
        ("equivalence over seeds", [f"two one-sided t tests at {100 * gates.ALPHA:g} %"]),
        (
            "constants rounded to float32, by a port or by Jittor's kernels (LayerNorm's eps, 1/n of means)",
            [f"up to {units(gates.ROUNDED)} "],
        ),
        ("what a whole float32 run sums up", ["at most twice its limit"]),
        (
            "float32 of code that nearly cancels, or sums few numbers",
            ["at four neighbours", f"within {gates.PRECISION_FACTOR:g} times"],
        ),
    ],
)
def test_a_row_of_the_page_has_the_gates_own_numbers(row, texts):
    for text in texts:
        assert text in ROWS[row], (row, text)


def test_what_stands_in_words_is_so():
    assert gates.U32 == 2.0**-24 and "u = 2^-24" in PAGE
    assert gates.SUMMED_FACTOR == 2 and gates.NEIGHBOURS == 4 and gates.CHOICE_FACTOR == 2
    assert "Up to twice the greatest error" in PAGE
    assert f"u sqrt(K / {gates.SUMMATION_TERMS:g})" in PAGE
