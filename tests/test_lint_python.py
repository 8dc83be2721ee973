"""The linter on what Python itself refuses: own modules' names, functions taken for data, options without a flag."""

from __future__ import annotations

import pytest

from parity.atlas.lint.rules_own import CALL, NAME
from tests.linting import HEAD, linted

NET = "class Net(nn.Module):\n    def execute(self, x):\n"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("from utils import rays\nrays.depth(x)", True),
        ("from utils import rays\nrays.lift(x)", False),
        ("from utils import rays as r\nr.depth(x)", True),
        ("import utils.rays\nutils.rays.lift(x)", False),
        ("from utils import rays\nrays.depth = 3\nrays.depth(x)", False),
        ("from utils import rays\ndef f(rays):\n    return rays.depth", False),
        ("from utils import rays\nif hasattr(rays, 'depth'):\n    rays.depth(x)", False),
        ("from utils.rays import Box\nBox.anything", False),
        ("from utils import loose\nloose.depth(x)", False),
    ],
)
def test_own_modules(tmp_path, line, told):
    files = {
        "utils/__init__.py": "",
        "utils/rays.py": HEAD + "def lift(x):\n    return x\nclass Box:\n    pass\n",
        "utils/loose.py": HEAD + "globals().update(made)\n",
        "run.py": HEAD + line.replace("(x)", "(1)") + "\n",
    }
    assert any(NAME in f for f in linted(tmp_path, files)) is told


@pytest.mark.parametrize(
    ("body", "entry"),
    [
        ("        return input['image'] + x\n", NAME),
        ("        return jt.concat([x, input], dim=1)\n", NAME),
        ("        input = x\n        return input['image']\n", ""),
        ("        return sorted(x, key=len), map(id, x)\n", ""),
        ("        return x.reshape(x.shape(-1))\n", CALL),
        ("        y = x + 1\n        z = y * 2\n        z = z.sum()\n", CALL),
        ("        y = x + 1\n        z = y * 2\n        self.z = z.sum()\n", ""),
        ("        y = x + 1\n        z = y * 2\n        self.held.append(z)\n", ""),
        ("        y = x + 1\n        z = y * 2\n        raise NotImplementedError\n", ""),
    ],
)
def test_functions_for_data(tmp_path, body, entry):
    body = body if "self." not in body else body + "    held = []\n"
    assert linted(tmp_path, {"net.py": HEAD + NET + body}) == (
        [f"net.py:{line_of(body, entry)} {entry}"] if entry else []
    )


def line_of(body: str, entry: str) -> int:
    """Of the fault, or of execute() where it returns nothing."""
    return 4 if entry == CALL and "shape(" not in body else 5


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("print(opt.adadelta)", True),
        ("print(opt.batch_size, opt.lr, opt.root)", False),
        ("def main(args):\n    print(args.adadelta)\nmain(opt)", True),
        ("def main(args):\n    print(args.adadelta)\nmain(other)", False),
        ("opt.adadelta = 1\nprint(opt.adadelta)", False),
        ("more(parser)\nprint(opt.adadelta)", False),
        ("vars(opt).update(x=1)\nprint(opt.adadelta)", False),
        ("print(getattr(opt, 'adadelta', 0))", False),
        ("if hasattr(opt, 'adadelta'):\n    print(opt.adadelta)", False),
    ],
)
def test_options(tmp_path, line, told):
    head = (
        "import argparse\nimport jittor as jt\nparser = argparse.ArgumentParser()\n"
        "parser.add_argument('-b', '--batch-size', type=int)\nparser.add_argument('--lr')\n"
        "parser.add_argument('root')\nother, more = object(), print\nopt = parser.parse_args()\n"
    )
    assert any(NAME in f for f in linted(tmp_path, {"train.py": head + line + "\n"})) is told


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("action='store_true', default=True", True),
        ("action='store_false', default=False", True),
        ("action='store_true', default=False", False),
        ("action='store_true'", False),
        ("type=int, default=True", False),
    ],
)
def test_flags_that_are_always_true(tmp_path, given, told):
    text = (
        HEAD
        + f"import argparse\nparser = argparse.ArgumentParser()\nparser.add_argument('--eval', {given})\n"
    )
    assert linted(tmp_path, {"run.py": text}) == [f"run.py:5 {CALL}"] * told


def test_a_file_that_uses_jt_without_importing_it(tmp_path):
    files = {
        "train.py": HEAD + "import boxes\n",
        "boxes.py": "import numpy as np\ndef box(x):\n    return jt.array(np.array(x)), jt.ones(3)\n",
        "words.py": "import numpy as np\n# of jt\ndef box(x):\n    return x.unknown(keepdim=True)\n",
    }
    assert linted(tmp_path, files) == [f"boxes.py:3 {NAME}"]


@pytest.mark.parametrize(
    ("made", "told"),
    [
        ("setattr(self, 'lin' + str(i), nn.ReLU())", True),
        ("setattr(self, f'lin{i}', nn.ReLU())", True),
        ("setattr(self, names[i], nn.ReLU())", False),
        ("setattr(self, 'soft%d' % i, nn.ReLU())", False),
    ],
)
def test_attributes_beside_numbered_ones(tmp_path, made, told):
    net = (
        "class Net(nn.Module):\n    def __init__(self, names):\n        for i in range(3):\n"
        f"            {made}\n    def execute(self, x):\n        return self.softplus(x)\n"
    )
    assert any(NAME in f for f in linted(tmp_path, {"net.py": HEAD + net})) is told


def test_python_has_modules_of_these_names_itself(tmp_path):
    """typing of a package is Python's, whatever lies in the package; a script's is the one beside it."""
    files = {
        "net/__init__.py": "",
        "net/typing.py": HEAD + "Pair = tuple\n",
        "net/data.py": HEAD + "from typing import Any\nimport typing\ntyping.List\n",
        "net/data/batch.py": HEAD + "from typing import Any\n",
        "test.py": HEAD + "def run(x):\n    return x\n",
        "train.py": HEAD + "from test import run, walk\n",
    }
    assert linted(tmp_path, files) == [f"train.py:3 {NAME}"]


def test_attributes_of_a_data_set(tmp_path):
    text = (
        "from jittor.dataset import Dataset\nclass Pictures(Dataset):\n    def __getitem__(self, i):\n"
        "        return self.dicts[i], self.batch_size, self.total_len, len(self)\n"
    )
    assert linted(tmp_path, {"data.py": HEAD + text}) == [f"data.py:6 {NAME}"]


def test_a_module_of_another_package_is_not_the_own_one_of_its_name(tmp_path):
    """from emd import cost, where the program has loss/emd.py: it may be another, unless the path is changed."""
    call = "from emd import cost\ncost(1, transpose=False)\n"
    files = {
        "loss/emd.py": HEAD + "def cost(x):\n    return x\n",
        "test/other.py": HEAD + call,
        "test/own.py": HEAD + "import sys\nsys.path.append('loss')\n" + call,
    }
    assert linted(tmp_path, files) == [f"test/own.py:6 {CALL}"]
