"""What Python reads otherwise than it is meant: options that become letters, names that NumPy has no more, calls of
super() that reach nobody, tests that leave out their last batch.

Before: a file, and the program that it is of. After: findings that no atlas has: they are wrong in any framework.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from parity.atlas.lint.code import Code
from parity.atlas.lint.finding import HINT, Finding
from parity.atlas.lint.rules_options import destination
from parity.atlas.lint.rules_own import CALL, NAME
from parity.atlas.lint.source import constant, keyword, name_of

CUT, UNREAD_OPTION = "drop-last-of-test", "option-unread"
GONE = {"int", "float", "complex", "object", "str", "unicode"}  # since NumPy 1.24
OLD = re.compile(r"numpy *(?:={2,3}|<=?|~=) *1\.(?:\d|1\d|2[0-4])(?![\d])|numpy *==? *1\.2[0-3]\.")
SPLIT = {"list", "tuple", "set", "dict"}  # as types: letters, and an error
TESTS = re.compile(r"(?:^|_)(?:test|val|valid|validation|eval)(?:_|$)|^(?:test|val|eval)")
WHOLE = {"vars", "__dict__", "asdict"}  # what hands on all options at once


def gone(code: Code) -> Iterator[Finding]:
    """np.int, np.float, which NumPy has had no more since 1.24: told once a name."""
    told: set[str] = set()
    for node in code.every(ast.Attribute):
        named = node.attr in GONE and node.attr not in told and isinstance(node.ctx, ast.Load)
        if not named or code.source.dotted(node) != f"numpy.{node.attr}" or is_old(code):
            continue
        if not code.source.is_guarded(node) and f"numpy.{node.attr}" not in code.patched:
            told.add(node.attr)
            yield code.found(node, NAME, f"NumPy has had no np.{node.attr} since 1.24: {node.attr}")


def is_old(code: Code) -> bool:
    """Whether a list of requirements beside the file, or up to two folders above, wants a NumPy that still has them."""
    folders = [*code.path.parents][:3] if code.path.name != "<text>" else []
    lists = (file for folder in folders for file in folder.glob("*requirement*.txt"))
    return any(OLD.search(file.read_text(errors="replace")) for file in lists)


def beyond(code: Code) -> Iterator[Finding]:
    """super(Net).__init__(): super() of one argument belongs to no object, and runs object's."""
    for call in code.every(ast.Call):
        inner = call.func.value if isinstance(call.func, ast.Attribute) else None
        alone = isinstance(inner, ast.Call) and name_of(inner.func) == "super"
        if alone and len(inner.args) == 1 and code.source.enclosing(call, (ast.ClassDef,)):
            message = f"super() of one argument is of no object: super().{call.func.attr}(...)"
            yield code.found(call, CALL, message)


def no_exception(code: Code) -> Iterator[Finding]:
    """raise NotImplemented, which is a value."""
    for node in code.every(ast.Raise):
        raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
        if isinstance(raised, ast.Name) and raised.id == "NotImplemented":
            yield code.found(node, CALL, "NotImplemented is no exception: NotImplementedError")


def letters(code: Code) -> Iterator[Finding]:
    """add_argument("--names", nargs="+", default="all"), whose default a loop reads by letters; type=list, which splits
    what is given; type=dict, which refuses it."""
    for call in code.every(ast.Call):
        if name_of(call.func) != "add_argument" or not call.args:
            continue
        flag = ast.unparse(call.args[0])
        said = {k.arg: k.value for k in call.keywords}
        kind = said["type"].id if isinstance(said.get("type"), ast.Name) else ""
        several, text = constant(said.get("nargs")) in ("+", "*"), constant(said.get("default"))
        if kind in SPLIT and not several:
            yield code.found(
                call, CALL, f"{flag} is made of letters: {kind}() takes the text apart"
            )
        elif several and isinstance(text, str) and len(text) > 1 and is_one_or_many(code, call):
            yield code.found(call, CALL, f"{flag} has a text as its default, and is a list else")


def is_one_or_many(code: Code, call: ast.Call) -> bool:
    """Whether a loop of the program goes over the option, or a file of one name is loaded by it."""
    name = destination(call)
    for other in code.files:
        loops = [n.iter for n in other.every(ast.For, ast.comprehension)]
        if any(isinstance(n, ast.Attribute) and n.attr == name for n in loops):
            return True
        loads = (c for c in other.every(ast.Call) if name_of(c.func) == "load" and c.args)
        if other is code and any(name_of(c.args[0]) == name for c in loads):
            return True
    return False


def unread(code: Code) -> Iterator[Finding]:
    """add_argument("--gpu") of a program in which nothing is called gpu beside it."""
    calls = [c for c in code.every(ast.Call) if name_of(c.func) == "add_argument"]
    handed = any(WHOLE & other.names for other in code.files) if calls else True
    if handed or code.path.name == "<text>":
        return
    read = {n.attr for other in code.files for n in other.every(ast.Attribute)}
    read |= {n.value for other in code.files for n in other.every(ast.Constant) if _is_word(n)}
    for call in calls:
        name = destination(call)
        if name and name not in read:
            message = f"nothing reads {name}: the option has no effect"
            yield code.found(call, UNREAD_OPTION, message, level=HINT)


def _is_word(node: ast.Constant) -> bool:
    return isinstance(node.value, str) and node.value.isidentifier()


def cut(code: Code) -> Iterator[Finding]:
    """set_attrs(drop_last=True) of a test's set: what does not fill a batch is not judged."""
    for call in code.every(ast.Call):
        said = keyword(call, "drop_last")
        if said is None or constant(said.value) is not True or name_of(call.func) == "add_argument":
            continue
        size = keyword(call, "batch_size")
        alone = size is not None and constant(size.value) == 1
        if TESTS.search(name_of(subject(code, call)).lower()) and not alone:
            message = "the last pictures of a test are left out: drop_last=False"
            yield code.found(call, CUT, message)


def subject(code: Code, call: ast.Call) -> ast.AST | None:
    """The name of the set: test_set.set_attrs(...), val_loader = DataLoader(...)."""
    if name_of(call.func) == "set_attrs" and isinstance(call.func, ast.Attribute):
        owner = call.func.value
        return owner.func if isinstance(owner, ast.Call) else owner
    parent = code.parent(call)
    return parent.targets[0] if isinstance(parent, ast.Assign) else None


RULES = (gone, beyond, no_exception, letters, unread, cut)
