"""What PyTorch's half of the contract sees of choices and branches, by a mode of torch function calls."""

from __future__ import annotations

import sys
from contextlib import contextmanager

from torch.nn import functional
from torch.overrides import TorchFunctionMode


class _Mode(TorchFunctionMode):
    """Sends what chooses through `choices`, however it is called; what is called inside of that is not seen."""

    def __init__(self, choices):
        super().__init__()
        self.choices = choices

    def __torch_function__(self, function, types, args=(), kwargs=None):
        watch = WATCHED.get(getattr(function, "__name__", ""))
        if watch is None:
            return function(*args, **(kwargs or {}))
        return watch(self.choices, function, *args, **(kwargs or {}))


def _relu(choices, function, x, inplace=False):
    open_ = x > 0
    result = choices.relu(x, open_, lambda: function(x.clone()) if inplace else function(x))
    if inplace or function.__name__ == "relu_":
        return x.copy_(result)
    return result


def _relu_in_place(choices, function, x, *_):
    return _relu(choices, functional.relu, x, inplace=True)


def _max_pool(
    choices, function, x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, **rest
):
    arguments = (kernel_size, stride, padding, dilation, ceil_mode)
    if rest.get("return_indices") or x.ndim not in (3, 4):
        return function(x, *arguments, **rest)
    return choices.max_pool(x, arguments, lambda: function(x, *arguments, **rest))


WATCHED = {
    "relu": _relu,
    "relu_": _relu_in_place,
    "max_pool2d": _max_pool,
    "_max_pool2d": _max_pool,
}


@contextmanager
def watching(choices):
    with _Mode(choices):
        yield


# between a user's call and the mode there may be frames of these
PASSED = ("torch.overrides", "torch.functional", "torch.nn.functional", "torch._tensor")


class _Observer(TorchFunctionMode):
    def __init__(self, branches):
        super().__init__()
        self.branches = branches
        choosing = {*branches.choosing, "clamp_min", "clamp_max", "max", "min"}
        self.in_place = {f"{name}_" for name in choosing}
        compared = {f"__{name}__" for name in branches.compared}
        self.observed = choosing | self.in_place | compared | {*branches.compared}

    def __torch_function__(self, function, types, args=(), kwargs=None):
        name, named = getattr(function, "__name__", ""), kwargs or {}
        if name not in self.observed:
            return function(*args, **named)
        frame, run = sys._getframe(1), function
        if name in self.in_place and args:  # its old values are looked at
            first, args = args[0], (args[0].detach().clone(), *args[1:])

            def run(_, *rest, **given):
                return function(first, *rest, **given)

        return self.branches.call(frame, name, run, args, named, PASSED)


@contextmanager
def watching_branches(branches):
    with _Observer(branches):
        yield
