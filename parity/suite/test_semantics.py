"""The semantics atlas: every entry comes to what was recorded; a change of either framework shows."""

from __future__ import annotations

import pytest

from parity.atlas.catalogue import ENTRIES
from parity.atlas.judge import judge, read_record, reading


@pytest.fixture(scope="module")
def known(device) -> dict:
    """What was recorded on this device, by the entries' names."""
    return read_record().get(device, {}).get("entries", {})


@pytest.fixture(scope="module")
def found(request, device, known):
    """What the selected entries come to: futures."""
    here = [i for i in request.session.items if i.path == request.path and hasattr(i, "callspec")]
    selected = [item.callspec.params["entry"] for item in here]
    with reading([entry for entry in selected if entry.id in known], device) as found:
        yield found


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: e.id)
def test_entry(entry, found, known, device, report, conclude):
    if entry.id not in known:
        report.add(judge(entry, {}, None, device))
        pytest.skip(f"{entry.id} has not been recorded on {device}")
    conclude(judge(entry, found[entry.id].result(), known[entry.id], device))
