"""Throughput and memory of both frameworks on the same model and images, side by side: ratios, not absolute claims.

`python -m scripts.bench_speed --preset scenes_frcnn --out logs/speed.json`. In turn, each in a process of its own: the
first training step (which compiles, for Jittor), then training and inference on batches of one shape, then on batches
of varying shapes, seen for the first time and again. `--device cuda` on a GPU. Nothing here is a test.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from neutral import parameters
from neutral.config import Config, with_overrides
from neutral.data.batching import Batch, train_batches
from neutral.errors import InputError
from neutral.files import peak_memory, write_json
from neutral.weights import initial_weights
from parity.environment import describe_machine
from scripts.common import (
    FRAMEWORKS,
    add_config_options,
    config_arguments,
    config_from,
    open_datasets,
    open_session,
    run_main,
)

RESULT = "RESULT"
# published, for comparison where the hardware is comparable (REFERENCE_SYSTEMS.md, section 4)
PUBLISHED = {
    "detr_r50": "DETR R50: 0.036 s per image (V100, inference); training 8.8 images/s on one V100",
    "detr_r50_dc5": "DETR DC5: 0.083 s per image (V100, inference)",
    "torchvision_r50_fpn": "detectron2 R50-FPN: 76 images/s in training on 8 V100",
}


def batches(config: Config, count: int) -> list[Batch]:
    """The first training batches, of one shape or of several as the configuration has it."""
    dataset = open_datasets(config, 0)["train"]
    found: list[Batch] = []
    epoch = 0
    while len(found) < count:
        for batch in train_batches(dataset, config, epoch):
            found.append(batch)
            if len(found) == count:
                break
        epoch += 1
    return found


def timed(call, batch: Batch) -> float:
    started = time.perf_counter()
    call(batch)  # losses come back as numbers: nothing is still being computed
    return time.perf_counter() - started


def gpu_memory() -> float | None:
    """MiB of the GPU that this process holds, as the driver counts it; None without a GPU."""
    command = [
        "nvidia-smi",
        "--query-compute-apps=pid,used_memory",
        "--format=csv,noheader,nounits",
    ]
    try:
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    used = [float(line.split(",")[1]) for line in text.splitlines() if line.strip()]
    return sum(used) if used else None


def measure(framework: str, config: Config, device: str, steps: int, sizes: int) -> dict:
    """Numbers of one framework, in this process."""
    session = open_session(framework, config, device)
    session.load(initial_weights(session.shapes(), config))
    rates = parameters.rates(session.trained_names(), config, 0)
    size, number = config.optimiser.batch_size, iter(range(10**9))

    def step(batch: Batch) -> None:
        session.train_step(batch, next(number), rates)

    fixed = batches(with_overrides(config, ["transform.flip_probability=0"]), 1)[0]
    found = {"first training step, s": timed(step, fixed)}
    timed(step, fixed)
    found["training, images/s"] = size / statistics.median(timed(step, fixed) for _ in range(steps))
    found["first inference, s"] = timed(session.detect, fixed)
    rate = statistics.median(timed(session.detect, fixed) for _ in range(steps))
    found["inference, images/s"] = size / rate
    short = config.transform.val_size
    varied = tuple(round(short * (0.75 + 0.5 * k / max(1, sizes - 1))) for k in range(sizes))
    text = ",".join(map(str, varied))
    other = with_overrides(config, [f"transform.train_sizes={text}", "transform.max_size=0"])
    shapes = batches(other, sizes)
    found["varying shapes, first time, images/s"] = (
        size * sizes / sum(timed(step, b) for b in shapes)
    )
    found["varying shapes, again, images/s"] = size * sizes / sum(timed(step, b) for b in shapes)
    found["peak memory, MiB"] = peak_memory()
    if device == "cuda":
        found["GPU memory, MiB"] = gpu_memory()
    return found | {"environment": session.describe()}


def in_a_process(framework: str, options: argparse.Namespace) -> dict:
    command = [sys.executable, "-m", "scripts.bench_speed", "--framework", framework]
    command += [*config_arguments(options), "--device", options.device]
    command += ["--steps", str(options.steps), "--sizes", str(options.sizes)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    for line in result.stdout.splitlines():
        if line.startswith(RESULT):
            return json.loads(line.removeprefix(RESULT))
    raise InputError(f"{framework} did not finish: {result.stderr.strip()[-600:]}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_config_options(parser)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--steps", type=int, default=10, help="of which the median is taken")
    parser.add_argument("--sizes", type=int, default=4, help="how many other shapes")
    parser.add_argument("--out", type=Path, help="write the numbers here (.json)")
    parser.add_argument("--framework", choices=FRAMEWORKS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    config = config_from(options)
    if options.framework:
        found = measure(options.framework, config, options.device, options.steps, options.sizes)
        print(RESULT + json.dumps(found))
        return
    console = Console()
    answers = {}
    for framework in FRAMEWORKS:
        with console.status(f"{framework} ..."):
            answers[framework] = in_a_process(framework, options)
    table = Table(f"{config.name} on {options.device}", "PyTorch", "Jittor", "Jittor / PyTorch")
    ours, theirs = (answers[f] for f in FRAMEWORKS)
    for name, value in ours.items():
        other = theirs.get(name)
        if isinstance(value, float) and isinstance(other, float):
            table.add_row(name, f"{value:.4g}", f"{other:.4g}", f"{other / value:.2f}")
    console.print(table)
    if config.name in PUBLISHED:
        console.print(f"published: {PUBLISHED[config.name]}")
    if options.out:
        record = {"preset": config.name, "device": options.device, "machine": describe_machine()}
        write_json(options.out, record | answers)
        console.print(f"written: {options.out}")


if __name__ == "__main__":
    run_main(main)
