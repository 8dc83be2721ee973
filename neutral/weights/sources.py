"""Where weights come from: every public source, how to know it, and which table renames its tensors.

What a source says is in rules.py; the tables are in detr_names.py and faster_rcnn_names.py. Values are never touched:
orders of boxes and channels are configuration (`model.box_order`, `rpn.softmax_layout`, `model.background`).
"""

from __future__ import annotations

from neutral.parameters import MASK_HEAD
from neutral.weights.detr_names import HF_DETR, HF_SEGMENTATION, PORT, SEGMENTATION
from neutral.weights.faster_rcnn_names import D2_C4, D2_FPN, RESNET, SIMPLE, STAGE2, TF, TRZY, VGG16
from neutral.weights.rules import CANONICAL, COUNTERS, HEAD, OPTIMISER, Rule, Source, same

RESNET_KEYS = ("conv1.weight", "bn1.running_mean", "layer1.0.conv1.weight")
VGG16_KEYS = ("features.0.weight", "features.28.weight", "classifier.0.weight")
_RESNET_FILLS, _VGG16_FILLS = ("{body}", "{layer4}layer4."), ("{body}", f"{HEAD}.")
# published files of torchvision carry the beginning of their SHA-256 in their names
_TORCHVISION_RESNETS = """
    0676ba61 11ad3fa6 19c8e357 63fe2227 cd907fc2 5d3b4d8f 394f9c45 f82ba261 b121ed2d f37072fd 5c106cde
"""
JITTOR = ("Jittor pickle",)
SOURCES = (
    Source(
        "Hugging Face DETR",
        ("model.query_position_embeddings.weight", "class_labels_classifier.weight"),
        HF_DETR,
        "detr",
        may_lack=MASK_HEAD,
    ),
    Source(
        "DETR with masks (Hugging Face)",
        ("detr.model.query_position_embeddings.weight", "detr.class_labels_classifier.weight"),
        HF_SEGMENTATION,
        "detr",
    ),
    Source(
        "DETR with masks (facebookresearch)",
        ("detr.query_embed.weight", "mask_head.lay1.weight"),
        SEGMENTATION,
        "detr",
    ),
    Source(
        "Ber0ton's Jittor DETR",
        ("query_embed.weight", "transformer.encoder.layers.0.self_attn.q_proj.weight"),
        PORT,
        "detr",
        may_lack=MASK_HEAD,
    ),
    Source(
        "facebookresearch/detr",
        ("query_embed.weight", "transformer.encoder.layers.0.self_attn.in_proj_weight"),
        CANONICAL,
        "detr",
        may_lack=MASK_HEAD,
    ),
    Source("trzy/FasterRCNN", (f"{STAGE2}._rpn_conv1.weight",), TRZY, "faster_rcnn"),
    Source(
        "chenyuntc/simple-faster-rcnn-pytorch",
        ("extractor.0.weight", "head.cls_loc.weight"),
        SIMPLE,
        "faster_rcnn",
    ),
    Source(
        "ruotianluo/pytorch-faster-rcnn",
        ("rpn_cls_score_net.weight", "bbox_pred_net.weight"),
        TF,
        "faster_rcnn",
    ),
    Source(
        "detectron2 R-CNN with FPN",
        ("backbone.bottom_up.stem.conv1.weight", "proposal_generator.rpn_head.conv.weight"),
        D2_FPN,
        "faster_rcnn",
    ),
    Source(
        "detectron2 R-CNN C4",
        ("backbone.stem.conv1.weight", "proposal_generator.rpn_head.conv.weight"),
        D2_C4,
        "faster_rcnn",
    ),
    Source(
        "torchvision fasterrcnn_resnet50_fpn_v2",
        ("rpn.head.conv.1.0.weight", "backbone.fpn.inner_blocks.0.1.weight"),
        (
            *COUNTERS,
            Rule("backbone.body.{rest}", "{body}{rest}"),
            Rule("backbone.fpn.{rest}", reason="version 2's pyramid has batch normalisation"),
            Rule("rpn.{rest}", reason="version 2's RPN has two convolutions"),
            Rule("roi_heads.{rest}", reason="version 2's head has four convolutions"),
        ),
        "",
        ("{body}",),
    ),
    Source(
        "torchvision Faster R-CNN",
        ("rpn.head.cls_logits.weight", "roi_heads.box_predictor.cls_score.weight"),
        (
            *COUNTERS,
            *OPTIMISER,
            # as the published file has them: torchvision renamed them later
            Rule("backbone.fpn.{leaf}.{i}.0.{rest}", "backbone.fpn.{leaf}.{i}.0.{rest}"),
            Rule("backbone.fpn.{leaf}.{i}.{rest}", "backbone.fpn.{leaf}.{i}.0.{rest}"),
            Rule("rpn.head.conv.0.0.{leaf}", "rpn.head.conv.0.0.{leaf}"),
            Rule("rpn.head.conv.{leaf}", "rpn.head.conv.0.0.{leaf}"),
            *same("{rest}"),
        ),
        "faster_rcnn",
        absent=("rpn.head.conv.1.0.weight",),
        digests=("258fb6c6",),
        # torchvision sets eps to 0 when it loads its published file (overwrite_eps), and only then
        norm_eps=(0.0, 1e-5),
    ),
    Source(
        "torchvision ResNet",
        RESNET_KEYS,
        RESNET,
        fills=_RESNET_FILLS,
        channels="rgb",
        digests=tuple(_TORCHVISION_RESNETS.split()),
        not_layouts=JITTOR,
    ),
    Source(
        "caffe ResNet",
        RESNET_KEYS,
        RESNET,
        fills=_RESNET_FILLS,
        channels="bgr",
        not_layouts=JITTOR,
    ),
    Source(
        "Jittor model zoo ResNet",
        RESNET_KEYS,
        RESNET,
        fills=_RESNET_FILLS,
        channels="rgb",
        layouts=JITTOR,
    ),
    Source(
        "torchvision VGG16",
        VGG16_KEYS,
        VGG16,
        fills=_VGG16_FILLS,
        channels="rgb",
        digests=("397923af",),
        not_layouts=JITTOR,
    ),
    Source(
        "caffe VGG16",
        VGG16_KEYS,
        VGG16,
        fills=_VGG16_FILLS,
        channels="bgr",
        digests=("e6527a06abfac585939b8d50f235569a33190570",),
        not_layouts=JITTOR,
    ),
    Source(
        "Jittor model zoo VGG16",
        VGG16_KEYS,
        VGG16,
        fills=_VGG16_FILLS,
        channels="rgb",
        layouts=JITTOR,
    ),
)
