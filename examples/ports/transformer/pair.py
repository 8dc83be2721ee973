"""A Transformer whose port holds `in_proj_weight` in three, and its loss."""

from pathlib import Path

import numpy as np

from parity import Case, Side, Subject, drawn_weights

HERE = Path(__file__).resolve().parent
PARTS = ("q_proj", "k_proj", "v_proj")


def model():
    from models import build_model

    return build_model()


def ported():
    attention = [f"layers.{k}.self_attn" for k in range(2)]
    split = {
        f"{a}.in_proj_{x}": [f"{a}.{p}.{x}" for p in PARTS]
        for a in attention
        for x in ("weight", "bias")
    }
    return Subject(model(), split=split)


def criterion():
    from models import SmoothedLoss

    return SmoothedLoss()


def sentences():
    """Words [B, N], and where padding is: the second sentence is shorter."""
    words = np.random.default_rng(0).integers(0, 20, (2, 6))
    return words, np.arange(6)[None] >= np.array([[6], [4]])


def predictions():
    return np.random.default_rng(1).standard_normal((2, 6, 20)), *sentences()


def large(shapes):
    """Projections of three times the size: scores that small ones do not reach."""
    found = drawn_weights(shapes)
    return {n: 3 * x if ".in_proj_weight" in n else x for n, x in found.items()}


def case(name, builds, inputs, **options):
    reference = Side(f"{__file__}:{builds[0]}", "torch", path=(str(HERE / "reference"),))
    candidate = Side(f"{__file__}:{builds[1]}", "jittor", path=(str(HERE / "port"),))
    return Case(f"transformer {name}", reference, candidate, inputs, **options)


CASES = {
    "model": case("model", ("model", "ported"), sentences),
    "large": case("of large weights", ("model", "ported"), sentences, weights=large),
    "criterion": case("loss", ("criterion", "criterion"), predictions),
}
CASE = CASES["model"]
