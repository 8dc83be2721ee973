"""What a conversion costs, against copying the file: `python -m scripts.bench_weights [--out FILE]`.

Makes a detr_r50 checkpoint of 166 MB in PyTorch's format, and in turns copies it to the disk (with fsync) and
converts it to safetensors (with the proof, which reads the new file back). Prints the ratio of the medians, and
the peak memory of the converting process beyond what the same process needs for a tiny file, in multiples of the
file: what it has allocated, and with the pages of mapped files that the system can take back at any time.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.progress import track

from door.files import write_json
from door.ranges import Range, add_number
from door.terminal import say
from neutral.config import preset
from neutral.weights import initial_weights, save_weights
from neutral.weights.layout import canonical_shapes
from parity.engine.ask.environment import describe_machine
from scripts.common import run_main
from scripts.options import Parser

LARGE, TINY = "detr_r50", "scenes_detr"


def make(name: str, folder: Path) -> Path:
    config, path = preset(name), folder / f"{name}.pth"
    save_weights(path, initial_weights(canonical_shapes(config), config))
    return path


def copied(path: Path) -> float:
    """Seconds of reading the file and writing another one, to the disk."""
    target, started = path.with_suffix(".copy"), time.perf_counter()
    with path.open("rb") as source, target.open("wb") as file:
        while chunk := source.read(1 << 20):
            file.write(chunk)
        os.fsync(file.fileno())
    seconds = time.perf_counter() - started
    target.unlink()
    return seconds


def converted(path: Path) -> tuple[float, dict[str, float]]:
    """Seconds of one conversion, and MiB at its peak: "allocated" and "resident"."""
    out = path.with_suffix(".safetensors")
    command = [sys.executable, "-m", "scripts.convert_weights", "convert", str(path)]
    started = time.perf_counter()
    process = subprocess.Popen(
        [*command, "--preset", path.stem, "--out", str(out)], stdout=subprocess.DEVNULL
    )
    peak = {"allocated": 0.0, "resident": 0.0}
    while process.poll() is None:
        for name, field in (("allocated", "RssAnon"), ("resident", "VmRSS")):
            peak[name] = max(peak[name], memory(process.pid, field))
        time.sleep(0.002)
    with out.open("rb") as file:
        os.fsync(file.fileno())
    seconds = time.perf_counter() - started
    if process.returncode:
        raise RuntimeError(f"the conversion ended with exit code {process.returncode}")
    return seconds, peak


def memory(pid: int, field: str) -> float:
    """MiB that /proc tells of a process; 0 once it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return next((int(x.split()[1]) / 1024 for x in lines if x.startswith(field)), 0.0)


def main() -> None:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_number(parser, "--rounds", int, Range(1), default=5)
    parser.add_argument("--out", type=Path, help="a JSON file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        large, tiny = (make(preset_name, Path(name)) for preset_name in (LARGE, TINY))
        size = large.stat().st_size / (1 << 20)
        base_seconds, base = converted(tiny)
        rounds = [
            (copied(large), *converted(large)) for _ in track(range(options.rounds), "measuring")
        ]
    copy, convert = (statistics.median(row[k] for row in rounds) for k in (0, 1))
    times_file = {kind: (max(row[2][kind] for row in rounds) - base[kind]) / size for kind in base}
    found = {
        "file_mib": size,
        "copy_seconds": copy,
        "convert_seconds": convert,
        "start_seconds": base_seconds,
        "ratio": (convert - base_seconds) / copy,
        "memory_in_files": times_file,
        "rounds": options.rounds,
    }
    say(
        f"{size:.0f} MiB: converted and proven in {convert:.2f} s, {base_seconds:.2f} s of which any file takes; "
        f"copied in {copy:.2f} s: ratio {found['ratio']:.1f}; memory {times_file['allocated']:.2f} times the file "
        f"allocated, {times_file['resident']:.2f} with mapped pages"
    )
    if options.out:
        write_json(options.out, {"machine": describe_machine()} | found)


if __name__ == "__main__":
    run_main(main)
