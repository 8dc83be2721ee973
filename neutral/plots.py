"""Charts that compare two runs: losses and AP by epoch, and what differs between the runs.

Takes any two logs that `runlog.read_log` reads, this project's or another's.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import pyplot

from neutral.charting import COLOURS, check_outputs, save
from neutral.run_facts import differences
from neutral.runlog import RunLog
from neutral.undefined import defined

PANELS = (  # title and loss; of the losses of either detector, those that a log has are shown
    ("total loss", "loss"),
    ("classification loss", "loss_ce"),
    ("L1 box loss (weighted)", "loss_bbox"),
    ("GIoU loss (weighted)", "loss_giou"),
    ("RPN objectness loss", "loss_objectness"),
    ("RPN box loss", "loss_rpn_box_reg"),
    ("RoI classification loss", "loss_classifier"),
    ("RoI box loss", "loss_box_reg"),
)
RUN_PANELS = (("train_lr", "learning rate"), ("images_per_second", "images / s"))
AP_PANELS = ((0, "AP"), (1, "AP50"), (2, "AP75"))
CHARTED = {  # keys that the charts show
    *(f"{part}_{loss}" for _, loss in PANELS for part in ("train", "test")),
    *(key for key, _ in RUN_PANELS),
    *(name for _, name in AP_PANELS),
}


def _draw(axes, logs, labels, keys, title: str) -> None:
    for log, label, colour in zip(logs, labels, COLOURS, strict=True):
        for key, style, kind in zip(keys, ("-", "--"), ("train", "val"), strict=True):
            epochs, values = log.series(key)
            if len(epochs):
                lonely = len(epochs) < 3 or key in log.gaps
                axes.plot(
                    *with_gaps(epochs, values, log.gaps.get(key, [])),
                    style,
                    color=colour,
                    linewidth=1.3,
                    marker="." if lonely else None,
                )
                axes.plot([], [], style, color=colour, label=f"{label}, {kind}")
    axes.set(title=title, xlabel="epoch")
    axes.grid(alpha=0.3)


def with_gaps(
    epochs: np.ndarray, values: np.ndarray, missing: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """A curve in the order of epochs with NaN, at which a line breaks, where values are missing."""
    where = np.concatenate([epochs, np.array(missing, dtype=float)])
    order = np.argsort(where, kind="stable")
    return where[order], np.concatenate([values, np.full(len(missing), np.nan)])[order]


def gap_notes(log: RunLog, label: str) -> list[str]:
    """What the charts of a run leave out, a line for each number that has gaps."""
    notes = []
    for key, epochs in log.gaps.items():
        if key in CHARTED:
            some = ", ".join(map(str, epochs[:6])) + (", ..." if len(epochs) > 6 else "")
            which = "any epoch" if len(epochs) == len(log.epochs) else f"epoch {some}"
            notes.append(f"{label}: no {key} in {which}")
    return notes


def _shade(axes, curves: list[tuple[np.ndarray, np.ndarray]]) -> None:
    """The region between the least and the greatest of several curves, at the epochs that all of them have."""
    curves = [dict(zip(epochs.tolist(), values)) for epochs, values in curves if len(epochs)]
    if curves:
        epochs = sorted(set.intersection(*map(set, curves)))
        values = np.array([[curve[e] for e in epochs] for curve in curves])
        axes.fill_between(
            epochs, values.min(0), values.max(0), color=COLOURS[0], alpha=0.25, linewidth=0
        )


def compare_runs(
    first: RunLog,
    second: RunLog,
    labels: tuple[str, str],
    outputs: list[Path],
    tube: Sequence[RunLog] = (),
) -> list[str]:
    """Writes the chart (PNG, SVG, by suffix) and returns the differences that it states.

    `tube`: copies of the first run from weights one unit in the last place away, shown as a shaded region.
    """
    check_outputs(outputs)
    logs, noted = (first, second), differences(first, second)
    panels = [
        (title, (f"train_{loss}", f"test_{loss}"))
        for title, loss in PANELS
        if any(len(log.series(f"{part}_{loss}")[0]) for log in logs for part in ("train", "test"))
    ]
    columns = -(-(len(panels) + len(AP_PANELS) + 2) // 3)
    figure, grid = pyplot.subplots(
        3, columns, figsize=(4.7 * columns, 10), layout="constrained", squeeze=False
    )
    places = iter(grid.ravel())
    for (title, keys), axes in zip(panels, places):
        _shade(axes, [log.series(keys[0]) for log in tube])
        _draw(axes, logs, labels, keys, title)
    for (index, name), axes in zip(AP_PANELS, places):
        _shade(axes, [log.metric(index) for log in tube])
        curves = [with_gaps(*log.metric(index), log.gaps.get(name, [])) for log in logs]
        _lines(axes, curves, labels, f"validation {name}")
    for axes, (key, title) in zip(places, RUN_PANELS):
        curves = [with_gaps(*log.series(key), log.gaps.get(key, [])) for log in logs]
        _lines(axes, curves, labels, title)
    for axes in places:
        axes.set_axis_off()
    grid[0][0].legend(fontsize=8)
    heading = _heading(labels, len(tube), noted)
    figure.suptitle(heading, fontsize=10, color="firebrick" if noted else "black", wrap=True)
    save(figure, outputs)
    return noted


def _heading(labels: tuple[str, str], copies: int, noted: list[str]) -> str:
    """Which runs these are, and in what they differ."""
    shaded = f"; shaded: {copies} copies of the first, one unit in the last place away"
    facts = "the runs differ in " + "; ".join(noted)
    same = "same configuration, seed and data in both runs"
    return f"{labels[0]} and {labels[1]}{shaded if copies else ''}\n{facts if noted else same}"


def _lines(axes, curves, labels, title: str) -> None:
    for (epochs, values), label, colour in zip(curves, labels, COLOURS, strict=True):
        axes.plot(
            epochs, values, color=colour, linewidth=1.3, marker=".", markersize=3, label=label
        )
    axes.set(title=title, xlabel="epoch")
    axes.grid(alpha=0.3)


def compare_steps(
    first: RunLog, second: RunLog, labels: tuple[str, str], output: Path
) -> float | None:
    """Chart of the loss of every training step; returns the greatest relative difference, if both have steps."""
    series = [step_losses(log) for log in (first, second)]
    if not all(len(values) for values in series):
        return None
    figure, (above, below) = pyplot.subplots(
        2, 1, figsize=(9, 6), sharex=True, layout="constrained"
    )
    for values, label, colour, style in zip(series, labels, COLOURS, ("-", "--"), strict=True):
        above.plot(
            range(1, len(values) + 1), values, style, color=colour, linewidth=1.2, label=label
        )
    ours, theirs = (values[: min(map(len, series))] for values in series)
    gaps = np.abs(ours - theirs) / np.maximum(
        np.abs(ours), 1e-12
    )  # NaN, a gap, where one has no loss
    below.semilogy(range(1, len(gaps) + 1), np.maximum(gaps, 1e-9), color="black", linewidth=0.8)
    below.yaxis.set_major_formatter("{x:.0e}")  # mathematical text is switched off
    above.set(title=f"loss of every training step: {labels[0]} and {labels[1]}", ylabel="loss")
    below.set(xlabel="step", ylabel="relative difference")
    above.legend()
    for axes in (above, below):
        axes.grid(alpha=0.3)
    save(figure, [output])
    return float(np.nanmax(gaps)) if np.isfinite(gaps).any() else None


def step_losses(log: RunLog) -> np.ndarray:
    """The losses of all training steps, NaN where one is no finite number."""
    found = [epoch.get("train_step_losses") for epoch in log.epochs]
    steps = [loss for losses in found if isinstance(losses, list) for loss in losses]
    return np.array([np.nan if (v := defined(loss)) is None else v for loss in steps], dtype=float)
