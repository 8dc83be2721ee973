"""Whose results a statement that raised was reading."""

from __future__ import annotations

import importlib.util
import re

import pytest

from parity.engine.judge.crashes import describe
from parity.engine.values.origins import origins

CODE = """
def pair(x):
    return x, None


def whole(x):
    return x


def counted(x):
    return len(x)


class Part:
    def forward(self, x):
        return None

    def __call__(self, x):
        return self.forward(x)


class Whole:
    def __init__(self):
        self.part = Part()

    @property
    def size(self):
        return None

    @staticmethod
    def made(x):
        return None

    def by_part(self, x):
        y = self.part(x)
        z = y
        return z + 1

    def by_property(self, x):
        return self.made(x) + 1


def resized(image, size=2):
    return image.real * size


def by_argument(x):
    image = pair(x)
    image = image
    return resized(image, size=3)


def nested(x):
    return resized(pair(whole(x)))


def again(x):
    x = counted(x)
    x = x + 1
    return x


def overwritten(x):
    return again(whole(x))


def unpacked(x):
    first, second, third = pair(x)
    return first


def looped(x):
    total = 0
    for value in pair(x):
        total = total + value.real
    return total


def conditional(x):
    if (n := counted(x)) > 1 or n:
        return [0][n]
    return n


def own(x):
    return x.nothing


def named(x):
    try:
        return own(whole(x))
    except AttributeError:
        raise RuntimeError("file 7 is no picture") from None


def repeated(x):
    try:
        return own(x)
    except AttributeError as error:
        raise RuntimeError(f"file 7: {error}") from error


def filled(x):
    parts = []
    for k in range(2):
        parts.append(x)
    return total(parts)


def filled_by_another(x):
    parts = [None]
    parts.append(whole(x))
    return total(parts)


def total(parts):
    return sum(part.nothing for part in parts)


class Keeper:
    def __init__(self, x, options):
        self.options = options
        self.arrays = {}
        if options:
            self.arrays["average"] = x

    def average(self, x):
        return self.arrays["average"] + x

    def option(self, x):
        return self.options.nothing + x

    def wrapped(self, x):
        average = self.arrays
        return average["average"]


def rebound(x):
    y = pair(x)
    y = whole(y)
    if y:
        y = y.nothing
    y = counted(x)
    return y


def refused(x):
    size = counted(x)
    if size > 2:
        raise ValueError("too large")
    raise ValueError("too small")


def anew(file, function, *arguments):
    try:
        return function(*arguments)
    except ValueError as error:
        raise RuntimeError(f"{file}: {error}") from None


def refused_anew(x):
    file = whole("a.jpg")
    return anew(file, refused, x)


def deep(x):
    if x is not None:
        with open(__file__):
            made = [whole(v) for v in pair(x)]
            text = made[1]
        return text.strip()
"""


@pytest.fixture(scope="module")
def module(tmp_path_factory):
    path = tmp_path_factory.mktemp("port") / "port.py"
    path.write_text(CODE)
    spec = importlib.util.spec_from_file_location("port", path)
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def raised(function, *arguments) -> Exception:
    with pytest.raises(Exception) as told:
        function(*arguments)
    return told.value


@pytest.mark.parametrize(
    ("function", "given", "names"),
    [
        ("by_argument", 1, ["pair"]),
        ("nested", 1, ["pair", "whole"]),
        ("unpacked", 1, ["pair"]),
        ("overwritten", 1, ["whole"]),
        ("looped", 1, ["pair"]),
        ("conditional", "abc", ["counted"]),
        ("own", 1, []),
        ("deep", 1, ["whole", "pair"]),
        ("Whole.by_part", 1, ["Part.forward"]),
        ("Whole.by_property", 1, ["Whole.made"]),
        ("filled", 1, ["filled"]),
        ("filled_by_another", 1, ["filled_by_another", "whole"]),
        ("rebound", 1, ["whole", "pair"]),
        ("refused", "abc", ["counted"]),
        ("refused", "a", []),
    ],
)
def test_who_gave_what_cannot_be_used_is_named(module, function, given, names):
    owner, _, method = function.rpartition(".")
    called = getattr(getattr(module, owner)(), method) if owner else getattr(module, function)
    error = raised(called, given)
    found = [name.partition("(")[0] for name in origins(error)]
    assert found == names
    assert all(str(module.__file__) in name for name in origins(error))
    last = describe(error)["traceback"].splitlines()[-1]
    assert last.startswith("it read what ") == bool(names)


@pytest.mark.parametrize(
    ("method", "names"), [("average", ["__init__"]), ("wrapped", ["__init__"]), ("option", [])]
)
def test_who_makes_what_an_object_keeps_is_named(module, method, names):
    error = raised(getattr(module.Keeper(1, ""), method), 1)
    assert [x.partition("(")[0].rpartition(".")[2] for x in origins(error)] == names
    line = CODE.splitlines().index('            self.arrays["average"] = x') + 1
    assert all(x.endswith(f"port.py:{line})") for x in origins(error))


def test_what_was_raised_anew_read_what_was_handled_did(module):
    told = describe(raised(module.refused_anew, "abc"))["traceback"].splitlines()[-1]
    assert re.findall(r"(\w+)\(\) ", told) == ["counted", "whole"]


def test_what_was_handled_is_told_with_its_place(module):
    told = describe(raised(module.named, 1))
    assert told["error"] == "RuntimeError: file 7 is no picture"
    first, last, _ = told["traceback"].splitlines()[-3:]
    assert "in named: raise RuntimeError" in first
    assert "it read what whole() (" in told["traceback"]
    odd = "'int' object has no attribute 'nothing'"
    assert last.startswith(f"it was handling AttributeError: {odd}, raised in own() (")
    told = describe(raised(module.repeated, 1))
    assert told["error"].endswith(odd), "what the message has is not said twice"
    assert "it was handling AttributeError, raised in own() (" in told["traceback"]


def test_what_is_not_the_users_own_is_not_named():
    assert origins(raised(int, "x")) == []
    assert origins(ValueError("never raised")) == []
