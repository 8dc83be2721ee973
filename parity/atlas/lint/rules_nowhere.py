"""Methods that a class asks itself for and nobody defines, initialisers that nobody applies, command lines that nobody
reads: what a port has cut out, and whose callers or callees stayed.

Before: a file, and the program that it is of. After: findings that no atlas has: they are wrong in any framework.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from parity.atlas.lint.code import Code
from parity.atlas.lint.finding import Finding
from parity.atlas.lint.program import bound
from parity.atlas.lint.rules_own import CALL, NAME, Place
from parity.atlas.lint.rules_unset import NAMED, OF_MODULES, OF_SETS, held_by
from parity.atlas.lint.source import constant, keyword, name_of, says, value_of

UNAPPLIED = "init-never-applied"
OPEN = {"__getattr__", "__dict__", "vars", "globals", "MethodType"}
OF_ARRAYS = {"dtype", "device"}  # that a tensor has, and no module of Jittor's
STEPS = 6  # of bases behind bases
INITIALISER = re.compile(
    r"^_?(weights?_init\w*|init_weights?\w*|init_func|initiali[sz]e_weights?)$"
)


def methods(code: Code) -> Iterator[Finding]:
    """self.prune(x), cls.read(x) of a class whose bases are all in the program: told once a class and name."""
    if code.path == Path("<text>"):
        return
    for owner in code.every(ast.ClassDef):
        told: set[str] = set()
        for node in code.within(owner):
            if not isinstance(node, ast.Attribute) or node.attr in told:
                continue
            parent = code.parent(node)
            called = isinstance(parent, ast.Call) and parent.func is node
            asked = called or node.attr in OF_ARRAYS
            if not asked or name_of(node.value) not in ("self", "cls") or node.attr[:2] == "__":
                continue
            if not isinstance(node.ctx, ast.Load) or code.source.is_guarded(node):
                continue
            if code.source.enclosing(node, (ast.ClassDef,)) is not owner or not is_plain(
                code, node
            ):
                continue
            if is_nowhere(code, owner, node.attr):
                told.add(node.attr)
                message = f"nothing sets {name_of(node.value)}.{node.attr} of {owner.name}"
                yield code.found(node, NAME, message)


def is_plain(code: Code, node: ast.Attribute) -> bool:
    """Whether `self` and `cls` are what the method around is given first."""
    function = code.source.enclosing(node, (ast.FunctionDef, ast.Lambda))
    while function is not None and not isinstance(code.parent(function), ast.ClassDef):
        function = code.source.enclosing(function, (ast.FunctionDef, ast.Lambda))
    first = function.args.args[:1] if function is not None else []
    return bool(first) and first[0].arg == name_of(node.value)


def is_nowhere(code: Code, owner: ast.ClassDef, name: str) -> bool:
    """Whether neither the class, nor its bases and heirs, nor anybody else gives it this name."""
    if name in OF_MODULES | OF_SETS or any(name in named(other) for other in code.files):
        return False
    families = [kin(code, (code.path, owner))]
    families += [kin(other, (other.path, heir)) for other, heir in heirs(code, owner.name)]
    if any(family is None for family in families):
        return False
    places = [place for family in families for place in family]
    return not any(name in held_by(place[1]) or is_open(place[1]) for place in places)


@lru_cache(maxsize=200)
def named(code: Code) -> frozenset[str]:
    """What a file sets on anything but self, defines outside of classes, or says in a string."""
    words = {n.value for n in code.every(ast.Constant) if isinstance(n.value, str)}
    return frozenset(words | code.sets_outside | {name for name, _ in bound(code.source.tree.body)})


@lru_cache(maxsize=2000)
def is_open(owner: ast.ClassDef) -> bool:
    """Whether a class may have more names than it says."""
    names = {name_of(n) for n in ast.walk(owner)} | {getattr(n, "name", "") for n in owner.body}
    made = any(isinstance(n, ast.Call) and makes_names(owner, n) for n in ast.walk(owner))
    return made or bool(names & OPEN or owner.decorator_list or owner.keywords)


def makes_names(owner: ast.ClassDef, call: ast.Call) -> bool:
    """setattr(self, name, layer), self.add_module(name, layer); not options that a plain object keeps."""
    if name_of(call.func) not in NAMED or len(call.args) < 2:
        return False
    literal = any(isinstance(constant(a), str) for a in call.args[:2])
    option = not owner.bases and isinstance(call.args[-1], ast.Name)
    return not literal and not option


def kin(code: Code, place: Place, steps: int = STEPS) -> list[Place] | None:
    """A class and all its bases; None where one is neither the program's nor Jittor's."""
    found = [place]
    near = next((other for other in code.files if other.path == place[0]), None)
    for base in place[1].bases if near and steps else ():
        path = near.source.dotted(base)
        if path in ("jittor.Module", "jittor.nn.Module", "jittor.dataset.Dataset"):
            continue
        if name_of(base) in ("object", "ABC"):
            continue
        known = code.program.definition(place[0], base.id) if isinstance(base, ast.Name) else None
        if known is None or not isinstance(known[1], ast.ClassDef) or known[1] is place[1]:
            return None
        more = kin(code, known, steps - 1)
        if more is None:
            return None
        found += more
    return found if near and steps else None


def heirs(code: Code, name: str, steps: int = STEPS) -> list[tuple[Code, ast.ClassDef]]:
    near = [
        (other, owner)
        for other in code.files
        for owner in other.every(ast.ClassDef)
        if name in {name_of(base) for base in owner.bases} and owner.name != name
    ]
    return near + [h for _, heir in near if steps for h in heirs(code, heir.name, steps - 1)]


def unapplied(code: Code) -> Iterator[Finding]:
    """def weights_init(m) that draws weights, in a program that trains and never says this name again."""
    if code.path == Path("<text>"):
        return
    for function in code.source.tree.body:
        named_so = isinstance(function, ast.FunctionDef) and INITIALISER.match(function.name)
        if not named_so or not any(
            code.source.dotted(n.func).startswith("jittor.init.")
            for n in code.within(function)
            if isinstance(n, ast.Call)
        ):
            continue
        others = re.compile(r"\.apply\(|init\.\w+_\(|init_weights")
        around = [t for f, t in code.program.texts.items() if f != code.path]
        if any(others.search(text) for text in around):
            continue  # initialised elsewhere
        word = re.compile(rf"\b{function.name}\b")
        if sum(len(word.findall(text)) for text in code.program.texts.values()) == 1:
            message = f"nobody applies {function.name}: the layers begin as Jittor makes them"
            yield code.found(function, UNAPPLIED, message)


def unparsed(code: Code) -> Iterator[Finding]:
    """parser.parse_args(args=[]), as a notebook needs it: the command line has no effect."""
    if code.path.stem.startswith("test"):
        return
    for call in code.every(ast.Call):
        given = keyword(call, "args")
        first = given.value if given else call.args[0] if len(call.args) == 1 else None
        literal = isinstance(first, ast.List) and constant(first) is not None
        if name_of(call.func) in ("parse_args", "parse_known_args") and literal:
            yield code.found(call, CALL, "what is given on the command line has no effect")


def unsized(code: Code) -> Iterator[Finding]:
    """jt.normal(mean=0.0, std=0.02), which raises: of numbers, it wants a size."""
    for call in code.every(ast.Call):
        mean = value_of(call, 0, "mean")
        spread = value_of(call, 1, "std")
        plain = constant(spread) is not None or "math." in ast.unparse(spread or call.func)
        if code.source.dotted(call.func) != "jittor.normal" or constant(mean) is None or not plain:
            continue
        if len(call.args) < 3 and not says(call, "size"):
            yield code.found(call, "keyword-unknown", "normal of numbers wants size=")


RULES = (methods, unapplied, unparsed, unsized)
