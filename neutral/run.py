"""Training and evaluation runs: one loop for both frameworks, which come in as a session.

A run folder holds log.txt and log.csv (see runlog.py), stream.jsonl (what data it saw, see data/chain.py) and
checkpoints (see checkpoints.py). A session is {torch,jittor}_impl.session.Session.
"""

from __future__ import annotations

import json
import math
import platform
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from neutral import diagnosis, parameters, runlog
from neutral.board import Board
from neutral.checkpoints import Checkpoints, Place
from neutral.config import Config, to_dict
from neutral.data.batching import Batch, train_batches, val_batches
from neutral.data.categories import Categories
from neutral.data.chain import DataChain
from neutral.data.coco import CocoDataset
from neutral.diagnosis import bad_node
from neutral.errors import InputError, NonFinite
from neutral.evaluation import METRICS, compact, evaluate
from neutral.files import git_revision, remove_unfinished, replacing, sha256_of
from neutral.panoptic import encoded_segments, panoptic_quality
from neutral.randomness import stream
from neutral.undefined import defined
from neutral.voc_evaluation import VOC_RULES, evaluate_voc
from neutral.weights import CATEGORIES, Weights, initial_weights, open_weights

Report = Callable[[dict], None]  # receives {"phase", "epoch", "step", "steps", "loss", ...}


@dataclass(frozen=True)
class RunOptions:
    """How far and where: `max_steps` ends every epoch early, `val_images` limits evaluation."""

    folder: Path
    weights: Path | None = None
    max_steps: int | None = None
    val_images: int | None = None
    full_evaluation: bool = False  # the last one is of all images whatever `val_images` says
    evaluate_every: int = 1
    resume: bool = False
    source: str | None = (
        None  # whose `weights` are, and behind which beginning of names, where files do not tell
    )
    inside: str | None = None
    reset_heads: bool = False  # a class head for another number of classes begins anew
    workers: int = 0  # threads that prepare batches ahead
    keep: int = 0  # checkpoints of the last epochs to keep besides the newest
    best_by: str = "AP"  # see SCORES; the weights that score best are kept apart
    tensorboard: bool = False
    perturb: int = (
        0  # not 0: the initial weights move by one unit in the last place, each number another way
    )
    stop: Callable[[], bool] = lambda: False  # asked after every step; True ends the run, resumable


class Stopped(Exception):
    """The run was asked to stop, and wrote a checkpoint from which it goes on."""


FULL_STREAM = 10_000  # batches of which every link is kept; afterwards one for each epoch


def read_stream(path: Path) -> list[dict]:
    """The links of a run's data chain; none when there is no file."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def start_weights(session, config: Config, options: RunOptions) -> tuple[Weights, dict]:
    """The weights that a run starts from, and what its log says of them."""
    if options.weights is None:
        weights = initial_weights(session.shapes(), config)
        told = {"source": "initial values"}
        if options.perturb:
            weights = {k: one_unit_away(v, options.perturb, k) for k, v in weights.items()}
            told |= {"perturbed": options.perturb}
        return weights, told
    if options.perturb:
        raise InputError("--perturb moves initial weights; it does not go with --weights")
    found = open_weights(
        options.weights, config, options.source, options.inside, options.reset_heads
    )
    return found.weights(), {
        **({CATEGORIES: found.categories.to_text()} if found.categories else {}),
        "source": found.source.name,
        "file": options.weights.name,
        "sha256": sha256_of(options.weights),
        "begun_anew": found.begun,
    }


def one_unit_away(values: np.ndarray, *names) -> np.ndarray:
    """Every number moved to one of its neighbours, up or down as a stream of that name has it."""
    up = stream(0, "perturb", *names).random(values.shape) < 0.5
    towards = np.where(up, np.inf, -np.inf).astype(values.dtype)
    return np.nextafter(values, towards)


SHOWN = 8  # names in a message; the log has them all


def report_begun(told: dict, report: Report) -> None:
    """Says which tensors a run does not take from its file."""
    names = list(told.get("begun_anew", ()))
    if names:
        shown = ", ".join(names[:SHOWN])
        shown += f", ... ({len(names)} in all)" if len(names) > SHOWN else ""
        text = f"{told['file']} ({told['source']}): begun anew: {shown}"
        report({"phase": "message", "text": text})


def report_classes(told: dict, known: Categories, report: Report) -> None:
    """Says so when a class head goes on with other categories than it was trained on."""
    if CATEGORIES in told:
        theirs = Categories.from_text(told[CATEGORIES], told["file"]).by_label()
        if theirs != known.by_label():
            lists = [", ".join(found.values()) for found in (theirs, known.by_label())]
            text = f"{told['file']}: its class head, trained on {lists[0]}, goes on with {lists[1]}"
            report({"phase": "message", "text": text})


def header(session, config: Config, datasets: dict[str, CocoDataset], weights: dict) -> dict:
    return {
        "weights": weights,
        "config": to_dict(config),
        "environment": session.describe()
        | {"python": platform.python_version(), "machine": platform.machine()},
        "revision": git_revision(Path(__file__).parent),
        "data": {split: dataset.fingerprint for split, dataset in datasets.items()},
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def evaluation_run(
    session,
    config: Config,
    dataset: CocoDataset,
    limit: int | None,
    report: Report,
    workers: int = 0,
    stop: Callable[[], bool] = lambda: False,
):
    """Losses and AP over a split: (mean losses under DETR's names, Evaluation, detections by image id).

    Of the running average of the weights, where the configuration has one.
    """
    steps, detections = [], {}
    total = math.ceil(min(len(dataset), limit or len(dataset)) / config.optimiser.batch_size)
    with session.averaged():
        for number, batch in enumerate(val_batches(dataset, config, limit, workers), start=1):
            try:
                losses, found = session.evaluate(batch)
            except NonFinite as error:
                raise NonFinite(f"{error}: {bad_node(session, batch)}") from None
            if not math.isfinite(losses["loss"]):
                ids = [target.image_id for target in batch.targets]
                raise NonFinite(
                    f"the loss of images {ids} is {losses['loss']}: {bad_node(session, batch)}"
                )
            steps.append(losses)
            detections |= {
                t.image_id: compact(d) for t, d in zip(batch.targets, found, strict=True)
            }
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

    Raises Stopped when `options.stop` asks for it, after a checkpoint in the middle of the epoch; so does an InputError
    of the data. NonFinite when a loss or gradient is (with the batch's image ids and the first bad node), InputError
    when the folder already holds a run and `resume` was not asked for.
    """
    known = datasets["train"].known
    checkpoints = Checkpoints(options.folder, options.keep, known)
    log, links = options.folder / "log.txt", options.folder / "stream.jsonl"
    for path in (log, links):
        remove_unfinished(path)
    checkpoints.clear_unfinished()
    if options.resume and checkpoints.newest.exists():
        place = checkpoints.load(session, config)
        for path in (log, links):
            keep_epochs(path, place.epoch)
        if place.epoch >= config.optimiser.epochs:
            text = f"has {place.epoch} epochs already, optimiser.epochs={config.optimiser.epochs}: nothing is trained"
            report({"phase": "message", "text": f"{options.folder}: {text}; ask for more to go on"})
    else:
        if options.resume and not log.exists():
            raise InputError(f"{options.folder}: no run to resume; start one without --resume")
        if not options.resume and (checkpoints.newest.exists() or has_epochs(log)):
            raise InputError(f"{log} exists: continue it with --resume, or choose another --out")
        weights, told = start_weights(session, config, options)
        session.load(weights)
        report_begun(told, report)
        report_classes(told, known, report)
        for path in (log, links):  # of a run that ended before its first checkpoint
            path.unlink(missing_ok=True)
        runlog.append_line(log, {"header": header(session, config, datasets, told)})
        place = Place()
    shapes = session.shapes()
    count = sum(math.prod(shapes[name]) for name in session.trained_names())
    per_epoch = batches_per_epoch(config, datasets["train"], options)
    board = Board(options.folder / "tensorboard") if options.tensorboard else None
    try:
        while place.epoch < config.optimiser.epochs:
            if place.epoch in config.optimiser.restart_epochs and not place.losses:
                restart(session, checkpoints, place, report)
            train_epoch(session, config, datasets["train"], options, report, place, per_epoch)
            record = train_record(config, place)
            epoch, epochs = place.epoch, config.optimiser.epochs
            is_last = epoch + 1 == epochs
            if (epoch + 1) % options.evaluate_every == 0 or is_last:
                whole = is_last and options.full_evaluation
                record |= evaluation_record(
                    session, config, datasets["val"], options, report, whole
                )
                keep_best(session, config, checkpoints, options.best_by, place, record)
            record |= {
                "images_per_second": len(place.losses)
                * config.optimiser.batch_size
                / place.seconds,
                "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                "epoch": epoch,
                "n_parameters": count,
            }
            # the checkpoint last: what the logs say beyond it is dropped when a run is resumed
            runlog.append_lines(links, place.links)
            runlog.append_line(log, record)
            place = place.next_epoch()
            checkpoints.save(session, config, place)
            checkpoints.number(epoch)
            runlog.write_csv(log, options.folder / "log.csv")
            if board:
                board.add(record, place.step)
            report({"phase": "epoch", "epoch": epoch, "epochs": epochs, "record": record})
    except (Stopped, DataError) as error:
        checkpoints.save(session, config, place)
        if isinstance(error, DataError):
            told = f"{error.cause}; a checkpoint was written, --resume goes on from there"
            raise InputError(told) from None
        raise
    return log


class DataError(Exception):
    """A batch could not be made, between two steps of the optimiser or in an evaluation; `cause` is the InputError."""

    def __init__(self, cause: InputError):
        super().__init__(str(cause))
        self.cause = cause


def restart(session, checkpoints: Checkpoints, place: Place, report: Report) -> None:
    """Goes on from the best weights so far, when there are any."""
    if place.best_epoch is None:
        return
    checkpoints.load_best(session)
    text = f"epoch {place.epoch + 1} begins from the weights of epoch {place.best_epoch + 1}, the best so far"
    report({"phase": "message", "text": text})


def keep_best(
    session, config: Config, checkpoints: Checkpoints, name: str, place: Place, record: dict
) -> None:
    """Writes the weights apart when they score best so far; nothing when the score cannot be told."""
    score = SCORES[name](record)
    if score is None or (place.best is not None and score <= place.best):
        return
    place.best, place.best_epoch = score, place.epoch
    checkpoints.save_best(session, config, place, name)


# what "best" can mean: a number of an epoch's record, greater ones better
SCORES: dict[str, Callable[[dict], float | None]] = {
    **{
        metric: lambda record, k=k: record["test_coco_eval_bbox"][k]
        for k, metric in enumerate(METRICS[:3])
    },
    **{rule: lambda record, rule=rule: record.get(f"test_{rule}_map") for rule in ("voc07", "voc")},
    "loss": lambda record: -record["test_loss"],
}


def batches_per_epoch(config: Config, dataset: CocoDataset, options: RunOptions) -> int:
    """A multiple of what the optimiser accumulates; InputError when that leaves none."""
    count = len(dataset) // config.optimiser.batch_size
    count = min(count, options.max_steps or count)
    accumulate = config.optimiser.accumulate
    if count < accumulate:
        raise InputError(
            f"an epoch of {len(dataset)} training images has {count} batches of {config.optimiser.batch_size}, "
            f"a step takes {accumulate}: lower optimiser.batch_size or accumulate, or raise --max-steps"
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
    batches = train_batches(dataset, config, epoch, done, options.workers)
    for number in range(done + 1, per_epoch + 1, accumulate):
        try:
            together = list(islice(batches, accumulate))
        except InputError as error:
            if not place.step:  # there is nothing to keep
                raise
            raise DataError(error) from None
        rates = parameters.rates(session.trained_names(), config, epoch, place.step // accumulate)
        found = finite_steps(session, together, place, rates, options.folder, number)
        for k, (batch, losses) in enumerate(zip(together, found, strict=True)):
            link = chain.add(batch, epoch, number + k - 1)
            if place.step < FULL_STREAM or number + k == per_epoch:
                place.links.append(link)
            place.losses.append(losses)
            place.step, place.chain = place.step + 1, chain.chain
            place.seconds = before + time.perf_counter() - started
            report(
                {
                    "phase": "train",
                    "epoch": epoch,
                    "epochs": config.optimiser.epochs,
                    "step": number + k,
                    "steps": per_epoch,
                    "loss": losses["loss"],
                }
            )
        if options.stop():
            raise Stopped


def finite_steps(
    session, batches: list[Batch], place: Place, rates: dict, folder: Path, number: int
) -> list[dict[str, float]]:
    """The batches of a step; NonFinite with the first bad node when a loss or the norm of gradients is not finite."""
    found = session.train_batches(batches, place.step, rates)
    for k, (batch, losses) in enumerate(zip(batches, found)):
        bad = [name for name in ("loss", "grad_norm") if not np.isfinite(losses.get(name, 0.0))]
        if not bad:
            continue
        what = losses.get("why", f"the {bad[0]} is {losses[bad[0]]}")
        dumped = diagnosis.dump(session, batch, place.step + k, folder)
        ids = [t.image_id for t in batch.targets]
        raise NonFinite(
            f"epoch {place.epoch}, step {number + k}: {what} (images {ids}); {dumped}. "
            "The last good epoch is in the checkpoint"
        )
    return found


def train_record(config: Config, place: Place) -> dict:
    """What the log says of an epoch's training."""
    optimiser = config.optimiser
    factor = parameters.decay_factor(place.epoch, optimiser)
    record = {
        "train_lr": optimiser.lr * factor,
        "train_lr_backbone": optimiser.lr_backbone * factor,
    }
    if optimiser.bias_lr_factor != 1:
        record["train_lr_bias"] = optimiser.lr * factor * optimiser.bias_lr_factor
    record |= runlog.mean_losses(place.losses, "train", config.model.loss_weights())
    return record | {"train_step_losses": [round(s["loss"], 6) for s in place.losses]}


def evaluation_record(
    session,
    config: Config,
    dataset: CocoDataset,
    options: RunOptions,
    report: Report,
    whole: bool = False,
) -> dict:
    """What the log says of an evaluation, of all images if `whole`."""
    limit = None if whole else options.val_images
    try:
        losses, evaluation, detections = evaluation_run(
            session, config, dataset, limit, report, options.workers, options.stop
        )
    except NonFinite:
        raise
    except InputError as error:
        raise DataError(error) from None
    record = losses | {
        "test_images": len(detections),
        "test_coco_eval_bbox": [defined(v) for v in evaluation.stats],
        "test_per_class": {k: defined(v[0]) for k, v in evaluation.per_class.items()},
    }
    if dataset.has_codes:
        stats = evaluate(dataset, detections, "segm").stats
        record["test_coco_eval_masks"] = [defined(v) for v in stats]
    if segments := encoded_segments(dataset, detections):
        quality = panoptic_quality(dataset, segments)
        for which in ("all", "th", "st"):
            record[f"test_PQ_{which}"] = {k: defined(v) for k, v in quality.of(which).items()}
    if config.data.kind == "voc":
        for name in ("voc07", "voc"):
            found = evaluate_voc(dataset, detections, VOC_RULES[name])
            record[f"test_{name}_map"] = defined(found.mean)
    return record


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
