"""Processes and threads that compile kernels at the same time wait for each other over the same kernel only."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from jittor_setup import build, compiling
from tests.commands import ROOT

# a process of Jittor with a folder of its own for kernels, which compiles one when it is told to
PROCESS = """
import sys
from pathlib import Path
import jittor_setup
jt = jittor_setup.import_jittor()
folder, compiler, *kernels = sys.argv[1:]
Path(folder, "jit").mkdir(parents=True, exist_ok=True)
jt.flags.cache_path = folder
jt.flags.python_path = compiler
ones = jt.array([1.0, 1.0])  # a single one would be a constant, and need a kernel
print("ready", flush=True)
sys.stdin.readline()
found = [jt.code([1], "float32", [ones], cpu_src=f"@out(0) = {k} + @in0(0);") for k in kernels]
jt.sync(found)
print(*(x.item() for x in found))
"""
# what stands for the program that Jittor starts for each kernel: it waits for a second one, and tells whether one came
COMPILER = """#!/bin/sh
mkdir "{folder}/compiling-$$"
waited=0
while [ "$(ls -d "{folder}"/compiling-* | wc -l)" -lt 2 ] && [ "$waited" -lt {patience} ]; do
    sleep 0.1
    waited=$((waited + 1))
done
ls -d "{folder}"/compiling-* | wc -l >> "{folder}/at_once"
"{compiler}" "$@"
"""
REAL = "import jittor_setup; print(jittor_setup.import_jittor().flags.python_path)"


def run(*arguments: str, **options) -> subprocess.Popen:
    command = [sys.executable, "-c", *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, **options)


@pytest.fixture
def compiled(tmp_path):
    """compiled([kernels of a process, ...], patience): what processes compute, and how many compilers each compiler saw
    at work."""
    real = run(REAL)
    compiler = tmp_path / "compiler"

    def compiled(kernels: list[tuple[int, ...]], patience: float) -> tuple[list[str], list[str]]:
        text = COMPILER.format(
            folder=tmp_path, compiler=real.communicate()[0].strip(), patience=int(10 * patience)
        )
        compiler.write_text(text)
        compiler.chmod(0o755)
        before = (str(tmp_path / "cache"), str(compiler))
        environment = os.environ | {"use_parallel_op_compiler": "2"}
        processes = [
            run(PROCESS, *before, *map(str, own), stdin=subprocess.PIPE, env=environment)
            for own in kernels
        ]
        assert [p.stdout.readline() for p in processes] == ["ready\n"] * len(processes)
        for process in processes:
            process.stdin.write("\n")
            process.stdin.flush()
        answers = [process.communicate()[0].strip() for process in processes]
        return answers, (tmp_path / "at_once").read_text().split()

    return compiled


def test_two_processes_compile_at_once(compiled):
    assert compiled([(41,), (42,)], patience=60) == (["42.0", "43.0"], ["2", "2"])


def test_two_threads_compile_at_once(compiled):
    """They take turns in what Jittor does before, which was not made for threads, not in what the compiler does."""
    assert compiled([(41, 42)], patience=60) == (["42.0 43.0"], ["2", "2"])


def test_one_kernel_is_compiled_once(compiled):
    """The second process waits for the first, and takes what that has compiled."""
    assert compiled([(41,), (41,)], patience=3) == (["42.0", "42.0"], ["1"])


@pytest.mark.parametrize(
    "text, is_locking",
    [
        ("void f() {\n    string other_src;\n}\n", True),
        ("void f() {}\n", False),
        (2 * "    string other_src;\n", False),
    ],
)
def test_another_jittor_is_compiled_as_it_is(text, is_locking, tmp_path):
    source = tmp_path / "src" / "jit_compiler.cc"
    source.parent.mkdir()
    source.write_text(text)
    arguments = ["-O2", str(source), "-c", "-o", "x.o"]
    found = build.mended(str(tmp_path), arguments)
    assert (found != arguments) is is_locking
    assert [f for f in found if f != str(tmp_path / "jit_compiler.cc")] == [
        a for a in arguments if a != str(source) or not is_locking
    ]
    assert source.read_text() == text


def test_a_core_without_such_locks_keeps_its_own(tmp_path):
    assert not compiling.lock_kernels("libc.so.6", str(tmp_path / "lock"))
