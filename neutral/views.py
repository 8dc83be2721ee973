"""What a detector looked at on the way, drawn: from a trace (session.trace) of one image with its objects.

Faster R-CNN: anchors (objects green, positive anchors yellow), proposals, and which anchors and regions were sampled.
DETR: which query was matched to which object, and where each detection's query looks (cross attention of the last
decoder layer, mean over the heads).
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
from PIL import Image

from neutral.anchors import grid_anchors
from neutral.config import Config
from neutral.data.batching import Batch
from neutral.geometry import cxcywh_to_xyxy
from neutral.pictures import BLUE, GREEN, GREY, RED, YELLOW, Mark, draw, heat, rows

MOST_PROPOSALS = 50


def anchors_of(trace: dict, batch: Batch, config: Config) -> np.ndarray:
    """All anchors [N, 4] in the order of the RPN's scores."""
    calls = [n for n in trace["nodes"] if re.fullmatch(r"rpn\.head/in\[0\](#\d+)?", n)]
    shapes = [trace["nodes"][name].shape[2:] for name in calls]
    anchors = config.model.rpn.anchors
    found = grid_anchors(anchors, shapes, config.model.strides(), batch.images.shape[2:])
    return np.concatenate(found)


def objects_of(batch: Batch, config: Config) -> np.ndarray:
    """Boxes [T, 4] of the first image's objects, in pixels of the network's input."""
    target = batch.targets[0]
    if config.transform.boxes == "absolute_xyxy":
        return target.boxes
    height, width = target.size
    return cxcywh_to_xyxy(target.boxes) * np.array([width, height, width, height])


def _objects(batch: Batch, config: Config) -> list[Mark]:
    return [Mark(box, GREEN, width=3) for box in objects_of(batch, config)]


def draw_anchors(image, trace, batch, config, names):
    labels = trace["choices"]["anchor_labels"][0]
    positive = anchors_of(trace, batch, config)[labels > 0]
    return draw(image, [Mark(box, YELLOW, width=1) for box in positive] + _objects(batch, config))


def draw_proposals(image, trace, batch, config, names):
    boxes = trace["nodes"]["detection_proposals"][0]
    filled = trace["choices"]["detection_proposals"][0] >= 0
    best = boxes[filled][:MOST_PROPOSALS][::-1]
    return draw(image, [Mark(box, BLUE, width=1) for box in best] + _objects(batch, config))


def draw_samples(image, trace, batch, config, names):
    """Above the sampled anchors, below the sampled regions: positive yellow, negative grey."""
    choices = trace["choices"]
    labels, sampled = choices["anchor_labels"][0], choices["anchor_sample"][0]
    anchors = anchors_of(trace, batch, config)
    marks = [Mark(box, GREY, width=1) for box in anchors[sampled & (labels <= 0)]]
    marks += [Mark(box, YELLOW, width=1) for box in anchors[sampled & (labels > 0)]]
    regions = trace["nodes"]["proposals"][0]
    if config.model.roi.append_gt:
        regions = np.concatenate([regions, objects_of(batch, config)])
    kinds = choices["roi_labels"][0]
    slots = [s for s in choices["roi_sample"] if 0 <= s < len(regions)]
    chosen = [Mark(regions[s], YELLOW if kinds[s] > 0 else GREY, width=1) for s in slots]
    chosen.sort(key=lambda mark: mark.colour == YELLOW)
    objects = _objects(batch, config)
    return rows([draw(image, marks + objects), draw(image, chosen + objects)], 1)


def draw_matches(image, trace, batch, config, names):
    """Each object (green) and the box of the query that it was matched to (red), with the query's number."""
    height, width = batch.targets[0].size
    layer = config.model.transformer.decoder_layers - 1
    queries = trace["choices"].get(f"matches/layer{layer}/image0", np.zeros(0, int))
    boxes = cxcywh_to_xyxy(final_boxes(trace)) * np.array([width, height, width, height])
    marks = _objects(batch, config)
    for query, label in zip(queries, batch.targets[0].labels):
        text = f"query {query}: {names.get(int(label), label)}"
        marks.append(Mark(boxes[query], RED, text))
    return draw(image, marks)


def final_boxes(trace: dict) -> np.ndarray:
    """Relative boxes [Q, 4] of the last decoder layer."""
    calls = [n for n in trace["nodes"] if re.fullmatch(r"bbox_embed(#\d+)?", n)]
    raw = trace["nodes"][calls[-1]].astype(np.float64)
    raw = raw[-1] if raw.ndim == 4 else raw  # all layers at once
    return 1 / (1 + np.exp(-raw[0]))


def draw_attention(image, trace, batch, config, names):
    """One picture for each of the best detections, its box and where its query looks."""
    layer = config.model.transformer.decoder_layers - 1
    node = f"transformer.decoder.layers.{layer}.multihead_attn.dropout"
    weights = trace["nodes"][node][0].mean(axis=0)  # [Q, S]
    shape = trace["nodes"]["input_proj"].shape[2:]
    found, target = trace["detections"][0], batch.targets[0]
    ratio = target.size[1] / target.original_size[1]
    pictures = []
    for query in np.argsort(-found["scores"], kind="stable")[:6]:
        label, score = int(found["labels"][query]), float(found["scores"][query])
        text = f"query {query}: {names.get(label, label)} {score:.2f}"
        looked = heat(image, padded(weights[query].reshape(shape), batch))
        pictures.append(draw(looked, [Mark(found["boxes"][query] * ratio, GREEN, text)]))
    return rows(pictures, 3)


def padded(weights: np.ndarray, batch: Batch) -> np.ndarray:
    """The part of a map over the padded batch that belongs to the first image."""
    height, width = batch.targets[0].size
    full = batch.images.shape[2:]
    return weights[
        : max(1, round(weights.shape[0] * height / full[0])),
        : max(1, round(weights.shape[1] * width / full[1])),
    ]


View = Callable[[Image.Image, dict, Batch, Config, dict[int, str]], Image.Image]
VIEWS: dict[str, dict[str, View]] = {
    "faster_rcnn": {
        "anchors": draw_anchors,
        "proposals": draw_proposals,
        "samples": draw_samples,
    },
    "detr": {"matches": draw_matches, "attention": draw_attention},
}
