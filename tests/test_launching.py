"""How several processes are started, told who they are, and ended: seats, launchers, what is said of a death."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from door.threads import threads
from neutral import ranks
from neutral.config import preset
from neutral.errors import InputError
from neutral.launchers import check_launcher, launcher_command, launcher_environment
from neutral.processes import STARTER, endable, stoppable
from neutral.ranks import check_joined, seat_of
from scripts.launcher import REPORT, check_ranks, obituary, read_events
from tests.commands import ROOT
from tests.test_ranks import BOTH


def test_the_other_frameworks_launcher_is_refused(monkeypatch):
    for name in ranks.VARIABLES["torchrun"]:
        monkeypatch.setenv(name, "1" if "RANK" in name else "2")
    assert seat_of("torch") == ranks.Seat(1, 2, 1, 2)
    with pytest.raises(InputError, match=r"jittor under torchrun: .* started by mpirun"):
        seat_of("jittor")
    for name in ranks.VARIABLES["mpirun"]:  # as where mpirun starts a torchrun on each machine
        monkeypatch.setenv(name, "0" if "RANK" in name else "3")
    assert seat_of("torch") == ranks.Seat(1, 2, 1, 2)
    assert seat_of("jittor") == ranks.Seat(0, 3, 0, 3)


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        (("1", "2", "", ""), "RANK=1, WORLD_SIZE=2, no LOCAL_RANK, no LOCAL_WORLD_SIZE"),
        (("5", "2", "0", "2"), "RANK=5, WORLD_SIZE=2"),
        (("0", "\u00b2", "0", "2"), "WORLD_SIZE=\u00b2"),
        (("0", "2", "2", "2"), "LOCAL_RANK=2"),
        (("0", "0", "0", "0"), "WORLD_SIZE=0"),
    ],
)
def test_variables_that_no_launcher_set_are_refused(values, wrong, monkeypatch):
    for name, value in zip(ranks.VARIABLES["torchrun"], values):
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=f"{wrong}.*Start with torchrun; .* unset RANK WORLD_SIZE"):
        seat_of("torch")
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert seat_of("torch") == ranks.Seat()


def test_a_framework_that_finds_another_seat_is_told():
    check_joined("jittor", ranks.Seat(1, 2, 1, 2), 1, 2)
    with pytest.raises(
        InputError, match=r"say rank 1 of 2, jittor finds rank 0 of 1.* unset OMPI_"
    ):
        check_joined("jittor", ranks.Seat(1, 2, 1, 2), 0, 1)


def test_what_is_one_process_is_refused_in_several(monkeypatch):
    ranks.check_alone("evaluate")
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "2")
    with pytest.raises(InputError, match="evaluate is one process, and OMPI_COMM_WORLD_SIZE=2"):
        ranks.check_alone("evaluate")


@pytest.mark.parametrize(
    ("text", "count"),
    [("4,2", 4), (" 3 ", 3), ("", None), ("abc", None), ("0", None), ("-1", None)],
)
def test_threads_are_read_as_openmp_reads_them(text, count, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    assert threads() == count
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    assert launcher_environment("torch", 2)["OMP_NUM_THREADS"] == str((count or 8) // 2)


def test_signals_end_at_once_what_only_waits():
    with stoppable() as request:
        with endable():
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        signal.raise_signal(signal.SIGTERM)
        assert request.name == "SIGTERM"


def test_events_that_nobody_takes_end_the_run():
    many = "import json\nfor k in range(10**6): print(json.dumps({'k': k, 'more': 'x' * 100}))"
    process = subprocess.Popen([sys.executable, "-c", many], stdout=subprocess.PIPE, text=True)
    taken = []

    def report(event: dict) -> None:
        taken.append(event["k"])
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        read_events(process, report, process.terminate)
    assert taken == [0] and process.returncode == -signal.SIGTERM


def test_no_mpi_is_told_with_its_packages(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    config = preset("scenes_detr")
    with pytest.raises(InputError, match="there is no mpirun: apt-get install -y openmpi-bin"):
        check_ranks(("torch", "jittor"), config, 100, 2)
    check_launcher("torch")
    assert launcher_command("jittor", 3, ["scripts.train"])[:3] == ["mpirun", "-np", "3"]
    two = [" ".join(launcher_command("torch", 2, ["scripts.train"])) for _ in range(2)]
    assert "endpoint=127.0.0.1:0 " in two[0] and "localhost" not in two[0]  # a name, not everywhere
    assert two[0] != two[1]  # runs on one machine do not meet


def test_deaths_are_read_from_what_the_launchers_say(tmp_path):
    said = tmp_path / "said"
    said.write_text(
        "Root Cause (first observed failure):\n[0]:\n  host      : here\n  rank      : 3 (local_rank: 3)\n"
        "  exitcode  : -9 (pid: 77)\n"
    )
    assert "rank 3 was killed by SIGKILL (of 4)" in str(obituary("torch", 4, 1, said, tmp_path))
    assert "no checkpoint yet: begin anew" in str(obituary("torch", 4, 1, said, tmp_path))
    (tmp_path / "checkpoint.safetensors").touch()
    assert "--resume goes on from" in str(obituary("torch", 4, 1, said, tmp_path))
    said.write_text(
        "mpirun noticed that process rank 1 with PID 0 on node vm exited on signal 11 (Segmentation)."
    )
    assert "rank 1 was killed by SIGSEGV" in str(obituary("jittor", 2, 139, said, tmp_path))
    said.write_text("error: rank 1 of 2: no such image\n  a detail\nRoot Cause\n rank : 1\n")
    found = obituary("torch", 2, 1, said, tmp_path)
    assert isinstance(found, InputError) and str(found) == "rank 1 of 2: no such image"
    assert found.details == ("a detail",)
    said.write_text(
        "Traceback\nValueError: bad\nerror: rank 0 of 2 has lost another rank\nrank : 1\n"
    )
    found = obituary("torch", 2, 1, said, tmp_path)
    assert found.details == ("ValueError: bad",) and "\n" not in str(found)
    said.write_text(
        "stopped by SIGTERM: --resume goes on from here\nRoot Cause\n rank : 1\n exitcode : 143"
    )
    assert str(obituary("torch", 2, 1, said, tmp_path)).startswith("stopped by SIGTERM: --resume")
    said.write_text("something else\n")
    assert "torchrun ended with exit code 5" in str(obituary("torch", 2, 5, said, tmp_path))
    assert "mpirun was killed by SIGKILL" in str(obituary("jittor", 2, -9, said, tmp_path))


@pytest.mark.parametrize("framework", BOTH)
def test_a_rank_that_crashes_says_where(framework, tmp_path, monkeypatch):
    (tmp_path / "crashing.py").write_text(
        "import faulthandler, os, time\n"
        "faulthandler.enable()\n"
        "if '1' in (os.environ.get('OMPI_COMM_WORLD_RANK'), os.environ.get('RANK')):\n"
        "    os.abort()\n"
        "time.sleep(20)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    ended = subprocess.run(
        launcher_command(framework, 2, ["crashing"]),
        env=os.environ | launcher_environment(framework, 2),
        stderr=subprocess.PIPE,
    )
    said = tmp_path / "said"
    said.write_bytes(ended.stderr)
    found = obituary(framework, 2, ended.returncode, said, tmp_path)
    assert "rank 1 was killed by SIGABRT (of 2)" in str(found)
    assert found.details[0] == "Fatal Python error: Aborted" and "line 4" in found.details[2]
    assert not any(REPORT.match(line) for line in found.details)


@pytest.mark.parametrize("alive", [True, False])
def test_a_rank_whose_launcher_has_gone_goes_too(alive, tmp_path):
    """A launcher that ends before its rank has begun to look: the rank's parent is another one then."""
    rank = (
        "import os, sys, time\n"
        "while os.getppid() == int(sys.argv[1]): time.sleep(0.01)\n"
        "from neutral.processes import tie_to_launcher; tie_to_launcher(); print('alive', flush=True)\n"
    )
    wait = "child.wait()" if alive else "pass"
    launcher = (
        "import os, subprocess, sys\n"
        f"own = {0 if alive else 'os.getpid()'}\n"
        f"child = subprocess.Popen([sys.executable, '-c', {rank!r}, str(own)])\n{wait}"
    )
    done = subprocess.run(
        [sys.executable, "-c", launcher],
        env=os.environ | {STARTER: str(os.getpid())},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout.strip() == ("alive" if alive else ""), done.stderr


@pytest.mark.parametrize("ranked", [True, False])
def test_a_rank_that_is_done_does_not_wait_for_threads_of_its_framework(ranked):
    """PyTorch's abort the process at an exit now and then, when everything is written."""
    code = "import atexit; from scripts.common import run_main; atexit.register(print, 'late'); run_main(lambda: 3)"
    environment = os.environ | ({"RANK": "1", "WORLD_SIZE": "2"} if ranked else {})
    ended = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True
    )
    assert (ended.returncode, ended.stdout) == (3, "" if ranked else "late\n"), ended.stderr
