"""Bred mutants: functions compared on random inputs, C++ of kernels, rewritings that change nothing."""

from __future__ import annotations

import ast

import numpy as np
import pytest

from parity.mutants import proof
from parity.mutants.breeding import bred, changes, named
from parity.mutants.sound import SOUND


class Numpy:
    """NumPy as a backend."""

    @staticmethod
    def is_tensor(value) -> bool:
        return False


@pytest.mark.parametrize(
    ("code", "other", "alike"),
    [
        ("x > y", "x >= y", False),  # ties are drawn
        ("x - y", "-(y - x)", True),
        ("x * 0.5", "x / 2", True),
        ("x.sum()", "x[0].sum()", False),
        ("np.maximum(x, 0)", "x", False),
    ],
)
def test_functions_are_compared_on_random_inputs(code, other, alike):
    functions = [eval(f"lambda x, y: {c}", {"np": np}) for c in (code, other)]
    random = np.random.default_rng(0)
    given = ((np.array([[1.0, 2.0], [-3.0, 4.0]]), np.array([[1.5, 2.5], [0.5, 4.5]])), {})
    different, drawn = 0, []
    for _ in range(proof.INPUTS):
        args, options = proof.varied(Numpy, given, random, drawn)
        different += not proof.same(*(proof.outcome(Numpy, f, args, options) for f in functions))
    assert (different == 0) == alike
    assert len(drawn) == 2 * proof.INPUTS


def test_whether_the_change_is_reached_is_noted():
    def function(x):
        if x:
            return 1
        return 2

    first = function.__code__.co_firstlineno
    for x, line in ((True, 2), (False, 3)):
        with proof.reached(function.__code__, range(first + 2, first + 4)) as found:
            function(x)
        assert found == [first + line]


CPP = '''
CPU = """
#ifdef __CUDACC__
int f() { return 1 + 1; }
#else
#include <cmath>
#endif
// 5 < 6
template <class T> T g(T a, Index<T> b) { return a < 2 ? greater(a, (T)0.5) : b; }
"""
CUDA = """int k = blockIdx.x + 1;
"""
'''


@pytest.mark.parametrize(
    ("operator", "expected"),
    [
        (
            "kernel",
            [
                "template <class T> T g(T a, Index<T> b) { return a <= 2 ? greater(a, (T)0.5) : b; }",
                "template <class T> T g(T a, Index<T> b) { return a < 3 ? greater(a, (T)0.5) : b; }",
                "template <class T> T g(T a, Index<T> b) { return a < 2 ? lesser(a, (T)0.5) : b; }",
                "template <class T> T g(T a, Index<T> b) { return a < 2 ? greater(a, (T)1.0) : b; }",
            ],
        ),
        (
            "cuda",
            [
                "int f() { return 2 + 1; }",
                "int f() { return 1 - 1; }",
                "int f() { return 1 + 2; }",
                "int k = blockIdx.x - 1;",
                "int k = blockIdx.x + 2;",
            ],
        ),
    ],
)
def test_kernels_are_changed_inside_of_their_strings_for_the_cpu_or_for_cuda(operator, expected):
    found = [c for c in changes(ast.parse(CPP)) if c.operator == operator]
    sound = [node.value.value.splitlines() for node in ast.parse(CPP).body]
    assert [
        a
        for change in found
        for lines in sound
        if len(lines) == len(change.new.value.splitlines())
        for a, b in zip(change.new.value.splitlines(), lines)
        if a != b
    ] == expected


def test_a_mutant_of_a_kernel_shows_its_line_and_is_found_by_name():
    found = bred("jittor_impl/kernel_sources.py", "jittor")
    mutant = [m for m in found if m.operator == "kernel"][7]
    assert mutant.old != mutant.new and "\n" not in mutant.old
    assert named(mutant.name, "jittor") == mutant


REWRITTEN = """
def f(x, y, k, shape):
    if x > y:
        z = (x + y) + 3
    else:
        z = (x - y) * 0.5
    w = (x + y) * k if k else x ** 2 / 3
    return z, w, (1, 2) + shape, shape + (x > y,)
"""


def test_rewritings_change_nothing_but_rounding():
    sound, kinds = {}, set()
    exec(REWRITTEN, sound)
    count = len(list(changes(ast.parse(REWRITTEN), SOUND)))
    for number in range(count):
        change = list(changes(ast.parse(REWRITTEN), SOUND))[number]
        kinds.add(change.operator)
        other = {}
        exec(compile(change.apply(), "x", "exec"), other)
        assert ast.unparse(change.tree) != ast.unparse(ast.parse(REWRITTEN))
        for x, y, k in ((0.3, 0.7, 2), (0.9, 0.1, 0), (1.5, 1.5, 1), (-2.25, 7.125, 0)):
            ours, theirs = (f["f"](x, y, k, (4, 5)) for f in (sound, other))
            assert theirs[:2] == pytest.approx(ours[:2], rel=1e-14) and theirs[2:] == ours[2:]
    assert kinds == set(SOUND)
