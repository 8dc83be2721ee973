"""The semantics atlas: every entry comes to what was recorded; a change of either framework shows."""

from __future__ import annotations

import pytest

from parity.atlas.catalogue import ENTRIES
from parity.atlas.judge import judge


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: e.id)
def test_entry(entry, atlas, recorded, device, report, conclude):
    if entry.id not in recorded:
        report.add(judge(entry, {}, None, device))
        pytest.skip(f"{entry.id} has not been recorded on {device}")
    conclude(judge(entry, atlas[entry.id].result(), recorded[entry.id], device))
