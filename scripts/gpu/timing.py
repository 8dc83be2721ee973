"""Times training steps of one framework with one switch thrown, in a process of its own; and the steps made of that.

`python -m scripts.gpu.timing torch --preset detr_r50 --device cuda --tf32` prints one line of JSON: seconds of each
step, losses, memory. TF32 is a switch of the process: PyTorch's two, and for what Jittor calls NVIDIA_TF32_OVERRIDE.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np

from door.process import peak_memory
from neutral import parameters
from neutral.config import Config, preset, with_overrides
from neutral.data import open_dataset
from neutral.errors import InputError
from neutral.weights import initial_weights
from scripts.common import run_main
from scripts.gpu.plan import COCO_MINI, ROOT
from scripts.peers.measure import make_batch, slowed

FRAMEWORKS = ("torch", "jittor")
PRESETS = ("torchvision_r50_fpn", "detr_r50")
SIZES = {"cuda": (800, 1056), "cpu": (96, 128)}
ROUNDS = 6


def configured(name: str, batch: int, precision: str) -> Config:
    data = (
        ["data.kind=coco", f"data.root={COCO_MINI}"] if COCO_MINI.is_dir() else ["data.kind=scenes"]
    )
    sets = [f"optimiser.batch_size={batch}", f"optimiser.precision={precision}", *data]
    config = with_overrides(preset(name), sets)
    return with_overrides(config, slowed(config))


def switch_tf32(framework: str) -> None:
    if framework == "torch":
        torch = importlib.import_module("torch")
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True


def time_steps(options: argparse.Namespace) -> dict:
    config = configured(options.preset, options.batch, options.precision)
    implementation = f"{options.framework}_impl"
    session = importlib.import_module(f"{implementation}.session").Session(config, options.device)
    ops, runtime = (importlib.import_module(f"{implementation}.{n}") for n in ("ops", "runtime"))
    if options.tf32:
        switch_tf32(options.framework)
    session.load(initial_weights(session.shapes(), config))
    batch = make_batch(open_dataset(config, "train"), config, SIZES[options.device])
    rates = parameters.rates(session.trained_names(), config, 0)
    seconds, losses = [], []
    for step in range(options.rounds):
        began = time.perf_counter()
        losses.append(float(session.train_step(batch, step, rates)["loss"]))
        ops.finish(list(session.tensors.values()))
        seconds.append(time.perf_counter() - began)
    warm = seconds[len(seconds) // 2 :]
    return {
        "seconds": [round(s, 4) for s in seconds],
        "median": statistics.median(warm),
        "images a second": options.batch / statistics.median(warm),
        "losses": losses,
        "memory in use, MiB": runtime.memory_in_use(),
        "peak of the process, MiB": peak_memory(),
    }


def apart(framework: str, name: str, device: str, *more: str) -> dict:
    """`time_steps` in a process of its own; {"refused": why} where it says no."""
    command = [sys.executable, "-m", "scripts.gpu.timing", framework, "--preset", name]
    command += ["--device", device, *more]
    variables = dict(os.environ)
    if "--tf32" in more:
        variables["NVIDIA_TF32_OVERRIDE"] = "1"
    result = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True)
    lines = result.stdout.strip().splitlines()
    if result.returncode or not lines:
        told = (result.stderr.strip().splitlines() or [f"exit code {result.returncode}"])[-1]
        return {"refused": told[:500]}
    return json.loads(lines[-1])


def tf32(device: str) -> Iterator[tuple[str, dict]]:
    for name in PRESETS:
        for framework in FRAMEWORKS:
            off, on = apart(framework, name, device), apart(framework, name, device, "--tf32")
            yield f"{name}, {framework}", {"off": off, "on": on} | gained(off, on)


def mixed(device: str) -> Iterator[tuple[str, dict]]:
    for name in PRESETS:
        for framework in FRAMEWORKS:
            single = apart(framework, name, device)
            half = apart(framework, name, device, "--precision", "bfloat16")
            yield (
                f"{name}, {framework}",
                {"float32": single, "bfloat16": half} | gained(single, half),
            )


def gained(before: dict, after: dict) -> dict:
    """How much faster, and how far the first loss, from the same weights, has moved."""
    if "refused" in before or "refused" in after:
        return {}
    first = [run["losses"][0] for run in (before, after)]
    return {
        "times as fast": before["median"] / after["median"],
        "first loss, relative difference": abs(np.subtract(*first)) / max(abs(first[0]), 1e-30),
    }


PARTS = {"tf32": tf32, "mixed-precision": mixed}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("framework", choices=FRAMEWORKS)
    parser.add_argument("--preset", required=True)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--precision", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--tf32", action="store_true")
    options = parser.parse_args()
    if options.batch < 1 or options.rounds < 1:
        raise InputError("--batch and --rounds: at least 1")
    print(json.dumps(time_steps(options)), flush=True)


if __name__ == "__main__":
    run_main(main)
