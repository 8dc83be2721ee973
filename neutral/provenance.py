"""What a result came of: the repository's commit, the libraries that this process has loaded."""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path

from neutral.files import sha256_of


@functools.cache
def loaded_libraries(*names: str) -> dict[str, str]:
    """First 16 digits of the SHA-256 of this process's shared libraries whose file names begin with one of `names`."""
    maps = Path("/proc/self/maps")
    lines = maps.read_text().splitlines() if maps.exists() else []
    paths = {line.split(maxsplit=5)[5] for line in lines if line.count("/")}
    return {
        Path(path).name: sha256_of(path)[:16]
        for path in sorted(paths)
        if Path(path).name.startswith(names) and Path(path).is_file()
    }


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
