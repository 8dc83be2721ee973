"""Which commit a result came of."""

from __future__ import annotations

import subprocess
from pathlib import Path


def git_revision(folder: Path | str) -> str | None:
    """The commit that a folder's repository is at, with "+" behind it when files differ; None where there is none."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None
