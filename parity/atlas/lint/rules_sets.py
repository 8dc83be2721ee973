"""Data sets: what they keep, and what one item is."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from parity.atlas.lint.code import Code
from parity.atlas.lint.finding import HINT, WARNING, Finding
from parity.atlas.lint.kinds import NUMBER
from parity.atlas.lint.rules_own import CALL
from parity.atlas.lint.source import keyword, name_of

OF_A_SET = {
    "shuffle",
    "drop_last",
    "batch_size",
    "num_workers",
    "buffer_size",
    "endless",
    "sampler",
}
NUMBERLIKE = re.compile(r"label|target|cls|class|category|(^|_)(y|id|idx)$", re.IGNORECASE)
MAKERS = {"int32", "int64", "float32", "float64", "array", "Var"}


def own_sets(code: Code) -> Iterator[tuple[ast.ClassDef, dict[str, ast.FunctionDef]]]:
    for owner in code.every(ast.ClassDef):
        bases = [code.source.dotted(base) for base in owner.bases]
        if any(b.startswith("jittor.dataset") and b.endswith("Dataset") for b in bases):
            yield owner, {n.name: n for n in owner.body if isinstance(n, ast.FunctionDef)}


def attributes(code: Code) -> Iterator[Finding]:
    """self.shuffle of a set's own, asked in __getitem__: it is what set_attrs(shuffle=) says."""
    for owner, methods in own_sets(code):
        reads = [
            n
            for n in ast.walk(methods.get("__getitem__", ast.Module([], [])))
            if is_own(n, ast.Load) and n.attr in OF_A_SET
        ]
        for node in ast.walk(methods.get("__init__", owner)):
            if is_own(node, ast.Store) and node.attr in {n.attr for n in reads}:
                message = f"{node.attr} is Jittor's own: the loader reads it, set_attrs() writes it"
                yield code.found(node, "dataset-attribute", message)


def is_own(node: ast.AST, context: type) -> bool:
    """self.x, read or written."""
    own = isinstance(node, ast.Attribute) and name_of(node.value) == "self"
    return own and isinstance(node.ctx, context)


def items(code: Code) -> Iterator[Finding]:
    """return image, jt.int32(label): an array of one axis, of which a batch is [n, 1]. Losses flatten it; what argmax
    found is [n], and compared with it gives [n, n]."""
    for owner, methods in own_sets(code):
        method = methods.get("__getitem__") if is_compared(code, owner.name) else None
        for node in ast.walk(method) if method else ():
            parts = node.value if isinstance(node, ast.Return) else None
            for part in parts.elts if isinstance(parts, ast.Tuple) else [parts]:
                if isinstance(part, ast.Call) and makes_one(code, part, method):
                    message = f"{ast.unparse(part)} has an axis: a batch is [n, 1], PyTorch's [n]"
                    yield code.found(part, "item-of-one", message, level=HINT)  # rarely matters


def is_compared(code: Code, name: str) -> bool:
    """Whether a file of the program that names this set makes batches and takes argmax."""
    for other in code.files:
        names = other.names
        sizes = any(k.arg == "batch_size" for c in other.every(ast.Call) for k in c.keywords)
        if sizes and "argmax" in names and (other is code or name in names):
            return True
    return False


def makes_one(code: Code, call: ast.Call, method: ast.FunctionDef) -> bool:
    space, _, name = code.source.dotted(call.func).rpartition(".")
    if space != "jittor" or name not in MAKERS or len(call.args) != 1:
        return False
    given = call.args[0]
    return code.of(given).kind == NUMBER or (
        isinstance(given, ast.Name) and bool(NUMBERLIKE.search(given.id)) and paired(given, method)
    )


def paired(name: ast.Name, method: ast.FunctionDef) -> bool:
    """path, label = self.samples[i]: an entry of a list of pairs."""
    return any(
        isinstance(n, ast.Assign)
        and isinstance(n.targets[0], ast.Tuple)
        and name.id in {name_of(t) for t in n.targets[0].elts}
        and isinstance(n.value, ast.Subscript)
        and isinstance(n.value.value, ast.Attribute)
        for n in ast.walk(method)
    )


CROPS = {"CenterCrop", "RandomCrop", "RandomCropAndResize", "RandomResizedCrop", "FiveCrop"}


def squares(code: Code) -> Iterator[Finding]:
    """Resize(256) before a crop: a square here, where PyTorch keeps the proportions."""
    for call in code.every(ast.Call):
        size = keyword(call, "size")
        path, given = code.source.dotted(call.func), call.args[:1] or [size and size.value]
        if path != "jittor.transform.Resize" or len(given) != 1 or not is_number(code, given[0]):
            continue
        steps = code.parent(call)
        others = steps.elts if isinstance(steps, (ast.List, ast.Tuple)) else appended(code, steps)
        cropped = any(isinstance(s, ast.Call) and name_of(s.func) in CROPS for s in others)
        message = f"Resize of one number is a square here: PyTorch's makes the short side {ast.unparse(given[0])}"
        level = WARNING if cropped else HINT
        yield code.found(call, "resize-short-side", message, level=level)


def appended(code: Code, node: ast.AST | None) -> list[ast.AST]:
    """What the function appends to the list to which this call appends."""
    if not isinstance(node, ast.Call) or name_of(node.func) != "append":
        return []
    text = ast.unparse(node.func)
    calls = (n for n in code.within(code.source.scope(node)) if isinstance(n, ast.Call))
    return [a for n in calls if ast.unparse(n.func) == text for a in n.args]


def is_number(code: Code, node: ast.AST) -> bool:
    return code.of(node).kind == NUMBER and not isinstance(node, (ast.Tuple, ast.List))


def counted(code: Code) -> Iterator[Finding]:
    """for i in range(len(MNIST())): batches, not items, of a set of Jittor's own."""
    for loop in code.every(ast.For, ast.comprehension):
        found = re.fullmatch(r"range\(len\((\w+)\)\)", ast.unparse(loop.iter))
        if not found or not is_set_of_jittor(code, found[1]):
            continue
        message = f"len({found[1]}) counts batches: {found[1]}.total_len counts items"
        yield code.found(loop.iter, "dataset-length", message)


def divided(code: Code) -> Iterator[Finding]:
    """len(loader) // self.batch_size, where no set of the program counts its items itself."""
    own = code.sets or {}
    if not own or any(own.values()):
        return
    for node in code.every(ast.BinOp):
        whole = isinstance(node.op, (ast.FloorDiv, ast.Div))
        found = whole and re.fullmatch(r"len\(((?:\w+\.)*\w*loader\w*)\)", ast.unparse(node.left))
        named = found and name_of(node.right) in ("batch_size", "batchsize", "bs")
        if named and (code.speaks_jittor(node) or not code.source.uses_torch):
            yield code.found(node, "dataset-length", f"len({found[1]}) counts batches already")


def overwritten(code: Code) -> Iterator[Finding]:
    """DataLoader(data, batch_size=a).set_attrs(batch_size=b): the second counts."""
    for call in code.every(ast.Call):
        inner = call.func.value if isinstance(call.func, ast.Attribute) else None
        if name_of(call.func) != "set_attrs" or not isinstance(inner, ast.Call):
            continue
        first = {k.arg: ast.unparse(k.value) for k in inner.keywords if k.arg}
        for given in call.keywords:
            text = ast.unparse(given.value)
            if first.get(given.arg, text) != text:
                message = f"{given.arg}={first[given.arg]} before it is overwritten"
                yield code.found(given.value, OVERWRITTEN, message)


OVERWRITTEN, ONCE = "option-overwritten", "augmented-once"
RANDOM = re.compile(r"\bRandom\w*(Crop|Flip|Rotation|Affine|Erasing)|\bColorJitter\b")


def once(code: Code) -> Iterator[Finding]:
    """for i in range(n): kept.append(pictures[i]) in a set's __init__, where the program's transforms are random."""
    if not any(RANDOM.search(text) for text in code.program.texts.values()):
        return
    for owner in code.every(ast.ClassDef):
        makers = [n for n in owner.body if getattr(n, "name", "") == "__init__"]
        later = [n for n in owner.body if getattr(n, "name", "") == "__getitem__"]
        drawn = later and "transform" in ast.unparse(later[0])
        if owner.name not in code.sets or not makers or not later or drawn:
            continue
        for loop in (n for n in code.within(makers[0]) if isinstance(n, ast.For)):
            text = ast.unparse(loop)
            taken = next((n for n in code.within(loop) if draws(loop, n)), None)
            if taken is not None and ".append(" in text:
                message = (
                    "random crops and flips are drawn once, as the set is made: in __getitem__"
                )
                yield code.found(taken, ONCE, message)


def draws(loop: ast.For, node: ast.AST) -> bool:
    """dataset[i] by the loop's index, self.transform(picture)."""
    if isinstance(node, ast.Subscript) and isinstance(loop.target, ast.Name):
        index = isinstance(node.slice, ast.Name) and node.slice.id == loop.target.id
        return index and isinstance(node.ctx, ast.Load) and "dataset" in name_of(node.value).lower()
    return isinstance(node, ast.Call) and name_of(node.func) in ("transform", "transforms")


def is_set_of_jittor(code: Code, name: str) -> bool:
    """Whether all that the file assigns to a name are data sets made by Jittor's own classes."""
    made = [
        code.source.dotted(n.value.func) if isinstance(n.value, ast.Call) else ""
        for n in code.every(ast.Assign)
        if name_of(n.targets[0]) == name
    ]
    return bool(made) and all(p.startswith("jittor.dataset.") and p[-6:] != "Loader" for p in made)


KNOWN = {  # what set_attrs() sets
    *("batch_size", "buffer_size", "drop_last", "endless", "epoch_id", "keep_numpy_array"),
    *("num_workers", "sampler", "shuffle", "stop_grad", "total_len", "dataset"),
}


def attrs(code: Code) -> Iterator[Finding]:
    """set_attrs(collate_fn=...), DataLoader(data, pin_memory=True): it sets what a data set has, nothing else."""
    own = set().union(*(other.attributes_set for other in code.files))
    for call in code.every(ast.Call):
        path, name = code.source.dotted(call.func), name_of(call.func)
        loads = path == "jittor.dataset.DataLoader" or path == "jittor.dataset.dataset.DataLoader"
        sets = name == "set_attrs" and code.speaks_jittor(call)
        unknown = [k.arg for k in call.keywords if k.arg and k.arg not in KNOWN | own]
        if (sets or loads) and unknown and not code.source.is_guarded(call):
            message = f"a data set has no attribute {unknown[0]}: {name} raises"
            yield code.found(call, "keyword-unknown", message)


def unmade(code: Code) -> Iterator[Finding]:
    """A data set's own __init__() without super().__init__(), which makes what set_attrs() and the loader ask for."""
    for owner, methods in own_sets(code):
        made = methods.get("__init__")
        if made is None or not is_instantiated(code, owner.name):
            continue
        calls = (name_of(n.func) for n in ast.walk(owner) if isinstance(n, ast.Call))
        if "__init__" not in calls:
            message = (
                f"{owner.name} leaves out super().__init__(), whose attributes the loader reads"
            )
            yield code.found(made, CALL, message)


def is_instantiated(code: Code, name: str) -> bool:
    return any(name_of(c.func) == name for other in code.files for c in other.every(ast.Call))


def composed(code: Code) -> Iterator[Finding]:
    """steps = Compose([...]), then steps.insert(2, ...): a Compose is no list, here nor there."""
    made = {
        name_of(n.targets[0])
        for n in code.every(ast.Assign)
        if isinstance(n.value, ast.Call) and code.source.dotted(n.value.func) == COMPOSE
    }
    for call in code.every(ast.Call):
        owner = call.func.value if isinstance(call.func, ast.Attribute) else None
        if (
            not isinstance(owner, ast.Name)
            or call.func.attr not in OF_A_LIST
            or owner.id not in made
        ):
            continue
        if not code.source.is_guarded(call) and only_composed(code, owner.id):
            message = f"a Compose has no {call.func.attr}(): make the list first"
            yield code.found(call, CALL, message)


def only_composed(code: Code, name: str) -> bool:
    """Whether all that the file assigns to a name are Composes."""
    made = [n.value for n in code.every(ast.Assign) if name_of(n.targets[0]) == name]
    return all(isinstance(v, ast.Call) and code.source.dotted(v.func) == COMPOSE for v in made)


COMPOSE = "jittor.transform.Compose"
OF_A_LIST = {"insert", "append", "extend", "pop", "remove"}
RULES = (attrs, attributes, items, squares, counted, divided, overwritten, once, unmade, composed)
