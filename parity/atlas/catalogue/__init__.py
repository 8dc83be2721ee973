"""The entries, by area; `ENTRIES` in the order of entry.AREAS, `BY_ID` by name."""

from __future__ import annotations

from dataclasses import replace

from parity.atlas.catalogue import (
    absent,
    arrays,
    edges,
    networks,
    numbers,
    order,
    places,
    ports,
    runs,
    supply,
    training,
)
from parity.atlas.entry import AREAS, Entry

_MODULES = (places, order, numbers, arrays, training, runs, edges, networks, supply, ports, absent)


def _collected() -> tuple[Entry, ...]:
    found: dict[str, list[Entry]] = {area: [] for area in AREAS}
    for module in _MODULES:
        for area, entries in module.ENTRIES.items():
            found[area] += [replace(entry, area=area) for entry in entries]
    return tuple(entry for entries in found.values() for entry in entries)


ENTRIES = _collected()
BY_ID = {entry.id: entry for entry in ENTRIES}
