"""Libraries' functions that are noted where a port has written them anew, and the names that tell which those are."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from parity.engine.sides.lent import own_names
from parity.engine.values.places import LIBRARY
from tests.noting import Tensor, names_of, noted

X = Tensor([[1.0, 2.0], [3.0, 4.0]])


def lender(name: str, text: str, **space) -> dict:
    found = {"__name__": name, "__spec__": None, **space}
    exec(compile(text, f"/nowhere/{name}.py", "exec"), found)
    return found


@pytest.mark.parametrize(
    ("home", "is_noted"),
    [
        *(("torchvision", True), ("torchvision.ops.boxes", True), ("jittor.nn", True)),
        *(("torch.nn.functional", True), ("torch.functional", True)),
        *(("torch.nn.modules.linear", False), ("torch", False), ("numpy", False)),
        ("parity.backends", False),
    ],
)
def test_libraries_functions_are_noted_where_they_are_wanted(home, is_noted):
    text = (
        "def box_iou(x):\n    return 2.0 * x\n\n\ndef area(x):\n    return 2.0 * x\n\n\n"
        "class Coder:\n    def decode(self, x):\n        return 2.0 * x\n\n\n"
        "class Other:\n    def decode(self, x):\n        return 2.0 * x\n"
    )
    space = lender(home, text)
    for lent in ((), ("box_iou", "Coder.decode")):
        with noted(lent=lent) as calls:
            space["box_iou"](X), space["area"](X)
            space["Coder"]().decode(X), space["Other"]().decode(X)
        assert names_of(calls) == list(lent) * is_noted
        assert all(call.lent for call in calls.noted)


def test_a_package_that_begins_alike_is_the_user_s_own():
    space = lender("torchvisionary.ops", "def box_iou(x):\n    return 2.0 * x\n")
    with noted(lent=("box_iou",)) as calls:
        space["box_iou"](X)
    assert [c.lent for c in calls.noted] == [False]


OWN = """
from os.path import join


def first(x):
    return x


class Coder:
    factor = 2

    def encode(self, x):
        return x

    def decode(self, x):
        return x


alias, number, constructor = first, 3, Coder()
"""


@pytest.fixture
def imported(tmp_path, monkeypatch):
    def put(name: str, file: str | None, text: str = OWN) -> None:
        module = ModuleType(name)
        if file is not None:
            module.__file__ = file
        exec(text, module.__dict__)
        monkeypatch.setitem(sys.modules, name, module)

    return put


def test_names_of_the_user_s_own_functions_are_those_of_own_files(imported, tmp_path):
    known = set(own_names(None, []))
    own = ["Coder.decode", "Coder.encode", "first"]
    for name, file in (
        *(("an_own", None), ("an_own", ""), ("torch.an_own", f"{tmp_path}/an_own.py")),
        *(("an_own", f"{LIBRARY}an_own.py"), ("an_own", f"{LIBRARY}site-packages/an_own.py")),
        ("an_own", f"{tmp_path}/pair.py"),
    ):
        imported(name, file)
        assert not set(own) & (set(own_names(None, [f"{tmp_path}/pair.py"])) - known), (name, file)
    imported("an_own", f"{tmp_path}/an_own.py")
    found = own_names(None, [f"{tmp_path}/pair.py"])
    assert found == sorted(found) and set(own) <= set(found)
    new = {name for name in found if name not in known}
    assert new <= set(own) and "join" not in new and "alias" not in new


def test_modules_that_import_others_when_they_are_looked_at_do_no_harm(monkeypatch):
    class Lazy(ModuleType):
        def __getattr__(self, name: str):
            monkeypatch.setitem(sys.modules, f"more_{len(sys.modules)}", ModuleType("more"))
            raise AttributeError(name)

    monkeypatch.setitem(sys.modules, "lazy_one", Lazy("lazy_one"))
    assert isinstance(own_names(None, []), list)
