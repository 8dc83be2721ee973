"""The mirror rule: twin files are the same, line by line, but for what carries `# mirror: why`.

ops/, runtime.py and group.py are where the frameworks may differ; they must still offer the same names,
signatures and defaults, in the same order.
"""

from __future__ import annotations

import ast
import difflib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OWN = {"runtime.py", "kernels.py", "group.py"}
ALONE = {
    "kernels.py",
    "kernel_sources.py",
    "value_sources.py",
    "kernel_table.py",
}  # Jittor needs these
TWINS = sorted(
    p.relative_to(ROOT / "torch_impl").as_posix()
    for p in (ROOT / "torch_impl").rglob("*.py")
    if p.name not in OWN and p.parent.name != "ops"
)

OPS = [p for p in sorted((ROOT / "torch_impl" / "ops").glob("*.py")) if p.stem != "__init__"]


def normalised(path: Path) -> list[str]:
    """Lines without imports, with module names and forward/execute made alike."""
    lines = []
    inside = False  # a parenthesised import
    for line in path.read_text().splitlines():
        if inside or line.startswith(("import ", "from ")):
            inside = (inside or "(" in line) and ")" not in line
            continue
        line = line.replace("torch_impl", "impl").replace("jittor_impl", "impl")
        lines.append(line.replace("def execute(", "def forward("))
    return [line for line in lines if line.strip()]


def test_the_trees_are_the_same():
    jittor = {
        p.relative_to(ROOT / "jittor_impl").as_posix() for p in (ROOT / "jittor_impl").rglob("*.py")
    }
    torch = {
        p.relative_to(ROOT / "torch_impl").as_posix() for p in (ROOT / "torch_impl").rglob("*.py")
    }
    assert jittor - torch == ALONE
    assert torch - jittor == set()


@pytest.mark.parametrize("name", TWINS)
def test_twins_are_line_for_line_alike(name):
    torch, jittor = normalised(ROOT / "torch_impl" / name), normalised(ROOT / "jittor_impl" / name)
    differing = [
        line for line in difflib.ndiff(torch, jittor) if line[:1] in "+-" and line[1:2] == " "
    ]
    unmarked = [line for line in differing if "# mirror:" not in line]
    assert unmarked == [], "\n".join(unmarked)
    assert difflib.SequenceMatcher(None, torch, jittor).ratio() >= 0.9


def contract(path: Path) -> list[tuple[str, str]]:
    """(name, arguments with defaults) of the public functions, in order."""
    functions = [n for n in ast.parse(path.read_text()).body if isinstance(n, ast.FunctionDef)]
    return [(f.name, ast.unparse(f.args)) for f in functions if not f.name.startswith("_")]


@pytest.mark.parametrize("path", OPS, ids=lambda p: p.stem)
def test_ops_keep_the_same_contract(path):
    found = contract(path)
    assert found == contract(ROOT / "jittor_impl" / "ops" / path.name)
    assert {name for name, _ in found} <= set(exported("torch")) == set(exported("jittor"))


def exported(framework: str) -> list[str]:
    """What `ops` offers by its __all__."""
    tree = ast.parse((ROOT / f"{framework}_impl" / "ops" / "__init__.py").read_text())
    return next(ast.literal_eval(n.value) for n in tree.body if isinstance(n, ast.Assign))


def methods(path: Path) -> dict[str, str]:
    """Arguments with defaults of the public methods of Group."""
    tree = ast.parse(path.read_text())
    group = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "Group")
    return {f.name: ast.unparse(f.args) for f in group.body if isinstance(f, ast.FunctionDef)}


def test_groups_offer_the_same():
    torch, jittor = (methods(ROOT / f"{side}_impl" / "group.py") for side in ("torch", "jittor"))
    assert {name: jittor.get(name) for name in torch} == torch


def test_runtimes_offer_the_same():
    wanted = {"configure", "describe"}
    for side in ("torch", "jittor"):
        assert wanted <= {name for name, _ in contract(ROOT / f"{side}_impl" / "runtime.py")}


def test_the_mirror_notices_a_difference(tmp_path):
    """The test above can fail: one changed number in a copy is seen."""
    source = (ROOT / "torch_impl" / "detr" / "model.py").read_text()
    changed = tmp_path / "model.py"
    changed.write_text(source.replace("backbone, 4)", "backbone, 3)"))
    assert normalised(changed) != normalised(ROOT / "jittor_impl" / "detr" / "model.py")
