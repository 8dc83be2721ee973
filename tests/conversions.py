"""What the tests of conversion share: small detectors with drawn weights, and the ways there and back."""

from __future__ import annotations

import re

import numpy as np
import torchvision

from neutral.config import preset, with_overrides
from neutral.weights.conversion import convert
from neutral.weights.layout import canonical_shapes
from neutral.weights.proof import prove
from neutral.weights.recognising import OWN, named_source
from neutral.weights.stored import in_memory
from parity.engine.judge.weights import drawn_weights

SMALL_DETR = (
    "model.backbone.name=resnet18",
    "model.transformer.encoder_layers=2",
    "model.transformer.decoder_layers=2",
    "model.transformer.hidden_dim=64",
    "model.transformer.feedforward_dim=96",
)
NARROW = ("model.roi.hidden=64",)


def small_detr(*more: str):
    return with_overrides(preset("detr_r50"), [*SMALL_DETR, *more])


def drawn(config, seed: int = 0) -> dict[str, np.ndarray]:
    """Canonical weights, no two tensors alike."""
    shapes = canonical_shapes(config)
    return drawn_weights(shapes, f"{seed}/")


def arrive(theirs: dict, ours: dict, config, name: str, layout: str | None = None, **options):
    """Converts `theirs` and checks that `ours` come out, the proof included; returns the conversion."""
    checkpoint = in_memory("file.pth", theirs)
    checkpoint.layout = layout or checkpoint.layout
    conversion = convert(checkpoint, config, **options)
    assert conversion.source.name == name
    for key, wanted in ours.items():
        assert np.array_equal(conversion.array(key), wanted), key
    proof = prove(conversion)
    assert set(proof["used"]) | set(proof["left_out"]) == set(theirs)
    assert proof["elements"]["used"] == proof["elements"]["filled"]
    return conversion


def there_and_back(config, name: str, ours: dict) -> None:
    """Exported under another system's names and imported again, through a file."""
    source = named_source(name)
    made = convert(in_memory("own", ours), config, OWN).items(source)
    theirs = {item.name: item.fetch() for item in made}
    assert len(theirs) == len(made), "two tensors of one name"
    again = convert(in_memory("theirs", theirs), config, source)
    assert all(np.array_equal(again.array(k), v) for k, v in ours.items())


def resnet_state(depth: str = "resnet18") -> dict[str, np.ndarray]:
    model = getattr(torchvision.models, depth)(weights=None)
    return {k: v.numpy() for k, v in model.state_dict().items() if "num_batches" not in k}


# DETR


def split_names(key: str) -> list[str]:
    """Names of the three projections that a fused one becomes; otherwise the name itself."""
    found = re.match(r"(.*)\.in_proj_(weight|bias)$", key)
    return [f"{found[1]}.{p}_proj.{found[2]}" for p in "qkv"] if found else [key]


def split(weights: dict, rename) -> dict:
    return {
        rename(name): part
        for key, values in weights.items()
        for names in [split_names(key)]
        for name, part in zip(names, np.split(values, len(names)), strict=True)
    }


def old_hugging_face(name: str) -> str:
    """transformers 4 with timm's backbone."""
    layer = r"transformer\.(\w+)\.layers\.(\d+)\."
    for pattern, replacement in (
        (r"backbone\.0\.body\.", "model.backbone.conv_encoder.model."),
        (layer + r"multihead_attn", r"model.\1.layers.\2.encoder_attn"),
        (layer + r"linear(\d)", r"model.\1.layers.\2.fc\3"),
        (layer + r"norm1", r"model.\1.layers.\2.self_attn_layer_norm"),
        (
            r"transformer\.encoder\.layers\.(\d+)\.norm2",
            r"model.encoder.layers.\1.final_layer_norm",
        ),
        (
            r"transformer\.decoder\.layers\.(\d+)\.norm2",
            r"model.decoder.layers.\1.encoder_attn_layer_norm",
        ),
        (
            r"transformer\.decoder\.layers\.(\d+)\.norm3",
            r"model.decoder.layers.\1.final_layer_norm",
        ),
        (r"transformer\.decoder\.norm", "model.decoder.layernorm"),
        (r"transformer\.", "model."),
        (r"class_embed", "class_labels_classifier"),
        (r"bbox_embed", "bbox_predictor"),
        (r"query_embed", "model.query_position_embeddings"),
        (r"input_proj\.", "model.input_projection."),
    ):
        name = re.sub("^" + pattern, replacement, name)
    return name
