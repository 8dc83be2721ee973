"""What two aligned functions do otherwise; pairwise.py aligns them."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator

from parity.atlas.lint.finding import HINT, WARNING, Finding
from parity.atlas.lint.parts import Part, Whole, limits
from parity.atlas.lint.source import constant, name_of
from parity.atlas.lint.vocabulary import IGNORED_NUMBERS, INSTEAD, OPERATIONS, WORDS

OF_SPEED = {"num_workers", "workers", "pin_memory", "device", "prefetch_factor", "verbose"}
PICTURE = "min=0.0, max=255.0"  # bytes that a picture is saved with
STEPPED = {"arange", "linspace"}
LEAST_SHARED = 2  # calls that both make, before their order means anything
SMALL = 1e-3  # what is added lest something be divided by zero


def differences(reference: Part, port: Part, ours: Whole, theirs: Whole) -> Iterator[Finding]:
    yield from defaults(reference, port)
    yield from literals(reference, port, ours, theirs)
    yield from bounds(reference, port, ours)
    yield from trained(port, ours, theirs)
    yield from missing_calls(reference, port, ours, theirs)
    yield from missing_words(reference, port)
    yield from branches(reference, port)
    yield from order(reference, port)


def at(port: Part, node: ast.AST | None, entry: str, message: str, level=WARNING) -> Finding:
    node, text = node or port.node, f"{port.name}: {message}"
    return Finding(port.path, node.lineno, node.col_offset + 1, entry, text, level)


def defaults(reference: Part, port: Part) -> Iterator[Finding]:
    left, right = (parameters(p.node.args) for p in (reference, port))
    for name in left.keys() & right.keys():
        if left[name] is None or name in OF_SPEED:  # every caller gives it
            continue
        a, b = (ast.unparse(x) if x is not None else "none" for x in (left[name], right[name]))
        if a != b and constant(left[name]) != constant(right[name]):
            message = f"default of {name} is {b}, the reference has {a}"
            yield at(port, right[name], "pair-default", message)


def parameters(node: ast.arguments) -> dict[str, ast.AST | None]:
    given = [*node.posonlyargs, *node.args]
    values = [None] * (len(given) - len(node.defaults)) + list(node.defaults)
    found = {a.arg: v for a, v in zip(given, values, strict=True)}
    return found | {a.arg: v for a, v in zip(node.kwonlyargs, node.kw_defaults, strict=True)}


def literals(reference: Part, port: Part, ours: Whole, theirs: Whole) -> Iterator[Finding]:
    """Numbers of the reference in whose place the port has others, or that it has nowhere; small ones that it adds."""
    left, right = (numbers(p.node) for p in (reference, port))
    roots = "sqrt" in port.does()  # x ** 0.5
    lost = [v for v in left if v not in right and not (v == 0.5 and roots)]
    new = [v for v in right if v not in left]
    bounded = {id(n) for name, call in port.calls if name == "clamp" for n in ast.walk(call)}
    small = [v for v in new if 0 < v <= SMALL and id(right[v]) not in bounded]
    moved = ours.numbers.issuperset(new) and theirs.numbers.issuperset(lost)
    if lost and new and not moved:
        said = ", ".join(map(str, lost[:4])), ", ".join(map(str, new[:4]))
        message = f"has the numbers {said[1]} where the reference has {said[0]}"
        yield at(port, right[new[0]], "pair-constant", message)
    elif gone := [v for v in lost if v not in theirs.numbers]:
        message = f"the reference's {', '.join(map(str, gone[:4]))} is not there"
        yield at(port, None, "pair-constant", message)
    elif small:
        message = f"has {', '.join(map(str, small[:4]))}, which the reference has not"
        yield at(port, right[small[0]], "pair-constant", message)


def numbers(node: ast.FunctionDef) -> dict[float, ast.AST]:
    skipped = {
        id(n)
        for default in [*node.args.defaults, *node.args.kw_defaults]
        if default
        for n in ast.walk(default)
    }
    for call in (n for n in ast.walk(node) if isinstance(n, ast.Call)):
        if name_of(call.func) in STEPPED:  # arange(0, 1.01, 0.1) is linspace(0, 1, 11)
            skipped |= {id(n) for a in call.args for n in ast.walk(a)}
    found = {}
    for child in ast.walk(node):
        value = child.value if isinstance(child, ast.Constant) else None
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if is_number and id(child) not in skipped and value not in IGNORED_NUMBERS:
            found.setdefault(float(value) if isinstance(value, float) else value, child)
    return found


def bounds(reference: Part, port: Part, ours: Whole) -> Iterator[Finding]:
    """Clamps that only the port has: what its author met with when it ran away, and what ends the gradient there."""
    known = Counter(limits(call) for name, call in reference.calls if name == "clamp")
    for name, call in port.calls:
        if name != "clamp":
            continue
        if known[limits(call)]:
            known[limits(call)] -= 1
        elif limits(call) not in ours.bounds | {"", PICTURE} and not is_numpys(call):
            message = (
                f"{ast.unparse(call.func)}() at {limits(call)}, the reference has no such bound"
            )
            yield at(port, call, "pair-bound", message)


def is_numpys(call: ast.Call) -> bool:
    """np.clip(...) and x.numpy().clip(...), which no gradient meets."""
    text = ast.unparse(call.func)
    return text.startswith(("np.", "numpy.")) or ".numpy()" in text


def missing_words(reference: Part, port: Part) -> Iterator[Finding]:
    """Adam(betas=...), interpolate(align_corners=...): keywords of a call that each side makes once, and that only the
    reference gives."""
    counts = [Counter(name for name, _ in part.calls) for part in (reference, port)]
    theirs = dict(port.calls)
    for name, call in reference.calls:
        other = theirs.get(name)
        if name not in WORDS or [c[name] for c in counts] != [1, 1]:
            continue
        given = {k.arg for k in other.keywords}
        lost = [k.arg for k in call.keywords if k.arg in WORDS[name] and k.arg not in given]
        if lost and None not in given and len(other.args) <= len(call.args):
            message = (
                f"{ast.unparse(other.func)}() has no {', '.join(lost)}=, the reference gives it"
            )
            yield at(port, other, "pair-keyword", message)


def missing_calls(reference: Part, port: Part, ours: Whole, theirs: Whole) -> Iterator[Finding]:
    """Operations that the port does nowhere as often; own functions may be inlined, or called otherwise."""
    does = port.does()
    made, told = {name for name, _ in port.calls}, set()
    for name, call in reference.calls:
        layer = reference.layers.get(name, "")
        own = name_of(call.func) in ours.classes
        if name in made or name in told or (layer and does[layer]):
            continue
        told.add(name)
        operation = layer or name
        is_lost = (
            operation in OPERATIONS and not own and theirs.does[operation] < ours.does[operation]
        )
        is_loss = (
            "loss" in operation or "logits" in operation
        )  # written out in a function of its own
        instead = INSTEAD.get(operation, set()) & {*does, *made, *(theirs.does if is_loss else ())}
        is_lost = is_lost and not (does[operation] or operation in port.made or instead)
        is_lost |= own and name in theirs.classes and not theirs.does[name]  # there, and never made
        message = f"the reference calls {ast.unparse(call.func)}() (line {call.lineno}), the port never does"
        yield at(port, None, "pair-call", message, WARNING if is_lost else HINT)


def trained(port: Part, ours: Whole, theirs: Whole) -> Iterator[Finding]:
    """Attributes that the reference freezes, or has as buffers, and the port's constructor makes parameters of."""
    if any(stops_all(child) for child in ast.walk(port.node)):
        return
    for child in ast.walk(port.node):
        if not isinstance(child, ast.Assign) or not isinstance(child.value, ast.Call):
            continue
        target, made = child.targets[0], ast.unparse(child.value.func)
        of_self = isinstance(target, ast.Attribute) and name_of(target.value) == "self"
        if not of_self or made.partition(".")[0] not in ("jt", "jittor"):
            continue
        if target.attr in ours.frozen - theirs.frozen:
            message = f"{target.attr} is trained: the reference has it frozen, or as a buffer"
            yield at(port, child, "pair-frozen", message)


def stops_all(node: ast.AST) -> bool:
    """for p in self.parameters(): p.stop_grad()"""
    goes = isinstance(node, ast.For) and ast.unparse(node.iter) == "self.parameters()"
    return goes and any(name_of(n) in ("stop_grad", "requires_grad") for n in ast.walk(node))


def branches(reference: Part, port: Part) -> Iterator[Finding]:
    for kinds, word in (
        ((ast.If, ast.IfExp), "branches"),
        ((ast.For, ast.While), "loops"),
        ((ast.Raise, ast.Assert), "checks"),
    ):
        counts = [sum(isinstance(n, kinds) for n in ast.walk(p.node)) for p in (reference, port)]
        if counts[1] < counts[0]:
            message = f"{counts[1]} {word}, the reference has {counts[0]}"
            yield at(port, None, "pair-branch", message, HINT)


def order(reference: Part, port: Part) -> Iterator[Finding]:
    """Of the object's own layers, methods and operations that each side calls once."""
    once = [
        {n for n, c in Counter(n for n, _ in p.calls).items() if c == 1} for p in (reference, port)
    ]
    shared = {n for n, c in port.calls if n in once[0] & once[1] and acts(n, c)}
    left, right = ([n for n, _ in p.calls if n in shared] for p in (reference, port))
    if len(shared) >= LEAST_SHARED and left != right:
        place = next(i for i, (a, b) in enumerate(zip(left, right, strict=True)) if a != b)
        call = dict(port.calls)[right[place]]
        message = f"calls {right[place]} where the reference calls {left[place]}"
        yield at(port, call, "pair-order", message)


def acts(name: str, call: ast.Call) -> bool:
    return name in OPERATIONS or (
        isinstance(call.func, ast.Attribute) and name_of(call.func.value) == "self"
    )


def absent(reference: list[Part], pairs: list[tuple[Part, Part]]) -> Iterator[Finding]:
    """Functions of the reference that the port has not, in files that it has."""
    paired = {id(a) for a, _ in pairs}
    files = {a.path: b.path for a, b in pairs}
    for part in reference:
        if id(part) not in paired and part.path in files and part.name[-2:] != "__":
            message = f"the reference has {part.name} (line {part.node.lineno}), the port has not"
            yield Finding(files[part.path], 1, 1, "pair-function", message, HINT)
