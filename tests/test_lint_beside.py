"""The linter on what the rest of a program tells: files of no framework, layers drawn elsewhere, seeds of others."""

from __future__ import annotations

import pytest

from parity.atlas.lint.run import lint_text
from tests.linting import HEAD, linted

NUMPY = "import numpy as np\n"
MIXED = "def mixed(own, other):\n    for key in own:\n        own[key].data.mul_(0.9).add_(other[key].data)\n"
LABELS = "def labels(x):\n    x = x.detach()\n    return x.max(1, keepdim=True)[1]\n"


@pytest.mark.parametrize(
    ("text", "user", "told"),
    [
        (MIXED, HEAD, "init-of-data"),
        (LABELS, HEAD, "max-pair"),
        (LABELS, HEAD + "import torch\ny = torch.ones(3)\n", ""),
        (LABELS.replace("x.detach()", "x + 1"), HEAD, ""),
    ],
)
def test_arrays_in_files_of_no_framework(tmp_path, text, user, told):
    """Who imports them decides whose arrays they take."""
    found = linted(tmp_path, {"misc.py": text, "a.py": user + "import misc\nx = jt.ones(3)\n"})
    assert found == [f"misc.py:3 {told}"] * bool(told)


def test_folders_named_like_their_module(tmp_path):
    """An __init__.py without a word does not stand before the module that an import means."""
    net = (
        HEAD
        + "class Net(nn.Module):\n    def __init__(self):\n        self.drop = nn.Dropout(0.5)\n"
    )
    fit = "from net.net import Net\nfor x in range(3):\n    optimizer.step(Net()(jt.ones(x)))\n"
    files = {"net/__init__.py": "", "net/net.py": net, "a.py": HEAD + "optimizer = 3\n" + fit}
    assert "a.py:6 dropout-fresh" in linted(tmp_path, files)


NORM = "net = nn.Sequential(nn.{0}(3))\nfor p in net.parameters():\n    {1}\n"


@pytest.mark.parametrize(
    ("layer", "step", "told"),
    [
        ("BatchNorm2d", "jt.init.gauss_(p, 0, 0.02)", True),
        ("LayerNorm", "jt.init.gauss_(p, 0, 0.02)", False),
        ("BatchNorm2d", "if p.ndim > 1: jt.init.gauss_(p, 0, 0.02)", False),
    ],
)
def test_statistics_that_are_drawn(layer, step, told):
    found = [f.entry for f in lint_text(HEAD + NORM.format(layer, step))]
    assert found == ["batch-norm-parameters"] * told


SEEDS = NUMPY + HEAD + "optimizer = jt.optim.SGD([], lr=1)\n{0}\n"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("np.random.seed(1)", True),
        ("np.random.seed(1)\njt.set_global_seed(1)", False),
        ("x = 3", False),
    ],
)
def test_seeds_of_others(tmp_path, line, told):
    found = linted(tmp_path, {"a.py": SEEDS.format(line)})
    assert ("a.py:5 seed-left-out" in found) is told


@pytest.mark.parametrize(("folder", "told"), [("layers", True), ("metrics", False)])
def test_dropout_of_what_only_judges(tmp_path, folder, told):
    net = (
        HEAD
        + "class Net(nn.Module):\n    def __init__(self):\n        self.drop = nn.Dropout(0.5)\n"
    )
    fit = (
        f"from {folder}.net import Net\nfor x in range(3):\n    optimizer.step(Net()(jt.ones(x)))\n"
    )
    files = {f"{folder}/net.py": net, "a.py": HEAD + "optimizer = 3\n" + fit}
    assert ("a.py:6 dropout-fresh" in linted(tmp_path, files)) is told
