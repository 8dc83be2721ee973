"""Do the two frameworks train alike? Judges runs over several seeds, made by scripts/train_pair.

`python -m scripts.compare_runs logs/seed0 logs/seed1 logs/seed2 --out logs/seeds`, each folder with torch/ and
jittor/: same seed, weights and data on both sides. AP, AP50 and the training loss at the end by two one-sided
tests with the margins of parity/gates.py; whole curves by a permutation band; the data streams link by link.
Writes OUT/seeds.json and OUT/seeds.png. Exit code 1 when something failed; INCONCLUSIVE is no failure.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import matplotlib
import numpy as np
from rich.console import Console

from neutral.errors import InputError
from neutral.files import replacing, write_json
from neutral.run import read_stream
from neutral.runlog import RunLog, read_log
from parity import gates
from parity.curves import compare_streams, judge_curves, judge_equivalence, permutation_band
from parity.report import Report
from parity.verdicts import Status, Verdict
from scripts.common import FRAMEWORKS, run_main

matplotlib.use("Agg")
from matplotlib import pyplot

AP, AP50 = 0, 1  # among the 12 COCO numbers


def read_pairs(folders: list[Path]) -> dict[str, list[RunLog]]:
    """Logs by framework; InputError when two runs of a pair, or two pairs, are not comparable."""
    logs = {f: [read_log(folder / f / "log.txt") for folder in folders] for f in FRAMEWORKS}
    for k, folder in enumerate(folders):
        ours, theirs = (logs[f][k] for f in FRAMEWORKS)
        for field in ("config", "data"):
            if ours.header.get(field) != theirs.header.get(field):
                raise InputError(f"{folder}: the two runs differ in their {field}")
        if len(ours.epochs) != len(theirs.epochs):
            raise InputError(f"{folder}: {len(ours.epochs)} and {len(theirs.epochs)} epochs")
    seeds = [log.header.get("config", {}).get("seed") for log in logs["torch"]]
    if len(set(seeds)) != len(seeds):
        raise InputError(f"seeds {seeds}: each pair of runs needs a seed of its own")
    return logs


def series(logs: list[RunLog], metric: str | int) -> np.ndarray:
    """[runs, epochs]; InputError when runs have different epochs."""
    rows = [log.series(metric) if isinstance(metric, str) else log.metric(metric) for log in logs]
    if len({tuple(epochs) for epochs, _ in rows}) != 1:
        raise InputError(f"{metric}: the runs have values at different epochs")
    return np.array([values for _, values in rows])


def judge_runs(folders: list[Path]) -> tuple[list[Verdict], dict[str, dict[str, np.ndarray]]]:
    """Verdicts, and the curves by metric and framework."""
    logs = read_pairs(folders)
    case = logs["torch"][0].header["config"]["name"]
    verdicts, curves = [], {}
    for folder in folders:
        streams = [read_stream(folder / f / "stream.jsonl") for f in FRAMEWORKS]
        verdicts.append(compare_streams(f"{case}, {folder.name}", *streams))
    for name, metric in (("train loss", "train_loss"), ("AP", AP), ("AP50", AP50)):
        found = curves[name] = {f: series(logs[f], metric) for f in FRAMEWORKS}
        ours, theirs = (found[f] for f in FRAMEWORKS)
        margin = gates.AP_MARGIN
        if isinstance(metric, str):
            margin = gates.LOSS_MARGIN * float(np.mean(ours[:, -1]))
        ends = (ours[:, -1], theirs[:, -1])
        verdicts.append(judge_equivalence(case, f"{name} at the end", *ends, margin, paired=True))
        verdicts.append(judge_curves(case, name, ours, theirs, paired=True))
    return verdicts, curves


def draw(curves: dict, path: Path) -> None:
    """Every run, and the difference of the means inside its permutation band."""
    figure, axes = pyplot.subplots(2, len(curves), figsize=(4.2 * len(curves), 6), squeeze=False)
    for column, (name, found) in enumerate(curves.items()):
        for framework, colour in zip(FRAMEWORKS, ("C0", "C1"), strict=True):
            for k, run in enumerate(found[framework]):
                label = {"torch": "PyTorch", "jittor": "Jittor"}[framework] if k == 0 else None
                axes[0, column].plot(run, color=colour, alpha=0.7, label=label)
        axes[0, column].set(title=f"{name}, {len(found['torch'])} seeds", xlabel="epoch")
        axes[0, column].legend()
        band = permutation_band(*(found[f] for f in FRAMEWORKS), gates.ALPHA, paired=True)
        epochs = np.arange(len(band.difference))
        axes[1, column].fill_between(epochs, -band.width, band.width, alpha=0.2, label="band")
        axes[1, column].plot(epochs, band.difference, "k", label="Jittor - PyTorch")
        axes[1, column].set(xlabel="epoch", title=f"p = {band.p:.2g}")
        axes[1, column].legend()
    figure.tight_layout()
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=90)
    pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", type=Path, help="folders that scripts/train_pair wrote")
    parser.add_argument("--out", type=Path, required=True, help="folder of seeds.json, seeds.png")
    options = parser.parse_args()
    verdicts, curves = judge_runs(options.runs)
    report = Report(options.out)
    report.add(verdicts)
    report.print(Console())
    for verdict in verdicts:
        print(verdict)
    write_json(options.out / "seeds.json", report.to_dict())
    draw(curves, options.out / "seeds.png")
    print(f"written: {options.out / 'seeds.json'}, {options.out / 'seeds.png'}")
    sys.exit(any(v.status is Status.FAIL for v in verdicts))


if __name__ == "__main__":
    run_main(main)
