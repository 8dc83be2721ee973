"""Data: what transforms give, how long a loader is."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from parity.atlas.lint.code import Code
from parity.atlas.lint.finding import HINT, WARNING, Finding
from parity.atlas.lint.kinds import NUMPY, VAR
from parity.atlas.lint.source import constant, name_of

LOADERLIKE = re.compile(r"loader|_dl$|batches", re.IGNORECASE)
OF_A_TENSOR = {  # methods that a tensor has and NumPy's array has not
    *("unsqueeze", "permute", "float32", "int32", "float16", "float", "long", "cuda", "cpu"),
    *("stop_grad", "detach", "numpy", "expand", "contiguous", "clamp", "masked_fill", "sigmoid"),
    *("softmax", "relu", "unsqueeze_", "requires_grad_", "clone", "numel"),
}


def arrays(code: Code) -> Iterator[Finding]:
    """x.data.unsqueeze(0), ToTensor()(image).unsqueeze(0): NumPy's arrays here, and tensors in PyTorch."""
    for call in code.every(ast.Call):
        method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        if method not in OF_A_TENSOR or code.source.is_guarded(call):
            continue
        owner = code.of(call.func.value)
        if owner.kind != NUMPY or not owner.made:
            continue
        message = f"{owner.made} is a NumPy array here, which has no {method}: jt.array(...)"
        entry = "data-attribute" if owner.made == ".data" else "to-tensor"
        yield code.found(call, entry, message)


def pictures(code: Code) -> Iterator[Finding]:
    """ToPILImage()(x), which takes [H, W, C] of a Var, too."""
    for call in code.every(ast.Call):
        maker = call.func.func if isinstance(call.func, ast.Call) else call.func
        path = code.source.dotted(maker)
        direct = path == "jittor.transform.to_pil_image"
        made = path == "jittor.transform.ToPILImage" and isinstance(call.func, ast.Call)
        if not (direct or made) or not call.args:
            continue
        if code.of(call.args[0]).kind == VAR or channels_first(code, call.args[0]):
            message = "ToPILImage takes [H, W, C] here, of a Var as well: transpose(1, 2, 0) first"
            level = WARNING if channels_first(code, call.args[0]) else HINT
            yield code.found(call, "to-pil-tensor", message, level=level)


def channels_first(code: Code, node: ast.AST) -> bool:
    """x.transpose(2, 0, 1), at once or as the last assignment of the name."""
    if isinstance(node, ast.Name):
        before = [
            n
            for n in code.within(code.source.scope(node))
            if isinstance(n, ast.Assign)
            and n.lineno < node.lineno
            and any(isinstance(t, ast.Name) and t.id == node.id for t in n.targets)
        ]
        values = [n.value for n in sorted(before, key=lambda n: n.lineno)[-2:]]
        kept = [
            v for v in values if node.id in {n.id for n in ast.walk(v) if isinstance(n, ast.Name)}
        ]
        return any(channels_first(code, v) for v in kept if not isinstance(v, ast.Name))
    while isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        numbers = [constant(a) for a in node.args]
        if node.func.attr in ("transpose", "permute"):
            return numbers in ([2, 0, 1], [(2, 0, 1)], [[2, 0, 1]])
        node = node.func.value
    return False


def lengths(code: Code) -> Iterator[Finding]:
    """len(loader) where the sets say their length by __len__: items, where PyTorch's loader counts batches. Told once
    a file."""
    if not code.sets or not all(code.sets.values()):
        return
    names = ", ".join(sorted(code.sets)[:2])
    found = []
    for call in code.every(ast.Call):
        if not (isinstance(call.func, ast.Name) and call.func.id == "len" and call.args):
            continue
        around = code.parent(call)
        divided = (
            isinstance(around, ast.BinOp)
            and isinstance(around.op, (ast.Div, ast.FloorDiv, ast.Mod))
            and "batch" in ast.unparse(around.right)
        )
        over = isinstance(around, ast.BinOp) and around.right is call
        hits = over and re.search(r"correct|\bhits?\b|\blen\(", ast.unparse(around.left))
        divided = divided or bool(hits) or prints_items(code, call)
        named = LOADERLIKE.search(name_of(call.args[0])) or gives_batches(code, call)
        loader = named and not divided
        if loader and code.speaks_jittor(call):
            message = f"counts items, not batches: {names} has a __len__; say set_attrs(total_len=)"
            level = HINT if counts_little(code, call) else WARNING
            found.append(code.found(call, "loader-own-length", message, level=level))
    yield from sorted(found, key=lambda f: f.level == HINT)[:1]


def prints_items(code: Code, call: ast.Call) -> bool:
    """ "{}/{}".format(correct, len(loader))."""
    around = code.parent(call)
    beside = [name_of(a) for a in around.args] if isinstance(around, ast.Call) else []
    return any(re.search(r"correct|^hits?$", name) for name in beside)


def counts_little(code: Code, call: ast.Call) -> bool:
    """The end of a progress bar, a list of loaders, or batches of one."""
    around = code.parent(call)
    bar = isinstance(around, ast.keyword) and around.arg == "total"
    several = name_of(call.args[0]).endswith("loaders")
    sizes = [k.value for c in code.every(ast.Call) for k in c.keywords if k.arg == "batch_size"]
    while isinstance(around, (ast.FormattedValue, ast.JoinedStr)):
        around = code.parent(around)
    shown = isinstance(around, ast.Call) and name_of(around.func) in ("print", "format", "info")
    return bar or shown or several or (bool(sizes) and all(constant(size) == 1 for size in sizes))


def gives_batches(code: Code, call: ast.Call) -> bool:
    """len(data) in a function that loops over `data` itself, which gives batches."""
    loops = (n for n in code.within(code.source.scope(call)) if isinstance(n, ast.For))
    name = re.escape(ast.unparse(call.args[0]))
    if not re.search(r"data|(^|_)set$", name, re.IGNORECASE):
        return False
    return any(
        re.fullmatch(rf"(?:tqdm\()?enumerate\((?:tqdm\()?{name}\b\)*.*", ast.unparse(n.iter))
        for n in loops
    )


RULES = (arrays, pictures, lengths)
