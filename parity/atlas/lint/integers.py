"""Arrays of whole numbers, which nobody trains.

Before: an expression. After: whether the code shows that it is one of them.
"""

from __future__ import annotations

import ast
import re

from parity.atlas.lint.code import Code
from parity.atlas.lint.source import constant, keyword, name_of

INTEGERS = {"int", "long", "int8", "int16", "int32", "int64", "uint8", "randint", "randperm"}
INTEGRAL = re.compile(r"\bu?int\d*\b|\blong\b")
KEEPING = {
    "expand",
    "view",
    "reshape",
    "unsqueeze",
    "squeeze",
    "repeat",
    "flatten",
    "clone",
    "permute",
    "transpose",
}


def is_integer(code: Code, node: ast.AST) -> bool:
    """jt.arange(n).expand(...), jt.randint(...), x.int(), jt.zeros(n, dtype="int32")."""
    while isinstance(node, (ast.Call, ast.Subscript)):
        if isinstance(node, ast.Subscript):
            node = node.value
            continue
        kind = keyword(node, "dtype")
        written = [ast.unparse(kind.value)] if kind else [ast.unparse(a) for a in node.args]
        if name_of(node.func) in INTEGERS or (kind and INTEGRAL.search(written[0])):
            return True
        path = code.source.dotted(node.func)
        if path:
            whole = not any(isinstance(constant(a), float) for a in node.args)
            return not kind and path == "jittor.arange" and whole
        if name_of(node.func) not in KEEPING:
            return name_of(node.func) in ("astype", "cast", "to") and bool(
                INTEGRAL.search(written[0])
            )
        node = node.func.value
    return False
