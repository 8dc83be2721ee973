"""Tables of renames for Faster R-CNN and for backbones by themselves.

Canonical names are torchvision's. Read rules.py first.
"""

from __future__ import annotations

from neutral.parameters import vgg16_positions
from neutral.weights.rules import CLASSIFIER, COUNTERS, HEAD, PREDICTOR, Rule, renamed


def _vgg_blocks(theirs: str) -> tuple[Rule, ...]:
    """trzy's block{b}_conv{c} <-> torchvision's features.N."""
    return tuple(
        Rule(theirs.format(block=b, conv=c) + ".{leaf}", f"{{body}}features.{position}.{{leaf}}")
        for b, positions in enumerate(vgg16_positions(), start=1)
        for c, position in enumerate(positions, start=1)
    )


_STAGE1, STAGE2, _STAGE3 = (
    "_stage1_feature_extractor",
    "_stage2_region_proposal_network",
    "_stage3_detector_network",
)
_TRZY_STEM = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3"}
TRZY = (
    *COUNTERS,
    *renamed(
        {
            f"{STAGE2}._rpn_conv1": "rpn.head.conv.0.0",
            f"{STAGE2}._rpn_class": "rpn.head.cls_logits",
            f"{STAGE2}._rpn_boxes": "rpn.head.bbox_pred",
            f"{_STAGE3}._classifier": f"{PREDICTOR}.cls_score",
            f"{_STAGE3}._regressor": f"{PREDICTOR}.bbox_pred",
            f"{_STAGE3}._pool_to_feature_vector._fc1": f"{HEAD}.fc6",
            f"{_STAGE3}._pool_to_feature_vector._fc2": f"{HEAD}.fc7",
        }
    ),
    Rule(f"{_STAGE3}._pool_to_feature_vector._layer4.{{rest}}", "{layer4}layer4.{rest}"),
    *_vgg_blocks(f"{_STAGE1}._block{{block}}_conv{{conv}}"),
    *(
        Rule(f"{_STAGE1}._feature_extractor.{i}.{{rest}}", f"{{body}}{stage}.{{rest}}")
        for i, stage in _TRZY_STEM.items()
    ),
)
SIMPLE = (
    Rule("extractor.{i}.{leaf}", "{body}features.{i}.{leaf}"),
    *renamed(
        {
            "rpn.conv1": "rpn.head.conv.0.0",
            "rpn.score": "rpn.head.cls_logits",
            "rpn.loc": "rpn.head.bbox_pred",
            "head.classifier.0": f"{HEAD}.fc6",
            "head.classifier.2": f"{HEAD}.fc7",
            "head.classifier.3": f"{HEAD}.fc7",  # with use_drop
            "head.cls_loc": f"{PREDICTOR}.bbox_pred",
            "head.score": f"{PREDICTOR}.cls_score",
        }
    ),
)
TF = (  # ruotianluo/pytorch-faster-rcnn, lib/nets
    *COUNTERS,
    *renamed(
        {
            "rpn_net": "rpn.head.conv.0.0",
            "rpn_cls_score_net": "rpn.head.cls_logits",
            "rpn_bbox_pred_net": "rpn.head.bbox_pred",
            "cls_score_net": f"{PREDICTOR}.cls_score",
            "bbox_pred_net": f"{PREDICTOR}.bbox_pred",
            "vgg.classifier.0": f"{HEAD}.fc6",
            "vgg.classifier.3": f"{HEAD}.fc7",
        }
    ),
    Rule("vgg.features.{rest}", "{body}features.{rest}"),
    *(Rule(f"mobilenet.Conv2d_{k}.{{rest}}", f"{HEAD}.Conv2d_{k}.{{rest}}") for k in (12, 13)),
    Rule("mobilenet.{rest}", "{body}{rest}"),
    Rule("resnet.fc.{leaf}", reason=CLASSIFIER),
    Rule("resnet.layer4.{rest}", "{layer4}layer4.{rest}"),
    Rule("resnet.{rest}", "{body}{rest}"),
)


def _d2_stage(theirs: str, ours: str) -> tuple[Rule, ...]:
    """detectron2's res{k} <-> layer{k - 1}: a convolution and its norm lie in one module there."""
    return (
        Rule(f"{theirs}.{{i}}.shortcut.norm.{{leaf}}", f"{ours}.{{i}}.downsample.1.{{leaf}}"),
        Rule(f"{theirs}.{{i}}.shortcut.{{leaf}}", f"{ours}.{{i}}.downsample.0.{{leaf}}"),
        Rule(f"{theirs}.{{i}}.conv{{j}}.norm.{{leaf}}", f"{ours}.{{i}}.bn{{j}}.{{leaf}}"),
        Rule(f"{theirs}.{{i}}.conv{{j}}.{{leaf}}", f"{ours}.{{i}}.conv{{j}}.{{leaf}}"),
    )


def _d2(bottom_up: str, *rules: Rule) -> tuple[Rule, ...]:
    stages = tuple(
        rule
        for k in (2, 3, 4)
        for rule in _d2_stage(f"{bottom_up}.res{k}", f"{{body}}layer{k - 1}")
    )
    return (
        *COUNTERS,
        Rule("pixel_{leaf}", reason="pixel mean and deviation are the preset's"),
        Rule(
            "proposal_generator.anchor_generator.{rest}",
            reason="anchors come from the configuration",
        ),
        Rule("roi_heads.mask_{rest}", reason="the mask head: boxes are detected here"),
        Rule(f"{bottom_up}.stem.conv1.norm.{{leaf}}", "{body}bn1.{leaf}"),
        Rule(f"{bottom_up}.stem.conv1.{{leaf}}", "{body}conv1.{leaf}"),
        *stages,
        *renamed(
            {
                "proposal_generator.rpn_head.conv": "rpn.head.conv.0.0",
                "proposal_generator.rpn_head.objectness_logits": "rpn.head.cls_logits",
                "proposal_generator.rpn_head.anchor_deltas": "rpn.head.bbox_pred",
                "roi_heads.box_predictor.cls_score": f"{PREDICTOR}.cls_score",
                "roi_heads.box_predictor.bbox_pred": f"{PREDICTOR}.bbox_pred",
            }
        ),
        *rules,
    )


D2_FPN = _d2(
    "backbone.bottom_up",
    *_d2_stage("backbone.bottom_up.res5", "{body}layer4"),
    *renamed(
        {f"backbone.fpn_lateral{k}": f"backbone.fpn.inner_blocks.{k - 2}.0" for k in range(2, 6)}
    ),
    *renamed(
        {f"backbone.fpn_output{k}": f"backbone.fpn.layer_blocks.{k - 2}.0" for k in range(2, 6)}
    ),
    *renamed({"roi_heads.box_head.fc1": f"{HEAD}.fc6", "roi_heads.box_head.fc2": f"{HEAD}.fc7"}),
)
D2_C4 = _d2("backbone", *_d2_stage("roi_heads.res5", "{layer4}layer4"))

RESNET = (
    *COUNTERS,
    Rule("fc.{leaf}", reason=CLASSIFIER),
    Rule("layer4.{rest}", "{layer4}layer4.{rest}"),
    Rule("{rest}", "{body}{rest}"),
)
VGG16 = (
    Rule("features.{rest}", "{body}features.{rest}"),
    Rule("classifier.0.{leaf}", f"{HEAD}.fc6.{{leaf}}"),
    Rule("classifier.3.{leaf}", f"{HEAD}.fc7.{{leaf}}"),
    Rule("classifier.6.{leaf}", reason=CLASSIFIER),
)
