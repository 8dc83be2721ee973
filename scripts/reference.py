"""Writes docs/reference from the code: every command with its help, every public name of `parity`.

Example: `python -m scripts.reference --check` fails when the pages are not what the code says.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import inspect
import io
import os
import re
import sys
from pathlib import Path
from unittest import mock

import parity
from door.files import replacing
from door.terminal import say
from parity import cli
from scripts.common import run_main
from scripts.options import Parser

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "docs" / "reference"
WRITTEN_WITH = (3, 11)  # argparse of another Python words its help otherwise


def help_of(program: str, main, *arguments: str) -> str:
    """What `program ... --help` prints."""
    printed = io.StringIO()
    with (
        mock.patch.object(sys, "argv", [program, *arguments, "--help"]),
        mock.patch.dict(os.environ, {"COLUMNS": "96"}),
        contextlib.redirect_stdout(printed),
        contextlib.suppress(SystemExit),
    ):
        main()
    return printed.getvalue().rstrip()


def scripts() -> list[str]:
    """Names of the modules of scripts/ that are commands."""
    files = sorted((ROOT / "scripts").glob("*.py"))
    return [f.stem for f in files if re.search(r"^def main\(", f.read_text(), re.MULTILINE)]


def commands() -> str:
    """docs/reference/commands.md."""
    parts = [
        "# Commands",
        "",
        "Written by `python -m scripts.reference` from each command's `--help`.",
        "",
    ]
    for name in cli.NAMES:
        text = help_of("parity", cli.main, name)
        parts += [f"## parity {name}", "", "```text", text, "```", ""]
    for name in scripts():
        module = importlib.import_module(f"scripts.{name}")
        text = help_of(f"python -m scripts.{name}", module.main)
        parts += [f"## python -m scripts.{name}", "", "```text", text, "```", ""]
    return "\n".join(parts).replace(str(ROOT), ".")


def names() -> str:
    """docs/reference/python.md: a table of what `import parity` has, then each with its documentation."""
    rows, parts = [], []
    for name in parity.__all__:
        found = getattr(parity, name)
        place = found.__module__
        first = (
            (inspect.getdoc(found) or "")
            .partition("\n\n")[0]
            .replace("\n", " ")
            .replace("|", "\\|")
        )
        rows.append(f"| [`{name}`](#{place}.{name}) | {first} |")
        parts += [f"::: {place}.{name}", ""]
    head = ["# Public names", "", "What `import parity` has; no framework is imported with it.", ""]
    return "\n".join([*head, "| name | what it is |", "|---|---|", *rows, "", *parts])


def main() -> None:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit code 1 on a difference"
    )
    options = parser.parse_args()
    wrong = []
    for name, make in (("commands.md", commands), ("python.md", names)):
        path, text = OUT / name, make()
        if not options.check:
            with replacing(path) as temporary:
                temporary.write_text(text)
            say(f"written: {path.relative_to(ROOT)}")
        elif sys.version_info[:2] == WRITTEN_WITH and path.read_text() != text:
            wrong.append(
                f"{path.relative_to(ROOT)} is not what the code says: python -m scripts.reference"
            )
    for line in wrong:
        say(line)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    run_main(main)
