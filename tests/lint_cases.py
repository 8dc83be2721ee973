"""What `parity lint` is tried on: for each entry of the atlas, what it must warn of and what it must not."""

from __future__ import annotations

# entry, what must be warned of, what must not be
CASES = [
    ("cumsum-bool", "y = (1 - mask > 0).cumsum(1)", "y = (1 - mask > 0).int32().cumsum(1)"),
    (
        "cumsum-bool",
        "not_mask = mask.logical_not()\ny = jt.cumsum(not_mask, 1)",
        "y = jt.cumsum(x, 1)",
    ),
    ("cumsum-dtype", "y = x.cumsum(1, dtype=jt.float32)", "y = np.cumsum(x, 1, dtype=np.float32)"),
    (
        "interpolate-default",
        "y = nn.interpolate(masks[None], size=(2, 2))\nz = nn.interpolate(x, size=(2, 2)) > 0.5",
        "y = nn.interpolate(masks, (2, 2), mode='nearest')\nz = nn.interpolate(x, size=(2, 2))",
    ),
    (
        "var-biased",
        "x = jt.rand(3)\nv = x.var(0)",
        "v = x.var(0, unbiased=False)\nw = np.var(x)\nu = x.numpy().var()",
    ),
    ("argmax-pair", "n = (x.argmax(1) == y).sum()", "i, v = x.argmax(1)\nj = x.argmax(1)[0] == y"),
    (
        "argsort-pair",
        "o = x[s.argsort(0)]",
        "o = x[s.argsort(0)[0]]\na = s.numpy()\nb = a[a.argsort(0)]",
    ),
    ("max-unpack", "v, i = x.max(1)", "v = x.max(1)\na, b = max(x, 1), 2"),
    ("max-pair", "x = jt.rand(2, 2)\nj = x.max(1)[1]", "x = np.ones((2, 2))\nj = x.max(1)[1]"),
    ("max-two", "a = jt.rand(2)\nb = jt.max(a, a)", "a = jt.rand(2)\nb = jt.maximum(a, a)"),
    ("max-pair", "v = x.max(dim=1)[0]", "v = x.max(dim=1)\nw = x[0].max(0)"),
    ("nan-self-test", "a = jt.rand(3)\nb = a != a", "a = np.ones(3)\nb = a != a"),
    ("nan-self-test", "assert not (loss != loss)", "assert not jt.isnan(loss)\na = x != y"),
    (
        "learning-rate-key",
        "for g in o.param_groups:\n    g['learning_rate'] = 1",
        "for g in o.param_groups:\n    g['lr'] = 1\nconfig['learning_rate'] = 2",
    ),
    ("group-lr-missing", "r = o.param_groups[0]['lr']", "o.param_groups[0]['lr'] = 2"),
    (
        "step-after-backward",
        "def train(loss):\n    opt = jt.optim.Adam(p, 0.1)\n    opt.backward(loss)\n    opt.step(loss)",
        "def train(loss):\n    opt = jt.optim.Adam(p, 0.1)\n    opt.backward(loss)\n    opt.step()\n"
        "def other(loss):\n    opt.step(loss)",
    ),
    ("adamw-default-decay", "o = optim.AdamW(p, lr=1)", "o = optim.AdamW(p, lr=1, weight_decay=0)"),
    (
        "multi-step-lr",
        "s = jt.lr_scheduler.MultiStepLR(o, [2])",
        "s = jt.lr_scheduler.StepLR(o, 2)",
    ),
    ("sgd-argument-order", "o = optim.SGD(p, 0.1, 0.9, 0.5)", "o = optim.SGD(p, 0.1, 0.9, 1e-4)"),
    (
        "eval-stops-gradients",
        "def f(m, x, w):\n    m.eval()\n    return jt.grad(m(x).sum(), w)",
        "def f(m, x, w):\n    m.eval()\n    m(x)\n    m.train()\n    return jt.grad(m(x).sum(), w)",
    ),
    (
        "buffer-is-parameter",
        "class M(nn.Module):\n    def __init__(self):\n        self.register_buffer('b', jt.ones(2))",
        "class M(nn.Module):\n    def __init__(self):\n        self.register_buffer('b', jt.ones(2).stop_grad())",
    ),
    (
        "plain-attribute",
        "class M(nn.Module):\n    def __init__(self):\n        self.running_mean = jt.zeros(2)",
        "class M(nn.Module):\n    def __init__(self):\n        self.weight = jt.zeros(2)\n"
        "        self.running_mean = jt.zeros(2).stop_grad()",
    ),
    (
        "underscore-attribute",
        "class M(nn.Module):\n    def __init__(self):\n        self._w = nn.Parameter(jt.ones(2))",
        "class M(nn.Module):\n    def __init__(self):\n        self._fc1 = nn.Linear(2, 2)\n        self._size = 3\n"
        "        self._waves = jt.array(np.cos(np.arange(3)))\n        self._scale = jt.ones(2)",
    ),
    (
        "underscore-attribute",
        "class M(nn.Module):\n    def __init__(self):\n        self._p = nn.Parameter(jt.array([1.0]))",
        "class M(nn.Module):\n    def __init__(self):\n        self._mean = jt.zeros(2)",
    ),
    (
        "load-missing",
        "model.load_state_dict(s)",
        "optimizer.load_state_dict(s)\nopt.load_state_dict(s)",
    ),
    ("clamp-keywords", "y = x.clamp(min=0)", "y = x.clamp(0)\nz = np.clip(x, 0, 1)"),
    (
        "view-clamp-columns",
        "b[:, 0::2].clamp_(0, 5)",
        "b[:, 0::2] = b[:, 0::2].clamp(0, 5)\nb.clamp_(0, 5)",
    ),
    ("permute-two", "y = x.permute(0, 1)", "y = x.permute(0, 2, 1)"),
    ("softmax-axis", "y = nn.softmax(x)", "y = nn.softmax(x, dim=1)"),
    ("nms-offset", "k = jt.nms(d, 0.5)", "k = ops.nms(d, 0.5)"),
    (
        "randperm-of-tensor",
        "n = jt.array([3]).sum()\np = jt.randperm(n)",
        "n = int(m.sum().item())\np = jt.randperm(n)",
    ),
    ("conv-same", "c = nn.Conv2d(2, 2, 3, padding='same')", "c = nn.Conv2d(2, 2, 3, padding=1)"),
    ("set-chained", "x = jt.zeros((3, 4))\nx[0:2][1] = 1", "x = np.zeros((3, 4))\nx[0:2][1] = 1"),
    (
        "set-row-scalar",
        "x = jt.zeros((3, 4))\nx[0] = -1.0",
        "x = jt.zeros((3, 4))\nx[0, :] = -1.0\nx[m] = 1.0\nx[0] = y",
    ),
    (
        "no-grad-load",
        "with jt.no_grad():\n    model.load_state_dict(s)\noptim.SGD(model.parameters(), lr=1).step(loss)",
        "with jt.no_grad():\n    model.load_state_dict(s)\n    model(x)",
    ),
    (
        "no-grad-build",
        "with jt.no_grad():\n    m = nn.Linear(2, 2)\no = optim.SGD(m.parameters(), lr=1)\no.step(m(x))",
        "def fused(c):\n    with jt.no_grad():\n        m = nn.Linear(2, 2)\n    return m\n"
        "m = nn.Linear(2, 2)\nwith jt.no_grad():\n    y = m(x)",
    ),
    ("argmax-pair", "i = jt.argmax(x, 1)\ny = w[i]", "i, v = jt.argmax(x, 1)\ny = w[i]"),
    (
        "argsort-pair",
        "r = jt.argsort(s)\no = r[1]\ny = b[o]",
        "r = jt.argsort(s)\no = r[0]\ny = b[o]",
    ),
    ("argmin-pair", "y = x.argmin(dim=1).float32()", "y = x.argmin(dim=1)[0].float32()"),
    ("argmax-flat", "x = jt.rand(3)\ni = x.argmax()", "x = jt.rand(3)\ni = x.argmax(0)[0]"),
    ("cumsum-negative-axis", "y = jt.cumsum(x, -2)", "y = jt.cumsum(x, -1)"),
    (
        "bool-invert",
        "m = jt.rand(3) > 0.5\ny = ~m",
        "m = jt.rand(3) > 0.5\ny = m.logical_not()\nz = ~5",
    ),
    ("equal-none", "x = jt.rand(3)\nb = x == None", "x = jt.rand(3)\nb = x is None"),
    (
        "permute-negative",
        "x = jt.rand(2, 3)\ny = x.permute(-1, 0)",
        "x = jt.rand(2, 3)\ny = x.permute(1, 0)",
    ),
    ("matrix-T", "x = jt.rand(2, 3)\ny = x.T", "x = np.ones((2, 3))\ny = x.T"),
    ("index-mask-list", "x = jt.rand(2)\ny = x[[True, False]]", "x = jt.rand(2)\ny = x[[1, 0]]"),
    (
        "index-mask-numpy",
        "x = jt.rand(2)\nm = np.ones(2) > 0\ny = x[m]",
        "x = np.ones(2)\nm = x > 0\ny = x[m]",
    ),
    ("index-mask-uint8", "x = jt.rand(2)\ny = x[(x > 0).uint8()]", "x = jt.rand(2)\ny = x[x > 0]"),
    ("unique-floats", "y = jt.unique(x.float32())", "y = jt.unique(x.int32())"),
    ("result-unused", "x.floor()", "x = x.floor()\nd.update(x)"),
    ("result-unused", "jt.clamp(x, 0, 1)", "x = jt.clamp(x, 0, 1)\nx.clamp_(0, 1)"),
    ("view-reshape", "x = jt.rand(2, 3)\nx.view(-1)[0] = 1", "x = jt.rand(2, 3)\nx[0, 0] = 1"),
    (
        "view-rows",
        "x = jt.rand(2, 3)\nfor r in x:\n    r[0] = 1",
        "x = np.ones((2, 3))\nfor r in x:\n    r[0] = 1",
    ),
    (
        "stop-grad-in-place",
        "for p in model.parameters():\n    e.append(p.stop_grad() * 0.9)",
        "for p in model.parameters():\n    p.stop_grad()\nt = jt.zeros(3).stop_grad()",
    ),
    (
        "stop-grad-in-place",
        "def f(p, q):\n    y = p * 2\n    t = y.stop_grad()\n    return ((y - t) * q).sum()",
        "def f(p, q):\n    y = p * 2\n    y = y.stop_grad()\n    return (y * q).sum()",
    ),
    (
        "eval-freezes-affine",
        "for m in model.modules():\n    if isinstance(m, nn.BatchNorm):\n        m.eval()",
        "for m in model.modules():\n    m.eval()\n    for p in m.parameters():\n        p.stop_grad()",
    ),
    (
        "backward-method",
        "loss = (jt.rand(2) * w).sum()\nloss.backward()",
        "optimizer.backward(loss)",
    ),
    (
        "adam-argument-order",
        "o = optim.Adam(p, 0.1, (0.9, 0.99))",
        "o = optim.Adam(p, 0.1, betas=(0.9, 0.99))",
    ),
    (
        "group-lr-missing",
        "r = [g['lr'] for g in o.param_groups]",
        "for g in o.param_groups:\n    g['lr'] = 1\nr = o.param_groups[0]['lr']",
    ),
    (
        "optimizer-lr-attribute",
        "o = optim.SGD([{'params': p, 'lr': 1}], 0.1)\no.lr = 2",
        "o = optim.SGD(p, 0.1)\no.lr = 2",
    ),
    (
        "scheduler-state",
        "s = jt.lr_scheduler.StepLR(o, 2)\nt = s.state_dict()",
        "s = MyScheduler(o)\nt = s.state_dict()",
    ),
    (
        "plain-attribute",
        "class M(nn.Module):\n    def __init__(self):\n        self.grid, self.n = jt.arange(3).float32(), 4",
        "class M(nn.Module):\n    def __init__(self):\n        self.n, self.m = 3, 4\n"
        "        self.bias = jt.zeros(3)\n        self.grid = jt.arange(3).expand((1, 3))\n"
        "        self.index = jt.array([1.0]).int()",
    ),
    (
        "plain-attribute",
        "class M(nn.Module):\n    def __init__(self):\n        setattr(self, 'anchors', jt.array([1.0]))",
        "class M(nn.Module):\n    def __init__(self):\n        setattr(self, 'anchors', np.array([1.0]))",
    ),
    (
        "plain-attribute",
        "def made() -> jt.Var:\n    return 3\nclass M(nn.Module):\n    def __init__(self):\n"
        "        self.window = made()",
        "def made() -> np.ndarray:\n    return 3\nclass M(nn.Module):\n    def __init__(self):\n"
        "        self.window = made()",
    ),
    (
        "cached-attribute",
        "class M(nn.Module):\n    def execute(self, x):\n        self.last = jt.exp(x)",
        "class M(nn.Module):\n    def execute(self, x):\n        self._last = jt.exp(x)",
    ),
    (
        "forward-name",
        "class M(nn.Module):\n    def forward(self, x):\n        return x",
        "class M(nn.Module):\n    def execute(self, x):\n        return x\n    forward = execute",
    ),
    ("train-false", "m = nn.Linear(2, 2)\nm.train(False)", "m = nn.Linear(2, 2)\nm.eval()"),
    ("sequential-modules", "n = len(net._modules)", "n = len(net.layers)"),
    (
        "module-list-generator",
        "m = nn.ModuleList(nn.ReLU() for _ in range(2))",
        "m = nn.ModuleList([nn.ReLU() for _ in range(2)])",
    ),
    ("module-list-generator", "m = nn.Sequential(map(f, x))", "m = nn.Sequential(*map(f, x))"),
    (
        "mixed-precision-level",
        "jt.flags.amp_level = 3 if fast else 0",
        "jt.flags.amp_level = 5 if fast else 0",
    ),
    (
        "mixed-precision-level",
        "fast = True\njt.flags.amp_level = 3 if fast else 0",
        "fast = False\njt.flags.amp_level = 3 if fast else 0",
    ),
    ("keyword-unknown", "d.set_attrs(collate_fn=f)", "d.set_attrs(shuffle=True)"),
    (
        "keyword-unknown",
        "v = y.var(dim=1, keepdim=True, unbiased=False)",
        "v = y.mean(dim=1, keepdim=True)",
    ),
    ("name-missing", "n = y.shape[2:].numel()", "n = y.numel()"),
    ("scheduler-state", "s = lr_scheduler.state_dict()", "s = net.state_dict()"),
    ("embedding-padding", "e = nn.Embedding(9, 2, padding_idx=0)", "e = nn.Embedding(9, 2)"),
    ("instance-norm-affine", "n = nn.InstanceNorm2d(3)", "n = nn.InstanceNorm2d(3, affine=False)"),
    (
        "cross-entropy-smoothing",
        "l = nn.cross_entropy_loss(x, t, label_smoothing=0.1)",
        "l = nn.cross_entropy_loss(x, t)",
    ),
    ("cdist", "d = jt.cdist(a, b, p=1)", "d = mine.cdist(a, b, p=1)"),
    ("name-missing", "from jittor import distributed", "from jittor import nms as n"),
    ("name-missing", "t = jt.tensor([1])", "jt.tensor = make\nt = jt.tensor([1])"),
    (
        "name-missing",
        "n = jt.distribute.rank()",
        "n = jt.distribute if hasattr(jt, 'distribute') else 0",
    ),
    ("name-missing", "y = x.masked_select(m)", "y = x.masked_fill(m, 0)"),
    ("keyword-unknown", "x = jt.zeros(3, device='cpu')", "x = jt.zeros(3, dtype='int32')"),
    ("keyword-unknown", "x = jt.flip(y, dims=[0])", "x = jt.flip(y, dim=[0])"),
    (
        "nms-offset",
        "from jittor import nms\nk = nms(d, 0.5)",
        "from torchvision.ops import nms\nk = nms(d, 0.5)",
    ),
    (
        "mixed-precision-level",
        "jt.flags.auto_mixed_precision_level = 2",
        "jt.flags.auto_mixed_precision_level = 4",
    ),
    ("floor-divide-negative", "x = jt.arange(4)\ny = x // 2", "y = 5 // 2"),
    (
        "floor-of-quotient",
        "x = jt.arange(40)\nn = 41\ny = (x / n).floor()\nz = jt.floor(x / 55)",
        "x = jt.arange(40)\ny = (x / 2).floor()\nz = jt.floor(x / 0.25)\nv = ((x + 0.5) * 3).floor()",
    ),
    ("round-half", "x = jt.rand(3)\ny = x.round()", "y = round(0.5)"),
    ("norm-default-axis", "x = jt.rand(3, 3)\ny = x.norm()", "x = jt.rand(3, 3)\ny = x.norm(2, 1)"),
    (
        "sum-two-integers",
        "x = jt.rand(2, 3, 4, 5)\ny = x.sum(2, 3) / jt.mean(x, 2, 3)",
        "x = jt.rand(2, 3, 4, 5)\ny = x.sum((2, 3)) + x.sum(2, 1) + x.sum(2, True) + x.max(2)",
    ),
    (
        "argmax-pair",
        "_, found = jt.argmax(scores, 1)\nvalue, where = jt.argmax(scores, 1)\ny = boxes[where]",
        "index, _ = jt.argmax(scores, 1)\n_, best = jt.argmax(scores, 1)\norder, v = scores.argmax(1)",
    ),
    (
        "argsort-pair",
        "kept, order = jt.argsort(errors, 0)\ny = labels[order]",
        "order, kept = jt.argsort(errors, 0)\ny = labels[order]",
    ),
    (
        "cached-attribute",
        "class M(nn.Module):\n    def __init__(self, made):\n        self.encoder = made\n"
        "    def encode(self, x):\n        self.features = self.encoder(x)\n"
        "    def execute(self, x):\n        self.encode(x)",
        "class M(nn.Module):\n    def __init__(self, made):\n        self.encoder = made\n"
        "        self.sizes = self.encoder(3)\n    def sized(self, x):\n        return x\n"
        "    def execute(self, x):\n        self.shape = self.sized(x)\n        self._last = self.encoder(x)",
    ),
    (
        "stop-grad-in-place",
        "def filtered(scores):\n    scores = scores.stop_grad()\n    return scores.topk(3)",
        "def filtered(scores, targets):\n    scores = scores * 2\n    scores = scores.stop_grad()\n"
        "    targets = targets.stop_grad()\n    return scores, targets",
    ),
    (
        "name-missing",
        "from typing import List\ndef f(xs: List[jt.Var]):\n    return [x.device for x in xs]",
        "def f(self, xs):\n    return [x.device for x in xs], self.device",
    ),
    (
        "to-tensor",
        "from jittor import transform\nx = (transform.ToTensor()(image) - 0.5).unsqueeze(0)",
        "from jittor import transform\nx = jt.array(transform.ToTensor()(image)).unsqueeze(0)",
    ),
    (
        "to-tensor",
        "t = jt.transform.Compose([jt.transform.Resize(3), jt.transform.ToTensor()])\n"
        "x = t(image).permute(1, 2, 0)",
        "t = jt.transform.Compose([jt.transform.Resize(3)])\nx = t(image).permute(1, 2, 0)",
    ),
    ("data-attribute", "x = jt.rand(3)\ny = x.data.numpy()", "x = jt.rand(3)\ny = x.data.copy()"),
    (
        "to-pil-tensor",
        "from jittor import transform\nx = jt.rand(3, 4, 5)\ny = transform.ToPILImage()(x.transpose(2, 0, 1))",
        "from jittor import transform\ny = transform.ToPILImage()(image.numpy())\n"
        "x = jt.rand(3, 4, 5)\ny = transform.ToPILImage()(x)",
    ),
    (
        "loader-own-length",
        "from jittor.dataset import Dataset\nclass Pictures(Dataset):\n    def __len__(self):\n"
        "        return 3\nsteps = len(train_loader) * 10",
        "from jittor.dataset import Dataset\nclass Pictures(Dataset):\n    def __len__(self):\n"
        "        return 3\nsteps = len(train_loader) // batch_size\nn = len(Pictures())",
    ),
    (
        "var-biased",
        "v = jt.var(given, dims=[2, 3])",
        "v = jt.var(given, dims=[2, 3], unbiased=True)",
    ),
    (
        "second-backward",
        "def step(self, loss):\n    self.opt_a.backward(loss)\n    self.opt_b.backward(loss)",
        "def step(self, loss, other):\n    self.opt_a.backward(loss, retain_graph=True)\n"
        "    self.opt_b.backward(loss)\n    self.opt_a.step(other)\n    other = other * 2\n"
        "    self.opt_b.step(other)",
    ),
    (
        "class-name",
        "def init(m):\n    classname = m.__class__.__name__\n    if classname.find('Conv2d') != -1:\n"
        "        jt.init.zero_(m.weight)",
        "def init(m):\n    classname = m.__class__.__name__\n    if classname.find('Conv') != -1:\n"
        "        jt.init.zero_(m.weight)\nkinds = {'Conv2d': nn.Conv2d}",
    ),
    (
        "module-dict",
        "def copied(a, b):\n    for name, value in b.__dict__.items():\n        setattr(a, name, value)\n"
        "    return jt.sync_all()",
        "def shown(b):\n    for name, value in b.__dict__.items():\n        print(name, value)",
    ),
    (
        "view-slice",
        "def prior(layer):\n    bias = layer.bias.view(3, -1)\n    bias[:, 4] += -4.5\n    return layer",
        "def prior(layer):\n    bias = layer.bias.view(3, -1)\n    bias[:, 4] += -4.5\n    return bias\n"
        "def other(table):\n    row = table[1:]\n    row[0] = 2",
    ),
    (
        "keyword-unknown",
        "y = nn.hardtanh(x, 0.0, 6.0, True)",
        "y = nn.hardtanh(x, 0.0, 6.0) + jt.concat(*parts)",
    ),
    ("upsampling-corners", "u = nn.UpsamplingBilinear2d(2)", "u = nn.UpsamplingNearest2d(2)"),
    (
        "optimizer-default-rate",
        "o = optim.Adam(model.parameters(), weight_decay=0.1)",
        "o = optim.Adam(model.parameters(), 0.1)\np = optim.Adam(*settings)\nq = optim.SGD(w, lr=1)",
    ),
    (
        "cosine-annealing",
        "s = jt.lr_scheduler.CosineAnnealingLR(o, T_max=9)",
        "s = schedules.CosineAnnealingLR(o, T_max=9)",
    ),
    ("exponential-lr", "s = jt.lr_scheduler.ExponentialLR(o, 0.9)", "r = 0.9 ** epoch"),
    ("step-lr-one", "s = jt.lr_scheduler.StepLR(o, 1)", "s = jt.lr_scheduler.StepLR(o, 10)"),
    (
        "accumulation",
        "def train(optimizer, x):\n    optimizer = optim.Adam(w, 1)\n    optimizer.backward(loss=coarse(x))\n"
        "    optimizer.step(fine(x))",
        "def train(optimizer, x):\n    optimizer = optim.Adam(w, 1)\n    optimizer.step(coarse(x) + fine(x))",
    ),
    (
        "accumulation",
        "optimizer = optim.AdamW(w, 1, weight_decay=0)\nfor i, x in enumerate(batches):\n"
        "    optimizer.backward(f(x) / 4)\n    if i % 4 == 3:\n        optimizer.step()",
        "optimizer = optim.AdamW(w, 1, weight_decay=0)\nfor i, x in enumerate(batches):\n"
        "    optimizer.backward(f(x))\n    if clip:\n        optimizer.clip_grad_norm(1)\n    optimizer.step()",
    ),
    (
        "argument-place",
        "y = nn.cross_entropy_loss(x, t, ignore_index)",
        "y = nn.cross_entropy_loss(x, t, weight, ignore_index)\nc = nn.Conv2d(a.out_channels, 3, 1)",
    ),
    (
        "argument-place",
        "y = nn.cross_entropy_loss(x, t, 255)",
        "y = nn.cross_entropy_loss(x, t, ignore_index=255)",
    ),
    (
        "hook-handle",
        "handles = [m.register_forward_hook(f) for m in net.modules()]\nhandles[0].remove()",
        "net.register_forward_hook(f)\nnet.remove_forward_hook()",
    ),
    (
        "squeeze-not-one",
        "x = jt.rand(2, 3)\nfor d in range(2):\n    x = x.squeeze(d)",
        "x = jt.rand(2, 3)\nfor d in range(2):\n    if x.shape[d] == 1:\n        x = x.squeeze(d)",
    ),
    (
        "conv-kernel-list",
        "pool = nn.avg_pool2d\nsides = [s % 2 for s in x.shape]\ny = pool(x, 2, padding=sides)",
        "c = nn.Conv2d(3, 3, (3, 3), padding=1)\ny = nn.interpolate(x, [2, 2], mode='nearest')",
    ),
    (
        "lazy-time",
        "import time\ndef speed(net, x):\n    start = time.time()\n    y = net(x.float32())\n"
        "    return y, time.time() - start",
        "import time\ndef speed(net, x):\n    start = time.time()\n    y = net(x)\n    jt.sync_all(True)\n"
        "    z = time.time() - start\n    start = time.time()\n    w = net(x).numpy()\n"
        "    return z, time.time() - start",
    ),
    (
        "eval-stops-gradients",
        "def check(m, x):\n    m.eval()\n    return m(x)\ndef main(net, optimizer, data):\n    net.train()\n"
        "    for epoch in range(9):\n        for x in data:\n            optimizer.step(net(x))\n"
        "        check(net, data)",
        "def check(m, x):\n    m.eval()\n    return m(x)\ndef main(net, optimizer, data):\n"
        "    for epoch in range(9):\n        net.train()\n        for x in data:\n"
        "            optimizer.step(net(x))\n        check(net, data)",
    ),
    (
        "name-missing",
        "def picture(given):\n    return given.mul_(255.0).squeeze(0).byte()",
        "def picture(given):\n    return given.mul_(255.0).squeeze(0).uint8()\nclass Bytes:\n"
        "    def char(self):\n        return b''\ndef first(text):\n    return text.char()",
    ),
    (
        "module-to",
        "net = nn.Linear(2, 2)\nnet.to(device)",
        "class Net(nn.Module):\n    def to(self, device):\n        return self\nnet = Net()\nnet.to(device)\n"
        "x = given.to('cpu')",
    ),
    ("zero-grad-method", "net = nn.Linear(2, 2)\nnet.zero_grad()", "optimizer.zero_grad()"),
]
