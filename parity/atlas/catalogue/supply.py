"""Data: datasets and loaders, transforms of images, random numbers, files, and what is evaluated when."""

from __future__ import annotations

from parity.atlas.entry import Entry

PICTURE = """
np_image = (np.arange(48) * 5 % 256).reshape(4, 4, 3).astype(np.uint8)
"""
TORCH_T = "from torchvision import transforms as T\nfrom PIL import Image\nimage = Image.fromarray(np_image)\n"
JITTOR_T = (
    "from jittor import transform as T\nfrom PIL import Image\nimage = Image.fromarray(np_image)\n"
)
TORCH_DATA = """
from torch.utils.data import DataLoader, Dataset
class D(Dataset):
    def __len__(self):
        return 5
    def __getitem__(self, i):
        return float(i), i
"""
JITTOR_DATA = """
from jittor.dataset import DataLoader, Dataset
class D(Dataset):
    def __init__(self):
        super().__init__()
        self.set_attrs(total_len=5)
    def __getitem__(self, i):
        return float(i), i
"""
SHOW = "np.asarray({0}).astype(np.float64).round(4).reshape(-1)[:12].tolist()"


def picture(id: str, title: str, torch: str, jittor: str = "", safe: str = "", **more) -> Entry:
    """A transform of one image of 4x4 pixels: `torch` and `jittor` are expressions in T and image."""
    return Entry(
        id,
        title,
        TORCH_T + SHOW.format(torch),
        JITTOR_T + SHOW.format(jittor or torch),
        given=PICTURE,
        safe=JITTOR_T + SHOW.format(safe) if safe else "",
        **more,
    )


def loaded(id: str, title: str, torch: str, jittor: str = "", safe: str = "", **more) -> Entry:
    """What comes of a set of five numbers in a loader."""
    return Entry(
        id,
        title,
        TORCH_DATA + torch,
        JITTOR_DATA + (jittor or torch),
        safe=JITTOR_DATA + safe if safe else "",
        **more,
    )


ENTRIES = {
    "data": (
        picture(
            "to-tensor",
            "ToTensor",
            "T.ToTensor()(image)",
            effect="NumPy's array instead of a tensor: call jt.array",
        ),
        picture(
            "normalize-name",
            "Normalize",
            "T.Normalize([0.5] * 3, [0.2] * 3)(T.ToTensor()(image))",
            safe="T.ImageNormalize([0.5] * 3, [0.2] * 3)(T.ToTensor()(image))",
        ),
        picture("resize-square", "Resize((2, 2))", "T.Resize((2, 2))(image)"),
        picture(
            "resize-short-side",
            "Resize(2) of an image of 4x2",
            "list(T.Resize(2)(image.crop((0, 0, 2, 4))).size)",
            effect="PyTorch keeps the proportions, the short side becomes 2",
        ),
        picture(
            "resize-interpolation",
            "Resize(interpolation=...)",
            "T.Resize((2, 2), interpolation=T.InterpolationMode.NEAREST)(image)",
            safe="T.Resize((2, 2), mode=Image.NEAREST)(image)",
            effect="the keyword is mode",
        ),
        picture("center-crop", "CenterCrop(2)", "T.CenterCrop(2)(image)"),
        picture(
            "horizontal-flip", "RandomHorizontalFlip(1.0)", "T.RandomHorizontalFlip(1.0)(image)"
        ),
        picture(
            "grayscale-name",
            "Grayscale",
            "T.Grayscale()(image)",
            safe="T.Gray()(image) * 255",
            effect="Gray gives an array between 0 and 1, or is missing under PyTorch's name",
        ),
        picture(
            "pad-transform",
            "Pad(1)",
            "T.Pad(1)(image)",
            safe="np.pad(np.asarray(image), ((1, 1), (1, 1), (0, 0)))",
        ),
        picture(
            "random-crop-padding",
            "RandomCrop(4, padding=0)",
            "T.RandomCrop(4, padding=0)(image)",
            safe="T.RandomCrop(4)(image)",
        ),
        picture("color-jitter-nothing", "ColorJitter without change", "T.ColorJitter()(image)"),
        picture("compose-empty", "Compose of nothing", "T.Compose([])(image)"),
        picture("to-pil", "ToPILImage of an array", "T.ToPILImage()(np_image)"),
        Entry(
            "to-pil-tensor",
            "ToPILImage of a tensor",
            "from torchvision import transforms as T\nlist(T.ToPILImage()(x).size)",
            "from jittor import transform as T\nlist(T.ToPILImage()(x).size)",
            given="x = np.zeros((3, 4, 5), dtype=np.float32)",
            safe="from jittor import transform as T\n"
            "list(T.ToPILImage()(x.transpose(1, 2, 0)).size)",
            effect="[H, W, C] is wanted of a Var, too",
        ),
        picture("random-erasing", "RandomErasing", "T.RandomErasing(0.0)(T.ToTensor()(image))"),
        picture("gaussian-blur", "GaussianBlur", "T.GaussianBlur(3, 1.0)(image).size"),
        loaded(
            "loader-batches",
            "batches of five in twos",
            "[len(b[0]) for b in DataLoader(D(), batch_size=2)]",
        ),
        loaded(
            "loader-drop-last",
            "drop_last=True",
            "[len(b[0]) for b in DataLoader(D(), batch_size=2, drop_last=True)]",
        ),
        loaded(
            "loader-values",
            "what a batch of numbers becomes",
            "next(iter(DataLoader(D(), batch_size=2)))",
            minor=True,
        ),
        loaded("loader-length", "the length of a loader", "len(DataLoader(D(), batch_size=2))"),
        loaded(
            "loader-collate",
            "collate_fn",
            "[len(b) for b in DataLoader(D(), batch_size=2, collate_fn=lambda v: v)]",
            "[len(b) for b in DataLoader(D(), batch_size=2, collate_fn=lambda v: v)]",
        ),
        loaded(
            "loader-sampler",
            "a sampler",
            "[int(v) for b in DataLoader(D(), sampler=[3, 1]) for v in b[1]]",
        ),
        loaded(
            "loader-pin-memory",
            "pin_memory=False",
            "len(DataLoader(D(), batch_size=1, pin_memory=False))",
            safe="len(DataLoader(D(), batch_size=1))",
        ),
        loaded(
            "loader-default-batch",
            "a loader without a batch size",
            "len(DataLoader(D()))",
            safe="len(DataLoader(D(), batch_size=1))",
            effect="16 at a time instead of 1",
        ),
        Entry(
            "loader-numpy-number",
            "a set that gives NumPy's numbers",
            TORCH_DATA.replace("float(i)", "np.float32(i)")
            + "next(iter(DataLoader(D(), batch_size=2)))[0]",
            JITTOR_DATA.replace("float(i)", "np.float32(i)")
            + "next(iter(DataLoader(D(), batch_size=2)))[0]",
            safe=JITTOR_DATA + "next(iter(DataLoader(D(), batch_size=2)))[0]",
            effect="refused by the collation: give Python's numbers or arrays",
        ),
        loaded(
            "dataset-length",
            "the length of a set with batches set on it",
            "len(D())",
            "len(D().set_attrs(batch_size=2))",
            safe="D().set_attrs(batch_size=2).total_len",
            effect="Jittor counts batches, PyTorch items",
        ),
        Entry(
            "dataset-own-length",
            "a set that says its length by __len__ only",
            TORCH_DATA + "len(list(DataLoader(D(), batch_size=1)))",
            TORCH_DATA.replace("torch.utils.data", "jittor.dataset")
            + "len(list(DataLoader(D(), batch_size=1)))",
            safe=JITTOR_DATA + "len(list(DataLoader(D(), batch_size=1)))",
            effect="the set needs set_attrs(total_len=...)",
        ),
        Entry(
            "loader-own-length",
            "the length of a loader of a set that has a __len__",
            TORCH_DATA + "len(DataLoader(D(), batch_size=2))",
            TORCH_DATA.replace("torch.utils.data", "jittor.dataset")
            + "len(DataLoader(D(), batch_size=2))",
            safe=JITTOR_DATA + "len(DataLoader(D(), batch_size=2))",
            effect="a loader is its set, whose __len__ counts items: say set_attrs(total_len=...)",
        ),
        Entry(
            "tensor-dataset",
            "TensorDataset",
            "from torch.utils.data import TensorDataset\n"
            "[float(v) for v in TensorDataset(x, x)[1]]",
            "from jittor.dataset import TensorDataset\n[float(v) for v in TensorDataset(x, x)[1]]",
            given="x = np.array([1.0, 2.0], dtype=np.float32)",
        ),
        Entry(
            "random-split",
            "random_split",
            "from torch.utils.data import random_split\n"
            "[len(p) for p in random_split(range(5), [3, 2])]",
            "from jittor.dataset import random_split\n"
            "[len(p) for p in random_split(range(5), [3, 2])]",
            safe="order = jt.randperm(5).numpy().tolist()\n[len(order[:3]), len(order[3:])]",
        ),
        Entry(
            "subset",
            "Subset",
            "from torch.utils.data import Subset\nSubset([5, 6, 7], [2])[0]",
            "from jittor.dataset import Subset\nSubset([5, 6, 7], [2])[0]",
            safe="[5, 6, 7][[2][0]]",
        ),
        Entry(
            "concat-dataset",
            "ConcatDataset",
            "from torch.utils.data import ConcatDataset\nlen(ConcatDataset([[1], [2, 3]]))",
            "from jittor.dataset import ConcatDataset\nlen(ConcatDataset([[1], [2, 3]]))",
            safe="len([1] + [2, 3])",
        ),
        Entry(
            "distributed-sampler",
            "DistributedSampler",
            "from torch.utils.data.distributed import DistributedSampler\n"
            "len(list(DistributedSampler(range(4), 2, 0)))",
            "from jittor.dataset import DistributedSampler\n"
            "len(list(DistributedSampler(range(4), 2, 0)))",
            effect="Jittor divides batches by itself under MPI",
        ),
    ),
    "random": (
        Entry(
            "multinomial-type",
            "multinomial's type",
            "str(torch.multinomial(p, 1).dtype).removeprefix('torch.')",
            "str(jt.multinomial(p, 1).dtype)",
            given="p = np.array([0.0, 1.0], dtype=np.float32)",
            source="probes O19",
            minor=True,
        ),
        Entry(
            "generator",
            "a generator of its own",
            "g = torch.Generator()\ng.manual_seed(1)\nlist(torch.rand(2, generator=g).shape)",
            "g = jt.Generator()\nlist(jt.rand(2).shape)",
            safe="g = np.random.RandomState(1)\nlist(jt.array(g.rand(2)).shape)",
            source="probes O26",
        ),
        Entry(
            "rng-state",
            "keeping the state of random numbers",
            "s = torch.get_rng_state()\na = torch.rand(2)\ntorch.set_rng_state(s)\n"
            "bool((a == torch.rand(2)).all())",
            "s = jt.get_rng_state()\na = jt.rand(2)\njt.set_rng_state(s)\n"
            "bool((a == jt.rand(2)).all())",
            source="probes O27",
            effect="a resumed run draws other numbers",
        ),
        Entry(
            "rand-float64",
            "rand of float64",
            "str(torch.rand(2, dtype=torch.float64).dtype).removeprefix('torch.')",
            "str(jt.rand(2, dtype='float64').dtype)",
            source="probes O22",
        ),
        Entry(
            "rand-requires-grad",
            "requires_grad of randn",
            "torch.randn(2).requires_grad",
            source="probes O21",
            safe="jt.randn(2).stop_grad().requires_grad",
        ),
        Entry(
            "rand-spread",
            "the spread of randn",
            "round(float(torch.randn(40000).std()), 1)",
            "round(float(jt.randn(40000).std().item()), 1)",
        ),
        Entry(
            "randperm-all",
            "randperm has every number once",
            "sorted(torch.randperm(6).tolist())",
            "sorted(jt.randperm(6).numpy().tolist())",
        ),
        Entry(
            "bernoulli",
            "bernoulli of 0 and 1",
            "torch.bernoulli(p)",
            given="p = np.array([0.0, 1.0], dtype=np.float32)",
        ),
        Entry(
            "init-constant",
            "init.constant_",
            "w = x.clone()\nnn.init.constant_(w, 3.0)\nw",
            "w = x.clone()\ninit.constant_(w, 3.0)\nw",
            given="x = np.zeros(2, dtype=np.float32)",
        ),
        Entry(
            "init-uniform-default",
            "init.uniform_ without bounds",
            "w = torch.zeros(4000)\nnn.init.uniform_(w)\nround(float(w.mean()), 1)",
            "w = jt.zeros((4000,))\ninit.uniform_(w)\nround(float(w.mean().item()), 1)",
        ),
        Entry(
            "init-trunc-normal",
            "init.trunc_normal_",
            "w = torch.zeros(9000)\nnn.init.trunc_normal_(w, std=0.02)\nround(float(w.std()), 3)",
            "w = jt.zeros((9000,))\ninit.trunc_normal_(w, std=0.02)\n"
            "round(float(w.std().item()), 3)",
        ),
        Entry(
            "init-kaiming-normal",
            "init.kaiming_normal_",
            "w = torch.zeros(200, 200)\nnn.init.kaiming_normal_(w)\nround(float(w.std()) * 10, 0)",
            "w = jt.zeros((200, 200))\ninit.kaiming_normal_(w)\n"
            "round(float(w.std().item()) * 10, 0)",
        ),
        Entry(
            "init-kaiming-uniform-a",
            "init.kaiming_uniform_(a=1)",
            "w = torch.zeros(200, 200)\nnn.init.kaiming_uniform_(w, a=1)\n"
            "round(float(w.abs().max()) * 10, 1)",
            "w = jt.zeros((200, 200))\ninit.kaiming_uniform_(w, a=1)\n"
            "round(float(w.abs().max().item()) * 10, 1)",
        ),
        Entry(
            "dropout-function-default",
            "dropout's default for training",
            "F.dropout(x, 0.5).shape[0]",
            "nn.dropout(x, 0.5).shape[0]",
            given="x = np.ones(4, dtype=np.float32)",
        ),
        Entry(
            "dropout-training-word",
            "dropout(training=False)",
            "F.dropout(x, 0.5, training=False)",
            "nn.dropout(x, 0.5, training=False)",
            given="x = np.ones(4, dtype=np.float32)",
            safe="nn.dropout(x, 0.5, is_train=False)",
            source="probes K67",
        ),
    ),
    "files": (
        Entry(
            "load-map-location",
            "load(map_location='cpu')",
            "import tempfile, os\nf = os.path.join(tempfile.mkdtemp(), 'a.pth')\n"
            "torch.save({'a': x}, f)\ntorch.load(f, map_location='cpu')['a']",
            "import tempfile, os\nf = os.path.join(tempfile.mkdtemp(), 'a.pth')\n"
            "jt.save({'a': x.numpy()}, f)\njt.load(f, map_location='cpu')['a']",
            given="x = np.ones(2, dtype=np.float32)",
            safe="import tempfile, os\nf = os.path.join(tempfile.mkdtemp(), 'a.pkl')\n"
            "jt.save({'a': x}, f)\njt.array(jt.load(f)['a'])",
        ),
        Entry(
            "pickle-float64",
            "pickling a float64 tensor",
            "import pickle\nstr(pickle.loads(pickle.dumps(x)).dtype).removeprefix('torch.')",
            "import pickle\nstr(pickle.loads(pickle.dumps(x)).dtype)",
            given="x = np.ones(2)",
            source="probes U14",
        ),
        Entry(
            "deepcopy-tensor",
            "deepcopy of a tensor is apart",
            "import copy\ny = copy.deepcopy(x)\ny[0] = 9.0\nx",
            given="x = np.ones(2, dtype=np.float32)",
        ),
    ),
    "lazy": (
        Entry(
            "numpy-shares",
            "from_numpy shares memory",
            "a = np.ones(2, np.float32)\nt = torch.from_numpy(a)\na[0] = 5\nt",
            "a = np.ones(2, np.float32)\nt = jt.array(a)\na[0] = 5\nt",
            source="probes Q02",
            effect="Jittor copies, and not always at once",
            minor=True,
        ),
        Entry(
            "data-attribute",
            "the type of x.data",
            "type(x.data).__name__",
            given="x = np.ones(2, dtype=np.float32)",
            effect="NumPy's array: calculations with it leave the graph and the device",
            source="probes Q06",
        ),
        Entry(
            "numpy-before-update",
            "numpy() kept, then the tensor changes",
            "a = x.numpy()\nx += 1\na.tolist()",
            given="x = np.ones(2, dtype=np.float32)",
            source="probes Q07",
        ),
        Entry(
            "print-of-tensor",
            "what print shows",
            "str(x).split('(')[0]",
            given="x = np.ones(1, dtype=np.float32)",
            source="probes G79",
            minor=True,
        ),
        Entry(
            "assign-grad-flag",
            "assign keeps the gradient flag",
            "w = nn.Parameter(x.clone())\nw.data.copy_(x)\nw.requires_grad",
            "w = x.clone()\nw.assign(x.stop_grad())\nw.requires_grad",
            given="x = np.ones(2, dtype=np.float32)",
            source="probes M33",
        ),
        Entry(
            "iterate-rows",
            "a loop over rows",
            "[float(r.sum()) for r in x]",
            "[float(r.sum().item()) for r in x]",
            given="x = np.ones((2, 3), dtype=np.float32)",
        ),
        Entry(
            "contains",
            "a number in a tensor",
            "bool((x == 1).any())",
            "bool((x == 1).any().item())",
            given="x = np.ones(2, dtype=np.float32)",
        ),
        Entry(
            "compare-shapes",
            "comparing arrays of other shapes",
            "x == x[:1].expand(3)",
            given="x = np.ones(2, dtype=np.float32)",
            source="probes G71",
            isolated=True,
        ),
    ),
}
