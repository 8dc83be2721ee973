"""Names and shapes worked out without a framework are those of the models."""

from __future__ import annotations

import pytest

from neutral.config import PRESETS, preset, with_overrides
from neutral.weights.layout import canonical_shapes, class_heads

pytest.importorskip("torch")
from torch_impl.session import Session

VARIANTS = (
    ("scenes_detr", ("model.transformer.pre_norm=true", "model.position.kind=learned")),
    (
        "scenes_frcnn",
        (
            "model.roi.head=layer4",
            "model.fpn.channels=0",
            "model.rpn.channels=24",
            "model.rpn.anchors.sizes=1,2",
        ),
    ),
    ("scenes_frcnn", ("model.rpn.scores=softmax", "model.roi.background_slot=false")),
)


@pytest.mark.parametrize(("name", "changes"), [*((n, ()) for n in PRESETS), *VARIANTS])
def test_layout_is_the_models(name, changes):
    config = with_overrides(preset(name), list(changes))
    shapes = canonical_shapes(config)
    assert shapes == Session(config).shapes()
    assert any(key.startswith(class_heads(config)) for key in shapes)
