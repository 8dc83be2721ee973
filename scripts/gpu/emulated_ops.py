"""Every function of ops as Jittor computes it on the emulated GPU: `python -m scripts.gpu.emulated_ops FOLDER`.

Values and gradients in float64 and float32 against PyTorch's on the CPU, by the gates of the GPU check's step "ops".
FOLDER is pretend.py's: libraries and Jittor's cache, made when they are not there. One line for each case; exit code 1
when one disagrees. What the emulation cannot show: float32 as --use_fast_math computes it, races, cuDNN's own sums.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from neutral.errors import InputError
from parity.case import Side
from parity.engine.judge.verdicts import Status
from parity.errors import WorkerDied, WorkerError
from scripts.common import run_main
from scripts.gpu.harness import OnDevice, Worker, compare_op, op_labels
from scripts.gpu.pretend import pretend, variables


class Pair(dict):
    """Workers by framework; PyTorch's is an OnDevice, whose models stay on the CPU."""

    device = "cuda"


def emulated_worker(folder: Path) -> Worker:
    """A Jittor worker on the emulated GPU."""
    chosen = variables(folder, pretend(folder, emulate=True))
    without = chosen.pop("PYTHONPATH").partition(os.pathsep)[0]
    return Worker(Side("", "jittor", path=(without,), env=chosen))


def compare(label: str, case, pair: Pair, dtype: str) -> list[str]:
    """What disagrees, a line each."""
    try:
        verdicts = compare_op(case, label, pair, pair["torch"], dtype)
    except (WorkerDied, WorkerError) as error:
        return [" ".join(str(error).split())[-300:]]
    return [
        f"{v.case} {v.check} {v.node}: {v.measured} (limit {v.limit})"
        for v in verdicts
        if v.status is Status.FAIL
    ]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cases", nargs="*", help="only these, as ops has them")
    options = parser.parse_args()
    labels = op_labels()
    if missing := set(options.cases or ()) - set(labels):
        raise InputError(f"no case {min(missing)!r}: choose among {', '.join(labels)}")
    folder, wrong = options.folder.resolve(), 0
    pair = Pair(torch=OnDevice("torch"), jittor=emulated_worker(folder))
    try:
        for label in options.cases or labels:
            for dtype in ("float64", "float32"):
                told = compare(label, labels[label], pair, dtype)
                wrong += bool(told)
                print(f"{'FAIL' if told else 'ok  '} {label} {dtype}", flush=True)
                for line in told:
                    print(f"     {line}", flush=True)
    finally:
        for worker in pair.values():
            worker.close()
    return int(wrong > 0)


if __name__ == "__main__":
    run_main(main)
