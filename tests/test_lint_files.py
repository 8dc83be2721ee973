"""The linter as a tool: files as Python reads them, comments, fixes, SARIF, two halves compared, exit codes."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from parity.atlas.lint import main
from parity.atlas.lint.run import lint_path
from tests.commands import ROOT

BAD = "import jittor as jt\nfrom jittor import nn\ny = nn.interpolate(x, size=(2, 2))\n"


def run(capsys, *arguments) -> tuple[int, str, str]:
    code = main([str(a) for a in arguments])
    told = capsys.readouterr()
    return code, told.out, told.err


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
    code, out, _ = run(capsys, tmp_path)
    assert code == 2
    assert "broken.py:" in out and "cannot be read as Python" in out and "[unreadable]" in out
    assert "port.py:3:5: interpolate is bilinear" in out
    assert run(capsys, "--ignore", "unreadable,interpolate-default", tmp_path)[0] == 2


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
    code, out, _ = run(capsys, path)
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
    code, out, err = run(capsys, "--fix", path)
    assert code == 1 and "nms-offset" in out and "3 mended" in err
    assert path.read_text().endswith(
        "y = nn.interpolate(x, size=(2, 2), mode='nearest')\nb = x.clamp(min_v=0, max_v=1)\n"
        "z = (jt.rand(2) > 0.5).logical_not()\nk = jt.nms(d, 0.5)\n"
    )
    before = path.read_text()
    assert run(capsys, "--fix", path)[0] == 1 and path.read_text() == before


def test_formats(tmp_path, capsys):
    (tmp_path / "port.py").write_text(BAD + "m = nn.load_state_dict\nmodel.load_state_dict(s)\n")
    code, out, _ = run(capsys, "--format", "sarif", "--hints", tmp_path)
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
    assert run(capsys, "--format", "json", "--output", target, tmp_path)[0] == 1
    assert json.loads(target.read_text())[0]["fixable"] is True


def test_selection(tmp_path, capsys):
    (tmp_path / "port.py").write_text(BAD + "k = jt.nms(d, 0.5)\n")
    assert "nms-offset" not in run(capsys, "--select", "interpolate-default", tmp_path)[1]
    assert "nms-offset" in run(capsys, "--ignore", "interpolate-default", tmp_path)[1]


def test_command_line(tmp_path):
    (tmp_path / "port.py").write_text(BAD)
    for module in ("parity.atlas.lint", "scripts.lint_port"):
        command = [sys.executable, "-m", module, str(tmp_path)]
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert result.returncode == 1, result.stderr
        assert "port.py:3:5: " in result.stdout and "[interpolate-default]" in result.stdout
        assert "1 findings in 1 files that use jittor" in result.stdout


def test_nothing_there(tmp_path, capsys):
    code, _, err = run(capsys, tmp_path / "nowhere")
    assert code == 2 and "no such file" in err
    with pytest.raises(SystemExit):
        main([])
    (tmp_path / "empty.py").write_text("")
    assert run(capsys, tmp_path)[0] == 0
    assert run(capsys, "--pair", tmp_path, tmp_path)[0] == 2


REFERENCE = """
import torch
class Net(torch.nn.Module):
    def forward(self, x, scale=0.5):
        y = torch.cat([self.a(x), self.b(x)], 1)
        if scale > 4:
            y = y * 0.25
        return torch.relu(y)
def train(model, optimizer, scheduler, loader):
    for x in loader:
        optimizer.zero_grad()
        model(x).sum().backward()
        optimizer.step()
    scheduler.step()
def unused(x):
    return x.sqrt()
"""
PORT = """
import jittor as jt
class Net(jt.nn.Module):
    def execute(self, x, scale=0.1):
        y = jt.concat([self.a(x), self.b(x)], 1)
        return jt.nn.relu(y * 0.125)
def train(model, optimizer, scheduler, loader):
    for x in loader:
        optimizer.step(model(x).sum())
"""


def test_pairs(tmp_path, capsys):
    reference, port = tmp_path / "torch.py", tmp_path / "jittor.py"
    reference.write_text(REFERENCE)
    port.write_text(PORT)
    code, out, _ = run(capsys, "--pair", reference, port)
    assert code == 1
    sure = (
        "default of scale is 0.1, the reference has 0.5 [pair-default]",
        "has the numbers 0.125 where the reference has 4, 0.25 [pair-constant]",
        "the reference calls scheduler.step() (line 14), the port never does [pair-call]",
    )
    hints = (
        "0 branches, the reference has 1 [pair-branch]",
        "the reference has unused (line 15), the port has not [pair-function]",
    )
    assert all(told in out for told in sure) and not any(told in out for told in hints), out
    out = run(capsys, "--hints", "--pair", reference, port)[1]
    assert all(told in out for told in (*sure, *hints)), out
    assert "concat" not in out and "relu" not in out, "a translation is no difference"
    same = tmp_path / "same.py"
    same.write_text(REFERENCE.replace("torch.cat", "jt.concat").replace("forward", "execute"))
    assert run(capsys, "--pair", reference, same) == (0, "0 findings in 3 functions compared\n", "")
    swapped = REFERENCE.replace(
        "torch.cat([self.a(x), self.b(x)], 1)", "torch.cat([self.b(x), self.a(x)], 1)"
    )
    same.write_text(swapped)
    assert (
        "calls b where the reference calls a [pair-order]"
        in run(capsys, "--pair", reference, same)[1]
    )


UNLIKE = {  # what each pair is about: reference, port, what is told of it (nothing where they are alike)
    "bound": (
        "def f(x): return x.exp().clamp(max=9)",
        "def f(x): return jt.clamp(x.clamp(max_v=10).exp(), max_v=9.0)",
        "x.clamp() at max=10.0, the reference has no such bound [pair-bound]",
    ),
    "same bound, given otherwise": (
        "def f(x): return torch.clamp(x, 0, 1)",
        "def f(x): return x.clamp(min_v=0.0, max_v=1.0)",
        "",
    ),
    "small number": (
        "def f(x, s): return x / s.sum()",
        "def f(x, s): return x / (s.sum() + 1e-6)",
        "has 1e-06, which the reference has not [pair-constant]",
    ),
    "bound of another function": (
        "def g(x): return x.clamp(0, 5)\ndef f(x): return g(x).exp()",
        "def g(x): return x\ndef f(x): return g(x).clamp(0, 5).exp()",
        "",
    ),
    "default where the reference has none": ("def f(x, y): pass", "def f(x, y=1): pass", ""),
    "two arrays": (
        "def f(a, b): return torch.max(a, b) - torch.min(a, b).square()",
        "def f(a, b): return jt.maximum(a, b) - jt.sqr(jt.minimum(a, b))",
        "",
    ),
    "layer for a function": (
        "class A:\n def forward(self, x): return F.gelu(self.a(x))",
        "class A:\n def __init__(self): self.act = nn.GELU()\n def execute(self, x): return self.act(self.a(x))",
        "",
    ),
    "own class named as a layer": (
        "class Upsample: pass\nclass A:\n def __init__(self): self.up = Upsample()",
        "class UpSample: pass\nclass A:\n def __init__(self): self.up = UpSample()",
        "",
    ),
    "no dropout": (
        "class A:\n def __init__(self): self.d = nn.Dropout(0.1)\n def forward(self, x): return self.d(x)",
        "class A:\n def execute(self, x): return x",
        "the reference calls self.d() (line 4), the port never does [pair-call]",
    ),
    "trained table": (
        "class A:\n def __init__(self): self.table = nn.Parameter(torch.zeros(3), requires_grad=False)",
        "class A:\n def __init__(self): self.table = jt.zeros((3,))",
        "table is trained: the reference has it frozen, or as a buffer [pair-frozen]",
    ),
    "table frozen afterwards": (
        "class A:\n def __init__(self): self.register_buffer('table', torch.zeros(3))",
        "class A:\n def __init__(self): self.table = jt.zeros((3,))\ndef make(): A().table.stop_grad()",
        "",
    ),
    "class of another name": (
        "class AttentionBlock:\n def forward(self, x): return torch.einsum('ab,cb->ac', x, x).softmax(1)",
        "class AtnBlock:\n def execute(self, x): return jt.matmul(x, x.t()).softmax(1) + 1e-5",
        "AtnBlock.forward: has 1e-05, which the reference has not [pair-constant]",
    ),
}


@pytest.mark.parametrize("case", UNLIKE)
def test_what_two_halves_do_otherwise(tmp_path, capsys, case):
    first, second, told = UNLIKE[case]
    reference, port = tmp_path / "torch.py", tmp_path / "jittor.py"
    reference.write_text(f"import torch\n{first}\n")
    port.write_text(f"import jittor as jt\n{second}\n")
    out = run(capsys, "--pair", reference, port)[1].splitlines()
    assert len(out) == 1 + bool(told) and told in out[0], out
