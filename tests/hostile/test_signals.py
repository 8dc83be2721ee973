"""Parents pass signals on, children die with their parents, and the one that died is named."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from queue import Queue

import pytest

from neutral.processes import PARENT, call, end, how_ended, start, stoppable
from neutral.weights import load_file, save_weights
from scripts import train_pair
from tests.commands import ROOT, TINY, run
from tests.hostile import small
from tests.hostile.small import alive, descendants, wait_for

CHILD = """
import os, sys, time
from neutral.processes import Terminated, end_politely, tie_to_parent
tie_to_parent()
end_politely()
def say(): print(os.getpid(), flush=True)
try:
    {then}
except Terminated as error:
    sys.exit(error.code)
"""
PARENT_OF = """
import sys, time
from neutral.processes import start
child = start([sys.executable, "-c", {child!r}])
{then}
"""
FORK = "say(); copy = os.fork(); print(copy, flush=True) if copy else None; time.sleep(60)"


def python(code: str, **options) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True, **options
    )


@pytest.mark.parametrize("then", ["time.sleep(60)", "os.kill(os.getpid(), 9)", "sys.exit()"])
def test_children_end_with_their_parent(then):
    """However it ends, in whatever they are: C code that holds the interpreter, a copy of themselves."""
    busy = "say(); import re; re.match('(a+)+$', 'a' * 60 + 'b')"  # for ever, with the interpreter's lock
    for work in (busy, FORK):
        code = PARENT_OF.format(
            child=CHILD.format(then=work), then=f"import os\ntime.sleep(1)\n{then}"
        )
        parent = python(code)
        children = [int(parent.stdout.readline()) for _ in range(2 if work == FORK else 1)]
        if "sleep" in then:
            parent.kill()
        parent.wait(timeout=30)
        wait_for(lambda children=children: not any(map(alive, children)), 5)
        parent.stdout.close()


def test_a_parent_that_was_faster():
    """It had ended before its child could ask."""
    environment = os.environ | {PARENT: "1" if os.getppid() != 1 else "2"}
    child = python(CHILD.format(then="say(); time.sleep(60)"), env=environment)
    assert child.wait(timeout=30) == -signal.SIGKILL


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_command_that_waits_for_another_passes_signals_on(number, tmp_path):
    """The other one clears up before both end."""
    child = CHILD.format(
        then=f"try: say(); time.sleep(60)\n    finally: open({str(tmp_path / 'cleared')!r}, 'w').close()"
    )
    code = (
        "import sys\nfrom neutral.processes import call\nfrom scripts.common import run_main\n"
        f"run_main(lambda: call([sys.executable, '-c', {child!r}]))"
    )
    parent = python(code, stderr=subprocess.PIPE)
    process = int(parent.stdout.readline())
    parent.send_signal(number)
    _, errors = parent.communicate(timeout=30)
    assert parent.returncode == 128 + number and f"ended by {number.name}" in errors
    assert "Traceback" not in errors and not alive(process) and (tmp_path / "cleared").exists()


def test_a_termination_that_comes_to_nothing():
    """A destructor swallows the exception; the process ends nevertheless."""
    code = """
import os, signal, time
from neutral import processes
processes.GRACE = 0.5
processes.end_politely()
class Swallows:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.01)
found = Swallows()
del found
print("alive", flush=True)
time.sleep(60)
"""
    process = python(code, stderr=subprocess.PIPE)
    output, errors = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGALRM and output == "alive\n" and "Terminated" in errors


def test_ctrl_c_is_the_parents_to_decide():
    child = start(
        [sys.executable, "-c", CHILD.format(then="say(); time.sleep(60)")],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    child.stdout.readline()
    child.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        child.wait(timeout=0.5)
    end([child])
    assert child.returncode == 128 + signal.SIGTERM


def test_words_for_ends():
    assert how_ended(3) == "ended with exit code 3" and how_ended(-9) == "was killed by SIGKILL"
    assert "signal 99" in how_ended(-99)
    assert call([sys.executable, "-c", "raise SystemExit(5)"]) == 5


def test_requests():
    """The first is told once; a second Ctrl-C interrupts, a second SIGTERM does not; what was before is back."""
    told, before = [], signal.getsignal(signal.SIGTERM)
    with stoppable(lambda: told.append(1)) as request:
        assert not request
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        assert request.name == "SIGTERM" and request.code == 143 and told == [1]
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) is before


def test_hang_up_under_nohup_is_no_request():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stoppable() as request:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not request
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_second_signal_does_not_cost_the_checkpoint(tmp_path):
    """SIGTERM to a whole group comes twice, from outside and from the parent."""
    process = small.start(
        "train",
        "--framework=torch",
        *TINY,
        "--set=optimiser.epochs=1000",
        f"--out={tmp_path}",
        "--json-progress",
    )
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 143 and "stopped by SIGTERM" in errors
    load_file(tmp_path / "checkpoint.safetensors")
    assert not list(tmp_path.glob(".*"))


def pair(folder, *more) -> subprocess.Popen:
    """Both frameworks in training, each past its first epoch."""
    process = small.start(
        "train_pair",
        *TINY,
        "--set=optimiser.epochs=1000",
        f"--out={folder}",
        *more,
        start_new_session=True,
    )
    logs = [folder / side / "checkpoint.safetensors" for side in ("torch", "jittor")]
    wait_for(lambda: process.poll() is not None or all(map(os.path.exists, logs)), 400)
    assert process.poll() is None, process.stderr.read()
    return process


def child_with(process: subprocess.Popen, *words: str) -> int:
    """The process below this one that was begun with these words."""
    for child in descendants(process.pid):
        command = Path(f"/proc/{child}/cmdline").read_text()
        if all(word in command for word in words):
            return child
    raise AssertionError(words)


def test_what_a_run_left_behind_is_not_waited_for(tmp_path):
    """Its pipe stays open in a process that outlived it."""
    code = (
        "import subprocess; subprocess.Popen(['sleep', '60']); print('{\"step\": 1}', flush=True)"
    )
    process, events, ended = python(code), [], Queue()
    began = time.monotonic()
    train_pair.Running(None, process, tmp_path).follow(events.append, ended)
    assert ended.get_nowait().process.returncode == 0 and events == [{"step": 1}]
    assert time.monotonic() - began < 30


@pytest.mark.hostile
@pytest.mark.parametrize("to_group", [False, True])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_train_pair_passes_signals_on(tmp_path, number, to_group):
    """Both sides save and end, and both go on."""
    process = pair(tmp_path)
    family = descendants(process.pid)
    (os.killpg if to_group else os.kill)(process.pid, number)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 128 + number and f"stopped by {number.name}" in errors
    assert "Traceback" not in errors and len(family) >= 2 and not any(map(alive, family))
    for side in ("torch", "jittor"):
        load_file(tmp_path / side / "checkpoint.safetensors")
        assert not list((tmp_path / side).glob(".*"))


@pytest.mark.hostile
def test_train_pair_that_is_killed(tmp_path):
    """Its children end within five seconds."""
    process = pair(tmp_path)
    family = descendants(process.pid)
    process.kill()
    process.wait()
    wait_for(lambda: not any(map(alive, family)), 5)
    assert len(family) >= 2


@pytest.mark.hostile
@pytest.mark.parametrize("victim", ["torch", "jittor"])
def test_a_side_that_dies_is_named_and_the_other_told(tmp_path, victim):
    process = pair(tmp_path)
    family = descendants(process.pid)
    os.kill(child_with(process, "scripts.train", victim), signal.SIGKILL)
    _, errors = process.communicate(timeout=120)
    other = {"torch": "jittor", "jittor": "torch"}[victim]
    assert process.returncode == 1 and "Traceback" not in errors
    assert (
        f"error: {victim} was killed by SIGKILL" in errors and f"{other} was told to stop" in errors
    )
    assert not any(map(alive, family))
    assert not list((tmp_path / other).glob(".*"))


@pytest.mark.hostile
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_predict_of_both_frameworks(tmp_path, number):
    from torch_impl.session import Session

    weights = tmp_path / "weights.safetensors"
    save_weights(weights, Session(small.tiny("data.scenes.val_images=200")[0]).state())
    out = tmp_path / "out"
    process = small.start(
        "predict",
        *("--framework=both", *TINY, "--set=data.scenes.val_images=200", f"--weights={weights}"),
        *("--split=val", f"--out={out}"),
    )
    wait_for(lambda: process.poll() is not None or list(out.glob("torch/*.png")))
    assert process.poll() is None
    family = descendants(process.pid)
    process.send_signal(number)
    process.communicate(timeout=60)
    wait_for(lambda: not any(map(alive, family)), 5)
    assert family
    if number == signal.SIGTERM:
        assert process.returncode == 143 and not [p for p in out.rglob(".*")]


@pytest.mark.hostile
def test_seeds_after_a_stop_go_on(tmp_path):
    """The whole of it, stopped in the first seed, ends as if nobody had."""
    arguments = [*TINY, "--set=optimiser.epochs=2", "--seeds=0,1", f"--out={tmp_path}"]
    arguments.append("--pictures=0")
    process = small.start("train_pair", *arguments)
    wait_for(lambda: list(tmp_path.glob("seed0/*/log.txt")), 400)
    process.terminate()
    process.communicate(timeout=120)
    assert process.returncode == 143
    run("train_pair", *arguments, "--resume")
    assert (tmp_path / "summary.html").exists()
