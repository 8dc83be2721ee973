"""What a run did not look into, at its end: what was left out on purpose is never among "and so many more"."""

from __future__ import annotations

from door.terminal import Console
from parity.engine.judge.checks import NOT_LOOKED_INTO
from parity.engine.judge.verdicts import Status, Verdict
from parity.report.report import Report
from parity.report.terminal import LISTED, conclude


def test_what_is_left_out_on_purpose_comes_first(tmp_path, capsys):
    rest = [Verdict(f"a{k}", "forward", "x", Status.NOT_RUN, message="late") for k in range(LISTED)]
    mask = Verdict("z", NOT_LOOKED_INTO, "x", Status.NOT_RUN, message="taken for a label")
    report = Report(tmp_path)
    report.add([*rest, mask])
    conclude(report.to_dict(), "", Console(width=200), False)
    told = capsys.readouterr().out
    left = [line for line in told.splitlines() if line.startswith("NOT RUN")]
    assert left[0] == "NOT RUN z: taken for a label" and len(left) == LISTED
    assert "... and 1 more that did not run" in told
