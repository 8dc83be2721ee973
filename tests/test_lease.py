"""What is carried to a machine with a GPU and nothing else: whole, and not too much."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
import time
from importlib import metadata

import pytest

from neutral.errors import InputError
from scripts.gpu import packages
from scripts.gpu.plan import ROOT

pytest.importorskip("tomllib")  # from Python 3.11 on, where packs are made
OURS = ("door", "jittor_impl", "jittor_setup", "neutral", "parity", "scripts", "torch_impl")
# one script's each, or of tests that the GPU check does not run
LEFT = {"hypothesis", "mkdocs", "playwright", "transformers"}


def imported() -> dict[str, str]:
    """Top-level modules of others by name, and a file that imports each."""
    found: dict[str, str] = {}
    for path in (p for name in OURS for p in sorted((ROOT / name).rglob("*.py"))):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            found |= {name.partition(".")[0]: str(path) for name in names}
    known = {*OURS, *sys.stdlib_module_names, *LEFT}
    return {name: path for name, path in found.items() if name not in known}


def test_all_that_is_imported_is_carried_or_there():
    carried = {*packages.to_carry(), *packages.closure(packages.THERE)}
    of_modules = metadata.packages_distributions()
    for name, path in imported().items():
        distributions = {packages.canonical(d) for d in of_modules.get(name, [])}
        assert distributions & carried, f"{name}, which {path} imports, is not carried"
    assert {"msgspec", "jittor", "pycocotools"} <= set(packages.to_carry())
    assert not {"torch", "numpy", "torchvision", "scipy"} & set(packages.to_carry())


def test_a_package_that_is_not_installed_is_named():
    with pytest.raises(InputError, match="no-such-package-xyz is not installed"):
        packages.closure(["No_such.package-xyz"])


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    mine = tmp_path / "data"
    mine.mkdir()
    (mine / "mine.txt").write_text("kept")
    command = ["bash", str(ROOT / "scripts" / "gpu" / "lease_pack.sh"), str(tmp_path)]
    result = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"PYTHON": sys.executable}
    )
    assert result.returncode == 2 and "holds something else" in result.stderr
    assert (mine / "mine.txt").read_text() == "kept"


def test_a_run_that_is_killed_leaves_what_it_found(tmp_path):
    """lease_run.sh with a check that writes one result and never ends."""
    place, out, folder = tmp_path / "place", tmp_path / "out", tmp_path / "project" / ".lease"
    (folder / "wheels").mkdir(parents=True)
    (place / "gpu").mkdir(parents=True)
    (place / ".installed").touch()
    script = (ROOT / "scripts" / "gpu" / "lease_run.sh").read_text()
    (folder / "lease_run.sh").write_text(script)
    (folder.parent / "scripts").mkdir()
    python = tmp_path / "python"
    wait = 'echo \'{"steps": 1}\' > "$LEASE_PLACE/gpu/check.json"; exec sleep 60'
    python.write_text(f'#!/bin/sh\n[ "$2" = scripts.gpu_check ] || exit 0\n{wait}\n')
    python.chmod(0o755)
    variables = {"LEASE_PLACE": place, "LEASE_PYTHON": python, "OUT": out, "LEASE_SAVE": "0.2"}
    process = subprocess.Popen(
        ["bash", ".lease/lease_run.sh", "60"],
        cwd=folder.parent,
        env=os.environ | {name: str(value) for name, value in variables.items()},
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        for _ in range(100):
            if (out / "gpu.tgz").exists():
                break
            time.sleep(0.1)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert (out / "check.json").read_text() == '{"steps": 1}\n'
    told = subprocess.run(["tar", "tzf", out / "gpu.tgz"], capture_output=True, text=True).stdout
    assert "gpu/check.json" in told
