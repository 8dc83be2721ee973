"""What expressions are, of names whose values are known; see values.py."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field, replace

from parity.atlas.lint.calls import result_of_call
from parity.atlas.lint.kinds import (
    BOOLEAN_METHODS,
    DICT,
    LIST,
    MODULE,
    NOTHING,
    NUMBER,
    NUMPY,
    OBJECT,
    PARAMETER,
    SHAPE,
    STR,
    TO_ARRAY,
    TORCH,
    TUPLE,
    VAR,
    Value,
)
from parity.atlas.lint.source import Source

PLAIN_LAYER = re.compile(  # of jittor.nn: what gives one Var, whatever it is given
    r"(Linear|Embedding|Conv(Transpose)?|(Batch|Layer|Group|Instance)Norm|(Adaptive)?(Avg|Max)Pool|"
    r"\w*Pad|Dropout|Upsample|PixelShuffle|Flatten)[123]?d?$"
    r"|(ReLU6?|Relu|LeakyReLU|GELU|SiLU|ELU|PReLU|Sigmoid|Tanh|Softmax|Softplus|Mish)$"
)
ARRAYS = (VAR, NUMPY, TORCH, PARAMETER)


@dataclass
class Scope:
    """Names of a function, and the attributes of the class that it is a method of."""

    names: dict[str, Value] = field(default_factory=dict)
    attributes: dict[str, Value] | None = None
    self_name: str = ""
    owner: Value = NOTHING

    def copy(self) -> Scope:
        return replace(self, names=dict(self.names))


class Expressions:
    """`evaluate` gives a value to an expression and to everything in it."""

    source: Source
    values: dict[ast.AST, Value]
    classes: dict[str, Value]
    returned: dict[str, Value]
    methods: dict[tuple[str, str], Value]

    def of(self, node: ast.AST | None) -> Value:
        return self.values.get(node, NOTHING)

    def bind(self, target: ast.AST, value: Value, scope: Scope) -> None:
        raise NotImplementedError  # values.py has it

    def evaluate(self, node: ast.AST, scope: Scope) -> Value:
        handler = getattr(self, f"value_{type(node).__name__.lower()}", self.value_other)
        value = self.values[node] = handler(node, scope)
        return value

    def value_other(self, node: ast.AST, scope: Scope) -> Value:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.expr, ast.keyword)):
                self.evaluate(child, scope)
        return NOTHING

    def value_keyword(self, node: ast.keyword, scope: Scope) -> Value:
        return self.evaluate(node.value, scope)

    def value_constant(self, node: ast.Constant, scope: Scope) -> Value:
        return Value(
            STR
            if isinstance(node.value, (str, bytes))
            else NUMBER
            if node.value is not None
            else ""
        )

    def value_joinedstr(self, node: ast.JoinedStr, scope: Scope) -> Value:
        self.value_other(node, scope)
        return Value(STR)

    def value_tuple(self, node: ast.Tuple | ast.List, scope: Scope) -> Value:
        items = tuple(self.evaluate(e, scope) for e in node.elts)
        return Value(TUPLE if isinstance(node, ast.Tuple) else LIST, items=items)

    value_list = value_tuple

    def value_dict(self, node: ast.Dict, scope: Scope) -> Value:
        self.value_other(node, scope)
        return Value(DICT)

    def value_name(self, node: ast.Name, scope: Scope) -> Value:
        return scope.names.get(node.id, NOTHING)

    def value_namedexpr(self, node: ast.NamedExpr, scope: Scope) -> Value:
        value = self.evaluate(node.value, scope)
        self.bind(node.target, value, scope)
        return value

    def value_attribute(self, node: ast.Attribute, scope: Scope) -> Value:
        owner = self.evaluate(node.value, scope)
        if scope.attributes is not None and is_name(node.value, scope.self_name):
            return scope.attributes.get(node.attr, NOTHING)
        if node.attr == "shape" and owner.kind in (*ARRAYS, ""):
            return Value(SHAPE)
        if owner.kind in (VAR, PARAMETER):
            return {"data": Value(NUMPY, made=".data"), "T": owner, "ndim": Value(NUMBER)}.get(
                node.attr, NOTHING
            )
        if owner.kind == MODULE and node.attr in ("weight", "bias"):
            return Value(PARAMETER)
        return owner if owner.kind in (NUMPY, TORCH) else NOTHING

    def value_subscript(self, node: ast.Subscript, scope: Scope) -> Value:
        owner, index = self.evaluate(node.value, scope), self.evaluate(node.slice, scope)
        if owner.kind in (TUPLE, LIST) or owner.is_pair:
            place = node.slice.value if isinstance(node.slice, ast.Constant) else None
            if isinstance(place, int) and -len(owner.items) <= place < len(owner.items):
                return owner.items[place]
            return Value(owner.kind) if isinstance(node.slice, ast.Slice) else element_of(owner)
        if owner.kind == SHAPE:
            return Value(SHAPE if isinstance(node.slice, ast.Slice) else NUMBER)
        if owner.kind in (VAR, PARAMETER):
            basic = index.kind in (NUMBER, "") and not is_list_index(node.slice, self)
            return Value(VAR, dtype=owner.dtype, view=basic)
        return replace(owner, axes=None) if owner.kind in (NUMPY, TORCH) else NOTHING

    def value_slice(self, node: ast.Slice, scope: Scope) -> Value:
        self.value_other(node, scope)
        return Value(NUMBER)

    def value_binop(self, node: ast.BinOp, scope: Scope) -> Value:
        return combined(self.evaluate(node.left, scope), self.evaluate(node.right, scope), node.op)

    def value_unaryop(self, node: ast.UnaryOp, scope: Scope) -> Value:
        value = self.evaluate(node.operand, scope)
        return Value(NUMBER) if isinstance(node.op, ast.Not) else replace(value, view=False)

    def value_compare(self, node: ast.Compare, scope: Scope) -> Value:
        values = [self.evaluate(n, scope) for n in (node.left, *node.comparators)]
        if any(isinstance(op, (ast.In, ast.NotIn, ast.Is, ast.IsNot)) for op in node.ops):
            return Value(NUMBER)
        kinds = {v.kind for v in values}
        for kind in (TORCH, VAR, PARAMETER, NUMPY):
            if kind in kinds:
                return Value(VAR if kind == PARAMETER else kind, dtype="bool")
        return Value("", dtype="bool") if "" in kinds else Value(NUMBER)

    def value_ifexp(self, node: ast.IfExp, scope: Scope) -> Value:
        self.evaluate(node.test, scope)
        return joined(self.evaluate(node.body, scope), self.evaluate(node.orelse, scope))

    def value_lambda(self, node: ast.Lambda, scope: Scope) -> Value:
        inner = scope.copy()
        inner.names |= {a.arg: NOTHING for a in node.args.args}
        self.evaluate(node.body, inner)
        return NOTHING

    def value_listcomp(self, node, scope: Scope) -> Value:
        inner = scope.copy()
        for part in node.generators:
            self.bind(part.target, element_of(self.evaluate(part.iter, inner)), inner)
            for test in part.ifs:
                self.evaluate(test, inner)
        if isinstance(node, ast.DictComp):
            self.evaluate(node.key, inner)
            self.evaluate(node.value, inner)
            return Value(DICT)
        return Value(LIST, element=self.evaluate(node.elt, inner))

    value_setcomp = value_generatorexp = value_dictcomp = value_listcomp

    def value_call(self, node: ast.Call, scope: Scope) -> Value:
        self.evaluate(node.func, scope)
        arguments = [self.evaluate(a, scope) for a in node.args]
        for given in node.keywords:
            self.evaluate(given, scope)
        if isinstance(node.func, ast.Name) and node.func.id in self.classes:
            return self.classes[node.func.id]
        if isinstance(node.func, ast.Name) and node.func.id in self.returned:
            return self.returned[node.func.id]
        called = self.of(node.func)
        if called.cls and (value := self.methods.get((called.cls, "execute"), NOTHING)).kind:
            return value
        if called.kind == MODULE and PLAIN_LAYER.match(called.made):
            return Value(VAR)
        if called.kind == TO_ARRAY:
            return Value(NUMPY, made="what ToTensor gives")
        owner = self.of(node.func.value) if isinstance(node.func, ast.Attribute) else NOTHING
        if owner.kind == OBJECT and node.func.attr in ("modules", "named_modules"):
            owner = Value(MODULE)  # of a mixin
        own = self.methods.get((owner.cls, getattr(node.func, "attr", "")), NOTHING)
        value = own if own.kind else result_of_call(self.source, node, owner, arguments)
        method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        if method in BOOLEAN_METHODS and value.kind in (VAR, "") and not value.dtype:
            value = replace(value, dtype="bool")
        return value


def joined(a: Value, b: Value) -> Value:
    """What is true of both."""
    if a == b:
        return a
    if a.kind != b.kind or not a.kind:
        return NOTHING
    return Value(
        a.kind,
        dtype=a.dtype if a.dtype == b.dtype else "",
        axes=a.axes if a.axes == b.axes else None,
        items=a.items if a.items == b.items else (),
        cls=a.cls if a.cls == b.cls else "",
    )


def joined_all(values: list[Value]) -> Value:
    first, *others = values
    for value in others:
        first = joined(first, value)
    return first


def combined(a: Value, b: Value, op: ast.operator) -> Value:
    """What arithmetic makes of two."""
    kinds = (a.kind, b.kind)
    for kind in (TORCH, VAR, PARAMETER, NUMPY):
        if kind in kinds:
            logical = isinstance(op, (ast.BitAnd, ast.BitOr, ast.BitXor)) and a.dtype == b.dtype
            added = isinstance(op, (ast.Add, ast.Mult, ast.Sub)) and {a.dtype, b.dtype} == {"bool"}
            dtype = "bool" if (logical or added) and a.dtype == "bool" else ""
            made = a.made or b.made if kind == NUMPY else ""
            return Value(VAR if kind == PARAMETER else kind, dtype=dtype, made=made)
    if kinds == (NUMBER, NUMBER):
        return Value(NUMBER)
    if not a.kind and not isinstance(op, ast.Add):
        return NOTHING  # boxes * [w, h, w, h] of an array
    if LIST in kinds or TUPLE in kinds:
        return Value(LIST if LIST in kinds else TUPLE)
    return Value(STR) if STR in kinds else NOTHING


def element_of(value: Value) -> Value:
    """What a loop over it yields."""
    if value.element is not None:
        return value.element
    if value.kind in (LIST, TUPLE) and value.items:
        return joined_all(list(value.items))
    if value.kind in (VAR, PARAMETER):
        return Value(VAR, dtype=value.dtype, view=True)
    if value.kind in (NUMPY, TORCH):
        return Value(value.kind, dtype=value.dtype)
    return Value(NUMBER) if value.kind == SHAPE else NOTHING


def is_name(node: ast.AST, name: str) -> bool:
    return bool(name) and isinstance(node, ast.Name) and node.id == name


def is_list_index(node: ast.AST, flow: Expressions) -> bool:
    """Whether an index selects rather than cuts: lists, masks and arrays copy in PyTorch, too."""
    parts = node.elts if isinstance(node, ast.Tuple) else [node]
    return any(flow.of(p).kind in (LIST, VAR, NUMPY) or flow.of(p).dtype == "bool" for p in parts)
