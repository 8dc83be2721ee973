"""scripts/setup: what a machine lacks is said, uv installs, and pip what uv cannot."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BASICS = ("bash", "dirname", "cat", "cksum", "env", "sed", "tail", "mkdir", "cp")
# an interpreter, also of the environment that it makes, and its uv; both write down what they were asked for
PYTHON = """#!/bin/bash
case "$*" in
    "-m venv"*) mkdir -p .venv/bin; cp "$0" .venv/bin/python ;;
    "-m pip config list") cat config ;;
    *" uv") [ -z "$WITHOUT_UV" ] && cp "$UV" .venv/bin/uv ;;
    "-m pip"*) echo "pip '$PIP_FIND_LINKS' $*" >> log; exit "${PIP_CODE:-0}" ;;
esac
"""
UV = """#!/bin/bash
echo "uv '$UV_FIND_LINKS' '$UV_DEFAULT_INDEX' '$UV_INDEX' $*" >> log
exit "${UV_CODE:-0}"
"""
GOOD = {"python3": PYTHON, "g++": ""}


@pytest.fixture
def clone(tmp_path) -> Path:
    """What the script reads, and where it may write."""
    folder = tmp_path / "clone"
    (folder / "scripts").mkdir(parents=True)
    for name in ("scripts/setup", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "config").write_text(":env:.find-links='/wheels'\n")
    (tmp_path / "uv").write_text(UV)
    (tmp_path / "uv").chmod(0o755)
    return folder


def run_setup(clone: Path, tools: dict[str, str], **variables: str) -> subprocess.CompletedProcess:
    """scripts/setup with a PATH that holds the basics and the given executables."""
    folder = clone.parent / "bin"
    folder.mkdir()
    for name in BASICS:
        (folder / name).symlink_to(shutil.which(name))
    for name, text in tools.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    places = {"PATH": str(folder), "HOME": str(clone.parent), "UV": str(clone.parent / "uv")}
    command = [str(folder / "bash"), str(clone / "scripts" / "setup")]
    return subprocess.run(command, env=places | variables, capture_output=True, text=True)


def installed(clone: Path) -> list[str]:
    """Who was asked to install what."""
    log = clone / "log"
    return log.read_text().splitlines() if log.exists() else []


def test_without_gxx_it_says_what_to_install(clone):
    result = run_setup(clone, {"python3": PYTHON})
    assert result.returncode == 1
    assert "apt-get install g++" in result.stderr


def test_with_a_too_new_python_it_says_what_to_install(clone):
    new = '#!/bin/bash\nif [ "$1" = --version ]; then echo Python 3.14.1; exit 0; fi\nexit 1\n'
    result = run_setup(clone, {"python3": new})
    assert result.returncode == 1
    assert "Python 3.10, 3.11 or 3.12" in result.stderr
    assert "3.14.1" in result.stderr


def test_uv_installs_once_and_no_folder_of_wheels_is_looked_at(clone):
    result = run_setup(clone, GOOD, PIP_FIND_LINKS="/wheels", UV_FIND_LINKS="/wheels")
    assert result.returncode == 0, result.stderr
    jittor, rest = installed(clone)
    assert jittor.startswith("uv '' '' '' pip install") and "jittor==" in jittor
    assert rest.endswith("-c constraints.txt -e .[dev]")
    shutil.rmtree(clone.parent / "bin")
    assert run_setup(clone, GOOD).returncode == 0
    assert len(installed(clone)) == 2, "nothing has changed: nothing is installed again"


@pytest.mark.parametrize("variables", [{"UV_CODE": "2"}, {"WITHOUT_UV": "1"}])
def test_what_uv_cannot_do_pip_does(clone, variables):
    result = run_setup(clone, GOOD, PIP_FIND_LINKS="/wheels", **variables)
    assert result.returncode == 0, result.stderr
    asked = [line for line in installed(clone) if line.startswith("pip")]
    assert len(asked) == 2 and all(line.startswith("pip '' -m pip install") for line in asked)


def test_what_pip_cannot_do_ends_it_and_is_tried_again(clone):
    assert run_setup(clone, GOOD, UV_CODE="2", PIP_CODE="1").returncode == 1
    shutil.rmtree(clone.parent / "bin")
    assert run_setup(clone, GOOD).returncode == 0
    assert installed(clone)[-1].startswith("uv")


@pytest.mark.parametrize(
    ("config", "variables", "told"),
    [
        ("global.index-url='file:///a'\n", {}, "'file:///a' ''"),
        ("global.extra-index-url='file:///b file:///c'\n", {}, "'' 'file:///b file:///c'"),
        ("global.extra-index-url='\\nfile:///b\\nfile:///c'\n", {}, "'' ' file:///b file:///c'"),
        (
            "global.index-url='file:///a'\ninstall.index-url='file:///d'\n",
            {},
            "'file:///d' ''",
        ),
        ("global.index-url='file:///a'\n", {"PIP_INDEX_URL": "file:///e"}, "'file:///e' ''"),
    ],
)
def test_indexes_that_pip_is_told_of_are_uvs(clone, config, variables, told):
    (clone / "config").write_text(config)
    assert run_setup(clone, GOOD, **variables).returncode == 0
    assert all(line.startswith(f"uv '' {told} pip install") for line in installed(clone))
