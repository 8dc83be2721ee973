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
from matplotlib.font_manager import FontProperties
from matplotlib.text import Text

from door.display import as_text, plain
from neutral import undefined
from neutral.errors import InputError
from neutral.files import replacing
from neutral.fonts import drawable, file_for
from neutral.runlog import RunLog
from neutral.undefined import defined, shown

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
CHARTED = {  # keys that the charts show
    *(f"{part}_{loss}" for _, loss in PANELS for part in ("train", "test")),
    *(key for key, _ in RUN_PANELS),
    *(name for _, name in AP_PANELS),
}


def mean_objects(log: RunLog) -> float | None:
    """Mean number of ground-truth objects per validation image.

    From the header's data fingerprint or, in a log without one, from an epoch in which all decoder
    layers have the same test cardinality error: a model that predicts nothing errs by exactly the
    number of objects.
    """
    known = defined(recorded(log, "data", "val", "mean_objects"))
    if known is not None:
        return known
    for epoch in log.epochs:
        values = [defined(v) for k, v in epoch.items() if k.startswith("test_cardinality_error")]
        if len(values) >= 3 and None not in values and max(values) - min(values) < 1e-9:
            return values[0]
    return None


def recorded(log: RunLog, *keys: str):
    """What a log's header has at a place; None where it has no such place."""
    found = log.header
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found


def facts(log: RunLog) -> dict[str, str]:
    """What characterises a run, as far as its log tells."""
    rates = sorted({float(f"{rate:.3g}") for rate in log.series("train_lr")[1]}, reverse=True)
    parameters = log.series("n_parameters")[1]
    found = {
        "learning rate": ", ".join(f"{r:g}" for r in rates) or None,
        "epochs": str(len(log.epochs)),
        "mean ground-truth objects per val image": None
        if (m := mean_objects(log)) is None
        else f"{m:.3f}",
        "trained parameters": f"{int(parameters[-1]):,}" if len(parameters) else None,
        "seed": recorded(log, "config", "seed"),
        "preset": recorded(log, "config", "name"),
        "data": recorded(log, "data", "train", "sha256"),
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


def class_bars(runs: list[tuple[str, dict]], title: str, outputs: list[Path]) -> None:
    """Bars of a score by class for each of the runs, (label, {class: score}); a class without a score has no bar."""
    check_outputs(outputs)
    names = [n for n in dict.fromkeys(k for _, run in runs for k in run)]
    names = [n for n in names if any(defined(run.get(n)) is not None for _, run in runs)]
    if not names:
        raise InputError("no class has a score in these runs: nothing was there to be found")
    figure, axes = pyplot.subplots(
        figsize=(max(6, 0.32 * len(names) * len(runs) + 2), 4.5), layout="constrained"
    )
    width = 0.8 / len(runs)
    for k, (label, run) in enumerate(runs):
        values = [np.nan if (v := defined(run.get(n))) is None else v for n in names]
        places = np.arange(len(names)) + (k - (len(runs) - 1) / 2) * width
        colour = COLOURS[k] if k < len(COLOURS) else None
        average = shown(undefined.mean(run.values()), 3)
        axes.bar(places, values, width, color=colour, label=f"{label} (mean {average})")
    plain_names = [plain(n) for n in names]
    shown_names = [drawable(n, n.encode("ascii", "backslashreplace").decode()) for n in plain_names]
    axes.set_xticks(range(len(names)), shown_names, rotation=60, ha="right", fontsize=8)
    for tick, name in zip(axes.get_xticklabels(), shown_names, strict=True):
        tick.set_parse_math(False)
        tick.set_fontproperties(FontProperties(fname=file_for(name), size=8))
    axes.set(title=title, ylim=(0, None))
    axes.grid(axis="y", alpha=0.3)
    axes.legend(fontsize=8)
    save(figure, outputs)


def precision_recall(runs: list[tuple[str, dict]], title: str, outputs: list[Path]) -> None:
    """Precision over recall for each of the runs: (label, {"recall": [R], "AP50": [R], ...}), a panel per threshold."""
    check_outputs(outputs)
    kinds = [k for k in dict.fromkeys(k for _, c in runs for k in c) if k != "recall"]
    figure, grid = pyplot.subplots(
        1, len(kinds), figsize=(4.7 * len(kinds), 4.2), layout="constrained", squeeze=False
    )
    for axes, kind in zip(grid[0], kinds):
        for k, (label, found) in enumerate(runs):
            if kind in found:
                colour = COLOURS[k] if k < len(COLOURS) else None
                values = [np.nan if (v := defined(x)) is None else v for x in found[kind]]
                average = shown(undefined.mean(values), 3)
                axes.plot(found["recall"], values, color=colour, label=f"{label} ({average})")
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
