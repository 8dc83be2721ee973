"""Where Jittor keeps what it compiles, when the user's home cannot be the place.

Jittor puts paths into command lines without quoting them, and writes below the home directory whatever JITTOR_HOME
says. Where one of these cannot work another folder, of this user alone, is chosen and told.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import sys
import tempfile
from pathlib import Path

PLAIN = re.compile(
    r"[\w/.,:=@%+-]+"
)  # what a shell takes as it is, letters of all languages included


def settle(chosen: Path) -> dict[str, str]:
    """Variables of the environment with which Jittor works, though its home, `chosen`, or the user's cannot be used.

    {} where both can. OSError when there is no other place.
    """
    home = os.environ.get("HOME", "~")
    home = Path(home).expanduser() if home else Path("/nonexistent")
    found = {}
    if reason := unwritable(home, must_exist=True):
        found["HOME"] = reason
    if reason := unplain(chosen) or unwritable(chosen, must_exist=chosen == home):
        found["JITTOR_HOME"] = reason
    if not found:
        return {}
    instead = other_place()
    reasons = "; ".join(dict.fromkeys(found.values()))
    text = f"Jittor keeps its compiled kernels in {instead}: {reasons}; JITTOR_HOME names another place"
    print(text, file=sys.stderr, flush=True)
    return dict.fromkeys(found, str(instead))


def unplain(place: Path) -> str:
    """Why Jittor's build fails in a folder of this name; "" when it does not."""
    if PLAIN.fullmatch(str(place)):
        return ""
    return f"{str(place)!r} has characters (a space?) that Jittor's build cannot take"


def unwritable(place: Path, must_exist: bool) -> str:
    """Why nothing can be kept in a folder; "" when it can."""
    if must_exist and not place.is_dir():
        return f"the home directory {place} is not there"
    cache = place / ".cache" / "jittor"
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return f"{cache} cannot be made ({error.strerror})"
    return "" if os.access(cache, os.W_OK | os.X_OK) else f"{cache} cannot be written"


def other_place() -> Path:
    """A folder that this user alone can write."""
    for base in dict.fromkeys(("/var/tmp", tempfile.gettempdir())):
        place = Path(base) / f"jittor-{os.getuid()}"
        with contextlib.suppress(OSError):
            place.mkdir(mode=0o700, exist_ok=True)
            found = place.lstat()
            is_ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
            if is_ours and not found.st_mode & 0o022 and not unplain(place):
                return place
    raise OSError(
        "Jittor has no place for what it compiles: set JITTOR_HOME to a folder that can be written, without spaces"
    )
