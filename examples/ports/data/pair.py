"""A detector's data: what training is given, and category ids on the way in and out."""

from pathlib import Path

import numpy as np

from parity import Case, Side, Subject

HERE = Path(__file__).resolve().parent


def data():
    from models import Categories, batches, labels_of

    model = Categories()

    def categories():
        """By id of the files: the label, and the id that comes out."""
        labels = {k: labels_of([k]) for k in (1, 3, 4, 8, 90)}
        return {k: (int(x), int(model(x))) for k, x in labels.items()}

    return Subject(model, batches=lambda seed: batches(records(), seed), categories=categories)


def records():
    draw = np.random.default_rng(3)
    boxes = np.array([[4.0, 6, 30, 40], [9, 2, 36, 20], [50, 50, 58, 60]])
    shapes = [(40, 64, 3), (60, 44, 3), (64, 64, 3)]
    return [(draw.integers(0, 256, s, np.uint8), boxes, np.array([3, 90, 1])) for s in shapes]


def side(backend, folder):
    return Side(f"{__file__}:data", backend, path=(str(HERE / folder),))


def labels():
    return (np.array([4, 0, 2]),)


CASE = Case("data", side("torch", "reference"), side("jittor", "port"), labels, gradients=False)
CASES = {"model": CASE}
