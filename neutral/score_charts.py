"""Charts of scores and times: bars by class, precision over recall, seconds of several systems."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib import pyplot
from matplotlib.font_manager import FontProperties

from door.display import plain
from neutral import undefined
from neutral.charting import COLOURS, check_outputs, save
from neutral.errors import InputError
from neutral.fonts import drawable, file_for
from neutral.undefined import defined, shown


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
