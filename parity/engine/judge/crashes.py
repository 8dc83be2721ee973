"""What a side that raised leaves: one FAIL that names the side, the place and the traceback; what it did not reach is
counted, and everything else is compared all the same.

In a free run a crash ends the run. In a forced run what the module would have returned is known from the reference:
the run goes on with that.

Before: values/places.py. A worker describes what it raised (sides/server.py), ask/examination.py judges it here.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import FrameType, MappingProxyType

from parity.engine.judge import kinds
from parity.engine.judge.checks import (
    BEHIND,
    FORWARD_32,
    FORWARD_64,
    LOCAL_FORWARD_32,
    LOCAL_FORWARD_64,
    LOCAL_GRADIENTS_32,
    LOCAL_GRADIENTS_64,
    NOT_LOOKED_INTO,
)
from parity.engine.judge.verdicts import Status, Verdict
from parity.engine.values import places
from parity.engine.values.nodes import OUTSIDE, ROOT, call_of, module_of
from parity.engine.values.origins import MOST, origins
from parity.engine.values.places import HARNESS
from parity.errors import InputError, OutOfTime, WorkerError

CHECK = "worker"
DOOR = "door"  # a package that reads files and ends processes for whoever asks
FORWARD = (FORWARD_64, FORWARD_32, LOCAL_FORWARD_64, LOCAL_FORWARD_32)
# as judging.py tells what the next computation may raise for
BROKEN = re.compile(r"(NaN|[+-]inf) at \d+ places on one side only|shapes differ: ")
LINES = 8  # of a traceback
# of what is noted: which value of another shape had been forced in there, or anywhere before; in which module or
# function it came up
MISFIT, EARLIER, PLACE = "misfit", "earlier", "place"


def describe(error: BaseException, above: FrameType | None = None) -> dict[str, str]:
    """What a trace keeps of an exception: the user's own frames of its traceback, and before them of the stack from
    `above`, which the exception has not come to yet; all frames where none is theirs."""
    frames = places.own_callers(above) + places.own_frames(error)
    handled = places.handled(error)
    # what was raised anew only passes on what was handled
    errors = [error.__cause__ or error.__context__, error] if handled else [error]
    found = list(dict.fromkeys(x for e in errors for x in origins(e)))[:MOST]
    made = [*handled, *([f"it read what {' and '.join(found)} gave"] if found else [])]
    return {
        "error": f"{type(error).__name__}: {error}".strip().split("\n")[0][:400],
        "code": frames[-1].partition(",")[0] if frames else "",
        "traceback": "\n".join((frames or places.other_frames(error))[-LINES:] + made),
    }


def is_refusal(error: BaseException) -> bool:
    """Whether the harness itself refuses what it was given; that an InputError of the user's own code is a crash."""
    packages = [HARNESS]  # of an error that was never raised
    for frame, _ in traceback.walk_tb(error.__traceback__):
        packages.append(frame.f_globals.get("__name__", "").partition(".")[0])
    while packages[-1] == DOOR:
        packages.pop()
    return isinstance(error, InputError) and packages[-1] == HARNESS


@dataclass
class Crashes:
    """What is known of all runs of an examination: crashes that were told; by side, the calls that did not raise, in
    its own run and in the forced one."""

    told: set = field(default_factory=set)
    free: dict[str, set[str]] = field(default_factory=dict)
    forced: dict[str, set[str]] = field(default_factory=dict)

    def judge(self, case: str, traces: Mapping, verdicts: list[Verdict], name: str) -> list:
        """`judge_crashes` of the runs `name`, "free 64" or the like."""
        if name.startswith("forced"):
            self.forced |= {side: fine_calls(trace) for side, trace in traces.items()}
            return judge_crashes(case, traces, verdicts, self.told, name, self.free)
        self.free |= {side: returned(trace) for side, trace in traces.items()}
        return judge_crashes(case, traces, verdicts, self.told, name)

    def inherited(self, verdicts: list[Verdict]) -> list[Verdict]:
        return inherited_crashes(verdicts, self.forced)


def judge_crashes(
    case: str,
    traces: Mapping[str, Mapping],
    verdicts: list[Verdict],
    told: set,
    names: str = "",
    free: Mapping[str, set[str]] = MappingProxyType({}),
) -> list[Verdict]:
    """The verdicts of traces by side, those that only say that a side did not get there replaced by the crash.

    told: crashes that were told before, (side, call, error). free: of forced traces, by side, the calls that did not
    raise in the side's own run: those follow from values of another shape that were forced in before.
    """
    crashed = {
        side: behind_misfits(t["crashes"], free.get(side, set()))
        for side, t in traces.items()
        if t.get("crashes")
    }
    if not crashed:
        return verdicts
    looked = [returned_less(v, {s: traces[s] for s in crashed}) for v in verdicts]
    less = {v.guilty for v in looked if v.kind == kinds.LESS}
    if any(v.check in FORWARD and BROKEN.match(v.message) for v in looked):
        less |= set(crashed)
    is_behind = behind(crashed)
    kept = [v for v in looked if not is_behind(v)]
    found = []
    for side, crashes in crashed.items():
        for call, what in crashes.items():
            key = (side, call, what["error"])
            if key in told:
                continue
            told.add(key)
            if MISFIT in what:
                found.append(follows(case, side, call, what))
                continue
            verdict = raised(case, side, call, what, is_first=side != list(traces)[-1])
            found.append(verdict.but(check=BEHIND) if side in less else verdict)
    if len(kept) < len(verdicts):
        count = len(verdicts) - len(kept)
        message = f"{count} values were not reached behind what raised: not compared"
        found.append(Verdict(case, CHECK, names or "(behind)", Status.NOT_RUN, message=message))
    return [*found, *kept]


def behind_misfits(crashes: Mapping[str, Mapping], free: set[str]) -> dict[str, Mapping]:
    """The same; what raised in calls of `free` has the value of another shape before it for its misfit."""
    return {
        call: {MISFIT: what[EARLIER]} | dict(what) if EARLIER in what and call in free else what
        for call, what in crashes.items()
    }


def raised(case: str, side: str, call: str, what: Mapping, is_first: bool) -> Verdict:
    """Of what raised by its own fault, with the traceback and the line of the side's code."""
    return Verdict(
        *(case, CHECK, call, Status.FAIL),
        message=f"{side} raised {what['error']}\n{what['traceback']}",
        owner=what.get(PLACE) or call_of(call).partition("#")[0],
        guilty=side,
        kind=kinds.CRASH,
        code=(what["code"], "") if is_first else ("", what["code"]),
    )


def crashed(case: str, node: str, error: WorkerError, first: str) -> Verdict:
    """Of a step that raised: the user's own frames, and whose results the line read. first: the reference's label."""
    last = "\n".join(error.details.strip().splitlines()[-6:])
    frames, code = error.told.get("traceback") or last, error.told.get("code", "")
    return Verdict(
        *(case, CHECK, node, Status.FAIL),
        message=f"{error}\n{frames}",
        guilty=error.side,
        kind=kinds.CRASH,
        code=(code, "") if error.side == first else ("", code),
    )


def behind(crashed: Mapping[str, Mapping]) -> Callable[[Verdict], bool]:
    """Whether a verdict only says that a side did not get there; crashed: by side, crashes by call."""
    lost = tuple(f"{side} has not" for side in crashed)
    calls = [(call, what) for known in crashed.values() for call, what in known.items()]
    inside = {call_of(call).partition("#")[0]: MISFIT in what for call, what in calls}

    def is_behind(v: Verdict) -> bool:
        missing = v.kind == kinds.MISSING and v.message.endswith(lost)
        own = any(
            (v.owner == name or v.owner.startswith(f"{name}."))
            # the value that did not fit may be one of these
            and (not misfit or v.check in (LOCAL_GRADIENTS_64, LOCAL_GRADIENTS_32))
            for name, misfit in inside.items()
        )
        return missing or (own and v.status is Status.FAIL)

    return is_behind


def returned(trace: Mapping) -> set[str]:
    """Calls that did not raise, nor hold what raised."""
    homes = {module_of(c) for c in trace.get("crashes", {}) if not c.startswith(OUTSIDE)}
    around = {home for name in homes for home in (ROOT, *holders(name))}
    return {call for call in fine_calls(trace) if module_of(call) not in around}


def holders(name: str) -> list[str]:
    """ "a.b.c" -> "a", "a.b", "a.b.c"."""
    parts = name.split(".")
    return [".".join(parts[:n]) for n in range(1, len(parts) + 1)]


def returned_less(verdict: Verdict, traces: Mapping[str, Mapping]) -> Verdict:
    """The same; of a value that a call lacks which did return on a side that raised, before or behind it, that the
    call gives less: what raised may follow from that."""
    if verdict.kind != kinds.MISSING or verdict.check not in FORWARD or "/in" in verdict.node:
        return verdict
    call, owner = call_of(verdict.node), module_of(verdict.node)
    for side, trace in traces.items():
        if verdict.message.endswith(f"{side} has not") and call in returned(trace):
            message = f"{verdict.message}, though the call returned"
            return verdict.but(kind=kinds.LESS, owner=owner, guilty=side, message=message)
    return verdict


def follows(case: str, side: str, call: str, what: Mapping) -> Verdict:
    """Of what raised for a value of another shape that was forced in: no mistake of its own, that shape is one."""
    message = f"{side} raised {what['error']}, given the reference's {what[MISFIT]} computed"
    return Verdict(case, CHECK, call, Status.NOT_RUN, message=message)


def fine_calls(trace: Mapping) -> set[str]:
    """Calls of a forced run that did not raise, the losses among them."""
    raised = trace.get("crashes", {})
    losses = {f"{OUTSIDE} losses"} if trace.get("losses") else set()
    return (set(trace.get("called", ())) | losses) - set(raised)


def inherited_crashes(verdicts: list[Verdict], fine: Mapping[str, set[str]]) -> list[Verdict]:
    """The same verdicts; what raised in a whole run alone, and not for the reference's values, follows from what
    differs before it. fine: by side, the calls of forced runs that did not raise."""
    text = "given the reference's values it does not raise: it follows from what differs before"
    return [
        v.but(check=BEHIND, message=f"{v.message}\n{text}")
        if v.check == CHECK and v.kind == kinds.CRASH and v.node in fine.get(v.guilty, ())
        else v
        for v in verdicts
    ]


def unfinished(case: str, error: Exception, left: list[str], first: str = "") -> list[Verdict]:
    """A worker's failure; where the time limit stopped it, the stages `left`, which are not run. first: the reference's
    label."""
    if isinstance(error, OutOfTime):
        message = str(error)
        return [Verdict(case, NOT_LOOKED_INTO, n, Status.NOT_RUN, message=message) for n in left]
    if isinstance(error, WorkerError) and error.told:
        return [raised(case, error.side, error.node, error.told, error.side == first)]
    node = getattr(error, "node", "run")
    return [Verdict(case, CHECK, node, Status.FAIL, message=str(error))]
