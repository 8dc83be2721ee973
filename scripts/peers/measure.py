"""Measures the systems of one preset in turns, each in a process of its own that waits while another works."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from neutral.config import Config, to_dict, with_overrides
from neutral.data.batching import Batch, collate
from neutral.data.coco import CocoDataset, Target
from neutral.data.transforms import normalise
from neutral.errors import InputError
from parity.errors import WorkerDied, WorkerError
from scripts.peers import System
from scripts.peers.worker import BenchWorker, gpu_memory_used

WORK = {"inference": "detect", "training": "step"}  # in this order: all judge the same weights
SLOWED = 1e-3
SHOWN = 5  # scores of an image that the record keeps
SPREAD = 0.25  # varying shapes lie this far below and above the size, at most


@dataclass(frozen=True)
class Plan:
    """`size` (height, width) of the images; `rounds` of training and of inference; `shapes`: how many others."""

    device: str
    size: tuple[int, int]
    rounds: int
    shapes: int

    def pieces(self, systems: int) -> int:
        """How often `measure` reports."""
        return 1 + systems * (1 + len(WORK) * self.rounds + 2 * self.shapes)


def turns(names: Iterable[str], rounds: int) -> list[tuple[int, str]]:
    """(round, system), round robin: what the machine does meanwhile hits all of them alike."""
    names = list(names)
    return [(number, name) for number in range(rounds) for name in names]


def resized(image: Image.Image, target: Target, size: tuple[int, int]):
    """Exactly (height, width), whatever the shape was: batches have no padding."""
    height, width = size
    scale = np.array([width / image.size[0], height / image.size[1]] * 2, dtype=np.float32)
    area = target.area * np.float32(scale[0] * scale[1])
    target = replace(
        target, boxes=target.boxes * scale, area=area, size=size, original_size=size
    ).with_masks(lambda masks: masks[:0])
    return image.resize((width, height), Image.Resampling.BILINEAR), target


def make_batch(dataset: CocoDataset, config: Config, size: tuple[int, int]) -> Batch:
    """The first images that have objects."""
    samples = []
    for index in range(len(dataset)):
        if dataset.annotations[dataset.images[index]["id"]]:
            image, target = dataset[index]
            if len(target.labels):
                samples.append(normalise(*resized(image, target, size), config.transform))
        if len(samples) == config.optimiser.batch_size:
            return collate(samples, config.transform.size_divisor)
    raise InputError(
        f"{dataset.source}: {len(samples)} images with objects make no batch of {config.optimiser.batch_size}"
    )


def other_sizes(plan: Plan) -> list[tuple[int, int]]:
    """Sizes around the plan's, from the smallest to the greatest."""
    scales = np.linspace(1 - SPREAD, 1 + SPREAD, plan.shapes + plan.shapes % 2)[: plan.shapes]
    return [(round(plan.size[0] * s), round(plan.size[1] * s)) for s in scales]


def describe_batch(batch: Batch, source: str) -> dict:
    digest = hashlib.sha256(batch.images.tobytes())
    for target in batch.targets:
        digest.update(target.boxes.tobytes() + target.labels.tobytes())
    return {
        "source": source,
        "shape": list(batch.images.shape),
        "objects": [len(target.labels) for target in batch.targets],
        "sha256": digest.hexdigest(),
    }


def slowed(config: Config) -> list[str]:
    """Learning rates of a thousandth: no step costs less, but all rounds have nearly the same weights, so work."""
    rates = ("lr", "lr_backbone") if config.model.detector == "detr" else ("lr",)
    return [f"optimiser.{name}={getattr(config.optimiser, name) * SLOWED}" for name in rates]


def measure(
    config: Config,
    systems: list[System],
    dataset: CocoDataset,
    plan: Plan,
    report: Callable[[str], None],
) -> dict:
    """The record of one preset; report(what) is called before every piece of work."""
    config = with_overrides(config, slowed(config))
    batch = make_batch(dataset, config, plan.size)
    record = {"images": describe_batch(batch, Path(dataset.root).name)}
    workers = {system.name: BenchWorker(system.name) for system in systems}
    try:
        with tempfile.TemporaryDirectory() as folder:
            weights = Path(folder) / "weights.safetensors"
            report("weights")
            record["weights"] = made_weights(config, plan.device, batch, weights)
            found = {
                system.name: first_passes(
                    workers[system.name], config, plan, weights, batch, report
                )
                for system in systems
            }
        in_turns(workers, found, plan, batch, report)
        varied(workers, found, config, dataset, plan, report)
        for name, worker in workers.items():
            found[name]["peak_memory_mib"] = worker.call("peak_memory")
    except (WorkerDied, WorkerError) as error:
        raise InputError(f"{config.name}: {error}") from None
    finally:
        for worker in workers.values():
            worker.close()
    return record | {"systems": found}


def made_weights(config: Config, device: str, batch: Batch, out: Path) -> dict:
    """See ours.prepare_weights; in a process of its own, which PyTorch would leave large."""
    worker = BenchWorker("torch")
    try:
        return worker.call("prepare", to_dict(config), device, batch, out)
    finally:
        worker.close()


def first_passes(worker: BenchWorker, config: Config, plan: Plan, weights, batch, report) -> dict:
    """Builds the model in its process and lets it do everything twice, compilations included."""
    report(f"{worker.label}: first passes")
    before = gpu_memory_used()
    found = worker.call("build", to_dict(config), plan.device, weights)
    for kind, method in WORK.items():
        first = worker.call("regions", method, batch)
        second = worker.call(method, batch)
        found[kind] = {"first": first["seconds"], "second": second["seconds"]}
        found[kind] |= {"regions": first["regions"], "seconds": [], "cpu_seconds": []}
        if "scores" in first:
            found["detections"] = [len(s) for s in first["scores"]]
            found["scores"] = [[float(x) for x in s[:SHOWN]] for s in first["scores"]]
        else:
            found["losses"] = [first["loss"], second["loss"]]
    after = gpu_memory_used() if plan.device == "cuda" else None
    found["gpu_memory_mib"] = None if after is None or before is None else after - before
    return found


def in_turns(workers: dict, found: dict, plan: Plan, batch: Batch, report) -> None:
    """Inference, then training, of one batch; every single time is kept."""
    for kind, method in WORK.items():
        for _, name in turns(workers, plan.rounds):
            report(f"{name}: {kind}")
            answer = workers[name].call(method, batch)
            for key in ("seconds", "cpu_seconds"):
                found[name][kind][key].append(answer[key])
            if "loss" in answer:
                found[name]["losses"].append(answer["loss"])


def varied(workers: dict, found: dict, config: Config, dataset, plan: Plan, report) -> None:
    """Training on batches of other shapes, seen for the first time and again."""
    batches = [make_batch(dataset, config, size) for size in other_sizes(plan)]
    for kind in ("new shapes", "the same again") if batches else ():
        for answers in found.values():
            answers[kind] = {"seconds": []}
        for batch in batches:
            for name, worker in workers.items():
                report(f"{name}: {kind}")
                found[name][kind]["seconds"].append(worker.call("step", batch)["seconds"])
