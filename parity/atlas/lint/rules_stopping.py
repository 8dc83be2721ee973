"""stop_grad() on what somebody else still uses: it works in place, where PyTorch's detach() gives a copy."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from parity.atlas.lint.code import Code
from parity.atlas.lint.finding import HINT, WARNING, Finding, instead
from parity.atlas.lint.rules_freezing import in_no_grad
from parity.atlas.lint.rules_modules import maker_of
from parity.atlas.lint.rules_views import is_statement
from parity.atlas.lint.source import name_of, names_in


def stopped(code: Code) -> Iterator[Finding]:
    """stop_grad works in place: what it is called on is never trained again."""
    for o in code.named("stop_grad", "detach_inplace"):
        x = o.x
        if x is None or not o.is_method or is_statement(code, o.call):
            continue
        around = code.parent(o.call)
        if isinstance(around, ast.Return) and isinstance(x, ast.Name) and not is_callers(code, x):
            continue  # nothing comes after it
        loop = code.source.enclosing(o.call, (ast.For,))
        renewed = reassigned(code, x, o.call)
        renewed = renewed or isinstance(
            around, ast.IfExp
        )  # p.start_grad() if ... else p.stop_grad()
        if renewed and loop is not None and name_of(x) in names_in(loop.target):
            continue  # for w in net.parameters(): w = w.stop_grad()
        value = code.of(x)
        message = "stop_grad works in place and for good: use detach() for a copy without gradients"
        edit = instead(o.call, f"{ast.unparse(x)}.detach()")
        if value.kind == "parameter":
            yield code.found(o.call, "stop-grad-in-place", message, edit)
        elif isinstance(x, ast.Name) and is_callers(code, x) and not leaves(code, o.call):
            text = f"{message}; {x.id} is the caller's"
            handed = isinstance(around, ast.Return)  # what a function is for, mostly
            level = HINT if handed else WARNING
            yield code.found(o.call, "stop-grad-in-place", text, edit, level=level)
        elif isinstance(x, ast.Name) and not (reassigned(code, x, o.call) or leaves(code, o.call)):
            if in_no_grad(code, o.call):
                continue  # where nothing has gradients to lose
            later = next(code.loads(code.source.scope(x), x.id, o.call.end_lineno), None)
            if later is not None and not only_kept(code, x):
                text = f"{message}; line {later.lineno} still uses {x.id}"
                yield code.found(o.call, "stop-grad-in-place", text, edit, level=WARNING)
        elif isinstance(x, ast.Attribute) and not isinstance(x.value, ast.Name):
            yield code.found(o.call, "stop-grad-in-place", message, edit, level=HINT)


GIVEN = re.compile(  # arguments that nobody trains through
    r"target|gt|label|true|truth|mask|im(g|age)|anchor|ids?$|teacher|data|^(y|t)$|noise|step",
    re.IGNORECASE,
)


def is_callers(code: Code, name: ast.Name) -> bool:
    """Whether a name is still the argument that the function was called with, and may have gradients."""
    function = code.source.enclosing(name, (ast.FunctionDef,))
    if function is None or GIVEN.search(name.id):
        return False
    given = {a.arg for a in [*function.args.posonlyargs, *function.args.args]}
    before = (
        n.lineno
        for n in code.within(function)
        if isinstance(n, ast.Name) and n.id == name.id and isinstance(n.ctx, ast.Store)
    )
    return name.id in given and name.lineno <= min(before, default=name.lineno)


def reassigned(code: Code, name: ast.AST, call: ast.Call) -> bool:
    """x = x.stop_grad(), x = x.stop_grad().float32()"""
    parent = code.parent(call)
    while isinstance(parent, ast.Attribute) and isinstance(code.parent(parent), ast.Call):
        parent = code.parent(code.parent(parent))
    targets = parent.targets if isinstance(parent, ast.Assign) else []
    return any(ast.unparse(t) == name_of(name) for t in targets)


def leaves(code: Code, call: ast.Call) -> bool:
    """x.stop_grad().numpy(): nobody asks for gradients of what becomes numbers."""
    parent = code.parent(call)
    return isinstance(parent, ast.Attribute) and parent.attr in ("numpy", "data", "item", "tolist")


def only_kept(code: Code, name: ast.Name) -> bool:
    """Whether it was made from constants, which have no gradients to lose."""
    return any(
        makes_constant(code, node, name.id)
        for node in code.within(code.source.scope(name))
        if isinstance(node, ast.Assign) and node.lineno < name.lineno
    )


def makes_constant(code: Code, node: ast.Assign, name: str) -> bool:
    named = any(isinstance(t, ast.Name) and t.id == name for t in node.targets)
    return named and maker_of(code, node.value) in CONSTANTS


CONSTANTS = {
    "array",
    "arange",
    "zeros",
    "ones",
    "linspace",
    "full",
    "from_numpy",
    "float32",
    "load",
}


RULES = (stopped,)
