"""A start-up file that makes every `import jittor` of an environment what import_jittor is; off until asked for.

Python reads each *.pth file in site-packages when it starts. Ours imports `hook` below, which costs a millisecond and
loads nothing else before Jittor is asked for.
"""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

NAME = "jittor_setup_always.pth"
# without a traceback at every start where jittor_setup has been uninstalled since
LINE = (
    "import importlib.util as u; u.find_spec('jittor_setup') and __import__('jittor_setup.startup')"
    ".startup.hook()\n"
)


class Waiting:
    """Stands on sys.meta_path for importing.Hook, whose modules are loaded when Jittor is."""

    def find_spec(self, name: str, path=None, target=None):
        if name not in ("jittor", "jittor_utils"):
            return None
        from jittor_setup import importing

        importing.install_hook()
        return next(f for f in sys.meta_path if isinstance(f, importing.Hook)).find_spec(name)


def hook() -> None:
    sys.meta_path.insert(0, Waiting())


def place() -> Path:
    return Path(sysconfig.get_path("purelib")) / NAME


def is_on() -> bool:
    return place().is_file()


def switch(on: bool) -> Path:
    """Writes the start-up file, or removes it; its path. OSError where that is not allowed."""
    path = place()
    if on:
        from jittor_setup.files import replacing

        with replacing(path) as temporary:
            temporary.write_text(LINE)
    else:
        path.unlink(missing_ok=True)
    return path
