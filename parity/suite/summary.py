"""The page that scripts/train_pair leaves: runs of both frameworks side by side, their charts and verdicts."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

import jinja2
import numpy as np

from door.display import as_text
from neutral.files import replacing
from neutral.plots import PANELS
from neutral.runlog import RunLog
from parity.engine.verdicts import Verdict


@dataclass(frozen=True)
class Section:
    """facts: {framework: {name: value}}, a table; notes: sentences; charts: {title: PNG file}."""

    title: str
    facts: dict[str, dict[str, str]]
    notes: list[str]
    charts: dict[str, Path]


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


TEMPLATE = """<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ name }}: PyTorch and Jittor</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 1rem auto; padding: 0 1rem; color: #222 }
table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto }
th, td { border-bottom: 1px solid #ddd; padding: .25rem .75rem; text-align: left; vertical-align: top }
img { max-width: 100%; height: auto }
.PASS { color: #1a7f37 } .FAIL { color: #b3261e; font-weight: 600 } .INCONCLUSIVE, .NOT_RUN { color: #8a5a00 }
</style>
<h1>{{ name }}: PyTorch and Jittor side by side</h1>
<h2>Verdicts</h2>
<table><tr><th>verdict<th>check<th>of<th>measured<th>limit<th>
{% for v in verdicts %}<tr><td class="{{ v.status.value }}">{{ v.status.value }}<td>{{ v.check }}<td>{{ v.node }}
<td>{{ number(v.measured) }}<td>{{ number(v.limit) }}<td>{{ v.message }}
{% endfor %}</table>
{% for section in sections %}
<h2>{{ section.title }}</h2>
{% if section.facts %}<table><tr><th>{% for framework in section.facts %}<th>{{ framework }}{% endfor %}
{% for key in keys(section) %}<tr><td>{{ key }}{% for facts in section.facts.values() %}<td>{{ facts[key] }}{% endfor %}
{% endfor %}</table>{% endif %}
{% for note in section.notes %}<p>{{ note }}</p>{% endfor %}
{% for title, file in section.charts.items() %}
<h3>{{ title }}</h3><img alt="{{ title }}" src="data:image/png;base64,{{ embed(file) }}">
{% endfor %}{% endfor %}
</html>
"""


def write_summary(path: Path, name: str, sections: list[Section], verdicts: list[Verdict]) -> Path:
    """One page that needs no other file."""
    environment = jinja2.Environment(autoescape=True, finalize=as_text)
    page = environment.from_string(TEMPLATE).render(
        name=name,
        sections=sections,
        verdicts=verdicts,
        number=lambda value: "" if value is None else f"{value:.4g}",
        embed=lambda file: base64.b64encode(file.read_bytes()).decode(),
        keys=lambda section: list(dict.fromkeys(k for f in section.facts.values() for k in f)),
    )
    with replacing(path) as temporary:
        temporary.write_text(page)
    return path
