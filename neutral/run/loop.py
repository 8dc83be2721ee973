"""The loop of a training run: one for both frameworks, which come in as a session."""

from __future__ import annotations

import math
import resource
import time
from itertools import islice
from pathlib import Path

import numpy as np

from neutral import diagnosis, parameters, runlog
from neutral.board import Board
from neutral.checkpoints import Checkpoints, Place
from neutral.config import Config
from neutral.data.batching import Batch, train_batches
from neutral.data.chain import DataChain
from neutral.data.coco import CocoDataset
from neutral.errors import InputError, NonFinite
from neutral.locks import owned
from neutral.run.folder import LOG, STREAM, TABLE
from neutral.run.options import SCORES, Report, RunOptions, Stopped
from neutral.run.records import DataError, evaluation_record, train_record
from neutral.run.start import begin

FULL_STREAM = 10_000  # batches of which every link is kept; afterwards one for each epoch


def train(
    session, config: Config, datasets: dict[str, CocoDataset], options: RunOptions, report: Report
) -> Path:
    """Trains for `optimiser.epochs`, evaluates, logs and checkpoints after each; returns the log's path.

    Raises Stopped when `options.stop` asks for it, after a checkpoint in the middle of the epoch; so does an InputError
    of the data. NonFinite when a loss or gradient is (with the batch's image ids and the first bad node), InputError
    when another process trains in the folder, when it already holds a run and `resume` was not asked for, or when that
    is another run.
    """
    with owned(options.folder) as notes:
        per_epoch = batches_per_epoch(config, datasets["train"], options)
        checkpoints = Checkpoints(options.folder, options.keep, datasets["train"].known)
        place = begin(session, config, datasets, options, report, checkpoints, notes)
        board = Board(options.folder / "tensorboard") if options.tensorboard else None
        epochs = config.optimiser.epochs
        try:
            while (epoch := place.epoch) < epochs:
                if epoch in config.optimiser.restart_epochs and not place.losses:
                    restart(session, checkpoints, place, report)
                train_epoch(session, config, datasets["train"], options, report, place, per_epoch)
                record = judged(
                    session, config, datasets["val"], options, report, checkpoints, place
                )
                place = keep(session, config, options.folder, checkpoints, place, record)
                if board:
                    board.add(record, place.step)
                report({"phase": "epoch", "epoch": epoch, "epochs": epochs, "record": record})
        except (Stopped, DataError) as error:
            checkpoints.save(session, config, place)
            if isinstance(error, DataError):
                told = f"{error.cause}; a checkpoint was written, --resume goes on from there"
                raise InputError(told) from None
            raise
    return options.folder / LOG


def judged(
    session,
    config: Config,
    dataset: CocoDataset,
    options: RunOptions,
    report: Report,
    checkpoints: Checkpoints,
    place: Place,
) -> dict:
    """What the log says of an epoch that has been trained, its evaluation included where one is due."""
    record = train_record(config, place)
    is_last = place.epoch + 1 == config.optimiser.epochs
    if (place.epoch + 1) % options.evaluate_every == 0 or is_last:
        whole = is_last and options.full_evaluation
        record |= evaluation_record(session, config, dataset, options, report, whole)
        keep_best(session, config, checkpoints, options.best_by, place, record)
    shapes = session.shapes()
    return record | {
        "images_per_second": len(place.losses) * config.optimiser.batch_size / place.seconds,
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "epoch": place.epoch,
        "n_parameters": sum(math.prod(shapes[name]) for name in session.trained),
    }


def keep(
    session, config: Config, folder: Path, checkpoints: Checkpoints, place: Place, record: dict
) -> Place:
    """Writes a finished epoch down; the place where the next one begins.

    The checkpoint last: what the logs say beyond it is dropped when a run is resumed.
    """
    runlog.append_lines(folder / STREAM, place.links)
    runlog.append_line(folder / LOG, record)
    following = place.next_epoch()
    checkpoints.save(session, config, following)
    checkpoints.number(place.epoch)
    runlog.write_csv(folder / LOG, folder / TABLE)
    return following


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
        rates = parameters.rates(session.trained, config, epoch, place.step // accumulate)
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
