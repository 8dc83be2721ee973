"""Which FAILs are causes and which follow from them: whole runs inherit what is made anywhere; modules that were not
given the other side's weights, and what holds them, follow from the names; totals follow from losses.

Before: judge/checks.py. causes.py and known.py ask.
"""

from __future__ import annotations

import re

from parity.engine.judge import checks, kinds
from parity.engine.judge.judging import NOTHING, ONE_SIDE
from parity.engine.judge.verdicts import Verdict
from parity.engine.values.aligned import APART
from parity.engine.values.nodes import OUTSIDE, ROOT, module_of

LOCAL = (
    *(checks.LOCAL_FORWARD_64, checks.LOCAL_PLAIN_64),
    *(checks.LOCAL_LOSSES_64, checks.LOCAL_DETECTIONS_64),
    *(checks.LOCAL_GRADIENTS_64, checks.LOCAL_FORWARD_32, checks.LOCAL_GRADIENTS_32),
)
BACKWARD = (checks.LOCAL_GRADIENTS_64, checks.LOCAL_GRADIENTS_32)
INHERITED = (  # of whole runs: what differs there was made somewhere
    checks.BEHIND,
    *(
        checks.FORWARD_64,
        checks.PLAIN_64,
        checks.CHOICES_64,
        checks.LOSSES_64,
        checks.DETECTIONS_64,
    ),
    *(checks.NODE_GRADIENTS_64, checks.GRADIENTS_64),
    *(checks.FORWARD_32, checks.LOSSES_32, checks.CHOICES_32, checks.DETECTIONS_32),
    *(checks.GRADIENTS_32, *checks.OWN_VALUES, checks.DISPLACEMENT),
)
RESULT = re.compile(re.escape(ROOT) + r"\[\w+\]")
TWO_NUMBERS = re.compile(r"-?\d\S*(?: \(\S+\))? for -?\d[-+.e\d]*")
RESIZED = re.compile(r"sizes (\d+) x (\d+) and (\d+) x (\d+)")  # of two images
SCALED = re.compile(r"times ([\d.]+) in x and ([\d.]+) in y$")  # of boxes
TOTAL = "loss/total"
CRASHED, RUN = "worker", "(run)"


def run_of(case: str) -> str:
    """The examination that a case belongs to: "pair: training steps" is part of "pair"."""
    return case.partition(": ")[0]


def is_of_weights(verdict: Verdict) -> bool:
    """Whether it says that weights did not arrive, or that one side alone has or trains them."""
    alone = verdict.check == checks.INITIAL and verdict.kind == kinds.MISSING
    return alone or verdict.check == checks.NAMES or verdict.check.startswith("weights: ")


def is_of_trained(verdict: Verdict, failed: list[Verdict]) -> bool:
    """Whether it names what one side alone trains, and both have, beside names that one side alone has."""
    lost = {v.node for v in failed if v.check.startswith("weights: ") and v.kind == kinds.MISSING}
    named = {name.rpartition(" (")[0] for name in verdict.names or ()}
    return bool(lost) and verdict.kind == kinds.FROZEN and bool(named - lost)


class Followers:
    """follows(verdict): whether a FAIL of one examination follows from others of it."""

    def __init__(self, failed: list[Verdict]):
        lost = (
            v
            for v in failed
            if v.check.startswith("weights: ") and v.kind in (kinds.MISSING, kinds.SHAPE)
        )
        # modules that were not given the other side's weights: what they compute differs, whatever their code does
        self.unfed = {parent_of(v.node) for v in lost}
        self.around = {parent_of(name) for name in self.unfed}
        # what holds modules that aligned.py told apart from the reference's of the same name
        homes = (module_of(v.node) for v in failed)
        self.unlike = {parent_of(name) for name in homes if APART.search(name)}
        forward = [v for v in failed if v.check in LOCAL and v.check not in BACKWARD]
        # modules whose own code is wrong: what they hold on one side only is another way to the same
        self.wrong = {v.owner for v in forward if v.owner and v.kind != kinds.MISSING}
        shapes = [v for v in forward if v.kind in (kinds.SHAPE, kinds.AXIS)]
        self.misshapen = {v.node for v in shapes}
        # with parts: they go on with what they are given (sides/layers.py), and what they make of it follows from that
        self.given_others = {module_of(v.node) for v in shapes if "/in" in v.node}
        self.misshaping = {v.owner for v in shapes if v.owner} - {OUTSIDE}
        self.failed = failed
        lacks: dict[str, set[str]] = {}  # by module, who lacks an argument of it
        for v in failed:
            if v.check in LOCAL and v.kind == kinds.MISSING and "/in" in v.node:
                lacks.setdefault(module_of(v.node.partition("/in")[0]), set()).add(v.message)
        # given on both sides, in another form on each
        self.given_otherwise = {ROOT} | {name for name, texts in lacks.items() if len(texts) > 1}
        self.by_function = [v for v in failed if is_of_function(v)]
        # whose later runs begin with what the first has left on one side alone
        self.unmoved = {v.owner for v in failed if v.check == checks.LEFT}
        self.raised = {module_of(v.node) for v in failed if v.kind == kinds.CRASH}

    def __call__(self, verdict: Verdict) -> bool:
        local = verdict.check in LOCAL or verdict.kind == kinds.CRASH
        return (
            is_inherited(verdict)
            or (local and self.is_unfed(verdict))
            or self.is_around(verdict)
            or self.is_held(verdict)
            or self.is_misshapen(verdict)
            or self.is_behind_crash(verdict)
            or (NOTHING in verdict.message and bool(self.raised))
            or (verdict.owner in self.unmoved and verdict.check.startswith("float32"))
            or self.is_of_caller(verdict)
            or self.is_explained(verdict)
            or self.is_given_otherwise(verdict)
            or self.is_shown(verdict)
            or is_of_resized(verdict, self.failed)
            or is_of_frozen(verdict, self.failed)
            or is_crash_again(verdict, self.failed)
        )

    def is_unfed(self, verdict: Verdict) -> bool:
        owner = verdict.owner or parent_of(verdict.node)
        return any(owner == name or (name and owner.startswith(f"{name}.")) for name in self.unfed)

    def is_shown(self, verdict: Verdict) -> bool:
        """Whether it is a setting of a module that computes something else, which tells more; where that says in what
        the layers differ, one that it names."""
        is_setting = verdict.check == checks.INITIAL and verdict.kind == kinds.CONSTANT
        if not is_setting or verdict.owner not in self.wrong:
            return False
        told = [v.message for v in self.failed if v.check in LOCAL and v.owner == verdict.owner]
        evidence = " ".join(x for x in told if "the layers differ in" in x)
        return not evidence or f"{verdict.node.rpartition('.')[2]}: " in evidence

    def is_misshapen(self, verdict: Verdict) -> bool:
        """Whether it is the gradient of what has another shape, or made of that; or what a module makes of such
        arguments."""
        if verdict.check not in BACKWARD:
            return verdict.check in LOCAL and verdict.owner in self.given_others
        return verdict.node in self.misshapen or verdict.owner in self.misshaping

    def is_around(self, verdict: Verdict) -> bool:
        """Whether what holds such modules has other borders or another shape there, or goes on with what an unlike
        module, which was not forced, gave it: the names come first."""
        if verdict.check not in LOCAL or not self.unfed:
            return False
        if self.holds_others(verdict.owner):
            return True
        owner = verdict.owner if verdict.owner != ROOT else ""
        home = module_of(verdict.node)
        if verdict.kind == kinds.MISSING:
            return bool({home, parent_of(home)} & (self.around | self.unfed))
        shapes = verdict.kind in (kinds.SHAPE, kinds.AXIS) or verdict.node in self.misshapen
        if shapes and "/in" in verdict.node and home in self.around | self.unfed:
            return True  # it takes something else, since something else is in it
        places = self.around if shapes else self.around & self.unlike
        return bool(verdict.owner) and owner in places

    def holds_others(self, owner: str) -> bool:
        """Whether all that computes in a module has other names there, and could not be given the same values."""
        alone = {
            module_of(v.node)
            for v in self.failed
            if v.check == checks.LOCAL_FORWARD_64 and v.kind == kinds.MISSING
        }
        inside = {name for name in self.unfed if parent_of(name) == owner}
        return bool(owner and inside) and inside & alone != set()

    def is_given_otherwise(self, verdict: Verdict) -> bool:
        """Whether it is a part of an argument that has another form on each side; or of the whole model's, which the
        pair gives and not the port."""
        home, given, _ = verdict.node.partition("/in")
        is_missing = verdict.check in LOCAL and verdict.kind == kinds.MISSING and given
        return bool(is_missing) and module_of(home) in self.given_otherwise

    def is_of_caller(self, verdict: Verdict) -> bool:
        """Whether it is what the whole makes, where functions that it calls are wrong by themselves."""
        whole = verdict.check in LOCAL and verdict.owner in (ROOT, OUTSIDE)
        # a gradient that a function makes wrong explains no result
        backward = verdict.check in BACKWARD
        made_by = [v for v in self.by_function if backward or v.check not in BACKWARD]
        if not whole or not made_by or verdict.kind == kinds.MISSING:
            return False
        is_one = RESULT.fullmatch(verdict.node)  # of a criterion that gives several
        numbers = TWO_NUMBERS.match(verdict.message) if is_one else None
        return not numbers or any(numbers[0] in v.message for v in made_by)

    def is_explained(self, verdict: Verdict) -> bool:
        """Whether it is what a module makes, whose own lines are right with right functions."""
        backward = verdict.check in BACKWARD
        if verdict.check not in LOCAL or verdict.kind == kinds.MISSING or is_of_function(verdict):
            return False
        return any(
            verdict.owner in (v.explains or ()) and (backward or v.check not in BACKWARD)
            for v in self.by_function
        )

    def is_behind_crash(self, verdict: Verdict) -> bool:
        """Whether it is a gradient that a module lacks in which, or around which, something raised."""
        lacks = verdict.kind in (kinds.DETACHED, kinds.MISSING) or ONE_SIDE in verdict.message
        if verdict.check not in BACKWARD or not lacks or not verdict.owner:
            return False
        owner = f"{verdict.owner}."
        around = (owner.startswith(f"{name}.") or name == ROOT for name in self.raised)
        return any(around) or any(f"{name}.".startswith(owner) for name in self.raised)

    def is_held(self, verdict: Verdict) -> bool:
        """Whether it is inside of a module that is wrong itself, and there on one side only."""
        if verdict.check not in LOCAL or verdict.kind != kinds.MISSING:
            return False
        name = parent_of(module_of(verdict.node))
        while name and name not in self.wrong:
            name = parent_of(name)
        return bool(name)


def is_of_function(verdict: Verdict) -> bool:
    """Whether it looks at one of the user's functions by itself (ask/called.py)."""
    return verdict.case.endswith(f": {checks.FUNCTIONS}")


def parent_of(name: str) -> str:
    return name.rpartition(".")[0]


def is_inherited(verdict: Verdict) -> bool:
    """Whether it looks at a whole run; an optimiser, a schedule are looked at by themselves."""
    _, _, part = verdict.case.partition(": ")
    return verdict.check in INHERITED and part in ("", "training steps", "own training step")


def is_of_resized(verdict: Verdict, failed: list[Verdict]) -> bool:
    """Whether boxes of a batch are as much larger as its image, whose size is told."""
    scaled = SCALED.match(verdict.message) if verdict.check == checks.BATCHES else None
    if not scaled:
        return False
    batch = verdict.node.partition("[")[0]
    sizes = (RESIZED.match(v.message) for v in failed if v.node.partition("[")[0] == batch)
    x, y = map(float, scaled.groups())
    return any(
        abs(x * int(s[2]) - int(s[4])) < 1e-2 and abs(y * int(s[1]) - int(s[3])) < 1e-2
        for s in sizes
        if s
    )


def is_of_frozen(verdict: Verdict, failed: list[Verdict]) -> bool:
    """Whether it is the gradient of a parameter that one side alone trains, which the names say."""
    if verdict.kind != kinds.MISSING or verdict.check not in BACKWARD or "/in" in verdict.node:
        return False
    if not any(v.check == checks.NAMES and v.kind == kinds.FROZEN for v in failed):
        return False
    forward = set(LOCAL) - set(BACKWARD)
    return not any(v.node == verdict.node and v.check in forward for v in failed)


def is_crash_again(verdict: Verdict, failed: list[Verdict]) -> bool:
    """Whether training steps end with the error that one side raised before, without them: told there."""
    if verdict.check != CRASHED:
        return False
    before = failed if " raised " not in verdict.message else failed[: _place(verdict, failed)]
    told = [v for v in before if v.kind == kinds.CRASH and " raised " in v.message]
    if " raised " in verdict.message and not verdict.node.startswith("("):
        told = [v for v in told if v.node == verdict.node]  # two modules may raise alike
    again = _error_of(verdict)
    if verdict.node == RUN:  # where nobody knows, as what is lazy raises when it is looked at
        return any(_type_of(verdict) == _type_of(v) for v in told if v is not verdict)
    return any(again.endswith(_error_of(v)) for v in told)


def _type_of(verdict: Verdict) -> str:
    """As "jittor raised RuntimeError"."""
    return verdict.message.partition(": ")[0]


def _error_of(verdict: Verdict) -> str:
    return verdict.message.partition("\n")[0].replace(" raised ", ": ", 1)


def _place(verdict: Verdict, failed: list[Verdict]) -> int:
    return next(k for k, v in enumerate(failed) if v is verdict)


def parted_before(groups: dict, inherited: list[Verdict]) -> list[Verdict]:
    """What parted in a user's own training step before anything that could explain it: a cause of its own."""
    parted = [v for v in inherited if v.check in checks.OWN_VALUES]
    if not parted:
        return []
    others = [f[0] for f in groups.values() if f[0].check != checks.INITIAL]
    # only what changes later, as a rate that is not lowered, is known not to explain it
    first = min(map(_step_of, parted))
    if not others or any(_step_of(v) <= first for v in others):
        return []
    return [v for v in parted if _step_of(v) == first]


def _step_of(verdict: Verdict) -> int:
    """Of nodes such as rates/optimiser/step1; -1 where there is none: it holds from the beginning."""
    found = re.search(r"(?:^|/)step(\d+)(?:/|$)", verdict.node)
    return int(found[1]) if found else -1
