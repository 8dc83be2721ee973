"""Modules and state dictionaries, files, lazy execution."""

from __future__ import annotations

from parity.atlas.entry import Entry

TORCH_MODULE = """class M(nn.Module):
    def __init__(self):
        super().__init__()
        {0}
m = M()
"""
JITTOR_MODULE = TORCH_MODULE
FOLDER = "import tempfile, os\nd = tempfile.mkdtemp()\n"

ENTRIES = {
    "modules": (
        Entry(
            "buffer-is-parameter",
            "a buffer among the parameters",
            TORCH_MODULE.format("self.register_buffer('b', torch.ones(2))")
            + "len(list(m.parameters()))",
            JITTOR_MODULE.format("self.register_buffer('b', jt.ones(2))")
            + "len(list(m.parameters()))",
            effect=(
                "buffers get gradients and weight decay: frozen batch-norm statistics train (published "
                "port, defect 2)"
            ),
            cause="__init__.py: register_buffer sets an attribute, and every Var attribute is a parameter",
            source="REFERENCE_SYSTEMS 2, defect 2; probes L08",
            operators="register_buffer parameters",
        ),
        Entry(
            "buffer-stopped",
            "a buffer with stop_grad among the trained ones",
            TORCH_MODULE.format("self.register_buffer('b', torch.ones(2))")
            + "sum(p.requires_grad for p in m.parameters())",
            JITTOR_MODULE.format("self.b = jt.ones(2).stop_grad()")
            + "sum(not p.is_stop_grad() for p in m.parameters())",
            effect="the spelling that works: stop_grad when it is made",
            operators="register_buffer stop_grad",
        ),
        Entry(
            "plain-attribute",
            "a tensor attribute is in the state dict",
            TORCH_MODULE.format("self.a = torch.ones(2)") + "'a' in m.state_dict()",
            JITTOR_MODULE.format("self.a = jt.ones(2)") + "'a' in m.state_dict()",
            effect="caches kept in an attribute become parameters and files grow",
            cause="state_dict collects every Var attribute",
            source="probes L06, L07",
            operators="state_dict attribute",
        ),
        Entry(
            "underscore-attribute",
            "a parameter whose name begins with an underscore",
            TORCH_MODULE.format("self._w = nn.Parameter(torch.ones(2))") + "'_w' in m.state_dict()",
            JITTOR_MODULE.format("self._w = jt.ones(2)") + "'_w' in m.state_dict()",
            effect="neither trained nor saved",
            cause="parameters() and state_dict() skip names that begin with an underscore",
            source="probes L05",
            operators="state_dict attribute underscore",
        ),
        Entry(
            "underscore-layer",
            "a layer whose name begins with an underscore",
            TORCH_MODULE.format("self._fc = nn.Linear(2, 1)")
            + "(sorted(m.state_dict()), len(list(m.parameters())))",
            JITTOR_MODULE.format("self._fc = nn.Linear(2, 1)")
            + "(sorted(m.state_dict()), len(list(m.parameters())))",
            effect="trained and saved like any other: only arrays are skipped by their names",
            operators="state_dict attribute underscore",
        ),
        Entry(
            "load-missing",
            "load_state_dict without one of the keys",
            """
            nn.Linear(3, 1).load_state_dict({'weight': torch.ones(1, 3)})
            'loaded'
            """,
            """
            nn.Linear(3, 1).load_state_dict({'weight': jt.ones((1, 3))})
            'loaded'
            """,
            effect="nothing is said: half-loaded models are evaluated",
            cause="load_parameters walks the given keys only",
            source="probes L20",
            operators="load_state_dict missing key strict",
        ),
        Entry(
            "load-unexpected",
            "load_state_dict with a key too many",
            """
            nn.Linear(3, 1).load_state_dict({'weight': torch.ones(1, 3), 'bias': torch.ones(1), 'x': torch.ones(1)})
            'loaded'
            """,
            """
            nn.Linear(3, 1).load_state_dict({'weight': jt.ones((1, 3)), 'bias': jt.ones(1), 'x': jt.ones(1)})
            'loaded'
            """,
            effect="a warning at most",
            source="probes L21",
            operators="load_state_dict unexpected key strict",
        ),
        Entry(
            "load-shape",
            "load_state_dict with another shape",
            """
            nn.Linear(3, 1).load_state_dict({'weight': torch.ones(2, 3), 'bias': torch.ones(1)})
            'loaded'
            """,
            """
            nn.Linear(3, 1).load_state_dict({'weight': jt.ones((2, 3)), 'bias': jt.ones(1)})
            'loaded'
            """,
            effect="logged as an error and skipped: the layer keeps its random weights",
            source="probes L22",
            operators="load_state_dict shape strict",
        ),
        Entry(
            "load-half",
            "loading float16 weights into a float32 model",
            """
            m = nn.Linear(3, 1)
            m.load_state_dict({'weight': torch.ones(1, 3).half(), 'bias': torch.ones(1).half()})
            str(m.weight.dtype).removeprefix('torch.')
            """,
            """
            m = nn.Linear(3, 1)
            m.load_state_dict({'weight': jt.ones((1, 3)).float16(), 'bias': jt.ones(1).float16()})
            str(m.weight.dtype)
            """,
            effect="the model becomes float16",
            cause="load_parameters updates the Var, type and all",
            source="probes L23",
            operators="load_state_dict dtype float16",
        ),
        Entry(
            "state-dict-alias",
            "a state dict keeps what it was when the model trains on",
            """
            m = nn.Linear(3, 1)
            s = m.state_dict()['weight']
            b = s.clone()
            with torch.no_grad():
                m.weight += 1
            bool((s == b).all())
            """,
            """
            m = nn.Linear(3, 1)
            s = m.state_dict()['weight']
            b = s.clone()
            b.sync()
            m.weight.update(m.weight + 1)
            bool((s == b).numpy().all())
            """,
            effect='an alias in both: "best weights" kept so are the last ones (a defect of trzy\'s)',
            source="REFERENCE_SYSTEMS 1.1; 3.14",
            operators="state_dict alias best",
        ),
        Entry(
            "batch-norm-keys",
            "the state dict of batch norm",
            "sorted(nn.BatchNorm2d(2).state_dict())",
            "sorted(nn.BatchNorm2d(2).state_dict())",
            effect="num_batches_tracked does not exist",
            source="probes J12",
            operators="BatchNorm state_dict",
        ),
        Entry(
            "batch-norm-parameters",
            "how many parameters batch norm has",
            "len(list(nn.BatchNorm2d(2).parameters()))",
            effect="running statistics are among them, though stopped",
            source="probes J11",
            operators="BatchNorm parameters",
        ),
        Entry(
            "train-false",
            "m.train(False)",
            """
            m = nn.Linear(3, 1)
            m.train(False)
            m.training
            """,
            safe="""
            m = nn.Linear(3, 1)
            m.eval()
            m.is_training()
            """,
            source="probes L12",
            operators="train eval",
        ),
        Entry(
            "forward-name",
            "calling .forward",
            TORCH_MODULE.format("pass")
            + "M.forward = lambda self, x: x + 1\nfloat(m.forward(torch.ones(1)))",
            JITTOR_MODULE.format("pass")
            + "M.execute = lambda self, x: x + 1\nfloat(m.forward(jt.ones(1)).item())",
            operators="forward execute",
        ),
        Entry(
            "module-list",
            "a list of modules in an attribute",
            TORCH_MODULE.format("self.l = [nn.Linear(2, 2)]") + "len(list(m.parameters()))",
            JITTOR_MODULE.format("self.l = [nn.Linear(2, 2)]") + "len(list(m.parameters()))",
            operators="ModuleList list parameters",
        ),
        Entry(
            "tied-weights",
            "two names for one parameter",
            TORCH_MODULE.format("self.a = nn.Linear(2, 2); self.b = self.a")
            + "len(list(m.parameters()))",
            JITTOR_MODULE.format("self.a = nn.Linear(2, 2); self.b = self.a")
            + "len(list(m.parameters()))",
            operators="tied shared parameters",
        ),
    ),
    "files": (
        Entry(
            "save-load-float16",
            "float16 through a file",
            FOLDER
            + "torch.save({'a': x}, d + '/f.pth')\nstr(torch.load(d + '/f.pth')['a'].dtype).removeprefix('torch.')",
            FOLDER + "jt.save({'a': x}, d + '/f.pkl')\nstr(jt.load(d + '/f.pkl')['a'].dtype)",
            given="x = np.ones(2, dtype=np.float16)",
            operators="save load float16",
        ),
        Entry(
            "save-load-type",
            "what a loaded value is",
            FOLDER
            + "torch.save({'a': x}, d + '/f.pth')\ntype(torch.load(d + '/f.pth')['a']).__name__",
            FOLDER + "jt.save({'a': x}, d + '/f.pkl')\ntype(jt.load(d + '/f.pkl')['a']).__name__",
            given="x = np.ones(2, dtype=np.float32)",
            effect="Vars come back, as tensors do",
            operators="save load numpy",
        ),
        Entry(
            "load-truncated",
            "a file that was cut short",
            FOLDER
            + "torch.save({'a': x}, d + '/f.pth')\nos.truncate(d + '/f.pth', 100)\ntorch.load(d + '/f.pth')\n'loaded'",
            FOLDER
            + "jt.save({'a': x}, d + '/f.pkl')\nos.truncate(d + '/f.pkl', 100)\njt.load(d + '/f.pkl')\n'loaded'",
            given="x = np.ones(200, dtype=np.float32)",
            operators="load truncated error",
        ),
        Entry(
            "load-nothing",
            "a file that is not there",
            "torch.load('/nowhere/f.pth')",
            "jt.load('/nowhere/f.pkl')",
            operators="load missing error",
        ),
    ),
    "lazy": (
        Entry(
            "lazy-time",
            "how long a product seems to take",
            """
            import time
            start = time.time()
            y = x @ x
            short = time.time() - start
            n = y.numpy()
            'computed by then' if short > (time.time() - start) / 2 else 'not yet'
            """,
            given="x = np.ones((1500, 1500), dtype=np.float32)",
            safe="""
            import time
            start = time.time()
            y = x @ x
            jt.sync_all(True)
            short = time.time() - start
            n = y.numpy()
            'computed by then' if short > (time.time() - start) / 2 else 'not yet'
            """,
            effect="times of a call are those of writing it down: frames per second come out far too high",
            cause="operations are recorded and computed when something asks",
            source="a port of camouflage detection",
            operators="lazy time benchmark",
            isolated=True,
        ),
        Entry(
            "error-timing",
            "where an out-of-range division shows",
            """
            y = x // z
            'no error yet'
            """,
            """
            y = x // z
            'no error yet'
            """,
            given="""
            x = np.array([1], dtype=np.int32)
            z = np.array([0], dtype=np.int32)
            """,
            effect="Jittor's line passes, and the process dies when something else is looked at",
            cause="operations are recorded and computed when something asks",
            source="JITTOR.md D; probes Q10",
            operators="lazy error timing",
            isolated=True,
        ),
        Entry(
            "shape-error-timing",
            "a product of shapes that do not fit",
            """
            y = x @ x
            'no error yet'
            """,
            """
            y = jt.matmul(x, x)
            'no error yet'
            """,
            given="x = np.ones((2, 3), dtype=np.float32)",
            effect="shapes are known at once: these errors come where they should",
            operators="lazy error shape matmul",
            isolated=True,
        ),
        Entry(
            "update-later",
            "a value taken before an update in place",
            """
            y = x * 2
            x += 100
            y
            """,
            given="x = np.ones(3, dtype=np.float32)",
            effect="laziness does not show here: y keeps its operands",
            operators="lazy in-place update",
        ),
        Entry(
            "data-write",
            "writing through .data after a lazy operation",
            """
            y = x * 2
            x.data[0] = 100.0
            y
            """,
            given="x = np.ones(3, dtype=np.float32)",
            safe="""
            y = x * 2
            y.sync()
            x.data[0] = 100.0
            y
            """,
            effect="the operation, which has not run yet, sees the new value",
            cause="operations are recorded and computed when something asks",
            source="probes X21",
            operators="lazy data",
        ),
        Entry(
            "item-python",
            "item() of one element",
            "x.item()",
            given="x = np.array([2.5], dtype=np.float32)",
            operators="item",
        ),
        Entry(
            "if-tensor",
            "a tensor of one element as a condition",
            "'yes' if x else 'no'",
            given="x = np.array([0.5], dtype=np.float32)",
            safe="'yes' if x.item() else 'no'",
            source="probes G68",
            operators="bool if condition",
        ),
        Entry(
            "equal-none",
            "x == None",
            "x == None",
            given="x = np.array([0.5], dtype=np.float32)",
            safe="x is None",
            source="probes G72",
            operators="equal None",
        ),
        Entry(
            "tensor-in-list",
            "a tensor as the key of a dictionary",
            "len({x: 1})",
            given="x = np.array([0.5], dtype=np.float32)",
            safe="len({id(x): 1})",
            source="probes G74",
            operators="hash dict key",
        ),
        Entry(
            "iterate",
            "iterating over rows",
            "[float(row.sum()) for row in x]",
            "[float(row.sum().item()) for row in x]",
            given="x = np.ones((3, 2), dtype=np.float32)",
            operators="iterate rows",
        ),
        Entry(
            "len-scalar",
            "len of a sum",
            "len(x.sum())",
            given="x = np.ones(3, dtype=np.float32)",
            source="probes G76",
            operators="len scalar",
        ),
    ),
}
