"""What a call gives."""

from __future__ import annotations

import ast

from parity.atlas.lint.kinds import (
    DICT,
    JITTOR_METHODS,
    LIST,
    MAKERS,
    MODULE,
    NOT_A_VAR,
    NOTHING,
    NUMBER,
    NUMPY,
    OPTIMISER,
    PARAMETER,
    RESULTS,
    SCHEDULER,
    SHAPE,
    STR,
    TO_ARRAY,
    TORCH,
    TORCH_MODULE,
    TUPLE,
    VAR,
    Value,
)
from parity.atlas.lint.source import Source, keyword

BUILTINS = {
    **{
        "len": NUMBER,
        "int": NUMBER,
        "float": NUMBER,
        "bool": NUMBER,
        "round": NUMBER,
        "ord": NUMBER,
    },
    **{"str": STR, "repr": STR, "dict": DICT, "list": LIST, "sorted": LIST, "isinstance": NUMBER},
}
OF_A_MODULE = {
    "parameters": Value(LIST, element=Value(PARAMETER)),
    "named_parameters": Value(LIST, element=Value(TUPLE, items=(Value(STR), Value(PARAMETER)))),
    "modules": Value(LIST, element=Value(MODULE)),
    "children": Value(LIST, element=Value(MODULE)),
    "named_modules": Value(LIST, element=Value(TUPLE, items=(Value(STR), Value(MODULE)))),
    "state_dict": Value(DICT, element=Value(STR), items=(Value(PARAMETER),)),
}
NUMPY_PACKAGES = ("numpy", "scipy", "cv2", "cupy")


def result_of_call(source: Source, node: ast.Call, owner: Value, arguments: list[Value]) -> Value:
    """From what is called, what it is called on, and with what."""
    path = source.dotted(node.func)
    first = path.split(".")[0]
    if first == "jittor":
        return of_jittor(path, node, arguments)
    if first in ("torch", "torchvision"):
        return Value(TORCH_MODULE if ".nn." in path and path.split(".")[-1][0].isupper() else TORCH)
    if first in NUMPY_PACKAGES:
        return Value(NUMPY)
    if path:
        return NOTHING
    if isinstance(node.func, ast.Name):
        return of_builtin(node.func.id, arguments)
    if isinstance(node.func, ast.Attribute):
        return of_method(node, owner, source)
    return NOTHING


def of_jittor(path: str, node: ast.Call, arguments: list[Value]) -> Value:
    parts = path.split(".")
    name = parts[-1]
    if name in ("SGD", "Adam", "AdamW", "RMSprop", "Adan", "AdaBelief"):
        return Value(OPTIMISER)
    if name.endswith("LR") or name.startswith("ReduceLR"):
        return Value(SCHEDULER, made=name)
    if "models" in parts[:-1] or (parts[1] == "nn" and name[0].isupper() and name != "Parameter"):
        return Value(MODULE, made=name)
    if parts[1] == "transform":
        return of_transform(name, arguments)
    if parts[1] in ("dataset", "distributions", "utils", "compiler", "flags"):
        return NOTHING
    if (
        name in NOT_A_VAR
        or name[0] == "_"
        or (name[0].isupper() and name not in ("Var", "Parameter"))
    ):
        return NOTHING
    if name in ("argmax", "argmin") and len(node.args) < 2 and not keyword(node, "dim"):
        return NOTHING
    if name == "where" and len(node.args) == 1:
        return Value(LIST, element=Value(VAR))
    if name in RESULTS:
        return RESULTS[name]
    return Value(VAR, axes=axes_made(name, node), dtype="bool" if makes_bool(node) else "")


def of_transform(name: str, arguments: list[Value]) -> Value:
    """ToTensor(), Compose([..., ToTensor()]) and to_tensor(image)."""
    if name in ("to_tensor", "pil_to_tensor"):
        if arguments and arguments[0].kind == VAR:
            return arguments[0]  # a Var comes back as it is
        return Value(NUMPY, made="to_tensor(...)")
    steps = arguments[0].items if name == "Compose" and arguments else ()
    if name == "ToTensor" or any(step.kind == TO_ARRAY for step in steps):
        return Value(TO_ARRAY)
    return NOTHING


JOINERS = {"concat", "cat", "stack"}  # whose list is of arrays, not a shape


def axes_made(name: str, node: ast.Call) -> int | None:
    """Of jt.zeros((2, 3)), jt.zeros(2, 3) and the like."""
    if name not in MAKERS - JOINERS or not node.args:
        return None
    shape = node.args[0]
    if isinstance(shape, (ast.Tuple, ast.List)):
        nested = shape.elts and isinstance(shape.elts[0], (ast.List, ast.Tuple))
        if name in ("array", "Var", "float32", "tensor"):
            return 2 if nested else 1
        return len(shape.elts)
    numbers = name in ("zeros", "ones", "rand", "randn", "empty")
    several = all(isinstance(a, (ast.Constant, ast.Name, ast.BinOp)) for a in node.args)
    return len(node.args) if numbers and several and len(node.args) > 1 else None


def makes_bool(node: ast.Call) -> bool:
    given = keyword(node, "dtype")
    named = [given.value] if given else node.args[1:2]
    for value in named:
        text = value.value if isinstance(value, ast.Constant) else ast.unparse(value).split(".")[-1]
        if text in ("bool", "bool_"):
            return True
    return False


def of_builtin(name: str, arguments: list[Value]) -> Value:
    inner = arguments[0] if arguments else NOTHING
    element = inner.element
    if name in BUILTINS:
        return Value(BUILTINS[name], element=element if name in ("list", "sorted") else None)
    if name == "range":
        return Value(LIST, element=Value(NUMBER))
    if name == "enumerate":
        return Value(LIST, element=Value(TUPLE, items=(Value(NUMBER), element or NOTHING)))
    if name == "zip":
        parts = tuple(a.element or (Value(a.kind) if a.kind == VAR else NOTHING) for a in arguments)
        return Value(LIST, element=Value(TUPLE, items=parts))
    if name in ("tuple", "reversed"):
        return Value(TUPLE, element=element)
    return NOTHING


def of_method(node: ast.Call, owner: Value, source: Source) -> Value:
    name = node.func.attr
    if owner.kind in ("", MODULE) and name in OF_A_MODULE:
        return OF_A_MODULE[name] if not source.uses_torch or owner.kind else NOTHING
    if owner.kind == DICT and name in ("items", "values", "keys") and owner.items:
        value = owner.items[0]
        items = Value(TUPLE, items=(Value(STR), value))
        return Value(LIST, element={"items": items, "values": value, "keys": Value(STR)}[name])
    if owner.kind in (NUMPY, TORCH):
        return Value(
            NUMPY if name in ("numpy", "data") else LIST if name == "tolist" else owner.kind
        )
    if owner.kind == STR:
        return Value(LIST if name in ("split", "splitlines") else STR)
    if owner.kind in (VAR, PARAMETER):
        return of_var(name, node, owner)
    if owner.kind == "":
        if name in ("numpy", "asnumpy"):
            return Value(NUMPY)
        if name in JITTOR_METHODS and not source.uses_torch:
            return Value(VAR)
        if name in ("item", "numel"):
            return Value(NUMBER)
        by_axis = node.args or keyword(node, "dim")
        if name in ("argmax", "argmin", "argsort") and by_axis and not source.uses_torch:
            return Value("", items=RESULTS[name].items)  # perhaps a pair
    return NOTHING


def of_var(name: str, node: ast.Call, owner: Value) -> Value:
    if name in ("argmax", "argmin") and not node.args and not keyword(node, "dim"):
        return NOTHING
    if name == "size":
        return Value(NUMBER if node.args else SHAPE)
    if name in RESULTS:
        return RESULTS[name]
    kept = owner.dtype if name in KEEP_DTYPE else ""
    if name in ("cast", "astype", "to") and node.args and "bool" in ast.unparse(node.args[0]):
        kept = "bool"
    return Value(VAR, dtype=kept, view=name in VIEWS, axes=2 if name == "t" else None)


VIEWS = {
    *("view", "reshape", "flatten", "transpose", "permute", "unsqueeze", "squeeze", "detach", "t")
}
KEEP_DTYPE = VIEWS | {"clone", "copy", "expand", "repeat", "broadcast", "flip", "contiguous"}
