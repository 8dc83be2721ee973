"""Runs of both frameworks as scripts/train_pair leaves them: read, judged over seeds and against a tube, charted."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np

from door.files import replacing
from neutral.charting import COLOURS
from neutral.errors import InputError
from neutral.run import read_stream
from neutral.runlog import RunLog, read_log
from parity.engine.judge import gates
from parity.engine.judge.statistics import (
    judge_seeds,
    permutation_band,
)
from parity.engine.judge.tube import width_of
from parity.engine.judge.verdicts import Status, Verdict
from parity.engine.sides.workers import FRAMEWORKS
from parity.suite import gates as own_gates

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


def compare_streams(case: str, torch: list[dict], jittor: list[dict]) -> Verdict:
    """Hash-chained data streams (neutral/data/chain.py): the first batch that differs, by name."""
    check = "data streams"
    if not torch or not jittor:
        return Verdict(case, check, "(all)", Status.FAIL, message="no stream was recorded")
    for a, b in zip(torch, jittor):
        if a["chain"] != b["chain"]:
            node = f"epoch{a['epoch']}/batch{a['batch']}"
            message = f"images {a['images']} in PyTorch's run, {b['images']} in Jittor's"
            parts = [k for k in a.get("parts", {}) if a["parts"][k] != b["parts"].get(k)]
            message += f"; they differ in {', '.join(parts)}" if parts else ""
            return Verdict(case, check, node, Status.FAIL, message=message)
    if len(torch) != len(jittor):
        message = (
            f"{len(torch)} and {len(jittor)} batches, the shorter is the beginning of the other"
        )
        return Verdict(case, check, "(length)", Status.FAIL, message=message)
    return Verdict(case, check, f"{len(torch)} batches", Status.PASS)


def judge_runs(
    folders: list[Path],
) -> tuple[list[Verdict], dict[str, dict[str, np.ndarray]]]:
    """Verdicts, and the curves by metric and framework, of runs with the same configuration but for the seed."""
    logs = read_pairs(folders)
    case = logs["torch"][0].header["config"]["name"]
    verdicts, curves = [], {}
    for folder in folders:
        streams = [read_stream(folder / f / "stream.jsonl") for f in FRAMEWORKS]
        verdicts.append(compare_streams(f"{case}, {folder.name}", *streams))
    for name, metric in (("train loss", "train_loss"), ("AP", AP), ("AP50", AP50)):
        found = curves[name] = {f: series(logs[f], metric) for f in FRAMEWORKS}
        ours, theirs = (found[f] for f in FRAMEWORKS)
        margin = own_gates.AP_MARGIN
        if isinstance(metric, str):
            margin = own_gates.LOSS_MARGIN * float(np.mean(ours[:, -1]))
        verdicts += judge_seeds(case, name, ours, theirs, margin, sides=("PyTorch", "Jittor"))
    return verdicts, curves


def draw(curves: dict, path: Path) -> None:
    """Every run, and the difference of the means inside its permutation band."""
    figure, axes = pyplot.subplots(2, len(curves), figsize=(4.2 * len(curves), 6), squeeze=False)
    for column, (name, found) in enumerate(curves.items()):
        for framework, colour in zip(FRAMEWORKS, COLOURS, strict=True):
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


def judge_tube(case: str, torch: RunLog, jittor: RunLog, copies: list[RunLog]) -> list[Verdict]:
    """Is Jittor's run as near PyTorch's as PyTorch's own runs from weights one unit in the last place away?

    Per curve: Jittor's greatest distance from PyTorch's run at an epoch in multiples of the copies' greatest so far.
    """
    verdicts = []
    for name, metric in (("train loss", "train_loss"), ("AP", AP), ("AP50", AP50)):
        if len(copies) < gates.TUBE_COPIES:
            message = f"{len(copies)} copies; {gates.TUBE_COPIES} make a tube"
            verdicts.append(
                Verdict(case, "tube of runs", name, Status.INCONCLUSIVE, message=message)
            )
            continue
        own, other, *rows = series([torch, jittor, *copies], metric)
        distance = np.abs(other - own)
        with np.errstate(divide="ignore", invalid="ignore"):
            times = np.where(distance > 0, distance / width_of(own, rows), 0.0)
        measured = float(times.max())
        status = Status.PASS if measured <= gates.TUBE else Status.FAIL
        message = f"greatest at epoch {int(times.argmax())}, {len(copies)} copies"
        verdicts.append(Verdict(case, "tube of runs", name, status, measured, gates.TUBE, message))
    return verdicts
