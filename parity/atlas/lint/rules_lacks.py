"""What a port asks of Jittor's layers and arrays that only PyTorch's have: attributes, methods taken for numbers.

Before: a file, and the program that it is of. After: findings of name-missing. The table was read off the layers of the
installed Jittor 1.3.11 (`dir` of an instance, without what every Module has).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from parity.atlas.lint.code import FUNCTION_SPACES, Code
from parity.atlas.lint.finding import Finding
from parity.atlas.lint.kinds import LIST, MODULE, NUMPY, TORCH, TORCH_MODULE
from parity.atlas.lint.rules_names import OF_TORCH_MODULES, version
from parity.atlas.lint.rules_own import CALL
from parity.atlas.lint.rules_unset import OF_MODULES
from parity.atlas.lint.source import name_of

_CONV = "bias dilation groups in_channels kernel_size out_channels padding stride weight"
_NORM = "affine bias eps is_train momentum num_features running_mean running_var sync weight"
_RNN = (
    "batch_first bias bias_hh_l0 bias_ih_l0 bidirectional call_rnn_cell call_rnn_sequence dropout hidden_size "
    "input_size mode nonlinearity num_layers proj_size weight_hh_l0 weight_ih_l0"
)
LAYERS = {
    layer: set(names.split())
    for layer, names in {
        "Linear": "bias in_features out_features weight",
        "Embedding": "embedding_dim num_embeddings padding_idx weight",
        **dict.fromkeys(("Conv1d", "Conv2d", "Conv3d"), f"{_CONV} is_depthwise_conv"),
        "ConvTranspose2d": f"{_CONV} output_padding real_padding",
        **dict.fromkeys(("BatchNorm", "BatchNorm1d", "BatchNorm2d", "BatchNorm3d"), _NORM),
        "InstanceNorm2d": "affine bias eps is_train momentum num_features sync weight",
        "LayerNorm": "bias elementwise_affine eps normalized_shape weight",
        "GroupNorm": "affine bias eps num_channels num_groups weight",
        **dict.fromkeys(("Dropout", "Dropout2d"), "is_train p"),
        **dict.fromkeys(("MaxPool2d", "AvgPool2d"), "layer"),
        **dict.fromkeys(("ReLU", "ReLU6", "LeakyReLU", "GELU", "SiLU", "Softmax"), "args kw"),
        "PReLU": "num_parameters weight",
        **dict.fromkeys(("LSTM", "GRU", "RNN"), _RNN),
        **dict.fromkeys(
            ("LSTMCell", "GRUCell"), "bias bias_hh bias_ih hidden_size weight_hh weight_ih"
        ),
        "CrossEntropyLoss": "ignore_index weight",
        "L1Loss": "",
    }.items()
}
ONLY_TORCH = {  # of PyTorch's layers, and of nothing else
    *("_conv_forward", "flatten_parameters", "reset_running_stats", "track_running_stats"),
    *("num_batches_tracked", "_reversed_padding_repeated_twice", "_flat_weights"),
}


def of_layers(code: Code) -> Iterator[Finding]:
    """self.conv.padding_mode, embedding.bias, lstm.flatten_parameters(): told once an attribute."""
    told = set()
    for node in code.every(ast.Attribute):
        if not isinstance(node.ctx, ast.Load) or node.attr in told or is_given(code, node.attr):
            continue
        layer = lacking(code, node)
        if layer and not code.source.is_guarded(node):
            told.add(node.attr)
            message = f"a {layer} of Jittor {version()} has no {node.attr}"
            yield code.found(node, "name-missing", message)


def lacking(code: Code, node: ast.Attribute) -> str:
    """The layer that has no such attribute; "" where it has, or where nothing is known of it."""
    owner, name = code.of(node.value), node.attr
    if owner.kind in (TORCH, TORCH_MODULE, NUMPY) or name.startswith("__"):
        return ""
    if owner.kind == MODULE and owner.made in LAYERS and not owner.cls:
        held = LAYERS[owner.made] | OF_MODULES | OF_TORCH_MODULES.keys()
        return "" if name in held or name.startswith("_") else f"nn.{owner.made}"
    return "layer" if name in ONLY_TORCH and code.speaks_jittor(node) else ""


def is_given(code: Code, name: str) -> bool:
    """Whether the program sets or defines an attribute of this name on anything."""
    return any(name in other.attributes_set for other in code.files)


def sizes(code: Code) -> Iterator[Finding]:
    """x.size == 0 of a Var, where size is a method."""
    for node in code.every(ast.Attribute):
        parent = code.parent(node)
        number = isinstance(parent, ast.BinOp) or (
            isinstance(parent, ast.Compare)
            and not isinstance(parent.ops[0], (ast.Is, ast.IsNot, ast.In, ast.NotIn))
        )
        asked = number and node.attr in ("size", "numel", "dim") and isinstance(node.ctx, ast.Load)
        if asked and is_array(code, node.value) and not code.source.is_guarded(node):
            message = f"{node.attr} is a method of a Var: x.{'numel' if node.attr == 'size' else node.attr}()"
            yield code.found(node, "name-missing", message)


OF_ARRAYS = {  # what arrays of PyTorch's or Jittor's are asked for, and nothing else is
    *("expand_as", "unsqueeze", "squeeze", "permute", "fill_", "zero_", "stop_grad", "masked_fill"),
    *("index_select", "clamp", "float32", "view_as", "expand", "unsqueeze_"),
}


def of_arrays(code: Code) -> Iterator[Finding]:
    """self.label.requires_grad_(False), x.device, where the class or the function asks the same for expand_as()."""
    for node in code.every(ast.Attribute):
        asked = node.attr in ("requires_grad_", "device", "is_cuda", "grad_fn")
        asked = asked and isinstance(node.ctx, ast.Load) and not is_given(code, node.attr)
        owner = node.value
        unknown = not code.of(owner).kind and isinstance(owner, (ast.Name, ast.Attribute))
        if not asked or not unknown or not code.speaks_jittor(node):
            continue
        if is_asked_as_array(code, owner) and not code.source.is_guarded(node):
            yield code.found(node, "name-missing", f"a Var has no {node.attr}")


def of_lists(code: Code) -> Iterator[Finding]:
    """x.unsqueeze(1) of a list, by what a function makes or is given."""
    for node in code.every(ast.Attribute):
        asked = node.attr in OF_ARRAYS | {"equal", "shape", "view", "reshape", "numpy"}
        if not asked or code.of(node.value).kind != LIST or not isinstance(node.ctx, ast.Load):
            continue
        if not code.source.is_guarded(node) and not is_asked_for(code, node.value):
            yield code.found(node, CALL, f"a list has no {node.attr}: jt.array(...) first")


def is_asked_for(code: Code, owner: ast.AST) -> bool:
    """Whether the function asks what kind of thing it has: isinstance(x, list), type(x)."""
    text = ast.unparse(owner)
    return any(
        isinstance(n, ast.Call)
        and name_of(n.func) in ("isinstance", "type")
        and n.args
        and ast.unparse(n.args[0]) == text
        for n in code.within(code.source.scope(owner))
    )


def is_asked_as_array(code: Code, owner: ast.AST) -> bool:
    kinds = (ast.ClassDef,) if isinstance(owner, ast.Attribute) else (ast.FunctionDef,)
    scope, text = code.source.enclosing(owner, kinds), ast.unparse(owner)
    return scope is not None and any(
        isinstance(n, ast.Attribute) and n.attr in OF_ARRAYS and ast.unparse(n.value) == text
        for n in code.within(scope)
    )


def is_array(code: Code, node: ast.AST) -> bool:
    """A Var; or what Jittor's functions are given by the function around, and NumPy's not."""
    if code.is_var(node):
        return True
    if code.of(node).kind or not isinstance(node, ast.Name) or not code.speaks_jittor(node):
        return False
    for call in code.within(code.source.scope(node)):
        path = code.source.dotted(call.func) if isinstance(call, ast.Call) else ""
        space, _, name = path.rpartition(".")
        takes = space in FUNCTION_SPACES and name not in ("array", "Var", "save")
        if takes and any(name_of(a) == node.id for a in call.args if isinstance(a, ast.Name)):
            return True
    return False


RULES = (of_layers, of_arrays, of_lists, sizes)
