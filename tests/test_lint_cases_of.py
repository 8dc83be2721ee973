"""The linter on what holds in some cases only: the kinds of round 31."""

from __future__ import annotations

import pytest

from parity.atlas.lint.finding import HINT
from parity.atlas.lint.run import lint_text
from tests.linting import HEAD, linted

POINTS = (
    "def points(n):\n    if n == 4:\n        found = jt.rand(4)\n    elif n == 5:\n        found = jt.rand(5)\n"
    "    else:\n        {0}\n    return found.sum()\n"
)
LIST = (
    "from collections import OrderedDict\nclass Kept(nn.Module):\n    def __init__(self, given):\n"
    "        super().__init__()\n        self.{0} = OrderedDict()\n        self.register_buffer('mean', given)\n"
    "    def register_buffer(self, name, value):\n        self.{0}[name] = value.detach()\n"
)
ASKED = (
    "class Box:\n    def __getattr__(self, name):\n        if name in self.fields:\n"
    "            return 3\n        raise {0}(name)\n"
)
FILLED = (
    "def cut_(x, std):\n    x = {0}\n    return x\ndef trunc_(x, std=1.0):\n    return cut_(x, std)\n"
    "def start(net):\n    {1}trunc_(net.weight)\n"
)
CASES = [
    ("own-name", POINTS.format("print('4 or 5')"), POINTS.format("raise ValueError(n)")),
    (
        "own-name",
        POINTS.format("print('4 or 5')"),
        POINTS.format("print('4 or 5'); found = jt.rand(n)"),
    ),
    ("own-name", LIST.format("_buffers"), LIST.format("held")),
    ("own-call", ASKED.format("ValueError"), ASKED.format("AttributeError")),
    (
        "result-dropped",
        FILLED.format("jt.clamp(x * std, -2, 2)", ""),
        FILLED.format("jt.clamp(x, -2, 2)", "net.weight = "),
    ),
    ("result-dropped", FILLED.format("x * std", ""), FILLED.format("jt.init.gauss_(x)", "")),
]


@pytest.mark.parametrize(("entry", "bad", "good"), CASES)
def test_cases(entry, bad, good):
    assert [f.entry for f in lint_text(HEAD + bad)] == [entry]
    assert entry not in {f.entry for f in lint_text(HEAD + good)}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("img_gt.resize((8, 8))", True),
        ("img_gt.resize((8, 8), Image.NEAREST)", False),
        ("image.resize((8, 8))", False),
        ("img_gt.resize(8, 8)", False),
    ],
)
def test_labels_resized(line, told):
    """A hint: pictures with a palette are not blended."""
    text = (
        "from PIL import Image\n"
        + HEAD
        + f"def smaller(image, img_gt):\n    return {line}, jt.rand(2)\n"
    )
    found = [f for f in lint_text(text, hints=True) if f.entry == "label-blended"]
    assert [f.level for f in found] == [HINT] * told


SLOWER = (
    HEAD + "class Rates:\n    def __init__(self, optimizer):\n"
    "        self.base = [g['lr'] for g in optimizer.param_groups]\n"
)


@pytest.mark.parametrize(
    ("groups", "told"), [("{'params': p, 'lr': 0.1}", False), ("{'params': p}", True)]
)
def test_groups_made_in_another_file(tmp_path, groups, told):
    built = (
        HEAD
        + f"def build(net):\n    return jt.optim.SGD([{groups} for p in net.parameters()], 0.1)\n"
    )
    found = linted(tmp_path, {"rates.py": SLOWER, "build.py": built})
    assert ("rates.py:5 group-lr-missing" in found) is told
