"""Names that nothing binds, attributes that nothing sets: what a port has left in the original.

Before: a file, and the program that it is of. After: findings that no atlas has: Python raises, whatever the framework.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from parity.atlas.lint.code import Code, is_self, names_of
from parity.atlas.lint.finding import Finding
from parity.atlas.lint.program import bound
from parity.atlas.lint.rules_own import CALL, NAME, Place
from parity.atlas.lint.source import constant, name_of

OF_MODULES = {  # what a module of Jittor's or of PyTorch's has
    *("add_module", "apply", "bfloat16", "buffers", "children", "compile", "cpu", "cuda", "dfs"),
    *("double", "eval", "execute", "extra_repr", "float", "float16", "float32", "float64"),
    *("float_auto", "forward", "get_buffer", "get_parameter", "get_submodule", "half", "is_train"),
    *("is_training", "load", "load_parameters", "load_state_dict", "modules", "named_buffers"),
    *("mpi_param_broadcast", "named_children", "named_modules", "named_parameters", "parameters"),
    *("register_backward_hook", "register_buffer", "register_forward_hook", "register_module"),
    *("register_forward_pre_hook", "register_full_backward_hook", "register_parameter"),
    *("register_input_backward_hook", "register_output_backward_hook", "remove_backward_hook"),
    *("register_pre_forward_hook", "remove_forward_hook", "remove_pre_forward_hook", "type"),
    *("remove_input_backward_hook", "remove_output_backward_hook", "requires_grad_", "save"),
    *("share_memory", "state_dict", "to", "to_empty", "train", "training", "zero_grad"),
    *("_apply", "_buffers", "_get_name", "_load_from_state_dict", "_modules", "_parameters"),
    *("_save_to_state_dict", "_version", "backup_grad_state"),
}
OF_SETS = {  # what Jittor's Dataset has
    *(
        "batch_id",
        "batch_len",
        "batch_size",
        "batch_time",
        "buffer_size",
        "collate_batch",
        "dataset",
    ),
    *(
        "display_worker_status",
        "drop_last",
        "endless",
        "epoch_id",
        "gid",
        "gidc",
        "idqueue",
        "wait_time",
    ),
    *("idqueue_lock", "index_list", "index_list_numpy", "keep_numpy_array", "last_ids", "num_idle"),
    *("num_idle_c", "num_workers", "real_batch_size", "real_len", "recv_time", "reset", "sampler"),
    *("set_attrs", "shuffle", "stop_grad", "terminate", "to_jittor", "to_jittor_time", "total_len"),
    *("workers", "_disable_workers", "_epochs", "_get_index_list", "_init_workers", "_shuffle_rng"),
    *("_stop_all_workers", "_worker_main"),
}
KEPT = (ast.Global, ast.Nonlocal)
NAMED = {"register_buffer", "register_parameter", "add_module", "setattr", "create_parameter"}
LOOSE = {"__getattr__", "__getattribute__", "__setattr__", "__dict__", "__slots__", "vars"}


def names(code: Code) -> Iterator[Finding]:
    """torch.zeros(3) in a file that no longer imports torch: told once a name."""
    if code.path == Path("<text>") or code.program.is_open(code.path):
        return  # a fragment; or a file that may hold more names than it says
    for name, node in sorted(code.source.unbound.items()):
        given = (len(name) == 1 and name.islower()) or code.program.holds(code.path, name)
        if not given and not code.source.is_guarded(node) and not is_only_said(code, node):
            yield code.found(node, NAME, f"nothing in this file binds {name}")


def is_only_said(code: Code, node: ast.AST) -> bool:
    """Whether a name stands in an annotation that Python need not evaluate, or is a decorator."""
    late = any(
        n.module == "__future__" and any(a.name == "annotations" for a in n.names)
        for n in code.every(ast.ImportFrom)
    )
    child, parent = node, code.parent(node)
    while parent is not None and not isinstance(parent, ast.stmt):
        if isinstance(parent, ast.arg):
            return late
        child, parent = parent, code.parent(parent)
    return late and child in (getattr(parent, "annotation", None), getattr(parent, "returns", None))


def locals_read(code: Code) -> Iterator[Finding]:
    """offset = jt.array(offset) first in a function that is given no offset: Python reads its own, still unbound."""
    for function in code.every(ast.FunctionDef, ast.AsyncFunctionDef):
        kept = {n for g in code.within(function) if isinstance(g, KEPT) for n in g.names}
        given = {n.arg for n in ast.walk(function.args) if isinstance(n, ast.arg)}
        seen = kept | given
        for node in function.body:
            made = node.targets[0] if isinstance(node, ast.Assign) else None
            if isinstance(made, ast.Name) and made.id not in seen and reads(node.value, made.id):
                message = f"{made.id} is read before {function.name} binds it"
                yield code.found(node, NAME, message)
            seen |= set().union(*(bound_by(n) for n in ast.walk(node)))


def bound_by(node: ast.AST) -> set[str]:
    if isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)):
        return {node.name or ""}
    return {name.partition(".")[0] for name in names_of(node)}


def reads(node: ast.AST, name: str) -> bool:
    """Whether an expression reads a name in its own scope, not in a lambda's or a comprehension's."""
    if isinstance(node, (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
        return False
    if isinstance(node, ast.Name):
        return node.id == name and isinstance(node.ctx, ast.Load)
    return any(reads(n, name) for n in ast.iter_child_nodes(node))


def attributes(code: Code) -> Iterator[Finding]:
    """self.config of a class that never sets it: told once a class and attribute."""
    if code.path == Path("<text>"):
        return
    for owner in code.every(ast.ClassDef):
        family = lineage(code, (code.path, owner))
        if family is None or is_inherited_with_others(code, owner):
            continue
        held = set().union(*(held_by(place[1]) for place in family))
        held |= OF_MODULES | OF_SETS | set().union(*(other.sets_outside for other in code.files))
        heirs = heirs_of(code, owner.name)
        if heirs is None:
            continue
        held |= set().union(*(held_by(heir) for heir in heirs))
        told = set()
        for node in code.within(owner):
            unset = is_read(node) and node.attr not in told and not is_held(node.attr, held)
            missing = unset and nearest(code, node, owner)
            if missing and not node.attr.startswith("__") and not code.source.is_guarded(node):
                told.add(node.attr)
                yield code.found(node, NAME, f"nothing sets self.{node.attr} of {owner.name}")


def is_read(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Attribute) and is_self(node.value) and isinstance(node.ctx, ast.Load)
    )


def nearest(code: Code, node: ast.AST, owner: ast.ClassDef) -> bool:
    """Whether a node is of this class, not of one within it."""
    return code.source.enclosing(node, (ast.ClassDef,)) is owner


def lineage(code: Code, place: Place, steps: int = 6) -> list[Place] | None:
    """A class and its bases, up to Jittor's Module or to none; None where it may have attributes from elsewhere."""
    file, owner = place
    if owner.decorator_list or owner.keywords or is_loose(owner) or not steps:
        return None
    if not owner.bases:
        return [place]
    if len(owner.bases) > 1:
        return None
    base = owner.bases[0]
    near = next((other for other in code.files if other.path == file), None)
    path = near.source.dotted(base) if near else ""
    of_jittor = path.startswith("jittor.dataset.") and path.endswith(".Dataset")
    if of_jittor or path in ("jittor.Module", "jittor.nn.Module") or name_of(base) == "object":
        return [place]
    found = code.program.definition(file, base.id) if isinstance(base, ast.Name) else None
    if found is None or not isinstance(found[1], ast.ClassDef) or found[1] is owner:
        return None
    rest = lineage(code, found, steps - 1)
    return rest and [place, *rest]


@lru_cache(maxsize=10_000)
def is_loose(owner: ast.ClassDef) -> bool:
    """Whether a class sets attributes whose names cannot be read off it."""
    for node in ast.walk(owner):
        if {name_of(node), getattr(node, "name", "")} & LOOSE:
            return True
        hands = isinstance(node, ast.Call) and any(is_self(a) for a in node.args)
        hands = hands and name_of(node.func) != "setattr"
        if hands and re.search(r"(?<!get)(?<!has)attr|update|inject|register", name_of(node.func)):
            return True  # copy_attr(self, model)
        if isinstance(node, ast.Call) and name_of(node.func) in NAMED:
            place = 1 if name_of(node.func) == "setattr" else 0
            if place and not is_self(node.args[0] if node.args else None):
                continue
            known = len(node.args) > place and bool(beginning(node.args[place]))
            if not known and not any(k.arg == "name" for k in node.keywords):
                return True
    return False


@lru_cache(maxsize=10_000)
def held_by(owner: ast.ClassDef) -> set[str]:
    """Names that a class binds, and those that it sets on self or registers."""
    held = {name for name, _ in bound(owner.body)}
    for node in ast.walk(owner):
        if isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load):
            held.add(node.attr)
        elif isinstance(node, ast.Call) and name_of(node.func) in NAMED:
            given = [*node.args, *(k.value for k in node.keywords)]
            held |= {constant(a) for a in given if isinstance(constant(a), str)}
            held |= {f"{beginning(a)}*" for a in given if beginning(a) != constant(a)}
    return held - {"*"}


def beginning(node: ast.AST) -> str:
    """Of a name that is made: "layer" of "layer%d" % i, f"layer{i}", "layer" + str(i); a literal's whole; or ""."""
    if isinstance(node, ast.BinOp):
        node = node.left
    if isinstance(node, ast.Call) and name_of(node.func) == "format":
        node = node.func.value
    if isinstance(node, ast.JoinedStr):
        node = node.values[0]
    value = constant(node)
    return re.split("[%{]", value)[0] if isinstance(value, str) else ""


def is_held(name: str, held: set[str]) -> bool:
    return name in held or any(name.startswith(h[:-1]) for h in held if h.endswith("*"))


def heirs_of(code: Code, name: str, steps: int = 4) -> list[ast.ClassDef] | None:
    """The classes of the program that inherit from a class of this name, at any distance; None if one is loose."""
    heirs = [
        owner
        for other in code.files
        for owner in other.every(ast.ClassDef)
        if name in {name_of(base) for base in owner.bases}
    ]
    if any(is_loose(heir) or len(heir.bases) > 1 for heir in heirs):
        return None
    for heir in list(heirs) if steps else ():
        more = heirs_of(code, heir.name, steps - 1)
        if more is None:
            return None
        heirs += more
    return heirs


def is_inherited_with_others(code: Code, owner: ast.ClassDef) -> bool:
    """Whether a class is mixed into others, whose attributes it reads."""
    return any(
        owner.name in {name_of(base) for base in other.bases} and len(other.bases) > 1
        for file in code.files
        for other in file.every(ast.ClassDef)
    )


def supers(code: Code) -> Iterator[Finding]:
    """super(Data, self) alone: Jittor's Dataset and Module need what their __init__() sets."""
    for node in code.every(ast.Expr):
        call, owner = node.value, code.source.enclosing(node, (ast.ClassDef,))
        bare = isinstance(call, ast.Call) and name_of(call.func) == "super" and owner is not None
        if bare and any(code.source.dotted(b).startswith("jittor.dataset") for b in owner.bases):
            yield code.found(call, CALL, "super() calls nothing: super().__init__()")


def generated(code: Code) -> Iterator[Finding]:
    """nn.ModuleList(Block() for _ in range(2)), and of map(), values() or a tuple: it takes lists."""
    for call in code.every(ast.Call):
        path = code.source.dotted(call.func)
        if path not in ("jittor.nn.ModuleList", "jittor.nn.Sequential") or len(call.args) != 1:
            continue
        given = call.args[0]
        made = name_of(given.func) if isinstance(given, ast.Call) else ""
        lazy = isinstance(given, (ast.GeneratorExp, ast.Tuple, ast.Set, ast.SetComp))
        of_dict = made in ("values", "children", "modules") and not given.args
        if lazy or of_dict or made in ("map", "filter", "tuple", "reversed"):
            message = f"{name_of(call.func)} takes a list, not what makes one: [...]"
            yield code.found(call, "module-list-generator", message)


RULES = (names, locals_read, attributes, supers, generated)
