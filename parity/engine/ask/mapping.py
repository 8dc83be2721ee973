"""`parity map`: builds both sides of a case and proposes which name is which (proposing.py).

Before: values/proposing.py. Asked by parity/cli.py.
"""

from __future__ import annotations

from parity.case import Case
from parity.engine.ask.examine import workers_of
from parity.engine.sides.workers import Workers
from parity.engine.values.proposing import DESCRIBE, Parameter, Proposals, propose


def propose_names(case: Case, workers: Workers | None = None, *, device: str = "cpu") -> Proposals:
    """Builds both sides and proposes which of the candidate's parameters is which of the reference's."""
    with workers_of(case, workers, device) as used:
        for label, half in zip(case.labels, (case.reference, case.candidate)):
            used[label].submit("build", half, device, "float32", case.training, label)
        used.collect(case.labels)
        found = used.run(DESCRIBE, sides=case.labels)
    sides = [
        [
            Parameter(name, tuple(shape), kind, k)
            for k, (name, shape, kind, _) in enumerate(found[s])
        ]
        for s in case.labels
    ]
    return propose(*sides)
