"""Processes and threads that compile kernels at the same time wait for each other over the same kernel only."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import util
from pathlib import Path

import pytest

from jittor_setup import build, compiling
from tests.commands import ROOT

INSTALLED = Path(util.find_spec("jittor").submodule_search_locations[0])

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


THREADS = """
#include <cstdio>
#include <functional>
#include <iostream>
#include <mutex>
#include <condition_variable>
#include <string>
#include <thread>
#include <unistd.h>
#define S(x) std::to_string(x)
#define LOGe std::cerr
std::string& get_thread_name() { static thread_local std::string name; return name; }
STRUCT
int main() {
    int count = 0;
    SimpleThread thread(0);
    for (int launched = 1; launched <= 3; launched++) {
        thread.launch_one([&](int) { count++; });
        for (int n = 0; n < 20; n++) usleep(2000), thread.cv.notify_all();
        std::unique_lock<std::mutex> lock(thread.mtx);
        printf("%d ", count);
    }
}
"""


@pytest.mark.parametrize("is_mended", [True, False])
def test_a_thread_that_wakes_up_untold_does_not_work_again(is_mended, tmp_path):
    """What it would run is over, and what that refers to is gone: it crashed, and Jittor waited for it for ever."""
    path = next(p for p in INSTALLED.rglob("parallel_compiler.cc"))
    if is_mended:
        (path,) = (Path(a) for a in build.mended(str(tmp_path), [str(path)]))
        assert path.parent == tmp_path and "[&, n](int tid)" in path.read_text()
    text = path.read_text()
    struct = text[text.index("struct SimpleThread {") : text.index("struct SimpleThreads;")]
    source = tmp_path / "threads.cc"
    source.write_text(THREADS.replace("STRUCT", struct))
    command = ["g++", "-std=c++14", "-pthread", source, "-o", tmp_path / "threads"]
    subprocess.run(command, check=True)
    told = subprocess.run([tmp_path / "threads"], capture_output=True, text=True).stdout
    assert (told == "1 2 3 ") is is_mended


def test_all_that_is_mended_is_in_this_jittor(tmp_path):
    for end in build.MENDED:
        source = next(
            p for p in INSTALLED.rglob(f"*{end.rpartition('/')[2]}") if str(p).endswith(end)
        )
        (copy,) = build.mended(str(tmp_path), [str(source)])
        assert copy != str(source), f"{end}: compiled as it is"


def test_a_core_without_such_locks_keeps_its_own(tmp_path):
    assert not compiling.lock_kernels("libc.so.6", str(tmp_path / "lock"))
