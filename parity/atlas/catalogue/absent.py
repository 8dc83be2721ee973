"""What PyTorch has and Jittor has not: each name with code that gives the same."""

from __future__ import annotations

from parity.atlas.entry import Entry

GIVEN = """
x = np.array([[1.0, -2.0, 3.0], [4.0, 0.5, -6.0]], dtype=np.float32)
y = np.array([[0.5, 2.0, -1.0], [1.5, -0.5, 2.0]], dtype=np.float32)
p = np.array([0.1, 0.4, 0.8], dtype=np.float32)
n = np.array([0, 1, 1, 3], dtype=np.int32)
m = np.array([[True, False, True], [False, True, False]])
"""
BOXES = """
a = np.array([[0.0, 0.0, 2.0, 2.0], [1.0, 1.0, 3.0, 4.0]], dtype=np.float32)
b = np.array([[0.0, 1.0, 2.0, 3.0], [4.0, 4.0, 5.0, 5.0], [1.0, 1.0, 3.0, 4.0]], dtype=np.float32)
s = np.array([0.9, 0.2], dtype=np.float32)
"""
AREA_OF = "area = lambda v: (v[:, 2] - v[:, 0]) * (v[:, 3] - v[:, 1])"
IOU = f"""{AREA_OF}
low, high = jt.maximum(a[:, None, :2], b[:, :2]), jt.minimum(a[:, None, 2:], b[:, 2:])
size = (high - low).clamp(0)
inside = size[:, :, 0] * size[:, :, 1]
union = area(a)[:, None] + area(b) - inside
iou = inside / union"""
OPS = "import torchvision.ops as ops\n"

# name: (PyTorch, safe in Jittor)
FUNCTIONS = {
    "tensor": ("torch.tensor([1.5, 2.0])", "jt.array([1.5, 2.0])"),
    "as-tensor": ("torch.as_tensor([1.5, 2.0])", "jt.array([1.5, 2.0])"),
    "from-numpy": ("torch.from_numpy(np.ones(2, np.float32))", "jt.array(np.ones(2, np.float32))"),
    "empty-like": ("list(torch.empty_like(x).shape)", "list(jt.zeros_like(x).shape)"),
    "softmax": ("torch.softmax(x, 1)", "nn.softmax(x, dim=1)"),
    "allclose": ("torch.allclose(x, x + 1e-9)", "bool(np.allclose(x.numpy(), (x + 1e-9).numpy()))"),
    "isclose": ("torch.isclose(x, y)", "(x - y).abs() <= 1e-8 + 1e-5 * y.abs()"),
    "amax": ("torch.amax(x, 1)", "x.max(1)"),
    "amin": ("torch.amin(x, 1)", "x.min(1)"),
    "aminmax": ("list(torch.aminmax(x))", "[x.min(), x.max()]"),
    "count-nonzero": ("torch.count_nonzero(n)", "(n != 0).int32().sum()"),
    "bincount": ("torch.bincount(n)", "(n[:, None] == jt.arange(4)).int32().sum(0)"),
    "diff": ("torch.diff(x, dim=1)", "x[:, 1:] - x[:, :-1]"),
    "dot": ("torch.dot(p, p)", "(p * p).sum()"),
    "mm": ("torch.mm(x, y.t())", "jt.matmul(x, y.transpose(1, 0))"),
    "mv": ("torch.mv(x, p)", "(x * p).sum(1)"),
    "addmm": ("torch.addmm(x @ y.t(), x, y.t())", "2 * jt.matmul(x, y.transpose(1, 0))"),
    "inner": ("torch.inner(x, y)", "jt.matmul(x, y.transpose(1, 0))"),
    "eq": ("torch.eq(x, y)", "x == y"),
    "ge": ("torch.ge(x, y)", "x >= y"),
    "gt": ("torch.gt(x, y)", "x > y"),
    "le": ("torch.le(x, y)", "x <= y"),
    "lt": ("torch.lt(x, y)", "x < y"),
    "neg": ("torch.neg(x)", "-x"),
    "sign": ("torch.sign(x)", "nn.sign(x)"),
    "square": ("torch.square(x)", "x * x"),
    "reciprocal": ("torch.reciprocal(x)", "1 / x"),
    "log1p": ("torch.log1p(p)", "jt.log(1 + p)"),
    "log10": ("torch.log10(p)", "jt.log(p) / float(np.log(10))"),
    "logit": ("torch.logit(p)", "jt.log(p / (1 - p))"),
    "logaddexp": ("torch.logaddexp(x, y)", "nn.logsumexp(jt.stack([x, y], 0), 0)"),
    "exp2": ("torch.exp2(x)", "jt.pow(2.0, x)"),
    "xlogy": ("torch.xlogy(p, p)", "p * jt.log(p)"),
    "trunc": ("torch.trunc(x)", "nn.sign(x) * x.abs().floor()"),
    "frac": ("torch.frac(x)", "x - nn.sign(x) * x.abs().floor()"),
    "fmod": ("torch.fmod(x, 2.0)", "x - 2.0 * (nn.sign(x / 2.0) * (x / 2.0).abs().floor())"),
    "remainder": ("torch.remainder(x, 2.0)", "x - 2.0 * (x / 2.0).floor()"),
    "clip": ("torch.clip(x, -1, 1)", "jt.clamp(x, -1, 1)"),
    "heaviside": ("torch.heaviside(x, y)", "jt.ternary(x > 0, jt.ones_like(x), jt.zeros_like(x))"),
    "hstack": ("torch.hstack([x, y])", "jt.concat([x, y], 1)"),
    "vstack": ("torch.vstack([x, y])", "jt.concat([x, y], 0)"),
    "column-stack": ("torch.column_stack([p, p])", "jt.stack([p, p], 1)"),
    "movedim": ("torch.movedim(x[None], 0, 2)", "x[None].permute(1, 2, 0)"),
    "swapaxes": ("torch.swapaxes(x, 0, 1)", "x.transpose(1, 0)"),
    "narrow": ("torch.narrow(x, 1, 1, 2)", "x[:, 1:3]"),
    "select": ("torch.select(x, 1, 0)", "x[:, 0]"),
    "take": ("torch.take(x, torch.tensor([0, 4]))", "x.reshape(-1)[jt.array([0, 4])]"),
    "take-along-dim": (
        "torch.take_along_dim(x, torch.tensor([[0], [2]]), 1)",
        "jt.gather(x, 1, jt.array([[0], [2]]))",
    ),
    "masked-select": ("torch.masked_select(x, m)", "x[m]"),
    "index-add": (
        "torch.index_add(x, 0, torch.tensor([1]), y[:1])",
        "x + jt.concat([jt.zeros_like(y[:1]), y[:1]], 0)",
    ),
    "scatter-add": (
        "torch.scatter_add(x, 1, torch.tensor([[0], [2]]), y[:, :1])",
        "jt.scatter(x, 1, jt.array([[0], [2]]), y[:, :1], reduce='add')",
    ),
    "ravel": ("torch.ravel(x)", "x.reshape(-1)"),
    "numel": ("torch.numel(x)", "x.numel()"),
    "tile": ("torch.tile(x, (2, 1))", "x.repeat(2, 1)"),
    "broadcast-to": ("torch.broadcast_to(p, (2, 3))", "p.expand(2, 3)"),
    "rot90": ("torch.rot90(x)", "jt.flip(x.transpose(1, 0), 0)"),
    "fliplr": ("torch.fliplr(x)", "jt.flip(x, 1)"),
    "flipud": ("torch.flipud(x)", "jt.flip(x, 0)"),
    "trace": ("torch.trace(x[:, :2])", "(x[:, :2] * jt.array(np.eye(2, dtype=np.float32))).sum()"),
    "eye": ("torch.eye(2)", "jt.array(np.eye(2, dtype=np.float32))"),
    "diag-embed": ("torch.diag_embed(p)", "jt.diag(p)"),
    "cartesian-prod": (
        "torch.cartesian_prod(p, p)",
        "jt.stack([v.reshape(-1) for v in jt.meshgrid(p, p)], 1)",
    ),
    "tril-indices": (
        "torch.tril_indices(3, 3)",
        "jt.array(np.stack(np.tril_indices(3)).astype(np.int32))",
    ),
    "std-mean": ("list(torch.std_mean(x))", "[jt.std(x), x.mean()]"),
    "var-mean": ("list(torch.var_mean(x))", "[x.var(unbiased=True), x.mean()]"),
    "nansum": (
        "torch.nansum(torch.where(m, x, float('nan')))",
        "jt.ternary(m, x, jt.zeros_like(x)).sum()",
    ),
    "quantile": (
        "torch.quantile(p, 0.5)",
        "jt.array(np.quantile(p.numpy(), 0.5).astype(np.float32))",
    ),
    "mode": ("int(torch.mode(n)[0])", "int(np.bincount(n.numpy()).argmax())"),
    "cummax": (
        "torch.cummax(p, 0)[0]",
        "jt.array(np.maximum.accumulate(p.numpy()))",
    ),
    "unique-consecutive": (
        "torch.unique_consecutive(n)",
        "n[jt.concat([jt.array([True]), n[1:] != n[:-1]])]",
    ),
    "bucketize": ("torch.bucketize(p, p)", "(p[:, None] > p[None]).int32().sum(1)"),
    "cosine-similarity": (
        "torch.cosine_similarity(x, y, 1)",
        "(x * y).sum(1) / jt.sqrt((x * x).sum(1) * (y * y).sum(1))",
    ),
    "pairwise-distance": (
        "torch.pairwise_distance(x, y)",
        "jt.sqrt(((x - y + 1e-6) * (x - y + 1e-6)).sum(1))",
    ),
    "manual-seed": (
        "torch.manual_seed(1); a = torch.rand(2); torch.manual_seed(1); bool((a == torch.rand(2)).all())",
        "jt.set_global_seed(1); a = jt.rand(2).numpy(); jt.set_global_seed(1); "
        "bool((a == jt.rand(2).numpy()).all())",
    ),
    "inverse": ("torch.inverse(x[:, :2])", "jt.array(np.linalg.inv(x[:, :2].numpy()))"),
}
METHODS = {
    "bmm": ("x[None].bmm(y[None].transpose(1, 2))", "jt.bmm(x[None], y[None].transpose(1, 2))"),
    "mm": ("x.mm(y.t())", "jt.matmul(x, y.transpose(1, 0))"),
    "amax": ("x.amax(1)", "x.max(1)"),
    "clip": ("x.clip(-1, 1)", "x.clamp(-1, 1)"),
    "copy-": ("z = x.clone(); z.copy_(y); z", "z = x.clone(); z.assign(y); z"),
    "div-": ("z = x.clone(); z.div_(2.0); z", "z = x / 2.0; z"),
    "floor-": ("z = x.clone(); z.floor_(); z", "z = x.floor(); z"),
    "log-": ("z = p.clone(); z.log_(); z", "z = p.log(); z"),
    "neg": ("x.neg()", "-x"),
    "sign": ("x.sign()", "nn.sign(x)"),
    "square": ("x.square()", "x * x"),
    "eq": ("x.eq(1.0)", "x == 1.0"),
    "gt": ("x.gt(1.0)", "x > 1.0"),
    "le": ("x.le(1.0)", "x <= 1.0"),
    "dot": ("p.dot(p)", "(p * p).sum()"),
    "log1p": ("p.log1p()", "jt.log(1 + p)"),
    "logit": ("p.logit()", "jt.log(p / (1 - p))"),
    "masked-select": ("x.masked_select(m)", "x[m]"),
    "index-add": (
        "x.index_add(0, torch.tensor([0]), y[:1])",
        "x + jt.concat([y[:1], jt.zeros_like(y[:1])], 0)",
    ),
    "fill-diagonal-": (
        "z = torch.zeros(2, 2); z.fill_diagonal_(1.0); z",
        "z = jt.array(np.eye(2, dtype=np.float32)); z",
    ),
    "diagonal": ("x[:, :2].diagonal()", "jt.diagonal(x[:, :2])"),
    "new-tensor": ("x.new_tensor([1.0])", "jt.array([1.0]).cast(x.dtype)"),
    "type": ("x.type(torch.int32)", "x.int32()"),
    "byte": ("m.byte()", "m.uint8()"),
    "short": ("n.short()", "n.int16()"),
    "requires-grad-": (
        "z = x.clone().requires_grad_(); z.requires_grad",
        "z = x.clone(); z.start_grad(); z.requires_grad",
    ),
    "ravel": ("x.ravel()", "x.reshape(-1)"),
    "narrow": ("x.narrow(1, 0, 2)", "x[:, 0:2]"),
    "tile": ("x.tile(2, 1)", "x.repeat(2, 1)"),
    "reshape-as": ("x.reshape_as(y)", "x.reshape(y.shape)"),
    "unfold": ("p.unfold(0, 2, 1)", "jt.stack([p[0:2], p[1:3]], 0)"),
    "nelement": ("x.nelement()", "x.numel()"),
    "mT": ("x[None].mT", "x[None].transpose(1, 2)"),
    "scatter-add-": (
        "z = x.clone(); z.scatter_add_(1, torch.tensor([[0], [2]]), y[:, :1]); z",
        "z = jt.scatter(x, 1, jt.array([[0], [2]]), y[:, :1], reduce='add'); z",
    ),
    "swapaxes": ("x.swapaxes(0, 1)", "x.transpose(1, 0)"),
    "true-divide": ("x.true_divide(2)", "x / 2"),
    "trunc": ("x.trunc()", "nn.sign(x) * x.abs().floor()"),
}
LAYERS = {
    "ModuleDict": (
        "nn.ModuleDict({'a': nn.ReLU()})['a'](x)",
        "nn.ModuleList([nn.ReLU()])[0](x)",
    ),
    "LogSoftmax": ("nn.LogSoftmax(1)(x)", "nn.log_softmax(x, dim=1)"),
    "SmoothL1Loss": ("nn.SmoothL1Loss()(x, y)", "nn.smooth_l1_loss(x, y)"),
    "NLLLoss": (
        "nn.NLLLoss()(torch.log_softmax(x, 1), torch.tensor([0, 1]))",
        "nn.nll_loss(nn.log_softmax(x, dim=1), jt.array([0, 1]))",
    ),
    "Hardswish": ("nn.Hardswish()(x)", "x * (x + 3).clamp(0, 6) / 6"),
    "Hardsigmoid": ("nn.Hardsigmoid()(x)", "(x + 3).clamp(0, 6) / 6"),
    "Softmax2d": ("nn.Softmax2d()(x[:, :, None, None])", "nn.softmax(x[:, :, None, None], dim=1)"),
    "Softsign": ("nn.Softsign()(x)", "x / (1 + x.abs())"),
    "SELU": (
        "nn.SELU()(x)",
        "1.0507009873554805 * jt.ternary(x > 0, x, 1.6732632423543772 * (jt.exp(x) - 1))",
    ),
    "GLU": ("nn.GLU(1)(x[:, :2])", "x[:, :1] * jt.sigmoid(x[:, 1:2])"),
    "Unflatten": ("nn.Unflatten(1, (3, 1))(x)", "x.reshape(2, 3, 1)"),
    "CosineSimilarity": (
        "nn.CosineSimilarity(1)(x, y)",
        "(x * y).sum(1) / jt.sqrt((x * x).sum(1) * (y * y).sum(1))",
    ),
    "MaxPool1d": (
        "nn.MaxPool1d(2)(p[None, None])",
        "p[0:2].reshape(1, 1, 2).max(2, keepdims=True)",
    ),
    "AvgPool1d": (
        "nn.AvgPool1d(2)(p[None, None])",
        "p[0:2].reshape(1, 1, 2).mean(2, keepdims=True)",
    ),
    "MultiheadAttention": (
        "nn.MultiheadAttention(4, 2).num_heads",
        "jt.attention.MultiheadAttention(4, 2).num_heads",
    ),
    "HuberLoss": (
        "nn.HuberLoss()(x, y)",
        "d = (x - y).abs(); jt.ternary(d < 1, 0.5 * d * d, d - 0.5).mean()",
    ),
    "SyncBatchNorm": (
        "nn.SyncBatchNorm(3).num_features",
        "nn.BatchNorm(3, sync=True).num_features",
    ),
    "DataParallel": ("nn.DataParallel(nn.ReLU())(x)", "nn.ReLU()(x)"),
    "RMSNorm": (
        "nn.RMSNorm(3, eps=1e-6)(x)",
        "x / jt.sqrt((x * x).mean(1, keepdims=True) + 1e-6)",
    ),
    "F-cross_entropy": (
        "F.cross_entropy(x, torch.tensor([0, 1]))",
        "nn.cross_entropy_loss(x, jt.array([0, 1]))",
    ),
    "F-binary_cross_entropy": (
        "F.binary_cross_entropy(p, 1 - p)",
        "nn.bce_loss(p, 1 - p)",
    ),
    "F-kl_div": (
        "F.kl_div(torch.log(p), 1 - p, reduction='sum')",
        "((1 - p) * (jt.log(1 - p) - jt.log(p))).sum()",
    ),
    "F-normalize": ("F.normalize(x, dim=1)", "jt.normalize(x, dim=1)"),
    "F-logsigmoid": ("F.logsigmoid(x)", "nn.log_sigmoid(x)"),
    "F-hardsigmoid": ("F.hardsigmoid(x)", "(x + 3).clamp(0, 6) / 6"),
    "F-glu": ("F.glu(x[:, :2], 1)", "x[:, :1] * jt.sigmoid(x[:, 1:2])"),
    "F-sigmoid": ("F.sigmoid(x)", "jt.sigmoid(x)"),
    "F-adaptive_avg_pool2d": (
        "F.adaptive_avg_pool2d(x[None, None], 1)",
        "nn.AdaptiveAvgPool2d(1)(x[None, None])",
    ),
    "F-pixel_shuffle": (
        "F.pixel_shuffle(torch.arange(4.0).reshape(1, 4, 1, 1), 2)",
        "nn.PixelShuffle(2)(jt.arange(4).float32().reshape(1, 4, 1, 1))",
    ),
    "F-scaled_dot_product_attention": (
        "F.scaled_dot_product_attention(x[None], y[None], y[None])",
        "jt.bmm(nn.softmax(jt.bmm(x[None], y[None].transpose(1, 2)) / 3 ** 0.5, dim=2), y[None])",
    ),
    "init-zeros_": ("w = x.clone(); nn.init.zeros_(w); w", "w = x.clone(); init.zero_(w); w"),
    "init-ones_": ("w = x.clone(); nn.init.ones_(w); w", "w = x.clone(); init.one_(w); w"),
    "init-xavier_normal_": (
        "w = torch.zeros(60, 60); nn.init.xavier_normal_(w); round(float(w.std()), 1)",
        "w = jt.zeros((60, 60)); init.xavier_gauss_(w); round(float(w.std().item()), 1)",
    ),
    "init-orthogonal_": (
        "w = torch.zeros(2, 2); nn.init.orthogonal_(w); (w @ w.t()).round()",
        "w = jt.array(np.linalg.qr(np.random.rand(2, 2))[0].astype(np.float32)); "
        "jt.matmul(w, w.transpose(1, 0)).round()",
    ),
}
VISION = {
    "box_area": ("ops.box_area(a)", f"{AREA_OF}\narea(a)"),
    "box_iou": ("ops.box_iou(a, b)", f"{IOU}\niou"),
    "generalized_box_iou": (
        "ops.generalized_box_iou(a, b)",
        f"{IOU}\nouter = jt.maximum(a[:, None, 2:], b[:, 2:]) - jt.minimum(a[:, None, :2], b[:, :2])\n"
        "hull = outer[:, :, 0] * outer[:, :, 1]\niou - (hull - union) / hull",
    ),
    "box_convert": (
        "ops.box_convert(a, 'xyxy', 'cxcywh')",
        "jt.concat([(a[:, :2] + a[:, 2:]) / 2, a[:, 2:] - a[:, :2]], 1)",
    ),
    "clip_boxes_to_image": (
        "ops.clip_boxes_to_image(a, (2, 3))",
        "jt.concat([a[:, 0::2].clamp(0, 3)[:, 0:1], a[:, 1::2].clamp(0, 2)[:, 0:1], "
        "a[:, 0::2].clamp(0, 3)[:, 1:2], a[:, 1::2].clamp(0, 2)[:, 1:2]], 1)",
    ),
    "remove_small_boxes": (
        "ops.remove_small_boxes(a, 2.5)",
        "((a[:, 2] - a[:, 0] >= 2.5) & (a[:, 3] - a[:, 1] >= 2.5)).nonzero().reshape(-1)",
    ),
    "batched_nms": (
        "ops.batched_nms(a, s, torch.tensor([0, 1]), 0.1)",
        "c, order = jt.array([0, 1]), jt.argsort(s, descending=True)[0]\n"
        "v = (a + c[:, None] * 100.0)[order]\n"
        "low, high = jt.maximum(v[:, None, :2], v[:, :2]), jt.minimum(v[:, None, 2:], v[:, 2:])\n"
        "size = (high - low).clamp(0).numpy()\n"
        "inside = size[:, :, 0] * size[:, :, 1]\n"
        "own = np.diagonal(inside)\n"
        "overlaps = inside / (own[:, None] + own - inside) > 0.1\n"
        "keep = []\n"
        "for i in range(len(own)):\n    keep += [i] if not overlaps[i, keep].any() else []\n"
        "order[jt.array(keep)]",
    ),
    "sigmoid_focal_loss": (
        "ops.sigmoid_focal_loss(s, s, reduction='sum')",
        "p = jt.sigmoid(s)\nce = -(s * jt.log(p) + (1 - s) * jt.log(1 - p))\n"
        "pt = p * s + (1 - p) * (1 - s)\nat = 0.25 * s + 0.75 * (1 - s)\n"
        "(at * ce * (1 - pt) * (1 - pt)).sum()",
    ),
    "masks_to_boxes": (
        "ops.masks_to_boxes(torch.ones(1, 2, 3))",
        "rows, columns = np.nonzero(jt.ones((2, 3)).numpy())\n"
        "jt.array(np.array([[columns.min(), rows.min(), columns.max(), rows.max()]], np.float32))",
    ),
    "FrozenBatchNorm2d": (
        "ops.FrozenBatchNorm2d(4)(a[:, :, None, None])",
        "scale = jt.rsqrt(jt.ones((4,)).stop_grad() + 1e-5)\na[:, :, None, None] * scale.reshape(1, 4, 1, 1)",
    ),
}


def _listed(prefix: str, what: str, table: dict, given: str, head: str = "") -> tuple[Entry, ...]:
    """One entry for each row; Jittor's side is PyTorch's text with `jt` for `torch`."""
    return tuple(
        Entry(
            f"{prefix}{name.replace('_', '-').rstrip('-')}{'-in-place' if name.endswith('-') else ''}",
            f"{what} {name.rstrip('-').replace('-', '_')}{'_' if name.endswith('-') else ''}",
            split(head + torch),
            jittor_text(head + torch),
            given=given,
            safe=split(safe),
            effect="missing: an error at the first call",
        )
        for name, (torch, safe) in table.items()
    )


def split(code: str) -> str:
    return code.replace("; ", "\n")


def jittor_text(code: str) -> str:
    text = split(code).replace("import torchvision.ops as ops", "import jittor.misc as ops")
    return text.replace("F.", "nn.").replace("nn.init.", "init.").replace("torch.", "jt.")


ENTRIES = {
    "names": (
        Entry(
            "name-missing",
            "names that Jittor has not, looked up at once",
            "[hasattr(torch, n) for n in ('tensor', 'cdist', 'softmax', 'from_numpy', 'device')]",
            effect="an error where the line is reached: in a branch that tests leave out, much later",
            operators="tensor cdist softmax from_numpy device hasattr",
        ),
        Entry(
            "keyword-unknown",
            "keywords that Jittor's namesake has not",
            "torch.zeros_like(p, device='cpu')",
            given=GIVEN,
            safe="jt.zeros_like(p)",
            effect="an error: device=, inplace=, reduction=, keepdim= ... (see the namesakes' signatures)",
            operators="device inplace reduction keepdim dims",
        ),
        *_listed("no-", "torch has no namesake in jittor:", FUNCTIONS, GIVEN),
        *_listed("no-method-", "a Var has no method", METHODS, GIVEN),
        *_listed("no-layer-", "no namesake in jittor.nn or init:", LAYERS, GIVEN),
        *_listed("no-ops-", "no namesake of torchvision.ops:", VISION, BOXES, OPS),
    ),
}
