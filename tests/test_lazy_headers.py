"""Copies of Jittor's headers whose inline functions wait until they are called."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from jittor_setup import compiling
from tests.compiler_bench import Bench

INLINE = """#pragma once
struct Var {
    int number;
    inline Var(int number, int more) : number(number + more) {}
    inline Var(const Var& other) : number(other.number) {}
    inline virtual ~Var() {}
    inline int twice() const { return 2 * number; }
    inline int operator[](int i) const { return number + i; }
    template <class T>
    inline T as() { return (T) number; }
};
inline int thrice(int x) { return 3 * x; }
"""


@pytest.fixture
def bench(tmp_path, monkeypatch) -> Bench:
    sys.modules.pop("jittor", None)
    return Bench(tmp_path, monkeypatch)


def test_inline_functions_of_headers_wait_until_they_are_called(bench):
    (bench.source / "var.h").write_text(INLINE)
    uses = (
        "int value() { Var a(1, 2), b = a; return b.twice() + b[1] + a.as<int>() + thrice(4); }\n"
    )
    bench.kernel.write_text(f'#include "var.h"\n{uses}')
    chosen = bench.prepare()
    result = bench.run(chosen)
    assert (result.returncode, result.stderr) == (0, "")
    assert bench.value() == 6 + 4 + 3 + 12
    (copy,) = Path(chosen[compiling.SWITCH]).glob("*/include/var.h")
    assert (
        copy.read_text().count("template<int = 0>") == 4
    )  # neither copies, destructors nor templates


@pytest.mark.parametrize(
    "asks", ["decltype(thrice)* f = thrice;", "template int Var::as<int>(); auto f = &Var::twice;"]
)
def test_a_kernel_that_needs_the_headers_as_they_are_gets_them(bench, asks):
    (bench.source / "var.h").write_text(INLINE)
    bench.kernel.write_text(
        f'#include "var.h"\n{asks}\nint value() {{ return f ? thrice(2) : 0; }}\n'
    )
    assert bench.run(bench.prepare()).returncode == 0
    assert bench.value() == 6


def test_warnings_are_handed_on(bench):
    bench.kernel.write_text('#include "var.h"\nint value() { int unused; return VALUE; }\n')
    result = bench.run(bench.prepare(), "-Wall")
    assert result.returncode == 0
    assert "unused" in result.stderr


def test_headers_that_cannot_be_copied_are_compiled_as_they_are(bench):
    (bench.source / "var.h").write_text(INLINE)
    (bench.source / "lost.h").symlink_to("/proc/self/mem")  # which reads as an error, to root too
    bench.kernel.write_text('#include "var.h"\nint value() { return thrice(2); }\n')
    chosen = bench.prepare()
    result = bench.run(chosen)
    assert (result.returncode, result.stderr) == (0, "")
    assert bench.value() == 6
    assert len(bench.built(chosen)) == 1
    assert not list(Path(chosen[compiling.SWITCH]).glob("*/include"))
