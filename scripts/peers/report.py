"""What the times of bench_peers say: medians, ratios, a table, the chart's numbers."""

from __future__ import annotations

import statistics
from collections.abc import Mapping

from door.terminal import Console, Table
from scripts.peers import SYSTEMS

TIMED = ("training", "inference", "new shapes", "the same again")
# published, for comparison where the hardware is comparable
PUBLISHED = {
    "detr_r50": "DETR R50: 0.036 s per image (V100, inference); training 8.8 images/s on one V100",
    "detr_r50_dc5": "DETR DC5: 0.083 s per image (V100, inference)",
    "torchvision_r50_fpn": "detectron2 R50-FPN: 76 images/s in training on 8 V100",
}


def middle(times: Mapping) -> float:
    return statistics.median(times["seconds"])


def compared(systems: Mapping) -> list[tuple[str, str]]:
    """(numerator, denominator): our PyTorch to every public one, our Jittor to our PyTorch."""
    pairs = [("torch", peer) for peer in systems if peer not in ("torch", "jittor")]
    pairs.append(("jittor", "torch"))
    return [pair for pair in pairs if set(pair) <= set(systems)]


def ratios(systems: Mapping) -> dict[str, dict[str, dict[str, float]]]:
    """{"torch / torchvision": {"training": {"median": ..., "best": ...}}}: above 1 the first is the slower one."""
    found = {}
    for first, second in compared(systems):
        found[f"{first} / {second}"] = {
            kind: {
                "median": middle(systems[first][kind]) / middle(systems[second][kind]),
                "best": min(systems[first][kind]["seconds"])
                / min(systems[second][kind]["seconds"]),
            }
            for kind in TIMED
            if kind in systems[first]
        }
    return found


def summary(system: Mapping, images: int) -> dict[str, float | None]:
    """The rows of the table."""
    rows = {}
    for kind in (k for k in TIMED if k in system):
        times = system[kind]
        if "first" in times:
            rows[f"{kind}, first, s"] = times["first"]
        rows[f"{kind}, median, s"] = middle(times)
        rows[f"{kind}, best of {len(times['seconds'])}, s"] = min(times["seconds"])
        rows[f"{kind}, images/s"] = images / middle(times)
    rows["peak memory, MiB"] = system["peak_memory_mib"]
    if system["gpu_memory_mib"] is not None:
        rows["GPU memory, MiB"] = system["gpu_memory_mib"]
    return rows


def show(console: Console, name: str, found: Mapping) -> None:
    """The table of one preset, and what the same work is known by."""
    systems, pairs = found["systems"], compared(found["systems"])
    images = found["images"]["shape"][0]
    rows = {system: summary(answers, images) for system, answers in systems.items()}
    heads = [SYSTEMS[system].label for system in systems]
    heads += [f"{SYSTEMS[a].label} / {SYSTEMS[b].label}" for a, b in pairs]
    table = Table(name, *heads)
    for row in next(iter(rows.values())):
        values = [rows[system][row] for system in systems]
        quotients = [rows[a][row] / rows[b][row] if rows[b][row] else 0 for a, b in pairs]
        table.add_row(row, *(f"{v:.4g}" for v in values), *(f"{q:.2f}" for q in quotients))
    console.print(table)
    weights, seen = found["weights"], found["images"]
    small = {k: weights[f"gradients of {k}"]["denormal"] for k in ("parameters", "activations")}
    console.print(
        f"images {seen['shape']} of {seen['source']}; weights: {weights['made']}; denormal gradients: "
        + ", ".join(f"{count} of {kind}" for kind, count in small.items()),
        highlight=False,
    )
    if name in PUBLISHED:
        console.print(f"published: {PUBLISHED[name]}", highlight=False)


def chart_of(record: Mapping) -> dict[str, dict[str, list[float]]]:
    """{panel: {system: seconds of every round}}."""
    return {
        f"{name}: {kind}": {
            SYSTEMS[system].label: answers[kind]["seconds"]
            for system, answers in found["systems"].items()
        }
        for name, found in record["presets"].items()
        for kind in ("training", "inference")
    }
