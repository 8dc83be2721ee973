"""More of lint_cases.py: around an optimiser's step, what freezes, functions of one's own, data sets."""

from __future__ import annotations

FUNCTION = (
    "class Scaled(jt.Function):\n    def execute(self, x, s):\n        self.saved_tensors = {0}\n"
    "        return x * s\n    def grad(self, g):\n        x = self.saved_tensors{1}\n        return {2}\n"
)
SET = (
    "from jittor.dataset import Dataset\nclass Pictures(Dataset):\n    def __init__(self, pairs):\n"
    "        super().__init__()\n        self.pairs = pairs\n        self.{0} = True\n"
    "    def __getitem__(self, i):\n        path, label = self.pairs[i]\n"
    "        return path if self.{0} else label, {1}\n"
)
COUNTED = (
    "def test(net, pairs):\n    for x, y in Pictures(pairs).set_attrs(batch_size=4):\n"
    "        print((net(x).argmax(1)[0] == y).sum())\n"
)
DROPPING = (
    "class Net(nn.Module):\n    def __init__(self, p={0}):\n        self.drop = nn.Dropout(p)\n"
    "    def execute(self, x):\n        return self.drop(x)\n"
    "def fit(optimizer, batches):\n    net = Net()\n{1}    for x in batches:\n"
    "        optimizer.step(net(x).mean())"
)
SHARPNESS = (
    "class Sharpness:\n    def up(self, loss):\n        self.opt.backward(loss)\n"
    "        for w, e in self.moves():\n            w.assign(w + e)\n{0}"
    "    def down(self, loss):\n{1}        self.opt.backward(loss)\n        self.opt.step()"
)
CASES = [
    ("dropout-fresh", DROPPING.format(0.1, ""), DROPPING.format(0.1, "    net.train()\n")),
    ("dropout-fresh", DROPPING.format(0.1, ""), DROPPING.format(0.0, "")),
    (
        "backward-method",
        "class Trainer:\n    def __init__(self, net):\n        self.opt_g = optim.Adam(net.parameters(), 0.1)\n"
        "    def fit(self, x):\n        self.opt_g.zero_grad()",
        "class Trainer:\n    def __init__(self, net):\n        self.opt_g = optim.Adam(net.parameters(), 0.1)\n"
        "    def fit(self, loss):\n        self.opt_g.step(loss)\nopt = optim.SGD(net.parameters(), 0.1)\nrun(opt)",
    ),
    (
        "update-under-no-grad",
        "o = optim.SGD(net.parameters(), lr=1)\n"
        "def scaled_(w, s):\n    with jt.no_grad():\n        w.assign(w * s)\n        w.assign(w + 1)",
        "def averaged(ema, w):\n    with jt.no_grad():\n        ema.assign(ema * 0.9 + w * 0.1)\n"
        "def scaled_(w, s):\n    with jt.no_grad():\n        w.assign(w * s)\n    w.start_grad()",
    ),
    (
        "init-under-no-grad",
        "@jt.no_grad()\ndef fresh(layer):\n    jt.init.gauss_(layer.weight, 0, 0.02)",
        "def fresh(layer):\n    jt.init.gauss_(layer.weight, 0, 0.02)\n    with jt.no_grad():\n        layer(3)",
    ),
    (
        "assign-stopped",
        "def back(w):\n    old = w.clone().stop_grad()\n    w.assign(old)",
        "def back(w):\n    old = w.clone().stop_grad()\n    w.assign(old)\n    w.start_grad()\n"
        "def up(w, e):\n    w.assign(w.detach() + e)",
    ),
    (
        "assign-stopped",
        "class Kept:\n    def keep(self, w):\n        self.old[id(w)] = w.clone().stop_grad()\n"
        "    def put(self, w):\n        w.assign(self.old[id(w)])",
        "class Kept:\n    def keep(self, w):\n        self.old[id(w)] = w.detach().clone()\n"
        "    def put(self, w):\n        w.assign(self.old[id(w)])",
    ),
    (
        "accumulation",
        SHARPNESS.format("", ""),
        SHARPNESS.format("", "        self.opt.zero_grad()\n"),
    ),
    (
        "accumulation",
        SHARPNESS.format("", ""),
        SHARPNESS.format("        self.opt.zero_grad()\n", ""),
    ),
    (
        "clip-after-step",
        "def fit(opt, loss):\n    opt.step(loss)\n    opt.clip_grad_norm(1.0)",
        "def fit(opt, loss):\n    opt.backward(loss)\n    opt.clip_grad_norm(1.0)\n    opt.step()",
    ),
    (
        "clip-after-step",
        "def fit(opt, loss):\n    opt.zero_grad()\n    opt.clip_grad_norm(1.0)\n    opt.step(loss)",
        "def fit(opt):\n    opt.clip_grad_norm(1.0)\n    opt.step()",
    ),
    (
        "clip-after-step",
        "def fit(opt, loss):\n    opt.step(loss=loss)\n    opt.clip_grad_norm(1.0)",
        "def fit(opt):\n    opt.step(loss=0.0)\n    opt.clip_grad_norm(1.0)",
    ),
    (
        "adamw-default-decay",
        "def made(params, wrapper):\n    kind = optim.AdamW\n    return wrapper(params, kind, lr=0.1)",
        "def made(params, wrapper):\n    kind = optim.AdamW\n    return wrapper(params, kind, lr=0.1, weight_decay=0)",
    ),
    (
        "optimizer-state",
        "r = optimizer.state_dict()['param_groups']",
        "r = optimizer.state_dict()['defaults']",
    ),
    (
        "save-parameters",
        "jt.save({'net': net.parameters()}, 'net.pkl')",
        "jt.save({'net': net.state_dict()}, 'net.pkl')\nn = len(net.parameters())",
    ),
    (
        "function-saved",
        FUNCTION.format("x", "[0]", "g * x, None"),
        FUNCTION.format("x, s", "[0]", "g * x, None") + FUNCTION.format("x", "", "g * x, None"),
    ),
    (
        "function-reused",
        FUNCTION.format("x", "", "g * x, None")
        + "def both(a, b):\n    f = Scaled()\n    return f(a, 2) + f(b, 3)",
        FUNCTION.format("x", "", "g * x, None")
        + "def both(a, b):\n    return Scaled()(a, 2) + Scaled()(b, 3)",
    ),
    (
        "function-reused",
        FUNCTION.format("x", "", "g * x, None")
        + "class Loss(nn.Module):\n    def __init__(self):\n"
        "        self.f = Scaled()\n    def execute(self, xs):\n        return sum(self.f(x, 2) for x in xs)",
        FUNCTION.format("x", "", "g * x, None")
        + "class Loss(nn.Module):\n    def __init__(self):\n"
        "        self.f = Scaled()\n    def execute(self, x):\n        return self.f(x, 2)",
    ),
    (
        "function-gradients",
        FUNCTION.format("x", "", "g * x, None, None") + "y = Scaled()(a, 2)",
        FUNCTION.format("x", "", "g * x, None") + "y = Scaled()(a, 2) + Scaled.apply(*given)",
    ),
    (
        "function-as-layer",
        "a, b = nn.relu(0), nn.leaky_relu(scale=0.2)",
        "a, b = nn.ReLU(), nn.relu(x)\nc = nn.LeakyReLU(0.2)",
    ),
    ("init-of-data", "jt.init.gauss_(m.weight.data, 0, 1)", "jt.init.gauss_(m.weight, 0, 1)"),
    ("init-of-data", "w = nn.init.xavier_gauss_([3, 3])", "w = nn.init.xavier_gauss([3, 3])"),
    ("init-of-data", "m.bias.data.zero_()", "m.bias.zero_()\nn = m.bias.data.copy()"),
    ("dataset-attribute", SET.format("shuffle", "label"), SET.format("shuffled", "label")),
    (
        "item-of-one",
        SET.format("shuffled", "jt.int32(label)") + COUNTED,
        SET.format("shuffled", "label") + COUNTED,
    ),
    (
        "item-of-one",
        SET.format("shuffled", "jt.array(label)") + COUNTED,
        SET.format("shuffled", "jt.int32(label)") + COUNTED.replace("argmax", "topk"),
    ),
    (
        "var-of-values",
        "w = jt.var([[0.0, 1.0]])",
        "w = jt.array([[0.0, 1.0]])\njt.var(w, dim=1, unbiased=True)",
    ),
    (
        "var-of-values",
        "def hot(n):\n    one = np.zeros((1, n))\n    one[0][1] = 1\n    return jt.var(one)",
        "def spread(n):\n    one = np.zeros((1, n))\n    return np.var(one), one.var(1)",
    ),
    (
        "to-word",
        'y = jt.zeros(3)\ny = y.to(dtype="float16")',
        'y = jt.zeros(3)\ny = y.to("cuda").to(jt.float16)',
    ),
    (
        "to-word",
        "class N(nn.Module):\n    def __init__(self):\n        self.kind = 'float16'\n"
        "    def execute(self, x):\n        return x.to(self.kind)",
        "class N(nn.Module):\n    def __init__(self, kind):\n        self.kind = kind\n"
        "    def execute(self, x):\n        return x.to(self.kind)",
    ),
    (
        "detach-inplace",
        "table = jt.zeros(3)\ntable.stop_grad()\ntable.detach_inplace()",
        "table = jt.zeros(3)\ntable.stop_grad()\ntable.detach()",
    ),
    (
        "detach-inplace",
        "class Waves(nn.Embedding):\n    @staticmethod\n    def fill(out):\n        out.detach_inplace()",
        "class Waves(nn.Embedding):\n    def fill(self):\n        self.detach_inplace()",
    ),
    (
        "forward-name",
        "class Kept(nn.Conv2d):\n    def forward(self, x):\n        return x + super().forward(x)",
        "class Kept(nn.Conv2d):\n    def execute(self, x):\n        return x + super().execute(x)\n"
        "class Sum(Kept):\n    def forward(self, x):\n        return x",
    ),
    (
        "argmax-pair",
        "def next_(y, sampled, tokens):\n    if sampled:\n        best = jt.multinomial(y, 1)\n    else:\n"
        "        best = jt.argmax(y, dim=-1)\n    return jt.cat((tokens, best), dim=1)",
        "def both(y):\n    best = jt.argmax(y, dim=-1)\n    return dict((best, 1))",
    ),
    (
        "embedding-padding",
        "def made(config):\n    return nn.Embedding(9, 4, padding_idx=config.pad)",
        "def made(config, pad=None):\n    return nn.Embedding(9, 4, padding_idx=None), nn.Embedding(9, 4, None or pad)",
    ),
    (
        "argmax-pair",
        "def right(y, t):\n    found = y.argmax(1)\n    if isinstance(found, tuple):\n        labels = found[1]\n"
        "    return (labels == t).sum()",
        "def best(y):\n    found = y.argmax(1)\n    scores = found[1]\n    return scores",
    ),
    (
        "to-tensor",
        "y = jt.transform.to_tensor(np.ones((2, 2))).unsqueeze(0)",
        "y = jt.transform.to_tensor(jt.array([1.0])).unsqueeze(0)",
    ),
    (
        "eval-stops-gradients",
        "def fit(net, old, x):\n    opt = nn.SGD(net.parameters(), 0.1)\n    net.eval()\n    opt.step(net(x).sum())",
        "def fit(net, old, x):\n    opt = nn.SGD(net.parameters(), 0.1)\n    old.eval()\n    opt.step(net(x).sum())",
    ),
    (
        "function-as-layer",
        "class Net(nn.Module):\n    def execute(self, x):\n        return nn.ReLU(self.conv(x))",
        "class Net(nn.Module):\n    def execute(self, x):\n        return nn.relu(self.conv(x)) + nn.ReLU()(x)",
    ),
    (
        "forward-name",
        "class Net(nn.Module):\n    def excute(self, x):\n        return x",
        "class Net(nn.Module):\n    def execute(self, x):\n        return x\n    def executed(self):\n        return 1",
    ),
    (
        "loader-own-length",
        "from jittor.dataset import Dataset\nclass Pictures(Dataset):\n    def __len__(self):\n        return 3\n"
        "class WrappedLoader:\n    def __len__(self):\n        return len(self.inner)\nmean = total / len(loader)",
        "from jittor.dataset import Dataset\nclass Pictures(Dataset):\n    def __len__(self):\n        return 3\n"
        "class WrappedLoader:\n    def __len__(self):\n        return self.batches\nmean = total / len(loader)",
    ),
    (
        "resize-short-side",
        "from jittor import transform as T\nt = T.Compose([T.Resize(256), T.CenterCrop(224)])",
        "from jittor import transform as T\nt = T.Compose([T.Resize((256, 256)), T.CenterCrop(224)])\nu = T.Resize(28)",
    ),
    (
        "dataset-length",
        "from jittor.dataset import MNIST\ndigits = MNIST()\nfor i in range(len(digits)):\n    show(digits[i])",
        "digits = load()\nfor i in range(len(digits)):\n    show(digits[i])",
    ),
    (
        "accumulation",
        "def fit(d, real, fake):\n    d_opt = nn.Adam(d, 0.1)\n    d_opt.backward(real)\n"
        "    d_opt.backward(fake)\n    d_opt.step()",
        "def fit(d, real, fake):\n    d_opt = nn.Adam(d, 0.1)\n    if real is None:\n        d_opt.backward(fake)\n"
        "    else:\n        d_opt.backward(real)\n    d_opt.step()\n    d_opt.backward(fake)",
    ),
    (
        "second-backward",
        "def fit(opt, net, x):\n    y = net(x)\n    loss = (y * y).sum()\n    opt.backward(loss)\n"
        "    return jt.grad(y.sum(), x)",
        "def fit(opt, net, x):\n    y = net(x)\n    loss = (y * y).sum()\n    opt.backward(loss, retain_graph=True)\n"
        "    g = jt.grad(y.sum(), x)\n    opt.step(loss)\n    y = net(x)\n    return jt.grad(y.sum(), x) + g",
    ),
]
