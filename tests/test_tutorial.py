"""The tutorial is true: its broken port has the two causes that its page names, its mended one none."""

from __future__ import annotations

import dataclasses

import pytest

from parity import Case, examine
from parity.engine.judge import kinds
from scripts.readme import TUTORIAL

pytestmark = pytest.mark.usefixtures("warm_workers")


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        (
            "broken",
            [
                ("body.1", kinds.CONSTANT, "broken.py:33"),
                ("(model)", kinds.DETACHED, "broken.py:38"),
            ],
        ),
        ("mended", []),
    ],
)
def test_the_causes_are_those_of_the_page(name, wanted):
    case = dataclasses.replace(Case.from_file(TUTORIAL / f"{name}.py"), float32=False)
    result = examine(case)
    found = [(c.where, c.kind, c.candidate_code.rpartition("/")[2]) for c in result.causes]
    assert found == wanted
    printed = (TUTORIAL / f"{name}.txt").read_text()
    assert all(f"{where}: {kind}" in printed for where, kind, _ in wanted)
    failed = [v for v in result.verdicts if v.status == "FAIL" and v.check == "float64 forward"]
    assert bool(failed) == bool(wanted)
    if failed:
        kept = failed[0].values
        assert failed[0].node == "body.1" and kept["worst"] and kept["picture"]
        assert failed[0].shape == (2, 32, 16, 24) and failed[0].rms > 0
