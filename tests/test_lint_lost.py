"""The linter on what a port asks of layers that have it not, on what it makes and nobody takes, on files beside it."""

from __future__ import annotations

import pytest

from parity.atlas.lint.run import lint_text
from tests.linting import HEAD, linted

NUMPY = "import numpy as np\n"
LAYER = (
    "class Net(nn.Module):\n    def __init__(self):\n        self.part = nn.{0}\n        self.kept = 3\n"
    "    def execute(self, x):\n        return self.part.{1}\n"
)
CASES = [
    (
        "name-missing",
        LAYER.format("Conv2d(1, 1, 3)", "padding_mode"),
        LAYER.format("Conv2d(1, 1, 3)", "padding"),
    ),
    (
        "name-missing",
        LAYER.format("Embedding(2, 2)", "bias"),
        LAYER.format("Embedding(2, 2)", "weight"),
    ),
    (
        "name-missing",
        LAYER.format("LSTM(2, 2)", "flatten_parameters()"),
        LAYER.format("LSTM(2, 2)", "hidden_size"),
    ),
    (
        "name-missing",
        "def merged(conv, x):\n    return conv._conv_forward(x, jt.ones(3), None)",
        "def merged(conv, x):\n    return nn.conv2d(x, jt.ones(3), None)",
    ),
    (
        "name-missing",
        "def kept(x):\n    if x.size == 0:\n        return {}\n    return jt.unique(x)",
        "def kept(x):\n    if x.numel() == 0:\n        return {}\n    return jt.unique(x)",
    ),
    (
        "name-missing",
        "def kept(x):\n    x = x[jt.arange(3)]\n    y = jt.zeros(3)\n    return y.size * 2",
        "def kept(x, picture):\n    y = jt.array(picture)\n    return x.size == picture.size, y.size is None",
    ),
    (
        "state-copied",
        "def filled(net, held):\n    for key in net.state_dict():\n        net.state_dict()[key] = held[key]",
        "def filled(net, held):\n    for key in net.state_dict():\n        net.state_dict()[key].assign(held[key])",
    ),
    (
        "state-copied",
        "def mixed(net, other):\n    own = net.state_dict()\n    for key in own.keys():\n"
        "        own[key] = own[key] + other[key]",
        "def mixed(net, other):\n    own = net.state_dict()\n    for key in own.keys():\n"
        "        own[key] = own[key] + other[key]\n    net.load_parameters(own)",
    ),
    (
        "repeat-order",
        "x = np.repeat(np.ones(4), m * n).reshape((m, n, 4))",
        "x = np.repeat(np.ones((1, 4)), n, axis=0).reshape((n, 4))\ny = np.repeat(np.ones(4), n).reshape((4, n))",
    ),
]


@pytest.mark.parametrize(("entry", "bad", "good"), CASES)
def test_cases(entry, bad, good):
    assert [f.entry for f in lint_text(NUMPY + HEAD + bad)] == [entry]
    assert entry not in {f.entry for f in lint_text(NUMPY + HEAD + good)}


def test_attributes_that_the_program_sets():
    text = HEAD + LAYER.format("Conv2d(1, 1, 3)", "padding_mode")
    assert not lint_text(text + "net = Net()\nnet.part.padding_mode = 'zeros'\n")


STORED = "import os\n" + HEAD + "def keep(net, folder, n):\n    jt.save(net.state_dict(), {0})\n"
READ = HEAD + "def found(folder, n):\n    path = {0}\n    return jt.load(path)\n"


@pytest.mark.parametrize(
    ("stored", "read", "told"),
    [
        ("os.path.join(folder, f'task{n}_net.pkl')", "folder + '/task{}_net.pth'.format(n)", True),
        ("f'{folder}/task%d_net.pkl' % n", "'task3_net.pth'", True),
        ("os.path.join(folder, f'task{n}_net.pkl')", "folder + '/task{}_net.pkl'.format(n)", False),
        ("f'{n}.pkl'", "f'{n}.pth'", False),
        ("f'{folder}/net_{n}.pkl'", "'resnet50.pth'", False),
        ("f'{folder}/net_{n}.pkl'", "'net_given.pth'", False),
    ],
)
def test_files_of_another_ending(tmp_path, stored, read, told):
    (tmp_path / "net_given.pth").write_text("")
    found = linted(tmp_path, {"a.py": STORED.format(stored), "b.py": READ.format(read)})
    assert found == ["b.py:5 file-ending"] * told


@pytest.mark.parametrize(
    ("line", "use", "told"),
    [
        ("import torch", "", True),
        ("import torch.nn.functional as F", "", True),
        ("import torch", "y = torch.ones(3)", False),
        ("try:\n    import torch\nexcept ImportError:\n    pass", "", False),
        ("from torch import ones", "__all__ = ['ones']", False),
    ],
)
def test_pytorch_for_nothing(tmp_path, line, use, told):
    text = f"{line}\n{HEAD}{use}\nx = jt.ones(3)\n"
    assert ("a.py:1 torch-unused" in linted(tmp_path, {"a.py": text})) is told


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("b.py", "import torch\nimport jittor as jt\nimport a\ny = torch.ones(3)\n"),
        ("plain.py", "import torch\ny = torch.ones(3)\n"),
    ],
)
def test_pytorch_that_the_rest_needs(tmp_path, name, text):
    files = {"a.py": f"import torch\n{HEAD}import plain\nx = jt.ones(3)\n", name: text}
    assert not any("torch-unused" in f for f in linted(tmp_path, files))


PLAIN = "def cut(path, size):\n    return path[:size]\ndef all_cut(paths):\n    return [cut(p) for p in paths]\n"


def test_files_of_no_framework(tmp_path):
    """They belong to the program: what Python refuses in them is told; not where they speak another one's language."""
    port = {"port.py": HEAD + "x = jt.ones(3)\n"}
    assert linted(tmp_path, {**port, "cut.py": PLAIN}) == ["cut.py:4 own-call"]
    assert not linted(tmp_path, {"cut.py": "import tensorflow\n" + PLAIN})
    assert not linted(tmp_path, {"cut.py": "print 'Python 2'\n"})
    assert not linted(tmp_path, {"port.py": "x = 3\n", "cut.py": PLAIN})


LATE = "import importlib\ndef made(name):\n    return importlib.import_module(name)\n"


def test_modules_that_import_others(tmp_path):
    user = HEAD + "import util.util as util\nutil.save_network(1)\nutil.made('a')\n"
    found = linted(tmp_path, {"util/util.py": LATE, "util/__init__.py": "", "a.py": user})
    assert found == ["a.py:4 own-name"]


TENSOR = (
    "class Loss:\n    def label(self, x):\n        self.real = self.made(1)\n        self.real.{0}\n"
    "        return jt.ones(3) + self.real.{1}(x)\n"
)


@pytest.mark.parametrize(
    ("asked", "other", "told"),
    [
        ("requires_grad_(False)", "expand_as", True),
        ("requires_grad_(False)", "named", False),
        ("device", "expand_as", True),
    ],
)
def test_what_is_asked_as_arrays_are(asked, other, told):
    found = [f.entry for f in lint_text(HEAD + TENSOR.format(asked, other))]
    assert found == ["name-missing"] * told


@pytest.mark.parametrize(
    ("head", "told"), [("", True), ("import torch\n", False), ("from torch import ones\n", False)]
)
def test_pictures_for_torchvision(head, told):
    text = f"{head}import torchvision\n{HEAD}def shown(x):\n    return torchvision.utils.make_grid(x, nrow=jt.rank)\n"
    assert ("own-call" in {f.entry for f in lint_text(text)}) is told


FOLDER = (
    "import os\n"
    + HEAD
    + "def keep(x, log):\n    jt.save(x, os.path.join(log, 'ckpts', 'a.pkl'))\n"
)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("os.makedirs('logs')", True),
        ("os.makedirs(os.path.join('logs', 'ckpts'))", False),
        ("path = 'logs/ckpts/a.pkl'", True),
    ],
)
def test_folders_within_folders(tmp_path, line, told):
    assert linted(tmp_path, {"a.py": FOLDER + line}) == ["a.py:5 folder-missing"] * told


KEPT = "import os\nimport jittor\nimport numpy as np\ndef keep(x):\n    np.save('mat/a.npy', x)\n"


@pytest.mark.parametrize(
    ("line", "told"), [("os.makedirs('logs')", True), ("os.makedirs('mat')", False)]
)
def test_folders_of_arrays(tmp_path, line, told):
    assert linted(tmp_path, {"a.py": KEPT + line}) == ["a.py:5 folder-missing"] * told


COUNTED = (
    "from jittor.dataset import Dataset\nclass Pictures(Dataset):\n    def __init__(self):\n"
    "        super().__init__()\n{0}\n"
    "def steps(train_loader, opt):\n    return len(train_loader) // opt.batch_size\n"
)


@pytest.mark.parametrize(
    ("method", "told"), [("", True), ("    def __len__(self):\n        return 9\n", False)]
)
def test_batches_divided_by_their_size(method, told):
    found = {f.entry for f in lint_text(COUNTED.format(method))}
    assert ("dataset-length" in found) is told


ONCE = (
    "from jittor import transform\nfrom jittor.dataset import Dataset\nclass Pictures(Dataset):\n"
    "    def __init__(self, dataset):\n        super().__init__()\n        self.dataset, self.steps = dataset, "
    "transform.{0}(3)\n        kept = []\n        for i in range(9):\n            kept.append({1})\n"
    "        self.kept = kept\n    def __getitem__(self, index):\n        return self.kept[index]\n"
)


@pytest.mark.parametrize(
    ("step", "taken", "told"),
    [
        ("RandomCrop", "dataset[i]", True),
        ("RandomCrop", "self.transform(dataset.read(i))", True),
        ("RandomCrop", "dataset.read(i)", False),
        ("CenterCrop", "dataset[i]", False),
    ],
)
def test_crops_that_are_drawn_once(step, taken, told):
    assert ("augmented-once" in {f.entry for f in lint_text(ONCE.format(step, taken))}) is told


BACK = (
    "def check(net, x):\n    before = net.is_training()\n    net.eval()\n    y = net(x)\n    if before and x:\n"
    "        net.train()\n    return y\n"
    "class Net(nn.Module):\n    def __init__(self):\n        self.drop = nn.Dropout(0.5)\n"
    "def fit(net, optimizer, loader):\n{0}    for x in loader:\n        optimizer.step(net(x))\n"
)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("", True),
        ("    net.train()\n", False),
        ("    net.train(mode)\n", False),
        ("    trainer.train(loader)\n", True),
    ],
)
def test_train_that_only_puts_back(line, told):
    assert ("dropout-fresh" in {f.entry for f in lint_text(HEAD + BACK.format(line))}) is told


@pytest.mark.parametrize(
    ("entry", "bad", "good"),
    [
        (
            "option-overwritten",
            "loader = jt.dataset.DataLoader(data, batch_size=opt.valid).set_attrs(batch_size=opt.train)",
            "loader = jt.dataset.DataLoader(data, batch_size=opt.valid).set_attrs(batch_size=opt.valid, shuffle=True)",
        ),
        (
            "optimizer-state",
            "optimizer.param_groups[0]['params'] = net.parameters()",
            "optimizer.add_param_group({'params': net.parameters()})\nn = optimizer.param_groups[0]['params']",
        ),
    ],
)
def test_what_is_replaced(entry, bad, good):
    assert [f.entry for f in lint_text(HEAD + bad)] == [entry]
    assert entry not in {f.entry for f in lint_text(HEAD + good)}
