"""What a lease found, made ready to be committed: `python -m scripts.gpu.keep gpu.tgz` (or the folder of a check).

Writes logs/gpu/DATE-DEVICE: the JSON files and charts, the logs as far as they fit into 5 MB, and summary.md, which
tells step by step what was found. A part of a lease is as good: each step says how far it came.
"""

from __future__ import annotations

import argparse
import re
import shutil
import tarfile
import tempfile
from collections import Counter
from itertools import count
from pathlib import Path

from door.files import read_json
from neutral.errors import InputError
from scripts.common import run_main
from scripts.gpu.plan import BY_NAME, ROOT
from scripts.gpu.results import NAME, read_results
from scripts.options import Parser

MOST = 5 * 2**20  # bytes
KINDS = (".json", ".png", ".svg", ".log")  # what is kept, in this order while there is room
SHOWN = 12  # failures of a step in the summary; all are in its JSON


def unpacked(source: Path, place: Path) -> Path:
    """The folder that holds check.json; InputError when there is none."""
    if source.is_file():
        try:
            with tarfile.open(source) as archive:
                archive.extractall(place, filter="data")
        except (tarfile.TarError, OSError) as error:
            raise InputError(f"{source}: no archive of a lease ({error}); give gpu.tgz") from None
        source = place
    found = sorted(source.rglob(NAME), key=lambda path: len(path.parts))
    if not found:
        raise InputError(f"{source}: no {NAME} in it; give gpu.tgz or the folder of a GPU check")
    return found[0].parent


def parts_of(step: dict) -> dict[str, dict]:
    found = step.get("found")
    parts = found.get("parts") if isinstance(found, dict) else None
    return (
        {k: v for k, v in parts.items() if isinstance(v, dict)} if isinstance(parts, dict) else {}
    )


def device_of(record: dict) -> str:
    """As the driver or PyTorch names it, a word; "unknown" where neither told."""
    told = parts_of(record["steps"].get("environment", {})).get("frameworks", {}).get("told", {})
    names = [record.get("machine", {}).get("gpu")]
    names += [told.get("torch", {}).get("device_name")] if isinstance(told, dict) else []
    name = next(filter(None, names), "")
    return re.sub(r"[^a-z0-9]+", "-", str(name).lower()).strip("-") or "unknown"


def place_of(record: dict, folder: Path, target: Path) -> Path:
    """DATE-DEVICE, with a number from the second check on; InputError where something else lies there."""
    dates = [str(step.get("finished", ""))[:10] for step in record["steps"].values()]
    name = f"{max(dates, default='') or 'undated'}-{device_of(record)}"
    for number in count(1):
        out = target / (name if number == 1 else f"{name}-{number}")
        if not out.exists():
            return out
        if not (out / NAME).is_file():
            raise InputError(f"{out}: is there, and no GPU check made it; move it away")
        if (out / NAME).read_text() == without_places((folder / NAME).read_text()):
            return out


def row(name: str, step: dict) -> str:
    parts = parts_of(step)
    counts: Counter = Counter()
    for part in parts.values():
        counts.update(part.get("verdicts") or {})
    told = ", ".join(f"{n} {status}" for status, n in counts.items())
    numbers = [step.get(key, "") for key in ("expected", "seconds", "kernels")]
    return (
        f"| {name} | {step['state']} | "
        + " | ".join(map(str, [*numbers, len(parts) or "", told]))
        + " |"
    )


def failures(name: str, step: dict) -> list[str]:
    """A line for each part that tells of a fault, and what ended the step."""
    lines = []
    for label, part in parts_of(step).items():
        for failure in part.get("failures") or []:
            where = f"{label}: {failure.get('check')}, `{failure.get('node')}`"
            if failure.get("measured") is not None and failure.get("limit") is not None:
                where += f" ({failure['measured']:.1e}, limit {failure['limit']:.1e})"
            lines.append(f"* {where} {failure.get('message', '')}")
        if part.get("different results", 1) > 1:
            lines.append(
                f"* {label}: {part['different results']} different results in {part.get('runs')} runs"
            )
        if part.get("caught") is False:
            lines.append(f"* {label}: lives")
    found = step.get("found")
    if isinstance(found, dict) and found.get("broke down"):
        told = " ".join(found["broke down"].split())
        if len(told) > 600:  # Jittor gives its reason at the end
            told = f"{told[:150]} ... {told[-400:]}"
        lines.append(f"* broke down: {told}")
    elif step["state"] != "done" and not lines:
        lines += [f"* {line[:300]}" for line in step.get("tail", [])[-3:]]
    more = [f"* and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    return (
        [f"## {name}", "", *(" ".join(line.split()) for line in lines[:SHOWN]), *more, ""]
        if lines
        else []
    )


def summary(record: dict) -> str:
    steps = sorted(record["steps"].items(), key=lambda item: [*BY_NAME, item[0]].index(item[0]))
    machine = ", ".join(str(value) for value in record.get("machine", {}).values())
    lines = [
        f"# {device_of(record)}",
        "",
        f"{machine}; revision {record.get('revision')}.",
        "",
    ]
    lines += [
        "| step | state | foreseen, s | took, s | kernels | parts | verdicts |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [row(name, step) for name, step in steps] + [""]
    for name, step in steps:
        lines += failures(name, step)
    return "\n".join(lines)


def without_places(text: str) -> str:
    """Without the project's folder in names of files: a lease has it at the same place."""
    return text.replace(f"{ROOT}/", "")


def keep(source: Path, target: Path) -> tuple[Path, int]:
    """The folder that was written below `target`, and how many files found no room."""
    with tempfile.TemporaryDirectory() as place:
        folder = unpacked(source, Path(place))
        device = read_json(folder / NAME)
        record = read_results(
            folder, device.get("device", "cuda") if isinstance(device, dict) else "cuda"
        )
        out = place_of(record, folder, target)
        out.mkdir(parents=True, exist_ok=True)
        text, left = without_places(summary(record)), MOST
        (out / "summary.md").write_text(text)
        files = [p for p in sorted(folder.rglob("*")) if p.is_file() and p.suffix in KINDS]
        files.sort(key=lambda p: (p.name != NAME, KINDS.index(p.suffix), p.stat().st_size))
        left -= len(text)
        missed = 0
        for path in files:
            if path.stat().st_size > left:
                missed += 1
                continue
            left -= path.stat().st_size
            copy = out / path.relative_to(folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix == ".png":
                shutil.copyfile(path, copy)
            else:
                copy.write_text(without_places(path.read_text(errors="replace")))
    return out, missed


def main() -> None:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="gpu.tgz, or a folder with check.json")
    parser.add_argument("--out", type=Path, default=ROOT / "logs" / "gpu")
    options = parser.parse_args()
    if not options.source.exists():
        raise InputError(f"{options.source}: no such file")
    out, missed = keep(options.source, options.out)
    print(f"{out}: to be committed" + (f"; {missed} files found no room" if missed else ""))


if __name__ == "__main__":
    run_main(main)
