"""Lets the files of a program know of each other: what classes are, and what functions and methods return.

Before: every file's values, found by itself. After: found once more, with what it imports from files of the program.
"""

from __future__ import annotations

import ast

from parity.atlas.lint.code import Code
from parity.atlas.lint.kinds import DICT, LIST, NOTHING, NUMPY, STR, VAR, Value
from parity.atlas.lint.program import Program
from parity.atlas.lint.rules_own import called
from parity.atlas.lint.source import name_of
from parity.atlas.lint.values import Flow, Known

ROUNDS = 2  # a class of a class, a function of a function


def share(codes: list[Code], program: Program) -> None:
    """Every file's flow, anew."""
    by_path = {code.path: code for code in codes}
    for _ in range(ROUNDS):
        flows, given = {}, handed(codes, program)
        for code in codes:
            known = imported(code, by_path, program)
            known.given = given
            if known.classes or known.returned or known.methods or given:
                flows[code.path] = Flow(code.source, known)
        for path, flow in flows.items():
            by_path[path].flow = flow


GIVEN = {VAR, NUMPY, LIST, DICT, STR}  # kinds that are handed on


def handed(codes: list[Code], program: Program) -> dict:
    """What functions are given, by function and argument, where all calls of the program give one kind, and nobody
    hands the function itself on."""
    found: dict[tuple[ast.AST, str], list[Value]] = {}
    passed = {
        name_of(node)
        for code in codes
        for node in code.every(ast.Name, ast.Attribute)
        if isinstance(node.ctx, ast.Load) and getattr(code.parent(node), "func", None) is not node
    }
    for code in codes:
        for call in code.every(ast.Call):
            target = called(code, program, call)
            if target is None or any(isinstance(a, ast.Starred) for a in call.args):
                continue
            _, function, bound = target
            if function.name in passed:
                continue
            names = [a.arg for a in function.args.args][bound:]
            places = dict(zip(names, call.args, strict=False))
            places |= {k.arg: k.value for k in call.keywords if k.arg}
            for name in names:
                value = code.of(places[name]) if name in places else NOTHING
                found.setdefault((function, name), []).append(Value(value.kind))
    return {
        place: values[0]
        for place, values in found.items()
        if values[0].kind in GIVEN and all(v == values[0] for v in values)
    }


def imported(code: Code, by_path: dict, program: Program) -> Known:
    """Of a file's own functions and of those that it imports, under the names that it gives them."""
    found = Known(methods=dict(code.flow.methods), returned=dict(code.flow.returned))
    for name in names(code, program):
        place = program.definition(code.path, name)
        if place is None or place[0] not in by_path or place[0] == code.path:
            continue
        flow, defined = by_path[place[0]].flow, place[1].name
        if isinstance(place[1], ast.ClassDef) and defined in flow.classes:
            found.classes[name] = flow.classes[defined]
            found.methods |= {k: v for k, v in flow.methods.items() if k[0] == defined and v.kind}
        elif defined in flow.returned and flow.returned[defined].kind:
            found.returned[name] = flow.returned[defined]
    return found


def names(code: Code, program: Program) -> set[str]:
    """Names that a file imports, those of `import *` among them."""
    found = set()
    for node in code.every(ast.ImportFrom):
        for alias in node.names:
            if alias.name != "*":
                found.add(alias.asname or alias.name)
                continue
            for file in program.modules(code.path, node.module or "", node.level):
                found |= set(program.names(file)) - {"*"}
    return found
