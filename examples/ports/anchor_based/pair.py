"""An anchor-based detector: the model, anchors, box coding, losses, post-processing, steps of its training."""

from pathlib import Path

import numpy as np

from parity import Case, Side, Subject

HERE = Path(__file__).resolve().parent


def part(index):
    from models import build_model

    return build_model()[index]


def anchors():
    return part(0).anchors


def decode():
    return part(2).coder.decode


def training():
    from models import build_model
    from models.retinanet import Trainer

    model, criterion, _ = build_model()
    trainers = []

    def step(model, batch, step):
        if not trainers:
            trainers.append(Trainer(model, criterion))
        return trainers[0].step(*batch)

    return Subject(model, train_step=step)


def images():
    return (np.random.default_rng(0).standard_normal((2, 3, 32, 40)),)


def cells(size=(4, 5)):
    """The anchors that the generator makes, for cases that begin after it."""
    wide = np.array([s / r**0.5 for s in (12, 20) for r in (0.5, 1, 2)])
    high = np.array([s * r**0.5 for s in (12, 20) for r in (0.5, 1, 2)])
    base = np.stack([-wide, -high, wide, high], 1) / 2
    y, x = np.meshgrid(*(8.0 * np.arange(n) + 4 for n in size), indexing="ij")
    return (np.stack([x, y, x, y], -1).reshape(-1, 1, 4) + base).reshape(-1, 4)


def outputs(seed=0):
    draw = np.random.default_rng(seed)
    return {
        "logits": 2 * draw.standard_normal((2, 120, 3)) - 2,
        "deltas": 2 * draw.standard_normal((2, 120, 4)),
        "anchors": cells(),
    }


def targets():
    """No object lies inside of several anchors: they have one area, and rounding alone would say which is its best."""
    first = [[3.0, 5.0, 16.0, 20.0], [12.0, 9.0, 33.0, 27.0], [20.3, 2.2, 39.1, 4.6]]
    return [
        {"boxes": np.array(first), "labels": np.array([0, 2, 1])},
        {"boxes": np.array([[9.0, 7.0, 31.0, 21.0]]), "labels": np.array([2])},
    ]


def one_object():
    empty = {"boxes": np.zeros((0, 4)), "labels": np.zeros(0, dtype=int)}
    return outputs(1), [targets()[0], empty]


def differences():
    """Ordinary ones, and some beyond the clamp."""
    deltas = 2 * np.random.default_rng(4).standard_normal((120, 4))
    deltas[::9, 2:] = 25.0
    return deltas, cells()


def case(name, build, inputs, arguments=(), float32=False, **options):
    halves = (("torch", "reference"), ("jittor", "port"))
    sides = [
        Side(f"{__file__}:{build}", backend, path=(str(HERE / folder),), arguments=dict(arguments))
        for backend, folder in halves
    ]
    return Case(f"retinanet {name}", *sides, inputs, float32=float32, **options)


CASES = {
    "model": case("model", "part", images, {"index": 0}),
    "anchors": case("anchors", "anchors", lambda: (4, 5), gradients=False),
    "decode": case("box decoding", "decode", differences),
    "criterion": case("criterion", "part", lambda: (outputs(), targets()), {"index": 1}),
    "empty": case("empty image", "part", one_object, {"index": 1}),
    "post": case(
        "post-processing", "part", lambda: (outputs(2), (32, 40)), {"index": 2}, gradients=False
    ),
    "training": case("training", "training", lambda: (*images(), targets()), training=None),
}
CASE = case("model", "part", images, {"index": 0}, float32=True)
