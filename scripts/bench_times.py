"""How long a new user waits: the README's two commands in fresh clones with an empty HOME, and again warm.

`python -m scripts.bench_times --out logs/reference/bench/times.json` clones the committed state. In one clone it
runs `make parity` twice (cold, warm), then takes the first training step of detr_r50 in Jittor with its core compiled
and no kernels; in a second one it runs `make test`. Half an hour to an hour in all; `--only parity,step,test` measures
some of it, and what an earlier file holds of the rest stays. What the commands print goes to files beside the clones,
named at the end.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import tempfile
import threading
import time
from datetime import date
from pathlib import Path
from typing import Any

from door import schema
from door.files import write_json
from door.terminal import Console
from neutral.errors import InputError
from neutral.parameters import rates
from neutral.weights import initial_weights
from parity.engine.ask.environment import describe_machine
from parity.suite.detector_case import COCO_MINI, DetectorCase, sizes
from scripts.common import open_session, run_main
from scripts.options import Parser
from scripts.record import DATA

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("parity", "step", "test")
# a verdict of one of the two detectors, as `pytest parity/` tells it
FIRST = re.compile(r"^ +(PASS|FAIL) .*\d+ compared")
# variables of a run of ours that a new user would not have
OURS = (
    "JITTOR_",
    "PARITY_",
    "cc_",
    "cache_name",
    "use_m",
    "nvcc_path",
    "python_config_path",
    "PYTEST",
    "VIRTUAL_ENV",
)


class Place:
    """A clone with a home of its own."""

    def __init__(self, folder: Path):
        self.folder, self.clone, self.home = folder, folder / "main", folder / "home"
        self.home.mkdir(parents=True)
        subprocess.run(["git", "clone", "--quiet", ROOT, self.clone], check=True)
        shared = ROOT.parent / "shared"
        if shared.is_dir():
            (folder / "shared").symlink_to(shared)
        kept = {k: v for k, v in os.environ.items() if not k.startswith(OURS)}
        self.environment = kept | {"HOME": str(self.home), "PYTHONUNBUFFERED": "1"}

    def run(self, name: str, *command: str) -> dict[str, float]:
        """Seconds until the first detector's verdict and until the end, and the peak of pytest's memory in MiB."""
        found: dict[str, float] = {}
        log = self.folder / f"{name}.log"
        started = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=self.clone,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        over = threading.Event()
        watch = threading.Thread(target=watch_memory, args=(process.pid, found, over), daemon=True)
        watch.start()
        with log.open("w") as file:
            for line in process.stdout:
                seconds = time.perf_counter() - started
                file.write(f"{seconds:8.1f} {line}")
                file.flush()
                if FIRST.match(line):
                    found.setdefault("first", seconds)
        found["code"] = process.wait()
        over.set()
        watch.join()
        return found | {"seconds": time.perf_counter() - started}


def watch_memory(root: int, found: dict[str, float], over: threading.Event) -> None:
    """The greatest peak, in MiB, of a pytest process below `root`."""
    while not over.wait(2.0):
        for process in below(root):
            try:
                command = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
                status = Path(f"/proc/{process}/status").read_text()
            except OSError:  # it has ended
                continue
            peak = re.search(r"VmHWM:\s+(\d+)", status)
            if b"pytest" in command and peak:
                found["pytest_rss_mib"] = max(found.get("pytest_rss_mib", 0.0), int(peak[1]) / 1024)


def below(root: int) -> list[int]:
    """Processes that descend from `root`, of those that run now."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError, ValueError):
            continue
    found, added = {root}, True
    while added:
        added = {child for child, parent in parents.items() if parent in found} - found
        found |= added
    return sorted(found)


def measure_parity(place: Place) -> dict[str, float]:
    cold = place.run("parity-cold", "make", "parity")
    warm = place.run("parity-warm", "make", "parity")
    return {
        "cold_first_verdict_s": cold.get("first"),
        "cold_parity_s": cold["seconds"],
        "cold_parity_code": cold["code"],
        "warm_first_verdict_s": warm.get("first"),
        "warm_parity_s": warm["seconds"],
        "warm_parity_code": warm["code"],
        "pytest_rss_mib": cold.get("pytest_rss_mib"),
    }


def measure_step(place: Place) -> dict[str, float]:
    """Two training steps of detr_r50 on photographs: the first compiles every kernel."""
    setup = place.run("setup", "make", "setup")
    if setup["code"]:
        raise InputError(f"make setup failed: see {place.folder / 'setup.log'}")
    python = str(place.clone / ".venv" / "bin" / "python")
    place.run("core", python, "-c", "import jittor_impl.runtime")
    for folder in (place.home / ".cache" / "jittor").glob("jt*/*/*/*/*/*/*/jit"):
        shutil.rmtree(folder)
        folder.mkdir()
    place.run("step", python, "-m", "scripts.bench_times", "--steps")
    lines = (place.folder / "step.log").read_text().splitlines()
    times = [float(line.split()[-1]) for line in lines if " STEP " in line]
    if len(times) != 2:
        raise InputError(f"the step failed: see {place.folder / 'step.log'}")
    return {"detr_r50_first_step_s": times[0], "detr_r50_second_step_s": times[1]}


def take_steps() -> None:
    """In a process of its own: prints the seconds of two training steps on two photographs, 383 x 256 at most."""
    case = DetectorCase("step", "detr_r50", sizes(256, 383), (0, 7), data=COCO_MINI)
    config, batch = case.config(), case.batch(DATA)
    session = open_session("jittor", config, "cpu")
    session.load(initial_weights(session.shapes(), config))
    for number in range(2):
        started = time.perf_counter()
        session.train_step(batch, number, rates(session.trained, config, 0))
        print(f"STEP {time.perf_counter() - started:.2f}", flush=True)


def measure_test(place: Place) -> dict[str, float]:
    found = place.run("test-cold", "make", "test")
    return {"cold_test_s": found["seconds"], "cold_test_code": found["code"]}


def main() -> None:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "logs" / "bench" / "times.json")
    parser.add_argument("--only", default=",".join(PARTS), help="some of " + ", ".join(PARTS))
    parser.add_argument("--steps", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.steps:
        take_steps()
        return
    unknown = set(options.only.split(",")) - set(PARTS)
    if unknown:
        raise InputError(f"--only {', '.join(sorted(unknown))}: choose from {', '.join(PARTS)}")
    if "step" in options.only and not COCO_MINI.is_dir():
        raise InputError(f"the step is made on photographs, which are not at {COCO_MINI}")
    record = schema.read(options.out, dict[str, Any]) if options.out.is_file() else {}
    console = Console()
    folder = Path(tempfile.mkdtemp(prefix="bench-times-"))
    # the step comes into the clone of parity, whose environment is there by then
    places = {"parity": "a", "step": "a", "test": "b"}
    made: dict[str, Place] = {}
    for part, measure in zip(PARTS, (measure_parity, measure_step, measure_test), strict=True):
        if part in options.only.split(","):
            where = places[part]
            made[where] = made.get(where) or Place(folder / where)
            with console.status(f"{part}: {folder / where}"):
                record |= measure(made[where])
            record |= {"machine": describe_machine(), "date": str(date.today())}
            write_json(options.out, record)
    for name, value in record.items():
        if isinstance(value, (int, float)):
            console.print(f"{name:24} {value:10.1f}")
    console.print(f"written: {options.out}; what the commands printed: {folder}")


if __name__ == "__main__":
    run_main(main)
