"""Trains one framework: `python -m scripts.train --framework jittor --preset scenes_detr --out logs/mine`.

SIGTERM, SIGHUP or Ctrl-C end the run after the step in progress, with a checkpoint from which --resume goes on bit for
bit; Ctrl-C again ends it at once. `--ranks N` starts N processes under the framework's own launcher, torchrun or
mpirun; these start this script themselves where there are several machines (docs/training.md).
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from dataclasses import fields
from functools import partial

from door.ranges import Range, add_number
from door.terminal import Console, Table, say
from neutral.config import Config
from neutral.data.batching import train_batches
from neutral.data.coco import CocoDataset
from neutral.diagnosis import write_memory
from neutral.errors import InputError
from neutral.locks import owned
from neutral.processes import Request, stoppable, tie_to_launcher
from neutral.ranks import Elsewhere, Seat, on_first, seat_of, share_cores, together
from neutral.run import RunOptions, Stopped, start_weights, train
from parity.engine.sides.memory import memory_profile
from scripts.common import (
    FRAMEWORKS,
    ProgressReport,
    json_report,
    make_progress,
    open_datasets,
    open_group,
    open_session,
    print_notes,
    run_main,
    told,
)
from scripts.launcher import check_ranks, run_ranks
from scripts.options import Parser, add_config_options, add_run_options, config_from


def profile_memory(session, config: Config, dataset: CocoDataset, options) -> None:
    """One batch, watched; the table shows where most is kept."""
    wanted = RunOptions(
        options.out, weights=options.weights, source=options.source, inside=options.inside
    )
    weights, _ = start_weights(session, config, wanted)
    session.load(weights)
    path = options.out / "memory.json"
    events = memory_profile(session.watch(0), next(train_batches(dataset, config, 0)))
    growths = write_memory(events, session.describe()["device_name"], path)
    table = Table("module", "MiB more when it is left")
    for module, growth in growths[:20]:
        table.add_row(module, f"{growth:.1f}")
    Console().print(table)
    say(f"memory: {path}")


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--framework", choices=FRAMEWORKS, required=True)
    add_config_options(parser)
    add_run_options(parser)
    parser.add_argument(
        "--json-progress",
        action="store_true",
        help="events as JSON lines on stdout instead of bars",
    )
    parser.add_argument(
        "--profile-memory",
        action="store_true",
        help="no training: one batch, and the memory in use at every module, in OUT/memory.json",
    )
    add_number(
        parser,
        "--perturb",
        int,
        Range(0),
        default=0,
        metavar="K",
        help="move every initial weight to a neighbouring float, each K (from 1) in its own way",
    )


def main() -> int:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    options = parser.parse_args()
    seat = seat_of(options.framework)
    if seat.size > 1:
        return run_rank(options, seat)
    config = config_from(options)
    datasets = open_datasets(config, options.cache_images)
    if options.ranks > 1:
        if options.profile_memory:
            raise InputError("--profile-memory watches one process: without --ranks")
        check_ranks([options.framework], config, len(datasets["train"]), options.ranks)
        return run_ranks(options, add_options)
    with owned(options.out) as notes:
        for text in notes:
            print(text, file=sys.stderr)
        session = open_session(options.framework, config, options.device)
        if options.profile_memory:
            return profile_memory(session, config, datasets["train"], options)
        with stoppable() as request:
            return run_training(session, config, datasets, options, request)


def run_rank(options: argparse.Namespace, seat: Seat) -> int:
    """This process's part of a run that a launcher has started in several."""
    tie_to_launcher()
    share_cores(seat)
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # a warning at every first step otherwise
    early: list[
        int
    ] = []  # mpirun hands on SIGUSR1, to processes that Jittor makes, too: before its import
    signal.signal(signal.SIGUSR1, lambda number, frame: early.append(number))
    group = open_group(options.framework, options.device, seat)
    try:
        config = together(group, lambda: config_from(options))
        together(group, lambda: check_asked(options, group.size))
        prepared = partial(open_datasets, config, options.cache_images)
        on_first(group, lambda: bool(prepared()))  # scenes are made once, where the disk is one
        datasets = together(group, prepared)
        session = open_session(options.framework, config, options.device, group)
        with stoppable() as request:  # Jittor's import puts handlers of its own
            signal.signal(signal.SIGUSR1, lambda *_: signal.raise_signal(signal.SIGTERM))
            if early:
                signal.raise_signal(signal.SIGTERM)
            code = run_training(session, config, datasets, options, request)
    except InputError as error:
        if not isinstance(error, Elsewhere):
            told(f"error: rank {group.rank} of {group.size}: {error}", 2, error.details)
        if getattr(error, "agreed", False):  # the others know of it and wait here, too
            group.leave()
        return error.exit_code
    group.leave()
    return code


def check_asked(options: argparse.Namespace, size: int) -> None:
    """InputError when something is asked for that several processes cannot do."""
    if options.ranks not in (1, size):
        raise InputError(f"--ranks {options.ranks}: the launcher started {size}; leave one of them")
    if options.profile_memory:
        raise InputError("--profile-memory watches one process")


def note_as_event(text: str) -> None:
    json_report({"phase": "message", "text": text})


def run_training(
    session, config: Config, datasets: dict, options: argparse.Namespace, request: Request
) -> int:
    """Until the end, or until `request` is there."""
    given = {f.name: vars(options)[f.name] for f in fields(RunOptions) if f.name in options}
    run = RunOptions(options.out, **given, stop=lambda: bool(request))
    first = session.group.rank == 0
    try:
        if options.json_progress or not first:
            print_notes(note_as_event if first else lambda text: None)
            train(session, config, datasets, run, json_report)
            return 0
        with make_progress() as progress:
            log = train(session, config, datasets, run, ProgressReport(progress, options.framework))
    except Stopped:
        how = request.name if request else "another rank's signal"
        if first:
            say(f"stopped by {how}: --resume goes on from {options.out}", error=True)
        return request.code if request else 1
    say(f"log: {log}")
    return 0


if __name__ == "__main__":
    run_main(main)
