"""The linter on slips of the pen: the kinds of round 30."""

from __future__ import annotations

import pytest

from parity.atlas.lint.finding import HINT
from parity.atlas.lint.run import lint_text
from tests.linting import HEAD

METHOD = (
    "class Norm(nn.Module):\n    def weighed(self, module):\n        {0}\n        return {1}\n"
    "    def __call__(self, module):\n        {2}self.weighed(module)\n"
)
TENSOR = (
    "class Edges(nn.Module):\n    def __init__(self):\n        super().__init__()\n        self.Tensor = {0}\n"
    "    def execute(self, x):\n        return self.Tensor({1})\n"
)
TWINS = (
    "def angles(net, x, y):\n    u, v = net(x), net(y)\n    a = u / u.norm(dim=-1, keepdim=True)\n"
    "    b = {0} / {0}.norm(dim=-1, keepdim=True)\n    return a @ b.t()\n"
)
LOOP = (
    "def total(data):\n    loss = []\n    for x in data:\n        {0}loss.append(x.mean())\n        {1}\n"
    "    return loss\n"
)
CASES = [
    (
        "own-call",
        "def pick(kind):\n    raise 'no such kind'",
        "def pick(kind):\n    raise ValueError('no')",
    ),
    (
        "result-dropped",
        "import optuna\noptuna.logging.enable_propagation",
        "import optuna\noptuna.logging.enable_propagation()",
    ),
    (
        "result-dropped",
        METHOD.format("w = module.w * 2", "w", ""),
        METHOD.format("w = module.w * 2", "w", "self.w = "),
    ),
    (
        "result-dropped",
        METHOD.format("w = module.w * 2", "w / 3", ""),
        METHOD.format("module.w = 2", "module.w", ""),
    ),
    (
        "result-dropped",
        METHOD.format("w = module.w * 2", "w", ""),
        METHOD.format("pass", "module", ""),
    ),
    (
        "result-dropped",
        METHOD.format("w = module.w * 2", "w", ""),
        METHOD.format("module.eval()", "3 * module.w", ""),
    ),
    (
        "state-copied",
        "def renamed(net):\n    del net._parameters['weight']\n    return jt.rand(2)",
        "def renamed(net):\n    delattr(net, 'weight')\n    return net._parameters['bias']",
    ),
    ("own-call", TENSOR.format("jt.float32", "x.size()"), TENSOR.format("jt.float32", "3.0")),
    ("own-call", TENSOR.format("jt.float32", "x.shape"), TENSOR.format("jt.zeros", "x.shape")),
    ("copied-line", TWINS.format("u"), TWINS.format("v")),
    ("own-call", LOOP.format("", "loss = sum(loss)"), LOOP.format("", "done = sum(loss)")),
    (
        "own-call",
        LOOP.format("", "loss = sum(loss)"),
        LOOP.format("loss = []; ", "loss = sum(loss)"),
    ),
]


@pytest.mark.parametrize(("entry", "bad", "good"), CASES)
def test_cases(entry, bad, good):
    assert [f.entry for f in lint_text(HEAD + bad)] == [entry]
    assert entry not in {f.entry for f in lint_text(HEAD + good)}


def test_copies_that_are_meant():
    """Both names are read elsewhere, or the two begin alike and go apart."""
    text = "def start(net, x, y):\n    u, v = net(x), net(y)\n    a = jt.zeros_like(u)\n    b = jt.zeros_like(u)\n"
    assert not lint_text(HEAD + text + "    return a + v, b\n")


CASE = (
    "def norm(kind):\n    {0}if kind.startswith('spectral'):\n        rest = kind[8:]\n"
    "    {1}\n        return jt.rand(2)\n"
)


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("", "if rest == 'none':", True),
        ("rest = kind; ", "if rest == 'none':", False),
        ("", "if kind == 'none':", False),
        ("", "else:\n        rest = kind\n    if rest == 'none':", False),
    ],
)
def test_names_bound_in_one_case(before, after, told):
    """A hint: the other cases may never be."""
    text = HEAD + CASE.format(before.replace("; ", "\n    "), after)
    found = [f for f in lint_text(text, hints=True) if f.entry == "own-name"]
    assert [f.level for f in found] == [HINT] * told
    assert not lint_text(text)
