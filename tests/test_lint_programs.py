"""The linter on programs of several files: what their modules hold, what their functions take, what these return."""

from __future__ import annotations

import pytest

from parity.atlas.lint.rules_own import CALL, NAME
from parity.atlas.lint.run import lint_text
from tests.linting import HEAD, linted

NET = HEAD + "class Net(nn.Module):\n    def execute(self, x, size=2):\n        return x\n"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("from models.net import Net, Big", True),
        ("from models.nets import Net", True),
        ("from models.net import Net", False),
        ("from models import net", False),
        ("from models import nothing", True),
        ("from models.open import anything", False),
        ("from models.compiled import kernel", False),
        ("from elsewhere.net import Big", False),
        ("from datasets import load_dataset", False),
        ("from jittor.dataset import DataLoader", False),
        ("try:\n    from models.net import Big\nexcept ImportError:\n    Big = None", False),
        ("if __file__:\n    from models.net import Big", False),
        ("def late():\n    from models.net import Big", True),
        ("from models.starred import Net", False),
        ("from models.starred import Big", True),
    ],
)
def test_names(tmp_path, line, told):
    files = {
        "models/__init__.py": "",
        "models/net.py": NET,
        "models/open.py": "globals().update(made())\n",
        "models/compiled.so": "",
        "models/starred.py": "from .net import *\n",
        "datasets/pictures.py": "",
        "jittor/dataset.py": "",
        "train.py": line + "\n",
    }
    assert any(NAME in f for f in linted(tmp_path, files)) is told


def test_relative_imports(tmp_path):
    """What is not there is told, also of files that name no framework; what lies outside of the folder is not known."""
    files = {
        "net.py": NET,
        "layers/__init__.py": "from .functions import *\nfrom .modules import norm\nfrom ..net import Big\n",
        "layers/modules/__init__.py": "from .norm import norm, other\n",
        "layers/modules/norm.py": "def norm(x):\n    return x\n",
        "above.py": "from ..outside import x\nfrom . import net, layers, nothing\n",
    }
    assert linted(tmp_path, files) == [
        f"above.py:2 {NAME}",
        f"layers/__init__.py:1 {NAME}",
        f"layers/__init__.py:3 {NAME}",
        f"layers/modules/__init__.py:1 {NAME}",
    ]


def test_a_folder_without_jittor_is_none_of_its_business(tmp_path):
    assert linted(tmp_path, {"a.py": "from b import c\n", "b.py": "import torch\n"}) == []


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("f(1, mode=2)", True),
        ("f(1, 2, 3)", True),
        ("f()", True),
        ("f(1)\nf(1, b=2)\nf(*some)\nf(**more)\nf(b=1, a=2)", False),
        ("g(1, 2, 3, mode=1, c=2)", False),
        ("g(1)", True),
        ("K(1, 2)", True),
        ("k = K(1)\nk.run(2, fast=True)", True),
        ("k = K(1)\nk.run(2)\nk.free(1, 2)\nk.other(1)", False),
        ("k = K(1)\nk = make()\nk.run(2, 3, 4)", False),
        ("def main():\n    k = K(1)\n    part(k)\ndef part(k):\n    k.run(1, fast=True)", True),
        ("def main():\n    part(K(1))\n    part(2)\ndef part(k):\n    k.run(1, fast=True)", False),
        ("def inner(f):\n    f(1, 2, 3)", False),
        ("def outer():\n    f = make()\n    f(1, 2, 3)", False),
        ("try:\n    f(1, mode=2)\nexcept TypeError:\n    f(1)", False),
        ("wrapped(1, 2, 3)", False),
        ("twice(1, 2, 3)", False),
        ("Some(1, 2, 3)", False),
    ],
)
def test_calls(code, told):
    own = (
        "def f(a, b=1):\n    return a\ndef g(a, *more, c, **rest):\n    return a\n"
        "class B:\n    def __init__(self, a):\n        self.free = a\n"
        "class K(B):\n    def run(self, x):\n        return x\n"
        "@remembered\ndef wrapped(a):\n    return a\n"
        "def twice(a):\n    return a\ndef twice(a, b, c):\n    return a\n"
        "class Some(elsewhere.Base):\n    pass\n"
    )
    assert (CALL in {f.entry for f in lint_text(HEAD + own + code)}) is told


def test_methods_of_self():
    code = (
        "class T:\n    def __init__(self):\n        self.loss = 1\n    def step(self, x):\n        return x\n"
        "    def run(self):\n        self.loss(1, 2)\n        return self.step(1, last=True)\n"
    )
    assert [f.line for f in lint_text(HEAD + code) if f.entry == CALL] == [10]
    heir = "class U(T):\n    def step(self, x, last):\n        return x\n"
    assert not [f for f in lint_text(HEAD + code + heir) if f.entry == CALL]


def test_calls_into_another_file(tmp_path):
    files = {
        "models/__init__.py": "from .net import build\n",
        "models/net.py": NET + "def build(phase, classes=2):\n    return Net()\n",
        "test.py": HEAD
        + "from models import build\nnet = build('test', classes=2, model='dark')\n",
    }
    assert linted(tmp_path, files) == [f"test.py:4 {CALL}"]
    files["test.py"] = files["test.py"].replace(", model='dark'", "")
    assert linted(tmp_path, files) == []


def test_files_know_of_each_other(tmp_path):
    """A class of another file is a module here, a function's array an array, a method's as well."""
    files = {
        "base.py": NET
        + "class Boxes:\n    def made(self):\n        return jt.array([1]).view(-1, 1)\n"
        "def centres(n):\n    return jt.arange(n)\n",
        "net.py": HEAD
        + "from base import *\nclass Big(Net):\n    def forward(self, x):\n        return x\n"
        "class Head(Net):\n    def execute(self, x):\n        boxes = Boxes()\n        self.priors = boxes.made()\n"
        "        self.points = centres(3)\n        return ~(centres(3) > 1)\n",
    }
    told = linted(tmp_path, files)
    assert told == [
        "net.py:10 cached-attribute",
        "net.py:11 cached-attribute",
        "net.py:12 bool-invert",
    ]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("y = torch.zeros(3)", True),
        ("def f():\n    return helper(1)", True),
        ("def f(a, *b, **c):\n    return a, b, c, print, __file__", False),
        ("try:\n    f = unicode\nexcept NameError:\n    f = str", False),
        ("def f():\n    global late\n    late = 1\nprint(late)", False),
        ("from elsewhere import *\nhelper(1)", False),
        ("from net import *\nNet()", False),
        ("from net import *\nHeavy()", True),
        ("try:\n    1\nexcept ValueError as e:\n    print(e)", False),
        ("y = [i for i in range(3)]", False),
        ("def f(x: Tensor):\n    return x", True),
        ("from __future__ import annotations\ndef f(x: Tensor):\n    return x", False),
    ],
)
def test_names_that_nothing_binds(tmp_path, body, told):
    first, rest = body.partition("\n")[::2] if body.startswith("from __f") else ("", body)
    files = {"net.py": NET, "train.py": f"{first}\n{HEAD}{rest}\n"}
    found = [f for f in linted(tmp_path, files) if f.startswith("train")]
    assert any(NAME in f for f in found) is told


OWNED = """
class Base(nn.Module):
    size = 3
    def __init__(self):
        super().__init__()
        self.base = 1
    def execute(self, x):
        return x
class Net(Base):
    def __init__(self):
        super().__init__()
        {0}
    def execute(self, x):
        return self.{1}
"""


@pytest.mark.parametrize(
    ("line", "name", "told"),
    [
        ("pass", "config", True),
        ("config = 1", "config", True),
        ("self.config = 1", "config", False),
        ("self.register_buffer('config', jt.ones(3))", "config", False),
        ("setattr(self, 'config', 1)", "config", False),
        ("setattr(self, name, 1)", "config", False),
        ("copy_attributes(self, other)", "config", False),
        ("self.__dict__.update(a=1)", "config", False),
        ("pass", "base", False),
        ("pass", "size", False),
        ("pass", "parameters", False),
        ("pass", "execute", False),
    ],
)
def test_attributes_that_nothing_sets(tmp_path, line, name, told):
    files = {"net.py": HEAD + OWNED.format(line, name)}
    assert any(f.endswith(NAME) and ":16" in f for f in linted(tmp_path, files)) is told


def test_an_attribute_set_from_outside(tmp_path):
    files = {
        "net.py": HEAD + OWNED.format("pass", "config"),
        "train.py": HEAD + "from net import Net\nnet = Net()\nnet.config = 1\n",
    }
    assert not linted(tmp_path, files)


def test_forward_called_from_another_file(tmp_path):
    forward = HEAD + "class Net(nn.Module):\n    def forward(self, x):\n        return x\n"
    use = HEAD + "from net import Net\nself_net = Net()\ny = self_net.{0}(jt.ones(3))\n"
    assert linted(tmp_path, {"net.py": forward, "use.py": use.format("execute")})
    assert not linted(tmp_path, {"net.py": forward, "use.py": use.format("forward")})


def test_no_grad_where_nothing_trains(tmp_path):
    code = (
        HEAD
        + "net = nn.Linear(2, 2)\nwith jt.no_grad():\n    net.load_state_dict(jt.load('a.pkl'))\n"
    )
    assert not linted(tmp_path, {"a.py": code})
    other = {"b.py": HEAD + "o = jt.optim.SGD([], lr=1)\n"}
    assert not linted(tmp_path, {"a.py": code, **other}), "a script of its own"
    loading = code.replace("with", "def loaded(net):\n  with").replace("    net", "     net")
    assert linted(tmp_path, {"a.py": loading, **other}) == ["a.py:6 no-grad-load"]
    trained = code + "jt.optim.SGD(net.parameters(), lr=1).step(net(1))\n"
    assert linted(tmp_path, {"a.py": trained}) == ["a.py:5 no-grad-load"]


def test_names_asked_for_before(tmp_path):
    code = HEAD + "NEW = hasattr(jt, 'amp')\nif NEW:\n    jt.amp.autocast()\n"
    assert not linted(tmp_path, {"a.py": code})


def test_a_set_without_its_init(tmp_path):
    code = HEAD + (
        "from jittor.dataset import Dataset\nclass D(Dataset):\n    def __init__(self):\n"
        "        super(D, self){0}\n"
    )
    assert linted(tmp_path, {"a.py": code.format("")}) == ["a.py:6 own-call"]
    assert not linted(tmp_path, {"a.py": code.format(".__init__()")})


@pytest.mark.parametrize(("n", "told"), [("if i % 2 == 0:", True), ("if i == 0:", False)])
def test_two_optimisers_in_turn(tmp_path, n, told):
    """Each branch has its own backward and step; only a step now and then is an accumulation."""
    code = HEAD + (
        "def train(a, b, loss):\n    optimizer = jt.optim.Adam([], lr=1)\n    for i in range(9):\n"
        "        {0}\n        {1}\n"
    )
    steps = "optimizer.backward(loss)\n            optimizer.step()"
    turns = f"if i % 2:\n            a.step()\n        else:\n            {steps}"
    assert not linted(tmp_path, {"a.py": code.format("pass", turns)})
    now = f"{n}\n            optimizer.step()"
    found = linted(tmp_path, {"a.py": code.format("optimizer.backward(loss)", now)})
    assert any("accumulation" in f for f in found) is told
