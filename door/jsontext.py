"""JSON that is valid everywhere: NaN and infinity, which JSON does not have, become null."""

from __future__ import annotations

import json
import math


def dumps(value, **form) -> str:
    """As json.dumps."""
    try:
        return json.dumps(value, allow_nan=False, **form)
    except ValueError:
        return json.dumps(_without(value), allow_nan=False, **form)


def _without(value):
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {_key(k): _without(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without(v) for v in value]
    return value


def _key(key):
    return str(key) if isinstance(key, float) and not math.isfinite(key) else key
