"""Charts that compare two runs: losses and AP by epoch, and what differs between the runs.

Takes any two logs that `runlog.read_log` reads, this project's or another's.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

from neutral.errors import InputError
from neutral.files import replacing
from neutral.runlog import RunLog

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
AP_PANELS = ((0, "AP"), (1, "AP50"))


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


def compare_runs(
    first: RunLog, second: RunLog, labels: tuple[str, str], outputs: list[Path]
) -> list[str]:
    """Writes the chart (PNG, SVG, by suffix) and returns the differences that it states."""
    for output in outputs:
        if output.suffix.lower() not in (".png", ".svg"):
            raise InputError(f"{output}: charts are written as .png or .svg")
    logs, noted = (first, second), differences(first, second)
    panels = [
        (title, (f"train_{loss}", f"test_{loss}"))
        for title, loss in PANELS
        if any(len(log.series(f"train_{loss}")[0]) for log in logs)
    ]
    columns = -(-len(panels) // 2) + 1  # AP has the last column
    figure, grid = pyplot.subplots(
        2, columns, figsize=(4.7 * columns, 7.5), layout="constrained", squeeze=False
    )
    for axes in grid[:, :-1].ravel()[len(panels) :]:
        axes.set_axis_off()
    for axes, (title, keys) in zip(grid[:, :-1].ravel(), panels, strict=False):
        _draw(axes, logs, labels, keys, title)
    for axes, (index, name) in zip(grid[:, -1], AP_PANELS, strict=True):
        for log, label, colour in zip(logs, labels, COLOURS, strict=True):
            epochs, values = log.metric(index)
            axes.plot(
                epochs, values, color=colour, linewidth=1.3, marker=".", markersize=3, label=label
            )
        axes.set(title=f"validation {name}", xlabel="epoch")
        axes.grid(alpha=0.3)
    grid[0][0].legend(fontsize=8)
    grid[0][-1].legend(fontsize=8)
    heading = f"{labels[0]} and {labels[1]}"
    text = (
        "the runs differ in " + "; ".join(noted)
        if noted
        else "same configuration, seed and data in both runs"
    )
    figure.suptitle(
        f"{heading}\n{text}", fontsize=10, color="firebrick" if noted else "black", wrap=True
    )
    for output in outputs:
        with replacing(output) as temporary:
            figure.savefig(temporary, dpi=100, format=output.suffix[1:].lower())
    pyplot.close(figure)
    return noted


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
    with replacing(output) as temporary:
        figure.savefig(temporary, dpi=100, format=output.suffix[1:].lower())
    pyplot.close(figure)
    return max(gaps)
