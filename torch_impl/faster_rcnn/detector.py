"""Faster R-CNN as the session uses it: losses and detections of a batch."""

from __future__ import annotations

import numpy as np

from neutral.choices import Choices
from neutral.config import Config
from neutral.data.batching import Batch, pad_targets
from neutral.errors import NonFinite
from neutral.randomness import Draws
from torch_impl import ops
from torch_impl.faster_rcnn.model import FasterRCNN
from torch_impl.faster_rcnn.post_process import post_process
from torch_impl.outcome import Outcome


class Detector:
    def __init__(self, config: Config, draws: Draws):
        self.config = config.model
        self.weights = config.model.loss_weights()
        self.model = FasterRCNN(config.model)
        self.draws = draws

    def predict(self, batch: Batch, dtype: str, choices: Choices) -> Outcome:
        """What detections are made of, features and the RPN's answers, without losses."""
        images = ops.array(batch.images.astype(dtype))
        features = [ops.full_precision(x) for x in self.model.backbone(images)]
        objectness, deltas, anchors = self.model.rpn.predict(features, batch.images.shape[2:])
        if not np.isfinite(ops.to_numpy(objectness.sum() + deltas.sum())).all():
            raise NonFinite(
                "the RPN's scores or deltas are not finite"
            )  # they would become indices
        sizes = [target.size for target in batch.targets]
        scales = [t.size[1] / t.original_size[1] for t in batch.targets]
        proposing = (objectness, deltas, anchors, sizes, scales)
        return Outcome(None, {}, {}, (features, proposing, choices))

    def run(self, batch: Batch, dtype: str, choices: Choices, objects: float) -> Outcome:
        """Features, RPN and the four losses, which are divided by what was sampled, not by `objects`."""
        model, state = self.model, self.predict(batch, dtype, choices).state
        features, proposing, _ = state
        objectness, deltas, anchors, sizes, _ = proposing
        padded = pad_targets(batch.targets)
        objects = (ops.array(padded.boxes, like=deltas), ops.array(padded.present))
        keys = self.keys("rpn.sampler", objectness.shape, deltas)
        losses = model.rpn.losses(objectness, deltas, anchors, sizes, objects, keys, choices)
        proposals, filled = model.rpn.propose(*proposing, True, choices, "proposals")
        shape = (len(sizes), proposals.shape[1] + padded.boxes.shape[1])
        keys = self.keys("roi_heads.sampler", shape, deltas)
        labels = ops.array(padded.labels)
        losses += model.roi_heads.losses(
            features, proposals, filled, objects, labels, keys, choices
        )
        named = dict(zip(self.weights, losses))  # a loss that the variant lacks comes last
        total = None
        for name, loss in named.items():
            weighted = loss * ops.scalar(self.weights[name], loss)
            total = weighted if total is None else total + weighted
        return Outcome(total, named, {}, state)

    def keys(self, site: str, shape, like):
        return ops.array(self.draws.uniform(site, tuple(shape)), like=like)

    def detections(self, outcome: Outcome, batch: Batch) -> list[dict[str, np.ndarray]]:
        """Per image: scores, labels, boxes; see post_process.py."""
        features, proposing, choices = outcome.state
        proposals, filled = self.model.rpn.propose(
            *proposing, False, choices, "detection_proposals"
        )
        found = self.model.roi_heads.detect(features, proposals, choices)
        return post_process(*found, filled, batch.targets, self.config, choices)
