"""What an examination found: verdicts in order, culprits, causes, and whether that is a failure.

Before: judge/verdicts.py. examine.py and its neighbours give one of these; tell/causes.py says what to mend.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from parity.engine.judge.localise import classify, culprits
from parity.engine.judge.verdicts import (
    ALL_EMPTY,
    Status,
    Verdict,
    first_divergence,
    is_hollow,
    is_nothing,
)
from parity.engine.tell.causes import Cause, causes_of, told


@dataclass(frozen=True)
class Culprit:
    """A module whose own code fails: `kind` as classify has it, `guilty` the side or "", `script` a file's name."""

    kind: str
    guilty: str
    verdicts: list[Verdict]
    script: str = ""


@dataclass
class Result:
    """Verdicts in the order of execution, and what ran where; code: of `parity run`, by side what coverage.py knows of
    the user's files."""

    verdicts: list[Verdict] = field(default_factory=list)
    environment: dict = field(default_factory=dict)
    code: dict[str, list[dict]] = field(default_factory=dict)

    @property
    def first(self) -> Verdict | None:
        """The first FAIL, None when there is none."""
        return first_divergence(self.verdicts)

    @property
    def failures(self) -> list[Verdict]:
        return [v for v in self.verdicts if v.status is Status.FAIL]

    @property
    def culprits(self) -> dict[str, Culprit]:
        """By module, in the order of execution."""
        found = {}
        for module, verdicts in culprits(self.verdicts).items():
            guilty = next((v.guilty for v in verdicts if v.guilty), "")
            script = next((v.script for v in verdicts if v.script), "")
            found[module] = Culprit(classify(verdicts), guilty, verdicts, script)
        return found

    @property
    def causes(self) -> list[Cause]:
        """What to mend, the likeliest first; see causes.py for what each says."""
        return causes_of(self.verdicts)

    def counts(self) -> dict[str, int]:
        """By status; every status is there."""
        counter = Counter(v.status.value for v in self.verdicts)
        return {status.value: counter[status.value] for status in Status}

    def raise_for_failures(self) -> None:
        """AssertionError that names the causes, the modules to blame and the first FAILs; also when nothing was
        compared."""
        if not self.failures:
            if is_nothing(self.verdicts):
                why = [v.message for v in self.verdicts if v.status is Status.NOT_RUN]
                why = [ALL_EMPTY] * is_hollow(self.verdicts) + why
                raise AssertionError("; ".join(["nothing was compared", *dict.fromkeys(why[:3])]))
            return
        blamed = [f"{m}: {c.kind} {c.guilty}".rstrip() for m, c in self.culprits.items()]
        lines = [f"{len(self.failures)} of {len(self.verdicts)} comparisons failed"]
        lines += ["the modules to blame: " + "; ".join(blamed[:8])] if blamed else []
        lines += told(self.causes)
        raise AssertionError("\n".join([*lines, *map(str, self.failures[:8])]))
