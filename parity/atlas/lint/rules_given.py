"""Arrays given to what does not take them: Vars to NumPy's functions, NumPy's arrays to Jittor's, lists' methods
asked of Jittor's lists of layers.

Before: a file of a port. After: findings, each measured with Jittor 1.3.11: what is told here raises, or gives 0.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from parity.atlas.lint.code import Code, Operation
from parity.atlas.lint.finding import HINT, WARNING, Edit, Finding, instead, renamed
from parity.atlas.lint.kinds import MODULE, NUMPY, PARAMETER, SCHEDULER, VAR
from parity.atlas.lint.source import constant, keyword, name_of, value_of

OF_VAR, OF_NUMPY = "numpy-of-var", "array-given"
REFUSED = {  # functions of NumPy's that hand a Var on to its method, or ask it for a dtype
    *("sum", "mean", "max", "min", "amax", "amin", "std", "var", "prod", "any", "all", "argsort"),
    *("transpose", "dot", "float32", "int32", "uint8"),
}
TAKERS = {"array", "asarray"}  # with a dtype
PICTURES = ("cv2.", "PIL.Image.fromarray")
VARS_ONLY = {  # functions of Jittor's, and how many arguments have to be Vars
    **dict.fromkeys(("matmul", "bmm", "cross_entropy_loss", "grid_sample"), 2),
    **dict.fromkeys(("softmax", "log_softmax", "interpolate", "norm", "clamp", "pad", "flip"), 1),
    **dict.fromkeys(("cumsum", "unique", "repeat", "topk"), 1),
}
LAYERS = ("Linear", "Conv", "Conv1d", "Conv2d", "Conv3d")
BY_DIM = {
    "sum",
    "mean",
    "max",
    "min",
    "prod",
    "argsort",
}  # compiled: no signature tells of their keywords
LISTS = ("Sequential", "ModuleList")
OF_LISTS = {"insert", "extend", "pop", "remove", "reverse", "clear"}
OF_SCHEDULERS = {"get_last_lr", "print_lr"}


def to_numpy(code: Code) -> Iterator[Finding]:
    """np.mean(x), np.array(x, dtype=...), cv2.resize(x, size), round(x, 2) of a Var."""
    for call in code.every(ast.Call):
        path, name = code.source.dotted(call.func), name_of(call.func)
        given = call.args[0] if call.args else None
        if path.startswith("numpy."):
            typed = name in TAKERS and (len(call.args) > 1 or keyword(call, "dtype"))
            refused = name in REFUSED or typed or (name == "squeeze" and len(call.args) > 1)
        else:
            rounds = not path and isinstance(call.func, ast.Name) and name == "round"
            refused = path.startswith(PICTURES) or rounds
        if refused and is_array(code, given) and not code.source.is_guarded(call):
            message = f"{ast.unparse(call.func)} refuses a Var: {ast.unparse(given)[:40]}.numpy()"
            yield code.found(call, OF_VAR, message)
    for node in code.every(ast.Assign):
        target = node.targets[0]
        cut = isinstance(target, ast.Subscript) and code.of(target.value).kind == NUMPY
        if cut and is_array(code, node.value) and any(sliced(target.slice)):
            yield code.found(node, OF_VAR, "an array of NumPy's takes no Var in a slice: .numpy()")


def is_array(code: Code, node: ast.AST | None) -> bool:
    """A Var, or a list written of Vars."""
    if isinstance(node, (ast.List, ast.Tuple)) and node.elts:
        return False  # np.mean([a, b]) works
    return code.is_var(node)


def sliced(index: ast.AST) -> Iterator[bool]:
    parts = index.elts if isinstance(index, ast.Tuple) else [index]
    return (isinstance(part, ast.Slice) for part in parts)


def from_numpy(code: Code) -> Iterator[Finding]:
    """jt.matmul(x, np.eye(3)), nn.softmax(x.numpy(), dim=1), self.conv(array)."""
    for o in code.operations:
        wanted = [o.x, *o.given][: VARS_ONLY.get(o.name, 0)]
        if o.is_method and o.name != "matmul":
            continue
        for given in wanted:
            if code.of(given).kind == NUMPY and not code.source.is_guarded(o.call):
                text = ast.unparse(given)[:40]
                message = f"{o.name} takes Vars, and {text} is NumPy's: jt.array({text})"
                yield code.found(o.call, OF_NUMPY, message)
                break
    for call in code.every(ast.Call):
        layer = code.of(call.func)
        own = layer.kind == MODULE and layer.made in LAYERS and call.args
        if own and code.of(call.args[0]).kind == NUMPY:
            message = f"{layer.made} takes a Var, and {ast.unparse(call.args[0])[:40]} is NumPy's"
            yield code.found(call, OF_NUMPY, message)
    for node in code.every(ast.BinOp):
        kinds = {code.of(node.left).kind, code.of(node.right).kind}
        if isinstance(node.op, ast.MatMult) and kinds == {VAR, NUMPY}:
            yield code.found(node, OF_NUMPY, "@ of a Var and an array of NumPy's: jt.array(...)")


def mask_means(code: Code) -> Iterator[Finding]:
    """(prediction == label).mean(): an integer, and 0."""
    for o in code.named("mean"):
        if not (code.is_boolean(o.x) and (o.is_method or code.is_var(o.x))):
            continue
        edits = []
        if o.is_method and o.call.func.lineno == o.call.func.end_lineno:
            place = (o.call.func.end_lineno, o.call.func.end_col_offset - len(".mean"))
            edits = [Edit(place, place, ".float()")]
        level = WARNING if o.sure and code.is_var(o.x) else HINT
        message = "the mean of a mask is an integer here, and 0: .float() first"
        yield code.found(o.call, "mean-of-mask", message, *edits, level=level)


def axes(code: Code) -> Iterator[Finding]:
    """x.mean(axis=1) of a Var, where the keyword is dim."""
    for o in code.named(*BY_DIM):
        given = keyword(o.call, "axis")
        if given is not None and (code.is_var(o.x) if o.is_method else not_numpy(code, o)):
            message = f"{o.name} knows no axis=; it is dim="
            yield code.found(o.call, "keyword-unknown", message, renamed(given, "dim"))


def not_numpy(code: Code, o: Operation) -> bool:
    return code.of(o.x).kind in ("", VAR) and not code.source.is_guarded(o.call)


def indices(code: Code) -> Iterator[Finding]:
    """x[range(3)], x[:, range(3)] of a Var."""
    for node in code.every(ast.Subscript):
        parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        ranges = [p for p in parts if isinstance(p, ast.Call) and name_of(p.func) == "range"]
        if ranges and code.is_var(node.value):
            text = f"list({ast.unparse(ranges[0])})"
            edit = instead(ranges[0], text)
            yield code.found(node, "index-range", f"a range is no index: {text}", edit)


def scattered(code: Code) -> Iterator[Finding]:
    """x.scatter_(1, index, 1.0): the value has to be an array."""
    for o in code.named("scatter", "scatter_"):
        value = o.at(2, "src")
        if isinstance(constant(value), (int, float)) and not code.source.is_guarded(o.call):
            text = ast.unparse(value)
            message = f"scatter takes an array, not {text}: jt.full_like(index, {text})"
            yield code.found(o.call, "scatter-number", message)


def norms(code: Code) -> Iterator[Finding]:
    """norm = optimizer.clip_grad_norm(1.0), then a use of norm."""
    for call in code.every(ast.Call):
        name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        if name != "clip_grad_norm" or not code.speaks_jittor(call):
            continue
        parent = code.parent(call)
        if isinstance(parent, ast.Assign) and isinstance(parent.targets[0], ast.Name):
            scope, kept = code.source.scope(call), parent.targets[0].id
            read = next(code.loads(scope, kept, call.end_lineno), None)
            if read is not None:
                message = f"clip_grad_norm returns nothing: line {read.lineno} uses {kept}"
                yield code.found(call, "clip-returns-norm", message)


def lists(code: Code) -> Iterator[Finding]:
    """self.blocks.extend([...]), self.features[0] = nn.Conv2d(...): a Sequential is no list here."""
    for node in code.every(ast.Call, ast.Assign, ast.Delete):
        what, owner = "", None
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            what = f"{node.func.attr}()" if node.func.attr in OF_LISTS else ""
            owner = node.func.value
        elif isinstance(node, (ast.Assign, ast.Delete)):
            target = node.targets[0]
            what = "setting an item" if isinstance(target, ast.Subscript) else ""
            owner = getattr(target, "value", None)
        value = code.of(owner)
        held = what and value.kind == MODULE and value.made in LISTS
        if held and not code.source.is_guarded(node):
            message = (
                f"a {value.made} of Jittor's knows no {what}: make the list first, or append()"
            )
            yield code.found(node, "sequential-modules", message)


def rates(code: Code) -> Iterator[Finding]:
    """scheduler.get_last_lr(), which Jittor's schedulers have not."""
    for call in code.every(ast.Call):
        name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        owner = code.of(call.func.value) if name in OF_SCHEDULERS else None
        if owner is not None and owner.kind == SCHEDULER and owner.made != "LambdaLR":
            message = f"a scheduler of Jittor's has no {name}(): optimizer.lr"
            yield code.found(call, "name-missing", message)


def counts(code: Code) -> Iterator[Finding]:
    """jt.unique(x, return_counts=True), which counts nothing unless it is asked for the inverse as well."""
    for call in code.every(ast.Call):
        if (
            name_of(call.func) != "unique"
            or constant(value_of(call, 2, "return_counts")) is not True
        ):
            continue
        plain = code.source.dotted(call.func) == "jittor.unique"
        known = plain or (
            isinstance(call.func, ast.Attribute) and code.of(call.func.value).kind == VAR
        )
        if known and value_of(call, 1, "return_inverse") is None:
            message = "unique() counts nothing without return_inverse=True, and gives one Var"
            yield code.found(call, "keyword-unknown", message)


def gradients(code: Code) -> Iterator[Finding]:
    """net.weight.grad = None: nothing writes a Var's gradient."""
    for node in code.every(ast.Assign):
        for target in node.targets:
            written = isinstance(target, ast.Attribute) and target.attr == "grad"
            known = written and code.of(target.value).kind in (VAR, PARAMETER)
            emptied = written and ast.unparse(node) != "self.grad = None"
            emptied = emptied and isinstance(node.value, ast.Constant) and node.value.value is None
            if (known or emptied) and code.speaks_jittor(node) and not code.source.is_guarded(node):
                message = "a Var's grad is not writable: the optimiser keeps the gradients"
                yield code.found(node, "name-missing", message)


def in_memory(code: Code) -> Iterator[Finding]:
    """jt.save(state, io.BytesIO())"""
    for call in code.every(ast.Call):
        place = call.args[1] if len(call.args) > 1 else None
        if place is None or code.source.dotted(call.func) != "jittor.save":
            continue
        if isinstance(place, ast.Name):
            scope = code.source.walk(code.source.scope(call))
            held = [
                n.value
                for n in scope
                if isinstance(n, ast.Assign) and name_of(n.targets[0]) == place.id
            ]
            place = held[-1] if held else place
        if isinstance(place, ast.Call) and name_of(place.func) == "BytesIO":
            yield code.found(
                call, "name-missing", "jt.save takes a path: a BytesIO has no endswith"
            )


RULES = (to_numpy, from_numpy, mask_means, axes, indices, scattered, norms, lists, rates)
RULES += (counts, gradients, in_memory)
