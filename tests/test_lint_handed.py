"""The linter on what a program hands on, and on findings that the rest of the program makes hints."""

from __future__ import annotations

import pytest

from parity.atlas.lint.run import lint_text
from tests.linting import HEAD, linted
from tests.test_lint_given import NUMPY, SET

LOSS = (
    "class Edge(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
    "        self.kernel = jt.array([[1.0, 2.0]])\n"
    "    def execute(self, x):\n        return nn.conv2d(x, self.kernel)\n"
)


def test_constants_of_a_loss_that_nobody_trains(tmp_path):
    """Told where the loss is a part of a module, or asked for its parameters."""
    assert not linted(tmp_path, {"a.py": HEAD + LOSS + "loss = Edge()\nprint(loss(1))\n"})
    asked = "loss = Edge()\no = jt.optim.SGD(loss.parameters(), lr=1)\n"
    assert linted(tmp_path, {"a.py": HEAD + LOSS + asked}) == ["a.py:6 plain-attribute"]
    part = "class Net(nn.Module):\n    def __init__(self):\n        self.loss = Edge()\n"
    assert linted(tmp_path, {"a.py": HEAD + LOSS + part}) == ["a.py:6 plain-attribute"]


@pytest.mark.parametrize(
    ("loop", "told"), [("for epoch in range(9):", True), ("for x in loader:", False)]
)
def test_schedules_by_batches(tmp_path, loop, told):
    code = HEAD + (
        "o = jt.optim.SGD([], lr=1)\nscheduler = jt.lr_scheduler.CosineAnnealingLR(o, 9)\n"
        f"loader = []\n{loop}\n    scheduler.step()\n"
    )
    assert linted(tmp_path, {"a.py": code}) == ["a.py:4 cosine-annealing"] * told


@pytest.mark.parametrize(
    ("use", "told"),
    [
        ("mean = total / len(loader)", True),
        ("bar = tqdm(total=len(loader))", False),
        ("n = len(val_loaders)", False),
        ("loader = Pictures().set_attrs(batch_size=1)\nmean = total / len(loader)", False),
    ],
)
def test_lengths_that_matter(use, told):
    code = SET + "    def __len__(self):\n        return 3\n" + use
    assert ("loader-own-length" in {f.entry for f in lint_text(HEAD + code)}) is told


def test_handles_that_somebody_takes():
    code = HEAD + "handle = nn.Linear(2, 2).register_forward_hook(print)\n"
    assert not lint_text(code)
    assert [f.entry for f in lint_text(code + "handle.remove()\n")] == ["hook-handle"]


BUFFER = "class Net(nn.Module):\n    def __init__(self, x):\n        self.register_buffer({0})\n"


@pytest.mark.parametrize(
    ("given", "told"),
    [("'mask', jt.ones(3)", True), ("'index', x.sum(-1)", False), ("'order', jt.arange(3)", False)],
)
def test_buffers_of_whole_numbers(given, told):
    found = {f.entry for f in lint_text(HEAD + BUFFER.format(given))}
    assert ("buffer-is-parameter" in found) is told


def test_a_shape_and_a_number():
    code = HEAD + "x = jt.ones(3)\nif x.size() == 3 or x.shape == 1:\n    pass\n"
    assert [f.entry for f in lint_text(code)] == ["own-call", "own-call"]
    assert not lint_text(
        HEAD
        + "x = jt.ones(3)\nif x.size(0) == 3 or x.shape == (1,) or x.shape[0] == 2:\n    pass\n"
    )


def test_a_function_taken_for_a_container():
    code = HEAD + "def timer(f):\n    return f\ntimes = {}\ndef note(n):\n    if n in "
    assert [f.entry for f in lint_text(code + "timer:\n        print(n)\n")] == ["own-call"]
    assert not lint_text(code + "times:\n        print(n)\n")


def test_imports_by_the_name_of_the_original(tmp_path):
    files = {
        "utils/options.py": "def parse():\n    return 1\n",
        "a.py": HEAD + "from utils.options import parse\n",
    }
    assert not linted(tmp_path, files)
    files["b.py"] = "from ram.utils.options import parse\n"
    assert linted(tmp_path, files) == ["b.py:1 own-name"]
    assert not linted(tmp_path, {**files, "ram/utils/options.py": "parse = 1"}), "there is one"


MORE = [
    (
        "own-call",
        "import argparse\np = argparse.ArgumentParser()\np.add_argument('--eval', type=bool)",
        "import argparse\np = argparse.ArgumentParser()\np.add_argument('--eval', type=int)",
    ),
    (
        "argsort-pair",
        "s = jt.rand(3)\nk = jt.argsort(s)[:9]",
        "s = jt.rand(3)\nk = jt.argsort(s)[0][:9]",
    ),
    (
        "argsort-pair",
        "def keep(s):\n    order = jt.argsort(s)\n    while order.numel() > 0:\n        i = order[0]\n"
        "        order = s[i:]\n    return 1",
        "def keep(s):\n    order = jt.argsort(s)\n    i = order[0]\n    return i",
    ),
    ("name-missing", "jt.flags.grad_checkpoint = 1", "jt.flags.use_cuda = 1"),
    (
        "own-name",
        "class Gate(nn.Module):\n    def __init__(self, n):\n        if n:\n            self.line = nn.Linear(n, n)\n"
        "    def execute(self, x):\n        if self.line is not None:\n            x = self.line(x)\n        return x",
        "class Gate(nn.Module):\n    def __init__(self, n):\n        self.line = None\n        if n:\n"
        "            self.line = nn.Linear(n, n)\n    def execute(self, x):\n        if self.line is not None:\n"
        "            x = self.line(x)\n        return x",
    ),
    (
        "init-never-met",
        "class Neck(nn.Module):\n    def __init__(self):\n        self.held = nn.ModuleList()\n"
        "        for m in self.children():\n            if isinstance(m, nn.Conv2d):\n"
        "                nn.init.constant_(m.weight, 1)\n    def execute(self, x):\n        return x",
        "class Neck(nn.Module):\n    def __init__(self):\n        self.held = nn.ModuleList()\n"
        "        self.conv = nn.Conv2d(1, 1, 1)\n        for m in self.children():\n"
        "            if isinstance(m, nn.Conv2d):\n                nn.init.constant_(m.weight, 1)\n"
        "    def execute(self, x):\n        return x",
    ),
    (
        "weights-unread",
        "def backbone(pretrain_path=''):\n    return nn.Linear(2, 2)\nnet = backbone(pretrain_path='a.pth')",
        "def backbone(pretrain_path=''):\n    net = nn.Linear(2, 2)\n    net.load(pretrain_path)\n    return net\n"
        "net = backbone(pretrain_path='a.pth')",
    ),
]


@pytest.mark.parametrize(("entry", "bad", "good"), MORE)
def test_more_cases(entry, bad, good):
    assert [f.entry for f in lint_text(NUMPY + HEAD + bad)] == [entry]
    assert entry not in {f.entry for f in lint_text(NUMPY + HEAD + good)}


def test_options_of_another_file(tmp_path):
    net = HEAD + "class Net(nn.Module):\n    def __init__(self, args):\n        self.n = args.{0}\n"
    main = HEAD + (
        "import argparse\nfrom net import Net\nparser = argparse.ArgumentParser()\n"
        "parser.add_argument('--width')\nargs = parser.parse_args()\nmodel = Net(args)\n"
    )
    assert linted(tmp_path, {"net.py": net.format("depth"), "main.py": main}) == [
        "main.py:8 own-name"
    ]
    assert not linted(tmp_path, {"net.py": net.format("width"), "main.py": main})


def test_a_set_that_is_made_later(tmp_path):
    code = HEAD + (
        "from jittor.dataset import Dataset\nclass D(Dataset):\n    def __init__(self):\n        self.n = 3\n"
        "    def __getitem__(self, i):\n        return i\n    def made(self):\n        {0}\nD()\n"
    )
    assert linted(tmp_path, {"a.py": code.format("return 1")}) == ["a.py:5 own-call"]
    assert not linted(tmp_path, {"a.py": code.format("super().__init__()")})


def test_groups_that_another_file_makes(tmp_path):
    groups = "def split(net):\n    return [{'params': net.parameters(), 'weight_decay': 0.1}]\n"
    rates = "def adjust(optimizer):\n    for group in optimizer.param_groups:\n        group['lr'] = 1\n"
    code = HEAD + (
        "from tools import split, adjust\noptimizer = jt.optim.AdamW(split(nn.Linear(2, 2)), lr=1)\nadjust(optimizer)\n"
        "print(optimizer.param_groups[0]['lr'])\n"
    )
    assert not linted(tmp_path, {"a.py": code, "tools.py": HEAD + groups + rates})
    found = linted(
        tmp_path,
        {"a.py": code, "tools.py": HEAD + "def split(net):\n    return net\nadjust = print\n"},
    )
    assert found == ["a.py:4 adamw-default-decay", "a.py:6 group-lr-missing"]


@pytest.mark.parametrize(("given", "told"), [("eps: float", False), ("eps: list", True)])
def test_a_number_of_an_argument(given, told):
    """An array of one number is made by who wants it learnt: a hint."""
    code = f"class Norm(nn.Module):\n    def __init__(self, {given}):\n        self.small = jt.array(eps)\n"
    assert ("plain-attribute" in {f.entry for f in lint_text(HEAD + code)}) is told


LAST = [
    (
        "name-missing",
        "if hasattr(net, 'weight'):\n    nn.init.normal_(net.w)",
        "if hasattr(nn.init, 'normal_'):\n    nn.init.normal_(w)",
    ),
    (
        "var-of-values",
        "def made(data):\n    kept = jt.var(data)\n    return kept.view(2, -1)",
        "def made(data):\n    kept = jt.array(data)\n    return kept.view(2, -1)",
    ),
    (
        "set-chained",
        "x = jt.zeros((2, 3))\nmask = x[0] == 0\nx[0][mask] = 5",
        "x = jt.zeros((2, 3))\nmask = x == 0\nx[mask] = 5\nx[0][1] = 5",
    ),
    (
        "view-reshape",
        "def cut(scores, i):\n    scores.view(-1)[i] = 0",
        "def cut(scores, i):\n    flat = scores.view(-1)\n    flat[i] = 0\n    return flat",
    ),
    (
        "result-unused",
        "w = jt.ones(3)\nnn.init.gauss((3,), std=0.1)",
        "w = nn.init.gauss((3,), std=0.1)\nnn.init.gauss_(w, 0, 0.1)",
    ),
    (
        "argument-place",
        "def fit(o, net):\n    o.clip_grad_norm(net.parameters(), 1.0)",
        "def fit(o, net):\n    o.clip_grad_norm(1.0, 2)",
    ),
    (
        "own-call",
        "def chosen(n):\n    if n > 3:\n        ValueError('too many')\n    return n",
        "def chosen(n):\n    if n > 3:\n        raise ValueError('too many')\n    return n",
    ),
    (
        "own-call",
        "loss = nn.CrossEntropyLoss()\ny = loss(a, b).view(2, 3)",
        "loss = nn.CrossEntropyLoss(reduction='none')\ny = loss(a, b).view(2, 3)",
    ),
    (
        "name-missing",
        "class Mixin:\n    pass\nclass Layer(nn.Module, Mixin):\n    def __init__(self, p):\n"
        "        self.register_parameter('p', p)",
        "class Mixin:\n    pass\nclass Layer(nn.Module, Mixin):\n    def __init__(self, p):\n        self.p = p",
    ),
]


@pytest.mark.parametrize(("entry", "bad", "good"), LAST)
def test_last_cases(entry, bad, good):
    assert [f.entry for f in lint_text(NUMPY + HEAD + bad)] == [entry]
    assert entry not in {f.entry for f in lint_text(NUMPY + HEAD + good)}


def test_copies_of_modules_are_no_arrays():
    code = "net = nn.Linear(2, 2)\nother = nn.deepcopy(net)\n"
    code += "for a, b in zip(other.parameters(), net.parameters()):\n    a.update(b)\n"
    assert not lint_text(HEAD + code)


STEP = "def train(net, opt, data, max_norm=0):\n    for x in data:\n        loss = net(x).sum()\n"


def test_norms_that_nobody_reads(tmp_path):
    """Told where the program hands a norm on."""
    plain, call = STEP + "        opt.step(loss)\n", "train(1, 2, 3, max_norm=1.0)\n"
    clips = "        opt.backward(loss)\n        opt.clip_grad_norm(max_norm)\n        opt.step()\n"
    assert linted(tmp_path, {"a.py": HEAD + plain + call}) == ["a.py:3 clip-unread"]
    assert not linted(tmp_path, {"a.py": HEAD + plain + "train(1, 2, 3)\n"})
    assert not linted(tmp_path, {"a.py": HEAD + STEP + clips + call})
