"""What ports write that reads like PyTorch: around steps, in functions with gradients of their own, in data sets."""

from __future__ import annotations

from parity.atlas.catalogue.supply import loaded
from parity.atlas.entry import Entry

VECTOR = "x = np.array([1, 2, 3], dtype=np.float32)"
TORCH_FUNCTION = """
class Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx, v, scale):
        ctx.save_for_backward(v)
        return v * v * scale
    @staticmethod
    def backward(ctx, g):
        v, = ctx.saved_tensors
        return {0}
"""
JITTOR_FUNCTION = """
class Square(jt.Function):
    def execute(self, v, scale):
        self.saved_tensors = v
        return v * v * scale
    def grad(self, g):
        v = self.saved_tensors{1}
        return {0}
"""
WRITTEN = "2 * v * g, None"
TORCH_GRADIENT = "v = x.clone().requires_grad_()\n{0}.sum().backward()\nv.grad"
JITTOR_GRADIENT = "v = x.clone()\njt.grad({0}.sum(), v)"
TORCH_OPTIMISER = "w = nn.Parameter(x.clone())\no = torch.optim.SGD([w], lr=0.1)\n"
JITTOR_OPTIMISER = "w = x.clone()\nw.start_grad()\no = jt.optim.SGD([w], lr=0.1)\n"
TORCH_SHUFFLED = """
from torch.utils.data import DataLoader, Dataset
class D(Dataset):
    def __init__(self):
        self.shuffle = False
    def __len__(self):
        return 2
    def __getitem__(self, i):
        return i * 10 if self.shuffle else i
"""
JITTOR_SHUFFLED = """
from jittor.dataset import DataLoader, Dataset
class D(Dataset):
    def __init__(self):
        super().__init__()
        self.{0} = False
        self.set_attrs(total_len=2)
    def __getitem__(self, i):
        return i * 10 if self.{0} else i
"""

ENTRIES = {
    "autograd": (
        Entry(
            "function-saved",
            "what a function of one's own saves for its gradient",
            TORCH_FUNCTION.format(WRITTEN) + TORCH_GRADIENT.format("Square.apply(v, 1.0)"),
            JITTOR_FUNCTION.format(WRITTEN, "[0]") + JITTOR_GRADIENT.format("Square()(v, 1.0)"),
            given=VECTOR,
            safe=JITTOR_FUNCTION.format(WRITTEN, "") + JITTOR_GRADIENT.format("Square()(v, 1.0)"),
            effect="saved_tensors is an attribute like any other: [0] of one Var is its first row",
            operators="Function saved_tensors save_for_backward",
        ),
        Entry(
            "function-reused",
            "one function of one's own for two calls",
            TORCH_FUNCTION.format(WRITTEN)
            + TORCH_GRADIENT.format("(Square.apply(v, 1.0) + Square.apply(v * 3, 1.0))"),
            JITTOR_FUNCTION.format(WRITTEN, "")
            + "f = Square()\n"
            + JITTOR_GRADIENT.format("(f(v, 1.0) + f(v * 3, 1.0))"),
            given=VECTOR,
            safe=JITTOR_FUNCTION.format(WRITTEN, "")
            + JITTOR_GRADIENT.format("(Square()(v, 1.0) + Square()(v * 3, 1.0))"),
            effect="an instance keeps what its last call saved: all gradients are that call's",
            operators="Function call",
        ),
        Entry(
            "function-gradients",
            "a gradient too many",
            TORCH_FUNCTION.format("2 * v * g, None, None")
            + TORCH_GRADIENT.format("Square.apply(v, 1.0)"),
            JITTOR_FUNCTION.format("2 * v * g, None, None", "")
            + JITTOR_GRADIENT.format("Square()(v, 1.0)"),
            given=VECTOR,
            safe=JITTOR_FUNCTION.format(WRITTEN, "") + JITTOR_GRADIENT.format("Square()(v, 1.0)"),
            effect="as many as the call has arguments, None for those that are no Vars",
            operators="Function grad",
        ),
        Entry(
            "assign-stopped",
            "giving a parameter a value without gradients",
            "w = nn.Parameter(x.clone())\nkept = w.clone().detach()\nw.data.copy_(kept)\nw.requires_grad",
            "w = x.clone()\nkept = w.clone().stop_grad()\nw.assign(kept)\nw.requires_grad",
            given=VECTOR,
            safe="w = x.clone()\nkept = w.clone().detach()\nw.assign(kept)\nw.requires_grad",
            effect="it is frozen for good, and no optimiser moves it",
            operators="assign stop_grad",
        ),
        Entry(
            "detach-inplace",
            "detaching in place",
            "v = x.clone().requires_grad_()\nv.detach_()\nv.requires_grad",
            "v = x.clone()\nv.stop_grad()\nv.detach_inplace()\nv.requires_grad",
            given=VECTOR,
            safe="v = x.clone()\nv.stop_grad()\nv.requires_grad",
            effect="detach_inplace() is start_grad(): what was frozen can be trained again",
            operators="detach_ detach_inplace",
        ),
    ),
    "optimisers": (
        Entry(
            "clip-after-step",
            "clipping behind step(loss)",
            TORCH_OPTIMISER
            + "(w * w).sum().backward()\ntorch.nn.utils.clip_grad_norm_([w], 1.0)\no.step()\nw",
            JITTOR_OPTIMISER + "o.step((w * w).sum())\no.clip_grad_norm(1.0)\nw",
            given=VECTOR,
            safe=JITTOR_OPTIMISER + "o.backward((w * w).sum())\no.clip_grad_norm(1.0)\no.step()\nw",
            effect="step(loss) has used the gradients by then: nothing is clipped",
            operators="clip_grad_norm step",
        ),
        Entry(
            "optimizer-state",
            "what an optimiser's state holds",
            TORCH_OPTIMISER + "'param_groups' in o.state_dict()",
            JITTOR_OPTIMISER + "'param_groups' in o.state_dict()",
            given=VECTOR,
            safe=JITTOR_OPTIMISER + "'param_groups' in o.state_dict()['defaults']",
            effect="one key, defaults; the groups are in it",
            operators="state_dict param_groups",
        ),
    ),
    "modules": (
        Entry(
            "function-as-layer",
            "an activation among layers",
            "nn.Sequential(nn.ReLU())(x)",
            "nn.Sequential(nn.relu(0))(x)",
            given=VECTOR,
            safe="nn.Sequential(nn.ReLU())(x)",
            effect="nn.relu is a function: of a number it gives an array, which cannot be called",
            operators="relu Sequential",
        ),
        Entry(
            "init-of-data",
            "drawing into .data",
            "w = nn.Parameter(x.clone())\nnn.init.constant_(w.data, 2.0)\nw.detach()",
            "w = x.clone()\ninit.constant_(w.data, 2.0)\nw",
            given=VECTOR,
            safe="w = x.clone()\ninit.constant_(w, 2.0)\nw",
            effect=".data is a NumPy array, without assign and without fill_",
            operators="init constant_ gauss_ data",
        ),
        Entry(
            "var-of-values",
            "jt.var of a list, where jt.Var was meant",
            "torch.autograd.Variable(torch.tensor([1.0, 3.0]))",
            "jt.var([1.0, 3.0])",
            safe="jt.array([1.0, 3.0])",
            effect="var is the variance; of a NumPy array it gives numbers, of a list an error",
            operators="var Var Variable",
        ),
        Entry(
            "save-parameters",
            "saving a module and loading it",
            "import io\nf = io.BytesIO()\ntorch.save(nn.Linear(1, 1).state_dict(), f)\nf.seek(0)\n"
            "nn.Linear(1, 1).load_state_dict(torch.load(f))\n'loaded'",
            "nn.Linear(1, 1).load_parameters(nn.Linear(1, 1).parameters())\n'loaded'",
            safe="nn.Linear(1, 1).load_parameters(nn.Linear(1, 1).state_dict())\n'loaded'",
            effect="parameters() is a list, without the names that loading goes by",
            operators="save parameters load_parameters",
        ),
    ),
    "data": (
        loaded(
            "item-of-one",
            "a label that is an array of one",
            "[list(b.shape) for b in DataLoader([torch.tensor(i) for i in range(5)], batch_size=5)]",
            "D.__getitem__ = lambda self, i: jt.int32(i)\n"
            "[list(b.shape) for b in DataLoader(D(), batch_size=5)]",
            "D.__getitem__ = lambda self, i: i\n[list(b.shape) for b in DataLoader(D(), batch_size=5)]",
            effect="a batch is [n, 1]: compared with predictions of [n] it gives [n, n]",
            operators="Dataset __getitem__ label",
        ),
        Entry(
            "dataset-attribute",
            "a set's own attribute named shuffle",
            TORCH_SHUFFLED
            + "d = DataLoader(D(), batch_size=1, shuffle=True)\n"
            + "sorted(int(b.item()) for b in d)",
            JITTOR_SHUFFLED.format("shuffle")
            + "d = DataLoader(D(), batch_size=1, shuffle=True)\n"
            + "sorted(int(b.item()) for b in d)",
            safe=JITTOR_SHUFFLED.format("shuffled")
            + "d = DataLoader(D(), batch_size=1, shuffle=True)\n"
            + "sorted(int(b.item()) for b in d)",
            effect="it is the loader's: set_attrs(shuffle=True) turns it on in __getitem__, too",
            operators="Dataset shuffle set_attrs",
        ),
    ),
}
