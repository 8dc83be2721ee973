"""Which module an exception is told to come from: of one that ran, or that was being constructed."""

from __future__ import annotations

import pytest
import torch
from torch import nn

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
    from parity.backends import torch as backend

    with pytest.raises(TypeError, match="a name and an array or tensor"):
        Choices(backend).settle(*given)
