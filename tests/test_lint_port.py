"""The linter's rules: every one fires where it should and nowhere else; this project's own port is quiet."""

from __future__ import annotations

import ast

import pytest

from parity.atlas.catalogue import BY_ID
from parity.atlas.lint import lint_path, lint_text
from parity.atlas.lint.covered import COVERED, HINTS, MENDS
from parity.atlas.lint.fixes import apply
from tests.commands import ROOT
from tests.lint_cases import CASES as FIRST
from tests.lint_cases_kinds import CASES as KINDS
from tests.lint_cases_steps import CASES as STEPS

CASES = FIRST + KINDS + STEPS
HEAD = "import numpy as np\nimport jittor as jt\nfrom jittor import nn, optim\n"


@pytest.mark.parametrize(("entry", "bad", "good"), CASES)
def test_rules(entry, bad, good):
    found = lint_text(HEAD + bad, hints=COVERED[entry] == HINTS)
    assert entry in {f.entry for f in found}
    assert {f.entry for f in found} <= {entry, "load-missing"}, "nothing else is wrong there"
    assert [f for f in lint_text(HEAD + good) if f.entry == entry] == []
    assert entry in BY_ID, "a finding leads to the atlas"
    assert lint_text(bad) == [] or "jittor" in bad, "code without jittor is none of its business"
    silenced = "\n".join(line + f"  # noqa: {entry}" for line in bad.splitlines())
    assert [f for f in lint_text(HEAD + silenced) if f.entry == entry] == []


def test_what_is_covered_is_tried():
    assert {entry for entry, *_ in CASES} == set(COVERED)
    mended = set()
    for entry, bad, _ in CASES:
        for finding in lint_text(HEAD + bad, hints=True):
            if finding.entry == entry and finding.edits:
                mended.add(entry)
    assert mended == {entry for entry, how in COVERED.items() if how == MENDS}


@pytest.mark.parametrize(("entry", "bad"), [(e, b) for e, b, _ in CASES if COVERED[e] == MENDS])
def test_fixes(entry, bad):
    """What was mended is Python, is found no more, and mending it again changes nothing."""
    findings = [f for f in lint_text(HEAD + bad) if f.entry == entry]
    fixed, made = apply(HEAD + bad, findings)
    ast.parse(fixed)
    left = [f for f in lint_text(fixed) if f.entry == entry]
    assert len(left) == len(findings) - len(made)
    assert apply(fixed, left)[0] == fixed or not made


def test_this_port_is_quiet():
    report = lint_path(ROOT / "jittor_impl")
    assert not report.findings, [str(f) for f in report.findings]
    assert report.files >= 2 and report.exit_code == 0


@pytest.mark.parametrize(
    "text",
    [
        "a = np.ones((3, 4))\nv = a.max(1)[0]\nw = a.var(0)\nb = a.argmax(1) == 2",
        "a = x.numpy()\nv, i = a.max(1), a.argmax(1)\nc = a[i]",
        "def f(x: np.ndarray):\n    return x.var(0), x[x.argsort(0)]",
        "import torch\ndef f(model, s):\n    t = torch.rand(3)\n    model.eval()\n    v, i = t.max(0)\n"
        "    t.clamp_(min=0)\n    model.load_state_dict(s)",
        "import torch\nclass M(torch.nn.Module):\n    def forward(self, x):\n        v, i = x.max(1)\n"
        "        self.register_buffer('b', x)\n        return x.clamp(min=0)",
        "import torch\nloss = torch.nn.functional.mse_loss(a, b)\nloss.backward()",
        "sizes = [3, 1, 2]\norder = max(sizes, 2)[0]",
        "d = {'max': 1}\nd.update(x=2)\nname = 'a'.permute(0, 1) if False else 'b'",
    ],
)
def test_other_peoples_values(text):
    """NumPy's arrays, lists, PyTorch's tensors and modules in a file that uses Jittor, too."""
    assert [str(f) for f in lint_text(HEAD + text)] == []


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
