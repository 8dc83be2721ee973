"""What a person sees of `pytest parity/` while it runs, on tiny suites of their own."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from parity.engine.judge.verdicts import Status, Verdict
from parity.engine.values import kernels
from parity.report import screen
from parity.report.lines import name_of
from parity.report.report import Report
from parity.suite.order import ORDER, in_order, place
from tests.small_suites import ROOT, SLOW, SUITE, command, run, write_suite


@pytest.fixture(scope="module")
def suite(tmp_path_factory) -> Path:
    return write_suite(tmp_path_factory.mktemp("suite"), SUITE)


@pytest.fixture(scope="module")
def lines(suite) -> list[str]:
    return run(suite).splitlines()


def told(lines: list[str]) -> list[str]:
    """The lines about cases, without how long they took."""
    kept = [line for line in lines if re.match(r" +(\d+/\d+|PASS) ", line)]
    return [re.sub(r"; [\d.]+ s$", "", line.strip()) for line in kept]


def test_a_line_for_every_case_and_stage_in_the_declared_order(lines):
    one = "1 compared, worst"
    assert told(lines) == [
        f"PASS     free 64: {one} 2.0e-15, limit 1.0e-12",
        f"1/10 PASS     detectors: scenes_detr_on_scenes: {one} 3.0e-15, limit 1.0e-12",
        f"2/10 PASS     ops: {one} 1.0e-15, limit 1.0e-12",
        "3/10 NOT RUN  ops: skipped: 1 compared, 1 NOT RUN",
        "8/10 PASS     5 entries of the atlas: 5 compared, worst 1.0e-15, limit 1.0e-12",
        f"9/10 FAIL     detectors: wrong: {one} 1.0e+00, limit 1.0e-12, 1 FAIL, first n",
        f"PASS     free 64: {one} 2.0e-15, limit 1.0e-12",
        "10/10 PASS     detectors: detr_r50_on_coco_mini_short_side_96: "
        f"{one} 3.0e-15, limit 1.0e-12",
    ]


def test_pytests_own_account_stays_right(lines):
    assert re.search(r"1 failed, 8 passed, 1 skipped", lines[-1])
    assert not any(re.match(r"test_\w+\.py [.sF]", line) for line in lines), "dots among the lines"
    assert "\x1b" not in "\n".join(lines), "plain text where there is no terminal"


def test_verbose_and_quiet_are_pytests(suite):
    verbose = run(suite, "-v")
    assert len(told(verbose.splitlines())) == 8
    assert re.search(r"test_ops\.py::test_ops PASSED +\[", verbose)
    quiet = run(suite, "-q")
    assert told(quiet.splitlines()) == []
    assert re.search(r"^\.\.s", quiet, re.MULTILINE)


def test_single_files_and_expressions(suite):
    assert len(told(run(suite, "-k", "test_ops").splitlines())) == 2
    assert len(told(run(suite / "test_semantics.py").splitlines())) == 1
    assert "10 tests collected" in run(suite, "--collect-only", "-q")


def test_other_tests_keep_their_places_and_dots(suite, tmp_path):
    (tmp_path / "test_other.py").write_text("def test_a(): pass\ndef test_b(): pass\n")
    inside = tmp_path / "parity"
    inside.mkdir()
    write_suite(inside, {"test_ops.py": SUITE["test_ops.py"]})
    (inside / "pytest.ini").unlink()
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    output = run(tmp_path / "test_other.py", str(inside))
    assert re.search(r"test_other\.py \.\.", output)
    assert len(told(output.splitlines())) == 2


class Item:
    def __init__(self, name: str):
        self.nodeid = name


def test_order():
    names = [
        "tests/test_zzz.py::test_a",
        "parity/suite/test_golden.py::test_golden[detr_r50]",
        "parity/suite/test_detectors.py::test_detector[torchvision_r50_fpn]",
        "parity/suite/test_ops.py::test_b",
        "parity/suite/test_detectors.py::test_detector[scenes_frcnn_on_scenes]",
        "tests/test_aaa.py::test_a",
        "parity/suite/test_detectors.py::test_detector[scenes_detr_on_scenes]",
        "parity/suite/test_unknown.py::test_a",
    ]
    items = in_order([Item(n) for n in names], lambda item: item.nodeid.startswith("parity/"))
    assert [name_of(item) for item in items] == [
        "test_zzz.py::test_a",
        "test_detectors.py::test_detector[scenes_detr_on_scenes]",
        "test_detectors.py::test_detector[scenes_frcnn_on_scenes]",
        "test_ops.py::test_b",
        "test_unknown.py::test_a",
        "test_aaa.py::test_a",
        "test_golden.py::test_golden[detr_r50]",
        "test_detectors.py::test_detector[torchvision_r50_fpn]",
    ]


def test_every_place_of_the_order_is_a_test_of_the_suite():
    """A file or case that was renamed would silently run at another time."""
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "parity/", "--collect-only", "-q", "-m", ""],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    names = [
        line.rpartition("parity/suite/")[2] for line in result.stdout.splitlines() if "::" in line
    ]
    places = [place(name) for name in names]
    assert places == sorted(places), "pytest runs them in this order"
    assert set(places) == set(range(len(ORDER))) - {ORDER.index("test_")}


def test_progress_is_told_and_the_report_grows(tmp_path):
    write_suite(tmp_path, {"test_steps.py": SLOW.replace("SECONDS", "3")})
    output = run(tmp_path)
    steady = re.findall(
        r"steps: slow, for [\d.]+ s: compiling Jittor's kernels, (\d+) so far", output
    )
    assert steady, output
    assert list(map(int, steady)) == sorted(map(int, steady))
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["progress"] == {"state": "finished", "done": 2, "cases": 2, "running": ""}
    assert "run in progress" not in (tmp_path / "out" / "report.html").read_text().lower()


def on_a_terminal(folder: Path, *options: str, **variables: str) -> str:
    """What a person with a terminal sees of a run."""
    main, other = pty.openpty()
    fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    kept = {k: v for k, v in os.environ.items() if k not in ("CI", "NO_COLOR", "COLUMNS", "LINES")}
    environment = kept | {"PYTHONPATH": str(ROOT), "TERM": "xterm-256color"} | variables
    process = subprocess.Popen(
        [*command(folder), *options], cwd=folder, env=environment, stdout=other, stderr=other
    )
    os.close(other)
    output = b""
    while True:
        try:
            output += os.read(main, 4096)
        except OSError:  # the other end is closed
            break
    os.close(main)
    process.wait()
    return output.decode().replace("\r\n", "\n")


def text_of(output: str) -> str:
    """Without escape codes."""
    return re.sub(r"\x1b\[[?0-9;]*[A-Za-z]|\r", "", output)


@pytest.fixture(scope="module")
def seen(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("terminal")
    write_suite(folder, SUITE | {"test_steps.py": SLOW.replace("SECONDS", "3")})
    return on_a_terminal(folder)


def test_a_terminal_shows_a_table_that_changes(seen):
    text = text_of(seen)
    assert re.search(r"detectors +2/3 +\d+ +1 ", text), "a row for each group"
    assert re.search(r"steps: slow, for [\d.]+ s: compiling", text)
    assert re.search(r"\d+/12 cases, \d+ compared", text)
    assert "\x1b[1A\x1b[2K" in seen, "in place"
    assert len(re.findall(r"^ *\d+/12 PASS", text, re.MULTILINE)) == 0, "no line for what passes"
    assert len(re.findall(r"9/12 FAIL +detectors: wrong|FAIL +detectors: wrong", text)) == 1


def test_at_the_end_one_screen(seen):
    end = seen[seen.rfind("comparisons fail") - 40 :]
    text = text_of(end)
    assert "1 of 12 comparisons fail, first wrong, float64 forward: n; 1 NOT RUN." in text
    assert re.search(r"48;5;\d+m ✕", end), "blocks of colour"
    assert text.index("wrong  ") < text.index("scenes_detr_on_scenes  "), "what fails comes first"
    assert "report: out/report.html" in text and len(text.splitlines()) < 40


def test_plain_lines_where_colours_or_tables_are_not_wanted(tmp_path):
    write_suite(tmp_path, {"test_ops.py": SUITE["test_ops.py"]})
    plain = on_a_terminal(tmp_path, NO_COLOR="1")
    assert "48;5;" not in plain and "ops    " in text_of(plain) and "▄" in plain
    for options, variables in ((("-q",), {}), (("-v",), {}), ((), {"CI": "true"})):
        lines = on_a_terminal(tmp_path, *options, **variables)
        assert "fwd" not in lines and "Jittor" not in lines.replace("PyTorch", "")
        assert "the candidate agrees" in lines.lower()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_a_whole_report(how, tmp_path):
    write_suite(tmp_path, {"test_steps.py": SLOW.replace("SECONDS", "60")})
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        command(tmp_path), cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    )
    page, begun = tmp_path / "out" / "report.html", tmp_path / "cache"
    deadline = time.monotonic() + 60
    while not (page.exists() and begun.exists()) and time.monotonic() < deadline:
        time.sleep(0.05)
    text = page.read_text()
    assert "Run in progress, 0 of 2 cases done" in text
    assert "data-reload" in text
    process.send_signal(how)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == pytest.ExitCode.INTERRUPTED, output
    text = page.read_text()
    assert "Run interrupted, 1 of 2 cases done" in text
    assert "data-reload=" not in text and text.rstrip().endswith("</html>")
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["progress"]["state"] == "interrupted"
    assert [v["case"] for v in report["verdicts"]] == ["first"]


def test_writing_a_report_over_and_over_takes_its_share_only(tmp_path, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    report, written = Report(tmp_path), []

    def slow_write(path, value, indent):
        written.append(len(value["verdicts"]))
        clock[0] += 1.0

    monkeypatch.setattr("parity.report.report.write_json", slow_write)
    for k in range(200):
        report.add([Verdict("case", "check", f"n{k}", Status.PASS, 0.0, 1.0)])
        report.write_when_due()
        clock[0] += 1.0
    assert len(written) == 4, "a second each, of 200"


def test_what_is_known_early_is_not_told_twice(tmp_path):
    report, one = Report(tmp_path), Verdict("case", "check", "n", Status.PASS, 0.0, 1.0)
    report.add_early([one])
    assert report.counts()["PASS"] == 1
    report.add([one, one])
    assert report.counts()["PASS"] == 2


def test_kernels_are_counted_from_now_on(tmp_path):
    folder = tmp_path / "jt1.3/g++/py/linux/cpu/7b6b/default/jit"
    folder.mkdir(parents=True)
    (folder / "old_op.so").write_text("")
    counter = kernels.Kernels(tmp_path)
    for name in ("new_op.so", "new_op.so.key", "new_op.cc"):
        (folder / name).write_text("")
    assert counter.fresh() == 1
    assert kernels.Kernels(tmp_path / "absent").fresh() == 0


def test_a_folder_of_kernels_is_listed_only_where_it_has_changed(tmp_path, monkeypatch):
    folder = tmp_path / "jt1.3/g++/py/linux/cpu/7b6b/default/jit"
    folder.mkdir(parents=True)
    os.utime(folder, (1.0, 1.0))
    listed, listing = [], os.listdir
    monkeypatch.setattr(os, "listdir", lambda place: listed.append(place) or listing(place))
    counter = kernels.Kernels(tmp_path)
    assert (counter.fresh(), counter.fresh(), listed) == (0, 0, [folder])
    (folder / "new_op.so").write_text("")
    assert (counter.fresh(), len(listed)) == (1, 2)


def test_reminders_come_less_often_when_nothing_changes():
    now = [0.0]
    reminder = screen.Reminder(10, lambda: now[0])
    due = []
    for now[0] in range(0, 100, 5):
        due += [now[0]] if reminder.due(min(now[0], 20) // 10) else []
    assert due == [10, 20, 50, 80]
    assert screen.duration(192) == "3 min 12 s"
