"""More of layers, losses, gradients, optimisers, schedules and modules."""

from __future__ import annotations

from parity.atlas.entry import Entry

IMAGE = "x = (np.arange(32, dtype=np.float32) * 7 % 11).reshape(1, 2, 4, 4)"
LOGITS = "x = np.array([[2.0, 0.5, -1.0], [0.1, 0.2, 0.3]], dtype=np.float32)\nt = np.array([0, 2])"
PAIR = "x = np.array([0.2, -1.5, 3.0], dtype=np.float32)\ny = np.array([0.0, 1.0, 1.0], dtype=np.float32)"
VECTOR = "x = np.array([1.0, 2.0, 3.0], dtype=np.float32)"
GRADIENT = (
    "v = x.clone().requires_grad_()\n({0}).sum().backward()\nv.grad",
    "v = x.clone()\njt.grad(({0}).sum(), v)",
)


def gradient(id: str, title: str, expression: str, jittor: str = "", **more) -> Entry:
    """The gradient of a sum of `expression`, in which `v` is the variable."""
    theirs = GRADIENT[1].format(jittor or expression.replace("torch.", "jt."))
    return Entry(id, title, GRADIENT[0].format(expression), theirs, **more)


STEP = "o.zero_grad(); (w * w).sum().backward(); o.step()"


def rates(schedule: str, epochs: int = 6) -> tuple[str, str]:
    """Learning rates of epochs under a scheduler, on both sides."""
    loop = f"r = []\nfor _ in range({epochs}):\n    r.append({{0}}); {{1}}s.step()\nr"
    torch = (
        f"o = torch.optim.SGD([nn.Parameter(x)], lr=1.0)\ns = torch.optim.lr_scheduler.{schedule}\n"
        + loop.format("round(o.param_groups[0]['lr'], 5)", "o.step(); ")
    )
    jittor = f"o = jt.optim.SGD([x], lr=1.0)\ns = jt.lr_scheduler.{schedule}\n" + loop.format(
        "round(o.lr, 5)", ""
    )
    return torch, jittor


ENTRIES = {
    "layers": (
        Entry(
            "conv-padding-mode",
            "Conv2d(padding_mode='reflect')",
            "list(nn.Conv2d(2, 1, 3, padding=1, padding_mode='reflect')(x).shape)",
            given=IMAGE,
            safe="list(nn.Conv2d(2, 1, 3)(nn.pad(x, (1, 1, 1, 1), mode='reflect')).shape)",
            source="probes K06",
        ),
        Entry(
            "conv-kernel-list",
            "Conv2d with its kernel size as a list",
            "list(nn.Conv2d(2, 1, [3, 3])(x).shape)",
            given=IMAGE,
            safe="list(nn.Conv2d(2, 1, (3, 3))(x).shape)",
            source="probes K07",
        ),
        Entry(
            "dropout-inplace",
            "Dropout(inplace=True)",
            "nn.Dropout(0.0, inplace=True)(x)",
            given=VECTOR,
            safe="nn.Dropout(0.0)(x)",
        ),
        Entry(
            "relu-inplace",
            "ReLU(inplace=True)",
            "nn.ReLU(inplace=True)(x)",
            given=PAIR,
            safe="nn.ReLU()(x)",
            source="probes K75",
        ),
        Entry(
            "leaky-relu-slope",
            "LeakyReLU(negative_slope=0.1)",
            "nn.LeakyReLU(negative_slope=0.1)(x)",
            given=PAIR,
            safe="nn.LeakyReLU(0.1)(x)",
            source="probes K76",
        ),
        Entry(
            "leaky-relu-function",
            "leaky_relu(negative_slope=0.1)",
            "F.leaky_relu(x, negative_slope=0.1)",
            "nn.leaky_relu(x, negative_slope=0.1)",
            given=PAIR,
            safe="nn.leaky_relu(x, 0.1)",
        ),
        Entry(
            "gelu-tanh",
            "GELU(approximate='tanh')",
            "nn.GELU(approximate='tanh')(x)",
            given=PAIR,
            safe="0.5 * x * (1 + jt.tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)))",
            source="probes K78",
        ),
        Entry(
            "instance-norm-affine",
            "parameters of InstanceNorm2d",
            "len(list(nn.InstanceNorm2d(3).parameters()))",
            safe="len([p for p in nn.InstanceNorm2d(3, affine=False).parameters() if p.requires_grad])",
            effect="weight and bias that PyTorch's has not: trained, decayed, missing in its checkpoints",
        ),
        Entry(
            "batch-norm-untracked",
            "BatchNorm2d(track_running_stats=False)",
            "nn.BatchNorm2d(2, track_running_stats=False)(x).mean().abs() < 1e-5",
            given=IMAGE,
            source="probes J13",
        ),
        Entry(
            "layer-norm-bias",
            "LayerNorm(bias=False)",
            "nn.LayerNorm(4, bias=False)(x).shape[3]",
            given=IMAGE,
        ),
        Entry(
            "embedding-padding",
            "the gradient of an embedding's padding row",
            "e = nn.Embedding(3, 2, padding_idx=0)\ne(i).sum().backward()\ne.weight.grad",
            "e = nn.Embedding(3, 2, padding_idx=0)\njt.grad(e(i).sum(), e.weight)",
            given="i = np.array([0, 1])",
            safe="e = nn.Embedding(3, 2)\nk = (i != 0).float32().unsqueeze(1)\n"
            "jt.grad((e(i) * k).sum(), e.weight)",
            effect="the padding row is trained",
            source="probes K15",
        ),
        Entry(
            "max-pool-dilated",
            "MaxPool2d(dilation=2)",
            "list(nn.MaxPool2d(2, 1, dilation=2)(x).shape)",
            given=IMAGE,
            source="probes K29",
        ),
        Entry(
            "max-pool-infinite",
            "max-pool of minus infinity",
            "F.max_pool2d(x, 2, 1)",
            "nn.Pool(2, 1, op='maximum')(x)",
            given="x = np.full((1, 1, 3, 3), -np.inf, dtype=np.float32)",
            source="probes K27",
        ),
        Entry(
            "avg-pool-padded",
            "average pool with padding",
            "F.avg_pool2d(x, 3, 1, 1)",
            "nn.Pool(3, 1, 1, op='mean')(x)",
            given=IMAGE,
        ),
        Entry(
            "interpolate-factor",
            "interpolate(scale_factor=0.5) of an odd size",
            "F.interpolate(x, scale_factor=0.5, mode='bilinear', align_corners=False)",
            "nn.interpolate(x, scale_factor=0.5, mode='bilinear', align_corners=False)",
            given="x = np.arange(25, dtype=np.float32).reshape(1, 1, 5, 5)",
            source="probes K44",
        ),
        Entry(
            "interpolate-factors",
            "interpolate(scale_factor=(2, 2))",
            "F.interpolate(x, scale_factor=(2, 2), mode='nearest')",
            "nn.interpolate(x, scale_factor=(2, 2), mode='nearest')",
            given=IMAGE,
            safe="nn.interpolate(x, size=(8, 8), mode='nearest')",
            source="probes K45",
        ),
        Entry(
            "interpolate-corners",
            "interpolate(align_corners=True)",
            "F.interpolate(x, size=(7, 7), mode='bilinear', align_corners=True)",
            "nn.interpolate(x, size=(7, 7), mode='bilinear', align_corners=True)",
            given=IMAGE,
        ),
        Entry(
            "interpolate-bicubic",
            "bicubic",
            "F.interpolate(x, size=(6, 6), mode='bicubic', align_corners=False)",
            "nn.interpolate(x, size=(6, 6), mode='bicubic', align_corners=False)",
            given=IMAGE,
        ),
        Entry(
            "interpolate-nothing",
            "interpolate of no images",
            "list(F.interpolate(x[:0], size=(2, 2), mode='nearest').shape)",
            "list(nn.interpolate(x[:0], size=(2, 2), mode='nearest').shape)",
            given=IMAGE,
            source="probes R18",
            isolated=True,
        ),
        Entry(
            "upsample-size",
            "Upsample(size=...)",
            "list(nn.Upsample(size=(8, 8))(x).shape)",
            given=IMAGE,
            safe="list(nn.interpolate(x, size=(8, 8), mode='nearest').shape)",
            source="probes K51",
        ),
        Entry(
            "upsample-factor",
            "Upsample(scale_factor=2)",
            "nn.Upsample(scale_factor=2)(x)",
            given=IMAGE,
        ),
        Entry(
            "upsampling-corners",
            "UpsamplingBilinear2d",
            "nn.UpsamplingBilinear2d(scale_factor=2)(x)",
            given=IMAGE,
            safe="nn.Upsample(scale_factor=2, mode='bilinear', align_corners=True)(x)",
            effect="masks and features are shifted by up to half a pixel against the reference",
            cause="nn.py: UpsamplingBilinear2d leaves align_corners at False",
            source="ports of camouflage detection",
        ),
        Entry(
            "batch-norm-eps",
            "the default eps and momentum of BatchNorm2d",
            "m = nn.BatchNorm2d(2)\n[m.eps, m.momentum]",
        ),
        Entry("layer-norm-eps", "the default eps of LayerNorm", "nn.LayerNorm(2).eps"),
        Entry(
            "grid-sample",
            "grid_sample, bilinear",
            "F.grid_sample(x, g, align_corners=False)",
            "nn.grid_sample(x, g, align_corners=False)",
            given=f"{IMAGE}\ng = np.linspace(-0.9, 0.9, 8).astype(np.float32).reshape(1, 2, 2, 2)",
        ),
        Entry(
            "unfold-patches",
            "unfold into patches",
            "F.unfold(x, 2, stride=2)",
            "nn.unfold(x, 2, stride=2)",
            given=IMAGE,
        ),
        Entry(
            "sequential-modules",
            "the layers of a Sequential by _modules",
            "len(nn.Sequential(nn.ReLU(), nn.ReLU())._modules)",
            safe="len(nn.Sequential(nn.ReLU(), nn.ReLU()).layers)",
            effect="empty: layers looked up by name are not found",
        ),
        Entry(
            "module-list-generator",
            "a ModuleList of what a generator makes",
            "len(nn.ModuleList(nn.ReLU() for _ in range(2)))",
            safe="len(nn.ModuleList([nn.ReLU() for _ in range(2)]))",
            effect="a list or an OrderedDict only",
        ),
        Entry(
            "attention-batch-first",
            "MultiheadAttention(batch_first=True)",
            "list(nn.MultiheadAttention(4, 2, batch_first=True)(x, x, x)[0].shape)",
            "list(jt.attention.MultiheadAttention(4, 2, batch_first=True)(x, x, x)[0].shape)",
            given="x = np.ones((1, 3, 4), dtype=np.float32)",
            safe="y = x.transpose(1, 0, 2)\n"
            "list(jt.attention.MultiheadAttention(4, 2)(y, y, y)[0].transpose(1, 0, 2).shape)",
        ),
    ),
    "losses": (
        Entry(
            "cross-entropy-smoothing",
            "cross entropy with label_smoothing",
            "F.cross_entropy(x, t, label_smoothing=0.1)",
            "nn.cross_entropy_loss(x, t, label_smoothing=0.1)",
            given=LOGITS,
            safe="l = nn.log_softmax(x, dim=1)\nh = nn.one_hot(t, 3).float32() * 0.9 + 0.1 / 3\n"
            "-(h * l).sum(1).mean()",
            source="probes I15",
        ),
        Entry(
            "cross-entropy-soft",
            "cross entropy with probabilities as targets",
            "F.cross_entropy(x, torch.softmax(x, 1))",
            "nn.cross_entropy_loss(x, nn.softmax(x, dim=1))",
            given=LOGITS,
            safe="-(nn.softmax(x, dim=1) * nn.log_softmax(x, dim=1)).sum(1).mean()",
            source="probes I16",
        ),
        Entry(
            "cross-entropy-layer-reduction",
            "CrossEntropyLoss(reduction='none')",
            "nn.CrossEntropyLoss(reduction='none')(x, t)",
            given=LOGITS,
            safe="nn.cross_entropy_loss(x, t, reduction='none')",
            source="probes I19",
        ),
        Entry(
            "argument-place",
            "cross entropy's fifth argument",
            "F.cross_entropy(x, t, None, None, 0)",
            "nn.cross_entropy_loss(x, t, None, None, 0)",
            given=LOGITS,
            safe="nn.cross_entropy_loss(x, t, ignore_index=0)",
            effect="ignore_index is the fourth here: given by place, it is taken for another argument",
            source="ports of pose estimation and image restoration",
        ),
        Entry(
            "cross-entropy-many",
            "cross entropy of many labels",
            "F.cross_entropy(x, t)",
            "nn.cross_entropy_loss(x, t)",
            given="x = np.sin(np.arange(27648)).astype(np.float32).reshape(9216, 3)\nt = np.arange(9216) % 3",
            safe="nn.cross_entropy_loss(x, t, reduction='none').sum() / t.shape[0]",
            effect="1e-4 too large for 9,216 labels, 5e-4 for 40,000: the weights' mean is a sum of 1/n in float32",
            cause="nn.py: cross_entropy_loss, target_weight.mean()",
            operators="cross_entropy cross_entropy_loss mean",
            source="a port of segmentation",
        ),
        Entry(
            "cross-entropy-default-ignore",
            "cross entropy and the label -100",
            "F.cross_entropy(x, t)",
            "nn.cross_entropy_loss(x, t)",
            given="x = np.array([[2.0, 0.5], [0.1, 0.2]], dtype=np.float32)\n"
            "t = np.array([0, -100])",
            effect="left out on both sides",
        ),
        Entry(
            "bce-reduction",
            "binary cross entropy with logits, reduction='none'",
            "F.binary_cross_entropy_with_logits(x, y, reduction='none')",
            "nn.binary_cross_entropy_with_logits(x, y, reduction='none')",
            given=PAIR,
            safe="jt.maximum(x, 0.0) - x * y + jt.log(1 + jt.exp(-x.abs()))",
            source="probes I25",
        ),
        Entry(
            "bce-weight-order",
            "BCEWithLogitsLoss with pos_weight",
            "nn.BCEWithLogitsLoss(pos_weight=torch.tensor([2.0]))(x, y)",
            "nn.BCEWithLogitsLoss(pos_weight=jt.array([2.0]))(x, y)",
            given=PAIR,
        ),
        Entry(
            "l1-reduction",
            "l1_loss(reduction='none')",
            "F.l1_loss(x, y, reduction='none')",
            "nn.l1_loss(x, y, reduction='none')",
            given=PAIR,
            safe="(x - y).abs()",
            source="probes I36",
        ),
        Entry(
            "l1-layer-sum",
            "L1Loss(reduction='sum')",
            "nn.L1Loss(reduction='sum')(x, y)",
            given=PAIR,
            safe="(x - y).abs().sum()",
        ),
        Entry(
            "mse-sum",
            "mse_loss(reduction='sum')",
            "F.mse_loss(x, y, reduction='sum')",
            "nn.mse_loss(x, y, reduction='sum')",
            given=PAIR,
        ),
        Entry("mse-layer", "MSELoss()", "nn.MSELoss()(x, y)", given=PAIR),
        Entry(
            "nll-weights-changed",
            "nll_loss leaves its weights alone",
            "w = torch.ones(3)\n"
            "F.nll_loss(torch.log_softmax(x, 1), t, weight=w, ignore_index=1)\nw",
            "w = jt.ones(3)\nnn.nll_loss(nn.log_softmax(x, dim=1), t, weight=w, ignore_index=1)\nw",
            given=LOGITS,
            effect="the ignored class's weight is set to 0 for good",
            source="probes I21",
        ),
        Entry(
            "smooth-l1-sum",
            "smooth_l1_loss(reduction='sum')",
            "F.smooth_l1_loss(x, y, reduction='sum')",
            "nn.smooth_l1_loss(x, y, reduction='sum')",
            given=PAIR,
        ),
        Entry(
            "kl-div-layer",
            "KLDivLoss(reduction='batchmean')",
            "nn.KLDivLoss(reduction='batchmean')(torch.log_softmax(x, 1), torch.softmax(x.flip(0), 1))",
            "nn.KLDivLoss(reduction='batchmean')(nn.log_softmax(x, dim=1), nn.softmax(jt.flip(x, 0), dim=1))",
            given=LOGITS,
        ),
        Entry(
            "bce-layer-reduction",
            "BCELoss(reduction='sum')",
            "nn.BCELoss(reduction='sum')(torch.sigmoid(x), y)",
            "nn.BCELoss(reduction='sum')(jt.sigmoid(x), y)",
            given=PAIR,
            safe="nn.BCELoss()(jt.sigmoid(x), y) * 3",
        ),
    ),
    "autograd": (
        gradient(
            "grad-abs-zero",
            "the gradient of |x| at 0",
            "v.abs()",
            given="x = np.array([-1.0, 0.0, 2.0], dtype=np.float32)",
            effect="1 instead of 0",
            source="probes C53",
        ),
        gradient(
            "grad-minimum-tie",
            "the gradient of minimum at a tie",
            "torch.minimum(v, v.detach())",
            "jt.minimum(v, v.detach())",
            given=VECTOR,
            source="probes C50",
        ),
        gradient(
            "grad-pow-zero",
            "the gradient of x ** 0",
            "v ** 0",
            given="x = np.array([0.0, 2.0], dtype=np.float32)",
            source="probes C56",
        ),
        gradient(
            "grad-sigmoid-far",
            "the gradient of a sigmoid far out",
            "torch.sigmoid(v)",
            given="x = np.array([-40.0, 40.0], dtype=np.float32)",
            source="probes H99",
        ),
        gradient(
            "grad-norm-zero",
            "the gradient of a norm at 0",
            "v.norm()",
            "jt.sqrt((v * v).sum())",
            given="x = np.zeros(3, dtype=np.float32)",
        ),
        gradient(
            "grad-leaky-relu",
            "the gradient of leaky_relu below 0",
            "F.leaky_relu(v, 0.1)",
            "nn.leaky_relu(v, 0.1)",
            given="x = np.array([-1.0, 0.0, 2.0], dtype=np.float32)",
        ),
        gradient(
            "grad-softmax",
            "the gradient through a softmax",
            "torch.softmax(v, 0) * v",
            "nn.softmax(v, dim=0) * v",
            given=VECTOR,
        ),
        gradient(
            "grad-mask",
            "the gradient through a mask",
            "v[v > 1.5] * 3",
            given=VECTOR,
            source="probes B74",
        ),
        gradient(
            "grad-where",
            "the gradient through where",
            "torch.where(v > 1.5, v * 2, v * 3)",
            "jt.where(v > 1.5, v * 2, v * 3)",
            given=VECTOR,
        ),
        gradient("grad-clamp-inside", "the gradient of clamp", "v.clamp(1.5, 2.5)", given=VECTOR),
        gradient(
            "grad-round", "the gradient of round", "v.round()", given=VECTOR, source="probes G44"
        ),
        gradient("grad-std", "the gradient of std", "v.std()", given=VECTOR),
        gradient(
            "grad-sort",
            "the gradient through sort",
            "v.sort()[0] * torch.arange(3.0)",
            "v.sort()[0] * jt.arange(3).float32()",
            given="x = np.array([3.0, 1.0, 2.0], dtype=np.float32)",
        ),
        gradient("grad-cumsum", "the gradient of cumsum", "torch.cumsum(v, 0)", given=VECTOR),
        Entry(
            "stop-grad-of-parameter",
            "an average of a parameter's values",
            "w = nn.Parameter(x.clone())\ne = w.detach() * 0.9\n(w * w).sum().backward()\n"
            "w.grad is not None",
            "w = x.clone()\ne = w.stop_grad() * 0.9\nw.requires_grad",
            given=VECTOR,
            safe="w = x.clone()\ne = w.detach() * 0.9\nw.requires_grad",
            effect="the parameter is never trained again: averages (EMA) written so end training",
            cause="Var.stop_grad works in place",
            source="JITTOR.md, measured since",
        ),
        Entry(
            "eval-freezes-affine",
            "freezing the statistics of batch normalisation by eval()",
            "m = nn.BatchNorm2d(2)\nm.eval()\nm.weight.requires_grad",
            "m = nn.BatchNorm2d(2)\nm.eval()\nm.weight.requires_grad",
            effect="weight and bias are frozen, too, and train() of the parent makes everything move again",
            source="probes X59, X61",
        ),
        Entry(
            "train-after-freeze",
            "a frozen parameter after eval() and train()",
            "m = nn.Linear(2, 2)\nm.weight.requires_grad = False\nm.eval()\nm.train()\n"
            "m.weight.requires_grad",
            "m = nn.Linear(2, 2)\nm.weight.stop_grad()\nm.eval()\nm.train()\n"
            "m.weight.requires_grad",
            source="probes L15",
        ),
        Entry(
            "requires-grad-in-place",
            "module.requires_grad_(False)",
            "m = nn.Linear(2, 2)\nm.requires_grad_(False)\nm.weight.requires_grad",
            source="probes L17, L18",
            safe="m = nn.Linear(2, 2)\nfor p in m.parameters():\n    p.stop_grad()\n"
            "m.weight.requires_grad",
        ),
        Entry(
            "update-under-no-grad",
            "changing a parameter under no_grad",
            "w = nn.Parameter(x.clone())\nwith torch.no_grad():\n    w *= 0.5\nw.requires_grad",
            "w = x.clone()\nwith jt.no_grad():\n    w.assign(w * 0.5)\nw.requires_grad",
            given=VECTOR,
            safe="w = x.clone()\nw.assign((w * 0.5).detach())\nw.start_grad()\nw.requires_grad",
            effect="it is frozen for good",
            source="probes M07 to M09",
        ),
        Entry(
            "init-under-no-grad",
            "drawing a parameter under no_grad",
            "w = nn.Parameter(x.clone())\nwith torch.no_grad():\n    nn.init.constant_(w, 1.0)\n"
            "w.requires_grad",
            "w = x.clone()\nwith jt.no_grad():\n    init.constant_(w, 1.0)\nw.requires_grad",
            given=VECTOR,
            safe="w = x.clone()\ninit.constant_(w, 1.0)\nw.requires_grad",
            source="probes M30",
        ),
    ),
    "optimisers": (
        Entry(
            "adam-argument-order",
            "Adam's third positional argument",
            f"w = nn.Parameter(x.clone())\no = torch.optim.Adam([w], 0.1, (0.5, 0.9))\n"
            f"{STEP.replace('; ', chr(10))}\nw",
            "w = x.clone()\nw.start_grad()\no = jt.optim.Adam([w], 0.1, (0.5, 0.9))\n"
            "o.step((w * w).sum())\nw",
            given=VECTOR,
            safe="w = x.clone()\nw.start_grad()\no = jt.optim.Adam([w], 0.1, betas=(0.5, 0.9))\n"
            "o.step((w * w).sum())\nw",
            effect="betas are taken for eps",
            source="probes N13",
        ),
        Entry(
            "optimizer-generator",
            "an optimiser of a generator of parameters",
            "len(torch.optim.SGD(nn.Linear(2, 2).parameters(), lr=0.1).param_groups[0]['params'])",
        ),
        Entry(
            "optimizer-generator-expression",
            "an optimiser of a generator expression",
            "m = nn.Linear(2, 2)\n"
            "len(torch.optim.SGD((p for p in m.parameters()), lr=0.1).param_groups[0]['params'])",
            safe="m = nn.Linear(2, 2)\n"
            "len(jt.optim.SGD([p for p in m.parameters()], lr=0.1).param_groups[0]['params'])",
            source="probes N14",
        ),
        Entry(
            "optimizer-default-rate",
            "Adam without a learning rate",
            "torch.optim.Adam([nn.Parameter(x)]).defaults['lr']",
            "jt.optim.Adam([x]).lr",
            given=VECTOR,
            safe="jt.optim.Adam([x], lr=0.001).lr",
            source="probes N15",
        ),
        Entry(
            "rmsprop-steps",
            "two steps of RMSprop",
            f"w = nn.Parameter(x.clone())\no = torch.optim.RMSprop([w], lr=0.1)\nfor _ in range(2):\n"
            f"    {STEP}\nw",
            "w = x.clone()\nw.start_grad()\no = jt.optim.RMSprop([w], lr=0.1)\nfor _ in range(2):\n"
            "    o.step((w * w).sum())\nw",
            given=VECTOR,
        ),
        Entry(
            "rmsprop-momentum",
            "RMSprop(momentum=0.9)",
            "torch.optim.RMSprop([nn.Parameter(x)], lr=0.1, momentum=0.9).defaults['momentum']",
            "jt.optim.RMSprop([x], lr=0.1, momentum=0.9).momentum",
            given=VECTOR,
        ),
        Entry(
            "adam-decay",
            "Adam with weight decay, one step",
            f"w = nn.Parameter(x.clone())\no = torch.optim.Adam([w], lr=0.1, weight_decay=0.5)\n"
            f"{STEP.replace('; ', chr(10))}\nw",
            "w = x.clone()\nw.start_grad()\no = jt.optim.Adam([w], lr=0.1, weight_decay=0.5)\n"
            "o.step((w * w).sum())\nw",
            given=VECTOR,
        ),
        Entry(
            "sgd-nesterov",
            "two steps of SGD with Nesterov's momentum",
            f"w = nn.Parameter(x.clone())\no = torch.optim.SGD([w], lr=0.1, momentum=0.9, nesterov=True)\n"
            f"for _ in range(2):\n    {STEP}\nw",
            "w = x.clone()\nw.start_grad()\no = jt.optim.SGD([w], lr=0.1, momentum=0.9, nesterov=True)\n"
            "for _ in range(2):\n    o.step((w * w).sum())\nw",
            given=VECTOR,
        ),
        Entry(
            "step-zeroes-gradients",
            "gradients after step()",
            f"w = nn.Parameter(x.clone())\no = torch.optim.SGD([w], lr=0.1)\n"
            f"{STEP.replace('; ', chr(10))}\nw.grad",
            "w = x.clone()\nw.start_grad()\no = jt.optim.SGD([w], lr=0.1)\no.step((w * w).sum())\n"
            "w.opt_grad(o)",
            given=VECTOR,
            source="probes N23",
        ),
        Entry(
            "clip-returns-norm",
            "clip_grad_norm's result",
            "w = nn.Parameter(x.clone())\n(w * w).sum().backward()\n"
            "round(float(torch.nn.utils.clip_grad_norm_([w], 1.0)), 4)",
            "w = x.clone()\nw.start_grad()\no = jt.optim.SGD([w], lr=0.1)\no.backward((w * w).sum())\n"
            "o.clip_grad_norm(1.0)",
            given=VECTOR,
            effect="nothing is returned: there is no norm to log",
            source="probes N25",
        ),
        Entry(
            "cosine-annealing",
            "CosineAnnealingLR(T_max=4) over six epochs",
            *rates("CosineAnnealingLR(o, 4)"),
            given=VECTOR,
            source="probes N39",
        ),
        Entry(
            "exponential-lr",
            "ExponentialLR(0.5) over six epochs",
            *rates("ExponentialLR(o, 0.5)"),
            given=VECTOR,
            source="probes N40",
        ),
        Entry(
            "step-lr-one",
            "StepLR(1) over six epochs",
            *rates("StepLR(o, 1)"),
            given=VECTOR,
            source="probes N42",
        ),
        Entry(
            "lambda-lr",
            "LambdaLR",
            *rates("LambdaLR(o, lambda e: 0.5 ** e)"),
            given=VECTOR,
            effect="it is in jittor.optim",
        ),
        Entry(
            "one-cycle",
            "OneCycleLR",
            "o = torch.optim.SGD([nn.Parameter(x)], lr=1.0)\n"
            "torch.optim.lr_scheduler.OneCycleLR(o, 1.0, 10).total_steps",
            "o = jt.optim.SGD([x], lr=1.0)\njt.lr_scheduler.OneCycleLR(o, 1.0, 10).total_steps",
            given=VECTOR,
        ),
    ),
    "modules": (
        Entry(
            "cached-attribute",
            "an array that forward keeps on the module",
            "class M(nn.Module):\n    def forward(self, v):\n        self.last = v * 2\n"
            "        return self.last\nm = M()\nm(x)\nlist(m.state_dict())",
            "class M(nn.Module):\n    def execute(self, v):\n        self.last = v * 2\n"
            "        return self.last\nm = M()\nm(x)\nlist(m.state_dict())",
            given=VECTOR,
            effect="it becomes a parameter and joins state_dict",
            source="probes L07",
            safe="class M(nn.Module):\n    def execute(self, v):\n        self._last = v * 2\n"
            "        return self._last\nm = M()\nm(x)\nlist(m.state_dict())",
        ),
        Entry(
            "tuple-attribute",
            "tables assigned as a tuple",
            "class M(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
            "        self.a, self.b = torch.ones(2), torch.ones(3)\nlen(list(M().parameters()))",
            "class M(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
            "        self.a, self.b = jt.ones(2), jt.ones(3)\nlen(list(M().parameters()))",
            effect="both become parameters",
        ),
        Entry(
            "setattr-attribute",
            "a table set by setattr",
            "m = nn.Module()\nsetattr(m, 'table', torch.ones(2))\nlen(list(m.parameters()))",
            effect="it becomes a parameter",
        ),
        Entry(
            "named-buffers",
            "named_buffers",
            "m = nn.BatchNorm2d(2)\nsorted(n for n, _ in m.named_buffers())",
            source="probes L10",
        ),
        Entry(
            "fresh-training-flag",
            "is a fresh module in training mode",
            "nn.Linear(2, 2).training",
            "nn.Linear(2, 2).is_training()",
            source="probes L11",
            safe="m = nn.Linear(2, 2)\nm.train()\nm.is_training()",
        ),
        Entry(
            "slice-of-sequential",
            "a slice of a Sequential",
            "len(nn.Sequential(nn.ReLU(), nn.ReLU(), nn.ReLU())[:2])",
            source="probes L33",
        ),
        Entry(
            "hook-handle",
            "a forward hook's handle",
            "h = nn.ReLU().register_forward_hook(lambda m, i, o: None)\nhasattr(h, 'remove')",
            source="probes L38",
            minor=True,
        ),
        Entry(
            "module-to",
            "module.to(device)",
            "type(nn.ReLU().to('cpu')).__name__",
            source="probes L40",
        ),
        Entry(
            "class-name",
            "the name of a layer's class",
            "'Conv2d' in type(nn.Conv2d(1, 1, 1)).__name__",
            safe="isinstance(nn.Conv2d(1, 1, 1), nn.Conv2d)",
            effect="Conv2d is another name of Conv, BatchNorm2d of BatchNorm: use isinstance",
            operators="__class__ __name__ weights_init apply",
        ),
        Entry(
            "module-dict",
            "whether a module's __dict__ holds its layers",
            "class M(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
            "        self.layer = nn.Linear(1, 1)\n'layer' in M().__dict__",
            effect="who copies what is in __dict__, as averages of a model do, copies or shares its layers",
            operators="__dict__ vars setattr copy_attr EMA",
        ),
        Entry(
            "module-half",
            "module.half()",
            "str(nn.Linear(2, 2).half().weight.dtype).removeprefix('torch.')",
        ),
        Entry(
            "parameters-is-list",
            "parameters() more than once",
            "p = nn.Linear(2, 2).parameters()\nlen(list(p)) + len(list(p))",
            effect="PyTorch's is a generator, spent after one loop; Jittor's is a list",
            minor=True,
        ),
        Entry(
            "super-forgotten",
            "a module that forgets super().__init__()",
            "class M(nn.Module):\n    def __init__(self):\n        self.a = nn.ReLU()\n"
            "type(M().a).__name__",
            source="probes L41",
        ),
        Entry(
            "module-list-sum",
            "appending to a ModuleList",
            "m = nn.ModuleList()\nm.append(nn.ReLU())\nlen(m)",
        ),
        Entry(
            "apply-function",
            "module.apply",
            "n = []\nnn.Sequential(nn.ReLU(), nn.ReLU()).apply(lambda m: n.append(type(m).__name__))\n"
            "len(n)",
        ),
        Entry(
            "children-order",
            "names of children",
            "[n for n, _ in nn.Sequential(nn.ReLU(), nn.Linear(1, 1)).named_children()]",
        ),
        Entry(
            "state-dict-prefix",
            "names of a Sequential's parameters",
            "list(nn.Sequential(nn.Linear(1, 1)).state_dict())",
        ),
        Entry(
            "strict-false",
            "load_state_dict(strict=False)",
            "nn.Linear(1, 1).load_state_dict({}, strict=False) is not None",
            safe="nn.Linear(1, 1).load_state_dict({}) is None",
        ),
        Entry("zero-grad-method", "module.zero_grad()", "nn.Linear(1, 1).zero_grad() is None"),
        Entry(
            "parameter-count",
            "numbers of all parameters",
            "sum(p.numel() for p in nn.Conv2d(3, 4, 3).parameters())",
        ),
    ),
}
