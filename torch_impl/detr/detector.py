"""DETR as the session uses it: losses and detections of a batch."""

from __future__ import annotations

import numpy as np

from neutral.choices import Choices
from neutral.config import Config
from neutral.data.batching import Batch
from neutral.panoptic import segment_image
from neutral.randomness import Draws
from torch_impl import ops
from torch_impl.detr.criterion import criterion
from torch_impl.detr.model import DETR
from torch_impl.detr.post_process import post_process, post_process_masks
from torch_impl.outcome import Outcome


class Detector:
    def __init__(self, config: Config, draws: Draws):
        self.config = config.model
        self.model = DETR(config.model)

    def forward(self, batch: Batch, dtype: str):
        """Logits and boxes of every decoder layer; masks, where the model makes them."""
        outputs = self.model(ops.array(batch.images.astype(dtype)), ops.array(batch.mask))
        return outputs if self.config.masks.enabled else (outputs, None)

    def predict(self, batch: Batch, dtype: str, choices: Choices) -> Outcome:
        """What detections are made of, without losses."""
        outputs, masks = self.forward(batch, dtype)
        return Outcome(None, {}, {}, (outputs[-1], masks))

    def run(self, batch: Batch, dtype: str, choices: Choices, objects: float) -> Outcome:
        """Logits and boxes of every decoder layer and their losses; the choices are the matches.

        objects: the mean number of them over the ranks, at least 1 (models/detr.py:238 of the reference).
        """
        outputs, masks = self.forward(batch, dtype)
        matcher, weights = self.config.matcher, self.config.criterion
        total, losses, errors, matches = criterion(
            outputs, batch.targets, matcher, weights, choices, objects, masks
        )
        return Outcome(total, losses, errors, (outputs[-1], masks), {"matches": matches})

    def detections(self, outcome: Outcome, batch: Batch) -> list[dict[str, np.ndarray]]:
        """Per image: scores, labels, boxes and, where the model makes them, masks; see post_process.py."""
        outputs, masks = outcome.state
        found = post_process(*outputs, batch.targets)
        if masks is None:
            return found
        for i, target in enumerate(batch.targets):
            found[i]["masks"] = post_process_masks(masks[i], batch, target, self.config.masks)
        if self.config.masks.panoptic:
            probabilities = ops.to_numpy(ops.softmax(outputs[0], 2))
            for i, (target, logits) in enumerate(zip(batch.targets, ops.to_numpy(masks))):
                sizes = target.size, batch.images.shape[2:], target.original_size
                segments = segment_image(probabilities[i], logits, *sizes, self.config.masks)
                found[i]["panoptic"] = segments
        return found
