"""Which module an exception is told to come from: of one that ran, or that was being constructed."""

from __future__ import annotations

import importlib
import json
import sys

import numpy as np
import pytest
import torch
from torch import nn

from parity.backends import torch as backend
from parity.engine.judge.crashes import describe
from parity.engine.judge.weights import drawn_weights
from parity.engine.sides.choices import Choices
from parity.engine.sides.whereabouts import module_of_error
from parity.engine.values.nodes import ROOT
from parity.engine.values.places import watch_constructors

watch_constructors(nn.Module)


class Broken(nn.Module):
    def __init__(self, fails: bool = True):
        super().__init__()
        if fails:
            raise ZeroDivisionError

    def forward(self, x):
        return helper(x)


class Unprepared(nn.Module):
    def __init__(self):
        self.layer = nn.Linear(1, 1)  # no super().__init__()


def helper(x):
    return sorted([1, 2], key=lambda _: x.nothing)


def made(kind):
    return nn.Sequential(nn.ReLU(), kind())


class Neck(nn.Module):
    def __init__(self, kind, how: str):
        super().__init__()
        for k in range(2):
            if how == "setattr":
                setattr(self, f"part{k}", kind())
            if how == "method":
                self.add_module("added", kind())
            if how == "function":
                self.made = made(
                    kind,
                )
            if how == "unclear":
                self.a, self.b = kind(), kind()
            if how == "list":
                self.many = nn.ModuleList([nn.ReLU(), kind()])


class Wider(Neck):
    def __init__(self, kind, how: str):
        super().__init__(kind, how)


class Net(nn.Module):
    def __init__(self, kind, how: str):
        super().__init__()
        self.neck = Wider(kind, how)


def raised(function, *args, modules=()) -> str:
    with pytest.raises(Exception) as caught:
        function(*args)
    return module_of_error(caught.value, dict(modules))


@pytest.mark.parametrize("kind", [Broken, Unprepared, lambda: nn.Conv2d(0, 1, 1, groups=0)])
@pytest.mark.parametrize(
    ("how", "name"),
    [
        ("setattr", "neck.part0"),
        ("method", "neck.added"),
        ("function", "neck.made"),
        ("list", "neck.many"),
        ("unclear", "neck"),
    ],
)
def test_what_was_being_constructed_is_named_as_it_would_have_been(kind, how, name):
    assert raised(Net, kind, how) == name


def test_the_outermost_is_the_model_itself():
    assert raised(Broken) == raised(Unprepared) == ROOT


def test_the_innermost_module_that_ran_is_named():
    net = Net(lambda: Broken(False), "list")
    x = torch.ones(1)
    assert raised(net.neck.many[1], x, modules=net.named_modules()) == "neck.many.1"
    assert raised(net, x, modules=net.named_modules()) == ROOT


class Lost(nn.Module):
    def __init__(self):
        pass  # no super().__init__(): shows when the weights are asked for


def test_a_module_that_is_used_before_anybody_has_named_it_is_named_by_who_holds_it():
    net = Net(Lost, "setattr")
    assert raised(net.state_dict) == "neck.part0"


def test_what_runs_in_no_module_is_named_by_its_function():
    assert raised(helper, 1) == "(outside) helper"
    assert raised(int, "x") == "(outside) raised"
    assert (
        raised(lambda: int("x")) == "(outside) test_what_runs_in_no_module_is_named_by_its_function"
    )
    assert module_of_error(ValueError(), {}) == ""


@pytest.mark.parametrize("given", [(torch.ones(1), "kept"), ("kept", len), ("kept", [1])])
def test_a_choice_without_a_name_or_values_is_refused_where_it_is_made(given):
    with pytest.raises(TypeError, match="a name and an array or tensor"):
        Choices(backend).settle(*given)


def test_the_frame_that_counts_is_no_librarys():
    assert raised(json.loads, "{") == "(outside) raised"
    assert raised(lambda: [json.loads(x) for x in "{"]).endswith("is_no_librarys")
    assert raised(np.block, [[1], 2]) == "(outside) raised"
    with pytest.raises(json.JSONDecodeError) as caught:
        json.loads("{")
    told = describe(caught.value)
    assert told["code"].startswith(__file__) and "json.loads(" in told["traceback"]


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("import json\njson.loads('{')", "part_of_a_port"),
        ("class Config:\n    size = int('x')", "Config"),
        (
            "import dataclasses\n@dataclasses.dataclass\nclass Config:\n    a: int = 1\n    b: int",
            "part_of_a_port",
        ),
        ("def make():\n    return int('x')\nmade = make()", "make"),
    ],
)
def test_what_fails_while_it_is_imported_is_named_by_its_module(tmp_path, monkeypatch, code, name):
    (tmp_path / "part_of_a_port.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "part_of_a_port", raising=False)
    with pytest.raises((ValueError, TypeError)) as caught:
        importlib.import_module("part_of_a_port")
    assert module_of_error(caught.value, {}) == f"(outside) {name}"
    assert "part_of_a_port.py:" in describe(caught.value)["code"]


def test_an_error_without_a_line_of_the_users_still_tells_its_lines():
    with pytest.raises(Exception) as caught:
        drawn_weights({"a.weight": ("x", 3)})
    error = caught.value.with_traceback(caught.value.__traceback__.tb_next)
    assert describe(error)["code"] == ""
    assert "weights.py:" in describe(error)["traceback"]


def test_weights_without_inputs_are_drawn():
    drawn = drawn_weights({"a.weight": (3, 0), "b.weight": (0, 3), "c.weight": (4, 0, 1, 1)})
    assert {k: v.shape for k, v in drawn.items()} == {
        "a.weight": (3, 0),
        "b.weight": (0, 3),
        "c.weight": (4, 0, 1, 1),
    }
