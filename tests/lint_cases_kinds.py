"""Kinds that rounds 14 to 16 of tests/lint_judged.json had wrong: entry, code that has it, code that has it not."""

from __future__ import annotations

BOXES = (
    "class Boxes(nn.Module):\n    def __init__(self):\n        self.std = jt.array([0.1, 0.2])\n"
    "    def execute(self, x):\n        return x * self.std\n"
    "class Net(nn.Module):\n    def __init__(self):\n        self.boxes = Boxes()\n"
    "    def execute(self, x):\n        {0}\n"
)
CASES = [
    (
        "batch-norm-parameters",
        "net = nn.Sequential(nn.BatchNorm2d(3))\nfor p in net.parameters():\n    jt.init.gauss_(p, 0, 0.02)",
        "net = nn.Sequential(nn.BatchNorm2d(3))\nfor p in net.parameters():\n    if p.ndim > 1:\n"
        "        jt.init.gauss_(p, 0, 0.02)",
    ),
    (
        "max-pool-whole",
        "y = nn.avg_pool2d(x, x.shape[2:])\nz = nn.pool(x, x.size(2), 'maximum', 0)",
        "y = nn.avg_pool2d(x, 2)\nz = nn.avg_pool2d(x, w.shape[2:])\nv = nn.pool(x, x.shape[2], padding=1)",
    ),
    (
        "bool-invert",
        "def outside(object_mask, x):\n    y = jt.zeros(3)\n    return y[~object_mask & ~(x < y)]",
        "def outside(object_mask, x):\n    x = np.array(x)\n    return x[~object_mask], ~3",
    ),
    (
        "argmax-pair",
        "def classes(scores):\n    _, found = jt.argmax(scores, 1)\n    return found, scores",
        "def best(scores):\n    _, ga = jt.argmax(scores, 1)\n    return ga - 1\n"
        "def guess(logits):\n    return logits.data.argmax(1).transpose(1, 0)",
    ),
    (
        "plain-attribute",
        "class Loss(nn.Module):\n    def __init__(self):\n        self.mean = jt.array([0.5, 0.4])",
        "class Loss(nn.Module):\n    def __init__(self):\n        self.mean = jt.array([0.5, 0.4])\n"
        "        for p in self.parameters():\n            p.stop_grad()",
    ),
    (
        "stop-grad-in-place",
        "for p, q in zip(net.parameters(), ema.parameters()):\n    q = q * 0.9 + p.stop_grad() * 0.1\n    q.sync()",
        "for p in net.parameters():\n    p = p.stop_grad()\n    p.start_grad() if p.ndim > 1 else p.stop_grad()\n"
        "def drawn(size, fixed):\n    x = jt.randn(size)\n    if fixed:\n        return x.stop_grad()\n    return x",
    ),
    (
        "update-under-no-grad",
        "o = optim.Adam(net.parameters(), lr=1)\ndef halved(w):\n    with jt.no_grad():\n        w.assign(w / 2)",
        "def halved(w):\n    with jt.no_grad():\n        w.assign(w.float16())",
    ),
    (
        "function-gradients",
        "class Twice(jt.Function):\n    def execute(self, x):\n        return x\n"
        "    def grad(self, g):\n        return g, g\ny = Twice()(x)",
        "def a():\n    class Twice(jt.Function):\n        def execute(self, x):\n            return x\n"
        "        def grad(self, g):\n            return g\n    return Twice()(x)\n"
        "def b():\n    class Twice(jt.Function):\n        def execute(self, x, y):\n            return x\n"
        "        def grad(self, g):\n            return g, g\n    return Twice()(x, y)",
    ),
    (
        "argmax-pair",
        "p = jt.argmax(x, dim=1)\np = p if isinstance(p, jt.Var) else jt.array(p)\nn = (p == y).sum()",
        "p = jt.argmax(x, dim=1)\np = p if isinstance(p, jt.Var) else p[0]\nn = (p == y).sum()",
    ),
    (
        "resize-short-side",
        "from jittor import transform as T\ndef steps(n):\n    t, size = [], int(n / 0.875)\n"
        "    t.append(T.Resize(size))\n    t.append(T.CenterCrop(n))\n    return t",
        "from jittor import transform as T\ndef steps(n):\n    t, size = [], int(n / 0.875)\n"
        "    t.append(T.Resize((size, size)))\n    t.append(T.CenterCrop(n))\n    return t",
    ),
    (
        "cached-attribute",
        "class Net(nn.Module):\n    def __init__(self):\n        self.emb = nn.Embedding(9, 3)\n"
        "    def pair(self, x):\n        return jt.abs(x), jt.exp(x)\n"
        "    def execute(self, x):\n        y = self.emb(x)\n        self.kept = y\n"
        "        self.a, self.b = self.pair(y)",
        "class Net(nn.Module):\n    def __init__(self):\n        self.lstm = nn.LSTM(9, 3)\n"
        "    def sizes(self, x):\n        return x.shape[0], len(x)\n"
        "    def execute(self, x):\n        y = self.lstm(x)\n        self.n, self.m = self.sizes(x)\n        return y",
    ),
    (
        "forward-name",
        "class Prompt(nn.Module):\n    def forward(self, x):\n        return x",
        "class DeepPrompt(nn.Module):\n    def forward(self, x):\n        return x\n"
        "def run(prompt, x):\n    return prompt.forward(x)",
    ),
    ("matrix-T", "y = nn.Linear(2, 2)(x)\nz = y.T", "y = nn.Identity()(x)\nz = y.T"),
    (
        "plain-attribute",
        "class Net(nn.Module):\n    def __init__(self, n):\n        self.eos = jt.zeros(n)\n        self.eos[0] = 1.0",
        "class Net(nn.Module):\n    def __init__(self, n):\n        self.eos = jt.zeros(n)\n"
        "        self.bias = jt.zeros(n)\n        self.bias[0] = 1.0",
    ),
    (
        "slice-of-sequential",
        "class Net(nn.Module):\n    def __init__(self):\n        self.m = nn.Sequential(nn.ReLU(), nn.ReLU())\n"
        "    def execute(self, x):\n        return self.m[0:1](x)",
        "class Net(nn.Module):\n    def __init__(self):\n        self.m = nn.Sequential(nn.ReLU(), nn.ReLU())\n"
        "    def execute(self, x):\n        return nn.Sequential(*self.m[0:1])(self.m[-1](x))",
    ),
    (
        "train-false",
        "def check(net):\n    net.train(False)",
        "class Net(nn.Module):\n    def eval(self):\n        return self.train(False)\n"
        "    def train(self, mode=True):\n        self.mode = mode",
    ),
    (
        "name-missing",
        "for m in net.modules():\n    if isinstance(m, nn.Conv2d):\n        m.weight.init_gauss(0, 1)",
        "for m in net.modules():\n    if isinstance(m, nn.Conv2d):\n        m.weight.gauss_(0, 1)",
    ),
    (
        "plain-attribute",
        "class Anchors(nn.Module):\n    def __init__(self):\n        self.ratios = jt.array([0.5, 1.0])\n"
        "    def execute(self, x):\n        return x * self.ratios",
        "class Anchors(nn.Module):\n    def __init__(self):\n        self.ratios = jt.array([0.5, 1.0])\n"
        "    def execute(self, x):\n        return (x * self.ratios).stop_grad()",
    ),
    (
        "plain-attribute",
        BOXES.format("if self.is_training():\n            return self.boxes(x)"),
        BOXES.format(
            "if self.is_training():\n            return x\n        else:\n            return self.boxes(x)"
        ),
    ),
    (
        "keyword-unknown",
        "a, b = nn.ReLU(True), nn.Sequential(nn.LeakyReLU(0.2, True))",
        "a, b, c = nn.ReLU(), nn.LeakyReLU(0.2), nn.ReLU(*given)",
    ),
    (
        "index-range",
        "x = jt.ones((2, 3))\ny = x[:, range(2)]",
        "x = jt.ones((2, 3))\ny = x[:, list(range(2))]",
    ),
    (
        "mean-of-mask",
        "x = jt.ones(3)\ny = (x == 1).mean()",
        "x = jt.ones(3)\ny = (x == 1).float().mean()",
    ),
    (
        "scatter-number",
        "x = jt.ones((2, 3))\nx.scatter_(1, jt.array([[0], [1]]), 1.0)",
        "x = jt.ones((2, 3))\nx.scatter_(1, jt.array([[0], [1]]), jt.ones((2, 1)))",
    ),
    (
        "clip-returns-norm",
        "o = jt.optim.SGD([], lr=1)\nnorm = o.clip_grad_norm(1.0)\nprint(norm)",
        "o = jt.optim.SGD([], lr=1)\no.clip_grad_norm(1.0)",
    ),
]
