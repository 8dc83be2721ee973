"""Trains one framework: `python -m scripts.train --framework jittor --preset scenes_detr --out logs/mine`.

SIGTERM, SIGHUP or Ctrl-C end the run after the step in progress, with a checkpoint from which --resume goes on bit for
bit; Ctrl-C again ends it at once.
"""

from __future__ import annotations

import argparse
import sys

from door.ranges import Range, add_number
from door.terminal import Console, Table, say
from neutral.config import Config
from neutral.data.batching import train_batches
from neutral.data.coco import CocoDataset
from neutral.diagnosis import write_memory
from neutral.locks import owned
from neutral.processes import Request, stoppable
from neutral.run import RunOptions, Stopped, start_weights, train
from parity.engine.memory import memory_profile
from scripts.common import (
    FRAMEWORKS,
    RUN_OPTIONS,
    Parser,
    ProgressReport,
    add_config_options,
    add_run_options,
    config_from,
    json_report,
    make_progress,
    open_datasets,
    open_session,
    print_notes,
    run_main,
)
from scripts.ranks import Ranks, check_ranks


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


def main() -> int:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
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
    options = parser.parse_args()
    config = config_from(options)
    check_ranks(config, options.ranks)
    datasets = open_datasets(config, options.cache_images)
    with owned(options.out) as notes:
        for text in notes:
            print(text, file=sys.stderr)
        session = session_from(options, config)
        try:
            if options.profile_memory:
                return profile_memory(session, config, datasets["train"], options)
            with stoppable() as request:
                return run_training(session, config, datasets, options, request)
        finally:
            if isinstance(session, Ranks):
                session.close()


def session_from(options: argparse.Namespace, config: Config):
    if options.ranks > 1:
        return Ranks(options.framework, config, options.device, options.ranks)
    return open_session(options.framework, config, options.device)


def run_training(
    session, config: Config, datasets: dict, options: argparse.Namespace, request: Request
) -> int:
    """Until the end, or until `request` is there."""
    run = RunOptions(
        options.out,
        **{name: getattr(options, name) for name in RUN_OPTIONS},
        stop=lambda: bool(request),
    )
    try:
        if options.json_progress:
            print_notes(lambda text: json_report({"phase": "message", "text": text}))
            train(session, config, datasets, run, json_report)
            return 0
        with make_progress() as progress:
            log = train(session, config, datasets, run, ProgressReport(progress, options.framework))
    except Stopped:
        say(f"stopped by {request.name}: --resume goes on from {options.out}", error=True)
        return request.code
    say(f"log: {log}")
    return 0


if __name__ == "__main__":
    run_main(main)
