"""The linter as a tool: files as Python reads them, comments, fixes, SARIF, exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from parity.atlas.lint import main
from parity.atlas.lint.run import lint_path
from tests.commands import ROOT, lint

BAD = "import jittor as jt\nfrom jittor import nn\ny = nn.interpolate(x.mask, size=(2, 2))\n"


@pytest.mark.parametrize(
    ("head", "encoding"),
    [
        (b"", "utf-8"),
        (b"\xef\xbb\xbf", "utf-8"),
        (b"# -*- coding: gbk -*-\n", "gbk"),
        (b"# vim: set fileencoding=gb2312 :\n", "gb2312"),
        (b"#!/usr/bin/env python\n# coding: latin-1\n", "latin-1"),
    ],
)
def test_encodings(tmp_path, head, encoding):
    """PEP 263 lines and the byte order mark, as Python reads them; --fix keeps both."""
    word = "caf\u00e9" if encoding == "latin-1" else "\u8bad\u7ec3"
    path = tmp_path / "port.py"
    path.write_bytes(head + (f"# {word}\n" + BAD).encode(encoding))
    report = lint_path(path)
    assert [f.entry for f in report.findings] == ["interpolate-default"] and report.files == 1
    assert main(["--fix", str(path)]) == 0
    assert path.read_bytes().startswith(head) and b"mode='nearest')" in path.read_bytes()
    assert word in path.read_bytes().removeprefix(b"\xef\xbb\xbf").decode(encoding)


@pytest.mark.parametrize(
    "content",
    [
        b"import jittor\ndef f(:\n",
        b"import jittor\n# \xff\xfe\n",
        b"# coding: no-such-coding\nimport jittor\n",
        b"# coding: ascii\nimport jittor  # \xe8\n",
        b"import jittor\nx = 1\x00\n",
        b"if True:\nimport jittor\n",
    ],
)
def test_unreadable(tmp_path, capsys, content):
    """A file that could not be read is a finding and exit code 2, whatever else there is."""
    (tmp_path / "broken.py").write_bytes(content)
    (tmp_path / "port.py").write_text(BAD)
    code, out, _ = lint(capsys, tmp_path)
    assert code == 2
    assert "broken.py:" in out and "cannot be read as Python" in out and "[unreadable]" in out
    assert "port.py:3:5: interpolate is bilinear" in out
    assert lint(capsys, "--ignore", "unreadable,interpolate-default", tmp_path)[0] == 2


def test_hostile_folders(tmp_path, capsys, monkeypatch):
    """Links in circles, pipes, Python 2, floods, folders that are closed: one message each, and the rest is read."""
    (tmp_path / "port.py").write_text(BAD)
    (tmp_path / "circle.py").symlink_to(tmp_path / "circle.py")
    (tmp_path / "again").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe.py")
    os.mkfifo(tmp_path / "requirements.txt")
    (tmp_path / "old.py").write_text("import jittor as jt\nprint 'Python 2'\n")
    monkeypatch.setattr("parity.atlas.lint.source.MOST_BYTES", 1000)
    (tmp_path / "flood.py").write_text("import jittor\n" + "x = 1\n" * 1000)
    (tmp_path / "closed").mkdir()
    scan = os.scandir

    def refused(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refused)
    code, out, err = lint(capsys, tmp_path)
    assert code == 2 and "Traceback" not in err
    told = [line for line in out.splitlines() if "[unreadable]" in line]
    for name in ("circle.py", "pipe.py", "old.py", "flood.py", "closed"):
        assert sum(f"{name}:" in line for line in told) == 1, (name, out)
    assert len(told) == 5 and out.count("[interpolate-default]") == 1
    code, _, err = lint(capsys, tmp_path / "pipe.py")
    assert code == 2 and "no such file" in err


def test_star_imports(tmp_path, capsys):
    """What `from layers import *` of the program's own files brings is followed, through several files."""
    (tmp_path / "layers.py").write_text("import jittor as jt\nfrom jittor import nn\n")
    (tmp_path / "blocks.py").write_text("from layers import *\n")
    (tmp_path / "model.py").write_text(
        "from .blocks import *\ny = nn.interpolate(x.mask, size=(2, 2))\n# jt\n"
    )
    (tmp_path / "other.py").write_text(
        "from math import *\ny = nn.interpolate(x.mask, size=(2, 2))\n# jt\n"
    )
    code, out, _ = lint(capsys, tmp_path)
    assert code == 1 and "model.py:2:5: interpolate" in out and "other.py" not in out


def test_line_ends_survive(tmp_path):
    path = tmp_path / "port.py"
    path.write_bytes(BAD.replace("\n", "\r\n").encode())
    path.chmod(0o755)
    assert main(["--fix", str(path)]) == 0
    assert path.read_bytes().count(b"\r\n") == 3 and path.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("inside", ["\x0c", "\u2028", "\x1c", "\x85"])
def test_other_separators(tmp_path, inside):
    """What str.splitlines takes for a line's end and Python does not."""
    path = tmp_path / "port.py"
    path.write_bytes(f"# a{inside}b\r\n{BAD}".encode())
    assert main(["--fix", str(path)]) == 0
    wanted = BAD.replace("2))", "2), mode='nearest')")
    assert path.read_bytes() == f"# a{inside}b\r\n{wanted}".encode(), "mixed line ends stay"


def test_deep_nesting(tmp_path, capsys):
    path = tmp_path / "port.py"
    path.write_text("import jittor as jt\nx = " + "-" * 5000 + "1\n")
    code, out, _ = lint(capsys, path)
    assert code == 2 and "cannot be read as Python" in out


@pytest.mark.parametrize(
    ("comment", "silent"),
    [
        ("# noqa", True),
        ("# noqa: interpolate-default", True),
        ("# NOQA: max-pair, interpolate-default", True),
        ("# atlas: ok", True),
        ("# resized; noqa", True),
        ("# noqa: E501", False),
        ("# noqa: max-pair", False),
        ("# noqapparent", False),
    ],
)
def test_comments(tmp_path, comment, silent):
    path = tmp_path / "port.py"
    path.write_text(BAD.rstrip() + f"  {comment}\n")
    assert (lint_path(path).findings == []) is silent


def test_comments_elsewhere(tmp_path):
    path = tmp_path / "port.py"
    path.write_text(BAD.replace("size=(2, 2))", "\n    size=(2, 2),\n)  # noqa"))
    assert lint_path(path).findings == [], "where its statement ends"
    path.write_text(BAD.replace("size=", "s='# noqa', size="))
    assert lint_path(path).findings, "a text is no comment"
    path.write_text("# atlas: noqa\n" + BAD)
    assert lint_path(path).findings == []


def test_fix_is_careful(tmp_path, capsys):
    """Findings that overlap are mended one after the other; what has no fix stays, and is told."""
    path = tmp_path / "port.py"
    path.write_text(
        BAD + "b = x.clamp(min=0, max=1)\nz = ~(jt.rand(2) > 0.5)\nk = jt.nms(d, 0.5)\n"
    )
    code, out, err = lint(capsys, "--fix", path)
    assert code == 1 and "nms-offset" in out and "3 mended" in err
    assert path.read_text().endswith(
        "y = nn.interpolate(x.mask, size=(2, 2), mode='nearest')\nb = x.clamp(min_v=0, max_v=1)\n"
        "z = (jt.rand(2) > 0.5).logical_not()\nk = jt.nms(d, 0.5)\n"
    )
    before = path.read_text()
    assert lint(capsys, "--fix", path)[0] == 1 and path.read_text() == before


def test_formats(tmp_path, capsys):
    (tmp_path / "port.py").write_text(BAD + "m = nn.load_state_dict\nmodel.load_state_dict(s)\n")
    code, out, _ = lint(capsys, "--format", "sarif", "--hints", tmp_path)
    sarif = json.loads(out)
    results = sarif["runs"][0]["results"]
    assert code == 1 and sarif["version"] == "2.1.0"
    assert {r["ruleId"]: r["level"] for r in results}["interpolate-default"] == "warning"
    assert {r["ruleId"]: r["level"] for r in results}["load-missing"] == "note"
    rules = sarif["runs"][0]["tool"]["driver"]["rules"]
    assert all(rules[r["ruleIndex"]]["id"] == r["ruleId"] for r in results)
    region = results[0]["locations"][0]["physicalLocation"]["region"]
    assert (region["startLine"], region["startColumn"]) == (3, 5) and results[0]["fixes"]
    target = tmp_path / "out.json"
    assert lint(capsys, "--format", "json", "--output", target, tmp_path)[0] == 1
    assert json.loads(target.read_text())[0]["fixable"] is True


def test_selection(tmp_path, capsys):
    (tmp_path / "port.py").write_text(BAD + "k = jt.nms(d, 0.5)\n")
    assert "nms-offset" not in lint(capsys, "--select", "interpolate-default", tmp_path)[1]
    assert "nms-offset" in lint(capsys, "--ignore", "interpolate-default", tmp_path)[1]


def test_command_line(tmp_path):
    (tmp_path / "port.py").write_text(BAD)
    for module in ("parity.atlas.lint", "scripts.lint_port"):
        command = [sys.executable, "-m", module, str(tmp_path)]
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert result.returncode == 1, result.stderr
        assert "port.py:3:5: " in result.stdout and "[interpolate-default]" in result.stdout
        assert "1 findings in 1 files that use jittor" in result.stdout


def test_nothing_there(tmp_path, capsys):
    code, _, err = lint(capsys, tmp_path / "nowhere")
    assert code == 2 and "no such file" in err
    with pytest.raises(SystemExit):
        main([])
    (tmp_path / "empty.py").write_text("")
    assert lint(capsys, tmp_path)[0] == 0
    assert lint(capsys, "--pair", tmp_path, tmp_path)[0] == 2
