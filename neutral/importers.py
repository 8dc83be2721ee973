"""Public checkpoints -> canonical names: for each source, how to know it and a table of renames.

Faster R-CNN's canonical names are torchvision's (`backbone.body...`, `rpn.head...`,
`roi_heads...`), DETR's those of facebookresearch/detr, so these two need no table. Values are never
touched: orders of boxes and channels are configuration (`model.box_order`, `rpn.softmax_layout`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from neutral.config import Config
from neutral.errors import InputError
from neutral.parameters import body, vgg16_positions

Weights = dict[str, np.ndarray]
# not weights: counters of batch normalisation, and the optimiser of our own checkpoints
IGNORED = re.compile(r"(^|.*\.)num_batches_tracked$|^optimiser/")
CLASSIFIER = "classification head of ImageNet"


@dataclass(frozen=True)
class Source:
    """`marks`: keys by which it is known; `renames`: (pattern, replacement), the first that matches counts.

    A replacement of None leaves the tensor out. `complete`: a checkpoint of a whole detector; otherwise
    what it does not hold gets its initial values.
    """

    name: str
    marks: tuple[str, ...]
    renames: tuple[tuple[str, str | None], ...]
    complete: bool


def _vgg_blocks(pattern: str) -> tuple[tuple[str, str], ...]:
    """Renames of trzy's block{i}_conv{j} to torchvision's features.N."""
    return tuple(
        (pattern.format(block=i, conv=j), f"backbone.body.features.{position}")
        for i, positions in enumerate(vgg16_positions(), start=1)
        for j, position in enumerate(positions, start=1)
    )


HEAD = "roi_heads.box_head"
PREDICTOR = "roi_heads.box_predictor"
_TRZY_STAGES = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3"}
_TRZY = (
    (r"_stage2_region_proposal_network\._rpn_conv1", "rpn.head.conv.0.0"),
    (r"_stage2_region_proposal_network\._rpn_class", "rpn.head.cls_logits"),
    (r"_stage2_region_proposal_network\._rpn_boxes", "rpn.head.bbox_pred"),
    (r"_stage3_detector_network\._classifier", f"{PREDICTOR}.cls_score"),
    (r"_stage3_detector_network\._regressor", f"{PREDICTOR}.bbox_pred"),
    (r"_stage3_detector_network\._pool_to_feature_vector\._fc1", f"{HEAD}.fc6"),
    (r"_stage3_detector_network\._pool_to_feature_vector\._fc2", f"{HEAD}.fc7"),
    (r"_stage3_detector_network\._pool_to_feature_vector\._layer4", f"{HEAD}.layer4"),
    *_vgg_blocks(r"_stage1_feature_extractor\._block{block}_conv{conv}"),
    *(
        (rf"_stage1_feature_extractor\._feature_extractor\.{i}(?=\.)", f"backbone.body.{stage}")
        for i, stage in _TRZY_STAGES.items()
    ),
)
SOURCES = (
    Source("trzy/FasterRCNN", ("_stage2_region_proposal_network._rpn_conv1.weight",), _TRZY, True),
    Source(
        "chenyuntc/simple-faster-rcnn-pytorch",
        ("extractor.0.weight", "head.cls_loc.weight"),
        (
            (r"extractor\.(\d+)", r"backbone.body.features.\1"),
            (r"rpn\.conv1", "rpn.head.conv.0.0"),
            (r"rpn\.score", "rpn.head.cls_logits"),
            (r"rpn\.loc", "rpn.head.bbox_pred"),
            (r"head\.classifier\.0", f"{HEAD}.fc6"),
            (r"head\.classifier\.2", f"{HEAD}.fc7"),
            (r"head\.cls_loc", f"{PREDICTOR}.bbox_pred"),
            (r"head\.score", f"{PREDICTOR}.cls_score"),
        ),
        True,
    ),
    Source(
        "torchvision ResNet",
        ("conv1.weight", "layer1.0.conv1.weight"),
        ((r"fc\.", None), (r"layer4(?=\.)", "{layer4}layer4"), (r"", "{body}")),
        False,
    ),
    Source(
        "torchvision VGG16",
        ("features.0.weight", "features.28.weight", "classifier.0.weight"),
        (
            (r"classifier\.0", f"{HEAD}.fc6"),
            (r"classifier\.3", f"{HEAD}.fc7"),
            (r"classifier\.6", None),
            (r"", "{body}"),
        ),
        False,
    ),
)


def detect(weights: Weights) -> Source | None:
    """The source that the keys tell of; None for canonical names."""
    return next((s for s in SOURCES if all(mark in weights for mark in s.marks)), None)


def convert(weights: Weights, config: Config, source: Source | None) -> Weights:
    """Canonical names for every tensor that is a weight; InputError names one without a place."""
    weights = {k: v for k, v in weights.items() if not IGNORED.match(k)}
    if source is None:
        return weights
    in_head = config.model.detector == "faster_rcnn" and config.model.roi.head == "layer4"
    places = {"body": body(config), "layer4": f"{HEAD}." if in_head else body(config)}
    converted = {}
    for key, values in weights.items():
        pattern, replacement = next(
            ((p, r) for p, r in source.renames if re.match(p, key)), ("", None)
        )
        if replacement is None and not pattern:
            raise InputError(f"{source.name}: {key} has no place in the model")
        if replacement is not None:
            replacement = replacement.replace("{body}", places["body"])
            replacement = replacement.replace("{layer4}", places["layer4"])
            converted[re.sub(pattern, replacement, key, count=1)] = values
    return converted
