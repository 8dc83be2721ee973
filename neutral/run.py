"""Training and evaluation runs: one loop for both frameworks, which come in as a session.

A run folder holds log.txt (see runlog.py), stream.jsonl (what data it saw, see data/chain.py) and
checkpoint.safetensors (weights, optimiser state). A session is {torch,jittor}_impl.session.Session.
"""

from __future__ import annotations

import json
import math
import platform
import resource
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from neutral import parameters, runlog
from neutral.config import Config, to_dict
from neutral.data.batching import train_batches, val_batches
from neutral.data.chain import DataChain
from neutral.data.coco import CocoDataset
from neutral.errors import InputError
from neutral.evaluation import evaluate
from neutral.files import remove_unfinished, replacing, sha256_of
from neutral.voc_evaluation import VOC_RULES, evaluate_voc
from neutral.weights import Weights, initial_weights, load_file, save_weights
from neutral.weights.conversion import convert
from neutral.weights.readers import read_checkpoint

Report = Callable[[dict], None]  # receives {"phase", "epoch", "step", "steps", "loss", ...}


@dataclass(frozen=True)
class RunOptions:
    """How far and where: `max_steps` ends every epoch early, `val_images` limits evaluation."""

    folder: Path
    weights: Path | None = None
    max_steps: int | None = None
    val_images: int | None = None
    evaluate_every: int = 1
    resume: bool = False
    reset_heads: bool = False  # a class head for another number of classes begins anew
    stop: Callable[[], bool] = lambda: False  # asked after every step; True ends the run, resumable


class Stopped(Exception):
    """The run was asked to stop, and wrote a checkpoint from which it goes on."""


@dataclass
class Place:
    """Where a run is: the epoch, the batches of it that are done with their losses and links, and all steps so far."""

    epoch: int = 0
    step: int = 0
    losses: list[dict] = field(default_factory=list)
    links: list[dict] = field(default_factory=list)
    chain: str = ""
    seconds: float = 0.0

    def next_epoch(self) -> Place:
        return Place(self.epoch + 1, self.step, chain=self.chain)


FULL_STREAM = 10_000  # batches of which every link is kept; afterwards one for each epoch


def read_stream(path: Path) -> list[dict]:
    """The links of a run's data chain; none when there is no file."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def start_weights(session, config: Config, options: RunOptions) -> tuple[Weights, dict]:
    """The weights that a run starts from, and what its log says of them."""
    if options.weights is None:
        return initial_weights(session.shapes(), config), {"source": "initial values"}
    found = convert(read_checkpoint(options.weights), config, reset_heads=options.reset_heads)
    return found.weights(), {
        "source": found.source.name,
        "file": options.weights.name,
        "sha256": sha256_of(options.weights),
        "begun_anew": found.begun,
    }


SHOWN = 8  # names in a message; the log has them all


def report_begun(told: dict, report: Report) -> None:
    """Says which tensors a run does not take from its file."""
    names = list(told.get("begun_anew", ()))
    if names:
        shown = ", ".join(names[:SHOWN])
        shown += f", ... ({len(names)} in all)" if len(names) > SHOWN else ""
        text = f"{told['file']} ({told['source']}): begun anew: {shown}"
        report({"phase": "message", "text": text})


def header(session, config: Config, datasets: dict[str, CocoDataset], weights: dict) -> dict:
    return {
        "weights": weights,
        "config": to_dict(config),
        "environment": session.describe()
        | {"python": platform.python_version(), "machine": platform.machine()},
        "data": {split: dataset.fingerprint for split, dataset in datasets.items()},
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def evaluation_run(
    session,
    config: Config,
    dataset: CocoDataset,
    limit: int | None,
    report: Report,
    stop: Callable[[], bool] = lambda: False,
):
    """Losses and AP over a split: (mean losses under DETR's names, Evaluation, detections by image id)."""
    steps, detections = [], {}
    total = math.ceil(min(len(dataset), limit or len(dataset)) / config.optimiser.batch_size)
    for number, batch in enumerate(val_batches(dataset, config, limit), start=1):
        losses, found = session.evaluate(batch)
        steps.append(losses)
        detections |= {t.image_id: d for t, d in zip(batch.targets, found, strict=True)}
        report({"phase": "evaluate", "step": number, "steps": total, "loss": losses["loss"]})
        if stop():
            raise Stopped
    return (
        runlog.mean_losses(steps, "test", config.model.loss_weights()),
        evaluate(dataset, detections),
        detections,
    )


def train(
    session, config: Config, datasets: dict[str, CocoDataset], options: RunOptions, report: Report
) -> Path:
    """Trains for `optimiser.epochs`, evaluates, logs and checkpoints after each; returns the log's path.

    Raises Stopped when `options.stop` asks for it, after a checkpoint in the middle of the epoch.

    InputError on a non-finite loss (with the batch's image ids), or when the folder already holds
    a run and `resume` was not asked for.
    """
    log, checkpoint = options.folder / "log.txt", options.folder / "checkpoint.safetensors"
    stream = options.folder / "stream.jsonl"
    for path in (log, stream, checkpoint):
        remove_unfinished(path)
    if options.resume and checkpoint.exists():
        place = load_checkpoint(session, config, checkpoint)
        for path in (log, stream):
            keep_epochs(path, place.epoch)
    else:
        if options.resume and not log.exists():
            raise InputError(f"{options.folder}: no run to resume; start one without --resume")
        if not options.resume and (checkpoint.exists() or has_epochs(log)):
            raise InputError(f"{log} exists: continue it with --resume, or choose another --out")
        weights, told = start_weights(session, config, options)
        session.load(weights)
        report_begun(told, report)
        for path in (log, stream):  # of a run that ended before its first checkpoint
            path.unlink(missing_ok=True)
        runlog.append_line(log, {"header": header(session, config, datasets, told)})
        place = Place()
    shapes = session.shapes()
    count = sum(math.prod(shapes[name]) for name in session.trained_names())
    per_epoch = batches_per_epoch(config, datasets["train"], options)
    try:
        while place.epoch < config.optimiser.epochs:
            train_epoch(session, config, datasets["train"], options, report, place, per_epoch)
            record = train_record(config, place)
            epoch = place.epoch
            if (epoch + 1) % options.evaluate_every == 0 or epoch + 1 == config.optimiser.epochs:
                record |= evaluation_record(session, config, datasets["val"], options, report)
            record |= {
                "images_per_second": len(place.losses)
                * config.optimiser.batch_size
                / place.seconds,
                "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                "epoch": epoch,
                "n_parameters": count,
            }
            # the checkpoint last: what the logs say beyond it is dropped when a run is resumed
            runlog.append_lines(stream, place.links)
            runlog.append_line(log, record)
            place = place.next_epoch()
            save_checkpoint(session, config, checkpoint, place)
            epochs = config.optimiser.epochs
            report({"phase": "epoch", "epoch": epoch, "epochs": epochs, "record": record})
    except Stopped:
        save_checkpoint(session, config, checkpoint, place)
        raise
    return log


def batches_per_epoch(config: Config, dataset: CocoDataset, options: RunOptions) -> int:
    """A multiple of what the optimiser accumulates; InputError when that leaves none."""
    count = len(dataset) // config.optimiser.batch_size
    count = min(count, options.max_steps or count)
    accumulate = config.optimiser.accumulate
    if count < accumulate:
        raise InputError(
            f"an epoch has no {accumulate} batches to accumulate: lower optimiser.accumulate or batch_size"
        )
    return count - count % accumulate


def train_epoch(
    session,
    config: Config,
    dataset: CocoDataset,
    options: RunOptions,
    report: Report,
    place: Place,
    per_epoch: int,
) -> None:
    """The batches of an epoch that are still to do; `place` follows. Stopped after a whole step of the optimiser."""
    accumulate, epoch = config.optimiser.accumulate, place.epoch
    chain, done, started = DataChain(place.chain), len(place.losses), time.perf_counter()
    before = place.seconds
    for number, batch in enumerate(train_batches(dataset, config, epoch, done), start=done + 1):
        if number > per_epoch:
            break
        rates = parameters.rates(session.trained_names(), config, epoch, place.step // accumulate)
        link = chain.add(batch, epoch, number - 1)
        losses = session.train_step(batch, place.step, rates)
        if not np.isfinite(losses["loss"]):
            ids = [t.image_id for t in batch.targets]
            raise InputError(
                f"epoch {epoch}, step {number}: the loss is {losses['loss']} (images {ids}); "
                "the last good epoch is in the checkpoint"
            )
        if place.step < FULL_STREAM or number == per_epoch:
            place.links.append(link)
        place.losses.append(losses)
        place.step, place.chain = place.step + 1, chain.chain
        place.seconds = before + time.perf_counter() - started
        report(
            {
                "phase": "train",
                "epoch": epoch,
                "step": number,
                "steps": per_epoch,
                "loss": losses["loss"],
            }
        )
        if place.step % accumulate == 0 and options.stop():
            raise Stopped


def train_record(config: Config, place: Place) -> dict:
    """What the log says of an epoch's training."""
    factor = parameters.decay_factor(place.epoch, config.optimiser)
    record = {
        "train_lr": config.optimiser.lr * factor,
        "train_lr_backbone": config.optimiser.lr_backbone * factor,
    }
    record |= runlog.mean_losses(place.losses, "train", config.model.loss_weights())
    return record | {"train_step_losses": [round(s["loss"], 6) for s in place.losses]}


def evaluation_record(
    session, config: Config, dataset: CocoDataset, options: RunOptions, report: Report
) -> dict:
    """What the log says of an evaluation."""
    losses, evaluation, detections = evaluation_run(
        session, config, dataset, options.val_images, report, options.stop
    )
    record = losses | {
        "test_coco_eval_bbox": [None if math.isnan(v) else v for v in evaluation.stats],
        "test_per_class": {
            k: None if math.isnan(v[0]) else v[0] for k, v in evaluation.per_class.items()
        },
    }
    if config.data.kind == "voc":
        for name in ("voc07", "voc"):
            found = evaluate_voc(dataset, detections, VOC_RULES[name])
            record[f"test_{name}_map"] = None if math.isnan(found.mean) else found.mean
    return record


def save_checkpoint(session, config: Config, path: Path, place: Place) -> None:
    """Weights under their canonical names, optimiser moments under optimiser/..., the place in metadata."""
    moments, updates = session.optimiser_state()
    arrays = session.state() | {f"optimiser/{k}": v for k, v in moments.items()}
    metadata = {
        "epoch": str(place.epoch),
        "place": json.dumps(asdict(place)),
        "updates": str(updates),
        "config": json.dumps(to_dict(config)),
    }
    save_weights(path, arrays, metadata)


def load_checkpoint(session, config: Config, path: Path) -> Place:
    """Puts the session where the checkpoint left it; returns the place.

    InputError when the configuration is not the one the checkpoint was written with.
    """
    arrays, metadata = load_file(path)
    if "place" not in metadata:
        raise InputError(
            f"{path}: holds weights but no training state; start from it with --weights instead"
        )
    theirs, ours = json.loads(metadata["config"]), json.loads(json.dumps(to_dict(config)))
    theirs["optimiser"]["epochs"] = ours["optimiser"][
        "epochs"
    ]  # a longer run may continue a shorter one
    if theirs != ours:
        changed = [
            f"{k}.{f}"
            for k, v in ours.items()
            if isinstance(v, dict)
            for f in v
            if theirs.get(k, {}).get(f) != v[f]
        ]
        changed = changed or [k for k in ours if theirs.get(k) != ours[k]]
        raise InputError(
            f"{path}: was written with another configuration ({', '.join(changed)}); it cannot be resumed"
        )
    session.load({k: v for k, v in arrays.items() if not k.startswith("optimiser/")})
    moments = {
        k.removeprefix("optimiser/"): v for k, v in arrays.items() if k.startswith("optimiser/")
    }
    session.load_optimiser(moments, int(metadata["updates"]))
    return Place(**json.loads(metadata["place"]))


def has_epochs(log: Path) -> bool:
    """Whether the log holds anything that starting anew would lose."""
    return log.exists() and any(
        "epoch" in json.loads(line) for line in log.read_text().splitlines()
    )


def keep_epochs(log: Path, epoch: int) -> None:
    """Drops what a log says of epochs that the checkpoint does not include."""
    if not log.exists():
        return
    lines = [
        line for line in log.read_text().splitlines() if json.loads(line).get("epoch", -1) < epoch
    ]
    with replacing(log) as temporary:
        temporary.write_text("".join(line + "\n" for line in lines))
