"""Choices that a port names itself (docs/pairs.md, Choices): ties, mistakes, and what nobody knows to be a choice."""

from __future__ import annotations

import textwrap

import pytest

from parity import Case, Side, Workers, examine
from parity.engine.judge import checks

pytestmark = pytest.mark.usefixtures("warm_workers")

HALVES = """
    from contextlib import contextmanager

    import numpy as np
    from torch import nn

    from parity import Case, Side, Subject


    def first(scores):
        return scores.argmax(1)


    def last(scores):  # of equals: as right as the first
        return scores.shape[1] - 1 - scores.flip(1).argmax(1)


    def least(scores):
        return scores.argmin(1)


    class Chooser(nn.Module):
        def __init__(self, best):
            super().__init__()
            self.best = best

        def forward(self, scores):
            return scores * (1 + self.best(scores)[:, None])


    def chooser(best, watched):
        model = Chooser(globals()[best])

        @contextmanager
        def watch(choices):
            original = model.best

            def best(scores):
                index, values = original(scores), scores.detach().numpy()

                def at(places):
                    return values[range(len(values)), places]

                def regret(given):
                    return choices.relative(at(index.numpy()) - at(given), scores)

                return choices.settle(choices.site("best"), index, regret)

            model.best = best
            try:
                yield
            finally:
                model.best = original

        return Subject(model, watch=watch if watched else None)


    def scores():
        return (np.array([[0.5, 0.25, 0.5], [0.0, 1.0, 0.5]]),)


    def choosing(best, watched=True):
        sides = (
            Side(f"{__file__}:chooser", "torch", arguments={"best": name, "watched": watched})
            for name in ("first", best)
        )
        return Case("choosing", *sides, scores, float64=False)
"""


@pytest.fixture(scope="module")
def workers():
    with Workers(Side("", "torch"), Side("", "torch")) as both:
        yield both


@pytest.mark.parametrize(
    ("best", "watched", "told"),
    [
        ("last", True, "1 of 2 chosen otherwise, 1 of them ties"),
        ("least", True, "unexplained, more than the noise of the evidence"),
        ("last", False, None),
    ],
)
def test_a_port_can_name_its_choices(tmp_path, workers, best, watched, told):
    """docs/pairs.md, Choices."""
    path = tmp_path / "pair.py"
    path.write_text(textwrap.dedent(HALVES) + f"\n\nCASE = choosing({best!r}, {watched})\n")
    found = examine(Case.from_file(path), workers).verdicts
    choices = {v.node: v for v in found if v.check == checks.CHOICES_32}
    if told is None:  # nobody knows that it is one
        assert not choices and any(
            v.check == checks.FORWARD_32 and v.status == "FAIL" for v in found
        )
        return
    judged = choices["best in (model) (candidate)"]
    assert told in judged.message
    assert judged.status == ("PASS" if best == "last" else "FAIL")
    forward = [v for v in found if v.check == checks.FORWARD_32]
    assert forward and all(v.status == "PASS" for v in forward), "behind it all is comparable"
