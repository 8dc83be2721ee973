"""Names and shapes of every canonical tensor of a configuration, without a framework.

What a conversion has to fill. The two implementations build the same; tests/test_layout.py holds them
to it, in the order of names too.
"""

from __future__ import annotations

from collections.abc import Iterator

from neutral.config import (
    BLOCK_EXPANSION,
    RESNET_LAYOUTS,
    VGG16_BLOCKS,
    BackboneConfig,
    Config,
    DetrConfig,
    FasterRcnnConfig,
)
from neutral.parameters import BODIES, mobilenet_channels, vgg16_positions

Shapes = Iterator[tuple[str, tuple[int, ...]]]


def canonical_shapes(config: Config) -> dict[str, tuple[int, ...]]:
    """Shape of every parameter and buffer, by canonical name."""
    make = _detr if isinstance(config.model, DetrConfig) else _faster_rcnn
    return dict(make(config.model))


def class_heads(config: Config) -> tuple[str, ...]:
    """What the names of tensors that depend on the classes start with: fine-tuning begins them anew."""
    if isinstance(config.model, DetrConfig):
        return ("class_embed.",)
    return ("roi_heads.box_predictor.",)


def _linear(name: str, inputs: int, outputs: int) -> Shapes:
    yield f"{name}.weight", (outputs, inputs)
    yield f"{name}.bias", (outputs,)


def _convolution(name: str, inputs: int, outputs: int, kernel: int, bias: bool = True) -> Shapes:
    yield f"{name}.weight", (outputs, inputs, kernel, kernel)
    if bias:
        yield f"{name}.bias", (outputs,)


def _norm(name: str, channels: int, kind: str = "layer") -> Shapes:
    leaves = ("weight", "bias")
    if kind == "frozen_batch":
        leaves += ("running_mean", "running_var")
    for leaf in leaves:
        yield f"{name}.{leaf}", (channels,)


def _stage(body: str, backbone: BackboneConfig, stage: int) -> Shapes:
    """layer1 to layer4 of a ResNet."""
    kind, counts = RESNET_LAYOUTS[backbone.name]
    width = backbone.width * 2 ** (stage - 1)
    outputs = width * BLOCK_EXPANSION[kind]
    inputs = backbone.width if stage == 1 else outputs // 2
    layers = (3, 3) if kind == "basic" else (1, 3, 1)  # kernels
    for block in range(counts[stage - 1]):
        name, channels = f"{body}layer{stage}.{block}", inputs
        for number, kernel in enumerate(layers, start=1):
            following = outputs if number == len(layers) else width
            yield from _convolution(f"{name}.conv{number}", channels, following, kernel, bias=False)
            yield from _norm(f"{name}.bn{number}", following, backbone.norm)
            channels = following
        if block == 0 and (stage > 1 or inputs != outputs):
            yield from _convolution(f"{name}.downsample.0", inputs, outputs, 1, bias=False)
            yield from _norm(f"{name}.downsample.1", outputs, backbone.norm)
        inputs = outputs


def _resnet(body: str, backbone: BackboneConfig, last: int) -> Shapes:
    yield from _convolution(f"{body}conv1", 3, backbone.width, 7, bias=False)
    yield from _norm(f"{body}bn1", backbone.width, backbone.norm)
    for stage in range(1, last + 1):
        yield from _stage(body, backbone, stage)


def _stage_channels(backbone: BackboneConfig, stage: int) -> int:
    kind = RESNET_LAYOUTS[backbone.name][0]
    return backbone.width * 2 ** (stage - 1) * BLOCK_EXPANSION[kind]


def _vgg16(body: str) -> Shapes:
    inputs = 3
    for widths, positions in zip(VGG16_BLOCKS, vgg16_positions(), strict=True):
        for outputs, position in zip(widths, positions, strict=True):
            yield from _convolution(f"{body}features.{position}", inputs, outputs, 3)
            inputs = outputs


def _mobilenet(body: str, backbone: BackboneConfig, first: int, last: int) -> Shapes:
    """Conv2d_{first} to Conv2d_{last}."""
    for k in range(first, last + 1):
        name, outputs = f"{body}Conv2d_{k}", mobilenet_channels(backbone, k)
        if k == 0:
            yield from _convolution(f"{name}.0", 3, outputs, 3, bias=False)
            yield from _norm(f"{name}.1", outputs, backbone.norm)
            continue
        inputs = mobilenet_channels(backbone, k - 1)
        yield f"{name}.depthwise.0.weight", (inputs, 1, 3, 3)
        yield from _norm(f"{name}.depthwise.1", inputs, backbone.norm)
        yield from _convolution(f"{name}.pointwise.0", inputs, outputs, 1, bias=False)
        yield from _norm(f"{name}.pointwise.1", outputs, backbone.norm)


def _attention(name: str, width: int) -> Shapes:
    yield f"{name}.in_proj_weight", (3 * width, width)
    yield f"{name}.in_proj_bias", (3 * width,)
    yield from _linear(f"{name}.out_proj", width, width)


def _detr(model: DetrConfig) -> Shapes:
    transformer, width = model.transformer, model.transformer.hidden_dim
    for side, attentions, count in (
        ("encoder", ("self_attn",), transformer.encoder_layers),
        ("decoder", ("self_attn", "multihead_attn"), transformer.decoder_layers),
    ):
        for i in range(count):
            name = f"transformer.{side}.layers.{i}"
            for attention in attentions:
                yield from _attention(f"{name}.{attention}", width)
            yield from _linear(f"{name}.linear1", width, transformer.feedforward_dim)
            yield from _linear(f"{name}.linear2", transformer.feedforward_dim, width)
            for number in range(1, len(attentions) + 2):
                yield from _norm(f"{name}.norm{number}", width)
        if side == "decoder" or transformer.pre_norm:
            yield from _norm(f"transformer.{side}.norm", width)
    yield from _linear("class_embed", width, model.num_classes + 1)
    for i in range(model.box_layers):
        outputs = 4 if i == model.box_layers - 1 else width
        yield from _linear(f"bbox_embed.layers.{i}", width, outputs)
    yield "query_embed.weight", (model.num_queries, width)
    yield from _convolution("input_proj", _stage_channels(model.backbone, 4), width, 1)
    yield from _resnet(BODIES["detr"], model.backbone, 4)
    if model.position.kind == "learned":
        for axis in ("row", "col"):
            yield f"backbone.1.{axis}_embed.weight", (model.position.learned_rows, width // 2)
    if model.masks.enabled:
        yield from _mask_head(model)


def mask_head_names(config: Config) -> set[str]:
    """The canonical names of DETR's mask head, whether the configuration has one or not."""
    is_detr = isinstance(config.model, DetrConfig)
    return {name for name, _ in _mask_head(config.model)} if is_detr else set()


def _mask_head(model: DetrConfig) -> Shapes:
    dim, heads = model.transformer.hidden_dim, model.transformer.heads
    yield from _linear("bbox_attention.q_linear", dim, dim)
    yield from _linear("bbox_attention.k_linear", dim, dim)
    inputs = dim + heads
    for k, width in enumerate((dim + heads, dim // 2, dim // 4, dim // 8, dim // 16), start=1):
        yield from _convolution(f"mask_head.lay{k}", inputs, width, 3)
        yield from _norm(f"mask_head.gn{k}", width)
        inputs = width
    yield from _convolution("mask_head.out_lay", inputs, 1, 3)
    for k, width in enumerate((dim // 2, dim // 4, dim // 8), start=1):
        channels = _stage_channels(model.backbone, 4 - k)
        yield from _convolution(f"mask_head.adapter{k}", channels, width, 1)


def _faster_rcnn(model: FasterRcnnConfig) -> Shapes:
    body, backbone, fpn, roi = BODIES["faster_rcnn"], model.backbone, model.fpn, model.roi
    if backbone.name == "vgg16":
        channels = VGG16_BLOCKS[-1][-1]
        yield from _vgg16(body)
    elif backbone.name == "mobilenet_v1":
        channels = mobilenet_channels(backbone, 11)
        yield from _mobilenet(body, backbone, 0, 11)
    elif fpn.channels:
        channels, first = fpn.channels, fpn.first_level - 1
        stages = range(first, fpn.last_level)
        yield from _resnet(body, backbone, stages[-1])
        for i, stage in enumerate(stages):
            inputs = _stage_channels(backbone, stage)
            yield from _convolution(f"backbone.fpn.inner_blocks.{i}.0", inputs, channels, 1)
        for i in range(len(stages)):
            yield from _convolution(f"backbone.fpn.layer_blocks.{i}.0", channels, channels, 3)
    else:
        channels = _stage_channels(backbone, 3)
        yield from _resnet(body, backbone, 3)
    anchors = len(model.rpn.anchors.sizes[0]) * len(model.rpn.anchors.ratios)
    width = model.rpn.channels or channels
    scores = anchors * (2 if model.rpn.scores == "softmax" else 1)
    yield from _convolution("rpn.head.conv.0.0", channels, width, 3)
    yield from _convolution("rpn.head.cls_logits", width, scores, 1)
    yield from _convolution("rpn.head.bbox_pred", width, anchors * 4, 1)
    if roi.head == "layer4":
        outputs = _stage_channels(backbone, 4)
        yield from _stage("roi_heads.box_head.", backbone, 4)
    elif roi.head == "mobilenet":
        outputs = mobilenet_channels(backbone, 13)
        yield from _mobilenet("roi_heads.box_head.", backbone, 12, 13)
    else:
        outputs = roi.hidden
        yield from _linear("roi_heads.box_head.fc6", channels * roi.size**2, outputs)
        yield from _linear("roi_heads.box_head.fc7", outputs, outputs)
    yield from _linear("roi_heads.box_predictor.cls_score", outputs, model.num_classes)
    if roi.regress:
        slots = model.num_classes - (not roi.background_slot)
        yield from _linear("roi_heads.box_predictor.bbox_pred", outputs, slots * 4)
