"""`ask(workers, "NAME", ...)`: a request of requests.py to one worker, or to both at once."""

from __future__ import annotations

from parity.engine.sides.workers import Worker, Workers


def ask(workers: Worker | Workers, name: str, *arguments, **options):
    """The answer, or with several workers the answers by label."""
    return workers.run(f"parity.suite.requests:{name}", *arguments, **options)
