"""What a pair file may say of where its halves live: folders, packages that cannot be imported, weights, data alone."""

from __future__ import annotations

import sys
import textwrap

import numpy as np
import pytest
import torch

from parity import Case, InputError, Status, Workers, check_data, check_initial, examine
from parity.backends import base
from parity.engine.ask.everything import Wanted, examine_all
from parity.engine.judge import checks
from parity.engine.sides.half import pair_side
from parity.engine.sides.pretrained import pretrained

INPUTS = """
import numpy as np


def inputs():
    return (np.random.default_rng(0).standard_normal((2, 6)),)
"""
NET = """
from FRAMEWORK import nn
from lost.below import Thing, decorator


class Base(Thing):
    pass


@decorator(3)
def unused():
    pass


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self._head = nn.Linear(6, 3)

    def forward(self, x):
        return self._head(x)

    execute = forward


def build():
    return Net()
"""


@pytest.fixture(scope="module")
def workers():
    with Workers() as both:
        yield both


def write(folder, text: str, name: str = "pair.py"):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(textwrap.dedent(text))
    return folder / name


def two_repositories(folder, package: str) -> None:
    for side in ("torch", "jittor"):
        write(folder, NET.replace("FRAMEWORK", side), f"{side}_repo/{package}/net.py")
        write(folder, "import nothing_like_it", f"{side}_repo/{package}/__init__.py")


def test_packages_of_one_name_whose_imports_fail(tmp_path, workers):
    two_repositories(tmp_path, "halves_a")
    path = write(
        tmp_path,
        """
        PATHS = {"torch": "torch_repo", "jittor": ("jittor_repo",)}
        STAND_INS = ("lost",)
        WITHOUT_INIT = "halves_a"


        def both_sides():
            from halves_a.net import build

            return build()
        """
        + textwrap.indent(INPUTS, " " * 8),
    )
    result = examine(Case.from_file(path), workers)
    assert not result.failures and result.counts()["PASS"] > 10
    looked_into = {v.node for v in result.verdicts if v.check == checks.LOCAL_FORWARD_64}
    assert {"_head", "_head/in[0]"} <= looked_into, "a private name hides nothing"


@pytest.mark.parametrize(
    ("says", "message"),
    [
        ('PATHS = "nowhere"', "nowhere: no such folder"),
        ('PATHS = {"torch": "torch_repo", "jitter": "."}', "PATHS: 'jitter' is no side"),
        ('PATHS = "torch_repo"\nWITHOUT_INIT = "halfs"', "no package halfs"),
        ('PRETRAINED = "none.pth"', "none.pth: no such file"),
        ("", r"both_sides\(\) gives nothing"),
    ],
)
def test_what_a_file_says_wrongly_is_told(tmp_path, monkeypatch, says, message):
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    two_repositories(tmp_path, "halves_b")
    imported = "halfs" if "halfs" in says else "math"
    path = write(tmp_path, f"{says}\n\n\ndef both_sides():\n    import {imported}\n{INPUTS}")
    with pytest.raises(InputError, match=message):
        pair_side(str(path), "torch")


def test_a_module_that_is_not_there_comes_with_what_to_write(tmp_path, workers):
    lost = "import cupie.core, cupie.more\n    import addicted, math"
    path = write(tmp_path, f"def both_sides():\n    {lost}\n{INPUTS}")
    (failed,) = check_initial(Case.from_file(path), workers).failures
    assert "so are addicted not" in failed.message
    assert "STAND_INS = ('cupie', 'addicted')" in failed.message
    path = write(tmp_path, f"STAND_INS = 'cupie'\ndef both_sides():\n    {lost}\n{INPUTS}")
    (failed,) = check_initial(Case.from_file(path), workers).failures
    assert "STAND_INS = ('cupie', 'addicted')" in failed.message and "so are" not in failed.message


def test_a_name_that_a_module_of_the_repository_lacks_comes_with_what_to_write(tmp_path, workers):
    write(tmp_path, "from .broken import LOSSES\n\nloss = print\n", "halves_e/losses.py")
    write(tmp_path, "", "halves_e/broken.py")
    text = f"def both_sides():\n    from halves_e.losses import loss\n    return loss\n{INPUTS}"
    path = write(tmp_path, text)
    (failed,) = check_initial(Case.from_file(path), workers).failures
    assert "STAND_INS = ('halves_e.broken',) in the pair file" in failed.message
    assert "cannot import name 'LOSSES'" in failed.message
    path = write(tmp_path, f"STAND_INS = ('halves_e.broken',)\n{text}")
    assert not check_initial(Case.from_file(path), workers).failures


def test_names_of_before_python_3_10_and_numpy_1_24_are_there(tmp_path, workers):
    imports = "from collections import Mapping\n    import numpy\n    from FRAMEWORK import nn\n"
    half = f"    {imports}\n    return nn.Linear(numpy.int(3), len([numpy.float]))\n\n\n"
    halves = [f"def {s}_side():\n{half.replace('FRAMEWORK', s)}" for s in ("torch", "jittor")]
    path = write(tmp_path, "".join(halves) + INPUTS)
    assert not check_initial(Case.from_file(path), workers).failures


def test_data_alone_needs_no_model(tmp_path, workers):
    path = write(
        tmp_path,
        """
        import numpy as np


        def torch_data(seed):
            yield {"image": np.full((3, 4, 4), 0.5), "labels": np.array([1, 2])}


        def jittor_data(seed):
            yield {"image": np.full((3, 4, 4), 0.5), "labels": np.array([0, 1])}
        """,
    )
    (failed,) = check_data(Case.from_file(path), workers).failures
    assert "labels off by one" in failed.message
    told = []
    found = examine_all(
        Case.from_file(path), Wanted(), None, tmp_path, lambda stage, _: told.append(stage)
    )
    assert told == ["data"] and [v.node for v in found.failures] == [failed.node]
    path = write(tmp_path, path.read_text() + "\n\ndef both_sides():\n    return print\n", "b.py")
    with pytest.raises(InputError, match=r"b\.py: defines no function inputs"):
        check_data(Case.from_file(path), workers)


# pretrained weights; both workers have no network, and would wait for it


def initial(folder, workers, torch_side: str, jittor_side: str, says: str = ""):
    """(failures, what was not run) of two halves that load weights."""
    sides = (("torch", torch_side), ("jittor", jittor_side))
    text = "".join(
        f"\n\ndef {name}_side():\n{textwrap.indent(textwrap.dedent(body), '    ')}"
        for name, body in sides
    )
    result = check_initial(Case.from_file(write(folder, says + INPUTS + text)), workers)
    lost = [v.message for v in result.verdicts if v.status is Status.NOT_RUN]
    assert not any(v.node == "build" for v in result.failures), result.failures[0].message
    return [v.node for v in result.failures], lost


TORCHVISION = """
from torchvision import models

return models.resnet18(weights="DEFAULT")
"""


def test_well_known_networks_get_the_same_drawn_values(tmp_path, workers):
    port = "from jittor import models\nreturn models.resnet18(pretrained=PRETRAINED)"
    failed, lost = initial(tmp_path, workers, TORCHVISION, port.replace("PRETRAINED", "True"))
    assert not failed
    assert len(lost) == 1 and "resnet18-f37072fd.pth" in lost[0] and "resnet18.pkl" in lost[0]
    failed, _ = initial(tmp_path, workers, TORCHVISION, port.replace("PRETRAINED", "False"))
    assert "bn1.weight" in failed and "layer4.1.bn2.bias" in failed


# the user's own ways to put weights in, of which half is known: names and shapes are those of the module
OWN = {
    "torch": """
        import torch
        from torch.hub import load_state_dict_from_url
        from torch.utils import model_zoo

        net = torch.nn.Sequential(torch.nn.Linear(6, 50), torch.nn.Linear(50, 30))
        {}
        return net
        """,
    "jittor": """
        import jittor as jt

        net = jt.nn.Sequential(jt.nn.Linear(6, 50), jt.nn.Linear(50, 30))
        {}
        return net
        """,
}
TORCH_WAYS = [
    'net.load_state_dict(load_state_dict_from_url("https://a.example/own.pth"))',
    'net.load_state_dict(model_zoo.load_url("https://a.example/own.pth")["model"], strict=False)',
    'net.load_state_dict(torch.load("own/weights.pth", map_location="cpu")["state_dict"])',
    'state = torch.load("own.pth"); state = {k[7:]: v for k, v in state.items()}; '
    "net.load_state_dict(state)",
    'torch.hub.download_url_to_file("https://a.example/own.pth", "own.pth"); '
    'net.load_state_dict(torch.load("own.pth"))',
]
JITTOR_WAYS = [
    'net.load("jittorhub://own.pkl")',
    'net.load_parameters(jt.load("https://a.example/own.pkl"))',
    'net.load_state_dict(jt.load("own/weights.pkl")["model"])',
    'net.load_parameters({k.replace("a", "b"): v for k, v in jt.load("own.pth").items()})',
    "import urllib.request; "
    'urllib.request.urlretrieve("https://a.example/own.pkl", "own.pkl"); net.load("own.pkl")',
]


@pytest.mark.parametrize(("first", "second"), list(zip(TORCH_WAYS, JITTOR_WAYS, strict=True)))
def test_own_networks_get_the_same_drawn_values(tmp_path, workers, first, second):
    failed, lost = initial(
        tmp_path, workers, OWN["torch"].format(first), OWN["jittor"].format(second)
    )
    assert not failed and "own" in lost[0]
    failed, _ = initial(tmp_path, workers, OWN["torch"].format(first), OWN["jittor"].format(""))
    assert failed  # the constructor's values are others


def test_an_address_that_no_framework_knows_fails_as_ever(tmp_path, workers):
    text = "def both_sides():\n    import jittor\n    jittor.load('jittor-hub://a.pkl')\n"
    text = "def torch_side():\n    return print\n\n\n" + text + INPUTS
    (failed,) = check_initial(Case.from_file(write(tmp_path, text)), workers).failures
    assert failed.node == "build" and "jittor-hub" in failed.message


def test_names_that_are_taken_away_stay_as_constructed(tmp_path, workers):
    way = 'state = torch.load("own.pth"); del state["1.weight"]; state.pop("1.bias", None); '
    way += "net.load_state_dict(state, strict=False)"
    failed, _ = initial(
        tmp_path,
        workers,
        OWN["torch"].format(way),
        OWN["jittor"].format('net.load("own.pkl")'),
    )
    assert failed and all(name.startswith("1.") for name in failed)


def test_a_given_checkpoint_goes_into_both(tmp_path, workers):
    state = {
        name: torch.randn(*shape)
        for name, shape in (
            ("0.weight", (50, 6)),
            ("0.bias", (50,)),
            ("1.weight", (30, 50)),
            ("1.bias", (30,)),
        )
    }
    torch.save({"state_dict": {f"module.{k}": x for k, x in state.items()}}, tmp_path / "r.pth")
    ways = OWN["torch"].format(TORCH_WAYS[0]), OWN["jittor"].format(JITTOR_WAYS[0])
    for says in ('PRETRAINED = "r.pth"', 'PRETRAINED = {"own*": "r.pth"}'):
        failed, lost = initial(tmp_path, workers, *ways, says)
        assert not failed and not lost
    bias = np.array2string(state["1.bias"].numpy(), separator=", ")
    check = f"assert np.allclose(net[1].bias.numpy(), {bias}, atol=1e-6)"
    told = OWN["jittor"].format(f"{JITTOR_WAYS[0]}; {check}")
    failed, lost = initial(tmp_path, workers, ways[0], told, 'PRETRAINED = "r.pth"')
    assert not failed


def test_after_the_block_every_module_has_its_own_functions_again():
    base.load("torch")
    functions = torch.load, torch.hub.load_state_dict_from_url, torch.nn.Module.load_state_dict
    with pytest.raises(KeyError), pretrained(), pretrained():
        assert torch.load is torch.serialization.load is not functions[0]
        network = torch.nn.Linear(2, 2)
        network.load_state_dict(torch.load("/not/there.pth"))
        raise KeyError
    assert functions[0] is torch.load is torch.serialization.load
    assert functions[1:] == (torch.hub.load_state_dict_from_url, torch.nn.Module.load_state_dict)
