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
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neutral import parameters, runlog
from neutral.config import Config, to_dict
from neutral.data.batching import train_batches, val_batches
from neutral.data.chain import DataChain
from neutral.data.coco import CocoDataset
from neutral.errors import InputError
from neutral.evaluation import evaluate
from neutral.files import replacing, sha256_of
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
    session, config: Config, dataset: CocoDataset, limit: int | None, report: Report
):
    """Losses and AP over a split: (mean losses under DETR's names, Evaluation, detections by image id)."""
    steps, detections = [], {}
    total = math.ceil(min(len(dataset), limit or len(dataset)) / config.optimiser.batch_size)
    for number, batch in enumerate(val_batches(dataset, config, limit), start=1):
        losses, found = session.evaluate(batch)
        steps.append(losses)
        detections |= {t.image_id: d for t, d in zip(batch.targets, found, strict=True)}
        report({"phase": "evaluate", "step": number, "steps": total, "loss": losses["loss"]})
    return (
        runlog.mean_losses(steps, "test", config.model.loss_weights()),
        evaluate(dataset, detections),
        detections,
    )


def train(
    session, config: Config, datasets: dict[str, CocoDataset], options: RunOptions, report: Report
) -> Path:
    """Trains for `optimiser.epochs`, evaluates, logs and checkpoints after each; returns the log's path.

    InputError on a non-finite loss (with the batch's image ids), or when the folder already holds
    a run and `resume` was not asked for.
    """
    log, checkpoint = options.folder / "log.txt", options.folder / "checkpoint.safetensors"
    stream = options.folder / "stream.jsonl"
    first_epoch = step = 0
    if options.resume:
        first_epoch, step = load_checkpoint(session, config, checkpoint)
        for path in (log, stream):
            keep_epochs(path, first_epoch)
    else:
        if checkpoint.exists() or has_epochs(log):
            raise InputError(f"{log} exists: continue it with --resume, or choose another --out")
        weights, told = start_weights(session, config, options)
        session.load(weights)
        report_begun(told, report)
        for path in (log, stream):  # of a run that ended before its first epoch did
            path.unlink(missing_ok=True)
        runlog.append_line(log, {"header": header(session, config, datasets, told)})
    links = read_stream(stream)
    chain = DataChain(links[-1]["chain"] if links else "")
    shapes = session.shapes()
    count = sum(math.prod(shapes[name]) for name in session.trained_names())
    per_epoch = len(datasets["train"]) // config.optimiser.batch_size
    per_epoch = min(per_epoch, options.max_steps or per_epoch)
    accumulate = config.optimiser.accumulate
    per_epoch -= per_epoch % accumulate
    if not per_epoch:
        raise InputError(
            f"an epoch has no {accumulate} batches to accumulate: lower optimiser.accumulate or batch_size"
        )
    for epoch in range(first_epoch, config.optimiser.epochs):
        factor = parameters.decay_factor(epoch, config.optimiser)
        steps, links, started = [], [], time.perf_counter()
        for number, batch in enumerate(train_batches(datasets["train"], config, epoch), start=1):
            rates = parameters.rates(session.trained_names(), config, epoch, step // accumulate)
            link = chain.add(batch, epoch, number - 1)
            if step < FULL_STREAM or number == per_epoch:
                links.append(link)
            losses = session.train_step(batch, step, rates)
            if not np.isfinite(losses["loss"]):
                ids = [t.image_id for t in batch.targets]
                raise InputError(
                    f"epoch {epoch}, step {number}: the loss is {losses['loss']} (images {ids}); "
                    "the last good epoch is in the checkpoint"
                )
            steps.append(losses)
            step += 1
            report(
                {
                    "phase": "train",
                    "epoch": epoch,
                    "step": number,
                    "steps": per_epoch,
                    "loss": losses["loss"],
                }
            )
            if number == per_epoch:
                break
        seconds = time.perf_counter() - started
        record = {
            "train_lr": config.optimiser.lr * factor,
            "train_lr_backbone": config.optimiser.lr_backbone * factor,
        }
        record |= runlog.mean_losses(steps, "train", config.model.loss_weights())
        record["train_step_losses"] = [round(s["loss"], 6) for s in steps]
        if (epoch + 1) % options.evaluate_every == 0 or epoch + 1 == config.optimiser.epochs:
            losses, evaluation, detections = evaluation_run(
                session, config, datasets["val"], options.val_images, report
            )
            record |= losses | {
                "test_coco_eval_bbox": [None if math.isnan(v) else v for v in evaluation.stats],
                "test_per_class": {
                    k: None if math.isnan(v[0]) else v[0] for k, v in evaluation.per_class.items()
                },
            }
            if config.data.kind == "voc":
                for name in ("voc07", "voc"):
                    found = evaluate_voc(datasets["val"], detections, VOC_RULES[name])
                    record[f"test_{name}_map"] = None if math.isnan(found.mean) else found.mean
        record |= {
            "images_per_second": len(steps) * config.optimiser.batch_size / seconds,
            "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "epoch": epoch,
            "n_parameters": count,
        }
        runlog.append_lines(stream, links)
        save_checkpoint(session, config, checkpoint, epoch + 1, step)
        runlog.append_line(log, record)
        report(
            {"phase": "epoch", "epoch": epoch, "epochs": config.optimiser.epochs, "record": record}
        )
    return log


def save_checkpoint(session, config: Config, path: Path, epoch: int, step: int) -> None:
    """Weights under their canonical names, optimiser moments under optimiser/..., counters in metadata."""
    moments, updates = session.optimiser_state()
    arrays = session.state() | {f"optimiser/{k}": v for k, v in moments.items()}
    metadata = {
        "epoch": str(epoch),
        "step": str(step),
        "updates": str(updates),
        "config": json.dumps(to_dict(config)),
    }
    save_weights(path, arrays, metadata)


def load_checkpoint(session, config: Config, path: Path) -> tuple[int, int]:
    """Puts the session where the checkpoint left it; returns the next epoch and step.

    InputError when the configuration is not the one the checkpoint was written with.
    """
    arrays, metadata = load_file(path)
    if "epoch" not in metadata:
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
    return int(metadata["epoch"]), int(metadata["step"])


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
