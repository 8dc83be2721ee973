"""Autograd, optimisers and schedules, random numbers."""

from __future__ import annotations

from parity.atlas.entry import Entry

VECTOR = "x = np.array([1.0, 2.0, 3.0], dtype=np.float32)"
TORCH_STEP = """w = nn.Parameter(x.clone())
o = torch.optim.{0}
{1}
w"""
JITTOR_STEP = """w = x.clone()
w.start_grad()
o = jt.optim.{0}
{1}
w"""
LAZY = "operations are recorded and computed when something asks; random ones draw then"

ENTRIES = {
    "autograd": (
        Entry(
            "grad-max-ties",
            "the gradient of max at a tie",
            """
            w = x.clone().requires_grad_()
            w.max().backward()
            w.grad
            """,
            "jt.grad(x.max(), x)",
            given="x = np.array([1.0, 3.0, 3.0], dtype=np.float32)",
            safe="""
            m = (x == x.max()).float32().stop_grad()
            jt.grad((x * m / m.sum()).sum(), x)
            """,
            effect="every tied element gets the whole gradient",
            source="REFERENCE_SYSTEMS 3.8; probes C47",
            operators="max gradient ties",
        ),
        Entry(
            "grad-maximum-ties",
            "the gradient of maximum(a, b) at a tie",
            """
            w = x.clone().requires_grad_()
            v = y.clone().requires_grad_()
            torch.maximum(w, v).sum().backward()
            (w.grad, v.grad)
            """,
            "tuple(jt.grad(jt.maximum(x, y).sum(), [x, y]))",
            given=f"{VECTOR}\ny = np.array([1.0, 5.0, 0.0], dtype=np.float32)",
            effect="one side gets all: corners of an exactly matched box, in IoU losses",
            cause="the backward compares with >=",
            source="REFERENCE_SYSTEMS 3.8; probes C49",
            operators="maximum minimum gradient ties",
        ),
        Entry(
            "grad-clamp-border",
            "the gradient of clamp at its border",
            """
            w = x.clone().requires_grad_()
            w.clamp(1.0, 2.0).sum().backward()
            w.grad
            """,
            "jt.grad(x.clamp(1.0, 2.0).sum(), x)",
            given=VECTOR,
            operators="clamp gradient",
        ),
        Entry(
            "grad-relu-zero",
            "the gradient of relu at 0",
            """
            w = x.clone().requires_grad_()
            F.relu(w).sum().backward()
            w.grad
            """,
            "jt.grad(nn.relu(x).sum(), x)",
            given="x = np.array([-1.0, 0.0, 1.0], dtype=np.float32)",
            operators="relu gradient",
        ),
        Entry(
            "grad-sqrt-zero",
            "the gradient of sqrt at 0",
            """
            w = x.clone().requires_grad_()
            w.sqrt().sum().backward()
            w.grad
            """,
            "jt.grad(x.sqrt().sum(), x)",
            given="x = np.array([0.0, 4.0], dtype=np.float32)",
            operators="sqrt gradient",
        ),
        Entry(
            "grad-prod-zero",
            "the gradient of a product with a zero",
            """
            w = x.clone().requires_grad_()
            w.prod().backward()
            w.grad
            """,
            "jt.grad(x.prod(), x)",
            given="x = np.array([2.0, 0.0, 3.0], dtype=np.float32)",
            effect="NaN or 0: the gradient is the product divided by the element",
            source="probes C59",
            operators="prod gradient",
        ),
        Entry(
            "grad-not-scalar",
            "the gradient of a vector",
            """
            w = x.clone().requires_grad_()
            torch.autograd.grad(w * 2, w)[0]
            """,
            "jt.grad(x * 2, x)",
            given=VECTOR,
            effect="summed silently",
            source="probes M01",
            operators="grad scalar",
        ),
        Entry(
            "grad-unused",
            "the gradient of something unused",
            """
            w = x.clone().requires_grad_()
            v = x.clone().requires_grad_()
            torch.autograd.grad(w.sum(), v)[0]
            """,
            """
            v = x.clone()
            jt.grad(x.sum(), v)
            """,
            given=VECTOR,
            effect="zeros instead of an error: a forgotten branch trains to nothing",
            source="probes M02",
            operators="grad unused",
        ),
        Entry(
            "eval-stops-gradients",
            "gradients in evaluation mode",
            """
            m = nn.Linear(3, 1)
            m.eval()
            m(x).sum().backward()
            bool((m.weight.grad != 0).any())
            """,
            """
            m = nn.Linear(3, 1)
            m.eval()
            g = jt.grad(m(x).sum(), m.weight)
            bool((g.numpy() != 0).any())
            """,
            given=VECTOR,
            effect=(
                "all gradients are 0: fine-tuning with frozen statistics, and gradient parity in eval(), "
                "compare nothing"
            ),
            cause="__init__.py: Module.eval calls stop_grad on every parameter",
            source="REFERENCE_SYSTEMS 3.1; probes L14",
            operators="eval train gradient",
        ),
        Entry(
            "eval-train-restores",
            "gradients after eval() and train()",
            """
            m = nn.Linear(3, 1)
            m.eval()
            m.train()
            m(x).sum().backward()
            bool((m.weight.grad != 0).any())
            """,
            """
            m = nn.Linear(3, 1)
            m.eval()
            m.train()
            g = jt.grad(m(x).sum(), m.weight)
            bool((g.numpy() != 0).any())
            """,
            given=VECTOR,
            operators="eval train gradient",
        ),
        Entry(
            "freeze-after-eval",
            "freezing a parameter between eval() and train()",
            """
            m = nn.Linear(3, 1)
            m.eval()
            m.weight.requires_grad_(False)
            m.train()
            m.weight.requires_grad
            """,
            """
            m = nn.Linear(3, 1)
            m.eval()
            m.weight.stop_grad()
            m.train()
            not m.weight.is_stop_grad()
            """,
            given=VECTOR,
            effect="train() unfreezes it: frozen backbones begin to train after the first evaluation",
            cause="train() restores what eval() saved, whatever happened in between",
            source="JITTOR.md D; probes L15",
            operators="eval train freeze stop_grad",
        ),
        Entry(
            "no-grad-build",
            "a module built under no_grad",
            """
            with torch.no_grad():
                m = nn.Linear(3, 1)
            m.weight.requires_grad
            """,
            """
            with jt.no_grad():
                m = nn.Linear(3, 1)
            not m.weight.is_stop_grad()
            """,
            given=VECTOR,
            effect="frozen for good",
            cause="no_grad marks every new Var",
            source="JITTOR.md D; probes M29",
            operators="no_grad module freeze",
        ),
        Entry(
            "no-grad-load",
            "loading weights under no_grad",
            """
            m = nn.Linear(3, 1)
            with torch.no_grad():
                m.load_state_dict({'weight': torch.ones(1, 3), 'bias': torch.ones(1)})
            m.weight.requires_grad
            """,
            """
            m = nn.Linear(3, 1)
            with jt.no_grad():
                m.load_state_dict({'weight': jt.ones((1, 3)), 'bias': jt.ones(1)})
            not m.weight.is_stop_grad()
            """,
            given=VECTOR,
            effect="the loaded weights never train",
            source="probes M28",
            operators="no_grad load_state_dict freeze",
        ),
        Entry(
            "stop-grad-in-place",
            "detach and stop_grad",
            """
            w = x.clone().requires_grad_()
            w.detach()
            w.requires_grad
            """,
            """
            w = x.clone()
            w.stop_grad()
            not w.is_stop_grad()
            """,
            given=VECTOR,
            safe="""
            w = x.clone()
            w.detach()
            not w.is_stop_grad()
            """,
            effect="stop_grad acts on the variable itself, for good; detach does not",
            source="probes M05",
            operators="detach stop_grad",
        ),
        Entry(
            "backward-method",
            "loss.backward()",
            """
            w = x.clone().requires_grad_()
            w.sum().backward()
            w.grad
            """,
            """
            w = x.clone()
            w.sum().backward()
            w.grad
            """,
            given=VECTOR,
            safe="jt.grad(x.sum(), x)",
            source="probes M15",
            operators="backward grad",
        ),
        Entry(
            "grad-single-element",
            "the gradient behind a jt.code operator with an array of one element",
            """
            w = x.clone().requires_grad_()
            (w * s).sum().backward()
            w.grad
            """,
            "jt.grad((x * s).sum(), x)",
            given=f"{VECTOR}\ns = np.array([0.5], dtype=np.float32)",
            effect=(
                "found by this project: such arrays are constants of a kernel and can leak into the next "
                "gradient (docs/jittor.md); plain operators are not affected"
            ),
            source="this project, issue 4",
            operators="grad code constant",
        ),
    ),
    "optimisers": (
        Entry(
            "sgd-momentum",
            "two steps of SGD with momentum",
            TORCH_STEP.format(
                "SGD([w], lr=0.1, momentum=0.9)",
                "for _ in range(2):\n    o.zero_grad(); (w * w).sum().backward(); o.step()",
            ),
            JITTOR_STEP.format(
                "SGD([w], lr=0.1, momentum=0.9)", "for _ in range(2):\n    o.step((w * w).sum())"
            ),
            given=VECTOR,
            operators="SGD momentum",
        ),
        Entry(
            "step-after-backward",
            "backward(loss), then step(loss)",
            TORCH_STEP.format(
                "Adam([w], lr=0.1)", "o.zero_grad(); (w * w).sum().backward(); o.step()"
            ),
            JITTOR_STEP.format(
                "Adam([w], lr=0.1)",
                "loss = (w * w).sum(); o.zero_grad(); o.backward(loss); o.step(loss)",
            ),
            given=VECTOR,
            safe=JITTOR_STEP.format(
                "Adam([w], lr=0.1)",
                "loss = (w * w).sum(); o.zero_grad(); o.backward(loss); o.step()",
            ),
            effect="a second backward pass for nothing, and Adam corrects its averages for twice as many steps",
            cause="optim.py: step(loss) calls backward(loss), which counts; a used up graph gives 0",
            source="a published port",
            operators="Adam AdamW step backward",
        ),
        Entry(
            "second-backward",
            "one loss, and an optimiser for each of two parameters",
            "v, w = nn.Parameter(x.clone()), nn.Parameter(x.clone())\n"
            "(v * w).sum().backward()\nw.grad",
            "v, w = x.clone(), x.clone()\nloss = (v * w).sum()\n"
            "a, b = jt.optim.SGD([v], lr=1.0), jt.optim.SGD([w], lr=1.0)\n"
            "a.backward(loss); b.backward(loss)\nw.opt_grad(b)",
            given=VECTOR,
            safe="v, w = x.clone(), x.clone()\nloss = (v * w).sum()\n"
            "a, b = jt.optim.SGD([v], lr=1.0), jt.optim.SGD([w], lr=1.0)\n"
            "a.backward(loss, retain_graph=True); b.backward(loss)\nw.opt_grad(b)",
            effect="the second backward of a loss gives zeros, without an error",
            cause="the first frees the graph",
            source="a published port",
            operators="backward retain_graph step optimisers",
        ),
        Entry(
            "sgd-dampening",
            "two steps of SGD with dampening",
            TORCH_STEP.format(
                "SGD([w], lr=0.1, momentum=0.9, dampening=0.5)",
                "for _ in range(2):\n    o.zero_grad(); (w * w).sum().backward(); o.step()",
            ),
            JITTOR_STEP.format(
                "SGD([w], lr=0.1, momentum=0.9, dampening=0.5)",
                "for _ in range(2):\n    o.step((w * w).sum())",
            ),
            given=VECTOR,
            effect="Jittor dampens the first step, too",
            cause="optim.py: SGD begins with zero momentum",
            source="probes N04",
            operators="SGD dampening",
        ),
        Entry(
            "sgd-argument-order",
            "SGD's fourth positional argument",
            TORCH_STEP.format(
                "SGD([w], 0.1, 0.9, 0.5)", "o.zero_grad(); (w * w).sum().backward(); o.step()"
            ),
            JITTOR_STEP.format("SGD([w], 0.1, 0.9, 0.5)", "o.step((w * w).sum())"),
            given=VECTOR,
            effect="dampening in PyTorch, weight decay in Jittor",
            cause="optim.py: SGD(params, lr, momentum, weight_decay, dampening, nesterov)",
            source="probes N12",
            operators="SGD arguments",
        ),
        Entry(
            "adam-eps",
            "two steps of Adam with a large eps",
            TORCH_STEP.format(
                "Adam([w], lr=0.1, eps=0.1)",
                "for _ in range(2):\n    o.zero_grad(); (w * w).sum().backward(); o.step()",
            ),
            JITTOR_STEP.format(
                "Adam([w], lr=0.1, eps=0.1)", "for _ in range(2):\n    o.step((w * w).sum())"
            ),
            given=VECTOR,
            effect="eps is added to the uncorrected root: small gradients move otherwise",
            cause="optim.py: Adam scales the step instead of the second moment",
            source="REFERENCE_SYSTEMS 3.2; probes N07",
            operators="Adam eps",
        ),
        Entry(
            "adamw-default-decay",
            "AdamW's default weight decay",
            TORCH_STEP.format(
                "AdamW([w], lr=0.1)",
                "for _ in range(2):\n    o.zero_grad(); (w * w).sum().backward(); o.step()",
            ),
            JITTOR_STEP.format(
                "AdamW([w], lr=0.1)", "for _ in range(2):\n    o.step((w * w).sum())"
            ),
            given=VECTOR,
            safe=JITTOR_STEP.format(
                "AdamW([w], lr=0.1, weight_decay=0.01)",
                "for _ in range(2):\n    o.step((w * w).sum())",
            ),
            effect="0 in Jittor, 0.01 in PyTorch",
            cause="optim.py: AdamW(weight_decay=0)",
            source="probes N09",
            operators="AdamW weight_decay",
        ),
        Entry(
            "accumulation",
            "AdamW after two backward passes for one step",
            TORCH_STEP.format(
                "AdamW([w], lr=0.1, weight_decay=0)",
                "for _ in range(2):\n    o.zero_grad(); (w * w).sum().backward(); (w * w).sum().backward(); o.step()",
            ),
            JITTOR_STEP.format(
                "AdamW([w], lr=0.1, weight_decay=0)",
                "for _ in range(2):\n    for _ in range(2):\n        o.backward((w * w).sum())\n    o.step()",
            ),
            given=VECTOR,
            effect="n_step counts backward passes: bias correction runs ahead",
            cause="optim.py: Optimizer.backward adds to n_step",
            source="REFERENCE_SYSTEMS 3.2; probes N35, N36",
            operators="AdamW accumulate n_step",
        ),
        Entry(
            "learning-rate-key",
            "setting a group's learning_rate",
            """
            w = nn.Parameter(x.clone())
            o = torch.optim.SGD([w], lr=0.1)
            o.param_groups[0]['lr'] = 0.01
            o.zero_grad(); (w * w).sum().backward(); o.step()
            w
            """,
            """
            w = x.clone()
            w.start_grad()
            o = jt.optim.SGD([w], lr=0.1)
            o.param_groups[0]['learning_rate'] = 0.01
            o.step((w * w).sum())
            w
            """,
            given=VECTOR,
            safe="""
            w = x.clone()
            w.start_grad()
            o = jt.optim.SGD([w], lr=0.1)
            o.param_groups[0]['lr'] = 0.01
            o.step((w * w).sum())
            w
            """,
            effect="nobody reads that key: a learning-rate drop never arrives (published port, defect 7)",
            cause="optim.py reads pg.get('lr', self.lr), and a group has no 'lr' unless one was given",
            source="REFERENCE_SYSTEMS 2, defect 7; probes N16, N17",
            operators="param_groups lr learning_rate schedule",
        ),
        Entry(
            "group-lr-missing",
            "reading a group's learning rate",
            "torch.optim.SGD([nn.Parameter(x)], lr=0.1).param_groups[0]['lr']",
            "jt.optim.SGD([x], lr=0.1).param_groups[0]['lr']",
            given=VECTOR,
            safe="""
            o = jt.optim.SGD([x], lr=0.1)
            o.param_groups[0].get('lr', o.lr)
            """,
            source="probes N16",
            operators="param_groups lr",
        ),
        Entry(
            "optimizer-lr-attribute",
            "the optimiser's own lr when groups have theirs",
            """
            w = nn.Parameter(x.clone())
            o = torch.optim.SGD([{'params': [w], 'lr': 0.1}], lr=0.5)
            for g in o.param_groups:
                g['lr'] = 0.01
            (w * w).sum().backward(); o.step()
            w
            """,
            """
            w = x.clone()
            w.start_grad()
            o = jt.optim.SGD([{'params': [w], 'lr': 0.1}], lr=0.5)
            o.lr = 0.01
            o.step((w * w).sum())
            w
            """,
            given=VECTOR,
            safe="""
            w = x.clone()
            w.start_grad()
            o = jt.optim.SGD([{'params': [w], 'lr': 0.1}], lr=0.5)
            for g in o.param_groups:
                g['lr'] = 0.01
            o.step((w * w).sum())
            w
            """,
            effect="does not reach groups that have their own",
            source="probes N17",
            operators="lr attribute param_groups",
        ),
        Entry(
            "decay-without-gradient",
            "weight decay of a parameter without a gradient",
            """
            w = nn.Parameter(x.clone())
            v = nn.Parameter(x.clone())
            o = torch.optim.SGD([w, v], lr=0.1, weight_decay=0.5)
            w.sum().backward(); o.step()
            v
            """,
            """
            w = x.clone()
            v = x.clone()
            w.start_grad(); v.start_grad()
            o = jt.optim.SGD([w, v], lr=0.1, weight_decay=0.5)
            o.step(w.sum())
            v
            """,
            given=VECTOR,
            effect="it decays: unused queries and heads shrink",
            source="probes N18",
            operators="weight_decay gradient",
        ),
        Entry(
            "clip-grad-norm",
            "clipping the gradients' norm, max_norm = 1",
            """
            w = nn.Parameter(x.clone())
            (w * w).sum().backward()
            torch.nn.utils.clip_grad_norm_([w], 1.0)
            w.grad
            """,
            """
            w = x.clone()
            w.start_grad()
            o = jt.optim.SGD([w], lr=0.1)
            o.backward((w * w).sum())
            o.clip_grad_norm(1.0)
            o.param_groups[0]['grads'][0]
            """,
            given=VECTOR,
            operators="clip_grad_norm",
        ),
        Entry(
            "step-lr",
            "StepLR(2) over four epochs",
            """
            o = torch.optim.SGD([nn.Parameter(x)], lr=1.0)
            s = torch.optim.lr_scheduler.StepLR(o, 2)
            r = []
            for _ in range(4):
                r.append(o.param_groups[0]['lr']); o.step(); s.step()
            r
            """,
            """
            o = jt.optim.SGD([x], lr=1.0)
            s = jt.lr_scheduler.StepLR(o, 2)
            r = []
            for _ in range(4):
                r.append(o.lr); s.step()
            r
            """,
            given=VECTOR,
            effect="whether a drop comes an epoch late",
            source="JITTOR.md D; probes N42",
            operators="StepLR schedule",
        ),
        Entry(
            "multi-step-lr",
            "MultiStepLR([2]) over four epochs",
            """
            o = torch.optim.SGD([nn.Parameter(x)], lr=1.0)
            s = torch.optim.lr_scheduler.MultiStepLR(o, [2])
            r = []
            for _ in range(4):
                r.append(o.param_groups[0]['lr']); o.step(); s.step()
            r
            """,
            """
            o = jt.optim.SGD([x], lr=1.0)
            s = jt.lr_scheduler.MultiStepLR(o, [2])
            r = []
            for _ in range(4):
                r.append(o.lr); s.step()
            r
            """,
            given=VECTOR,
            effect="the drop comes an epoch late",
            source="probes N38",
            operators="MultiStepLR schedule",
        ),
        Entry(
            "scheduler-state",
            "a scheduler's state_dict",
            """
            s = torch.optim.lr_scheduler.StepLR(torch.optim.SGD([nn.Parameter(x)], lr=1.0), 2)
            'last_epoch' in s.state_dict()
            """,
            """
            s = jt.lr_scheduler.StepLR(jt.optim.SGD([x], lr=1.0), 2)
            'last_epoch' in s.state_dict()
            """,
            given=VECTOR,
            effect="a resumed run starts its schedule anew",
            source="probes N44",
            operators="scheduler state_dict resume",
        ),
    ),
    "random": (
        Entry(
            "randperm-of-tensor",
            "randperm of a tensor",
            "sorted(torch.randperm(n).tolist())",
            "sorted(jt.randperm(n).numpy().tolist())",
            given="n = np.array(5)",
            safe="sorted(jt.randperm(int(n.item())).numpy().tolist())",
            effect='the unfinished reproduction\'s "problem0": randperm wants a Python integer',
            cause="misc.py: jt.random((n,)) gets a Var for a shape",
            source="unfinished reproduction; REFERENCE_SYSTEMS 3.15; probes O09",
            operators="randperm sampler",
        ),
        Entry(
            "seed-before-sync",
            "re-seeding after a draw that nobody has looked at",
            """
            torch.manual_seed(1)
            a = torch.rand(3)
            torch.manual_seed(2)
            torch.manual_seed(1)
            bool((a == torch.rand(3)).all())
            """,
            """
            jt.set_global_seed(1)
            a = jt.rand(3)
            jt.set_global_seed(2)
            a.sync()
            jt.set_global_seed(1)
            b = jt.rand(3)
            b.sync()
            bool((a.numpy() == b.numpy()).all())
            """,
            effect="the earlier draw changes",
            cause=LAZY,
            source="JITTOR.md D; probes O02",
            operators="seed random lazy",
        ),
        Entry(
            "seed-repeats",
            "the same seed gives the same numbers",
            """
            torch.manual_seed(1)
            a = torch.rand(3)
            torch.manual_seed(1)
            bool((a == torch.rand(3)).all())
            """,
            """
            jt.set_global_seed(1)
            a = jt.rand(3).numpy()
            jt.set_global_seed(1)
            bool((a == jt.rand(3).numpy()).all())
            """,
            operators="seed random",
        ),
        Entry(
            "seed-numpy-too",
            "seeding reaches NumPy",
            """
            np.random.seed(3)
            a = np.random.rand()
            np.random.seed(3)
            torch.manual_seed(1)
            np.random.rand() == a
            """,
            """
            np.random.seed(3)
            a = np.random.rand()
            np.random.seed(3)
            jt.set_global_seed(1)
            np.random.rand() == a
            """,
            effect="set_global_seed (and importing Jittor) seeds numpy and random: augmentations repeat",
            cause="misc.py: set_global_seed",
            source="probes O06, O07",
            operators="seed numpy random",
        ),
        Entry(
            "rand-dtype",
            "the type of rand",
            "str(torch.rand(2).dtype).removeprefix('torch.')",
            "str(jt.rand(2).dtype)",
            operators="rand dtype",
        ),
        Entry(
            "randint-shape",
            "randint(0, 5) with a size",
            "list(torch.randint(0, 5, (2, 3)).shape)",
            "list(jt.randint(0, 5, (2, 3)).shape)",
            operators="randint",
        ),
        Entry(
            "randint-no-shape",
            "randint(0, 5) without a size",
            "torch.randint(0, 5).shape",
            "list(jt.randint(0, 5).shape)",
            source="probes O15",
            operators="randint",
        ),
        Entry(
            "init-xavier-bound",
            "the bound of xavier_uniform for a 6x2 matrix",
            """
            w = torch.empty(6000, 2)
            nn.init.xavier_uniform_(w)
            round(float(w.abs().max()) / (6 / 6002) ** 0.5, 1)
            """,
            """
            w = jt.zeros((6000, 2))
            init.xavier_uniform_(w)
            round(float(w.abs().max().item()) / (6 / 6002) ** 0.5, 1)
            """,
            operators="xavier_uniform init",
        ),
        Entry(
            "init-linear-bound",
            "the default weights of a linear layer, against 1 / sqrt(inputs)",
            "round(float(nn.Linear(400, 400).weight.abs().max()) * 20, 1)",
            "round(float(nn.Linear(400, 400).weight.abs().max().item()) * 20, 1)",
            operators="Linear init",
        ),
        Entry(
            "init-conv-bound",
            "the default weights of a convolution, against 1 / sqrt(fan in)",
            "round(float(nn.Conv2d(100, 40, 3).weight.abs().max()) * 30, 1)",
            "round(float(nn.Conv2d(100, 40, 3).weight.abs().max().item()) * 30, 1)",
            operators="Conv2d init",
        ),
        Entry(
            "init-normal-name",
            "init.normal_",
            """
            w = torch.zeros(4000)
            nn.init.normal_(w, std=0.01)
            round(float(w.std()), 3)
            """,
            """
            w = jt.zeros((4000,))
            init.normal_(w, std=0.01)
            round(float(w.std().item()), 3)
            """,
            safe="""
            w = jt.zeros((4000,))
            init.gauss_(w, 0.0, 0.01)
            round(float(w.std().item()), 3)
            """,
            source="probes K72",
            operators="init normal gauss",
        ),
    ),
}
