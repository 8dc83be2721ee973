"""What a detector makes of a batch."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Outcome:
    """total: the weighted sum of losses; losses: unweighted, by name; errors: floats for the log.

    state: what the detector needs to go on to detections; record: what a trace keeps besides.
    """

    total: object
    losses: dict[str, object]
    errors: dict[str, float]
    state: object
    record: dict = field(default_factory=dict)
