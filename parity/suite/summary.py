"""The page that scripts/train_pair leaves: runs of both frameworks side by side, their charts and verdicts."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from door.files import replacing
from neutral.plots import PANELS, step_losses
from neutral.runlog import RunLog
from parity.engine.judge.verdicts import Status, Verdict
from parity.pages import render
from parity.report.gist import Answer

LINES = (("training loss", "train_loss"), ("validation loss", "test_loss"))
METRICS = ("AP", "AP50", "AP75")


@dataclass(frozen=True)
class Section:
    """facts: {framework: {name: value}}, a table; notes: sentences; charts: {title: PNG file}; curves: see `curves`;
    classes: {class: AP by framework}; pictures: {title: PNG file of each framework}."""

    title: str
    facts: dict[str, dict[str, str]]
    notes: list[str]
    charts: dict[str, Path]
    curves: dict[str, dict] = field(default_factory=dict)
    classes: dict[str, list[float | None]] = field(default_factory=dict)
    pictures: dict[str, list[Path]] = field(default_factory=dict)


def facts_of(log: RunLog) -> dict[str, str]:
    """What a run came to: losses, AP, throughput (the first epoch, which compiles, apart), memory."""
    first, last = log.epochs[0], log.epochs[-1]
    facts = {"train loss": f"{first['train_loss']:.4f} to {last['train_loss']:.4f}"}
    for title, key in PANELS[1:]:
        if f"train_{key}" in last:
            facts[f"of that, {title}"] = f"{last[f'train_{key}']:.4f}"
    if "test_loss" in last:
        facts["validation loss"] = f"{last['test_loss']:.4f}"
    for k, name in enumerate(("AP", "AP50", "AP75")):
        values = log.metric(k)[1]
        if len(values):
            facts[name] = f"{values[-1]:.4f} (best {values.max():.4f})"
    for key in ("test_voc07_map", "test_voc_map"):
        if isinstance(last.get(key), float):
            facts[key.removeprefix("test_")] = f"{last[key]:.4f}"
    speeds = [e["images_per_second"] for e in log.epochs if "images_per_second" in e]
    if speeds:
        facts["images / s"] = f"{np.median(speeds[1:] or speeds):.1f}"
        facts["first epoch's images / s"] = f"{speeds[0]:.1f}"
    if "peak_memory_mib" in last:
        facts["peak memory, MiB"] = f"{last['peak_memory_mib']:.0f}"
    return facts


def curves(logs: list[RunLog], copies: list[RunLog]) -> dict[str, dict]:
    """{title: {"x", "sides": PyTorch's and Jittor's values, "copies": those of the tube's runs}} by epoch, and of every
    step; only what both have."""
    found = {}
    for title, key in LINES:
        found[title] = shared(
            [log.series(key) for log in logs], [log.series(key) for log in copies]
        )
    for index, name in enumerate(METRICS):
        both = [log.metric(index) for log in logs]
        found[f"validation {name}"] = shared(both, [log.metric(index) for log in copies])
    steps = [step_losses(log) for log in logs]
    size = min(map(len, steps))
    if size:
        sides = [rounded(values[:size]) for values in steps]
        found["loss of every step"] = {"x": list(range(1, size + 1)), "sides": sides, "copies": []}
    return {title: curve for title, curve in found.items() if curve["x"]}


def shared(both: list[tuple], copies: list[tuple]) -> dict:
    """Curves (epochs, values) at the epochs that all of them have."""
    tables = [dict(zip(np.asarray(x).tolist(), y)) for x, y in (*both, *copies)]
    epochs = sorted(set.intersection(*(set(t) for t in tables)))
    values = [rounded([t[e] for e in epochs]) for t in tables]
    return {"x": epochs, "sides": values[: len(both)], "copies": values[len(both) :]}


def rounded(values) -> list[float | None]:
    return [float(f"{v:.6g}") if np.isfinite(v) else None for v in values]


def per_class(scores: list[dict]) -> dict[str, list[float | None]]:
    """AP by class name, of each framework."""
    names = dict.fromkeys(name for found in scores for name in found)
    return {name: [found.get(name) for found in scores] for name in names}


def answer(name: str, verdicts: list[Verdict]) -> Answer:
    failed = [v for v in verdicts if v.status is Status.FAIL]
    unsure = [v for v in verdicts if v.status in (Status.INCONCLUSIVE, Status.NOT_RUN)]
    if failed:
        text = f"{name}: {len(failed)} of {len(verdicts)} verdicts fail, first {failed[0].check}"
        return Answer("FAIL", f"{text}: {failed[0].node}")
    text = f"{name}: PyTorch and Jittor train alike as far as was asked, {len(verdicts)} verdicts"
    more = f", {len(unsure)} inconclusive" if unsure else ""
    return Answer("INCONCLUSIVE" if len(unsure) == len(verdicts) else "PASS", text + more)


def write_summary(path: Path, name: str, sections: list[Section], verdicts: list[Verdict]) -> Path:
    """One page that needs no other file."""

    def embed(file: Path) -> str:
        return base64.b64encode(file.read_bytes()).decode()

    page = render(
        "summary.html.j2",
        name=name,
        answer=answer(name, verdicts),
        sections=sections,
        verdicts=verdicts,
        number=lambda value: "" if value is None else f"{value:.4g}",
        embed=embed,
        keys=lambda section: list(dict.fromkeys(k for f in section.facts.values() for k in f)),
        data=[section.curves for section in sections],
    )
    with replacing(path) as temporary:
        temporary.write_text(page)
    return path
