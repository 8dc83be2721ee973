"""What a run's log tells of the run, and in what two runs differ."""

from __future__ import annotations

from neutral.runlog import RunLog
from neutral.undefined import defined


def mean_objects(log: RunLog) -> float | None:
    """Mean number of ground-truth objects per validation image.

    From the header's data fingerprint or, in a log without one, from an epoch in which all decoder
    layers have the same test cardinality error: a model that predicts nothing errs by exactly the
    number of objects.
    """
    known = defined(recorded(log, "data", "val", "mean_objects"))
    if known is not None:
        return known
    for epoch in log.epochs:
        values = [defined(v) for k, v in epoch.items() if k.startswith("test_cardinality_error")]
        if len(values) >= 3 and None not in values and max(values) - min(values) < 1e-9:
            return values[0]
    return None


def recorded(log: RunLog, *keys: str):
    """What a log's header has at a place; None where it has no such place."""
    found = log.header
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found


def facts(log: RunLog) -> dict[str, str]:
    """What characterises a run, as far as its log tells."""
    rates = sorted({float(f"{rate:.3g}") for rate in log.series("train_lr")[1]}, reverse=True)
    parameters = log.series("n_parameters")[1]
    found = {
        "learning rate": ", ".join(f"{r:g}" for r in rates) or None,
        "epochs": str(len(log.epochs)),
        "mean ground-truth objects per val image": None
        if (m := mean_objects(log)) is None
        else f"{m:.3f}",
        "trained parameters": f"{int(parameters[-1]):,}" if len(parameters) else None,
        "seed": recorded(log, "config", "seed"),
        "preset": recorded(log, "config", "name"),
        "data": recorded(log, "data", "train", "sha256"),
    }
    return {k: str(v) for k, v in found.items() if v is not None}


def differences(first: RunLog, second: RunLog) -> list[str]:
    """One line per fact on which the two runs differ; such runs are no fair comparison."""
    ours, theirs = facts(first), facts(second)
    return [
        f"{key}: {ours.get(key, 'not recorded')} / {theirs.get(key, 'not recorded')}"
        for key in dict.fromkeys([*ours, *theirs])
        if ours.get(key) != theirs.get(key)
    ]
