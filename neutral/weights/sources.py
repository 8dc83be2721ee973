"""Where weights come from: for each public source, how to know it and a table of renames.

A rule has their name and ours with the same placeholders: {i} and {j} are numbers, {leaf} one word, {rest} anything.
One table serves both ways, import and export. A rule may say that theirs is one of several equal parts of
ours along the first axis: split query, key and value projections are parts of the fused `in_proj`, which is
the canonical form. A reason in place of our name leaves the tensor out.

Faster R-CNN's canonical names are torchvision's, DETR's those of facebookresearch/detr. Values are never touched:
orders of boxes and channels are configuration (`model.box_order`, `rpn.softmax_layout`, `model.background`).
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, replace

from neutral.config import Config
from neutral.parameters import MASK_HEAD, body, vgg16_positions

COUNTER = "a counter of batch normalisation, whose statistics are frozen here"
CLASSIFIER = "the classification head of ImageNet"
NO_STAGE = "the configured model ends before this stage"
HEAD, PREDICTOR = "roi_heads.box_head", "roi_heads.box_predictor"
PLACEHOLDERS = {"i": r"(\d+)", "j": r"(\d+)", "leaf": r"([^.]+)", "rest": r"(.+)"}


@dataclass(frozen=True)
class Rule:
    """`theirs` <-> `ours`, which may have {body} and {layer4} for where the configuration has them.

    `part` (k, n): theirs is the k-th of n equal parts of ours. With a `reason` the tensor is left out.
    """

    theirs: str
    ours: str = ""
    part: tuple[int, int] | None = None
    reason: str = ""


@dataclass(frozen=True)
class Source:
    """`marks`: keys that tell it, all of them there; `absent`: none of them there.

    `fills`: beginnings of canonical names that it has to fill; () for all: a whole detector. What else the model has
    begins anew, and so do, together, all names that begin as one of `may_lack` where it has none of them.
    `channels`: the order of colours that its first layer wants, "" where the preset decides.
    `digests`: beginnings of SHA-1 and SHA-256 of published files. `layouts`: of files; () for any.
    `norm_eps`: where its files differ in the eps of their frozen batch normalisation and do not say so: that of the
    published ones, whose digests these are, and of those that people train.
    """

    name: str
    marks: tuple[str, ...]
    rules: tuple[Rule, ...]
    detector: str = ""  # "detr", "faster_rcnn" or, for backbones, both
    fills: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    channels: str = ""
    digests: tuple[str, ...] = ()
    may_lack: tuple[str, ...] = ()
    layouts: tuple[str, ...] = ()
    not_layouts: tuple[str, ...] = ()
    norm_eps: tuple[float, float] | tuple[()] = ()

    def matches(self, keys, layout: str) -> bool:
        return (
            all(mark in keys for mark in self.marks)
            and not any(mark in keys for mark in self.absent)
            and (not self.layouts or layout in self.layouts)
            and layout not in self.not_layouts
        )


def places(config: Config) -> dict[str, str]:
    """What {body} and {layer4} stand for: a C4 detector has its layer4 in the box head."""
    in_head = config.model.detector == "faster_rcnn" and config.model.roi.head == "layer4"
    return {"body": body(config), "layer4": f"{HEAD}." if in_head else body(config)}


def fill_places(template: str, config: Config) -> str:
    for name, place in places(config).items():
        template = template.replace(f"{{{name}}}", place)
    return template


@functools.cache
def _pattern(template: str) -> tuple[re.Pattern, tuple[str, ...]]:
    """The regular expression of a template, and its placeholders in order."""
    parts = re.split(r"\{(\w+)\}", template)
    text = "".join(re.escape(p) if k % 2 == 0 else PLACEHOLDERS[p] for k, p in enumerate(parts))
    return re.compile(text + r"\Z"), tuple(parts[1::2])


def match(template: str, key: str) -> dict[str, str] | None:
    """The placeholders' values when `key` has the template's form."""
    pattern, names = _pattern(template)
    found = pattern.match(key)
    return dict(zip(names, found.groups(), strict=True)) if found else None


def find_rule(source: Source, key: str) -> tuple[Rule, dict[str, str]] | None:
    """The first rule for a key of theirs, and its placeholders' values."""
    for rule in source.rules:
        values = match(rule.theirs, key)
        if values is not None:
            return rule, values
    return None


def their_names(
    source: Source, key: str, config: Config
) -> list[tuple[str, tuple[int, int] | None]]:
    """What the source calls a canonical tensor, by parts when it splits it; [] when it has no name for it."""
    for rule in source.rules:
        ours = fill_places(rule.ours, config)
        values = match(ours, key) if ours else None
        if values is None:
            continue
        count = rule.part[1] if rule.part else 1
        parts = [r for r in source.rules if r.ours == rule.ours and bool(r.part) == bool(rule.part)]
        return [(r.theirs.format(**values), r.part) for r in parts[:count]]
    return []


def _same(*names: str) -> tuple[Rule, ...]:
    return tuple(Rule(name, name) for name in names)


def _split_attention(
    theirs: str, ours: str, out: tuple[str, ...] = ("out_proj",)
) -> tuple[Rule, ...]:
    """Projections of their own <-> parts of the fused one, in the order query, key, value."""
    split = tuple(
        Rule(f"{theirs}.{letter}_proj.{{leaf}}", f"{ours}.in_proj_{{leaf}}", (k, 3))
        for k, letter in enumerate("qkv")
    )
    return split + tuple(Rule(f"{theirs}.{o}.{{leaf}}", f"{ours}.out_proj.{{leaf}}") for o in out)


_COUNTERS = (Rule("{rest}.num_batches_tracked", reason=COUNTER),)
_OPTIMISER = (Rule("optimiser/{rest}", reason="the state of the optimiser"),)
_CANONICAL = (*_COUNTERS, *_OPTIMISER, *_same("{rest}"))

# Hugging Face DETR: names of transformers 5 first, then those that older files have


def _hf_layers(
    side: str, attentions: dict[str, tuple[str, str]], last_norm: str
) -> tuple[Rule, ...]:
    """`attentions`: their name -> (ours, our norm behind it)."""
    theirs, ours = f"model.{side}.layers.{{i}}", f"transformer.{side}.layers.{{i}}"
    rules: tuple[Rule, ...] = ()
    for name, (our_name, norm) in attentions.items():
        rules += _split_attention(f"{theirs}.{name}", f"{ours}.{our_name}", ("o_proj", "out_proj"))
        rules += (Rule(f"{theirs}.{name}_layer_norm.{{leaf}}", f"{ours}.{norm}.{{leaf}}"),)
    for k in (1, 2):
        rules += (Rule(f"{theirs}.mlp.fc{k}.{{leaf}}", f"{ours}.linear{k}.{{leaf}}"),)
        rules += (Rule(f"{theirs}.fc{k}.{{leaf}}", f"{ours}.linear{k}.{{leaf}}"),)
    return (*rules, Rule(f"{theirs}.final_layer_norm.{{leaf}}", f"{ours}.{last_norm}.{{leaf}}"))


def _hf_resnet(theirs: str) -> tuple[Rule, ...]:
    """transformers' own ResNet, with one embedder, stages from 0 and convolutions from 0."""
    rules = (
        Rule(f"{theirs}.embedder.embedder.convolution.{{leaf}}", "{body}conv1.{leaf}"),
        Rule(f"{theirs}.embedder.embedder.normalization.{{leaf}}", "{body}bn1.{leaf}"),
    )
    for stage in range(4):
        block = f"{theirs}.encoder.stages.{stage}.layers.{{i}}"
        ours = f"{{body}}layer{stage + 1}.{{i}}"
        for kind, conv, norm in (("convolution", "conv", 0), ("normalization", "bn", 1)):
            rules += tuple(
                Rule(f"{block}.layer.{k}.{kind}.{{leaf}}", f"{ours}.{conv}{k + 1}.{{leaf}}")
                for k in range(3)
            )
            rules += (
                Rule(f"{block}.shortcut.{kind}.{{leaf}}", f"{ours}.downsample.{norm}.{{leaf}}"),
            )
    return rules


_HF_DETR = (
    *_COUNTERS,
    Rule("model.query_position_embeddings.{leaf}", "query_embed.{leaf}"),
    Rule("model.input_projection.{leaf}", "input_proj.{leaf}"),
    *_hf_layers("encoder", {"self_attn": ("self_attn", "norm1")}, "norm2"),
    *_hf_layers(
        "decoder",
        {"self_attn": ("self_attn", "norm1"), "encoder_attn": ("multihead_attn", "norm2")},
        "norm3",
    ),
    Rule("model.encoder.layernorm.{leaf}", "transformer.encoder.norm.{leaf}"),
    Rule("model.decoder.layernorm.{leaf}", "transformer.decoder.norm.{leaf}"),
    Rule("class_labels_classifier.{leaf}", "class_embed.{leaf}"),
    Rule("bbox_predictor.layers.{i}.{leaf}", "bbox_embed.layers.{i}.{leaf}"),
    *(
        Rule(
            f"model.{place}position_embedding.{theirs}_embeddings.weight",
            f"backbone.1.{ours}_embed.weight",
        )
        for place in ("", "backbone.")
        for theirs, ours in (("row", "row"), ("column", "col"))
    ),
    *_hf_resnet("model.backbone.model"),
    *_hf_resnet("model.backbone.conv_encoder.model"),
    # timm's ResNet inside, whose names are torchvision's
    *(
        Rule(f"model.backbone.{place}{{rest}}", "{body}{rest}")
        for place in (
            "model._backbone.",
            "conv_encoder.model._backbone.",
            "conv_encoder.model.",
            "model.",
        )
    ),
)

_MASKS = _same(*(f"{prefix}{{rest}}" for prefix in MASK_HEAD))
# with a mask head, the detector is a part of the model and its names begin with "detr."
_HF_SEGMENTATION = (
    *(
        Rule(f"{theirs}.{{leaf}}", f"{ours}.{{leaf}}")
        for theirs, ours in (
            *((f"mask_head.conv{k}.conv", f"mask_head.lay{k}") for k in (1, 2)),
            *((f"mask_head.conv{k}.norm", f"mask_head.gn{k}") for k in (1, 2)),
            *((f"mask_head.fpn_stages.{k}.refine.conv", f"mask_head.lay{k + 3}") for k in range(3)),
            *((f"mask_head.fpn_stages.{k}.refine.norm", f"mask_head.gn{k + 3}") for k in range(3)),
            *(
                (f"mask_head.fpn_stages.{k}.fpn_adapter", f"mask_head.adapter{k + 1}")
                for k in range(3)
            ),
            ("mask_head.output_conv", "mask_head.out_lay"),
            *(
                (f"bbox_attention.{letter}_proj", f"bbox_attention.{letter}_linear")
                for letter in "qk"
            ),
        )
    ),
    *_MASKS,
    *(replace(r, theirs=f"detr.{r.theirs}") for r in _HF_DETR),
)
_SEGMENTATION = (*_COUNTERS, *_OPTIMISER, *_MASKS, Rule("detr.{rest}", "{rest}"))

_PORT = (  # Ber0ton/DETR-Jittor-and-Pytorch, DETR-Jittor/models
    *_COUNTERS,
    *_split_attention("transformer.{rest}.self_attn", "transformer.{rest}.self_attn"),
    *_split_attention("transformer.{rest}.multihead_attn", "transformer.{rest}.multihead_attn"),
    Rule("backbone.0.body.body.{rest}", "{body}{rest}"),
    *_same("{rest}"),
)


def _vgg_blocks(theirs: str) -> tuple[Rule, ...]:
    """trzy's block{b}_conv{c} <-> torchvision's features.N."""
    return tuple(
        Rule(theirs.format(block=b, conv=c) + ".{leaf}", f"{{body}}features.{position}.{{leaf}}")
        for b, positions in enumerate(vgg16_positions(), start=1)
        for c, position in enumerate(positions, start=1)
    )


def _renamed(pairs: dict[str, str]) -> tuple[Rule, ...]:
    return tuple(Rule(f"{theirs}.{{leaf}}", f"{ours}.{{leaf}}") for theirs, ours in pairs.items())


_STAGE1, _STAGE2, _STAGE3 = (
    "_stage1_feature_extractor",
    "_stage2_region_proposal_network",
    "_stage3_detector_network",
)
_TRZY_STEM = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3"}
_TRZY = (
    *_COUNTERS,
    *_renamed(
        {
            f"{_STAGE2}._rpn_conv1": "rpn.head.conv.0.0",
            f"{_STAGE2}._rpn_class": "rpn.head.cls_logits",
            f"{_STAGE2}._rpn_boxes": "rpn.head.bbox_pred",
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
_SIMPLE = (
    Rule("extractor.{i}.{leaf}", "{body}features.{i}.{leaf}"),
    *_renamed(
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
_TF = (  # ruotianluo/pytorch-faster-rcnn, lib/nets
    *_COUNTERS,
    *_renamed(
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
        *_COUNTERS,
        Rule("pixel_{leaf}", reason="pixel mean and deviation are the preset's"),
        Rule(
            "proposal_generator.anchor_generator.{rest}",
            reason="anchors come from the configuration",
        ),
        Rule("roi_heads.mask_{rest}", reason="the mask head: boxes are detected here"),
        Rule(f"{bottom_up}.stem.conv1.norm.{{leaf}}", "{body}bn1.{leaf}"),
        Rule(f"{bottom_up}.stem.conv1.{{leaf}}", "{body}conv1.{leaf}"),
        *stages,
        *_renamed(
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


_D2_FPN = _d2(
    "backbone.bottom_up",
    *_d2_stage("backbone.bottom_up.res5", "{body}layer4"),
    *_renamed(
        {f"backbone.fpn_lateral{k}": f"backbone.fpn.inner_blocks.{k - 2}.0" for k in range(2, 6)}
    ),
    *_renamed(
        {f"backbone.fpn_output{k}": f"backbone.fpn.layer_blocks.{k - 2}.0" for k in range(2, 6)}
    ),
    *_renamed({"roi_heads.box_head.fc1": f"{HEAD}.fc6", "roi_heads.box_head.fc2": f"{HEAD}.fc7"}),
)
_D2_C4 = _d2("backbone", *_d2_stage("roi_heads.res5", "{layer4}layer4"))

_RESNET = (
    *_COUNTERS,
    Rule("fc.{leaf}", reason=CLASSIFIER),
    Rule("layer4.{rest}", "{layer4}layer4.{rest}"),
    Rule("{rest}", "{body}{rest}"),
)
_VGG16 = (
    Rule("features.{rest}", "{body}features.{rest}"),
    Rule("classifier.0.{leaf}", f"{HEAD}.fc6.{{leaf}}"),
    Rule("classifier.3.{leaf}", f"{HEAD}.fc7.{{leaf}}"),
    Rule("classifier.6.{leaf}", reason=CLASSIFIER),
)
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
        _HF_DETR,
        "detr",
        may_lack=MASK_HEAD,
    ),
    Source(
        "DETR with masks (Hugging Face)",
        ("detr.model.query_position_embeddings.weight", "detr.class_labels_classifier.weight"),
        _HF_SEGMENTATION,
        "detr",
    ),
    Source(
        "DETR with masks (facebookresearch)",
        ("detr.query_embed.weight", "mask_head.lay1.weight"),
        _SEGMENTATION,
        "detr",
    ),
    Source(
        "Ber0ton's Jittor DETR",
        ("query_embed.weight", "transformer.encoder.layers.0.self_attn.q_proj.weight"),
        _PORT,
        "detr",
        may_lack=MASK_HEAD,
    ),
    Source(
        "facebookresearch/detr",
        ("query_embed.weight", "transformer.encoder.layers.0.self_attn.in_proj_weight"),
        _CANONICAL,
        "detr",
        may_lack=MASK_HEAD,
    ),
    Source("trzy/FasterRCNN", (f"{_STAGE2}._rpn_conv1.weight",), _TRZY, "faster_rcnn"),
    Source(
        "chenyuntc/simple-faster-rcnn-pytorch",
        ("extractor.0.weight", "head.cls_loc.weight"),
        _SIMPLE,
        "faster_rcnn",
    ),
    Source(
        "ruotianluo/pytorch-faster-rcnn",
        ("rpn_cls_score_net.weight", "bbox_pred_net.weight"),
        _TF,
        "faster_rcnn",
    ),
    Source(
        "detectron2 R-CNN with FPN",
        ("backbone.bottom_up.stem.conv1.weight", "proposal_generator.rpn_head.conv.weight"),
        _D2_FPN,
        "faster_rcnn",
    ),
    Source(
        "detectron2 R-CNN C4",
        ("backbone.stem.conv1.weight", "proposal_generator.rpn_head.conv.weight"),
        _D2_C4,
        "faster_rcnn",
    ),
    Source(
        "torchvision fasterrcnn_resnet50_fpn_v2",
        ("rpn.head.conv.1.0.weight", "backbone.fpn.inner_blocks.0.1.weight"),
        (
            *_COUNTERS,
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
            *_COUNTERS,
            *_OPTIMISER,
            # as the published file has them: torchvision renamed them later
            Rule("backbone.fpn.{leaf}.{i}.0.{rest}", "backbone.fpn.{leaf}.{i}.0.{rest}"),
            Rule("backbone.fpn.{leaf}.{i}.{rest}", "backbone.fpn.{leaf}.{i}.0.{rest}"),
            Rule("rpn.head.conv.0.0.{leaf}", "rpn.head.conv.0.0.{leaf}"),
            Rule("rpn.head.conv.{leaf}", "rpn.head.conv.0.0.{leaf}"),
            *_same("{rest}"),
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
        _RESNET,
        fills=_RESNET_FILLS,
        channels="rgb",
        digests=tuple(_TORCHVISION_RESNETS.split()),
        not_layouts=JITTOR,
    ),
    Source(
        "caffe ResNet",
        RESNET_KEYS,
        _RESNET,
        fills=_RESNET_FILLS,
        channels="bgr",
        not_layouts=JITTOR,
    ),
    Source(
        "Jittor model zoo ResNet",
        RESNET_KEYS,
        _RESNET,
        fills=_RESNET_FILLS,
        channels="rgb",
        layouts=JITTOR,
    ),
    Source(
        "torchvision VGG16",
        VGG16_KEYS,
        _VGG16,
        fills=_VGG16_FILLS,
        channels="rgb",
        digests=("397923af",),
        not_layouts=JITTOR,
    ),
    Source(
        "caffe VGG16",
        VGG16_KEYS,
        _VGG16,
        fills=_VGG16_FILLS,
        channels="bgr",
        digests=("e6527a06abfac585939b8d50f235569a33190570",),
        not_layouts=JITTOR,
    ),
    Source(
        "Jittor model zoo VGG16",
        VGG16_KEYS,
        _VGG16,
        fills=_VGG16_FILLS,
        channels="rgb",
        layouts=JITTOR,
    ),
)
