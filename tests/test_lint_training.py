"""The linter on programs of several files: who calls train(), who steps which optimiser, who gives it its rates."""

from __future__ import annotations

from pathlib import Path

import pytest

from parity.atlas.lint.run import lint_path

NETS = """import jittor as jt
from jittor import nn
class Net(nn.Module):
    def __init__(self):
        self.drop = nn.Dropout(0.5)
    def execute(self, x):
        return self.drop(x)
"""
FIT = """import jittor as jt
from {0} import Net
def fit(optimizer, batches):
    net = Net()
{1}    for x in batches:
        optimizer.step(net(x).mean())
"""
TRAINER = """import jittor as jt
class Trainer:
    def __init__(self, net):
        self.opt_g = jt.optim.Adam(net.parameters(), lr=0.1)
        self.opt_g.zero_grad()
"""


def told(folder: Path, files: dict[str, str], entry: str) -> list[str]:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    found = lint_path(folder).findings
    return [f"{f.path.relative_to(folder)}:{f.line}" for f in found if f.entry == entry]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"nets.py": NETS, "old.py": FIT.format("nets", "")}, ["old.py:6"]),
        ({"nets.py": NETS, "old.py": FIT.format("nets", "    net.train()\n")}, []),
        (  # what another script calls is none of this one's
            {
                "nets.py": NETS,
                "old.py": FIT.format("nets", ""),
                "new.py": FIT.format("nets", "    net.train()\n"),
            },
            ["old.py:6"],
        ),
        (  # who calls the loop may have called train() before
            {
                "nets.py": NETS,
                "loop.py": FIT.format("nets", ""),
                "main.py": "import jittor as jt\nfrom loop import fit\nnet.train()\nfit(o, b)\n",
            },
            [],
        ),
        (  # of two modules of one name, the nearer
            {
                "a/nets.py": NETS,
                "a/fit.py": FIT.format("nets", ""),
                "b/nets.py": NETS.replace("0.5", "0.0"),
                "b/fit.py": FIT.format("nets", ""),
            },
            ["a/fit.py:6"],
        ),
        ({"nets/__init__.py": NETS, "old.py": FIT.format("nets", "")}, ["old.py:6"]),
        ({"nets.py": NETS, "old.py": FIT.format("elsewhere", "")}, []),
    ],
)
def test_dropout_needs_train(tmp_path, files, expected):
    assert told(tmp_path, files, "dropout-fresh") == expected


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ("import jittor as jt\nprint(trainer.opt_g.lr)\n", ["trainer.py:4"]),
        ("import jittor as jt\ntrainer.opt_g.step(loss)\n", []),
        ("import jittor as jt\nstep_all([trainer.opt_g])\n", []),
        ("import jittor as jt\ngetattr(trainer, 'opt_g').step(loss)\n", []),
    ],
)
def test_an_optimiser_that_nobody_steps(tmp_path, other, expected):
    files = {"trainer.py": TRAINER, "main.py": other}
    assert told(tmp_path, files, "backward-method") == expected


def test_a_wrapper_hands_the_length_on(tmp_path):
    sets = (
        "from jittor.dataset import Dataset\nclass Pictures(Dataset):\n"
        "    def __len__(self):\n        return 3\n"
        "class WrappedLoader:\n    def __len__(self):\n        return len(self.inner)\n"
    )
    files = {"sets.py": sets, "main.py": "import jittor as jt\nmean = total / len(loader)\n"}
    assert told(tmp_path, files, "loader-own-length") == ["main.py:2"]
    files["sets.py"] = sets.replace("len(self.inner)", "self.batches")
    assert told(tmp_path, files, "loader-own-length") == []


@pytest.mark.parametrize(("schedule", "expected"), [("LambdaLR", []), ("StepLR", ["fit.py:3"])])
def test_lambda_lr_gives_groups_their_rates(tmp_path, schedule, expected):
    made = f"import jittor as jt\ndef made(opt, f):\n    return jt.optim.{schedule}(opt, f)\n"
    read = "import jittor as jt\nfrom rates import made\nrate = opt.param_groups[0]['lr']\n"
    assert told(tmp_path, {"rates.py": made, "fit.py": read}, "group-lr-missing") == expected
