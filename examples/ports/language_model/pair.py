"""A transformer: the port holds PyTorch's projection of queries, keys and values in three."""

from pathlib import Path

import numpy as np

from parity import Case, Side, Subject

HERE = Path(__file__).resolve().parent


def model():
    from models import build_model

    return build_model()


def split(k):
    """The port's names of what layer k has in one."""
    attention = f"layers.{k}.self_attn"
    return {
        f"{attention}.in_proj_{what}": tuple(f"{attention}.{x}_proj.{what}" for x in "qkv")
        for what in ("weight", "bias")
    }


def port():
    return Subject(model(), split=split(0) | split(1))


def inputs():
    tokens = np.random.default_rng(0).integers(0, 20, (2, 12))
    padding = np.arange(12)[None] >= np.array([[12], [9]])
    return {"tokens": tokens, "padding": padding}


def side(build, backend, folder):
    return Side(f"{__file__}:{build}", backend, path=(str(HERE / folder),))


sides = side("model", "torch", "reference"), side("port", "jittor", "port")
CASE = Case("language_model", *sides, inputs)
CASES = {"model": CASE}
