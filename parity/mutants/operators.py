"""Mutation operators: what a slip of the hand or of the memory makes of a piece of code.

Each takes a node of a syntax tree and yields what could stand in its place. Sub-trees are copied, so the tree stays as
it is until a change is applied (breeding.py). Nothing here knows whose code it is, or who looks for mistakes in it.
"""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Callable, Iterator

BINARY = {
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Div,),
    ast.Div: (ast.Mult,),
    ast.FloorDiv: (ast.Mult,),
    ast.Mod: (ast.FloorDiv,),
    ast.Pow: (ast.Mult,),
    ast.BitAnd: (ast.BitOr,),
    ast.BitOr: (ast.BitAnd,),
}
COMPARED = {
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.GtE),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.LtE),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}
NOT_COMMUTATIVE = (ast.Sub, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow, ast.MatMult)


def _both_ways(*pairs: tuple[str, str]) -> dict[str, str]:
    return {a: b for pair in pairs for a, b in (pair, pair[::-1])}


DTYPES = _both_ways(("float32", "float64"), ("int32", "int64")) | {
    "f4": "f8",
    "f8": "f4",
    "float16": "float32",
    "bool": "int32",
}
REDUCTIONS = _both_ways(
    *(("sum", "mean"), ("max", "min"), ("argmax", "argmin"), ("any", "all")),
    *(("maximum", "minimum"), ("cumsum", "cumprod"), ("max_first", "max_with_index")),
)
NAMES = _both_ways(
    *(("floor", "ceil"), ("sin", "cos"), ("log", "log1p"), ("zeros", "ones"), ("clamp_min", "clamp_max")),
    *(("softmax", "log_softmax"), ("logical_and", "logical_or"), ("stack", "concatenate")),
    *(("flatnonzero", "nonzero"), ("relu", "sigmoid"), ("update", "setdefault")),
) | {"round": "floor", "exp": "expm1", "sqrt": "square", "absolute": "square"}  # fmt: skip


def altered(node: ast.AST, **fields) -> ast.AST:
    other = copy.deepcopy(node)
    for name, value in fields.items():
        setattr(other, name, value)
    return other


def operator(node: ast.AST) -> Iterator[ast.AST]:
    """Another arithmetic, logical or unary operator."""
    if isinstance(node, (ast.BinOp, ast.AugAssign)):
        for other in BINARY.get(type(node.op), ()):
            yield altered(node, op=other())
    elif isinstance(node, ast.BoolOp):
        yield altered(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
    elif isinstance(node, ast.UnaryOp) and not isinstance(node.operand, ast.Constant):
        yield copy.deepcopy(node.operand)


def operands(node: ast.AST) -> Iterator[ast.AST]:
    """The operands of what does not commute, exchanged; the alternatives of a conditional expression."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, NOT_COMMUTATIVE):
        yield altered(node, left=copy.deepcopy(node.right), right=copy.deepcopy(node.left))
    elif isinstance(node, ast.IfExp):
        yield altered(node, body=copy.deepcopy(node.orelse), orelse=copy.deepcopy(node.body))


def comparison(node: ast.AST) -> Iterator[ast.AST]:
    """A comparison one off, or the other way round."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        for other in COMPARED.get(type(node.ops[0]), ()):
            yield altered(node, ops=[other()])


def condition(node: ast.AST) -> Iterator[ast.AST]:
    """A condition that is a plain truth value, turned round."""
    if isinstance(node, (ast.If, ast.IfExp)) and not isinstance(node.test, ast.Compare):
        yield altered(node, test=ast.UnaryOp(ast.Not(), copy.deepcopy(node.test)))


def constant(node: ast.AST) -> Iterator[ast.AST]:
    """A number one off, or of another size; the other truth value. Integers are axes and indices, too."""
    if not isinstance(node, ast.Constant):
        return
    value = node.value
    if isinstance(value, bool):
        yield ast.Constant(not value)
    elif isinstance(value, int):
        yield ast.Constant(value + 1)
        yield ast.Constant(value - 1)
    elif isinstance(value, float) and value:
        yield ast.Constant(value * 2)
        yield ast.Constant(value / 10)


def keyword(node: ast.AST) -> Iterator[ast.AST]:
    """A call without one of its named arguments."""
    if isinstance(node, ast.Call):
        for k, one in enumerate(node.keywords):
            if one.arg is not None:
                yield altered(
                    node, keywords=copy.deepcopy(node.keywords[:k] + node.keywords[k + 1 :])
                )


def arguments(node: ast.AST) -> Iterator[ast.AST]:
    """Two neighbouring arguments of a call, or values of a tuple, in the other order."""
    name = "args" if isinstance(node, ast.Call) else "elts"
    if not isinstance(node, (ast.Call, ast.Tuple)) or not isinstance(
        getattr(node, "ctx", ast.Load()), ast.Load
    ):
        return
    values = getattr(node, name)
    for k in range(len(values) - 1):
        if ast.dump(values[k]) != ast.dump(values[k + 1]):
            order = [*values[:k], values[k + 1], values[k], *values[k + 2 :]]
            yield altered(node, **{name: copy.deepcopy(order)})


def bound(node: ast.AST) -> Iterator[ast.AST]:
    """A slice without a bound, or with one that is one off."""
    if not isinstance(node, ast.Slice):
        return
    for name in ("lower", "upper", "step"):
        value = getattr(node, name)
        if value is not None:
            yield altered(node, **{name: None})
            if name != "step" and not isinstance(value, ast.Constant):
                yield altered(
                    node, **{name: ast.BinOp(copy.deepcopy(value), ast.Add(), ast.Constant(1))}
                )


def _renamed(node: ast.AST, names: dict[str, str]) -> Iterator[ast.AST]:
    if isinstance(node, ast.Attribute) and node.attr in names:
        yield altered(node, attr=names[node.attr])
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in names:
        yield altered(node, id=names[node.id])
    elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in names:
        yield ast.Constant(names[node.value])


def dtype(node: ast.AST) -> Iterator[ast.AST]:
    """Another width."""
    yield from _renamed(node, DTYPES)


def reduction(node: ast.AST) -> Iterator[ast.AST]:
    """Another way to make one value of many."""
    yield from _renamed(node, REDUCTIONS)


def call(node: ast.AST) -> Iterator[ast.AST]:
    """Another function of the same signature, or none: what it was given goes on as it was."""
    yield from _renamed(node, NAMES)
    if isinstance(node, ast.Call) and node.args and not isinstance(node.args[0], ast.Starred):
        yield copy.deepcopy(node.args[0])
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and not node.args:
        yield copy.deepcopy(node.func.value)


def statement(node: ast.AST) -> Iterator[ast.AST]:
    """A call for its effect, or an update in place, left out."""
    called = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    if called or isinstance(node, ast.AugAssign):
        yield ast.copy_location(ast.Pass(), node)


CPP_NAMES = _both_ways(
    ("greater", "lesser"), ("max", "min"), ("floor", "ceil"), ("is_nan", "is_negative")
)
CPP_SIGNS = {
    **{"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==", "&&": "||", "||": "&&"},
    **{"+": "-", "-": "+", "*": "/", "/": "*", "+=": "-="},
}
CPP_TOKEN = re.compile(
    r"(?<= )(?:<=|>=|==|!=|&&|\|\||\+=|[-+*/<>])(?= )"  # with spaces: no template's brackets
    r"|\b(?:greater|lesser|max|min|floor|ceil|is_nan|is_negative)\b(?=[(<])"
    r"|(?<!&v, )(?<![\w.])\d+(?:\.\d+)?(?![\w.])"
)


def kernel(node: ast.AST) -> Iterator[ast.AST]:
    """C++ in a string, as it is for the CPU: another operator, function or number."""
    yield from _recoded(node, alone=False)


def cuda(node: ast.AST) -> Iterator[ast.AST]:
    """The same of what CUDA alone compiles."""
    yield from _recoded(node, alone=True)


def _recoded(node: ast.AST, alone: bool) -> Iterator[ast.AST]:
    """C++ with one change in its lines for CUDA `alone`, or in all others."""
    if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
        return
    if not re.search(r"[;}]\n", node.value):
        return
    whole = re.search(r"blockIdx|<<<", node.value) is not None
    lines, inside = node.value.split("\n"), False
    for k, line in enumerate(lines):
        if line.startswith("#"):
            inside = line == "#ifdef __CUDACC__" or (inside and line not in ("#else", "#endif"))
            continue
        found = CPP_TOKEN.finditer(line.partition("//")[0])
        for token in found if (whole or inside) == alone else ():
            new = _other(token[0])
            changed = f"{line[: token.start()]}{new}{line[token.end() :]}"
            yield ast.Constant("\n".join([*lines[:k], changed, *lines[k + 1 :]]))


def _other(token: str) -> str:
    """What is written by mistake for an operator, a function or a number of C++."""
    named = CPP_SIGNS.get(token) or CPP_NAMES.get(token)
    return named or str(float(token) * 2 if "." in token else int(token) + 1)


OPERATORS: dict[str, Callable[[ast.AST], Iterator[ast.AST]]] = {
    f.__name__: f
    for f in (
        *(operator, operands, comparison, condition, constant, keyword, arguments, bound),
        *(dtype, reduction, call, statement, kernel, cuda),
    )
}
