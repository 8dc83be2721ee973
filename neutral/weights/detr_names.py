"""Tables of renames for DETR: Hugging Face's names, those of the mask heads, and a Jittor port's.

Canonical names are those of facebookresearch/detr. Read rules.py first.
"""

from __future__ import annotations

from dataclasses import replace

from neutral.parameters import MASK_HEAD
from neutral.weights.rules import COUNTERS, OPTIMISER, Rule, same, split_attention

# Hugging Face DETR: names of transformers 5 first, then those that older files have


def _hf_layers(
    side: str, attentions: dict[str, tuple[str, str]], last_norm: str
) -> tuple[Rule, ...]:
    """`attentions`: their name -> (ours, our norm behind it)."""
    theirs, ours = f"model.{side}.layers.{{i}}", f"transformer.{side}.layers.{{i}}"
    rules: tuple[Rule, ...] = ()
    for name, (our_name, norm) in attentions.items():
        rules += split_attention(f"{theirs}.{name}", f"{ours}.{our_name}", ("o_proj", "out_proj"))
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


HF_DETR = (
    *COUNTERS,
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

_MASKS = same(*(f"{prefix}{{rest}}" for prefix in MASK_HEAD))
# with a mask head, the detector is a part of the model and its names begin with "detr."
HF_SEGMENTATION = (
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
    *(replace(r, theirs=f"detr.{r.theirs}") for r in HF_DETR),
)
SEGMENTATION = (*COUNTERS, *OPTIMISER, *_MASKS, Rule("detr.{rest}", "{rest}"))

PORT = (  # Ber0ton/DETR-Jittor-and-Pytorch, DETR-Jittor/models
    *COUNTERS,
    *split_attention("transformer.{rest}.self_attn", "transformer.{rest}.self_attn"),
    *split_attention("transformer.{rest}.multihead_attn", "transformer.{rest}.multihead_attn"),
    Rule("backbone.0.body.body.{rest}", "{body}{rest}"),
    *same("{rest}"),
)
