"""The linter on methods that nobody defines, initialisers that nobody applies, and the kinds of round 27."""

from __future__ import annotations

import pytest

from parity.atlas.lint.run import lint_text
from tests.linting import HEAD, linted

BASE = (
    "class Helper:\n    def mask(self, x):\n        return x.to({1})\n"
    "class Net(nn.Module, {0}):\n    def __init__(self):\n        super().__init__()\n"
    "    def execute(self, x):\n        return self.{2}(x)\n"
)


@pytest.mark.parametrize(
    ("other", "kind", "method", "told"),
    [
        ("Helper", "x.dtype", "prune", [10]),
        ("Helper", "x.dtype", "mask", []),
        ("Helper", "self.dtype", "mask", [5]),
        ("Elsewhere", "x.dtype", "prune", []),
        ("Helper", "x.dtype", "get_mask", []),
    ],
)
def test_methods_of_classes_with_several_bases(tmp_path, other, kind, method, told):
    """Told where all bases are known: get_mask is set from outside, Elsewhere is another package's."""
    text = HEAD + BASE.format(other, kind, method)
    text += "from elsewhere import Elsewhere\nNet.get_mask = print\n"
    assert linted(tmp_path, {"a.py": text}) == [f"a.py:{line} own-name" for line in told]


OPTIONS = (
    "import jittor\nclass Config:\n    def __getattribute__(self, key):\n"
    "        return super().__getattribute__(key)\n    def __init__(self, **kw):\n"
    "        for key, value in kw.items():\n            setattr(self, key, value)\n"
    "    def save(self):\n        {0}\n"
)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("self._push(3)", True),
        ("return self.depth", False),
        ("setattr(self, self.name, jittor.Var(3)); self._push(3)", False),
    ],
)
def test_methods_of_options(tmp_path, line, told):
    """An object that keeps any option has no other methods for it; what it makes may be called."""
    assert any("own-name" in f for f in linted(tmp_path, {"a.py": OPTIONS.format(line)})) is told


INIT = "def weights_init(m):\n    jt.init.gauss_(m.weight, 0, 0.02)\n{0}"


@pytest.mark.parametrize(
    ("more", "told"), [("", True), ("net = nn.Linear(2, 2)\nnet.apply(weights_init)\n", False)]
)
def test_initialisers_that_nobody_applies(tmp_path, more, told):
    found = linted(tmp_path, {"a.py": HEAD + INIT.format(more)})
    assert found == ["a.py:3 init-never-applied"] * told


SAMPLE = (
    "class Cut:\n    def __init__(self):\n        self.k = 3\n    def sample(self, x):\n"
    "        if self.k == 1:\n            {0}\n        return jt.ones(3), x\n"
    "    def run(self, x):\n        a, b = self.sample(x)\n        return a + b\n"
)
CASES = [
    ("own-call", SAMPLE.format("return jt.zeros(3)"), SAMPLE.format("return jt.zeros(3), None")),
    (
        "own-call",
        "import argparse\nargs = argparse.ArgumentParser().parse_args(args=[])",
        "import argparse, sys\nargs = argparse.ArgumentParser().parse_args(sys.argv[1:])",
    ),
    (
        "keyword-unknown",
        "x = jt.normal(mean=0.0, std=0.02)",
        "x = jt.normal(mean=0.0, std=0.02, size=(2, 2))\ny = jt.normal(x, x)",
    ),
    (
        "second-backward",
        "def both(loss, xs):\n    return [jt.grad(loss, x, retain_graph=False) for x in xs]",
        "def both(losses, xs):\n    a = [jt.grad(y, xs, retain_graph=False) for y in losses]\n"
        "    return a, [jt.grad(xs, x) for x in xs], jt.grad(xs, losses, retain_graph=False)",
    ),
    (
        "second-backward",
        "def both(loss, xs):\n    for x in xs:\n        print(jt.grad(loss, x, retain_graph=False))",
        "def both(net, xs):\n    for x in xs:\n        loss = net(x).sum()\n"
        "        print(jt.grad(loss, x, retain_graph=False))",
    ),
    (
        "max-two",
        "def norm(x):\n    return x.sqr().sum()\ny = jt.max(z[0], norm(z))",
        "def last_dim(x):\n    return x.ndim - 1\ny = jt.max(z, last_dim(z))",
    ),
    (
        "name-missing",
        "class Hooks:\n    def add(self):\n        for m in self.modules():\n"
        "            m.register_forward_pre_hook(print)",
        "class Hooks:\n    def add(self):\n        for m in self.modules():\n"
        "            m.register_pre_forward_hook(print)",
    ),
    (
        "max-pair",
        "def labels(x):\n    return x.max(dim=1)[1]",
        "def labels(x):\n    return x.max(dim=1)",
    ),
]


@pytest.mark.parametrize(("entry", "bad", "good"), CASES)
def test_cases(entry, bad, good):
    assert [f.entry for f in lint_text(HEAD + bad)] == [entry]
    assert entry not in {f.entry for f in lint_text(HEAD + good)}


def test_one_network_trains_and_another_stands_still():
    """What eval() freezes beside train() of another one is meant to be frozen."""
    step = (
        "def step(self, z, y):\n    self.generator.eval()\n{0}    x = self.encoder(self.generator(z))\n"
        "    self.optimizer.step(nn.mse_loss(x, y))\n"
    )
    told = [f.entry for f in lint_text(HEAD + step.format(""))]
    assert told == ["eval-stops-gradients"]
    assert not lint_text(HEAD + step.format("    self.encoder.train()\n"))
    flag = step.replace("self.generator.eval()", "net.train() if y else net.eval()")
    assert not lint_text(HEAD + flag.format(""))


COUNTED = (
    "from jittor.dataset import Dataset\nclass Words(Dataset):\n    def __init__(self):\n"
    "        super().__init__()\n    def __len__(self):\n        return 9\n"
    "def check(data_loader, data_set, correct, loss):\n    {0}\n"
)


@pytest.mark.parametrize(
    ("use", "told"),
    [
        ("return 100. * correct / len(data_loader)", False),
        ("print('{}/{}'.format(correct, len(data_loader)))", False),
        ("print('batch {} of {}'.format(3, len(data_loader)))", False),
        ("return loss / len(data_loader)", True),
        ("return 3 * len(loss) / len(data_loader)", False),
        ("for i, (data, y) in enumerate(data_loader): print(i * len(data))", False),
        ("for i, x in enumerate(data_set): print(i / len(data_set))", True),
    ],
)
def test_items_that_are_meant(use, told):
    found = {f.entry for f in lint_text(COUNTED.format(use))}
    assert ("loader-own-length" in found) is told


def test_a_misspelt_option_is_told_once(tmp_path):
    text = (
        "import argparse\n" + HEAD + "def shown(args):\n    return args.label_lass\n"
        "parser = argparse.ArgumentParser()\nparser.add_argument('--label_class')\n"
        "args = parser.parse_args()\nshown(args)\nshown(args)\n"
    )
    assert linted(tmp_path, {"a.py": text}) == ["a.py:5 own-name"]


TIMED = (
    "import time\ndef fit(classifier, loader, optimizer):\n    for x, y in loader:\n        start = time.time()\n"
    "        optimizer.zero_grad()\n        loss = nn.nll_loss(classifier(x), y)\n        optimizer.step(loss)\n"
    "        {0}\n        print(time.time() - start)\n"
)


@pytest.mark.parametrize(("line", "told"), [("pass", True), ("loss.item()", False)])
def test_times_of_steps(line, told):
    found = [f.entry for f in lint_text(HEAD + TIMED.format(line))]
    assert ("lazy-time" in found) is told


GIVEN = "def mask(x):\n    return 1 - x.equal(0)\ny = mask({0})\n"


@pytest.mark.parametrize(
    ("given", "more", "told"),
    [
        ("[1, 2]", "", True),
        ("[1, 2]", "z = mask(jt.ones(3))\n", False),
        ("[1, 2]", "z = map(mask, y)\n", False),
        ("jt.ones(3)", "", False),
        ("box[1:] * [3, 2]", "", False),
        ("[3, 2] * box", "", True),
    ],
)
def test_what_functions_are_given(given, more, told):
    """An argument is what all who call its function give it, unless somebody else may call it."""
    found = [f.entry for f in lint_text(HEAD + GIVEN.format(given) + more)]
    assert found == ["own-call"] * told


def test_what_a_module_of_the_program_is_given(tmp_path):
    files = {"mask.py": "import jittor\ndef width(x):\n    return x.size * 2\n"}
    files["a.py"] = HEAD + "from mask import width\ny = width(jt.ones((2, 3)))\n"
    assert linted(tmp_path, files) == ["mask.py:3 name-missing"]
