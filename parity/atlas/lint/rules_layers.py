"""Layers and losses: other defaults, other pixels, other arguments."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from parity.atlas.lint.code import Code
from parity.atlas.lint.finding import Finding, argument, renamed
from parity.atlas.lint.source import constant, keyword, says

ACTIVATIONS = {"ReLU", "Relu", "ReLU6", "LeakyReLU", "Leaky_relu", "GELU", "SiLU", "Mish"}
ACTIVATION_WORDS = {"inplace", "negative_slope", "approximate"}
INSTANCE_NORMS = ("InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d", "InstanceNorm")


def resizing(code: Code) -> Iterator[Finding]:
    for o in code.named("interpolate", "resize"):
        if o.is_method or says(o.call, "mode") or len(o.given) >= 3:
            continue
        if o.name == "interpolate":
            message = "interpolate is bilinear by default, not nearest: say mode="
            edit = argument(o.call, "mode='nearest'")
            yield code.found(o.call, "interpolate-default", message, edit)


def softmax(code: Code) -> Iterator[Finding]:
    for o in code.named("softmax", "log_softmax"):
        without = not o.given and not o.call.keywords
        if without and (o.sure or not o.is_method):
            message = f"{o.name} without an axis runs over all elements"
            yield code.found(o.call, "softmax-axis", message)


def suppression(code: Code) -> Iterator[Finding]:
    for call in code.every(ast.Call):
        if code.source.dotted(call.func) in ("jittor.nms", "jittor.misc.nms"):
            yield code.found(call, "nms-offset", "jt.nms counts pixels with +1")


def constructors(code: Code) -> Iterator[Finding]:
    for call in code.every(ast.Call):
        path = code.source.dotted(call.func)
        if not path.startswith("jittor."):
            continue
        name = path.rpartition(".")[2]
        if name in ("Conv2d", "Conv1d", "Conv") and same_padding(call):
            yield code.found(call, "conv-same", "padding='same' is not supported")
        if name == "Embedding" and constant(value_of(call, 2, "padding_idx")) is not None:
            message = "the row of padding_idx gets gradients: zero them, or the row after each step"
            yield code.found(call, "embedding-padding", message)
        if name in INSTANCE_NORMS and not says(call, "affine") and len(call.args) < 4:
            message = "InstanceNorm has weight and bias by default, PyTorch's has none: say affine="
            yield code.found(call, "instance-norm-affine", message, argument(call, "affine=False"))
        if name == "CrossEntropyLoss" and says(call, "label_smoothing"):
            message = "label_smoothing is unknown: smooth the targets by hand"
            yield code.found(call, "cross-entropy-smoothing", message)
        wrong = [k for k in call.keywords if k.arg in ACTIVATION_WORDS]
        if name in ACTIVATIONS and wrong:
            edits = [renamed(k, "scale") for k in wrong if k.arg == "negative_slope"]
            message = f"{name} knows no {wrong[0].arg}="
            yield code.found(call, "keyword-unknown", message, *edits)


def value_of(call: ast.Call, place: int, name: str) -> ast.AST | None:
    if len(call.args) > place:
        return call.args[place]
    found = keyword(call, name)
    return found.value if found else None


def same_padding(call: ast.Call) -> bool:
    return constant(value_of(call, 4, "padding")) == "same"


RULES = (resizing, softmax, suppression, constructors)
