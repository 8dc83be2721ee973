"""The linter on what Python, NumPy and Jittor read otherwise than a port means it: the kinds of rounds 28 and 29."""

from __future__ import annotations

import pytest

from parity.atlas.lint.finding import HINT
from parity.atlas.lint.run import lint_path, lint_text
from tests.linting import HEAD, linted

NUMPY = "import numpy as np\n"
SUPER = "class Net(nn.Module):\n    def __init__(self):\n        super({0}).__init__()\n"
CASES = [
    ("own-name", "y = np.zeros(3, dtype=np.int)", "y = np.zeros(3, dtype=np.int32)"),
    (
        "own-name",
        "y = np.linspace(0, 1, 3).as_type(float)",
        "y = np.linspace(0, 1, 3).astype(float)",
    ),
    ("own-call", SUPER.format("Net"), SUPER.format("Net, self")),
    (
        "own-call",
        "def area(x):\n    raise NotImplemented",
        "def area(x):\n    raise NotImplementedError\ndef other(x):\n    return NotImplemented",
    ),
    (
        "own-call",
        "from jittor import transform\ndef shown(x, given):\n    return transform(x)",
        "from jittor import transform\ndef shown(x, transform):\n    return transform(x)",
    ),
    (
        "own-call",
        "def kind(net):\n    return next(net.parameters()).dtype",
        "def kind(net):\n    return net.parameters()[0].dtype, next(iter(net.parameters()))",
    ),
    (
        "keyword-unknown",
        "def more(net, x):\n    net.add_module(name='6', module=nn.ReLU())",
        "def more(net, x):\n    net.add_module('6', nn.ReLU())",
    ),
    (
        "own-call",
        "def warm(o, m):\n    for i, g in enumerate(o.param_groups):\n        if 'momentum' in g:\n"
        "            g['momentum'] = m",
        "def warm(o, m):\n    for i, g in enumerate(o.param_groups):\n        if 'lr' in g:\n            g['lr'] = m\n"
        "        if 'momentum' in m:\n            g['momentum'] = m",
    ),
    (
        "lazy-time",
        "import time\ndef now():\n    jt.sync_all()\n    return time.time()",
        "import time\ndef now():\n    jt.sync_all(True)\n    return time.time()\n"
        "def train(net, x):\n    start = time.time()\n    jt.sync_all()\n    print(net, x, time.time() - start)",
    ),
    (
        "drop-last-of-test",
        "def loader(test_set):\n    return test_set.set_attrs(batch_size=2, drop_last=True)",
        "def loader(train_set, test_set, one):\n    test_set.set_attrs(batch_size=1, drop_last=True)\n"
        "    train_set.set_attrs(batch_size=2, drop_last=True)\n"
        "    return test_set.set_attrs(batch_size=2, drop_last=False)",
    ),
]


@pytest.mark.parametrize(("entry", "bad", "good"), CASES)
def test_cases(entry, bad, good):
    assert [f.entry for f in lint_text(NUMPY + HEAD + bad)] == [entry]
    assert entry not in {f.entry for f in lint_text(NUMPY + HEAD + good)}


def test_old_numpy_has_the_names(tmp_path):
    """Where the port asks for one."""
    text = NUMPY + HEAD + "x = np.float(3)\n"
    assert linted(tmp_path, {"a.py": text}) == ["a.py:4 own-name"]
    (tmp_path / "requirements.txt").write_text("numpy==1.21.6\n")
    assert linted(tmp_path, {"a.py": text}) == []


OPTIONS = (
    "import argparse\nimport jittor as jt\nparser = argparse.ArgumentParser()\n"
    "parser.add_argument('--names', {0})\nopt = parser.parse_args()\nfor name in {1}:\n    print(name)\n"
)


@pytest.mark.parametrize(
    ("said", "read", "told"),
    [
        ("nargs='+', default='all'", "opt.names", True),
        ("nargs='+', default=['all']", "opt.names", False),
        ("nargs='+', default='all'", "list(opt.names)", False),
        ("nargs='+', default='all'", "jt.load(opt.names)", True),
        ("nargs='+', default='all'", "jt.load(opt.names[0])", False),
        ("default='all'", "opt.names.split()", False),
        ("type=list", "opt.names", True),
        ("type=dict, default={}", "opt.names", True),
        ("type=str", "opt.names.split()", False),
    ],
)
def test_options_made_of_letters(said, read, told):
    assert ("own-call" in {f.entry for f in lint_text(OPTIONS.format(said, read))}) is told


@pytest.mark.parametrize(
    ("use", "told"), [("print(opt.gpu)", False), ("print(vars(opt))", False), ("", True)]
)
def test_options_that_nobody_reads(tmp_path, use, told):
    """A hint: originals have such options too."""
    text = OPTIONS.format("type=str", "opt.names.split()") + use + "\n"
    text = text.replace("opt = ", "parser.add_argument('--gpu')\nopt = ")
    (tmp_path / "a.py").write_text(text)
    found = [f for f in lint_path(tmp_path, hints=True).findings if f.entry == "option-unread"]
    assert [(f.line, f.level) for f in found] == ([(5, HINT)] if told else [])
    assert not lint_path(tmp_path).findings


RECORD = (
    "import jittor\nclass Trainer:\n    def __init__(self):\n        self.losses = []\n"
    "    def step(self, loss):\n        {0}\n    def save(self):\n        return {{'losses': self.losses}}\n"
)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("print(loss)", True),
        ("self.losses.append(loss)", False),
        ("self.losses += [loss]", False),
        ("sorted(self.losses)", False),
    ],
)
def test_records_that_nobody_fills(tmp_path, line, told):
    files = {"a.py": RECORD.format(line)}
    assert linted(tmp_path, files) == (["a.py:4 never-filled"] if told else [])
    files["b.py"] = "import jittor\ndef fill(trainer, x):\n    trainer.losses.append(x)\n"
    assert not linted(tmp_path, files)


GROWN = (
    "from jittor.dataset import Dataset\nclass Data(Dataset):\n    def __init__(self):\n"
    "        super().__init__()\n        self.kept = []\n    def take(self, more):\n"
    "        self.kept = self.kept + more\n    def __len__(self):\n        return len(self.kept)\n"
    "class Learner:\n    def __init__(self):\n        self.data = Data()\n    def {0}(self, more):\n"
    "        self.data.take(more)\n        self.data.set_attrs(batch_size=2{1})\n        return self.data\n"
)


@pytest.mark.parametrize(
    ("method", "given", "told"),
    [("before", "", [14]), ("before", ", total_len=3", []), ("__init__", "", [])],
)
def test_data_that_grow(tmp_path, method, given, told):
    """Jittor asks for __len__ once, and keeps it: 4 of 8 items in the second round, tried with Jittor 1.3.11."""
    found = linted(tmp_path, {"a.py": GROWN.format(method, given)})
    assert found == [f"a.py:{line} dataset-length" for line in told]


TESTED = (
    "import jittor as jt\nfrom jittor import nn\nclass Net(nn.Module):\n    def execute(self, x):\n        return x\n"
    "def check(net, x):\n    {0}net.eval()\n    return net(x)\n"
    "def train(net, opt, data):\n    net.train()\n    for x in data:\n        opt.step(net(x).sum())\n"
    "        check(net, x)\n"
)


@pytest.mark.parametrize(("line", "told"), [("", True), ("net = Net()\n    ", False)])
def test_a_network_of_the_test_alone(line, told):
    """What a test makes for itself is not what is trained."""
    found = {f.entry for f in lint_text(TESTED.format(line))}
    assert ("eval-stops-gradients" in found) is told


COPIED = (
    "def copied(ema, net):\n    for k, v in net.__dict__.items():\n        setattr(ema, k, {0})"
)


def test_deep_copies_share_nothing():
    assert [f.entry for f in lint_text(HEAD + COPIED.format("v"))] == ["module-dict"]
    assert not lint_text("from copy import deepcopy\n" + HEAD + COPIED.format("deepcopy(v)"))


RATE = (
    "import jittor as jt\ndef slower(optimizer, lr):\n    optimizer.lr = lr\n    return optimizer\n"
)
REFERENCE = "import {0}\ndef f(o):\n    for p in o.param_groups:\n        p['lr'] = 3\n"


@pytest.mark.parametrize(("framework", "told"), [("torch", False), ("numpy", True)])
def test_rates_of_the_reference(tmp_path, framework, told):
    """What a file of PyTorch's does to its groups is nothing to the port beside it."""
    found = linted(tmp_path, {"a.py": RATE, "b.py": REFERENCE.format(framework)})
    assert ("a.py:3 optimizer-lr-attribute" in found) is told
