"""The linter: every rule fires where it should and nowhere else; this project's own port is quiet."""

from __future__ import annotations

import subprocess
import sys

import pytest

from parity.atlas.catalogue import BY_ID
from parity.atlas.lint import lint_path, lint_text
from tests.test_scripts import ROOT

HEAD = "import numpy as np\nimport jittor as jt\nfrom jittor import nn, optim\n"
# entry, what must be warned of, what must not be
CASES = [
    ("cumsum-bool", "y = (1 - mask > 0).cumsum(1)", "y = (1 - mask > 0).int32().cumsum(1)"),
    (
        "cumsum-bool",
        "not_mask = mask.logical_not()\ny = jt.cumsum(not_mask, 1)",
        "y = jt.cumsum(x, 1)",
    ),
    ("cumsum-dtype", "y = x.cumsum(1, dtype=jt.float32)", "y = np.cumsum(x, 1, dtype=np.float32)"),
    (
        "interpolate-default",
        "y = nn.interpolate(x, size=(2, 2))",
        "y = nn.interpolate(x, (2, 2), mode='nearest')",
    ),
    (
        "var-biased",
        "v = x.var(0)",
        "v = x.var(0, unbiased=False)\nw = np.var(x)\nu = x.numpy().var()",
    ),
    ("argmax-pair", "n = (x.argmax(1) == y).sum()", "i, v = x.argmax(1)\nj = x.argmax(1)[0] == y"),
    (
        "argsort-pair",
        "o = x[s.argsort(0)]",
        "o = x[s.argsort(0)[0]]\na = s.numpy()\nb = a[a.argsort(0)]",
    ),
    ("max-pair", "v, i = x.max(1)", "v = x.max(1)\na, b = max(x, 1), 2"),
    ("max-pair", "v = x.max(dim=1)[0]", "v = x.max(dim=1)\nw = x[0].max(0)"),
    ("nan-self-test", "assert not (loss != loss)", "assert not jt.isnan(loss)\na = x != y"),
    ("learning-rate-key", "g['learning_rate'] = 1", "g['lr'] = 1\nprint(config['learning_rate'])"),
    ("group-lr-missing", "r = o.param_groups[0]['lr']", "o.param_groups[0]['lr'] = 2"),
    ("adamw-default-decay", "o = optim.AdamW(p, lr=1)", "o = optim.AdamW(p, lr=1, weight_decay=0)"),
    (
        "multi-step-lr",
        "s = jt.lr_scheduler.MultiStepLR(o, [2])",
        "s = jt.lr_scheduler.StepLR(o, 2)",
    ),
    ("sgd-argument-order", "o = optim.SGD(p, 0.1, 0.9, 0.5)", "o = optim.SGD(p, 0.1, 0.9, 1e-4)"),
    (
        "eval-stops-gradients",
        "def f(m, x, w):\n    m.eval()\n    return jt.grad(m(x).sum(), w)",
        "def f(m, x, w):\n    m.eval()\n    m(x)\n    m.train()\n    return jt.grad(m(x).sum(), w)",
    ),
    (
        "buffer-is-parameter",
        "class M(nn.Module):\n    def __init__(self):\n        self.register_buffer('b', jt.ones(2))",
        "class M(nn.Module):\n    def __init__(self):\n        self.register_buffer('b', jt.ones(2).stop_grad())",
    ),
    (
        "plain-attribute",
        "class M(nn.Module):\n    def __init__(self):\n        self.running_mean = jt.zeros(2)",
        "class M(nn.Module):\n    def __init__(self):\n        self.weight = jt.zeros(2)\n"
        "        self.running_mean = jt.zeros(2).stop_grad()",
    ),
    (
        "underscore-attribute",
        "class M(nn.Module):\n    def __init__(self):\n        self._fc1 = nn.Linear(2, 2)",
        "class M(nn.Module):\n    def __init__(self):\n        self.fc1 = nn.Linear(2, 2)\n        self._size = 3",
    ),
    (
        "load-missing",
        "model.load_state_dict(s)",
        "optimizer.load_state_dict(s)\nopt.load_state_dict(s)",
    ),
    ("clamp-keywords", "y = x.clamp(min=0)", "y = x.clamp(0)\nz = np.clip(x, 0, 1)"),
    (
        "view-clamp-columns",
        "b[:, 0::2].clamp_(0, 5)",
        "b[:, 0::2] = b[:, 0::2].clamp(0, 5)\nb.clamp_(0, 5)",
    ),
    ("permute-two", "y = x.permute(0, 1)", "y = x.permute(0, 2, 1)"),
    ("softmax-axis", "y = nn.softmax(x)", "y = nn.softmax(x, dim=1)"),
    ("nms-offset", "k = jt.nms(d, 0.5)", "k = ops.nms(d, 0.5)"),
    (
        "randperm-of-tensor",
        "n = m.sum()\np = jt.randperm(n)",
        "n = int(m.sum().item())\np = jt.randperm(n)",
    ),
    ("conv-same", "c = nn.Conv2d(2, 2, 3, padding='same')", "c = nn.Conv2d(2, 2, 3, padding=1)"),
    ("set-chained", "x = jt.zeros((3, 4))\nx[0:2][1] = 1", "x = np.zeros((3, 4))\nx[0:2][1] = 1"),
    (
        "set-row-scalar",
        "x = jt.zeros((3, 4))\nx[0] = -1.0",
        "x = jt.zeros((3, 4))\nx[0, :] = -1.0\nx[m] = 1.0\nx[0] = y",
    ),
    (
        "no-grad-load",
        "with jt.no_grad():\n    model.load_state_dict(s)",
        "with jt.no_grad():\n    model(x)",
    ),
]


@pytest.mark.parametrize(("entry", "bad", "good"), CASES)
def test_rules(entry, bad, good):
    found = {w.entry for w in lint_text(HEAD + bad)}
    assert entry in found
    assert found <= {entry, "load-missing"}, "nothing else is wrong there"
    assert [w for w in lint_text(HEAD + good) if w.entry == entry] == []
    assert entry in BY_ID, "a warning leads to the atlas"
    assert lint_text(bad) == [], "code without jittor is none of its business"
    silenced = "\n".join(line + "  # atlas: ok" for line in bad.splitlines())
    assert lint_text(HEAD + silenced) == []


def test_this_port_is_quiet():
    warnings, count, broken = lint_path(ROOT / "jittor_impl")
    assert not warnings, [str(w) for w in warnings]
    assert count > 10 and not broken


def test_the_published_ports_defects_are_seen():
    """Its spellings, in code written for this test: positions, mask, buffers, learning rate, statistics of AdamW."""
    text = HEAD + (
        "class FrozenBatchNorm2d(nn.Module):\n"
        "    def __init__(self, n):\n"
        "        self.register_buffer('running_mean', jt.zeros(n))\n"
        "def positions(mask):\n"
        "    not_mask = mask.logical_not()\n"
        "    return jt.cumsum(not_mask, dim=1)\n"
        "def resized(mask, size):\n"
        "    return nn.interpolate(mask.float32(), size=size).bool()\n"
        "def drop(optimizer):\n"
        "    for group in optimizer.param_groups:\n"
        "        group['learning_rate'] = group.get('learning_rate', 1) * 0.1\n"
    )
    entries = [w.entry for w in lint_text(text)]
    assert entries == [
        "buffer-is-parameter",
        "cumsum-bool",
        "interpolate-default",
        "learning-rate-key",
    ]


def test_command_line(tmp_path):
    (tmp_path / "port.py").write_text(HEAD + "y = nn.interpolate(x, size=(2, 2))\n")
    (tmp_path / "broken.py").write_text("import jittor\ndef f(:\n")
    command = [sys.executable, "-m", "scripts.lint_port", str(tmp_path)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "port.py:4: " in result.stdout and "[interpolate-default]" in result.stdout
    assert "1 warnings in 1 files" in result.stdout and "broken.py" in result.stderr
    command[-1] = str(tmp_path / "nowhere")
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 2 and "no such file" in result.stderr
