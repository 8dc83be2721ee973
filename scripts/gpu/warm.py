"""Compiles Jittor's kernels for steps to come: `python -m scripts.gpu.warm --device cuda --lanes 12 --steps ops gates`.

Each lane has a Jittor worker of its own and takes the next task in the order of the steps; kernels land in Jittor's
cache, where later processes find them. What fails here is left to the step itself, which will tell.
"""

from __future__ import annotations

import argparse
import threading
import time

from scripts.common import run_main
from scripts.gpu.harness import Worker, WorkerDied, WorkerError
from scripts.gpu.warming import warm_tasks


def lane(tasks: list, lock: threading.Lock) -> None:
    worker = Worker("jittor")
    try:
        while True:
            with lock:
                if not tasks:
                    return
                label, task = tasks.pop(0)
            began = time.monotonic()
            try:
                task(worker)
                told = "done"
            except (ValueError, WorkerDied, WorkerError, OSError) as error:
                told = f"{type(error).__name__}: {str(error)[:200]}"
            print(f"{time.monotonic() - began:6.1f} s  {label}: {told}", flush=True)
    finally:
        worker.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=("cuda", "cpu"), required=True)
    parser.add_argument("--lanes", type=int, required=True)
    parser.add_argument("--steps", nargs="*", default=[])
    options = parser.parse_args()
    tasks, lock = warm_tasks(options.steps, options.device), threading.Lock()
    lanes = [
        threading.Thread(target=lane, args=(tasks, lock))
        for _ in range(min(options.lanes, len(tasks)))
    ]
    for thread in lanes:
        thread.start()
    for thread in lanes:
        thread.join()


if __name__ == "__main__":
    run_main(main)
