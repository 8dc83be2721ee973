"""What import-linter cannot see: modules that are named in strings, for importlib or as targets of workers."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

from parity.backends import base

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = (
    "parity|neutral|torch_impl|jittor_impl|jittor_setup|door|scripts|examples|tests|torch|jittor"
)
NAMED = re.compile(rf"({PACKAGES})(\.\w+)+(:\w+)?")
PROJECT = ("neutral", "torch_impl", "jittor_impl", "scripts", "examples", "tests", "parity.suite")
# inside of a worker the atlas runs both frameworks' own code
FRAMEWORKS_BY_NAME = {"atlas/conformance.py", "atlas/namesakes.py", "atlas/snippets.py"}
PARTS = ("", "_watching", "_loading", "_norms", "_wide")  # files that a backend may have
SUITE = [
    p for p in sorted((ROOT / "parity" / "suite").rglob("*.py")) if "import_module" in p.read_text()
]
SOURCES = [p for p in sorted((ROOT / "parity").rglob("*.py")) if "suite" not in p.parts]


def named_modules(source: str) -> set[str]:
    """Modules and targets that stand in strings of their own."""
    return named_in(ast.parse(source))


def named_in(tree: ast.AST) -> set[str]:
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


def in_both(tree: ast.AST) -> set[str]:
    """Of f"{framework}_impl.NAME" the module of either side; nothing where the name is open, too."""
    found = set()
    for node in ast.walk(tree):
        parts = node.values if isinstance(node, ast.JoinedStr) else []
        tail = getattr(parts[-1], "value", "") if len(parts) == 2 else ""
        if isinstance(tail, str) and re.fullmatch(r"_impl(\.\w+)+(:\w+)?", tail):
            found |= {side + tail for side in ("torch", "jittor")}
    return found


def leads_nowhere(name: str) -> str:
    """What is missing of "package.module", "package.module.attribute" or "package.module:function"; "" for nothing."""
    module, _, function = name.partition(":")
    parts, rest = module.split("."), []
    while parts and not (found := source_of(ROOT.joinpath(*parts))):
        rest.insert(0, parts.pop())
    if not parts or (rest and function):
        return f"no module {module}"
    wanted = function or (rest[0] if rest else "")
    text = found.read_text() if found.is_file() else ""
    defined = rf"^ *(def|class) {wanted}\b|\b{wanted}\b.* = |import .*\b{wanted}\b|^    {wanted},$"
    return "" if not wanted or re.search(defined, text, re.MULTILINE) else f"no {wanted}"


def source_of(path: Path) -> Path | None:
    """The file of a module, or its folder where it has no __init__.py."""
    found = (path.with_suffix(".py"), path / "__init__.py", path)
    return next((p for p in found if p.exists()), None)


def test_every_name_in_a_string_leads_somewhere():
    """Targets of workers and modules for importlib, in the suite, scripts and tests as well."""
    command = ["git", "ls-files", "*.py"]
    files = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    broken, seen = [], 0
    for file in files.split():
        if file == "tests/test_contracts.py" or not (ROOT / file).is_file():
            continue
        tree = ast.parse((ROOT / file).read_text())
        for name in sorted(named_in(tree) | in_both(tree)):
            is_ours = not name.startswith(("torch.", "jittor.")) and not name.endswith(".json")
            if is_ours and (why := leads_nowhere(name)):
                broken.append(f"{file}: {name}: {why}")
            seen += is_ours
    assert not broken and seen > 100
    assert leads_nowhere("parity.suite.requests:nothing") == "no nothing"
    assert leads_nowhere("parity.suite.nothing:build") == "no module parity.suite.nothing"
    assert leads_nowhere("parity.report.report.nothing") == "no nothing"
    assert in_both(ast.parse('f"{x}_impl.ops"')) == {"torch_impl.ops", "jittor_impl.ops"}


def frameworks_imported(source: str) -> list[str]:
    """Imports of a framework, in statements or by a name that stands in the call or in a variable."""
    found = []
    for node in ast.walk(ast.parse(source)):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            argument = node.args[0]
            constant = argument.value if isinstance(argument, ast.Constant) else None
            is_open = not isinstance(argument, ast.Constant)
            if isinstance(argument, ast.JoinedStr) and isinstance(argument.values[0], ast.Constant):
                constant, is_open = argument.values[0].value, False
            names += ["?"] if is_open else [constant]
        found += [n for n in names if n == "?" or n.partition(".")[0] in ("torch", "jittor")]
    return found


def test_frameworks_are_imported_by_backends_and_by_the_atlas_alone():
    """A name in a variable may be a framework's, too."""
    found = {
        path.relative_to(ROOT / "parity").as_posix()
        for path in SOURCES
        if frameworks_imported(path.read_text())
    }
    others = {
        path for path in found if not path.startswith(tuple(f"backends/{n}" for n in base.NAMES))
    }
    assert others - {"loading.py"} == FRAMEWORKS_BY_NAME  # loading.py has the targets
    assert frameworks_imported('importlib.import_module("torch")') == ["torch"]
    assert frameworks_imported("import_module(name)\nimport json") == ["?"]
    assert frameworks_imported("from torch.nn import x") == ["torch.nn"]


def imported_here(node: ast.AST) -> str:
    """The module that `importlib.import_module("...")` imports; "" for anything else."""
    is_call = isinstance(node, ast.Call) and ast.unparse(node.func) == "importlib.import_module"
    return node.args[0].value if is_call and isinstance(node.args[0], ast.Constant) else ""


def imported_by_name(function: ast.FunctionDef) -> dict[str, str]:
    """Variables of a function that hold modules of neutral or scripts, imported by a string: module by variable."""
    found = {}
    for node in ast.walk(function):
        if not isinstance(node, ast.Assign) or "import_module(" not in ast.unparse(node.value):
            continue
        (target,) = node.targets
        if isinstance(node.value, ast.GeneratorExp) and isinstance(target, ast.Tuple):
            argument = node.value.elt.args[0]
            parts = argument.values if isinstance(argument, ast.JoinedStr) else []
            # where the framework's name comes first, it is no module of neutral or scripts
            before = getattr(parts[0], "value", "") if parts else ""
            before = before if isinstance(before, str) else "?"
            for one, word in zip(target.elts, node.value.generators[0].iter.elts, strict=True):
                if isinstance(word, ast.Constant):
                    found[one.id] = before + word.value
        elif name := imported_here(node.value):
            found[target.id] = name
    return {k: name for k, name in found.items() if name.startswith(("neutral", "scripts"))}


@pytest.mark.parametrize("path", SUITE, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_what_is_imported_by_name_has_what_is_taken_of_it(path):
    for function in ast.walk(ast.parse(path.read_text())):
        if not isinstance(function, ast.FunctionDef):
            continue
        modules = imported_by_name(function)
        for node in ast.walk(function):
            if not isinstance(node, ast.Attribute):
                continue
            name = imported_here(node.value) or modules.get(getattr(node.value, "id", ""), "")
            if name.startswith(("neutral", "scripts")):
                where = f"{path.name}, {function.name}: {name}.{node.attr}"
                assert hasattr(importlib.import_module(name), node.attr), where


def test_modules_imported_by_name_are_found():
    source = """
def f():
    a = importlib.import_module("neutral.config")
    b, c = (importlib.import_module(f"neutral.{name}") for name in ("files", "text"))
    d = importlib.import_module("torch")
"""
    (function,) = ast.parse(source).body
    wanted = {"a": "neutral.config", "b": "neutral.files", "c": "neutral.text"}
    assert imported_by_name(function) == wanted


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
        files = [path for path in files if path.exists()]
        found = {
            node.name: [a.arg for a in node.args.args]
            for path in files
            for node in ast.parse(path.read_text()).body
            if isinstance(node, ast.FunctionDef)
        }
        for name, parameters in wanted.items():
            assert found.get(name) == parameters, f"{backend}.{name}"
        assigned = {
            getattr(target, "id", "")
            for node in ast.parse(files[0].read_text()).body
            for target in getattr(node, "targets", ())
        }
        assert set(base.Backend.__annotations__) <= assigned


def test_nothing_is_asked_of_a_backend_that_the_contract_does_not_name():
    known = {*vars(base.Backend), *base.Backend.__annotations__}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            owner = node.value if isinstance(node, ast.Attribute) else None
            name = getattr(owner, "attr", getattr(owner, "id", ""))
            if name == "backend" and "backends" not in path.parts:
                assert node.attr in known, f"{path.name}:{node.lineno}: backend.{node.attr}"


def test_every_public_name_is_there():
    import parity

    assert all(getattr(parity, name) is not None for name in parity.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = parity.nothing


EXTRAS = {  # imported by these files alone, each in what pyproject.toml calls an extra or is installed beside
    "pytest": ("parity/pytest_plugin.py", "parity/report/live.py", "parity/report/screen.py"),
    **dict.fromkeys(("torch", "torchvision"), ("parity/backends/",)),
    **dict.fromkeys(
        ("jittor", "jittor_utils"), ("parity/backends/", "parity/atlas/", "jittor_setup/")
    ),
}


def test_what_the_wheel_imports_is_what_pip_installs_with_it():
    """Every third package that a file of the wheel imports is one of the dependencies of pyproject.toml."""
    tomllib = pytest.importorskip("tomllib")  # from Python 3.11 on
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    known = {re.match(r"\w+", name)[0] for name in project["dependencies"]}
    known |= {*sys.stdlib_module_names, "parity", "door", "jittor_setup"}
    leaves = [p for name in ("door", "jittor_setup") for p in (ROOT / name).rglob("*.py")]
    for path in (*SOURCES, *leaves):
        file = path.relative_to(ROOT).as_posix()
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            names += [imported_here(node)] if imported_here(node) else []
            for top in {name.partition(".")[0] for name in names} - known:
                assert file.startswith(EXTRAS.get(top, ())), f"{file} imports {top}"


IN_A_WORKER = """
import importlib
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in (*sys.stdlib_module_names, *{there}) and not top.startswith("_"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Missing())
for name in {modules}:
    importlib.import_module("parity.engine." + name)
"""


def test_a_workers_interpreter_needs_little():
    """docs/pairs.md: NumPy, msgspec and typing_extensions beside the framework."""
    there = {"numpy", "msgspec", "typing_extensions", "parity", "door", "jittor_setup"}
    modules = (
        *("sides.server", "ask.functions", "ask.initial", "values.proposing", "sides.pretrained"),
        "sides.half",
    )
    code = IN_A_WORKER.format(there=there, modules=modules)
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
