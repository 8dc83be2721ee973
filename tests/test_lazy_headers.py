"""Copies of Jittor's headers whose inline functions wait until they are called."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from jittor_setup import build, compiling
from tests.compiler_bench import Bench

INLINE = """#pragma once
struct Var {
    int number;
    inline Var(int number, int more) : number(number + more) {}
    inline Var(const Var& other) : number(other.number) {}
    inline Var& operator=(const Var& other) { number = other.number + 100; return *this; }
    inline virtual ~Var() {}
    virtual int kind() const { return 1; }
    inline int twice() const { return 2 * number; }
    inline int operator[](int i) const { return number + i; }
    template <class T>
    inline T as() { return (T) number; }
};
struct More : Var {
    inline More(int number = 0) : Var(number, 0) {}
    inline int kind() const { return 1000; }
};
template <class T> struct Held {
    T* value;
    inline Held(T* value) : value(value) {}
    inline Held(const Held<T>& other) : value(new T(*other.value)) { value->number += 10000; }
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
    # neither copies, destructors, templates, what is virtual, nor what is made of nothing
    assert copy.read_text().count("template<int = 0>") == 5


def test_copies_assignments_and_overrides_stay_what_they_are(bench):
    (bench.source / "var.h").write_text(INLINE)
    bench.kernel.write_text(
        '#include "var.h"\nint value() {\n    More more(1), other;\n    Var& any = more;\n'
        "    Held<Var> a(&any), b = a;\n    other = more;\n"
        "    return any.kind() + other.number + b.value->number; }\n"
    )
    assert bench.run(bench.prepare()).returncode == 0
    assert bench.value() == 1000 + 101 + 10001


# what a class can be asked in C++, and what a shared pointer's copy does
ASKED = """
#include "var.h"
#include "fused_op.h"
#include "executor.h"
#include "var_slices.h"
#include "mem/allocator.h"
#include <cstdio>
#include <type_traits>
using namespace jittor;
#define TELL(T) printf(#T " %d%d%d%d%d%d%d%d%d\\n", std::is_default_constructible<T>::value, \\
    std::is_copy_constructible<T>::value, std::is_trivially_copy_constructible<T>::value, \\
    std::is_move_constructible<T>::value, std::is_copy_assignable<T>::value, \\
    std::is_trivially_copy_assignable<T>::value, std::is_move_assignable<T>::value, \\
    std::is_polymorphic<T>::value, (int)sizeof(T))
int main() {
    TELL(Slice); TELL(NanoVector); TELL(NanoString); TELL(cstr); TELL(VarPtr); TELL(VarSlice); TELL(VarSlices);
    TELL(Allocation); TELL(NodeFlags); TELL(fast_shared_ptr<loop_options_t>); TELL(Var);
    TELL(FusedOp); TELL(VarInfo); TELL(Allocator); TELL(Log); TELL(JitKey); TELL(SetupFreeBuffer);
    fast_shared_ptr<loop_options_t> a(loop_options_t{{"a", 1}}), b = a, c;
    c = a;
    printf("%d\\n", (int)a.ref_cnt());
}
"""


def test_jittors_own_classes_are_copied_and_assigned_as_before(tmp_path):
    place = compiling.util.find_spec("jittor").submodule_search_locations[0]
    python = sysconfig.get_path("include")
    flags = [f"-I{place}/src", f"-I{python}", "-std=c++14", "-DJIT", "-DJIT_cpu"]
    assert build.copied(flags, str(tmp_path / "copies"))
    (tmp_path / "asked.cc").write_text(ASKED)
    said = []
    for more in ([], [f"-I{tmp_path}/copies"]):
        program = tmp_path / f"asked{len(said)}"
        link = ["-Wl,--unresolved-symbols=ignore-all", "-o", program]
        command = ["g++", "-w", "-O1", *more, *flags, tmp_path / "asked.cc", *link]
        subprocess.run(command, check=True)
        found = subprocess.run([program], check=True, capture_output=True, text=True)
        said.append(found.stdout)
    assert said[0] == said[1] and said[0].endswith("\n3\n")


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
