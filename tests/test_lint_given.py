"""The linter on arrays given to what refuses them, on calls followed through objects, and on what nothing stores."""

from __future__ import annotations

import pytest

from parity.atlas.lint.run import lint_text
from tests.linting import HEAD, linted

NUMPY = "import numpy as np\n"
V = "v = jt.ones((2, 3))\n"
CASES = [
    (
        "numpy-of-var",
        V + "y = np.mean(v, axis=0)",
        V + "y = np.mean(v.numpy(), axis=0) + np.abs(v)",
    ),
    ("numpy-of-var", V + "y = np.array(v, dtype=np.uint8)", V + "y = np.array(v).astype(np.uint8)"),
    (
        "numpy-of-var",
        V + "y = round(v.mean(), 2)",
        V + "y = round(v.mean().item(), 2) + round(2.5)",
    ),
    (
        "numpy-of-var",
        V + "kept = np.zeros((2, 3))\nkept[0:1] = v",
        V + "kept = np.zeros(2)\nkept[0] = v.mean()\nkept[:] = v.numpy()",
    ),
    (
        "numpy-of-var",
        "import cv2\n" + V + "cv2.resize(v, (2, 2))",
        "import cv2\n" + V + "cv2.resize(v.numpy(), (2, 2))",
    ),
    (
        "keyword-unknown",
        V + "a, b = jt.unique(v, return_counts=True)",
        V + "a, i, b = jt.unique(v, return_inverse=True, return_counts=True)",
    ),
    (
        "name-missing",
        "def f(net):\n    net.fc.weight.grad = None\n    return jt.ones(2)",
        "def f(net):\n    net.fc.weight.gradient = None\n    return jt.ones(2)",
    ),
    (
        "name-missing",
        V + "import io\nf = io.BytesIO()\njt.save({'v': v}, f)",
        V + "import io\nf = 'v.pkl'\njt.save({'v': v}, f)",
    ),
    (
        "array-given",
        V + "y = jt.matmul(v, np.eye(3))",
        V + "y = jt.matmul(v, jt.array(np.eye(3))) + np.ones(3)",
    ),
    (
        "array-given",
        V + "y = nn.softmax(v.numpy(), dim=1)",
        V + "y = nn.relu(v.numpy()) + nn.softmax(v, dim=1)",
    ),
    (
        "array-given",
        "net = nn.Linear(3, 2)\ny = net(np.ones((2, 3)))",
        "net = nn.ReLU()\ny = net(np.ones((2, 3)))",
    ),
    (
        "array-given",
        V + "y = v @ np.ones((3, 2))",
        V + "y = v @ jt.ones((3, 2))\nz = np.eye(2) @ np.eye(2)",
    ),
    (
        "mean-of-mask",
        V + "y = (v == 1).mean()",
        V + "y = (v == 1).float().mean() + (v.numpy() == 1).mean()",
    ),
    ("keyword-unknown", V + "y = v.mean(axis=1)", V + "y = v.mean(dim=1) + v.numpy().mean(axis=1)"),
    (
        "keyword-unknown",
        V + "y = jt.sum(v, axis=1)",
        V + "y = jt.sum(v, dim=1)\nz = np.sum(v.numpy(), axis=1)",
    ),
    (
        "index-range",
        V + "y = v[:, range(2)]",
        V + "y = v[:, list(range(2))]\nz = [1, 2][range(2)[0]]",
    ),
    (
        "scatter-number",
        V + "v.scatter_(1, jt.array([[0], [1]]), 1.0)",
        V + "v.scatter_(1, jt.array([[0], [1]]), jt.ones((2, 1)))",
    ),
    (
        "clip-returns-norm",
        "def fit(o):\n    norm = o.clip_grad_norm(1.0)\n    print(norm)",
        "def fit(o):\n    o.clip_grad_norm(1.0)",
    ),
    (
        "sequential-modules",
        "class Net(nn.Module):\n    def __init__(self):\n        self.held = nn.ModuleList()\n"
        "        self.held.extend([nn.ReLU()])\n    def execute(self, x):\n        return self.held[0](x)",
        "class Net(nn.Module):\n    def __init__(self):\n        self.held = nn.ModuleList()\n        more = []\n"
        "        more.extend([nn.ReLU()])\n        self.held.append(more[0])\n"
        "    def execute(self, x):\n        return self.held[0](x)",
    ),
    (
        "sequential-modules",
        "m = nn.Sequential(nn.ReLU())\nm[0] = nn.Tanh()",
        "m = [nn.ReLU()]\nm[0] = nn.Tanh()",
    ),
    (
        "name-missing",
        "s = jt.lr_scheduler.StepLR(jt.optim.SGD([], 1), 2)\nprint(s.get_last_lr())",
        "o = jt.optim.SGD([], 1)\ns = jt.lr_scheduler.StepLR(o, 2)\nprint(s.get_lr(), last.get_last_lr())",
    ),
    ("name-missing", V + "y = v.expand_dims(0)", V + "y = v.unsqueeze(0)\nz = v.mpi_all_reduce()"),
    (
        "own-call",
        "def split(x):\n    return x, 1, 2\na, b = split(3)",
        "def split(x):\n    return x, 1, 2\na, b, c = split(3)\nd, *e = split(3)\n"
        "def two(x):\n    return x\nf, g = two(3)",
    ),
    (
        "own-call",
        "def drawn(net):\n    net.w = 3\nnet = drawn(nn.Linear(2, 2))\nnet(3)",
        "def drawn(net):\n    net.w = 3\nnet = drawn(nn.Linear(2, 2))\nif net is None:\n    net = 3",
    ),
    (
        "own-call",
        "class Net(nn.Module):\n    def execute(self, x):\n        return x\nnet = Net()\ny = net(1, 2)",
        "class Net(nn.Module):\n    def execute(self, x, y=2):\n        return x\nnet = Net()\ny = net(1, 2)",
    ),
    (
        "own-call",
        "class Part(nn.Module):\n    def execute(self, x):\n        return x\nclass Net(nn.Module):\n"
        "    def __init__(self):\n        self.part = Part()\n"
        "    def execute(self, x):\n        return self.part(x, mask=x)",
        "class Part(nn.Module):\n    def execute(self, x):\n        return x\nclass Net(nn.Module):\n"
        "    def __init__(self, other):\n        self.part = Part()\n        self.part = other or self.part\n"
        "    def execute(self, x):\n        return self.part(x, mask=x)",
    ),
    (
        "own-call",
        "class A(nn.Module):\n    def __init__(self, n):\n        super().__init__()\nclass B(A):\n"
        "    def __init__(self):\n        super().__init__()",
        "class A(nn.Module):\n    def __init__(self, n):\n        super().__init__()\nclass B(A):\n"
        "    def __init__(self):\n        super().__init__(3)",
    ),
    (
        "never-stored",
        "def found(x):\n    kept = {'a': x}\n    kept['b'] = 2\n    return kept\nout = found(1)\nprint(out['c'])",
        "def found(x):\n    kept = {'a': x}\n    kept['b'] = 2\n    return kept\nout = found(1)\nout['c'] = 1\n"
        "print(out['a'], out['b'], out['c'])\nhanded = found(2)\nfill(handed)\nprint(handed['d'])",
    ),
]


@pytest.mark.parametrize(("entry", "bad", "good"), CASES)
def test_cases(entry, bad, good):
    assert [f.entry for f in lint_text(NUMPY + HEAD + bad)] == [entry]
    assert entry not in {f.entry for f in lint_text(NUMPY + HEAD + good)}


def test_a_function_of_a_module(tmp_path):
    files = {"tools.py": HEAD + "def scaled(x, by):\n    return x * by\n"}
    code = HEAD + "import tools\ny = tools.scaled(3{0})\n"
    assert linted(tmp_path, {**files, "a.py": code.format("")}) == ["a.py:4 own-call"]
    assert not linted(tmp_path, {**files, "a.py": code.format(", 2")})


SET = (
    "from jittor.dataset import Dataset\nclass Pictures(Dataset):\n    def __init__(self):\n"
    "        super().__init__()\n    def __getitem__(self, i):\n        return {'image': i, 'label': 1}\n"
)
LOOP = (
    "def fit(net, optimizer, loader):\n    for batch in loader:\n"
    "        optimizer.step(net(batch['image']) - batch[{0}])\n"
)


def test_keys_of_batches(tmp_path):
    fit = SET.replace("{", "{{").replace("}", "}}")
    fit += "loader = Pictures().set_attrs(shuffle=True)\n" + LOOP
    assert linted(tmp_path, {"a.py": HEAD + fit.format("'mask'")}) == ["a.py:12 never-stored"]
    assert not linted(tmp_path, {"a.py": HEAD + fit.format("'label'")})
    more = {"b.py": HEAD + "def add(batch):\n    batch['mask'] = 3\n"}
    assert not linted(tmp_path, {"a.py": HEAD + fit.format("'mask'"), **more})


@pytest.mark.parametrize(
    ("given", "told"),
    [("batch_size=4", True), ("batch_size=4, shuffle=True", False), ("drop_last=True", False)],
)
def test_an_order_that_never_changes(tmp_path, given, told):
    code = HEAD + SET + f"train_loader = Pictures().set_attrs({given})\n" + LOOP.format("'label'")
    assert linted(tmp_path, {"a.py": code}) == ["a.py:9 never-shuffled"] * told


def test_an_order_of_what_only_infers(tmp_path):
    code = (
        HEAD + SET + "loader = Pictures().set_attrs(batch_size=4)\nfor b in loader:\n    print(b)\n"
    )
    assert not linted(tmp_path, {"a.py": code})


def test_folders_that_nobody_makes(tmp_path):
    code = HEAD + "net = nn.Linear(2, 2)\nfor i in range(3):\n    net.save({0})\n"
    for path in ("f'ckpts/{i}.pkl'", "'ckpts/%d.pkl' % i", "'ckpts/' + str(i)"):
        assert linted(tmp_path, {"a.py": code.format(path)}) == ["a.py:5 folder-missing"]
    assert not linted(tmp_path, {"a.py": code.format("'best.pkl'")})
    assert not linted(tmp_path, {"a.py": code.format("'/data/best.pkl'")})
    made = "import os\nos.makedirs('ckpts')\n"
    assert not linted(tmp_path, {"a.py": made + code.format("'ckpts/a.pkl'")})
    (tmp_path / "ckpts").mkdir()
    assert not linted(tmp_path, {"a.py": code.format("'ckpts/a.pkl'")})


def test_parameters_made_late_are_no_caches():
    code = "class Net(nn.Module):\n    def execute(self, x):\n        self.p = jt.randn(2)\n"
    code += "        {}\n        return x * self.p\n"
    assert not lint_text(HEAD + code.format("jt.init.uniform_(self.p)"))
    assert [f.entry for f in lint_text(HEAD + code.format("x = x + 1"))] == ["cached-attribute"]
