"""What a port makes and nobody takes: weights written into a copy, files under another ending than the one that is
read, PyTorch imported for nothing, rows repeated in the wrong order.

Before: a file, and the program that it is of. After: findings that no atlas has: they are wrong in any framework.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from parity.atlas.lint.code import Code
from parity.atlas.lint.finding import Finding
from parity.atlas.lint.rules_program import needs, users
from parity.atlas.lint.source import FUNCTIONS, constant, keyword, name_of

COPY, ENDING, FOREIGN, REPEATED = "state-copied", "file-ending", "torch-unused", "repeat-order"
ENDINGS = re.compile(r"^(.*?)((?:\.(?:pkl|pth|pt|ckpt|bin|npz|npy|tar|jt|pdparams))+)$")
LETTERS = 3  # that two names of files have in common at least, to be one file
STEPS = 3  # of names for names


def written(code: Code) -> Iterator[Finding]:
    """net.state_dict()[key] = value; held = net.state_dict(), held[key] = value, and held goes nowhere."""
    for node in code.every(ast.Subscript):
        if not isinstance(node.ctx, ast.Store) or not code.source.uses_jittor:
            continue
        lost = is_state(node.value)
        if isinstance(node.value, ast.Name):
            lost = goes_nowhere(code, node.value)
        if lost:
            message = "state_dict() gives a new dictionary: what is stored in it reaches no module"
            yield code.found(node, COPY, message)


def is_state(node: ast.AST | None) -> bool:
    return isinstance(node, ast.Call) and name_of(node.func) == "state_dict" and not node.args


def goes_nowhere(code: Code, name: ast.Name) -> bool:
    """Whether a name is a module's state, and its scope asks it for no more than keys and items."""
    scope = code.source.scope(name)
    stores = [n for n in code.stores(scope) if n.id == name.id]
    made = code.parent(stores[0]) if len(stores) == 1 else None
    if not isinstance(made, ast.Assign) or not is_state(made.value):
        return False
    for other in code.within(scope):
        if not isinstance(other, ast.Name) or other.id != name.id or other in stores:
            continue
        parent = code.parent(other)
        item = isinstance(parent, ast.Subscript) and parent.value is other
        asked = isinstance(parent, ast.Attribute) and parent.attr in ("keys", "items", "values")
        looped = isinstance(parent, (ast.For, ast.comprehension)) and parent.iter is other
        if not (item or asked or looped or isinstance(parent, ast.Compare)):
            return False
    return True


def endings(code: Code) -> Iterator[Finding]:
    """jt.load("task1.pth"), where all that the program saves under this name ends with .pkl."""
    loads = [c for c in code.every(ast.Call) if name_of(c.func) in ("load", "load_parameters")]
    if code.path == Path("<text>") or not loads:
        return
    saved = {
        pattern
        for other in code.files
        for call in other.every(ast.Call)
        if name_of(call.func).startswith("save")
        for argument in call.args
        if (pattern := file_of(other, argument))[1]
    }
    for call in loads if saved else ():
        if not call.args:
            continue
        stem, ending = file_of(code, call.args[0])
        alike = {e for s, e in saved if is_same(s, stem)} if ending else set()
        if alike and ending not in alike and not lies(code, stem + ending):
            message = f"{stem}{ending} is read, and stored as {stem}{min(alike)}"
            yield code.found(call, ENDING, message)


def file_of(code: Code, node: ast.AST) -> tuple[str, str]:
    """("ckpt_*", ".pkl") of what names a file; ("", "") of anything else."""
    name = pattern(code, node).rpartition("/")[2]
    found = ENDINGS.match(name)
    return (re.sub(r"\*+", "*", found[1]), found[2]) if found else ("", "")


def pattern(code: Code, node: ast.AST, steps: int = STEPS) -> str:
    """A path as far as the code says it, with * for what it does not."""
    if isinstance(node, ast.Name) and steps:
        made = [
            n.value
            for n in code.within(code.source.scope(node))
            if isinstance(n, ast.Assign) and any(name_of(t) == node.id for t in n.targets)
        ]
        return pattern(code, made[0], steps - 1) if len(made) == 1 else "*"
    if isinstance(node, ast.JoinedStr):
        return "".join(v.value if isinstance(v, ast.Constant) else "*" for v in node.values)
    if isinstance(node, ast.BinOp):
        left, right = pattern(code, node.left, steps), pattern(code, node.right, steps)
        if isinstance(node.op, ast.Mod):
            return re.sub(r"%[-\d.]*[a-z]", "*", left)
        return left + ("/" if isinstance(node.op, ast.Div) else "") + right
    if isinstance(node, ast.Call):
        if name_of(node.func) == "format" and isinstance(node.func, ast.Attribute):
            return re.sub(r"\{[^}]*\}", "*", pattern(code, node.func.value, steps))
        if name_of(node.func) in ("join", "Path", "str") and node.args:
            return "/".join(pattern(code, a, steps) for a in node.args)
        return "*"
    value = constant(node)
    return value if isinstance(value, str) else "*"


def is_same(one: str, other: str) -> bool:
    """Whether two names may be one: "ckpt_*" and "ckpt_7"."""
    letters = min(len(re.sub(r"\W", "", name)) for name in (one, other))
    return letters >= LETTERS and (fnmatchcase(one, other) or fnmatchcase(other, one))


def lies(code: Code, name: str) -> bool:
    """Whether the program comes with such a file."""
    folders = {file.parent for file in code.program.texts}
    return any(next(folder.glob(name), None) for folder in folders)


def unused(code: Code) -> Iterator[Finding]:
    """import torch in a file of Jittor's that never uses it, where nothing else of the port needs PyTorch."""
    lines = strangers(code) if code.source.uses_jittor and code.path != Path("<text>") else None
    if not lines:
        return
    near = {*needs(code), *users(code)} - {code}
    if any(strangers(other) is None for other in near) or plain_users(code):
        return
    yield code.found(lines[0], FOREIGN, "nothing here uses PyTorch, which this line asks for")


def strangers(code: Code) -> list[ast.AST] | None:
    """Unguarded imports of PyTorch, in order; None where the file uses what one of them brings."""
    read = {n.id for n in code.every(ast.Name)} | exported(code)
    found = []
    for node in code.every(ast.Import, ast.ImportFrom):
        module = getattr(node, "module", None) or node.names[0].name
        if module.split(".")[0] not in ("torch", "torchvision") or getattr(node, "level", 0):
            continue
        names = {a.asname or a.name.split(".")[0] for a in node.names}
        if names & read or "*" in names:
            return None
        inner = code.source.enclosing(node, (*FUNCTIONS, ast.ClassDef, ast.If, ast.Try))
        if inner is None and not code.source.is_guarded(node):
            found.append(node)
    return sorted(found, key=lambda n: n.lineno)


def exported(code: Code) -> set[str]:
    """Names that other files import from this one, and words of its strings, __all__ among them."""
    names = {
        a.asname or a.name
        for other in code.files
        if other is not code
        for node in other.every(ast.ImportFrom)
        for a in node.names
        if (node.module or "").rpartition(".")[2] == code.path.stem
    }
    return names | {n.value for n in code.every(ast.Constant) if isinstance(n.value, str)}


def plain_users(code: Code) -> bool:
    """Whether a file without Jittor that this one imports speaks PyTorch."""
    own = {other.path for other in code.files}
    return any(
        file.stem in code.imported
        and file not in own
        and re.search(r"^\s*(import|from) torch", text, re.M)
        for file, text in code.program.texts.items()
    )


def repeated(code: Code) -> Iterator[Finding]:
    """np.repeat(x, n).reshape((n, 16)): every number n times, cut into n rows that mix them."""
    for call in code.every(ast.Call):
        inner = call.func.value if isinstance(call.func, ast.Attribute) else None
        shaped = isinstance(inner, ast.Call) and call.func.attr in ("reshape", "view")
        if not shaped or name_of(inner.func) != "repeat" or len(inner.args) != 2 or not call.args:
            continue
        if code.source.dotted(inner.func) != "numpy.repeat" or keyword(inner, "axis"):
            continue
        given = call.args[0].elts if isinstance(call.args[0], ast.Tuple) else call.args
        lead = "*".join(ast.unparse(g) for g in given[:-1])
        times = ast.unparse(inner.args[1]).replace(" ", "")
        if len(given) > 1 and lead.replace(" ", "") == times:
            message = "np.repeat repeats each number, not the whole: np.tile(...)"
            yield code.found(call, REPEATED, message)


RULES = (written, endings, unused, repeated)
