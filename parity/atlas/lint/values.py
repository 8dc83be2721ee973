"""What the expressions of a file are, as far as the code shows: Jittor's Vars, NumPy's arrays, lists, modules ...

Statements are followed in order, within a function: a name means what was assigned to it last; where branches
disagree it means nothing. Attributes of `self` are followed through a class, `__init__` first.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field, replace

from parity.atlas.lint.expressions import (
    Expressions,
    Scope,
    combined,
    element_of,
    is_name,
    joined,
    joined_all,
)
from parity.atlas.lint.kinds import (
    DICT,
    LIST,
    MODULE,
    NOTHING,
    NUMBER,
    NUMPY,
    OBJECT,
    STR,
    TORCH,
    TORCH_MODULE,
    TUPLE,
    VAR,
    Value,
)
from parity.atlas.lint.source import FUNCTIONS, Source, constant, name_of

ANNOTATIONS = {
    **{"int": NUMBER, "float": NUMBER, "bool": NUMBER, "str": STR, "list": LIST, "List": LIST},
    **{"dict": DICT, "Dict": DICT, "tuple": TUPLE, "Tuple": TUPLE},
    **{"jittor.Var": VAR, "numpy.ndarray": NUMPY, "torch.Tensor": TORCH},
}


@dataclass
class Known:
    """What a file defines, or has from others. classes: what an instance is; returned: by functions of the module, as
    annotated or as far as seen; methods: the same, by class and name; given: what all who call a function give it, by
    the function and its argument's name."""

    classes: dict[str, Value] = field(default_factory=dict)
    returned: dict[str, Value] = field(default_factory=dict)
    methods: dict[tuple[str, str], Value] = field(default_factory=dict)
    given: dict[tuple[ast.AST, str], Value] = field(default_factory=dict)


class Flow(Expressions):
    """Evaluates a file; `of` tells what an expression is."""

    def __init__(self, source: Source, known: Known | None = None):
        known = known or Known()
        self.source = source
        self.values: dict[ast.AST, Value] = {}
        self.classes = dict(known.classes)
        self.returned = dict(known.returned)
        self.methods = dict(known.methods)
        self.given = known.given
        self._find_classes()
        self.run(source.tree.body, Scope())

    def _find_classes(self) -> None:
        """Classes of the file that are modules of Jittor or of PyTorch, by inheritance within the file."""
        nodes = [n for n in self.source.nodes if isinstance(n, ast.ClassDef)]
        for _ in range(3):
            for node in nodes:
                for base in node.bases:
                    path = self.source.dotted(base)
                    known = self.classes.get(base.id) if isinstance(base, ast.Name) else None
                    layer = path.startswith(("jittor.nn.", "jittor.models."))
                    if layer or path == "jittor.Module":
                        known = Value(MODULE)
                    elif path.startswith("torch"):
                        known = Value(TORCH_MODULE)
                    elif not known and path.endswith("Module") and not self.source.uses_torch:
                        known = Value(MODULE)
                    before = self.classes.get(node.name)
                    if known and known.kind == OBJECT and before and before.kind == MODULE:
                        known = None  # class Layer(nn.Module, Mixin)
                    if known:
                        self.classes[node.name] = replace(known, cls=node.name)
                        self._inherit(node.name, base)
                if not node.bases and not node.decorator_list:
                    self.classes[node.name] = Value(OBJECT, cls=node.name)

    def _inherit(self, name: str, base: ast.AST) -> None:
        """The methods of a base class of the program's own."""
        for (owner, method), value in list(self.methods.items()):
            if isinstance(base, ast.Name) and owner == base.id:
                self.methods.setdefault((name, method), value)

    # statements

    def run(self, statements: list[ast.stmt], scope: Scope) -> None:
        for statement in statements:
            handler = getattr(self, f"run_{type(statement).__name__.lower()}", self.run_other)
            handler(statement, scope)

    def run_other(self, node: ast.stmt, scope: Scope) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                self.evaluate(child, scope)
            elif isinstance(child, ast.stmt):
                self.run([child], scope)

    def run_assign(self, node: ast.Assign, scope: Scope) -> None:
        value = self.evaluate(node.value, scope)
        for target in node.targets:
            self.bind(target, value, scope, node.value)

    def run_annassign(self, node: ast.AnnAssign, scope: Scope) -> None:
        value = self.evaluate(node.value, scope) if node.value else NOTHING
        self.bind(node.target, value if value.kind else self.annotated(node.annotation), scope)

    def run_augassign(self, node: ast.AugAssign, scope: Scope) -> None:
        before, value = self.evaluate(node.target, scope), self.evaluate(node.value, scope)
        self.bind(node.target, combined(before, value, node.op), scope)

    def run_if(self, node: ast.If, scope: Scope) -> None:
        self.evaluate(node.test, scope)
        branches = []
        for body in (node.body, node.orelse):
            copy = scope.copy()
            if body is node.body:
                copy.names |= self.asked(node.test)
            self.run(body, copy)
            if not (
                body and isinstance(body[-1], (ast.Return, ast.Raise, ast.Continue, ast.Break))
            ):
                branches.append(copy.names)
        merge(scope, branches)

    def asked(self, test: ast.AST) -> dict[str, Value]:
        """What names are where `isinstance(m, nn.Conv2d)` holds, alone or with others."""
        if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
            return {n: v for part in test.values for n, v in self.asked(part).items()}
        is_asked = isinstance(test, ast.Call) and ast.unparse(test.func) == "isinstance"
        if not is_asked or len(test.args) != 2 or not isinstance(test.args[0], ast.Name):
            return {}
        kinds = test.args[1].elts if isinstance(test.args[1], ast.Tuple) else [test.args[1]]
        found = {self.instance_of(kind) for kind in kinds}
        return {test.args[0].id: found.pop()} if len(found) == 1 and NOTHING not in found else {}

    def instance_of(self, kind: ast.AST) -> Value:
        path = self.source.dotted(kind)
        if path.startswith("jittor.nn.") and path.rpartition(".")[2][0].isupper():
            return Value(MODULE)
        known = self.classes.get(kind.id) if isinstance(kind, ast.Name) else None
        return known or Value(ANNOTATIONS.get(path, ""))

    def run_for(self, node: ast.For, scope: Scope) -> None:
        element = element_of(self.evaluate(node.iter, scope))
        for _ in range(2):  # the second time with what the first has left behind
            copy = scope.copy()
            self.bind(node.target, element, copy)
            self.run(node.body, copy)
            merge(scope, [scope.names, copy.names])
        self.bind(node.target, element, scope)
        self.run(node.orelse, scope)

    run_asyncfor = run_for

    def run_while(self, node: ast.While, scope: Scope) -> None:
        for _ in range(2):
            self.evaluate(node.test, scope)
            copy = scope.copy()
            self.run(node.body, copy)
            merge(scope, [scope.names, copy.names])
        self.run(node.orelse, scope)

    def run_with(self, node: ast.With, scope: Scope) -> None:
        for item in node.items:
            self.evaluate(item.context_expr, scope)
            if item.optional_vars is not None:
                self.bind(item.optional_vars, NOTHING, scope)
        self.run(node.body, scope)

    run_asyncwith = run_with

    def run_try(self, node: ast.Try, scope: Scope) -> None:
        before = scope.copy()
        self.run(node.body, scope)
        branches = [scope.names]
        for handler in node.handlers:
            copy = before.copy()
            self.run(handler.body, copy)
            branches.append(copy.names)
        merge(scope, branches)
        self.run(node.orelse, scope)
        self.run(node.finalbody, scope)

    def run_classdef(self, node: ast.ClassDef, scope: Scope) -> None:
        inner = scope.copy()
        inner.attributes, inner.owner = {}, self.classes.get(node.name, NOTHING)
        first = [n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"]
        for statement in first + [n for n in node.body if n not in first]:
            self.run([statement], inner)

    def run_functiondef(self, node: ast.FunctionDef, scope: Scope) -> None:
        for default in [
            *node.args.defaults,
            *filter(None, node.args.kw_defaults),
            *node.decorator_list,
        ]:
            self.evaluate(default, scope)
        inner = scope.copy()
        given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        static = any(name_of(d) == "staticmethod" for d in node.decorator_list)
        method = isinstance(self.source.parents.get(node), ast.ClassDef) and given and not static
        inner.self_name = given[0].arg if method else scope.self_name
        for argument in given:
            told = self.annotated(argument.annotation)
            given_by_all = self.given.get((node, argument.arg), NOTHING)
            inner.names[argument.arg] = told if told.kind else given_by_all
        if method:
            inner.names[given[0].arg] = scope.owner
        for extra in (node.args.vararg, node.args.kwarg):
            if extra is not None:
                inner.names[extra.arg] = NOTHING
        self.run(node.body, inner)
        scope.names[node.name] = NOTHING
        around = self.source.parents.get(node)
        if isinstance(around, (ast.Module, ast.ClassDef)):
            results = [self.of(n.value) for n in own_returns(self.source, node)]
            told = self.annotated(node.returns)
            result = told if told.kind or not results else joined_all(results)
            if isinstance(around, ast.Module):
                self.returned[node.name] = result
            else:
                self.methods[around.name, node.name] = result

    run_asyncfunctiondef = run_functiondef

    def annotated(self, node: ast.AST | None) -> Value:
        """Of jt.Var, List[jt.Var], Optional[jt.Var], Tuple[int, jt.Var] and the like."""
        inner = node.slice if isinstance(node, ast.Subscript) else None
        node = node.value if inner is not None else node
        if node is None:
            return NOTHING
        path = self.source.dotted(node) or (node.id if isinstance(node, ast.Name) else "")
        path = path.removeprefix("typing.")
        if path == "Optional":
            return self.annotated(inner)
        kind = ANNOTATIONS.get(path, "")
        if kind == LIST and inner is not None:
            return Value(LIST, element=self.annotated(inner))
        if kind == TUPLE and isinstance(inner, ast.Tuple):
            first, *others = (self.annotated(e) for e in inner.elts)
            repeated = constant(inner.elts[-1]) is Ellipsis
            return Value(TUPLE, element=first) if repeated else Value(TUPLE, items=(first, *others))
        return Value(kind) if kind else NOTHING

    def bind(
        self, target: ast.AST, value: Value, scope: Scope, source: ast.AST | None = None
    ) -> None:
        if isinstance(target, ast.Name):
            scope.names[target.id] = value
        elif isinstance(target, (ast.Tuple, ast.List)):
            starred = any(isinstance(t, ast.Starred) for t in target.elts)
            fits = len(value.items) == len(target.elts) and not starred
            items = value.items if fits else [element_of(value)] * len(target.elts)
            for inner, item in zip(target.elts, items, strict=True):
                self.bind(inner, item, scope)
        elif isinstance(target, ast.Starred):
            self.bind(target.value, Value(LIST), scope)
        elif isinstance(target, ast.Attribute):
            self.evaluate(target.value, scope)
            if scope.attributes is not None and is_name(target.value, scope.self_name):
                before = scope.attributes.get(target.attr)
                scope.attributes[target.attr] = value if before is None else joined(before, value)
        elif isinstance(target, ast.Subscript):
            self.evaluate(target.value, scope)
            self.evaluate(target.slice, scope)
        self.values[target] = value


def own_returns(source: Source, node: ast.FunctionDef) -> list[ast.Return]:
    """Returns of a function, without those of functions within it."""
    found, waiting = [], list(node.body)
    while waiting:
        child = waiting.pop()
        if isinstance(child, ast.Return):
            found.append(child)
        elif not isinstance(child, (*FUNCTIONS, ast.ClassDef)):
            waiting += source.children(child)
    return found


def merge(scope: Scope, branches: list[dict[str, Value]]) -> None:
    if not branches:
        return
    names = set().union(*branches)
    scope.names = {n: joined_all([b[n] for b in branches if n in b]) for n in names}
