"""Layers and losses: other defaults, other pixels, other arguments."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from parity.atlas.lint.code import Code
from parity.atlas.lint.finding import HINT, WARNING, Finding, argument, instead, renamed
from parity.atlas.lint.kinds import LIST, TORCH, TORCH_MODULE
from parity.atlas.lint.source import FUNCTIONS, constant, name_of, says, value_of

ACTIVATIONS = {"ReLU", "Relu", "ReLU6", "LeakyReLU", "Leaky_relu", "GELU", "SiLU", "Mish"}
ACTIVATION_WORDS = {"inplace", "negative_slope", "approximate"}
SELECTS = re.compile(
    r"mask|label|target|(^|_|\b)(seg|gt|index|indices|classes|ids)(_|\b)", re.IGNORECASE
)
TAKEN = {  # arguments of layers that are made of functions: what is more raises when they are called
    **dict.fromkeys(("ReLU", "Relu", "ReLU6", "GELU", "SiLU", "Sigmoid", "Tanh"), 0),
    **dict.fromkeys(("LeakyReLU", "Leaky_relu"), 1),
}
INSTANCE_NORMS = ("InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d", "InstanceNorm")


def resizing(code: Code) -> Iterator[Finding]:
    for o in code.named("interpolate", "resize"):
        if o.is_method or says(o.call, "mode") or len(o.given) >= 3:
            continue
        if o.name == "interpolate":
            message = "interpolate is bilinear by default, not nearest: say mode="
            edit = argument(o.call, "mode='nearest'")
            level = (
                WARNING if is_selection(code, o.call) else HINT
            )  # what the reference says, who knows
            yield code.found(o.call, "interpolate-default", message, edit, level=level)


def is_selection(code: Code, call: ast.Call) -> bool:
    """Of masks, labels or indices, by the name of what is resized or by what becomes of it: none of it may be mixed."""
    around = code.parent(call)
    asked = around.attr if isinstance(around, ast.Attribute) else ""
    asked = asked or ("compared" if isinstance(around, ast.Compare) else "")
    words = " ".join(name_of(n) for a in call.args[:1] for n in ast.walk(a))
    return asked in ("bool", "compared", "int32", "int64", "long") or bool(SELECTS.search(words))


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
        padding = value_of(call, 2, "padding_idx") if name == "Embedding" else None
        if isinstance(padding, ast.Attribute) or constant(padding) is not None:
            message = "the row of padding_idx gets gradients: zero them, or the row after each step"
            yield code.found(call, "embedding-padding", message)
        if name in INSTANCE_NORMS and not says(call, "affine") and len(call.args) < 4:
            message = "InstanceNorm has weight and bias by default, PyTorch's has none: say affine="
            yield code.found(call, "instance-norm-affine", message, argument(call, "affine=False"))
        if name == "CrossEntropyLoss" and says(call, "label_smoothing"):
            message = "label_smoothing is unknown: smooth the targets by hand"
            yield code.found(call, "cross-entropy-smoothing", message)
        more = call.args[TAKEN.get(name, len(call.args)) :]
        if more and all(constant(a) is not None for a in more):
            message = f"{name} takes {TAKEN[name] or 'no'} argument{'' if TAKEN[name] else 's'}: inplace is unknown"
            kept = ", ".join(ast.unparse(a) for a in call.args[: TAKEN[name]])
            edit = instead(call, f"{ast.unparse(call.func)}({kept})")
            yield code.found(call, "keyword-unknown", message, edit)
            continue
        wrong = [k for k in call.keywords if k.arg in ACTIVATION_WORDS]
        if name in ACTIVATIONS and wrong:
            edits = [renamed(k, "scale") for k in wrong if k.arg == "negative_slope"]
            message = f"{name} knows no {wrong[0].arg}="
            yield code.found(call, "keyword-unknown", message, *edits)


def corners(code: Code) -> Iterator[Finding]:
    """UpsamplingBilinear2d, which aligns corners in PyTorch and not here."""
    for call in code.every(ast.Call):
        if code.source.dotted(call.func) != "jittor.nn.UpsamplingBilinear2d":
            continue
        edits = []
        if isinstance(call.func, ast.Attribute):
            name = f"{ast.unparse(call.func.value)}.Upsample"
            more = argument(call, "mode='bilinear', align_corners=True")
            edits = [instead(call.func, name), more]
        message = "PyTorch's UpsamplingBilinear2d aligns corners, this one does not: Upsample(...)"
        yield code.found(call, "upsampling-corners", message, *edits)


TUPLES = {  # windows, which must be numbers or tuples
    **dict.fromkeys(("Conv", "Conv1d", "Conv2d", "Conv3d"), 2),
    **dict.fromkeys(("ConvTranspose", "ConvTranspose2d", "ConvTranspose3d"), 2),
    **dict.fromkeys(("Pool", "AvgPool2d", "MaxPool2d", "Pool3d", "AvgPool3d", "MaxPool3d"), 0),
    **dict.fromkeys(("pool2d", "avg_pool2d", "max_pool2d", "pool3d", "max_pool3d"), 1),
}
WINDOWS = ("kernel_size", "stride", "padding", "dilation", "output_padding")


def windows(code: Code) -> Iterator[Finding]:
    """Lists as kernel sizes, strides and paddings."""
    for call in code.every(ast.Call):
        names = [p.rpartition(".")[2] for p in code.called(call) if p.startswith("jittor.")]
        places = [TUPLES[name] for name in names if name in TUPLES]
        if not places or code.source.is_guarded(call):
            continue
        given = call.args[places[0] : places[0] + 3]
        given += [k.value for k in call.keywords if k.arg in WINDOWS]
        lists = [g for g in given if code.of(g).kind == LIST]
        if lists:
            text = ast.unparse(lists[0])
            message = f"{names[0]} refuses a list: {text} as a tuple"
            edit = instead(lists[0], f"tuple({text})")
            yield code.found(call, "conv-kernel-list", message, edit)


def squeezed(code: Code) -> Iterator[Finding]:
    """for d in range(...): x = x.squeeze(d), which raises at the first axis that is not 1."""
    for o in code.named("squeeze"):
        axis = o.at(0, "dim")
        loop = code.source.enclosing(o.call, (ast.For, *FUNCTIONS))
        if not isinstance(axis, ast.Name) or not isinstance(loop, ast.For):
            continue
        counted = isinstance(loop.iter, ast.Call) and name_of(loop.iter.func) == "range"
        own = isinstance(loop.target, ast.Name) and loop.target.id == axis.id
        guard = code.source.enclosing(o.call, (ast.If, ast.For))
        if counted and own and guard is loop:
            message = "squeeze of an axis that is not 1 raises, PyTorch's does nothing"
            yield code.found(o.call, "squeeze-not-one", message)


def whole_pools(code: Code) -> Iterator[Finding]:
    """nn.avg_pool2d(x, x.shape[2:]): a window as large as the picture."""
    for o in code.named("pool", "pool2d", "avg_pool2d", "max_pool2d"):
        window = o.at(0, "kernel_size")
        if o.is_method or window is None or o.x is None or says(o.call, "padding"):
            continue
        x, text = re.escape(ast.unparse(o.x)), ast.unparse(window)
        if re.fullmatch(
            rf"{x}\.(shape|size\(\))\[(2|3|-1|-2|2:|-2:)\]|{x}\.size\((2|3|-1|-2)\)", text
        ):
            message = f"a window as large as the picture is refused: {ast.unparse(o.x)}.mean((2, 3), keepdims=True)"
            yield code.found(o.call, "max-pool-whole", message)


HOOKS = {"register_forward_hook", "register_pre_forward_hook", "register_backward_hook"}


def hooks(code: Code) -> Iterator[Finding]:
    """handle = m.register_forward_hook(...), handles.append(m.register_...(...)): there is no handle. A hint where
    nobody takes a hook away."""
    taken = any("remove" in other.names for other in code.files)
    level = WARNING if taken else HINT
    for call in code.every(ast.Call):
        named = isinstance(call.func, ast.Attribute) and call.func.attr in HOOKS
        if not named or isinstance(code.parent(call), ast.Expr) or not code.speaks_jittor(call):
            continue
        if code.of(call.func.value).kind not in (TORCH, TORCH_MODULE):
            removal = call.func.attr.replace("register", "remove")
            message = f"{call.func.attr} returns nothing: module.{removal}() takes it away"
            yield code.found(call, "hook-handle", message, level=level)


def same_padding(call: ast.Call) -> bool:
    return constant(value_of(call, 4, "padding")) == "same"


def drawn(code: Code) -> Iterator[Finding]:
    """for p in net.parameters(): jt.init.gauss_(p), where the program has batch norms."""
    texts = code.program.texts.values()
    if not any(re.search(r"\bBatchNorm", text) for text in texts):
        return
    for loop in code.every(ast.For):
        over = loop.iter if isinstance(loop.iter, ast.Call) else None
        name = loop.target.id if isinstance(loop.target, ast.Name) else ""
        if name_of(getattr(over, "func", None)) != "parameters" or not name:
            continue
        for statement in loop.body:
            call = statement.value if isinstance(statement, ast.Expr) else None
            path = code.source.dotted(call.func) if isinstance(call, ast.Call) else ""
            given = path.startswith("jittor.init.") and call.args and name_of(call.args[0]) == name
            if given and path.endswith("_"):
                message = "parameters() holds the running statistics of batch norms as well"
                yield code.found(call, "batch-norm-parameters", message)


RULES = (
    drawn,
    resizing,
    softmax,
    suppression,
    constructors,
    corners,
    windows,
    whole_pools,
    squeezed,
    hooks,
)
