"""The loop of a training run: one for both frameworks, which come in as a session."""

from __future__ import annotations

import math
import resource
import time
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np

from neutral import diagnosis, parameters, runlog
from neutral.board import Board
from neutral.checkpoints import Checkpoints, Place
from neutral.config import Config
from neutral.data.batching import Batch, train_batches
from neutral.data.chain import Stream
from neutral.data.coco import CocoDataset
from neutral.errors import InputError, NonFinite
from neutral.locks import owned
from neutral.ranks import (
    check_alike,
    check_same_tensors,
    check_shares,
    on_first,
    only_on_first,
    together,
)
from neutral.run.folder import LOG, STREAM, TABLE
from neutral.run.options import SCORES, Report, RunOptions, Stopped
from neutral.run.records import DataError, evaluation_record, train_record
from neutral.run.start import facts_of, start

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
    group = session.group
    report = report if group.rank == 0 else silent
    with only_on_first(group, partial(owned, options.folder)) as notes:
        check_alike(group, facts_of(session, config, datasets, options))
        per_epoch = batches_per_epoch(config, datasets["train"], options, group.size)
        checkpoints = Checkpoints(options.folder, options.keep, datasets["train"].known)
        place = start(session, config, datasets, options, report, checkpoints, notes)
        written = options.tensorboard and group.rank == 0
        board = Board(options.folder / "tensorboard") if written else None
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
            if group.rank == 0:
                checkpoints.save(session, config, place)
            if isinstance(error, DataError):
                told = f"{error.cause}; a checkpoint was written, --resume goes on from there"
                error.cause.args = (told,)
                raise error.cause from None
            raise
    return options.folder / LOG


def silent(event: dict) -> None:
    """What all but the first rank report."""


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
        if session.group.rank == 0:
            keep_best(session, config, checkpoints, options.best_by, place, record)
    shapes, ranks = session.shapes(), session.group.size
    images = len(place.losses) * config.optimiser.batch_size * ranks
    return (
        record
        | ({"ranks": ranks} if ranks > 1 else {})
        | {
            "images_per_second": images / place.seconds,
            "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "epoch": place.epoch,
            "n_parameters": sum(math.prod(shapes[name]) for name in session.trained),
        }
    )


def keep(
    session, config: Config, folder: Path, checkpoints: Checkpoints, place: Place, record: dict
) -> Place:
    """Writes a finished epoch down, on the first rank; the place where the next one begins.

    The checkpoint last: what the logs say beyond it is dropped when a run is resumed.
    """
    if session.group.size > 1:
        check_same_tensors(session.group, session.digests(), f"after epoch {place.epoch + 1}")
    if session.group.rank:
        return place.next_epoch()
    runlog.append_lines(folder / STREAM, place.links)
    runlog.append_line(folder / LOG, record)
    following = place.next_epoch()
    checkpoints.save(session, config, following)
    checkpoints.number(place.epoch)
    runlog.write_csv(folder / LOG, folder / TABLE)
    return following


def restart(session, checkpoints: Checkpoints, place: Place, report: Report) -> None:
    """Goes on from the best weights so far, when there are any."""

    def load() -> None:
        if place.best_epoch is None:
            return
        checkpoints.load_best(session)
        text = f"epoch {place.epoch + 1} begins from the weights of epoch {place.best_epoch + 1}, the best so far"
        report({"phase": "message", "text": text})

    on_first(session.group, load)
    session.receive()


def keep_best(
    session, config: Config, checkpoints: Checkpoints, name: str, place: Place, record: dict
) -> None:
    """Writes the weights apart when they score best so far; nothing when the score cannot be told."""
    score = SCORES[name](record)
    if score is None or (place.best is not None and score <= place.best):
        return
    place.best, place.best_epoch = score, place.epoch
    checkpoints.save_best(session, config, place, name)


def batches_per_epoch(
    config: Config, dataset: CocoDataset, options: RunOptions, ranks: int = 1
) -> int:
    """Of every rank: a multiple of what the optimiser accumulates; InputError when that leaves none."""
    size, accumulate = config.optimiser.batch_size, config.optimiser.accumulate
    check_shares(len(dataset), size, accumulate, ranks)
    count = -(-len(dataset) // ranks) // size
    count = min(count, options.max_steps or count)
    if count < accumulate:
        raise InputError(
            f"an epoch of {len(dataset)} training images has {count} batches of {size}, "
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
    accumulate, epoch, group = config.optimiser.accumulate, place.epoch, session.group
    stream, started, before = Stream(group), time.perf_counter(), place.seconds
    seat = (group.rank, group.size)
    batches = train_batches(dataset, config, epoch, place.done, options.workers, *seat)
    while place.done < per_epoch:
        try:
            these = together(group, lambda: list(islice(batches, accumulate)))
        except InputError as error:
            if not place.step:  # there is nothing to keep
                raise
            stream.settle(place)
            raise DataError(error) from None
        rates = parameters.rates(session.trained, config, epoch, place.step // accumulate)
        found = together(group, partial(finite_steps, session, these, place, rates, options.folder))
        found, stopped = over_ranks(group, found, options.stop())
        for batch, losses in zip(these, found, strict=True):
            kept = place.step < FULL_STREAM or place.done + 1 == per_epoch
            stream.add(batch, epoch, place.done, kept)
            place.losses.append(losses)
            place.step, place.done = place.step + 1, place.done + 1
            place.seconds = before + time.perf_counter() - started
            report(
                {
                    "phase": "train",
                    "epoch": epoch,
                    "epochs": config.optimiser.epochs,
                    "step": place.done,
                    "steps": per_epoch,
                    "loss": losses["loss"],
                }
            )
        if stopped:
            stream.settle(place)
            raise Stopped
    stream.settle(place)


def over_ranks(group, found: list[dict], stop: bool) -> tuple[list[dict], bool]:
    """The means of a step's losses, and whether any rank was told to stop."""
    numbers = [value for losses in found for value in losses.values()]
    *means, stopped = group.mean([*numbers, float(stop)])
    means = iter(means)
    return [{name: next(means) for name in losses} for losses in found], stopped > 0


def finite_steps(
    session, batches: list[Batch], place: Place, rates: dict, folder: Path
) -> list[dict[str, float]]:
    """The batches of a step; NonFinite with the first bad node when a loss or the norm of gradients is not finite.

    Of several ranks that whose loss it is raises it, and of a norm, which all have in common, the first.
    """
    found = session.train_batches(batches, place.step, rates)
    for k, (batch, losses) in enumerate(zip(batches, found)):
        bad = [name for name in ("loss", "grad_norm") if not np.isfinite(losses.get(name, 0.0))]
        if not bad or "elsewhere" in losses or (bad == ["grad_norm"] and session.group.rank):
            continue
        what = losses.get("why", f"the {bad[0]} is {losses[bad[0]]}")
        dumped = diagnosis.dump(session, batch, place.step + k, folder)
        ids = [t.image_id for t in batch.targets]
        raise NonFinite(
            f"epoch {place.epoch}, step {place.done + 1 + k}: {what} (images {ids}); {dumped}. "
            "The last good epoch is in the checkpoint"
        )
    return found
