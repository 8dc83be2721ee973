"""The program's own functions: names that its modules lack, arguments that its functions do not take.

Before: a Program of all its files. After: findings that no atlas has: the calls raise in any framework. A port is where
they come from: files are split, renamed and left out, and callers keep what the original had.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from parity.atlas.lint.code import Code
from parity.atlas.lint.finding import WARNING, Finding
from parity.atlas.lint.program import Definition, Program
from parity.atlas.lint.source import FUNCTIONS, GUARDS, name_of, names_in

NAME, CALL = "own-name", "own-call"
OTHERS = {  # packages that a folder of the program's may be named like
    *("jittor", "torch", "torchvision", "numpy", "scipy", "cv2", "PIL", "skimage", "tensorflow"),
    *("datasets", "evaluate", "transformers", "clip", "timm", "mmcv", "mmdet", "ops", "tests"),
}
PLAIN = {
    "staticmethod",
    "classmethod",
    "no_grad",
    "abstractmethod",
}  # decorators that keep the arguments


def imports(program: Program, file: Path) -> Iterator[Finding]:
    """from models import UNet, where no models of the program's has it; from .layers import x, where there are none."""
    tree = program.tree(file)
    for node in statements(tree.body if tree else []):
        if not isinstance(node, ast.ImportFrom):
            continue
        module = node.module or ""
        first = module.split(".")[0]
        if foreign := renamed_root(program, file, node):
            yield told(file, node, NAME, f"there is no {first}: the program has {foreign}")
        if not program.is_own(file, module, node.level) or (not node.level and first in OTHERS):
            continue
        dotted = "." * node.level + module
        if not program.found(file, module, node.level):
            yield told(file, node, NAME, f"the program has no module {dotted}")
        elif names := lacking(program, file, node):
            yield told(file, node, NAME, f"{dotted} has no {', '.join(names)}")


def renamed_root(program: Program, file: Path, node: ast.ImportFrom) -> str:
    """ "utils.options" of `from ram.utils.options import x`, where the program has utils/options.py and no ram."""
    first, _, rest = (node.module or "").partition(".")
    if node.level or "." not in rest or first in OTHERS or first in sys.stdlib_module_names:
        return ""
    named = any(first in other.parts or other.stem == first for other in program.texts)
    if named or program.is_own(file, node.module, 0) or len(program.modules(file, rest, 0)) != 1:
        return ""
    others = (
        n for t in program.texts.values() for n in re.findall(r"^from ([\w.]+) import", t, re.M)
    )
    return rest if rest in set(others) else ""


def lacking(program: Program, file: Path, node: ast.ImportFrom) -> list[str]:
    """Names that no module has which an import may mean; of a folder without __init__.py, modules."""
    module, wanted = node.module or "", [a.name for a in node.names if a.name != "*"]
    files = program.modules(file, module, node.level)
    if program.found(file, module, node.level) == "folder":
        inner = f"{module}." if module else ""
        return [name for name in wanted if not program.found(file, inner + name, node.level)]
    if not files or any(program.is_open(f) for f in files):
        return []
    return [name for name in wanted if not any(program.holds(f, name) for f in files)]


def statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """All statements, but not those of a `try` that expects an import to fail, and of `if` branches."""
    for node in body:
        yield node
        if isinstance(node, ast.Try):
            caught = {name for h in node.handlers for name in names_in(h.type)}
            if caught & GUARDS:
                continue
        for field in ("body", "finalbody"):
            if not isinstance(node, (ast.If, ast.ClassDef)):
                yield from statements(getattr(node, field, []))


def told(file: Path, node: ast.AST, entry: str, message: str) -> Finding:
    place = (node.lineno, node.col_offset + 1)
    return Finding(file, *place, entry, message, WARNING, node.end_lineno, node.end_col_offset + 1)


Place = tuple[Path, ast.ClassDef]


def called(code: Code, program: Program, call: ast.Call) -> tuple[str, ast.FunctionDef, int] | None:
    """What a call calls, by name, with how many arguments are filled in before: 1 of methods."""
    func = call.func
    if isinstance(func, ast.Name) and not is_shadowed(code, func):
        place = program.definition(code.path, func.id)
        if place and isinstance(place[1], ast.ClassDef):
            maker = method_of(program, *place, "__init__")
            return maker and (func.id, maker, 1)
        return (func.id, place[1], 0) if place and is_plain(place[1]) else None
    if not isinstance(func, ast.Attribute) or not isinstance(func.value, ast.Name):
        return None
    owner = func.value
    if owner.id == "self":
        holder = code.source.enclosing(call, (ast.ClassDef,))
        place = (code.path, holder) if holder is not None and is_last(code, holder) else None
    else:
        place = made_by(code, program, owner)
    if place is None or is_stored(place[1], func.attr):
        return None
    method = method_of(program, *place, func.attr)
    return method and (func.attr, method, 1)


def is_last(code: Code, owner: ast.ClassDef) -> bool:
    """Whether no class of the file inherits from a class: `self` might be of that one."""
    bases = {getattr(base, "id", "") for node in code.every(ast.ClassDef) for base in node.bases}
    return owner.name not in bases


def made_by(code: Code, program: Program, name: ast.Name, steps: int = 2) -> Place | None:
    """The class of the program's whose instance a name always is: as its function makes it, or is handed it by all that
    call it in this file."""
    scope = code.source.scope(name)
    if not steps:
        return None
    stores = [n for n in code.stores(scope) if n.id == name.id]
    if not stores and isinstance(scope, ast.FunctionDef):
        callers = code.callers.get(scope.name, [])
        given = [handed(scope, c).get(name.id) for c in callers]
        named = all(isinstance(g, ast.Name) for g in given)
        places = [made_by(code, program, g, steps - 1) for g in given] if named else []
        return places[0] if places and all(p == places[0] for p in places) else None
    makers = [getattr(code.parent(n), "value", None) for n in stores]
    kinds = {ast.unparse(m.func) if isinstance(m, ast.Call) else "" for m in makers}
    direct = all(isinstance(code.parent(n), ast.Assign) for n in stores)
    if len(kinds) != 1 or not direct or not isinstance(getattr(makers[0], "func", None), ast.Name):
        return None
    if is_shadowed(code, makers[0].func):
        return None
    place = program.definition(code.path, makers[0].func.id)
    return place if place and isinstance(place[1], ast.ClassDef) else None


def handed(function: ast.FunctionDef, call: ast.Call) -> dict[str, ast.AST]:
    """What a call gives to the arguments of a function or, as a method, to those behind self."""
    taken = [a.arg for a in function.args.args]
    taken = taken[1:] if isinstance(call.func, ast.Attribute) else taken
    pairs = [*zip(taken, call.args, strict=False), *((k.arg, k.value) for k in call.keywords)]
    return {name: value for name, value in pairs if name}


def method_of(
    program: Program, file: Path, owner: ast.ClassDef, name: str, steps: int = 5
) -> ast.FunctionDef | None:
    """A method of a class or of its bases, as far as these are the program's; None where it is unsure."""
    if owner.decorator_list or owner.keywords or not steps:
        return None
    own = [n for n in owner.body if isinstance(n, Definition) and n.name == name]
    if own:
        return own[0] if len(own) == 1 and is_plain(own[0]) and is_bound(own[0]) else None
    if is_stored(owner, name) or len(owner.bases) != 1 or not isinstance(owner.bases[0], ast.Name):
        return None
    place = program.definition(file, owner.bases[0].id)
    if place is None or not isinstance(place[1], ast.ClassDef):
        return None
    return method_of(program, *place, name, steps - 1)


def is_bound(method: ast.FunctionDef) -> bool:
    """Whether a method is given itself first: what decorates it, if anything, is no_grad()."""
    return all(name_of(getattr(d, "func", d)) == "no_grad" for d in method.decorator_list)


def is_stored(owner: ast.ClassDef, name: str) -> bool:
    """Whether a class gives an attribute of this name to itself or to its instances."""
    return name in stored(owner)


@lru_cache(maxsize=10_000)
def stored(owner: ast.ClassDef) -> set[str]:
    return {
        name_of(n)
        for n in ast.walk(owner)
        if isinstance(n, (ast.Attribute, ast.Name)) and isinstance(n.ctx, ast.Store)
    }


def is_plain(node: ast.AST) -> bool:
    """Whether a function is called as it is written."""
    decorators = getattr(node, "decorator_list", [])
    names = {
        getattr(d, "attr", getattr(d, "id", ""))
        for d in (getattr(d, "func", d) for d in decorators)
    }
    return isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and names <= PLAIN


def is_shadowed(code: Code, name: ast.Name) -> bool:
    """Whether a function around it has an argument, a variable or a function of this name."""
    scope = code.source.enclosing(name, FUNCTIONS)
    while scope is not None:
        if name.id in code.taken(scope):
            return True
        scope = code.source.enclosing(scope, FUNCTIONS)
    return False


def misfit(call: ast.Call, taken: ast.arguments, bound: int) -> str:
    """ "() takes no mode=" and the like; "" where a call fits."""
    places = [a.arg for a in [*taken.posonlyargs, *taken.args]][bound:]
    named = {*places, *(a.arg for a in taken.kwonlyargs)} - {a.arg for a in taken.posonlyargs}
    given = [k.arg for k in call.keywords]
    spread = any(isinstance(a, ast.Starred) for a in call.args)
    unknown = [name for name in given if name is not None and name not in named]
    if unknown and not taken.kwarg:
        return f"() takes no {unknown[0]}="
    if len(call.args) > len(places) and not (taken.vararg or spread):
        return f"() takes {len(places)} arguments by place, not {len(call.args)}"
    wanted = places[: len(places) - len(taken.defaults)] if taken.defaults else places
    wanted = wanted[len(call.args) :] + [
        a.arg for a, d in zip(taken.kwonlyargs, taken.kw_defaults) if d is None
    ]
    lacking = [name for name in wanted if name not in given]
    if lacking and not spread and None not in given:
        return f"() is not given {lacking[0]}"
    return ""
