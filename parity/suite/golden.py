"""Weights that anyone can regenerate, and the records of the reference systems made with them.

The recipe is that of ../shared/data/golden/README.md: every array is drawn from a Philox stream
keyed by the CRC-32 of its name. It leaves no parameter at a value that would hide a mistake: no
bias is 0, no norm scale 1, no running mean 0.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import softmax

from neutral.data.batching import Batch, collate
from neutral.data.coco import Target

ORIGINAL_SIZES = (
    (480, 640),
    (600, 400),
)  # (height, width) that the records' detections are scaled to


@dataclass(frozen=True)
class GoldenRecord:
    """What the reference computed: `arrays` as recorded, `batch` its input, `keys` its state dict."""

    name: str
    batch: Batch
    keys: dict[str, tuple[int, ...]]
    trained: list[str]
    gradient_norms: dict[str, float]
    arrays: dict[str, np.ndarray]

    @classmethod
    def load(cls, folder: Path, name: str) -> GoldenRecord:
        content = json.loads((folder / f"{name}.json").read_text())
        generator = np.random.Generator(np.random.Philox(key=content["image_key"]))
        images = [
            generator.standard_normal((3, h, w)).astype(np.float32) for h, w in content["images"]
        ]
        samples = []
        for i, (image, target) in enumerate(zip(images, content["targets"], strict=True)):
            boxes = np.array(target["boxes"], dtype=np.float32).reshape(-1, 4)
            labels = np.array(target["labels"], dtype=np.int64)
            area = np.zeros(len(labels), dtype=np.float32)
            samples.append(
                (image, Target(boxes, labels, area, i, ORIGINAL_SIZES[i], image.shape[1:]))
            )
        with np.load(folder / f"{name}.npz") as file:
            arrays = {k: file[k] for k in file.files}
        keys = {k: tuple(s) for k, s in content["keys"].items()}
        return cls(
            name, collate(samples), keys, content["trainable"], content["grad_norms"], arrays
        )

    def recorded_as(self, key: str, values: np.ndarray) -> np.ndarray:
        """`values` flattened and strided, or cut, as the record of `key` was."""
        values = values.ravel()
        if key.startswith("node/") and values.size > 40000:
            return values[:: max(1, values.size // 20000)]
        if key.startswith("grad/") and values.size > 70000:
            return values[:4096]
        return values


NODES = {  # names in the records -> names of our nodes
    "encoder.0": "transformer.encoder.layers.0",
    "encoder.last": "transformer.encoder.layers.5",
    "decoder.0": "transformer.decoder.layers.0",
    "decoder": "transformer.decoder",
    "input_proj": "input_proj",
} | {f"backbone.layer{i}": f"backbone.0.body.layer{i}" for i in range(1, 5)}


def measured(trace: Mapping, key: str) -> np.ndarray:
    """What a trace says of a recorded key ("node/...", "out/...", "loss/...", "match/...", ...)."""
    kind, _, name = key.partition("/")
    if kind == "node":
        return trace["nodes"][NODES[name]]
    if kind == "out":
        last = len(trace["matches"]) - 1
        return trace["nodes"][f"(model)[{last}][{('pred_logits', 'pred_boxes').index(name)}]"]
    if kind == "loss":
        return np.asarray(
            trace["total"] if name == "total" else {**trace["losses"], **trace["errors"]}[name]
        )
    if kind == "grad":
        return trace["gradients"][name]
    image, field = name.split("/")
    if kind == "match":
        return trace["matches"][-1][int(image)][("query", "target").index(field)]
    return trace["detections"][int(image)][field]


@dataclass(frozen=True)
class FasterRcnnRecord:
    """What trzy's or chenyuntc's Faster R-CNN computed in eval mode; boxes are (y1, x1, y2, x2) there."""

    name: str
    batch: Batch
    keys: dict[str, tuple[int, ...]]
    trained: int
    arrays: dict[str, np.ndarray]

    @classmethod
    def load(cls, folder: Path, name: str) -> FasterRcnnRecord:
        content = json.loads((folder / f"{name}.json").read_text())
        generator = np.random.Generator(np.random.Philox(key=content["image_key"]))
        image = generator.standard_normal(content["image"]).astype(np.float32)
        image = image * np.float32(content["image_scale"])
        none, size = np.zeros((0, 4), dtype=np.float32), image.shape[1:]
        target = Target(none, np.zeros(0, np.int64), np.zeros(0, np.float32), 0, size, size)
        with np.load(folder / f"{name}.npz") as file:
            arrays = {k.removeprefix("f32/"): file[k] for k in file.files}
        keys = {k: tuple(s) for k, s in content["keys"].items()}
        return cls(name, collate([(image, target)]), keys, len(content["trainable"]), arrays)

    def compared(self, trace: dict) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """By name, what a trace says and what the record says, float64 and of one shape (if all is well)."""
        arrays, nodes = self.arrays, trace["nodes"]
        choices = trace["choices"]["detection_proposals"][0]
        count = int((choices >= 0).sum())
        features = nodes["backbone[0]"].ravel()
        if features.size > 60000:
            features = features[:: max(1, features.size // 20000)]
        boxes = nodes["detection_proposals"][0][:count][:, [1, 0, 3, 2]]
        scores, deltas = (nodes[f"roi_heads.box_predictor[{k}]#2"][:count] for k in (0, 1))
        objectness = nodes["rpn.head[0]"]  # a logit, or the difference of two
        if self.name.startswith("trzy"):
            found = {
                "features": features,
                "objectness": 1 / (1 + np.exp(-objectness.astype(np.float64))),
                "rpn_deltas": nodes["rpn.head[1]"],
                "proposals_yxyx": boxes,
                "class_probabilities": softmax(scores.astype(np.float64), axis=1),
                "box_deltas_tytxthtw": deltas,
            }
            wanted = dict(arrays)
        else:
            found = {
                "features": features,
                "rpn_scores": objectness,
                "rpn_locs": nodes["rpn.head[1]"],
                "rois_yxyx": boxes,
                "roi_scores": scores,
                "roi_cls_locs": deltas,
            }
            pairs = arrays["rpn_scores"].astype(np.float64)
            wanted = arrays | {"rpn_scores": pairs[..., 1] - pairs[..., 0]}
        return {
            name: (values.astype(np.float64).ravel(), wanted[name].astype(np.float64).ravel())
            for name, values in found.items()
        }
