"""What is settled before Jittor is imported, and what the doctor makes of a machine."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from jittor_setup import compiling, environment, onednn, priming
from scripts import doctor

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def clean(monkeypatch, tmp_path):
    """No decision made yet, and a cache of its own."""
    names = (
        *environment.SWITCHES_OFF,
        "log_silent",
        "gdb_path",
        "cache_name",
        "use_mkl",
        "nvcc_path",
        "python_config_path",
        "cc_flags",
        "cc_path",
        compiling.SWITCH,
        compiling.COMPILER,
        compiling.INTERPRETER,
    )
    for name in names:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv(environment.IEEE_VARIABLE, raising=False)
    monkeypatch.setattr(environment, "jittor_home", lambda: tmp_path)

    yield tmp_path
    for name in names:
        os.environ.pop(name, None)


def test_nothing_is_downloaded_and_a_stray_nvcc_is_ignored(clean, monkeypatch):
    monkeypatch.setattr(environment, "cuda_usable", lambda: False)
    environment.prepare_environment()
    for name in ("use_cutt", "use_cutlass", "use_nccl", "use_mpi"):
        assert os.environ[name] == "0"
    assert os.environ["nvcc_path"] == ""
    assert os.environ["log_silent"] == "1"
    assert "use_mkl" not in os.environ, "oneDNN was found in the pip packages"
    folder = clean / ".cache" / "jittor" / "mkl" / onednn.FOLDER
    assert (folder / "lib" / "libmkldnn.so").is_file()
    assert (folder / "include" / "dnnl.hpp").is_file()
    assert (folder / "include" / "oneapi" / "dnnl" / "dnnl.h").is_file()
    assert [p.name for p in folder.parent.iterdir()] == [onednn.FOLDER], "no staging folder is left"


@pytest.mark.parametrize("remembered", ["", '{"JITTOR_HOME": ""}', '{"JITTOR_HOME": "/elsewhere"}'])
def test_an_empty_home_is_none(monkeypatch, tmp_path, remembered):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("JITTOR_HOME", "")
    (tmp_path / ".cache" / "jittor").mkdir(parents=True)
    (tmp_path / ".cache" / "jittor" / "config.json").write_text(remembered)
    wanted = Path("/elsewhere") if "elsewhere" in remembered else tmp_path
    assert environment.jittor_home() == wanted


def test_an_empty_home_is_not_handed_to_jittor(clean, monkeypatch):
    monkeypatch.setenv("JITTOR_HOME", "")
    environment.prepare_environment()
    assert os.environ["JITTOR_HOME"] == str(clean)


def test_python_config_answers_for_this_interpreter(clean):
    path = environment.write_python_config(clean / "cache")
    assert path == environment.write_python_config(clean / "cache")

    def ask(option: str) -> str:
        return subprocess.run(
            [path, option], capture_output=True, text=True, check=True
        ).stdout.strip()

    assert any((Path(part[2:]) / "Python.h").is_file() for part in ask("--includes").split())
    assert ask("--extension-suffix") == sysconfig.get_config_var("EXT_SUFFIX")


def test_a_users_choice_is_kept_but_for_nvcc(clean, monkeypatch):
    monkeypatch.setattr(environment, "cuda_usable", lambda: True)
    monkeypatch.setenv("use_mpi", "1")
    monkeypatch.setenv("nvcc_path", "/somewhere/nvcc")
    environment.prepare_environment()
    assert os.environ["use_mpi"] == "1"
    assert os.environ["nvcc_path"] == "/somewhere/nvcc"


def test_without_the_packages_onednn_is_switched_off(clean, monkeypatch):
    monkeypatch.setattr(onednn, "PACKAGES", ("no-such-package",))
    assert environment.prepare_environment()["use_mkl"] == "0"


def test_a_broken_copy_of_onednn_is_replaced(clean):
    cache = clean / "cache"
    stale = cache / "mkl" / onednn.FOLDER
    stale.parent.mkdir(parents=True)
    stale.symlink_to(clean / "an-environment-that-was-deleted")
    assert onednn.install(cache)
    assert (stale / "lib" / "libmkldnn.so").is_file()


def test_ieee_build_has_a_cache_of_its_own(clean, monkeypatch):
    monkeypatch.setenv(environment.IEEE_VARIABLE, "1")
    decided = environment.prepare_environment()
    assert decided["cc_flags"] == " -O2 "
    assert decided["cache_name"] != "default"


def machine(**changes) -> dict:
    packages = {"numpy": "1.26.4"} | dict.fromkeys(onednn.PACKAGES, "2021.2.0")
    base = {
        "python": (3, 11, 7),
        "compiler": "/usr/bin/g++",
        "nvcc": "",
        "cuda_usable": False,
        "packages": packages,
    }
    return base | changes


GOOD = {"torch": ({"flush_to_zero": False}, ""), "jittor": ({"flush_to_zero": True}, "")}


@pytest.mark.parametrize(("python", "numpy"), [((3, 11, 7), "1.26.4"), ((3, 13, 0), "2.5.2")])
def test_a_good_machine_has_no_problems(python, numpy):
    packages = machine()["packages"] | {"numpy": numpy}
    assert doctor.find_problems(machine(python=python, packages=packages), GOOD) == []


@pytest.mark.parametrize(
    ("found", "answers", "named", "fatal"),
    [
        (machine(python=(3, 14, 0)), GOOD, "3.14.0", True),
        (machine(compiler=""), GOOD, "g++", True),
        (machine(packages=machine()["packages"] | {"numpy": "3.0.0"}), GOOD, "numpy 3.0.0", True),
        (machine(packages={"numpy": "1.26.4"}), GOOD, "oneDNN", False),
        (machine(nvcc="/usr/local/bin/nvcc"), GOOD, "no CUDA driver", False),
        (machine(), GOOD | {"jittor": (None, "ImportError: x")}, "ImportError: x", True),
        (
            machine(),
            GOOD | {"torch": ({"flush_to_zero": True}, "")},
            "flushes small numbers",
            False,
        ),
    ],
)
def test_every_problem_is_named_with_its_fix(found, answers, named, fatal):
    problems = doctor.find_problems(found, answers)
    problem = next(p for p in problems if named in p.what)
    assert problem.fix
    assert problem.fatal is fatal


def test_jittor_without_gxx_fails_with_one_clear_message(tmp_path):
    code = "import jittor_impl.runtime"
    environment_ = os.environ | {"PATH": str(tmp_path), "cc_path": ""}
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment_,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode != 0
    assert "apt-get install g++" in result.stderr.splitlines()[-1]


def test_the_core_is_compiled_once_in_processes_of_its_own(clean, monkeypatch, capfd):
    """Jittor may end the process that rebuilds it, so two expendable ones go first."""
    calls = []

    def run(command, **options):
        calls.append(command)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(priming.subprocess, "run", run)
    priming.prime()
    priming.prime()
    assert len(calls) == 2
    assert "one to two minutes" in capfd.readouterr().err
    monkeypatch.setenv("cc_flags", "-O1")  # other flags: another build
    priming.prime()
    assert len(calls) == 4
    monkeypatch.delenv(
        "cc_flags"
    )  # back again: Jittor has one folder for both, and the other build is in it
    priming.prime()
    priming.prime()
    assert len(calls) == 6
    for compiler, times in (
        ("/usr/bin/nvcc", 8),
        ("", 8),
        ("/usr/bin/nvcc", 8),
    ):  # CUDA's core has its own folder
        monkeypatch.setenv("nvcc_path", compiler)
        priming.prime()
        assert len(calls) == times


def test_a_jittor_that_does_not_compile_is_one_error(clean, monkeypatch):
    def run(command, **options):
        return subprocess.CompletedProcess(command, 1, "", "fatal error: Python.h: No such file\n")

    monkeypatch.setattr(priming.subprocess, "run", run)
    with pytest.raises(ImportError, match=r"cannot be imported: .*Python\.h"):
        priming.prime()
    assert not list(clean.rglob("primed/*")), "no stamp after a failure"


def test_another_environment_that_compiles_keeps_nobody_waiting(clean, monkeypatch):
    """The lock is one environment's: a warm start elsewhere goes on while this one compiles for minutes."""
    monkeypatch.setattr(
        priming.subprocess,
        "run",
        lambda command, **_: subprocess.CompletedProcess(command, 0, "", ""),
    )
    assert priming.prime() is True
    (ours,) = (clean / ".cache" / "jittor" / "priming").iterdir()
    with compiling.locked(ours):
        assert priming.prime() is False, "already compiled: no lock is asked for"
        monkeypatch.setenv("cache_name", "another")
        assert priming.prime() is True, "another core has another lock"
