"""Stand-ins of packages that are not installed, and code that ends the process."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest

from parity import Case, InputError, Side, Workers, check_initial, examine
from parity.engine.judge.verdicts import Status
from parity.engine.sides.half import pair_side
from parity.engine.sides.imports import StandIn, check_stand_ins
from parity.errors import WorkerError
from parity.loading import Refused


def test_what_stands_in_is_derived_from_and_leaves_what_it_decorates():
    lost = StandIn("lost")

    class Config(lost.Dict):
        @lost.register(name="x")
        @lost.once
        def size(self) -> int:
            return 7

    assert Config(a=1).size() == 7 and (Config | None)
    assert lost.registry.register_module()(Config) is Config
    with lost.scope(1) as found:
        assert found is not None


def test_what_stands_in_is_new_enough_for_who_asks_for_a_version(tmp_path, warm_workers):
    """As torch.utils.tensorboard does of tensorboard."""
    asks = "from torch.utils.tensorboard import SummaryWriter"
    path = tmp_path / "pair.py"
    given = "import numpy\n    return (numpy.ones((2, 3)),)"
    path.write_text(
        f"STAND_INS = ('tensorboard',)\n\ndef both_sides():\n    {asks}\n    from torch import nn\n\n"
        f"    return nn.ReLU()\n\n\ndef inputs():\n    {given}\n"
    )
    case = Case.from_file(path)
    case = replace(case, candidate=replace(case.reference, label="candidate"))
    assert not check_initial(case).failures


def leave(server):
    """In a worker: what an argument parser does with arguments that it does not know."""
    sys.exit(2)


def goes_on(server) -> str:
    return "on"


def test_code_that_ends_the_process_is_an_error_and_the_process_goes_on(warm_workers):
    with Workers(Side("", "torch")) as workers:
        with pytest.raises(WorkerError, match=r"sys.exit\(2\) was called"):
            workers.run(f"{__file__}:leave")
        assert workers.run(f"{__file__}:goes_on") == {"torch": "on"}


PAIR = """
def torch_side():
    {inside}
    from torch import nn

    return nn.ReLU()


jittor_side = torch_side
PATHS = "packages"


def inputs():
    return ()
"""


@pytest.mark.parametrize("inside", ["import jittor", "import models"])
@pytest.mark.parametrize("package", ['raise OSError("libcudart.so: cannot open")', None])
def test_the_other_halfs_framework_is_told_with_what_to_do(tmp_path, package, inside):
    """One that dies while it is imported, and one that is not there; stand-ins are for this half alone."""
    (tmp_path / "packages" / "jittor").mkdir(parents=True)
    (tmp_path / "packages" / "jittor" / "__init__.py").write_text(
        package or "raise ModuleNotFoundError(\"No module named 'jittor'\", name='jittor')"
    )
    path = tmp_path / "pair.py"
    (tmp_path / "packages" / "models").mkdir()
    (tmp_path / "packages" / "models" / "__init__.py").write_text("import jittor")
    path.write_text(PAIR.format(inside=inside))
    case = Case.from_file(path)
    case = replace(case, candidate=case.reference)
    with Workers(*[Side("", "torch")] * 2) as workers:
        failed, *_ = check_initial(case, workers).failures
    assert (
        "this half runs in torch's process: import jittor in jittor's half alone" in failed.message
    )
    assert "STAND_INS = {'torch': ('jittor',)}" in failed.message
    assert failed.message.count("STAND_INS") == 1 and f"in torch_side: {inside}" in failed.message
    assert ("libcudart" if package else "No module named 'jittor'") in failed.message


@pytest.mark.parametrize("package", ["", 'raise OSError("libcudart.so")'])
@pytest.mark.parametrize("name", ["jittor", "helper"])
def test_jittor_at_the_top_of_a_pair_file_is_told_with_what_to_do(
    tmp_path, monkeypatch, package, name
):
    """Whether it works or not: it would take over the signals of the process that compares."""
    (tmp_path / "jittor").mkdir()
    (tmp_path / "jittor" / "__init__.py").write_text(package)
    (tmp_path / "helper.py").write_text("from jittor import nn\n")
    for module in ("jittor", "helper"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "pair.py").write_text(f"import {name}\n" + PAIR.format(inside=""))
    with pytest.raises(InputError, match=r"import jittor inside of jittor_side\(\) alone"):
        Case.from_file(tmp_path / "pair.py")
    assert "jittor" not in sys.modules and not any(
        isinstance(finder, Refused) for finder in sys.meta_path
    )


OWN = """
STAND_INS = ("ownpkg",)


def both_sides():
    import ownpkg

    return lambda x: {"a": x * 2, "b": [ownpkg.scale(x) * 5]}


def inputs():
    import numpy as np

    return (np.arange(6.0),)
"""


def test_what_a_stand_in_gives_on_both_sides_is_no_agreement(tmp_path):
    (tmp_path / "pair.py").write_text(OWN)
    case = replace(Case.from_file(tmp_path / "pair.py"), float32=False)
    with Workers() as workers:
        failed = examine(case, workers).failures
    assert {v.message.partition(":")[0] for v in failed} == {
        "torch raised TypeError",
        "jittor raised TypeError",
    }
    assert all("[b][0] of what it gives is a stand-in, ownpkg.scale()" in v.message for v in failed)


@pytest.mark.parametrize(
    "name", ["torch", "torch.nn", "numpy.linalg", "numpy", "os", "threading", "parity", ""]
)
def test_what_a_half_cannot_do_without_is_not_stood_in_for(tmp_path, name):
    path = tmp_path / "pair.py"
    path.write_text(OWN.replace("ownpkg", name, 1))
    with pytest.raises(InputError, match=f"STAND_INS: '{name}' is nothing that torch's half can"):
        pair_side(str(path), "torch")
    check_stand_ins(("torch", "numpy.lost", "torchvision"), "jittor")
    check_stand_ins(("torch.lost", "torch.utils.lost"), "torch")


DRAWING = """
STAND_INS = {"torch": ("lostinit",)}


def torch_side():
    from lostinit import draw_
    from torch import nn

    made = nn.Linear(64, 64)
    draw_(made.weight, std=0.02)
    return made


def jittor_side():
    from jittor import nn

    made = nn.Linear(64, 64)
    nn.init.gauss_(made.weight, 0.0, 0.02)
    return made


def inputs():
    import numpy as np

    return (np.zeros((2, 64)),)
"""


def test_what_a_stand_in_was_to_draw_is_not_compared(tmp_path):
    path = tmp_path / "pair.py"
    found = []
    with Workers() as workers:
        for text in (DRAWING, DRAWING.replace("    draw_(", "    # draw_(")):
            path.write_text(text)
            verdicts = check_initial(Case.from_file(path), workers).verdicts
            found.append(next(v for v in verdicts if v.node == "weight"))
    stood, own = found
    assert stood.status is Status.NOT_RUN and "lostinit.draw_" in stood.message
    assert own.status is Status.FAIL, "a port that draws otherwise is told"
