"""What import-linter cannot see: modules that are named in strings, for importlib or as targets of workers."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import re
from pathlib import Path

import pytest

from parity.backends import base

ROOT = Path(__file__).resolve().parent.parent
NAMED = re.compile(
    r"(parity|neutral|torch_impl|jittor_impl|jittor_setup|scripts|torch|jittor)(\.\w+)+(:\w+)?"
)
PROJECT = ("neutral", "torch_impl", "jittor_impl", "scripts", "parity.suite")
PARTS = ("", "_watching", "_loading")  # files of a backend
SOURCES = [p for p in sorted((ROOT / "parity").rglob("*.py")) if "suite" not in p.parts]


def named_modules(source: str) -> set[str]:
    """Modules and targets that stand in strings of their own."""
    tree = ast.parse(source)
    constants = (n.value for n in ast.walk(tree) if isinstance(n, ast.Constant))
    return {c for c in constants if isinstance(c, str) and NAMED.fullmatch(c)}


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_no_string_leads_out_of_the_library(path):
    for name in named_modules(path.read_text()):
        assert not name.startswith(PROJECT), f"{path.name} names {name}"
        if name.startswith("parity"):
            module = name.partition(":")[0]
            found = importlib.util.find_spec(module)
            assert found is not None, f"{path.name} names {name}, which is not there"
            wanted = name.partition(":")[2]
            assert not wanted or f"def {wanted}(" in Path(found.origin).read_text(), name


def test_the_search_finds_names():
    assert named_modules('importlib.import_module("neutral.config")') == {"neutral.config"}
    assert named_modules('worker.run("parity.suite.requests:fit", 1)') == {
        "parity.suite.requests:fit"
    }


def test_every_backend_has_every_function_with_the_same_parameters():
    wanted = {
        name: [p.name for p in inspect.signature(f).parameters.values()][1:]
        for name, f in vars(base.Backend).items()
        if inspect.isfunction(f) and not name.startswith("_")
    }
    assert len(wanted) > 20
    for backend in base.NAMES:
        files = [ROOT / "parity" / "backends" / f"{backend}{more}.py" for more in PARTS]
        found = {
            node.name: [a.arg for a in node.args.args]
            for path in files
            for node in ast.parse(path.read_text()).body
            if isinstance(node, ast.FunctionDef)
        }
        for name, parameters in wanted.items():
            assert found.get(name) == parameters, f"{backend}.{name}"


def test_every_public_name_is_there():
    import parity

    assert all(getattr(parity, name) is not None for name in parity.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = parity.nothing
