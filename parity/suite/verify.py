"""Do a converted file and the file that it was made of compute the same?

One framework reads the original with that framework's own loader and puts the tensors in their places; the other
gets the converted file. In float64 every node of both has to agree, so a matrix that was transposed, a part
that was swapped or a byte that changed on the way shows at the module that has it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from door.randomness import stream
from neutral.config import Config, to_dict, with_overrides
from neutral.data.batching import Batch, collate
from neutral.data.coco import Target
from neutral.weights.plan import Conversion
from neutral.weights.rules import Source
from parity.engine.judge.semantic import compare_semantics
from parity.engine.judge.verdicts import Verdict
from parity.engine.sides.workers import Workers
from parity.suite.ask import ask

SIZE = (64, 96)  # height and width of the images
FEW = {  # few regions: the weights are compared, not the choices
    "detr": ("model.position.dtype=model",),
    "faster_rcnn": (
        "model.rpn.proposals.post_nms_train=16",
        "model.rpn.proposals.post_nms_test=4",
        "model.roi.sampler.count=4",
    ),
}


def example_batch(config: Config) -> Batch:
    """Two images of noise, of the magnitude that the configuration's pixels have."""
    samples = []
    for i in range(2):
        pixels = stream(i, "verify").standard_normal((3, *SIZE)) * config.transform.pixel_range / 4
        box = [[0.5, 0.5, 0.4, 0.4]]
        if config.transform.boxes == "absolute_xyxy":
            box = [[20.0, 10.0, 70.0, 50.0]]
        target = Target(
            np.array(box, np.float32),
            np.array([1], np.int64),
            np.ones(1, np.float32),
            i,
            SIZE,
            SIZE,
        )
        samples.append((pixels.astype(np.float32), target))
    return collate(samples, config.transform.size_divisor)


def verify(
    conversion: Conversion,
    converted: Path,
    naming: Source | None = None,
    pair: Workers | None = None,
) -> list[Verdict]:
    """Every comparison of a forward pass with the original in one framework and `converted` in the other.

    Without a `pair` of workers it starts its own.
    """
    if pair is None:
        own = Workers()
        try:
            return verify(conversion, converted, naming, own)
        finally:
            own.close()
    config = with_overrides(conversion.config, FEW[conversion.config.model.detector])
    original = conversion.checkpoint
    reader = "jittor" if original.layout == "Jittor pickle" else "torch"
    other = "torch" if reader == "jittor" else "jittor"
    begun = {key: conversion.array(key) for key in conversion.begun}
    ask(pair, "build", to_dict(config), pair.device, "float64")
    ask(pair[reader], "load_original", original.path, conversion.plan(), begun)
    ask(pair[other], "load_converted", converted, naming.name if naming else "")
    traces = pair.both("trace", example_batch(config), gradients=False)
    return compare_semantics(f"verify {converted.name}", traces["torch"], traces["jittor"])
