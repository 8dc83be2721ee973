"""The programs that compile with prepared headers, and every way back to Jittor's own way."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from jittor_setup import compiling
from tests.compiler_bench import Bench


@pytest.fixture
def bench(tmp_path, monkeypatch) -> Bench:
    sys.modules.pop("jittor", None)
    return Bench(tmp_path, monkeypatch)


def test_a_header_is_built_once_and_used(bench):
    chosen = bench.prepare()
    assert bench.run(chosen).returncode == 0
    (header,) = bench.built(chosen)
    made = header.stat().st_mtime_ns
    assert (
        bench.run(chosen, "-Wfatal-errors", "-H").returncode == 0
    )  # -H: what is read; other flags
    again = bench.run(chosen)
    assert again.returncode == 0
    assert header.stat().st_mtime_ns == made
    assert bench.value() == 1


@pytest.mark.parametrize("there", [True, False])
def test_gold_links_where_there_is_one(bench, there, tmp_path):
    if there and not shutil.which("ld.gold"):
        pytest.skip("binutils without gold")
    tools = tmp_path / "tools"
    tools.mkdir()
    for folder in os.environ["PATH"].split(os.pathsep):
        for tool in Path(folder).glob("*"):
            if (there or not tool.name.endswith("gold")) and not (tools / tool.name).exists():
                (tools / tool.name).symlink_to(tool)
    chosen = bench.prepare()
    assert bench.run(chosen, PATH=str(tools)).returncode == 0
    assert bench.value() == 1
    assert (b".note.gnu.gold-version" in bench.kernel.with_suffix(".so").read_bytes()) == there


def test_the_switch_turns_it_off(bench, monkeypatch):
    monkeypatch.setenv(compiling.SWITCH, "0")
    chosen = bench.prepare()
    assert compiling.SWITCH not in chosen
    assert bench.run(chosen).returncode == 0
    assert bench.value() == 1
    assert not (bench.cache / "headers").exists()
    assert compiling.describe() == f"off: {compiling.SWITCH}=0"


def test_an_outdated_header_is_built_anew(bench):
    before = bench.prepare()
    assert bench.run(before).returncode == 0
    (bench.source / "var.h").write_text("#pragma once\n#define VALUE 22\n")
    after = bench.prepare()
    assert after[compiling.SWITCH] != before[compiling.SWITCH]
    assert not Path(before[compiling.SWITCH]).exists(), "70 MB each: the old one is deleted"
    assert bench.run(after).returncode == 0
    assert bench.value() == 22
    assert bench.run(before).returncode == 0, "a process that still has the old folder"
    assert bench.value() == 22


def test_other_flags_get_another_header_and_mean_what_they_say(bench):
    chosen = bench.prepare()
    assert bench.run(chosen).returncode == 0
    assert bench.run(chosen, "-DVALUE=5").returncode == 0
    assert bench.value() == 5
    assert len(bench.built(chosen)) == 2
    for number in range(20):
        assert bench.run(chosen, f"-DVALUE={number}").returncode == 0
        assert bench.value() == number
    assert len(bench.built(chosen)) <= 12, "a bound on the disk's space"


def test_a_header_that_does_not_compile_is_done_without(bench):
    (bench.source / "fused_op.h").write_text("#error not in a header\n")
    chosen = bench.prepare()
    for _ in range(2):
        assert bench.run(chosen).returncode == 0
        assert bench.value() == 1
    assert bench.built(chosen) == []


def test_errors_of_the_compiler_are_handed_on(bench):
    chosen = bench.prepare()
    bench.kernel.write_text('#include "var.h"\nint value() { return nothing; }\n')
    result = bench.run(chosen)
    assert result.returncode == 1
    assert "nothing" in result.stderr


def test_what_is_no_kernel_goes_to_the_compiler_as_it_is(bench):
    chosen = bench.prepare()
    other = bench.folder / "other.cc"
    other.write_text("int main() { return VALUE - 3; }\n")
    program = bench.folder / "a program"
    command = [chosen["cc_path"], "-DVALUE=3", str(other), "-o", str(program)]
    subprocess.run(command, env=os.environ | chosen, check=True)
    assert subprocess.run([program], check=False).returncode == 0
    version = subprocess.run(
        [chosen["cc_path"], "--version"], env=os.environ | chosen, capture_output=True, check=True
    )
    real = subprocess.run(
        [chosen[compiling.COMPILER], "--version"], capture_output=True, check=True
    )
    assert version.stdout == real.stdout
    assert bench.built(chosen) == []


@pytest.mark.parametrize("name", ["clang++", "icpc"])
def test_other_compilers_go_jittors_own_way(bench, monkeypatch, name):
    path = bench.folder / name
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    monkeypatch.setenv("cc_path", str(path))
    assert bench.prepare() == {}
    assert compiling.describe().startswith("off: ")


def test_a_compiler_of_ones_own_is_the_one_behind_it(bench, monkeypatch):
    marker = bench.folder / "called"
    path = bench.folder / "my-g++"
    path.write_text(f'#!/bin/sh\necho "$@" >> "{marker}"\nexec g++ "$@"\n')
    path.chmod(0o755)
    monkeypatch.setenv("cc_path", str(path))
    chosen = bench.prepare()
    assert bench.run(chosen).returncode == 0
    assert len(marker.read_text().splitlines()) == 2, "header, kernel"
    for key, value in chosen.items():  # a child process inherits it all, and decides the same
        monkeypatch.setenv(key, value)
    assert bench.prepare() == chosen


def test_processes_that_start_at_once_build_one_header(bench, monkeypatch):
    marker = bench.folder / "called"
    path = bench.folder / "my-g++"
    path.write_text(
        f'#!/bin/sh\ncase "$*" in *c++-header*) echo x >> "{marker}"; sleep 0.5;; esac\nexec g++ "$@"\n'
    )
    path.chmod(0o755)
    monkeypatch.setenv("cc_path", str(path))
    chosen = bench.prepare()
    outputs = [str(bench.folder / f"{i}.so") for i in range(6)]
    command = [chosen["cc_path"], *bench.arguments()[:-1]]
    running = [subprocess.Popen([*command, out], env=os.environ | chosen) for out in outputs]
    assert [p.wait() for p in running] == [0] * 6
    assert marker.read_text() == "x\n"
    assert len(bench.built(chosen)) == 1


def test_what_a_killed_builder_left_is_cleared(bench):
    chosen = bench.prepare()
    left = Path(chosen[compiling.SWITCH]) / "building-kernel-7"
    left.mkdir()
    (left / "kernel.h.gch").write_bytes(b"half")
    assert bench.run(chosen).returncode == 0
    assert not left.exists()
    assert len(bench.built(chosen)) == 1


def test_kernels_without_marks_skip_the_tuner(bench):
    chosen = bench.prepare()
    marker = bench.folder / "tuned"
    tuner = bench.folder / "asm_tuner.py"
    tuner.write_text(f"open({str(marker)!r}, 'a').write('x')\n")
    python = str(Path(chosen["cc_path"]).parent / "python")
    command = [python, str(tuner), f"--cc_path={chosen['cc_path']}", *bench.arguments()]

    def run(**more: str) -> None:
        subprocess.run(command, env=os.environ | chosen | more, check=True)

    run()
    assert bench.value() == 1
    assert not marker.exists()
    run(**{compiling.SWITCH: "0"})
    assert marker.read_text() == "x"
    bench.kernel.write_text(bench.kernel.read_text() + '// @begin replace "a" "b"\n// @end\n')
    run()
    assert marker.read_text() == "xx"
    assert (
        subprocess.run(
            [python, "-c", "print(7)"], env=os.environ | chosen, capture_output=True
        ).stdout
        == b"7\n"
    )


@pytest.mark.parametrize("broken", [False, True])
def test_files_of_the_core_compile_with_and_without_a_header(bench, broken):
    chosen = bench.prepare()
    source = bench.source / "some.cc"
    source.write_text('#include "var.h"\nint value() { return VALUE; }\n')
    output = bench.folder / "some.o"
    if broken:  # where the lock should be written
        (Path(chosen[compiling.SWITCH]) / "lock").mkdir()
    flags = ["-std=c++14", "-O2", "-fPIC", f"-I{bench.source}", "-c"]
    command = [chosen["cc_path"], str(source), *flags, "-o", str(output)]
    subprocess.run(command, env=os.environ | chosen, check=True)
    assert output.is_file()
    assert [path.name for path in bench.built(chosen)] == ([] if broken else ["core.h.gch"])
