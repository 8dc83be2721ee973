"""Two halves side by side, as `parity lint --pair` has them: what one has and the other has not."""

from __future__ import annotations

import pytest

from tests.commands import lint

REFERENCE = """
import torch
class Net(torch.nn.Module):
    def forward(self, x, scale=0.5):
        y = torch.cat([self.a(x), self.b(x)], 1)
        if scale > 4:
            y = y * 0.25
        return torch.relu(y)
def train(model, optimizer, scheduler, loader):
    for x in loader:
        optimizer.zero_grad()
        model(x).sum().backward()
        optimizer.step()
    scheduler.step()
def unused(x):
    return x.sqrt()
"""
PORT = """
import jittor as jt
class Net(jt.nn.Module):
    def execute(self, x, scale=0.1):
        y = jt.concat([self.a(x), self.b(x)], 1)
        return jt.nn.relu(y * 0.125)
def train(model, optimizer, scheduler, loader):
    for x in loader:
        optimizer.step(model(x).sum())
"""


def test_pairs(tmp_path, capsys):
    reference, port = tmp_path / "torch.py", tmp_path / "jittor.py"
    reference.write_text(REFERENCE)
    port.write_text(PORT)
    code, out, _ = lint(capsys, "--pair", reference, port)
    assert code == 1
    sure = (
        "default of scale is 0.1, the reference has 0.5 [pair-default]",
        "has the numbers 0.125 where the reference has 4, 0.25 [pair-constant]",
        "the reference calls scheduler.step() (line 14), the port never does [pair-call]",
    )
    hints = (
        "0 branches, the reference has 1 [pair-branch]",
        "the reference has unused (line 15), the port has not [pair-function]",
    )
    assert all(told in out for told in sure) and not any(told in out for told in hints), out
    out = lint(capsys, "--hints", "--pair", reference, port)[1]
    assert all(told in out for told in (*sure, *hints)), out
    assert "concat" not in out and "relu" not in out, "a translation is no difference"
    same = tmp_path / "same.py"
    same.write_text(REFERENCE.replace("torch.cat", "jt.concat").replace("forward", "execute"))
    assert lint(capsys, "--pair", reference, same) == (
        0,
        "0 findings in 3 functions compared\n",
        "",
    )
    swapped = REFERENCE.replace(
        "torch.cat([self.a(x), self.b(x)], 1)", "torch.cat([self.b(x), self.a(x)], 1)"
    )
    same.write_text(swapped)
    assert (
        "calls b where the reference calls a [pair-order]"
        in lint(capsys, "--pair", reference, same)[1]
    )


UNLIKE = {  # what each pair is about: reference, port, what is told of it (nothing where they are alike)
    "bound": (
        "def f(x): return x.exp().clamp(max=9)",
        "def f(x): return jt.clamp(x.clamp(max_v=10).exp(), max_v=9.0)",
        "x.clamp() at max=10.0, the reference has no such bound [pair-bound]",
    ),
    "normal values that nothing cuts": (
        "def f(x): nn.init.trunc_normal_(x, std=0.02)",
        "def f(x): init.gauss_(x, 0, 0.02)",
        "",
    ),
    "same bound, given otherwise": (
        "def f(x): return torch.clamp(x, 0, 1)",
        "def f(x): return x.clamp(min_v=0.0, max_v=1.0)",
        "",
    ),
    "small number": (
        "def f(x, s): return x / s.sum()",
        "def f(x, s): return x / (s.sum() + 1e-6)",
        "has 1e-06, which the reference has not [pair-constant]",
    ),
    "bound of another function": (
        "def g(x): return x.clamp(0, 5)\ndef f(x): return g(x).exp()",
        "def g(x): return x\ndef f(x): return g(x).clamp(0, 5).exp()",
        "",
    ),
    "default where the reference has none": ("def f(x, y): pass", "def f(x, y=1): pass", ""),
    "two arrays": (
        "def f(a, b): return torch.max(a, b) - torch.min(a, b).square()",
        "def f(a, b): return jt.maximum(a, b) - jt.sqr(jt.minimum(a, b))",
        "",
    ),
    "layer for a function": (
        "class A:\n def forward(self, x): return F.gelu(self.a(x))",
        "class A:\n def __init__(self): self.act = nn.GELU()\n def execute(self, x): return self.act(self.a(x))",
        "",
    ),
    "own class named as a layer": (
        "class Upsample: pass\nclass A:\n def __init__(self): self.up = Upsample()",
        "class UpSample: pass\nclass A:\n def __init__(self): self.up = UpSample()",
        "",
    ),
    "no dropout": (
        "class A:\n def __init__(self): self.d = nn.Dropout(0.1)\n def forward(self, x): return self.d(x)",
        "class A:\n def execute(self, x): return x",
        "the reference calls self.d() (line 4), the port never does [pair-call]",
    ),
    "the greatest for the mean": (
        "class A:\n def forward(self, x): return F.avg_pool2d(self.a(x), 4)",
        "class A:\n def __init__(self): self.pool = nn.Pool(4)\n def execute(self, x): return self.pool(self.a(x))",
        "the reference calls F.avg_pool2d() (line 3), the port never does [pair-call]",
    ),
    "the mean, given otherwise": (
        "class A:\n def forward(self, x): return F.avg_pool2d(x, 4) + F.max_pool2d(x, 2)",
        "class A:\n def __init__(self): self.p = nn.Pool(4, op='mean')\n"
        " def execute(self, x): return self.p(x) + nn.pool(x, 2, 'maximum')",
        "",
    ),
    "a loss written out": (
        "def f(x, y): return F.binary_cross_entropy_with_logits(x, y) + F.l1_loss(x, y)",
        "def f(x, y): return jt.log(1 + jt.exp(-x)).mean() + jt.abs(x - y).mean()",
        "",
    ),
    "normal for uniform numbers": (
        "def f(n): return torch.rand(n) * 2",
        "def f(n): return jt.init.gauss(n, 'float32') * 2",
        "the reference calls torch.rand() (line 2), the port never does [pair-call]",
    ),
    "padding as a layer": (
        "def f(x): return F.pad(x, (1, 1), value=1)",
        "def f(x): return nn.ConstantPad2d((1, 1), 1)(x)",
        "",
    ),
    "a bound that nothing reaches": (
        "def f(x): return x.clamp(min=0)",
        "def f(x): return x.clamp(min_v=0, max_v=1e5)",
        "",
    ),
    "a layer applied at once": (
        "class A:\n def forward(self, x): return torch.sigmoid(self.b(self.a(x)))",
        "class A:\n def execute(self, x): return nn.Sigmoid()(self.b(self.a(x)))",
        "",
    ),
    "a layer within a sequence": (
        "class A:\n def forward(self, x): return F.relu(self.a(x)) + F.relu(self.b(x))",
        "class A:\n def __init__(self): self.a = nn.Sequential(nn.Conv(1, 1, 1), nn.ReLU())\n"
        " def execute(self, x): return self.a(x) + self.b(x)",
        "",
    ),
    "workers": ("def f(x, num_workers=4): pass", "def f(x, num_workers=0): pass", ""),
    "all frozen": (
        "class A:\n def __init__(self): self.register_buffer('mean', torch.zeros(3))",
        "class A:\n def __init__(self):\n  self.mean = jt.zeros((3,))\n"
        "  for p in self.parameters():\n   p.stop_grad()",
        "",
    ),
    "trained table": (
        "class A:\n def __init__(self): self.table = nn.Parameter(torch.zeros(3), requires_grad=False)",
        "class A:\n def __init__(self): self.table = jt.zeros((3,))",
        "table is trained: the reference has it frozen, or as a buffer [pair-frozen]",
    ),
    "table frozen afterwards": (
        "class A:\n def __init__(self): self.register_buffer('table', torch.zeros(3))",
        "class A:\n def __init__(self): self.table = jt.zeros((3,))\ndef make(): A().table.stop_grad()",
        "",
    ),
    "keywords of an optimiser": (
        "def f(p): return optim.Adam(p, lr=0.1, betas=p.betas, foreach=True)",
        "def f(p): return optim.Adam(params=p, lr=0.1)",
        "optim.Adam() has no betas=, the reference gives it [pair-keyword]",
    ),
    "keywords by their places": (
        "def f(x): return F.cross_entropy(x, x.y, weight=x.w)",
        "def f(x): return nn.cross_entropy_loss(x, x.y, x.w)",
        "",
    ),
    "bytes of a picture": (
        "def f(x): save(x)",
        "def f(x): save((x.numpy() * 255).clip(0, 255), np.clip(x, 0, 9), jt.clamp(x, 0, 255))",
        "",
    ),
    "eleven steps": (
        "def f(): return torch.arange(0.0, 1.01, 0.1)",
        "def f(): return jt.linspace(0.0, 1.0, 11)",
        "",
    ),
    "numbers drawn otherwise": (
        "def f(m): m.weight.data.normal_(0, m.std)",
        "def f(m): m.weight.assign(jt.normal(0, m.std, size=m.weight.shape))",
        "",
    ),
    "an own class that nobody makes": (
        "class Flip: pass\ndef f(): return [Flip()]",
        "class Flip: pass\ndef f(): return []",
        "the reference calls Flip() (line 3), the port never does [pair-call]",
    ),
    "an own class made elsewhere": (
        "class Flip: pass\ndef f(): return [Flip()]",
        "class Flip: pass\ndef g(): return [Flip()]\ndef f(): return g()",
        "",
    ),
    "a crop": (
        "def f(n): return Compose([Resize(n), CenterCrop(n)])",
        "def f(n): return Compose([Resize(n)])",
        "the reference calls CenterCrop() (line 2), the port never does [pair-call]",
    ),
    "class of another name": (
        "class AttentionBlock:\n def forward(self, x): return torch.einsum('ab,cb->ac', x, x).softmax(1)",
        "class AtnBlock:\n def execute(self, x): return jt.matmul(x, x.t()).softmax(1) + 1e-5",
        "AtnBlock.forward: has 1e-05, which the reference has not [pair-constant]",
    ),
}


@pytest.mark.parametrize("case", UNLIKE)
def test_what_two_halves_do_otherwise(tmp_path, capsys, case):
    first, second, told = UNLIKE[case]
    reference, port = tmp_path / "torch.py", tmp_path / "jittor.py"
    reference.write_text(f"import torch\n{first}\n")
    port.write_text(f"import jittor as jt\n{second}\n")
    out = lint(capsys, "--pair", reference, port)[1].splitlines()
    assert len(out) == 1 + bool(told) and told in out[0], out


def test_constructors_of_unlike_classes_are_no_pair(tmp_path, capsys):
    """Methods have few names: that both are constructors says nothing; a class of nearly the same name is the one."""
    reference, port = tmp_path / "torch.py", tmp_path / "jittor.py"
    text = "class {}(nn.Module):\n    def __init__(self):\n        self.sizes = [{}, 160]\n"
    reference.write_text("from torch import nn\n" + text.format("net_b0", 32))
    for name, told in (("Drop", False), ("NetB0", True)):
        port.write_text("from jittor import nn\n" + text.format(name, 64))
        found = lint(capsys, "--hints", "--pair", reference, port)[1]
        assert ("[pair-constant]" in found) == told, found
