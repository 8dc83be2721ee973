"""Trains both frameworks from the same weights on the same batches, and charts the two runs.

`python -m scripts.train_pair --preset scenes_detr --out logs/pair` leaves OUT/torch and OUT/jittor
(log.txt and checkpoint.safetensors each) and the charts OUT/curves.png, curves.svg and steps.png.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from neutral.config import Config
from neutral.data import SPLITS, open_dataset
from neutral.errors import InputError
from neutral.plots import compare_runs, compare_steps
from neutral.run import read_stream
from neutral.runlog import read_log
from parity.curves import compare_streams
from scripts.common import (
    FRAMEWORKS,
    ProgressReport,
    add_config_options,
    add_run_options,
    config_arguments,
    config_from,
    make_progress,
    run_main,
)


def command(framework: str, options: argparse.Namespace) -> list[str]:
    arguments = [sys.executable, "-m", "scripts.train", "--framework", framework, "--json-progress"]
    arguments += [
        *config_arguments(options),
        "--device",
        options.device,
        "--out",
        str(options.out / framework),
    ]
    arguments += ["--evaluate-every", str(options.evaluate_every)]
    for name in ("weights", "max_steps", "val_images"):
        value = getattr(options, name)
        arguments += [f"--{name.replace('_', '-')}", str(value)] if value is not None else []
    for name in ("resume", "reset_heads"):
        arguments += [f"--{name.replace('_', '-')}"] if getattr(options, name) else []
    return arguments


def follow(process: subprocess.Popen, report: ProgressReport) -> None:
    """Reads a run's events until it ends; lines that are no events (compiler chatter) are passed over."""
    for line in process.stdout:
        if line.startswith("{"):
            report(json.loads(line))


def run_both(options: argparse.Namespace) -> None:
    """Both processes, at the same time with half the cores each, or in turn."""
    threads = max(1, (os.cpu_count() or 2) // (1 if options.in_turn else len(FRAMEWORKS)))
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    groups = [[f] for f in FRAMEWORKS] if options.in_turn else [list(FRAMEWORKS)]
    with make_progress() as progress, tempfile.TemporaryDirectory() as folder:
        for group in groups:
            running = []
            for framework in group:
                errors = (Path(folder) / framework).open("w+")
                process = subprocess.Popen(
                    command(framework, options),
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    text=True,
                    env=environment,
                )
                thread = threading.Thread(
                    target=follow, args=(process, ProgressReport(progress, framework)), daemon=True
                )
                thread.start()
                running.append((framework, process, thread, errors))
            try:
                failures = [_wait(*entry) for entry in running]
            finally:
                for _, process, _, _ in running:
                    process.terminate()
            if any(failures):
                raise InputError("; ".join(f for f in failures if f))


def _wait(framework: str, process: subprocess.Popen, thread: threading.Thread, errors) -> str:
    code = process.wait()
    thread.join()
    errors.seek(0)
    tail = errors.read().strip().splitlines()[-8:]
    return f"{framework} ended with exit code {code}: " + "\n".join(tail) if code else ""


def chart(folder: Path, config: Config) -> None:
    """Charts of the two logs in `folder`, and what they show in numbers."""
    logs = [read_log(folder / framework / "log.txt") for framework in FRAMEWORKS]
    labels = (f"PyTorch {config.name}", f"Jittor {config.name}")
    charts = [folder / "curves.png", folder / "curves.svg"]
    noted = compare_runs(*logs, labels, charts)
    gap = compare_steps(*logs, labels, folder / "steps.png")
    for log, framework in zip(logs, FRAMEWORKS, strict=True):
        first, last = log.epochs[0], log.epochs[-1]
        ap = last.get("test_coco_eval_bbox") or [None, None]
        scores = "" if ap[0] is None else f", AP {ap[0]:.4f}, AP50 {ap[1]:.4f}"
        print(
            f"{framework}: train loss {first['train_loss']:.4f} -> {last['train_loss']:.4f}{scores}"
        )
    print(f"greatest relative difference of a step's loss: {gap:.2e}")
    streams = [read_stream(folder / framework / "stream.jsonl") for framework in FRAMEWORKS]
    print(compare_streams(config.name, *streams))
    print(
        "differences between the runs: "
        + ("; ".join(noted) or "none (configuration, seed and data are the same)")
    )
    print(f"charts: {', '.join(map(str, [*charts, folder / 'steps.png']))}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_config_options(parser)
    add_run_options(parser)
    parser.add_argument(
        "--in-turn", action="store_true", help="one framework after the other, for fair throughput"
    )
    options = parser.parse_args()
    config = config_from(options)
    for (
        split
    ) in SPLITS:  # bad input shows now and once, and scenes are generated before both need them
        open_dataset(config, split)
    run_both(options)
    chart(options.out, config)


if __name__ == "__main__":
    run_main(main)
