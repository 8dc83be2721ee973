"""Names and keywords that Jittor does not have, from what was found in the installed package (namesakes.json)."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache

from parity.atlas.lint.code import Code, Operation
from parity.atlas.lint.finding import Finding, renamed
from parity.atlas.lint.kinds import MODULE, NOTHING, OF_OTHERS, PARAMETER, VAR
from parity.atlas.lint.source import constant, name_of
from parity.atlas.namesakes import canonical, read_namesakes

ENTRIES = {"cdist": "cdist", "label_smoothing": "cross-entropy-smoothing"}
TENSOR_ONLY = {  # methods of a tensor that nothing else has: told even where nothing is known of their owner
    *("masked_select", "masked_scatter", "new_tensor", "scatter_add", "nan_to_num", "movedim"),
    *("unflatten", "narrow", "clamp_min", "clamp_max", "clamp_min_", "zero_grad_", "diagonal"),
    *("is_floating_point", "data_ptr", "sigmoid_backward", "cummax", "cummin", "bincount"),
    *("mm", "bmm", "addmm", "addmv", "baddbmm", "pinverse", "renorm", "logit", "lerp", "expm1"),
    *("byte", "char", "index_fill", "index_add", "index_copy", "index_put", "log1p", "log10"),
    *("amax", "amin", "nansum", "nanmean", "erfc", "lgamma", "fmod", "remainder", "multinomial"),
    *("take_along_dim", "unique_consecutive", "tensor_split", "sum_to_size", "reshape_as"),
    *("resize_as", "is_contiguous", "nelement", "element_size", "broadcast_to", "bernoulli"),
    *("count_nonzero", "logaddexp", "logcumsumexp", "diag_embed", "pin_memory", "get_device"),
    *("true_divide", "swapdims", "repeat_interleave_", "sub_", "masked_scatter_"),
}
ELSEWHERE = {  # in place, and methods of other things as well
    *("requires_grad_", "share_memory_", "apply_", "set_", "put_", "fix_", "log_", "resize_"),
}
ATTRIBUTES = {"device", "is_cuda", "is_leaf", "grad_fn", "mT", "H", "is_sparse", "itemsize"}


@cache
def known() -> dict:
    return read_namesakes()


def missing_names(code: Code) -> Iterator[Finding]:
    """jt.cdist, nn.ModuleDict, from jittor import X: what the package does not have. Imports are told once."""
    spaces = known()["names"]
    imported = set(code.patched)
    for node in code.every(ast.Import, ast.ImportFrom):
        level = getattr(node, "level", 0)
        base = f"{node.module}." if isinstance(node, ast.ImportFrom) and not level else ""
        for alias in node.names:
            missing = "" if level else first_missing(base + alias.name, spaces)
            if missing:
                imported.add(missing)
                if not code.source.is_guarded(node):
                    yield told(code, node, missing)
    for node in code.every(ast.Attribute, ast.Name):
        inner = isinstance(code.parent(node), ast.Attribute)
        if inner or not isinstance(node.ctx, ast.Load):
            continue
        missing = first_missing(code.source.dotted(node), spaces)
        if missing and missing not in imported and not code.source.is_guarded(node):
            yield told(code, node, missing)


def told(code: Code, node: ast.AST, missing: str) -> Finding:
    entry = ENTRIES.get(missing.rpartition(".")[2], "name-missing")
    return code.found(node, entry, f"there is no {missing} in Jittor {version()}")


def first_missing(path: str, spaces: dict[str, list[str]]) -> str:
    """ "jittor.nn.Foo" of "jittor.nn.Foo.bar" when nn is known and has no Foo."""
    parts = path.split(".")
    if parts[0] != "jittor":
        return ""
    for depth in range(1, len(parts)):
        space = ".".join(parts[:depth])
        if space not in spaces:
            return ""
        if parts[depth].startswith("_") or parts[depth] == "*":
            return ""
        if parts[depth] not in spaces[space]:
            return ".".join(parts[: depth + 1])
    return ""


def version() -> str:
    return known()["versions"]["Jittor"].rsplit(".", 1)[0]


def missing_methods(code: Code) -> Iterator[Finding]:
    lacking = set(known()["spaces"]["torch.Tensor"]["missing"])
    alone = TENSOR_ONLY | {n for n in lacking if n.endswith("_")} - ELSEWHERE
    alone -= {n.name for n in code.every(ast.FunctionDef)}  # and methods of the port's own
    for o in code.operations:
        if not o.is_method or is_patched(code, o.name) or code.source.is_guarded(o.call):
            continue
        if is_lacking(code, o):
            yield code.found(o.call, "name-missing", f"a Var has no method {o.name}")
            continue
        if o.name not in lacking:
            continue
        if o.name in alone:
            yield code.found(o.call, "name-missing", f"a Var has no method {o.name}")


def is_lacking(code: Code, o: Operation) -> bool:
    """Whether a Var is asked for what it never has; with MPI it has some more."""
    known_var = code.of(o.x).kind in (VAR, PARAMETER)
    if code.of(o.x).kind == VAR and o.name in OF_OTHERS:
        return False  # of a module, or of a dictionary: what it is was guessed wrong
    return known_var and o.name not in known()["names"]["jittor.Var"] and o.name[:4] != "mpi_"


OF_TORCH_MODULES = {  # methods of PyTorch's modules that Jittor's have not, with entries of their own
    **{"to": "module-to", "zero_grad": "zero-grad-method"},
    **dict.fromkeys(("cpu", "float", "double", "type", "buffers", "to_empty"), "name-missing"),
    **dict.fromkeys(("register_parameter", "get_parameter", "get_submodule"), "name-missing"),
    **dict.fromkeys(("register_forward_pre_hook", "share_memory"), "name-missing"),
    "register_full_backward_hook": "name-missing",
}


def missing_of_modules(code: Code) -> Iterator[Finding]:
    """net.to(device), net.zero_grad()."""
    for call in code.every(ast.Call):
        name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        owner = code.of(call.func.value) if name in OF_TORCH_MODULES else NOTHING
        own = (owner.cls, name) in code.flow.methods
        own = own or any(path.endswith(f".Module.{name}") for path in code.patched)
        if owner.kind == MODULE and not own and not code.source.is_guarded(call):
            message = f"a module has no method {name}"
            yield code.found(call, OF_TORCH_MODULES[name], message)


def is_patched(code: Code, name: str) -> bool:
    """Whether the program gives jt.Var this attribute itself."""
    return f"jittor.Var.{name}" in code.patched


def missing_attributes(code: Code) -> Iterator[Finding]:
    """x.device, x.is_cuda: what a Var has not got."""
    for node in code.every(ast.Attribute):
        lacking = node.attr in ATTRIBUTES - set(known()["names"]["jittor.Var"])
        read = lacking and isinstance(node.ctx, ast.Load) and not is_patched(code, node.attr)
        owned = read and (code.is_var(node.value) or is_input(code, node.value))
        if owned and not code.source.is_guarded(node):
            yield code.found(node, "name-missing", f"a Var has no {node.attr}")


def is_input(code: Code, node: ast.AST) -> bool:
    """An argument of a module's execute(), of which it asks but what tensors have: its shape, say."""
    function = code.source.enclosing(node, (ast.FunctionDef,))
    if not isinstance(node, ast.Name) or getattr(function, "name", "") not in (
        "execute",
        "forward",
    ):
        return False
    owner = code.source.enclosing(function, (ast.ClassDef,))
    given = {a.arg for a in function.args.args[1:]}
    if node.id not in given or owner not in list(code.module_classes()):
        return False
    of_tensors = set(known()["names"]["jittor.Var"]) | ATTRIBUTES
    asked = {
        n.attr
        for n in ast.walk(function)
        if isinstance(n, ast.Attribute) and name_of(n.value) == node.id
    }
    return asked <= of_tensors and bool(asked & {"shape", "ndim", "dtype", "reshape", "view"})


def is_asked_of_var(code: Code, call: ast.Call) -> bool:
    """x.var(dim=1) of a Var, or x.var(1, keepdim=True) of what NumPy would not take that from."""
    if not isinstance(call.func, ast.Attribute):
        return False
    of_tensors = any(k.arg in ("keepdim", "unbiased") for k in call.keywords)
    owner = call.func.value
    return code.is_var(owner) or (of_tensors and code.may_be_var(owner))


def shapes(code: Code) -> Iterator[Finding]:
    """x.shape[2:].numel(): a shape is no torch.Size."""
    for call in code.every(ast.Call):
        if not isinstance(call.func, ast.Attribute) or call.func.attr != "numel":
            continue
        owner = call.func.value
        owner = owner.value if isinstance(owner, ast.Subscript) else owner
        sized = isinstance(owner, ast.Call) and name_of(owner.func) == "size" and not owner.args
        if (sized or name_of(owner) == "shape") and code.speaks_jittor(call):
            message = "a shape has no numel(): math.prod(...)"
            yield code.found(call, "name-missing", message)


def unknown_keywords(code: Code) -> Iterator[Finding]:
    """keepdim=, device=, inplace= ...: keywords of PyTorch's namesake that Jittor's has not."""
    elsewhere = {"clamp", "clamp_", "cumsum"}  # they have rules of their own
    for call in code.every(ast.Call):
        path = code.source.dotted(call.func)
        signature = signature_of(path) if path.startswith("jittor.") else None
        if name_of(call.func) in elsewhere or code.source.is_guarded(call):
            continue
        if not path and is_asked_of_var(code, call):
            signature = signature_of(f"jittor.Var.{call.func.attr}")
        if signature is None or any(
            kind in ("any keyword", "declared") for _, kind, _ in signature
        ):
            continue
        names = {name for name, _, _ in signature}
        several = any(kind == "several" for _, kind, _ in signature)
        spread = any(isinstance(a, ast.Starred) for a in call.args)
        if (
            names and len(call.args) > len(names) and not (several or spread)
        ):  # none: compiled, not known
            message = f"{name_of(call.func)} takes {len(names)} arguments, PyTorch's takes more"
            yield code.found(call, "keyword-unknown", message)
        for given in call.keywords:
            if given.arg is None or given.arg in names:
                continue
            near = [n for n in names if canonical(n) == canonical(given.arg)]
            edits = [renamed(given, near[0])] if len(near) == 1 else []
            what = f"{given.arg}=" + (f"; it is {near[0]}=" if near else "")
            message = f"{name_of(call.func)} knows no {what}"
            entry = ENTRIES.get(given.arg, "keyword-unknown")
            yield code.found(call, entry, message, *edits)


WEIGHTS = {"cross_entropy_loss": 2, "nll_loss": 2, "CrossEntropyLoss": 0}  # where they take them
ROLES = {  # names of arguments that nobody gives to another argument on purpose
    *("weight", "bias", "eps", "ignore_index", "reduction", "momentum", "weight_decay", "betas"),
    *("align_corners", "mode", "affine", "keepdims", "gamma", "nesterov", "eta_min", "T_max"),
}


def misplaced(code: Code) -> Iterator[Finding]:
    """layer_norm(x, shape, eps, weight): arguments by place, whose own names are those of other places."""
    for call in code.every(ast.Call):
        path = code.source.dotted(call.func)
        signature = signature_of(path) if path.startswith("jittor.") else None
        if signature is None or any(isinstance(a, ast.Starred) for a in call.args):
            continue
        function = path.rpartition(".")[2]
        taken = [name for name, kind, _ in signature if kind == "positional"]
        for place, (wanted, given) in enumerate(zip(taken, call.args)):
            name = name_of(given)
            number = WEIGHTS.get(function) == place and isinstance(constant(given), int)
            if number or (name in ROLES and name != wanted and name in taken):
                told = "a number" if number else name
                message = f"{told} stands where {function} takes {wanted}: name the arguments"
                yield code.found(call, "argument-place", message)
                break


def signature_of(path: str) -> list | None:
    space, _, name = path.rpartition(".")
    return known()["signatures"].get(space, {}).get(name)


def class_names(code: Code) -> Iterator[Finding]:
    """classname.find("Conv2d"), type(m).__name__ == "ReLU": names that no class of Jittor's has."""
    for node in code.every(ast.Constant):
        if not (isinstance(node.value, str) and node.value in ALIASES):
            continue
        parent = code.parent(node)
        if isinstance(parent, (ast.Tuple, ast.List, ast.Set)):
            parent = code.parent(parent)
        asked = ""
        if isinstance(parent, ast.Compare):
            asked = ast.unparse(parent)
        elif isinstance(parent, ast.Call) and name_of(parent.func) in ("find", "startswith"):
            asked = ast.unparse(parent.func.value) if isinstance(parent.func, ast.Attribute) else ""
        if re.search(r"class_?name|__name__", asked, re.IGNORECASE) and code.speaks_jittor(node):
            message = (
                f"the class of nn.{node.value} is named {ALIASES[node.value]}: isinstance(...)"
            )
            yield code.found(node, "class-name", message)


ALIASES = {  # of jittor.nn: under which name a class was made
    **{"Conv2d": "Conv", "ConvTranspose2d": "ConvTranspose", "GELU": "gelu", "ReLU": "relu"},
    **{"BatchNorm1d": "BatchNorm", "BatchNorm2d": "BatchNorm", "BatchNorm3d": "BatchNorm"},
    **{"InstanceNorm2d": "InstanceNorm", "LeakyReLU": "leaky_relu", "ReLU6": "relu6"},
    **{"SiLU": "silu", "Softmax": "softmax", "ModuleList": "Sequential"},
}
RULES = (
    class_names,
    missing_names,
    missing_methods,
    missing_of_modules,
    missing_attributes,
    shapes,
    unknown_keywords,
    misplaced,
)
