"""Trains one framework: `python -m scripts.train --framework jittor --preset scenes_detr --out logs/mine`."""

from __future__ import annotations

import argparse

from neutral.data import SPLITS, open_dataset
from neutral.run import RunOptions, train
from scripts.common import (
    FRAMEWORKS,
    ProgressReport,
    add_config_options,
    add_run_options,
    config_from,
    json_report,
    make_progress,
    open_session,
    run_main,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--framework", choices=FRAMEWORKS, required=True)
    add_config_options(parser)
    add_run_options(parser)
    parser.add_argument(
        "--json-progress",
        action="store_true",
        help="events as JSON lines on stdout instead of bars",
    )
    options = parser.parse_args()
    config = config_from(options)
    datasets = {split: open_dataset(config, split) for split in SPLITS}
    session = open_session(options.framework, config, options.device)
    run = RunOptions(
        options.out,
        options.weights,
        options.max_steps,
        options.val_images,
        options.evaluate_every,
        options.resume,
        options.reset_heads,
    )
    if options.json_progress:
        train(session, config, datasets, run, json_report)
        return
    with make_progress() as progress:
        log = train(session, config, datasets, run, ProgressReport(progress, options.framework))
    print(f"log: {log}")


if __name__ == "__main__":
    run_main(main)
