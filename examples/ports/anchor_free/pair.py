"""An anchor-free detector: the model, its losses on given outputs, its assignment, its post-processing."""

from pathlib import Path

import numpy as np

from parity import Case, Side

HERE = Path(__file__).resolve().parent
POINTS = [(8 * j + 4, 8 * i + 4) for i in range(5) for j in range(6)]
POINTS += [(16 * j + 8, 16 * i + 8) for i in range(3) for j in range(3)]
STRIDES = [8] * 30 + [16] * 9


def model():
    from models import build_model

    return build_model()[0]


def criterion():
    from models import build_model

    return build_model()[1]


def post_process():
    from models import build_model

    return build_model()[2]


def nms():
    from models.post import nms

    return nms


def images():
    return (np.random.default_rng(0).standard_normal((2, 3, 40, 48)),)


def outputs(seed=0):
    draw = np.random.default_rng(seed)
    return {
        "logits": 2 * draw.standard_normal((2, 39, 3)) - 1,
        "distances": draw.uniform(2, 30, (2, 39, 4)),
        "centerness": draw.standard_normal((2, 39)),
        "points": np.array(POINTS, dtype=float),
        "strides": np.array(STRIDES, dtype=float),
    }


def targets():
    """Boxes that overlap, a small one, one as large as the image."""
    first = [[3.0, 5.0, 26.0, 30.0], [12.0, 9.0, 21.0, 22.0], [1.0, 2.0, 47.0, 38.0]]
    return [
        {"boxes": np.array(first), "labels": np.array([0, 2, 1])},
        {"boxes": np.array([[9.0, 7.0, 44.0, 33.0]]), "labels": np.array([2])},
    ]


def predictions():
    return outputs(), targets()


def one_object():
    empty = {"boxes": np.zeros((0, 4)), "labels": np.zeros(0, dtype=int)}
    return outputs(1), [targets()[0], empty]


def few():
    """So low that fewer locations than there is room for pass the threshold."""
    found = outputs(2)
    found["logits"] -= 5
    return found, (40, 48)


def ranked():
    """Boxes whose overlaps lie around the threshold, with gaps of a few pixels."""
    draw = np.random.default_rng(3)
    low = draw.uniform(0, 6, (12, 2))
    return np.concatenate([low, low + draw.uniform(4, 8, (12, 2))], 1), draw.uniform(0, 1, 12), 0.5


def case(name, build, inputs, float32=False, **options):
    reference = Side(f"{__file__}:{build}", "torch", path=(str(HERE / "reference"),))
    candidate = Side(f"{__file__}:{build}", "jittor", path=(str(HERE / "port"),))
    return Case(f"fcos {name}", reference, candidate, inputs, float32=float32, **options)


CASES = {
    "model": case("model", "model", images),
    "training": case("model in training", "model", images, training=True),
    "criterion": case("criterion", "criterion", predictions),
    "empty": case("empty image", "criterion", one_object),
    "post": case("post-processing", "post_process", few, gradients=False),
    "nms": case("nms", "nms", ranked, gradients=False),
}
CASE = case("model", "model", images, float32=True)
