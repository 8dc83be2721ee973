"""The package that gets Jittor imported: repairs, hook, start-up file, command; a process for each real import."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import pytest

from jittor_setup import __main__ as command
from jittor_setup import importing, startup
from jittor_setup.environment import cuda_usable

ROOT = Path(__file__).resolve().parent.parent
INSTALLED = Path(metadata.distribution("jittor").locate_file("")).resolve()


def python(code: str, *options: str, **more: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *options, "-c", code],
        cwd=ROOT,
        env=os.environ | more,
        capture_output=True,
        text=True,
        check=False,
    )


# importing

ASKS = "print(jittor.flags.python_path.endswith('python'), 'compiler' in jittor.flags.python_path)"


@pytest.mark.parametrize(
    "code",
    [
        "import jittor_setup; jittor = jittor_setup.import_jittor()",
        "import jittor_setup; jittor_setup.install_hook(); import jittor",
        "import jittor_setup; jittor_setup.install_hook(); import jittor_utils, jittor",
        "import site; site.addsitedir('{folder}'); import jittor",
        "import jittor_setup as s; a = s.import_jittor(); jittor = s.import_jittor(); assert a is jittor",
    ],
    ids=["called", "by hook", "its tools first", "by the start-up file", "twice"],
)
def test_every_way_in_is_prepared_and_quiet(code, tmp_path):
    (tmp_path / startup.NAME).write_text(startup.LINE)
    result = python(f"{code.format(folder=tmp_path)}; {ASKS}", PYTHONPATH=str(ROOT))
    assert result.returncode == 0, result.stderr
    assert result.stdout == "True True\n", "nothing but what the test prints"
    assert not result.stderr


@pytest.mark.skipif(cuda_usable(), reason="with a GPU Jittor imports PyTorch its own way")
@pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch is not installed")
def test_pytorch_beside_jittor_comes_when_it_is_asked_for_and_works():
    """Convolutions of both with gradients, and errors of both, in a process that imported Jittor first."""
    code = """
import sys, numpy as np, jittor_setup
jt = jittor_setup.import_jittor()
print("torch" in sys.modules)
x = np.random.default_rng(0).standard_normal((2, 16, 24, 24)).astype(np.float32)
layer = jt.nn.Conv(16, 8, 3, padding=1)
before = layer(jt.array(x))
gradient = jt.grad((before * before).sum(), layer.weight).numpy()
import torch
weight = torch.tensor(layer.weight.numpy(), requires_grad=True)
theirs = torch.nn.functional.conv2d(torch.tensor(x), weight, torch.tensor(layer.bias.numpy()), padding=1)
(theirs * theirs).sum().backward()
near = lambda a, b: float(abs(a - b).max()) <= 1e-5 * float(abs(b).max())
print(near(before.numpy(), theirs.detach().numpy()), near(gradient, weight.grad.numpy()))
print(near(layer(jt.array(x)).numpy(), theirs.detach().numpy()))
for broken in (lambda: torch.ones(2, 3) @ torch.ones(2, 3), lambda: jt.ones((2, 3)) @ jt.ones((2, 3))):
    try:
        broken()
    except (RuntimeError, AssertionError):
        print("raised")
"""
    result = python(code)
    wanted = "False\nTrue True\nTrue\nraised\nraised\n"
    assert (result.returncode, result.stdout) == (0, wanted), result.stderr


def test_a_child_that_ends_does_not_end_the_wait_for_a_lock(tmp_path):
    """Jittor waits so for whoever compiles; a wait that is interrupted is an error in the middle of a step."""
    code = f"""
import ctypes, subprocess, sys, jittor_setup
jittor_setup.import_jittor()
held = "import fcntl, time; f = open({str(tmp_path / "lock")!r}, 'w'); fcntl.flock(f, 2); print(flush=True)"
held += "; time.sleep(2)"
holder = subprocess.Popen([sys.executable, "-c", held], stdout=subprocess.PIPE)
holder.stdout.readline()
child = subprocess.Popen(["sleep", "0.3"])
with open({str(tmp_path / "lock")!r}) as file:
    print(ctypes.CDLL(None).flock(file.fileno(), 2), child.poll() is not None)
"""
    result = python(code)
    assert (result.returncode, result.stdout) == (0, "0 True\n"), result.stderr


def test_signals_are_the_programs_own_and_nothing_stays_behind():
    """Ctrl-C is Python's again, and Jittor's compiling processes have ended."""
    code = """
import os, signal, sys, jittor_setup
jittor_setup.import_jittor()
print(open(f"/proc/self/task/{os.getpid()}/children").read().split())
try:
    os.kill(os.getpid(), signal.SIGINT)
    signal.pause()
except KeyboardInterrupt:
    print("interrupted")
"""
    result = python(code)
    assert (result.returncode, result.stdout) == (0, "[]\ninterrupted\n"), result.stderr


def test_the_start_up_file_costs_nothing_until_jittor_is_imported(tmp_path):
    (tmp_path / startup.NAME).write_text(startup.LINE)
    code = (
        "import sys, site; site.addsitedir({!r}); print([m for m in sys.modules if 'jittor' in m])"
    )
    result = python(code.format(str(tmp_path)), PYTHONPATH=str(ROOT))
    assert result.stdout == "['jittor_setup', 'jittor_setup.startup']\n", result.stderr


def test_a_start_up_file_that_outlived_the_package_says_nothing(tmp_path):
    (tmp_path / startup.NAME).write_text(startup.LINE)
    code = f"import sys; sys.path[:] = [p for p in sys.path if {str(ROOT)!r} not in (p, p or {str(ROOT)!r})]"
    code += f"; import site; site.addsitedir({str(tmp_path)!r}); print('fine')"
    result = python(code, "-S")
    assert (result.stdout, result.stderr) == ("fine\n", "")


def test_the_start_up_file_is_switched(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(startup.sysconfig, "get_path", lambda name: str(tmp_path))
    for option, there in (
        ("--always", True),
        ("--always", True),
        ("--never", False),
        ("--never", False),
    ):
        monkeypatch.setattr("sys.argv", ["jittor_setup", option])
        assert command.main() == 0
        assert startup.is_on() is there and startup.NAME in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(startup.sysconfig, "get_path", lambda name: str(tmp_path / "file" / "x"))
    (tmp_path / "file").write_text("")
    monkeypatch.setattr("sys.argv", ["jittor_setup", "--always"])
    assert command.main() == 2
    assert "error: " in capsys.readouterr().err


def test_the_command_says_what_it_found():
    result = subprocess.run(
        [sys.executable, "-m", "jittor_setup"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    told = dict(line.strip().split("  ", 1) for line in result.stdout.splitlines())
    assert told["Python"].strip() == sys.version.split()[0]
    assert told["prepared headers"].strip() == "on"
    assert {"NumPy", "Jittor", "repairs", "oneDNN", "CUDA", "cache"} <= set(told)


def test_without_jittor_the_command_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr(importing.util, "find_spec", lambda name: None)
    monkeypatch.setattr("sys.argv", ["jittor_setup"])
    monkeypatch.delitem(sys.modules, "jittor", raising=False)
    monkeypatch.setattr(sys, "meta_path", [importing.Hook(), *sys.meta_path])
    assert command.main() == 1
    assert "pip install jittor" in capsys.readouterr().err
    with pytest.raises(ImportError, match="pip install jittor"):  # and says so again
        importing.import_jittor()


def test_a_failed_import_shows_what_jittor_said(capfd):
    with pytest.raises(RuntimeError), importing.quiet():
        os.write(2, b"nvcc: not found\n")
        raise RuntimeError
    assert "nvcc: not found" in capfd.readouterr().err
    with importing.quiet():
        os.write(1, b"Compiling Operators\n")
    assert capfd.readouterr() == ("", "")


# repairs
