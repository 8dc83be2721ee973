"""A DETR: the model on images of two sizes, its criterion, its matcher, its post-processing."""

from pathlib import Path

import numpy as np

from parity import Case, Side, Subject

HERE = Path(__file__).resolve().parent


def model():
    from models import build_model
    from models.nested import NestedTensor

    return Subject(build_model()[0], prepare=NestedTensor.of)


def criterion():
    from models import build_model

    return build_model()[1]


def matcher():
    return criterion().matcher


def post_process():
    from models import build_model

    return build_model()[2]


def images():
    draw = np.random.default_rng(0)
    return [draw.standard_normal((3, 32, 40)), draw.standard_normal((3, 24, 32))]


def boxes(count, draw):
    """cxcywh, inside the image."""
    return np.concatenate(
        [draw.uniform(0.3, 0.7, (count, 2)), draw.uniform(0.1, 0.5, (count, 2))], 1
    )


def outputs(seed):
    draw = np.random.default_rng(seed)
    predicted = np.stack([boxes(6, draw), boxes(6, draw)])
    return {"pred_logits": 2 * draw.standard_normal((2, 6, 5)), "pred_boxes": predicted}


def targets(counts=(3, 2)):
    draw = np.random.default_rng(9)
    return [{"labels": draw.integers(0, 4, n), "boxes": boxes(n, draw)} for n in counts]


def predictions(counts=(3, 2)):
    return {**outputs(1), "aux_outputs": [outputs(2)]}, targets(counts)


def sizes():
    return outputs(3), np.array([[48, 64], [30, 40]])


def case(name, build, inputs, float32=False, **options):
    reference = Side(f"{__file__}:{build}", "torch", path=(str(HERE / "reference"),))
    candidate = Side(f"{__file__}:{build}", "jittor", path=(str(HERE / "port"),))
    return Case(f"detr {name}", reference, candidate, inputs, float32=float32, **options)


CASES = {
    "model": case("model", "model", images),
    "criterion": case("criterion", "criterion", predictions),
    "empty": case("empty image", "criterion", lambda: predictions((2, 0))),
    "matcher": case("matcher", "matcher", predictions, gradients=False),
    "post": case("post-processing", "post_process", sizes, gradients=False),
}
CASE = case("model", "model", images, float32=True)
