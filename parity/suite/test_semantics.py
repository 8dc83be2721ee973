"""The semantics atlas: every entry comes to what was recorded; a change of either framework shows."""

from __future__ import annotations

import pytest

from parity.atlas.catalogue import ENTRIES
from parity.atlas.judge import Reader, judge, read_record


@pytest.fixture(scope="module")
def reader(device):
    reader = Reader(device)
    yield reader
    reader.close()


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: e.id)
def test_entry(entry, reader, device, report, conclude):
    known = read_record().get(device, {}).get("entries", {}).get(entry.id)
    if known is None:
        report.add(judge(entry, {}, None, device))
        pytest.skip(f"{entry.id} has not been recorded on {device}")
    conclude(judge(entry, reader.read(entry), known, device))
