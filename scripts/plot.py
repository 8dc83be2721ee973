"""Charts of run logs: `python -m scripts.plot LOG_TORCH LOG_JITTOR --out chart.png chart.svg`.

Two logs: losses, AP, learning rate and throughput of both in one chart, which says what differs between the runs
(learning rate, epochs, mean ground-truth count ...). Takes this project's logs, those of facebookresearch/detr and its
ports (JSON lines), and the published port's eval_summary.txt. --classes: AP by class of any number of logs, as bars.
--precision-recall: curves from the files that `scripts.evaluate --curves FILE` writes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from door import schema
from door.files import regular
from door.terminal import say
from neutral.errors import InputError
from neutral.files import check_ours, keep_apart
from neutral.plots import compare_runs, gap_notes
from neutral.runlog import read_log
from neutral.schemas import Curves
from neutral.score_charts import class_bars, precision_recall
from scripts.common import run_main
from scripts.options import Parser


def class_scores(path: Path) -> dict[str, float]:
    """AP by class of the last epoch that was evaluated, or of a file of `scripts.evaluate --curves`."""
    if path.suffix == ".json":
        return read_curves(path)["per_class"]
    logged = [e.get("test_per_class") for e in read_log(path).epochs]
    found = [scores for scores in logged if isinstance(scores, dict) and scores]
    if not found:
        raise InputError(f"{path}: no AP by class in this log; only this project's logs have them")
    return found[-1]


def read_curves(path: Path) -> dict:
    if path.suffix != ".json":
        raise InputError(f"{path}: not a file that scripts.evaluate --curves wrote")
    return schema.read(path, Curves)


def is_chart(path: Path) -> bool:
    """Whether Matplotlib wrote the file, which says so in its first lines."""
    return b"matplotlib" in regular(path).read_bytes()[:4096].lower()


def main() -> None:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "logs", nargs="+", type=Path, help="two logs, or files for the other charts"
    )
    parser.add_argument("--labels", nargs="+", help="names of the runs, in order")
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument("--classes", action="store_true", help="bars of AP by class")
    kinds.add_argument("--precision-recall", action="store_true", help="precision over recall")
    parser.add_argument("--title", default="", help="heading of bars and curves")
    parser.add_argument(
        "--out", type=Path, nargs="+", default=[Path("comparison.png")], help=".png and .svg files"
    )
    options = parser.parse_args()
    default = ("PyTorch", "Jittor") if len(options.logs) == 2 else [str(p) for p in options.logs]
    labels = tuple(options.labels or default)
    if len(labels) != len(options.logs):
        raise InputError(f"--labels: {len(labels)} for {len(options.logs)} runs")
    keep_apart(options.out, options.logs)
    for path in options.out:
        check_ours(path, is_chart)
    if options.classes:
        scores = [(label, class_scores(p)) for label, p in zip(labels, options.logs)]
        class_bars(scores, options.title or "AP by class", options.out)
    elif options.precision_recall:
        curves = [(label, read_curves(p)["curves"]) for label, p in zip(labels, options.logs)]
        precision_recall(curves, options.title or "precision and recall", options.out)
    elif len(options.logs) != 2:
        raise InputError("two logs are compared; several seeds are for scripts.compare_runs")
    else:
        logs = [read_log(path) for path in options.logs]
        noted = compare_runs(*logs, labels, options.out)
        say("the runs differ in:" if noted else "the runs do not differ in what their logs record")
        for line in noted:
            say(f"  {line}")
        for log, label in zip(logs, labels):
            for line in gap_notes(log, label):
                say(line)
    say(f"charts: {', '.join(map(str, options.out))}")


if __name__ == "__main__":
    run_main(main)
