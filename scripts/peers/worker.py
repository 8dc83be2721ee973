"""A process that holds one system and works when it is told to: `python -m scripts.peers.worker SYSTEM FD FILE`.

A system's module has a class Model(system, config, device) with `load(weights)`, `train(batch)` -> loss,
`detect(batch)` -> scores of every image, `finish()`, which waits for the device, `watch(seen)`, which has the rows that
reach the box head appended and returns how to end that, and `describe()`.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from door.process import peak_memory
from neutral import config as configuration
from neutral.config import Config
from neutral.data.batching import Batch
from neutral.weights import load_file
from neutral.weights.plan import exported
from neutral.weights.recognising import named_source
from parity.engine.sides.server import serve
from parity.engine.sides.workers import Worker
from scripts.peers import SYSTEMS


class BenchWorker(Worker):
    """Waits between its turns as the framework's users have it, not politely: one works at a time."""

    module = "scripts.peers.worker"
    variables = {}  # noqa: RUF012  (as in the class above)


class Server:
    def __init__(self, system: str):
        self.system = SYSTEMS[system]
        self.model = None

    def handle(self, method: str, args: tuple, options: dict):
        return getattr(self, method)(*args, **options)

    def build(self, config: dict, device: str, weights: Path) -> dict:
        """The model with the weights of a file under canonical names; what it says of itself."""
        settings = configuration.from_dict(config)
        module = importlib.import_module(self.system.module)
        self.model = module.Model(self.system.name, settings, device)
        values = renamed(load_file(weights)[0], settings, self.system.naming)
        self.model.load(values)
        return self.model.describe()

    def prepare(self, config: dict, device: str, batch: Batch, out: Path) -> dict:
        """See ours.prepare_weights."""
        ours = importlib.import_module("scripts.peers.ours")
        return ours.prepare_weights(configuration.from_dict(config), device, batch, out)

    def step(self, batch: Batch) -> dict:
        """One training step: seconds, seconds of the processor, loss."""
        return self.timed(lambda: {"loss": self.model.train(batch)})

    def detect(self, batch: Batch) -> dict:
        """One inference: seconds, seconds of the processor, the scores of every image, the greatest first."""
        found = self.timed(lambda: {"scores": self.model.detect(batch)})
        found["scores"] = [np.sort(s)[::-1] for s in found["scores"]]
        return found

    def timed(self, work: Callable[[], dict]) -> dict:
        started, used = time.perf_counter(), time.process_time()
        found = work()
        self.model.finish()
        seconds = time.perf_counter() - started
        return found | {"seconds": seconds, "cpu_seconds": time.process_time() - used}

    def regions(self, method: str, batch: Batch) -> dict:
        """What `method` gives, and how many regions reached the box head meanwhile."""
        seen: list[int] = []
        release = self.model.watch(seen)
        try:
            return getattr(self, method)(batch) | {"regions": sum(seen)}
        finally:
            release()

    def peak_memory(self) -> float:
        return peak_memory()


def renamed(weights: dict[str, np.ndarray], config: Config, naming: str) -> dict[str, np.ndarray]:
    """Canonical weights under another system's names."""
    shapes = {name: array.shape for name, array in weights.items()}
    items = exported(weights.__getitem__, shapes, config, named_source(naming))
    return {item.name: item.fetch() for item in items}


def gpu_memory_used() -> float | None:
    """MiB in use on the first GPU by everybody, as the driver counts; None without one."""
    command = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    try:
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return float(text.split()[0])
    except (OSError, subprocess.CalledProcessError, ValueError, IndexError):
        return None


def main() -> None:
    system, descriptor, progress = sys.argv[1:]
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # models are built from their configuration
    serve(Connection(int(descriptor)), Server(system).handle, Path(progress).parent)


if __name__ == "__main__":
    main()
