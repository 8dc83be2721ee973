"""What a program asks for and nowhere stores: keys of its batches and results, folders that it writes to, an order of
its training data that it never changes.

Before: the files of a port. After: findings that no atlas has: they are wrong in any framework.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from parity.atlas.lint.code import Code
from parity.atlas.lint.finding import Finding
from parity.atlas.lint.rules_called import resolved
from parity.atlas.lint.rules_training import is_step
from parity.atlas.lint.source import FUNCTIONS, constant, keyword, name_of
from parity.atlas.lint.values import own_returns

KEYS, FOLDER, ORDER = "never-stored", "folder-missing", "never-shuffled"
SAVERS = {"save", "savefig", "savez", "savetxt", "save_image"}
MAKERS = {"makedirs", "mkdir", "ensure_dir", "copytree", "mkdirs", "mkdir_or_exist"}
MIXES = re.compile(
    r"shuffle\w*\s*=\s*(?!False|None)\w|[Ss]ampler|permut|shuffle\(|randperm|random\.(sample|choice)"
)
LOADERS = re.compile(r"loader|dataset|set_attrs", re.IGNORECASE)


def results(code: Code) -> Iterator[Finding]:
    """out = net(x), then out["logits"], where all that execute returns are dicts without that key."""
    for call, (name, function, _) in resolved(code):
        node = code.parent(call)
        held = node.targets[0] if isinstance(node, ast.Assign) else None
        if not isinstance(held, ast.Name):
            continue
        known = keys_of(code, function)
        reads = list(code.loads(code.source.scope(call), held.id, call.end_lineno)) if known else []
        stores = [n for n in code.stores(code.source.scope(call)) if n.id == held.id]
        if len(stores) > 1 or any(not is_item(code, r) for r in reads):
            continue  # something else, or handed on to somebody who may add to it
        for read in reads:
            place = code.parent(read)
            key = constant(place.slice)
            written = not isinstance(place.ctx, ast.Load)
            if written:
                known = known | {key}
            elif isinstance(key, str) and key not in known and not code.source.is_guarded(place):
                yield code.found(place, KEYS, f"{name}() stores no {key!r}")


def is_item(code: Code, read: ast.Name) -> bool:
    """Whether a name stands for itself alone, or for its items."""
    parent = code.parent(read)
    return isinstance(parent, ast.Subscript) and parent.value is read


def keys_of(code: Code, function: ast.FunctionDef) -> set[str]:
    """The keys of all dicts that a function returns; none where one of them is no plain dict."""
    home = next((c for c in code.files if function in c.source.parents), None)
    returns = [r.value for r in own_returns(home.source, function)] if home else []
    found: set[str] = set()
    for value in returns:
        keys = literal_keys(home, function, value)
        if not keys:
            return set()
        found |= keys
    return found


def literal_keys(code: Code, function: ast.FunctionDef, node: ast.AST | None) -> set[str]:
    """Of {"a": 1}, and of d = {"a": 1}; d["b"] = 2; none where there may be more."""
    if isinstance(node, ast.Dict):
        keys = [constant(k) if k is not None else None for k in node.keys]
        return set(keys) if all(isinstance(k, str) for k in keys) else set()
    if not isinstance(node, ast.Name):
        return set()
    found: set[str] = set()
    for other in code.within(function):
        if not isinstance(other, ast.Name) or other.id != node.id or other is node:
            continue
        parent = code.parent(other)
        if isinstance(other.ctx, ast.Store):
            made = isinstance(parent, ast.Assign) and isinstance(parent.value, ast.Dict)
            keys = literal_keys(code, function, parent.value) if made else set()
            if not made or (parent.value.keys and not keys):
                return set()
            found |= keys
        elif isinstance(parent, ast.Subscript) and parent.value is other:
            key = constant(parent.slice)
            if not isinstance(parent.ctx, ast.Load) and not isinstance(key, str):
                return set()
            found |= {key} if not isinstance(parent.ctx, ast.Load) else set()
        elif not isinstance(parent, ast.Return):
            return set()  # update(), or somebody else's hands
    return found


def batches(code: Code) -> Iterator[Finding]:
    """for batch in loader: batch["beta"], where the sets of the program give dicts, and nothing stores "beta"."""
    stored = batch_keys(code)
    if not stored:
        return
    for loop in code.every(ast.For):
        text = ast.unparse(loop.iter)
        target = loop.target.elts[-1] if isinstance(loop.target, ast.Tuple) else loop.target
        if not re.search(r"loader", text, re.IGNORECASE) or not isinstance(target, ast.Name):
            continue
        for node in code.within(loop):
            read = isinstance(node, ast.Subscript) and name_of(node.value) == target.id
            key = constant(node.slice) if read and isinstance(node.ctx, ast.Load) else None
            if isinstance(key, str) and key not in stored and not code.source.is_guarded(node):
                yield code.found(node, KEYS, f"no data set of the program stores {key!r}")


def batch_keys(code: Code) -> set[str]:
    """All keys that the program stores anywhere, where what its sets give are dicts whose keys it writes itself."""
    gives = False
    stored: set[str] = set()
    for other in code.files:
        for node in other.every(ast.FunctionDef):
            if node.name == "__getitem__":
                returns = [r.value for r in own_returns(other.source, node)]
                plain = bool(returns) and all(literal_keys(other, node, v) for v in returns)
                if not plain:
                    return set()
                gives = True
        stored |= keys_written(other)
    return stored if gives else set()


def keys_written(code: Code) -> set[str]:
    found: set[str] = set()
    for node in code.every(ast.Dict, ast.Subscript, ast.Call):
        if isinstance(node, ast.Dict):
            found |= {constant(k) for k in node.keys if isinstance(constant(k), str)}
        elif isinstance(node, ast.Call):
            found |= {k.arg for k in node.keywords if k.arg}
        elif not isinstance(node.ctx, ast.Load) and isinstance(constant(node.slice), str):
            found.add(constant(node.slice))
    return found


def folders(code: Code) -> Iterator[Finding]:
    """net.save("ckpts/best.pkl"), where the program has no such folder and makes none. Told once a folder."""
    texts = code.program.texts
    if code.path == Path("<text>") or any(m in text for text in texts.values() for m in MAKERS):
        return
    told = set()
    for call in code.every(ast.Call):
        saves = name_of(call.func) in SAVERS and code.speaks_jittor(call)
        folder = next((f for a in call.args if (f := folder_of(a))), "") if saves else ""
        if folder and folder not in told and not any((p / folder).exists() for p in places(code)):
            told.add(folder)
            yield code.found(call, FOLDER, f"nothing makes the folder {folder}: os.makedirs()")


def unmade(code: Code) -> Iterator[Finding]:
    """jt.save(x, os.path.join(log, "ckpts", name)), where no line of the program that makes folders names "ckpts";
    np.save("ckpts/a.npy", x) likewise."""
    if code.path == Path("<text>"):
        return
    for call in code.every(ast.Call):
        joined = [
            a
            for a in call.args
            if isinstance(a, ast.Call) and name_of(a.func) == "join" and len(a.args) > 2
        ]
        arrays = code.source.uses_jittor and code.source.dotted(call.func).startswith("numpy.")
        if name_of(call.func) not in SAVERS or not (arrays or code.speaks_jittor(call)):
            continue
        last = next((f for a in call.args if (f := folder_of(a))), "").rpartition("/")[2]
        for folder in [*map(constant, joined[0].args[1:-1] if joined else ()), last]:
            plain = isinstance(folder, str) and re.fullmatch(r"\w{3,}", folder)
            if plain and not names_folder(code, folder):
                message = f"nothing makes the folder {folder}: os.makedirs()"
                yield code.found(call, FOLDER, message)
                return


def names_folder(code: Code, folder: str) -> bool:
    """Whether a line that neither saves nor loads names a folder, or the program comes with one."""
    quoted = re.compile(rf"""['"/]{re.escape(folder)}['"/]""")
    lines = (line for text in code.program.texts.values() for line in text.splitlines())
    if any(
        quoted.search(line) and not re.search(r"save\(|load\(|\.(pkl|pth)", line) for line in lines
    ):
        return True
    return any((place / folder).exists() for place in places(code))


def places(code: Code) -> list[Path]:
    """Folders that the program may be started in."""
    return [p for p in code.path.resolve().parents if len(p.parts) > 2][:5]


def folder_of(node: ast.AST) -> str:
    """ "ckpts" of "ckpts/a.pkl", f"ckpts/{n}.pkl", "ckpts/" + name, os.path.join("ckpts", name); "" of other paths."""
    if isinstance(node, ast.BinOp):
        return folder_of(node.left)
    if isinstance(node, ast.Call) and name_of(node.func) == "join" and len(node.args) > 1:
        text = constant(node.args[0])
        return clean(f"{text}/") if isinstance(text, str) else ""
    if isinstance(node, ast.Call) and name_of(node.func) == "format":
        return folder_of(node.func.value) if isinstance(node.func, ast.Attribute) else ""
    if isinstance(node, ast.JoinedStr):
        node = node.values[0] if node.values else node
    text = constant(node)
    return clean(text) if isinstance(text, str) else ""


def clean(text: str) -> str:
    folder = text.rpartition("/")[0].removeprefix("./")
    plain = re.fullmatch(r"[\w./-]+", folder) and not folder.startswith(("/", "~", ".."))
    plain = plain and not re.search(r"debug|te?mp", folder)
    return folder if plain else ""


def order(code: Code) -> Iterator[Finding]:
    """A program that trains on a loader's batches, and whose every file leaves the data's order as it is."""
    if not code.source.uses_jittor or not any(
        is_loader(code, call) for call in code.every(ast.Call)
    ):
        return
    if any(MIXES.search(text) for text in code.program.texts.values()):
        return
    if not any(trains(other) for other in code.files):
        return
    loaders = [(c, call) for c in code.files for call in c.every(ast.Call) if is_loader(c, call)]
    wanted = [p for p in loaders if "train" in ast.unparse(around(*p)).lower()] or loaders
    if wanted and wanted[0][0] is code:
        message = "nothing shuffles what is trained on: shuffle=True"
        yield code.found(wanted[0][1], ORDER, message)


def trains(code: Code) -> bool:
    """Whether a loop over batches takes steps."""
    for call in code.every(ast.Call):
        if isinstance(call.func, ast.Attribute) and code.source.enclosing(call, (ast.For,)):
            owner = ast.unparse(call.func.value)
            if is_step(call.func.attr, owner, call) and code.speaks_jittor(call):
                return True
    return False


def around(code: Code, call: ast.Call) -> ast.AST:
    return code.source.enclosing(call, (ast.stmt,)) or call


def is_loader(code: Code, call: ast.Call) -> bool:
    """A loader or a set of Jittor's that is told how large a batch is, and given no third argument: shuffle."""
    path, name = code.source.dotted(call.func), name_of(call.func)
    if keyword(call, "batch_size") is None or code.source.enclosing(call, FUNCTIONS[2:]):
        return False
    own = name in code.sets or path.startswith("jittor.dataset")
    return (own or name == "set_attrs") and len(call.args) < 3


RULES = (results, batches, folders, unmade, order)
