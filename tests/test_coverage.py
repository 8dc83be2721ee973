"""What of a port ran, what nothing looked at, and what the linter reads in what ran."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from door.terminal import Console
from parity import Case, Side, Workers, cli, examine
from parity.engine.ask.coverage import look_at_code, never, together, unreached
from parity.engine.judge.verdicts import Status
from parity.report.reading import read
from parity.report.report import Report
from parity.report.terminal import conclude

NET = """
from torch import nn

from {package}.boxes import clipped


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x):
        return clipped(self.layer(x))

    def exported(self, x):
        return x

    def __repr__(self):
        return "Net"


class Head:
    def chosen(self, x):
        return x
"""
BOXES = """
def decorated(function):
    return function


@decorated
def clipped(x):
    return x.clamp(min=0)


def area(x):
    return x
"""


@pytest.fixture
def case(tmp_path):
    for side in ("torch", "jittor"):
        folder = tmp_path / side / "nets"
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text("")
        (folder / "net.py").write_text(NET.format(package="nets"))
        (folder / "boxes.py").write_text(BOXES)
        (tmp_path / side / "train.py").write_text("import nothing_of_this_name\n")
    (tmp_path / "pair.py").write_text(
        "def half():\n    from nets.net import Net\n    return Net()\n"
    )
    sides = [
        Side(f"{tmp_path}/pair.py:half", "torch", label=side, path=(str(tmp_path / side),))
        for side in ("torch", "jittor")
    ]
    inputs = lambda: (np.random.default_rng(0).standard_normal((2, 4)),)  # noqa: E731
    return Case("pair", *sides, inputs, float32=False)


@pytest.mark.usefixtures("warm_workers")
def test_what_nothing_ran_is_named_and_the_files_that_ran_are_known(case, tmp_path):
    with Workers(case.reference, case.candidate) as workers:
        assert not examine(case, workers).failures
        code = look_at_code(case, workers)
    (verdict,) = unreached("pair", "jittor", code["jittor"])
    assert verdict.status is Status.NOT_RUN and verdict.case == "pair"
    assert verdict.message == (
        "jittor: 4 of 7 functions ran; never: nets/boxes.py: area; "
        "nets/net.py: Net.exported, Head; not imported: train.py"
    )
    ran = {f["path"] for f in code["jittor"] if f["ran"]}
    assert ran == {str(tmp_path / "jittor/nets" / name) for name in ("net.py", "boxes.py")}


@pytest.mark.usefixtures("warm_workers")
def test_what_pip_has_put_beside_a_port_is_none_of_it(case, tmp_path):
    root = tmp_path / "jittor"
    (root / "helpers-1.0.dist-info").mkdir()
    (root / "helpers-1.0.dist-info" / "RECORD").write_text(
        "helpers/__init__.py,sha256=x,1\nsix_of.py,,\nhelpers-1.0.dist-info/RECORD,,\n"
    )
    (root / "helpers").mkdir()
    for name in ("helpers/__init__.py", "six_of.py"):
        (root / name).write_text("def kind():\n    return 1\n\n\ndef other():\n    return 2\n")
    boxes = root / "nets" / "boxes.py"
    boxes.write_text(f"import helpers\n\nhelpers.kind()\n{BOXES}")
    with Workers(case.reference, case.candidate) as workers:
        assert not examine(case, workers).failures
        code = look_at_code(case, workers)
    named = {str(Path(f["path"]).relative_to(root)) for f in code["jittor"]}
    assert named == {"nets/__init__.py", "nets/net.py", "nets/boxes.py", "train.py"}


def test_nothing_is_told_where_all_of_it_ran_or_nothing_is_the_users_own():
    whole = {"path": "/port/net.py", "root": "/port", "ran": ["Net.forward"], "never": []}
    assert never([whole]) == "" == never([])
    silent = whole | {"never": ["Net.__repr__"]}
    assert never([silent]) == ""
    assert never([whole | {"ran": [], "never": ["area"]}]) == "", "nothing of the port is compared"


def test_of_several_runs_that_is_told_which_none_of_them_ran():
    def run(*ran):
        names = ["area", "clipped", "Head.chosen", "Head.best"]
        boxes = {"path": "/port/boxes.py", "root": "/port", "ran": list(ran)}
        away = {"path": "/port/train.py", "root": "/port", "ran": [], "never": []}
        return [boxes | {"never": [n for n in names if n not in ran]}, away]

    runs = [run("area"), run("Head.chosen"), run("area", "Head.chosen")]
    assert [never(x).partition(" f")[0] for x in runs] == ["1 of 4", "1 of 4", "2 of 4"]
    for some in (runs, runs[:2], runs[1::-1]):
        (verdict,) = unreached("all 3 pairs", "jittor", together(some))
        assert verdict.message == (
            "jittor: 2 of 4 functions ran; never: boxes.py: clipped, Head.best; not imported: train.py"
        )
    imported = [{"path": "/port/train.py", "root": "/port", "ran": ["main"], "never": []}]
    assert not unreached("", "", together([*runs, run("clipped", "Head.best"), imported]))


@pytest.mark.usefixtures("warm_workers")
def test_a_run_of_several_pairs_tells_what_none_of_them_ran(case, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text = """
import numpy as np

from parity import Case, Side

paths = [("torch", "{here}/torch"), ("jittor", "{here}/jittor")]
sides = [Side(f"{{__file__}}:half", "torch", label=n, path=(p,)) for n, p in paths]


def half():
    from nets.{what}

    return {give}


def inputs():
    {first}
    return (np.random.default_rng(0).standard_normal((2, 4)),)


CASE = Case("pair", *sides, inputs, float32=False)
"""
    parts = (
        ("net import Net", "Net()", ""),
        ("boxes import area", "area", ""),
        ("net import Net", "Net()", "raise OSError('no file of this name')"),
    )
    for name, (what, give, first) in zip("abc", parts, strict=True):
        home = tmp_path / name
        home.mkdir()
        text_of = text.format(here=tmp_path, what=what, give=give, first=first or "pass")
        (home / "pair.py").write_text(text_of)
    files = [str(tmp_path / name / "pair.py") for name in "cab"]
    options = ["--steps", "0", "--no-branches", "--limit", "100"]
    assert cli.main(["run", *files, *options]) == 1
    told = capsys.readouterr().out
    assert (
        "NOT RUN all 3 pairs: jittor: 5 of 7 functions ran; never: nets/net.py: Net.exported, Head"
        in told
    )
    report = json.loads((tmp_path / "logs/parity/report.json").read_text())
    count = Counter((v["case"], v["status"]) for v in report["verdicts"])
    assert count["a/pair", "PASS"] and count["b/pair", "PASS"] and not count["a/pair", "FAIL"]
    (failed,) = (v for v in report["verdicts"] if v["status"] == "FAIL")
    assert failed["case"] == "c/pair" and "no file of this name" in failed["message"]
    assert report["progress"]["state"] == "finished"


def test_what_the_linter_reads_in_files_that_ran_stands_apart_from_the_causes(tmp_path, capsys):
    text = "from jittor import nn\n\n\ndef up(mask, eps=1e-3):\n    return nn.interpolate(mask, size=(4, 4))\n"
    texts = {
        "torch/up.py": text.replace("jittor", "torch").replace("1e-3", "1e-5"),
        "jittor/up.py": text,
        "jittor/away.py": text.replace("up(", "away("),
    }
    code: dict[str, list[dict]] = {"torch": [], "jittor": []}
    for name, text in texts.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        ran = ["up"] if path.name == "up.py" else []
        file = {"path": str(path), "root": str(path.parent), "ran": ran, "never": []}
        code[path.parent.name].append(file)
    found = read(code, ("torch", "jittor"))
    assert {(Path(f["place"]).name, f["entry"]) for f in found} == {
        ("up.py:4", "pair-default"),
        ("up.py:5", "interpolate-default"),
    }
    report = Report(tmp_path, read=found)
    assert not report.to_dict()["causes"] and report.to_dict()["read"] == found
    conclude(report.to_dict(), "", Console(width=200), False)
    told = capsys.readouterr().out
    assert "read in the code that ran, not measured: 2" in told and "[interpolate-default]" in told
