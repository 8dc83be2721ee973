"""Charts that compare two runs: losses and AP by epoch, and what differs between the runs.

Takes any two logs that `runlog.read_log` reads, this project's or another's.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.text import Text

from door.display import as_text, plain
from neutral.errors import InputError
from neutral.files import replacing
from neutral.runlog import RunLog

matplotlib.rcParams["text.parse_math"] = False  # a dollar in a name is a dollar
COLOURS = ("#c44e52", "#4c72b0")  # PyTorch's red, Jittor's blue
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


def mean_objects(log: RunLog) -> float | None:
    """Mean number of ground-truth objects per validation image.

    From the header's data fingerprint or, in a log without one, from an epoch in which all decoder
    layers have the same test cardinality error: a model that predicts nothing errs by exactly the
    number of objects.
    """
    known = log.header.get("data", {}).get("val", {}).get("mean_objects")
    if known is not None:
        return known
    for epoch in log.epochs:
        values = [v for k, v in epoch.items() if k.startswith("test_cardinality_error")]
        if len(values) >= 3 and max(values) - min(values) < 1e-9:
            return values[0]
    return None


def facts(log: RunLog) -> dict[str, str]:
    """What characterises a run, as far as its log tells."""
    rates = sorted(
        {float(f"{e['train_lr']:.3g}") for e in log.epochs if "train_lr" in e}, reverse=True
    )
    found = {
        "learning rate": ", ".join(f"{r:g}" for r in rates) or None,
        "epochs": str(len(log.epochs)),
        "mean ground-truth objects per val image": None
        if (m := mean_objects(log)) is None
        else f"{m:.3f}",
        "trained parameters": f"{log.epochs[-1]['n_parameters']:,}"
        if "n_parameters" in log.epochs[-1]
        else None,
        "seed": log.header.get("config", {}).get("seed"),
        "preset": log.header.get("config", {}).get("name"),
        "data": log.header.get("data", {}).get("train", {}).get("sha256"),
    }
    return {k: str(v) for k, v in found.items() if v is not None}


def differences(first: RunLog, second: RunLog) -> list[str]:
    """One line per fact on which the two runs differ; such runs are no fair comparison."""
    ours, theirs = facts(first), facts(second)
    return [
        f"{key}: {ours.get(key, 'not recorded')} / {theirs.get(key, 'not recorded')}"
        for key in dict.fromkeys([*ours, *theirs])
        if ours.get(key) != theirs.get(key)
    ]


def _draw(axes, logs, labels, keys, title: str) -> None:
    for log, label, colour in zip(logs, labels, COLOURS, strict=True):
        for key, style, kind in zip(keys, ("-", "--"), ("train", "val"), strict=True):
            epochs, values = log.series(key)
            if len(epochs):
                axes.plot(
                    epochs,
                    values,
                    style,
                    color=colour,
                    linewidth=1.3,
                    marker="." if len(epochs) < 3 else None,
                )
                axes.plot([], [], style, color=colour, label=f"{label}, {kind}")
    axes.set(title=title, xlabel="epoch")
    axes.grid(alpha=0.3)


def check_outputs(outputs: list[Path]) -> None:
    for output in outputs:
        if output.suffix.lower() not in (".png", ".svg"):
            raise InputError(f"{output}: charts are written as .png or .svg")


def save(figure, outputs: list[Path]) -> None:
    for text in figure.findobj(Text):
        text.set_text(as_text(text.get_text()))
    for output in outputs:
        with replacing(output) as temporary:
            figure.savefig(temporary, dpi=100, format=output.suffix[1:].lower())
    pyplot.close(figure)


def _shade(axes, curves: list[tuple[np.ndarray, np.ndarray]]) -> None:
    """The region between the least and the greatest of several curves over the same epochs."""
    curves = [(epochs, values) for epochs, values in curves if len(epochs)]
    if curves:
        values = np.array([v for _, v in curves])
        axes.fill_between(
            curves[0][0], values.min(0), values.max(0), color=COLOURS[0], alpha=0.25, linewidth=0
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
        if any(len(log.series(f"train_{loss}")[0]) for log in logs)
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
        _lines(axes, [log.metric(index) for log in logs], labels, f"validation {name}")
    for axes, (key, title) in zip(places, RUN_PANELS):
        _lines(axes, [log.series(key) for log in logs], labels, title)
    for axes in places:
        axes.set_axis_off()
    grid[0][0].legend(fontsize=8)
    heading = f"{labels[0]} and {labels[1]}"
    heading += (
        f"; shaded: {len(tube)} copies of the first, one unit in the last place away"
        if tube
        else ""
    )
    text = (
        "the runs differ in " + "; ".join(noted)
        if noted
        else "same configuration, seed and data in both runs"
    )
    figure.suptitle(
        f"{heading}\n{text}", fontsize=10, color="firebrick" if noted else "black", wrap=True
    )
    save(figure, outputs)
    return noted


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
    series = [
        [loss for e in log.epochs for loss in e.get("train_step_losses", [])]
        for log in (first, second)
    ]
    if not all(series):
        return None
    figure, (above, below) = pyplot.subplots(
        2, 1, figsize=(9, 6), sharex=True, layout="constrained"
    )
    for values, label, colour, style in zip(series, labels, COLOURS, ("-", "--"), strict=True):
        above.plot(
            range(1, len(values) + 1), values, style, color=colour, linewidth=1.2, label=label
        )
    gaps = [abs(a - b) / abs(a) for a, b in zip(*series, strict=False)]
    below.semilogy(
        range(1, len(gaps) + 1), [max(g, 1e-9) for g in gaps], color="black", linewidth=0.8
    )
    above.set(title=f"loss of every training step: {labels[0]} and {labels[1]}", ylabel="loss")
    below.set(xlabel="step", ylabel="relative difference")
    above.legend()
    for axes in (above, below):
        axes.grid(alpha=0.3)
    save(figure, [output])
    return max(gaps)


def class_bars(scores: dict[str, dict[str, float]], title: str, outputs: list[Path]) -> None:
    """Bars of a score by class for each of the runs, {label: {class: score}}; classes without a score are left out."""
    check_outputs(outputs)
    names = [n for n in dict.fromkeys(k for run in scores.values() for k in run)]
    names = [n for n in names if any(_is_number(run.get(n)) for run in scores.values())]
    if not names:
        raise InputError("no class has a score in these runs")
    figure, axes = pyplot.subplots(
        figsize=(max(6, 0.32 * len(names) * len(scores) + 2), 4.5), layout="constrained"
    )
    width = 0.8 / len(scores)
    for k, (label, run) in enumerate(scores.items()):
        values = [run[n] if _is_number(run.get(n)) else 0.0 for n in names]
        places = np.arange(len(names)) + (k - (len(scores) - 1) / 2) * width
        colour = COLOURS[k] if k < len(COLOURS) else None
        mean = np.mean([v for n, v in run.items() if _is_number(v)])
        axes.bar(places, values, width, color=colour, label=f"{label} (mean {mean:.3f})")
    axes.set_xticks(
        range(len(names)), [plain(n) for n in names], rotation=60, ha="right", fontsize=8
    )
    axes.set(title=title, ylim=(0, None))
    axes.grid(axis="y", alpha=0.3)
    axes.legend(fontsize=8)
    save(figure, outputs)


def _is_number(value) -> bool:
    return value is not None and value == value


def precision_recall(curves: dict[str, dict[str, list]], title: str, outputs: list[Path]) -> None:
    """Precision over recall for each of the runs: {label: {"recall": [R], "AP50": [R], ...}}, a panel per threshold."""
    check_outputs(outputs)
    kinds = [k for k in dict.fromkeys(k for c in curves.values() for k in c) if k != "recall"]
    figure, grid = pyplot.subplots(
        1, len(kinds), figsize=(4.7 * len(kinds), 4.2), layout="constrained", squeeze=False
    )
    for axes, kind in zip(grid[0], kinds):
        for k, (label, found) in enumerate(curves.items()):
            if kind in found:
                colour = COLOURS[k] if k < len(COLOURS) else None
                mean = np.mean(found[kind])
                axes.plot(found["recall"], found[kind], color=colour, label=f"{label} ({mean:.3f})")
        axes.set(title=kind, xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    figure.suptitle(title, fontsize=10)
    save(figure, outputs)


def system_times(panels: dict[str, dict[str, list[float]]], outputs: list[Path]) -> None:
    """{panel: {system: seconds of every round}}: a bar to the median, a dot for every round, no bar below 0."""
    check_outputs(outputs)
    systems = list(dict.fromkeys(name for times in panels.values() for name in times))
    rest = pyplot.get_cmap("Set2").colors
    colours = dict(zip(systems, [*COLOURS, *rest]))
    rows = -(-len(panels) // 2)
    figure, grid = pyplot.subplots(
        rows, 2, figsize=(9.4, 3.2 * rows), layout="constrained", squeeze=False
    )
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    for axes, (title, times) in zip(grid.flat, panels.items()):
        for place, (name, seconds) in enumerate(times.items()):
            median = float(np.median(seconds))
            axes.bar(place, median, 0.6, color=colours[name], alpha=0.75)
            axes.plot([place] * len(seconds), seconds, ".", color="black", markersize=4)
            axes.annotate(f" {median:.3g}", (place, median), ha="left", va="bottom", fontsize=8)
        axes.set_xticks(range(len(times)), times, fontsize=8)
        axes.set(title=title, ylabel="s", ylim=(0, None))
        axes.grid(axis="y", alpha=0.3)
    save(figure, outputs)
