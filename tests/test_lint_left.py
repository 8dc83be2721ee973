"""The linter on what a port never trains, takes by the wrong index, or leaves out: wrong in any framework."""

from __future__ import annotations

import pytest

from parity.atlas.lint.run import lint_text
from tests.linting import HEAD, linted

NUMPY = "import numpy as np\n"
NET = "class Net(nn.Module):\n    def __init__(self):\n        self.conv = nn.Conv2d(1, 1, 1)\n"
CUT = NET + "    def execute(self, x, mask=None):\n        y = self.conv(x)\n{0}        return y\n"
LISTED = (
    "class Net(nn.Module):\n    def __init__(self, n):\n{0}\n    def execute(self, x):\n"
    "        for held in self.held:\n            x = held(x)\n        return x\n"
)
EVALUATED = (
    "def check(net, loader):\n    net.eval()\n    total, n = 0.0, 0\n    for x, y in loader:\n"
    "        loss = nn.cross_entropy_loss(net(x), y)\n        total += loss{0}\n    return total\n"
)
CASES = [
    (
        "gradient-through-numpy",
        CUT.format("        s = np.std(y.data, axis=0)\n        y = y + jt.array(s.mean())\n"),
        CUT.format("        s = y.data.shape\n        y = y + jt.array(np.ones(s))\n"),
    ),
    (
        "gradient-through-numpy",
        CUT.format("        y = jt.array(np.where(mask, np.zeros_like(y), np.array(y)))\n"),
        CUT.format("        i = jt.array(np.argsort(y.numpy()))\n        y = y[i]\n"),
    ),
    (
        "gradient-through-numpy",
        CUT.format("        y = jt.array(np.tanh(y.numpy()))\n"),
        CUT.format("        y = y * jt.array(y.data) + jt.array(np.tanh(mask))\n")
        + "def shown(net, x):\n    return jt.array(np.tanh(net(x).numpy()))\n",
    ),
    (
        "gradient-through-numpy",
        CUT.format("        y = jt.array(np.tanh(y.numpy()))\n"),
        CUT.format("        with jt.no_grad():\n            y = jt.array(np.tanh(y.numpy()))\n"),
    ),
    (
        "parameters-in-list",
        LISTED.format("        self.held = [nn.Linear(n, n) for _ in range(n)]"),
        LISTED.format("        self.held = [nn.ReLU() for _ in range(n)]"),
    ),
    (
        "parameters-in-list",
        LISTED.format(
            "        self.held = []\n        for i in range(n):\n            self.held.append(nn.Linear(n, n))"
        ),
        LISTED.format(
            "        self.held = [nn.Linear(n, n)]\n        self.all = nn.Sequential(*self.held)"
        ),
    ),
    (
        "parameters-in-list",
        LISTED.format("        self.prompts = [jt.randn(1, n) for _ in range(n)]"),
        LISTED.format("        self.anchors = [jt.array([i, n]) for i in range(n)]"),
    ),
    (
        "parameters-in-list",
        LISTED.format("        self.prompts = [nn.Parameter(jt.zeros(n))]"),
        LISTED.format(
            "        self.prompts = [nn.Parameter(jt.zeros(n))]\n        setattr(self, 'p0', self.prompts[0])"
        ),
    ),
    (
        "argsort-ascending",
        "def beam(probs, k):\n    order, p = jt.argsort(probs)\n    return order[:k], p[:k]",
        "def beam(probs, k):\n    order, p = jt.argsort(-probs)\n    return order[:k], p[:k]",
    ),
    (
        "argsort-ascending",
        "def beam(probs, k):\n    order, p = jt.argsort(probs)\n    return order[:k], p[:k]",
        "def beam(probs, k):\n    order, _ = jt.argsort(probs, descending=True)\n    last, _ = jt.argsort(probs)\n"
        "    return order[:k], last[-k:]\ndef near(dist, k):\n    order, _ = jt.argsort(dist)\n    return order[:k]",
    ),
    (
        "argsort-ascending",
        "def beam(probs, k):\n    order, p = jt.argsort(probs)\n    return order[:k], p[:k]",
        "def beam(probs, k):\n    order, p = jt.argsort(probs)\n    order = order[::-1]\n    return order[:k]",
    ),
    (
        "loss-kept",
        EVALUATED.format(""),
        EVALUATED.format(".item()"),
    ),
    (
        "loss-kept",
        EVALUATED.format(" * 2"),
        "@jt.no_grad()\n"
        + EVALUATED.format("")
        + "def fit(net, loader, optimizer):\n    total = 0.0\n"
        "    for x, y in loader:\n        loss = net(x) - y\n        optimizer.step(loss)\n        total += loss\n"
        "def loss(net, data, optimizer):\n    total = 0\n    for x in data:\n        loss_x = net(x)\n"
        "        total += loss_x\n    optimizer.step(total)",
    ),
    (
        "aliased-state",
        "def f(h, c, i):\n    out, state = h, (h, c)\n    out[i] = 0\n    state[0][i] = 1\n    return out, state",
        "def f(h, c, i):\n    out, state = h, (h + 0, c)\n    out[i] = 0\n    state[0][i] = 1\n    return out, state",
    ),
    (
        "index-too-many",
        "x = jt.zeros((2, 3))\ny = x[:, 0, :]",
        "x = jt.zeros((2, 3))\ny = x[None, :, 0]\nz = x[:, 0], x[..., 0, 1]\nw = jt.concat([x, x], 1)[:, 0, :]",
    ),
    (
        "resize-short-side",
        "from jittor import transform as T\nt = T.Compose([T.Resize(size=256, mode=mode), T.CenterCrop(224)])",
        "from jittor import transform as T\nt = T.Compose([T.Resize(size=pair, mode=mode), T.CenterCrop(224)])",
    ),
    (
        "result-unused",
        "for p, e in zip(net.parameters(), moved):\n    p = p - e",
        "for p, e in zip(net.parameters(), moved):\n    p = p - e\n    p.sync()\nfor p in params:\n    p = str(p)",
    ),
    (
        "own-call",
        "from jittor import transform as T\nsteps = T.Compose([])\nsteps.insert(0, T.Resize(3))",
        "from jittor import transform as T\nsteps = []\nsteps.insert(0, T.Resize(3))\nsteps = T.Compose(steps)",
    ),
    ("own-call", "kept = nn.Module.load('a.pkl')", "net = nn.Linear(2, 2)\nnet.load('a.pkl')"),
    (
        "lazy-time",
        "import time\ndef speed(net, x):\n    start = time.time()\n    with jt.no_grad():\n        y = net(x)\n"
        "    end = time.time()\n    y.sync()\n    return end - start",
        "import time\ndef speed(net, x):\n    start = time.time()\n    with jt.no_grad():\n        y = net(x)\n"
        "    y.sync()\n    end = time.time()\n    return end - start",
    ),
    (
        "stop-grad-in-place",
        "def steps(net, x):\n    y = net(x)\n    z = y.stop_grad()\n    return z, y * 2",
        "@jt.no_grad()\ndef steps(net, x):\n    y = net(x)\n    z = y.stop_grad()\n    return z, y * 2\n"
        "def fit(net, loader):\n    for x, y in loader:\n        x = x.stop_grad().float32()\n        net(x - y)",
    ),
]


@pytest.mark.parametrize(("entry", "bad", "good"), CASES)
def test_cases(entry, bad, good):
    assert [f.entry for f in lint_text(NUMPY + HEAD + bad)] == [entry]
    assert entry not in {f.entry for f in lint_text(NUMPY + HEAD + good)}


SCRIPT = (
    HEAD + "from net import Net\nfrom data import Pictures\nnet = Net()\nnet.eval()\n"
    "for x in Pictures().set_attrs(batch_size=2):\n    print(net(x))\n"
)
FILES = {
    "net.py": HEAD + NET + "    def execute(self, x):\n        return self.conv(x)\n",
    "data.py": "import numpy as np\nfrom jittor.dataset import Dataset\nclass Pictures(Dataset):\n"
    "    def __init__(self):\n        super().__init__()\n        self.x = np.loadtxt('a.txt')\n",
}


@pytest.mark.parametrize(
    ("name", "more", "told"),
    [
        ("predict.py", "", ["predict.py:5 never-loaded"]),
        ("test_net.py", "", ["test_net.py:5 never-loaded"]),
        ("predict.py", "net.load('net.pkl')\n", []),
        ("predict.py", "optim = jt.optim.SGD(net.parameters(), 0.1)\n", []),
        ("train.py", "", []),
    ],
)
def test_weights_that_nobody_loads(tmp_path, name, more, told):
    assert linted(tmp_path, {**FILES, name: SCRIPT + more}) == told


LEARNER = HEAD + (
    "class Learner:\n    def learn(self, batches):\n{0}        for x in batches:\n"
    "            self.optimizer.step(self.model(x).mean())\n        self.model.eval()\n"
)
RUN = (
    HEAD
    + "from learner import Learner\nlearner = Learner()\nfor task in tasks(9):\n    learner.learn(task)\n"
)


@pytest.mark.parametrize(
    ("before", "run", "told"),
    [
        ("", RUN, True),
        ("        self.model.train()\n", RUN, False),
        ("", RUN.replace("for task in tasks(9):", "if tasks(9):").replace("(task)", "(3)"), False),
        ("", RUN + "learner.model.train()\n", False),
    ],
)
def test_eval_in_one_file_without_train_in_another(tmp_path, before, run, told):
    found = linted(tmp_path, {"learner.py": LEARNER.format(before), "run.py": run})
    assert any("eval-stops-gradients" in f for f in found) is told


SAVED = HEAD + (
    "def save(net, epoch):\n    kept = {{'net': net.state_dict(), 'epoch': epoch}}\n    jt.save(kept, 'a.pkl')\n"
    "def resume(net):\n    held = jt.load('a.pkl')\n    net.load_state_dict(held['net'])\n    k = {1}\n"
    "    return held[{0}]\n"
)


@pytest.mark.parametrize(
    ("key", "made", "told"),
    [
        ("'epoch'", "3", False),
        ("'step'", "3", True),
        ("k", "3", False),
        ("k", "'ema' if net else 'net'", True),
        ("k", "'net' if net else 'epoch'", False),
    ],
)
def test_keys_of_what_was_saved(tmp_path, key, made, told):
    found = linted(tmp_path, {"a.py": SAVED.format(key, made)})
    assert any(f == "a.py:10 own-name" for f in found) is told


@pytest.mark.parametrize(
    ("init", "used", "told"),
    [
        ("        self.n = 3\n", "data = Part()\n", True),
        ("        super().__init__()\n        self.n = 3\n", "data = Part()\n", False),
        ("        self.n = 3\n", "", False),
    ],
)
def test_data_sets_without_super(tmp_path, init, used, told):
    text = f"from jittor.dataset import Dataset\nclass Part(Dataset):\n    def __init__(self):\n{init}{used}"
    assert any("own-call" in f for f in linted(tmp_path, {"a.py": text})) is told


@pytest.mark.parametrize(("text", "told"), [("vars(args)", True), ("vars()", False)])
def test_names_that_vars_may_bind(tmp_path, text, told):
    found = linted(tmp_path, {"a.py": HEAD + f"def shown(args):\n    return torch.cat({text})\n"})
    assert any("own-name" in f for f in found) is told


STEP = (
    "class Net(nn.Module):\n    {0}\n    def step(self, x, beta):\n        return x\n"
    "    def run(self, x):\n        return self.step(x)\n"
)
READ = "def moved(x):\n    {0}\n    offset = jt.array(offset)\n    return x + offset\n"


@pytest.mark.parametrize(
    ("entry", "text", "told"),
    [
        ("own-call", STEP.format("@jt.no_grad()"), True),
        ("own-call", STEP.format("@other"), False),
        ("own-name", READ.format("y = x"), True),
        ("own-name", READ.format("for offset in x: pass"), False),
        ("own-name", READ.format("global offset"), False),
        ("own-name", READ.format("import offset.of"), False),
        ("own-name", READ.replace("(offset)", "([offset for offset in x])").format("y = x"), False),
        ("own-call", "def keep(rep, path):\n    jt.save(path, rep)\n", True),
        ("own-call", "def keep(rep, path):\n    jt.save(rep, path)\n", False),
        ("own-call", "def keep(path, other_path):\n    jt.save(path, other_path)\n", False),
        ("function-as-layer", "made = [lambda x: nn.Tanh(x)]\n", True),
        ("function-as-layer", "made = [lambda slope: nn.LeakyReLU(slope)]\n", False),
    ],
)
def test_calls_and_names_of_round_21(tmp_path, entry, text, told):
    assert any(entry in f for f in linted(tmp_path, {"a.py": HEAD + text})) is told


LEARNS = (
    "class Run:\n    def learn(self, loss):\n        self.opt.step(loss)\n        {0}\n"
    "    def keep(self):\n        jt.save({{}}, 'a')\n"
)
WARM = "class Warm:\n    def step(self):\n        self.optimizer.lr = 0.1\n"
RATES = (
    "class Slow(nn.LRScheduler):\n    def get_lr(self):\n"
    "        return [o['lr'] for o in self.optimizer.param_groups]\n"
)
BOXES = (
    "def found(many):\n    kept = jt.array([])\n    for x in many:\n"
    "        kept = jt.concat((kept, x))\n{0}    return {1}\n"
)
DEVICE = (
    "class Moved(nn.Module):\n    def __init__(self):\n        self.std = jt.array([0.1, 0.2])\n"
    "    def execute(self, x):\n        return x * self.std\n"
)
USER = (
    "class Found(nn.Module):\n    def __init__(self):\n        self.moved = Moved()\n"
    "    def execute(self, x):\n        return self.moved(x)\n"
)
RUNS = "def check(x):\n    found = Found()\n    {0}:\n        return found(x)\n"
TRIED = (
    "def resume(path):\n    jt.save({{'net': 1}}, path)\n    held = jt.load(path)\n    try:\n"
    "        return held['net']\n    {0}:\n        return held['model']\n"
)


@pytest.mark.parametrize(
    ("entry", "text", "told"),
    [
        ("optimizer-lr-attribute", WARM + RATES, True),
        ("optimizer-lr-attribute", WARM, False),
        ("group-lr-missing", RATES, False),
        ("group-lr-missing", RATES.replace("nn.LRScheduler", "Other"), True),
        ("concat-empty", BOXES.format("", "kept[:, 4]"), True),
        ("concat-empty", BOXES.format("", "jt.concat([kept, many], dim=1)"), True),
        ("concat-empty", BOXES.format("", "kept"), False),
        ("concat-empty", BOXES.format("    kept = kept.unsqueeze(1)\n", "kept[:, 0]"), False),
        ("plain-attribute", DEVICE + USER + RUNS.format("with jt.no_grad()"), False),
        ("plain-attribute", DEVICE + USER + RUNS.format("if x"), True),
        ("own-name", TRIED.format("finally"), True),
        ("own-name", TRIED.format("except KeyError"), False),
    ],
)
def test_what_round_22_had_wrong(tmp_path, entry, text, told):
    assert any(entry in f for f in linted(tmp_path, {"a.py": HEAD + text})) is told


@pytest.mark.parametrize(
    ("step", "script", "told"),
    [
        ("pass", "test_run.py", True),
        ("self.keep()", "test_run.py", False),
        ("pass", "more.py", False),
    ],
)
def test_weights_that_nobody_saves(tmp_path, step, script, told):
    files = {"a.py": HEAD + LEARNS.format(step), script: HEAD + "held = jt.load('a')\n"}
    assert any("never-saved" in f for f in linted(tmp_path, files)) is told
