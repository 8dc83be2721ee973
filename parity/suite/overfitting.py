"""PyTorch learns a few scenes by heart: weights with which both frameworks then detect on them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from neutral.config import preset, to_dict, with_overrides
from neutral.data import open_dataset
from neutral.data.batching import val_batches
from neutral.weights import initial_weights
from parity.atlas.judge import GIVE_WAY
from parity.engine.sides.workers import TIMEOUT, Worker
from parity.suite.ask import ask
from parity.suite.cases import FEW_SCENES, OVERFITTED_IMAGES, OVERFITTING


def scenes_of(name: str, folder: Path) -> tuple:
    """Configuration of the preset, data set, and its one batch."""
    config = with_overrides(preset(name), [FEW_SCENES])
    dataset = open_dataset(config, "val", folder)
    return config, dataset, next(val_batches(dataset, config, OVERFITTED_IMAGES))


def fitted(worker: Worker, name: str, folder: Path, device: str) -> dict:
    """State of the preset's PyTorch model afterwards, by canonical names."""
    config, _, batch = scenes_of(name, folder)
    steps, rate = OVERFITTING[name]
    ask(worker, "build", to_dict(config), device, "float32")
    names = worker.call("trained_names")
    worker.call("load", initial_weights(worker.call("shapes"), config))
    return ask(worker, "fit", batch, steps, dict.fromkeys(names, rate))


@contextmanager
def fitting(names: Sequence[str], folder: Path, device: str) -> Iterator[dict[str, Future]]:
    """What `fitted` gives, by preset: one after the other, in a worker that lets all others go first."""
    worker = Worker("torch", TIMEOUT, (GIVE_WAY,))
    with ThreadPoolExecutor(1, "fitting") as pool:
        try:
            yield {name: pool.submit(fitted, worker, name, folder, device) for name in names}
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            if (process := worker.process) is not None:
                process.kill()  # nobody waits any more for what it does
    worker.close()
