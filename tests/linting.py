"""What the linter finds in files that a test writes."""

from __future__ import annotations

from pathlib import Path

from parity.atlas.lint.run import lint_path

HEAD = "import jittor as jt\nfrom jittor import nn\n"


def linted(folder: Path, files: dict[str, str]) -> list[str]:
    """ "FILE:LINE entry" of all findings."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    found = lint_path(folder).findings
    return [f"{f.path.relative_to(folder)}:{f.line} {f.entry}" for f in found]
