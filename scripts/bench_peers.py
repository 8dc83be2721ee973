"""Both sides of ours against the public implementations of the same models, side by side in one run.

`python -m scripts.bench_peers --presets detr_r50,torchvision_r50_fpn --out logs/peers`. Every system has a process
of its own and all start from the same weights, converted to their names, and get the same images. They work in turns
(A B C A B C ...), so that what the machine does meanwhile hits all alike. Measured are the first passes, inference, a
training step (forward, losses, backward, clipping, optimiser), batches of other shapes, memory. Presets without
a public implementation are measured in both frameworks alone. Writes OUT.json, OUT.png, OUT.svg. Nothing here is a
test: a slow system is no error.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

from door.files import write_json
from door.ranges import Range, add_number
from door.terminal import Console
from jittor_setup.environment import cuda_usable
from neutral.config import Config
from neutral.data import open_dataset
from neutral.errors import InputError
from neutral.provenance import git_revision
from neutral.score_charts import system_times
from parity.engine.ask.environment import describe_machine
from scripts.common import make_progress, run_main
from scripts.options import Parser, config_from
from scripts.peers import SYSTEMS, check_installed, systems_of
from scripts.peers.measure import Plan, measure
from scripts.peers.report import chart_of, ratios, show

ROOT = Path(__file__).resolve().parent.parent
PHOTOGRAPHS = ROOT.parent / "shared" / "data"
SAMPLES = {"coco": PHOTOGRAPHS / "coco_mini", "voc": PHOTOGRAPHS / "voc_mini"}
LEAST = 32  # pixels: the stride of the last map
MOST = 8192


def listed(text: str) -> list[str]:
    return [part for part in text.split(",") if part]


def size_of(text: str) -> tuple[int, int]:
    """HEIGHTxWIDTH."""
    try:
        height, width = (int(part) for part in text.lower().split("x"))
    except ValueError:
        raise InputError(f"--size {text}: give HEIGHTxWIDTH, as 383x256") from None
    if min(height, width) < LEAST or max(height, width) > MOST:
        raise InputError(f"--size {text}: no side may be below {LEAST} or above {MOST} pixels")
    return height, width


def configured(name: str, options: argparse.Namespace) -> Config:
    """The preset on photographs, if there are any, else on generated scenes."""
    sets = [f"optimiser.batch_size={options.batch}", *options.set]
    given = argparse.Namespace(
        preset=name, data=options.data, set=sets, seed=None, deterministic=False
    )
    config = config_from(given)
    if not config.data.root and config.data.kind != "scenes":
        given.data = SAMPLES.get(config.data.kind)
        if given.data is None or not given.data.is_dir():
            given.data, given.set = None, ["data.kind=scenes", *sets]
        config = config_from(given)
    return config


def parse() -> argparse.Namespace:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presets", default="detr_r50,torchvision_r50_fpn", type=listed)
    parser.add_argument("--systems", type=listed, help=f"only these of {', '.join(SYSTEMS)}")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    add_number(parser, "--rounds", int, Range(1), default=5, help="of training and of inference")
    add_number(parser, "--batch", int, Range(1), default=2, help="images of a batch")
    parser.add_argument("--size", default="383x256", help="of every image: HEIGHTxWIDTH")
    add_number(
        parser, "--shapes", int, Range(0), default=0, help="batches of other shapes, in training"
    )
    add_number(parser, "--threads", int, Range(1, 1024), help="of every system, on the CPU")
    parser.add_argument(
        "--data", help="COCO directory or a year of VOC; without, samples or scenes"
    )
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE")
    parser.add_argument("--out", type=Path, help="OUT.json, OUT.png and OUT.svg are written")
    return parser.parse_args()


def checked(options: argparse.Namespace) -> tuple[Plan, dict[str, tuple]]:
    """What is to be done: {preset: (its configuration, its systems, its images)}. InputError before work begins."""
    if options.device not in ("cpu", "cuda"):
        raise InputError(f"--device {options.device}: choose cpu or cuda")
    if options.device == "cuda" and not cuda_usable():
        raise InputError("--device cuda: no CUDA driver answers with a device; use cpu")
    plan = Plan(options.device, size_of(options.size), options.rounds, options.shapes)
    if not options.presets:
        raise InputError("--presets names none")
    work = {}
    for name in options.presets:
        config, systems = configured(name, options), systems_of(name, options.systems)
        if not systems:
            raise InputError(f"none of {', '.join(options.systems)} implements {name}")
        check_installed(systems)
        work[name] = (config, systems, open_dataset(config, "train"))
    return plan, work


def main() -> None:
    options = parse()
    plan, work = checked(options)
    if options.out:  # a folder that cannot be written is told now
        options.out.parent.mkdir(parents=True, exist_ok=True)
    if options.threads:
        os.environ["OMP_NUM_THREADS"] = str(options.threads)
    record = {
        "date": time.strftime("%Y-%m-%d %H:%M:%S"),
        "revision": git_revision(ROOT),
        "machine": describe_machine(),
        "device": options.device,
        "threads": options.threads,
        "presets": {},
    }
    with make_progress() as progress:
        for name, (config, systems, dataset) in work.items():
            task = progress.add_task(name, total=plan.pieces(len(systems)), note="")

            def report(what: str, task=task) -> None:
                progress.update(task, advance=1, note=what)

            found = measure(config, systems, dataset, plan, report)
            record["presets"][name] = found | {"ratios": ratios(found["systems"])}
            if options.out:  # what is done is kept when the next preset is interrupted
                write_json(options.out.with_suffix(".json"), record)
    console = Console()
    for name, found in record["presets"].items():
        show(console, name, found)
    if options.out:
        charts = [options.out.with_suffix(suffix) for suffix in (".png", ".svg")]
        system_times(chart_of(record), charts)
        console.print(f"written: {options.out.with_suffix('.json')}, and the charts beside it")


if __name__ == "__main__":
    run_main(main)
