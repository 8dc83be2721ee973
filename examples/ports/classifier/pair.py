"""A classifier and its training: the model, and eight steps of the training's own loop."""

from pathlib import Path

import numpy as np

from parity import Case, Side, Subject

HERE = Path(__file__).resolve().parent


def side(build, backend, folder):
    return Side(f"{__file__}:{build}", backend, path=(str(HERE / folder),))


def model():
    from models import build_model

    return build_model()


def training():
    from models import Trainer, build_model

    trainers = []

    def step(model, batch, step):
        if not trainers:
            trainers.append(Trainer(model))
        return trainers[0].step(*batch, step)

    return Subject(build_model(), train_step=step)


def images(seed=0):
    return (np.random.default_rng(seed).standard_normal((2, 3, 32, 32)),)


def batch():
    return *images(), np.array([3, 7])


def sides(build):
    return side(build, "torch", "reference"), side(build, "jittor", "port")


CASE = Case("classifier", *sides("model"), images, training=True)
TRAINING = Case("classifier", *sides("training"), batch, training=None)
CASES = {"model": CASE, "training": TRAINING}
