"""A run's folder: which files are the run's, what a killed run left half written, and what others put there."""

from __future__ import annotations

import json
import time
from pathlib import Path

from door.files import regular, replacing
from neutral.checkpoints import Checkpoints
from neutral.errors import InputError
from neutral.runlog import append_line

LOG, STREAM, TABLE = "log.txt", "stream.jsonl", "log.csv"
HEADER = b'{"header": '  # how a run's log begins


def read_stream(path: Path) -> list[dict]:
    """The links of a run's data chain; none when there is no file. InputError names a damaged line."""
    return read_lines(path)


def read_lines(path: Path) -> list[dict]:
    """The objects of a file of JSON lines, none when it is absent; InputError names the line that is none."""
    lines = regular(path).read_bytes().splitlines() if path.exists() else []
    found = []
    for number, line in enumerate(lines, start=1):
        record = parsed(line)
        if record is None and line.strip():
            raise InputError(
                f"{path}, line {number}: damaged, no JSON object ({line[:40]!r}); take the line out, or begin "
                "a new run in another folder"
            )
        found += [] if record is None else [record]
    return found


def parsed(line: bytes) -> dict | None:
    """The object of a line; None when it is none."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def mend_end(path: Path) -> str:
    """Takes back a last line that its writer could not finish; what was done, in words, "" when nothing."""
    content = regular(path).read_bytes() if path.exists() else b""
    start = content.rstrip(b"\n").rfind(b"\n") + 1
    last = content[start:]
    if not last or (last.endswith(b"\n") and parsed(last) is not None):
        return ""
    with replacing(path) as temporary:
        if parsed(last) is None:
            temporary.write_bytes(content[:start])
            return (
                f"{path.name}: its last line was half written ({len(last)} bytes) and is taken back"
            )
        temporary.write_bytes(content + b"\n")
    return f"{path.name}: its last line had no end and has one now"


def note(folder: Path, text: str) -> None:
    """Writes into the log what happened to the run besides its epochs."""
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    append_line(folder / LOG, {"note": text, "time": when})


def has_epochs(log: Path) -> bool:
    """Whether the log holds anything that starting anew would lose."""
    lines = regular(log).read_bytes().splitlines() if log.exists() else []
    return any("epoch" in (parsed(line) or {}) for line in lines)


def keep_epochs(log: Path, epoch: int) -> None:
    """Drops what a log says of epochs that the checkpoint does not include."""
    lines = read_lines(log)
    kept = [record for record in lines if record.get("epoch", -1) < epoch]
    if len(kept) < len(lines):
        with replacing(log) as temporary:
            temporary.write_text("".join(json.dumps(record) + "\n" for record in kept))


def check_foreign(folder: Path, checkpoints: Checkpoints, weights: Path | None) -> None:
    """InputError when starting here would write over a file that no run made, or over what it starts from."""
    log = folder / LOG
    outputs = [checkpoints.newest, checkpoints.best, *checkpoints.numbered()]
    if weights is not None and any(weights.resolve() == path.resolve() for path in outputs):
        raise InputError(f"--weights {weights}: this run would write over it; choose another --out")
    beginning = regular(log).read_bytes()[: len(HEADER)] if log.exists() else None
    is_ours = beginning is not None and HEADER.startswith(beginning)
    foreign = [p for p in (log, folder / STREAM, folder / TABLE, *outputs) if p.exists()]
    if foreign and not is_ours:
        raise InputError(
            f"{foreign[0]} exists, and {LOG} there is not the log of a run that made it: move it away, "
            "or choose another --out"
        )
