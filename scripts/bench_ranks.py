"""What data parallel costs: seconds of a step on 1 and 2 processes of one thread each, and of the all-reduce in it.

`python -m scripts.bench_ranks --out FILE` measures both frameworks under their launchers, and from that, and from
published speeds of GPUs and links, computes a step on 8, 64 and 512 GPUs. --docs writes the tables of docs/scaling.md.
"""

from __future__ import annotations

import argparse
import importlib
import math
import os
import statistics
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

import numpy as np

from door.files import read_json, replacing, write_json
from door.ranges import Range, add_number
from door.terminal import Console, Table, say
from neutral.config import preset, with_overrides
from neutral.data import open_dataset
from neutral.data.batching import train_batches
from neutral.errors import InputError
from neutral.launchers import check_launcher, launcher_command, launcher_environment
from neutral.parameters import rates
from neutral.ranks import seat_of
from neutral.weights import initial_weights
from parity.engine.ask.environment import describe_machine
from parity.engine.values.scratch import scratch_folder
from parity.suite.detector_case import COCO_MINI
from scripts.common import FRAMEWORKS, open_group, open_session, run_main
from scripts.options import Parser

CASES = ("scenes_detr", "scenes_frcnn", "detr_r50")
SMALL = ("transform.train_sizes=128", "transform.max_size=170", "transform.crop_probability=0")
WARM = 3  # steps that are not counted

# facebookresearch/detr: 300 epochs of COCO's 118287 images in 3 days on 16 V100, four images each
IMAGES, GPUS_THERE, STEP_THERE = 118_287, 16, 4 / (118_287 * 300 / (16 * 72 * 3600))
BACKWARD = 2 / 3  # of a step
NVLINK, NETWORK = 150e9, 12.5e9  # bytes/s: of a V100 in its machine, of 100 Gbit/s to the next
GPUS_OF_MACHINE, LATENCY, MESSAGES = 8, 5e-6, 3  # seconds of a hop; small all-reduces of a step
SIZES = (8, 64, 512)


def measure_here(framework: str, name: str, steps: int) -> None:
    """This process's part: the first rank prints what it measured."""
    seat = seat_of(framework)
    group = open_group(framework, "cpu", seat)
    config = with_overrides(preset(name), ["optimiser.batch_size=1", "data.kind=scenes"])
    if name.startswith("detr_r"):
        config = with_overrides(config, SMALL)
    session = open_session(framework, config, "cpu", group)
    session.load(initial_weights(session.shapes(), config))
    dataset = open_dataset(config, "train")
    batches = train_batches(dataset, config, 0, 0, 0, group.rank, group.size)
    speed, seconds = rates(session.trained, config, 0, 0), []
    for step, batch in enumerate(islice(batches, WARM + steps)):
        group.mean([0.0])  # all begin together
        started = time.perf_counter()
        session.train_step(batch, step, speed)
        seconds.append(time.perf_counter() - started)
    shapes = session.shapes()
    count = sum(math.prod(shapes[k]) for k in session.trained)
    reduced = reducing(framework, group, count) if group.size > 1 else []
    told = {
        "framework": framework,
        "preset": name,
        "processes": group.size,
        "step_seconds": seconds[WARM:],
        "gradient_bytes": 4 * count,
        "all_reduce_seconds": reduced,
    }
    if group.rank == 0:
        write_json(Path(os.environ["BENCH_OUT"]), told)
    sys.stdout.flush()
    group.leave()
    os._exit(0)  # Jittor's own way out takes long


def reducing(framework: str, group, count: int, rounds: int = 5) -> list[float]:
    """Seconds of all-reducing so many float32 numbers alone, in the buckets of a step."""
    ops = importlib.import_module(f"{framework}_impl.ops")
    bucket = importlib.import_module(f"{framework}_impl.group").BUCKET * 2**20 // 4
    sizes = [min(bucket, count - begin) for begin in range(0, count, bucket)]
    flat = [ops.array(np.ones(size, np.float32)) for size in sizes]
    ops.finish(flat)
    found = []
    for _ in range(rounds + 1):
        group.mean([0.0])
        started = time.perf_counter()
        for x in flat:
            if framework == "torch":
                importlib.import_module("torch.distributed").all_reduce(x)
            else:
                ops.finish([x.mpi_all_reduce("mean")])
        found.append(time.perf_counter() - started)
    return found[1:]


def measured(framework: str, name: str, processes: int, steps: int) -> dict:
    """One launch."""
    with scratch_folder("bench") as folder:
        program = ["scripts.bench_ranks", "--rank-of", framework, name, "--steps", str(steps)]
        environment = os.environ | launcher_environment(framework, processes)
        environment |= {"OMP_NUM_THREADS": "1", "BENCH_OUT": str(folder / "told.json")}
        command = [sys.executable, "-m", *program]
        if processes > 1:
            command = launcher_command(framework, processes, program)
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise InputError(f"{framework}, {name}: {(done.stdout + done.stderr)[-800:]}")
        return read_json(folder / "told.json")


def spread_of_pixels(folder: Path, epochs: int) -> float:
    """Relative standard deviation of the padded pixels of detr_r50's training batches of four photographs.

    A step's time goes with them, whatever computes it.
    """
    settings = ["data.kind=coco", f"data.root={folder}", "optimiser.batch_size=4"]
    config = with_overrides(preset("detr_r50"), settings)
    dataset = open_dataset(config, "train")
    pixels = [
        float(np.prod(batch.mask.shape))
        for epoch in range(epochs)
        for batch in train_batches(dataset, config, epoch)
    ]
    return statistics.stdev(pixels) / statistics.mean(pixels)


def predicted(count: int, gradient_bytes: int, spread: float, overlap: bool) -> dict[str, float]:
    """A step on so many GPUs, in seconds: computing, what is seen of the all-reduce, waiting for the slowest.

    A ring moves 2 (n - 1) / n of the bytes over its slowest link. `spread` is the relative standard deviation of a
    step; the published one is of the slowest of 16.
    """
    computing = STEP_THERE / (1 + spread * slowest(GPUS_THERE))
    link = NVLINK if count <= GPUS_OF_MACHINE else NETWORK
    moving = 2 * (count - 1) / count * gradient_bytes / link
    latency = 2 * math.ceil(math.log2(count)) * LATENCY
    reduce = moving + latency
    seen = max(0.0, reduce - BACKWARD * computing) if overlap else reduce
    waiting = computing * spread * slowest(count)
    step = computing + seen + MESSAGES * latency + waiting
    return {
        "gpus": count,
        "overlap": overlap,
        "all_reduce": reduce,
        "seen": seen,
        "waiting": waiting,
        "step": step,
        "efficiency": computing / step,
        "epoch": IMAGES / (4 * count) * step,
    }


def slowest(count: int) -> float:
    """The expected greatest of so many normal numbers, in standard deviations (Blom)."""
    return statistics.NormalDist().inv_cdf((count - 0.375) / (count + 0.25))


def main() -> None:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--rank-of", nargs=2, metavar=("FRAMEWORK", "PRESET"), help=argparse.SUPPRESS
    )
    parser.add_argument("--presets", default=",".join(CASES))
    add_number(parser, "--steps", int, Range(1), default=12, help="that are counted")
    parser.add_argument(
        "--photographs",
        type=Path,
        default=COCO_MINI,
        help="in COCO's layout: how batches differ in size",
    )
    parser.add_argument("--out", type=Path, help="a JSON file")
    parser.add_argument("--docs", action="store_true", help="write docs/scaling.md's tables")
    options = parser.parse_args()
    if options.rank_of:
        return measure_here(*options.rank_of, options.steps)
    check_launcher("jittor")
    rows = []
    for name in options.presets.split(","):
        for framework in FRAMEWORKS:
            for processes in (1, 2):
                rows.append(measured(framework, name, processes, options.steps))
                say(in_words(rows[-1]))
    gradient_bytes = max(row["gradient_bytes"] for row in rows)
    spread = spread_of_pixels(options.photographs, 4)
    model = [
        predicted(n, gradient_bytes, spread, overlap) for overlap in (True, False) for n in SIZES
    ]
    table = Table(*MODELLED)
    for row in model:
        table.add_row(*modelled(row))
    Console().print(table)
    told = {"machine": describe_machine(), "load": os.getloadavg()[0], "rows": rows}
    told |= {"date": time.strftime("%Y-%m-%d"), "spread": spread, "model": model}
    if options.out:
        write_json(options.out, told)
    if options.docs:
        write_docs(told)


MODELLED = ("GPUs", "overlap", "all-reduce ms", "seen ms", "waiting ms", "step ms", "efficiency")
MEASURED = (
    "model",
    "framework",
    "processes",
    "step ms",
    "fastest ms",
    "gradients MiB",
    "all-reduce ms",
)
DOCS = Path(__file__).resolve().parent.parent / "docs" / "scaling.md"
BEGIN, END = "<!-- bench_ranks -->", "<!-- end -->"


def modelled(row: dict) -> list[str]:
    times = [f"{1e3 * row[k]:.1f}" for k in ("all_reduce", "seen", "waiting", "step")]
    overlap = "PyTorch" if row["overlap"] else "Jittor: none"
    return [str(row["gpus"]), overlap, *times, f"{row['efficiency']:.2f}"]


def write_docs(told: dict) -> None:
    """The tables between the marks of docs/scaling.md."""

    def table(head: tuple[str, ...], rows: list[list[str]]) -> str:
        lines = [head, ["---"] * len(head), *rows]
        return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)

    measured_rows = []
    for row in told["rows"]:
        seconds, reduce = row["step_seconds"], row["all_reduce_seconds"]
        cells = [row["preset"], row["framework"], str(row["processes"])]
        cells += [f"{1e3 * statistics.median(seconds):.0f}", f"{1e3 * min(seconds):.0f}"]
        cells += [f"{row['gradient_bytes'] / 2**20:.1f}"]
        measured_rows.append([*cells, f"{1e3 * min(reduce):.1f}" if reduce else ""])
    where = f"{told['date']}, two cores, one thread a process, batch 1, load {told['load']:.0f}:"
    text = f"Measured {where}\n\n{table(MEASURED, measured_rows)}\n\n"
    text += f"Computed, the relative standard deviation of a step being {told['spread']:.2f}:\n\n"
    text += table(MODELLED, [modelled(row) for row in told["model"]])
    page = DOCS.read_text()
    head, tail = page[: page.index(BEGIN)], page[page.index(END) :]
    with replacing(DOCS) as temporary:
        temporary.write_text(f"{head}{BEGIN}\n{text}\n{tail}")


def in_words(row: dict) -> str:
    reduce = row["all_reduce_seconds"]
    tail = f", all-reduce alone {1e3 * min(reduce):.1f} ms" if reduce else ""
    size = f"{row['gradient_bytes'] / 2**20:.1f} MiB of gradients"
    seconds = row["step_seconds"]
    step = f"{1e3 * statistics.median(seconds):.0f} ms a step, {1e3 * min(seconds):.0f} the fastest"
    return (
        f"{row['preset']}, {row['framework']}, {row['processes']} processes: {step}, {size}{tail}"
    )


if __name__ == "__main__":
    run_main(main)
