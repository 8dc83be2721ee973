"""Everything that can be checked on a GPU, unattended: `python -m scripts.gpu_check --out logs/gpu/mine`.

Stages run in order, each in a process of its own with a time limit, and each leaves its output, its exit code and what
it measured in OUT; OUT/check.json says how far it got. Called again, it goes on with what is not done (`--again STAGE`
repeats one). The stages of `--long` train to the end. Without a usable GPU nothing runs: exit code 2. `--device cpu`
rehearses the stages without one.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from jittor_setup.environment import cuda_usable
from neutral.errors import InputError
from neutral.files import git_revision, read_json, write_json
from neutral.processes import end, start
from parity.engine.environment import describe_machine
from scripts.common import run_main

ROOT = Path(__file__).resolve().parent.parent
LIMIT = 600  # seconds a stage
COCO_MINI = ROOT.parent / "shared" / "data" / "coco_mini"
PRESETS_MEASURED = ("scenes_frcnn", "scenes_detr", "detr_r50", "torchvision_r50_fpn")


@dataclass(frozen=True)
class Stage:
    """A command line after `python -m`; {device} and {out} are filled in."""

    name: str
    command: str
    long: bool = False
    needs: Path | None = None  # data without which it is left out
    locks: bool = False  # writes a committed record of the device: no rehearsal on the CPU may


def suite(name: str, selection: str) -> Stage:
    command = (
        f"pytest -q parity/{selection} --framework-device {{device}} --parity-report {{out}}/{name}"
    )
    return Stage(name, command)


def overfit(preset: str, rate: str, epochs: int) -> Stage:
    """Sixty photographs learnt by heart, evaluated on themselves."""
    sets = "--set data.val_sets=train2017 --set transform.crop_probability=0 --set transform.flip_probability=0"
    sizes = (
        "--set transform.train_sizes=320 --set transform.val_size=320 --set transform.max_size=480"
    )
    sets += f" --set optimiser.lr={rate} --set optimiser.epochs={epochs} --set optimiser.lr_drop={epochs}"
    command = f"scripts.train_pair --preset {preset} --data {COCO_MINI} {sizes} {sets} --device {{device}}"
    command += f" --evaluate-every 20 --in-turn --resume --out {{out}}/overfit-{preset}"
    return Stage(f"overfit-{preset}", command, True, COCO_MINI)


def speed(preset: str) -> Stage:
    command = f"scripts.bench_peers --presets {preset} --shapes 4 --device {{device}} --out {{out}}/speed-{preset}"
    return Stage(f"speed-{preset}", command)


def reference(preset: str) -> Stage:
    command = f"scripts.train_pair --preset {preset} --device {{device}} --in-turn --resume --out {{out}}/{preset}"
    return Stage(f"run-{preset}", command, True)


STAGES = (
    Stage("environment", "scripts.doctor"),
    Stage("cuda-home", "scripts.doctor --fix-cuda"),
    suite("kernels", "suite/test_kernels.py parity/suite/test_ops.py"),
    Stage("atlas", "scripts.atlas --record --device {device}", locks=True),
    Stage("floors", "parity.suite.measure_floors --device {device}", locks=True),
    suite("layers", "test_detectors.py"),
    suite("steps", "test_steps.py"),
    suite("localise", "test_localise.py"),
    *(speed(preset) for preset in PRESETS_MEASURED),
    *(reference(preset) for preset in ("scenes_frcnn", "scenes_detr")),
    overfit("torchvision_r50_fpn", "5e-3", 60),
    overfit("detr_r50", "1e-4", 150),
)
BY_NAME = {stage.name: stage for stage in STAGES}


def run_stage(stage: Stage, device: str, out: Path, limit: float) -> dict:
    """Exit code (124 when its time was up), seconds, and the end of what it printed; all of it in OUT/NAME.log."""
    arguments = stage.command.format(device=device, out=out).split()
    started = time.time()
    log = out / f"{stage.name}.log"
    with log.open("w") as file:
        process = start(
            [sys.executable, "-m", *arguments],
            cwd=ROOT,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = process.wait(timeout=limit)
        except subprocess.TimeoutExpired:
            os.killpg(
                process.pid, 15
            )  # training writes a checkpoint, and goes on from it next time
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)
                process.wait()
            code = 124
        finally:
            end([process])
    tail = [line for line in log.read_text(errors="replace").splitlines() if line.strip()][-6:]
    return {
        "command": " ".join(arguments),
        "exit code": code,
        "seconds": round(time.time() - started, 1),
        "tail": tail,
    }


def chosen(options: argparse.Namespace, done: dict) -> list[Stage]:
    names = options.stages or [s.name for s in STAGES if options.long or not s.long]
    unknown = [n for n in [*names, *options.again] if n not in BY_NAME]
    if unknown:
        raise InputError(f"no stage {unknown[0]!r}: choose among {', '.join(BY_NAME)}")
    finished = {n for n, r in done.items() if r["exit code"] == 0} - set(options.again)
    wanted = dict.fromkeys([*names, *options.again])
    return [BY_NAME[n] for n in wanted if n not in finished]


def left_out(stage: Stage, device: str) -> str:
    """Why a stage is not run; "" when it is."""
    if stage.needs and not stage.needs.is_dir():
        return f"{stage.needs.name} is not here"
    return "a rehearsal leaves the CPU's record alone" if stage.locks and device == "cpu" else ""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("logs/gpu/check"))
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--stages", nargs="+", help=f"only these: {', '.join(BY_NAME)}")
    parser.add_argument("--again", nargs="+", default=[], help="also these, though they are done")
    parser.add_argument("--long", action="store_true", help="also the runs that train to the end")
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds for a stage")
    options = parser.parse_args()
    if options.device == "cuda" and not cuda_usable():
        raise InputError(
            "no CUDA driver answers with a device: nothing was checked; see scripts.doctor"
        )
    out = options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    record_file = out / "check.json"
    record = read_json(record_file) if record_file.exists() else {"stages": {}}
    record |= {
        "machine": describe_machine(),
        "revision": git_revision(ROOT),
        "device": options.device,
    }
    console = Console()
    for stage in chosen(options, record["stages"]):
        if why := left_out(stage, options.device):
            result = {"exit code": None, "seconds": 0.0, "tail": [why]}
        else:
            console.print(f"{stage.name} ...", highlight=False)
            result = run_stage(stage, options.device, out, options.limit)
        record["stages"][stage.name] = result | {"finished": time.strftime("%Y-%m-%d %H:%M:%S")}
        write_json(record_file, record)
    table = Table("stage", "exit code", "seconds", "said last")
    for name, result in record["stages"].items():
        code = result["exit code"]
        shown = "left out" if code is None else "time was up" if code == 124 else str(code)
        table.add_row(name, shown, f"{result['seconds']:.0f}", (result["tail"] or [""])[-1][:90])
    console.print(table)
    console.print(f"record: {record_file}")
    return int(any(r["exit code"] not in (0, None) for r in record["stages"].values()))


if __name__ == "__main__":
    run_main(main)
