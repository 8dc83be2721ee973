"""What two users' own training steps did, step by step: modes, freezing, rates, what moved and by how much, what EMA
holds. Once values part they are not compared any further: everything behind inherits.

Before: sides/own_step.py, which saw it. ask/training.py begins (check_steps).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

import numpy as np

from parity.engine.judge import checks, gates, kinds
from parity.engine.judge.judging import SIDES, judge_nodes, relative_l2
from parity.engine.judge.verdicts import STILL, Status, Verdict
from parity.engine.judge.weights import IDLE
from parity.engine.tell.known import AS_ROUNDED

NAME = "own training step"
MOMENTUM = 0.1  # of both frameworks' batch norms
UNTOLD = (
    "the steps return nothing: losses, rates and EMA are not compared; "
    'return {"loss": loss, "optimiser": optimiser, "ema": ema}'
)
BIASED = "Jittor's batch norm keeps the biased variance"


class OwnSteps:
    """Judges step after step; `before` are the weights at the start."""

    def __init__(self, case: str, before: Mapping[str, np.ndarray], sides=SIDES, wide: bool = True):
        self.case, self.sides = f"{case}: {NAME}", sides
        self.limit = gates.OWN_STEP if wide else gates.OWN_STEP_32
        self.states = [dict(before), dict(before)]
        self.moved: list[list[set[str]]] = []  # by step: what moved on each side
        self.rates: list[list[dict]] = []
        self.gradients: list[list[set[str]]] = []
        self.parted = ""  # where values did
        self.returned = False  # whether a step gave anything
        self.biased: set[str] = set()  # variances that the candidate keeps as Jittor does

    def judge(self, step: int, answers: list[Mapping]) -> list[Verdict]:
        """Verdicts of one step, from both sides' answers (own_step.one_step)."""
        found = [*self.begin(step, answers), *self._rates(step, answers)]
        moved = [
            {n: s[n] - old[n] for n in s if n in old and s[n].shape == old[n].shape}
            for s, old in zip((a["state"] for a in answers), self.states, strict=True)
        ]
        self.moved.append([{n for n, x in one.items() if x.any()} for one in moved])
        self.returned |= any(a[part] for a in answers for part in ("numbers", "rates", "held"))
        self.gradients.append([{n for n, g in a["gradients"].items() if g > 0} for a in answers])
        earlier, self.states = self.states, [dict(a["state"]) for a in answers]
        if self.parted:
            return found
        self.biased = {
            n
            for n in self.states[0]
            if n.endswith("running_var") and is_biased(n, earlier, self.states)
        }
        values = self._values(step, answers, moved)
        self.parted = f"step{step}" if any(v.status is Status.FAIL for v in values) else ""
        return found + values

    def begin(self, step: int, answers: list[Mapping]) -> list[Verdict]:
        """What a step that was not done has told already: modes, and what is frozen."""
        return [*self._modes(step, answers), *self._trainable(step, answers)]

    def verdict(
        self, check: str, node: str, problem: str = "", kind: str = "", names: list[str] = ()
    ) -> Verdict:
        """names: all of those of which the problem tells a few."""
        status = Status.FAIL if problem else Status.PASS
        named = tuple(names) if problem and names else None
        return Verdict(self.case, check, node, status, message=problem, kind=kind, names=named)

    def nothing(self, verdict: Verdict, told: str) -> Verdict:
        """A verdict on steps that move nothing: FAIL where they return nothing besides, so that nothing is compared."""
        if self.returned:
            return verdict.but(status=Status.INCONCLUSIVE, message=told)
        message = f"nothing to compare: {told}, and nothing is returned"
        return verdict.but(status=Status.FAIL, message=message, kind=kinds.STILL)

    def _modes(self, step: int, answers: list[Mapping]):
        ours, theirs = (a["modes"] for a in answers)
        odd = [n for n in ours if n in theirs and ours[n] != theirs[n]]
        problem, which = "", []
        if odd:
            leaves = [n for n in odd if not any(m.startswith(f"{n}.") for m in odd)]
            training = [n for n in leaves if theirs[n]]
            which, who, other = (
                (training, self.sides[1], self.sides[0])
                if training
                else (leaves, self.sides[0], self.sides[1])
            )
            kinds_of = Counter(answers[1]["classes"].get(n, "module") for n in which)
            listed = ", ".join(f"{count} {kind}" for kind, count in kinds_of.most_common(3))
            problem = f"{listed} in training mode on {who}'s side, {other}'s are not: {some(which)}"
        return [self.verdict(checks.MODES, f"modes/step{step}", problem, kinds.MODE, which)]

    def _trainable(self, step: int, answers: list[Mapping]):
        # buffers are parameters in Jittor: of those PyTorch does not train, what has a gradient counts
        ours, theirs = (set(a["trainable"]) for a in answers)
        reached = {n for n, g in answers[0].get("gradients", {}).items() if g > 0}
        idle = ours - theirs - reached
        told = one_sided([ours - idle, theirs], self.sides, "asks for gradients")
        found = self.verdict(checks.TRAINABLE, f"frozen/step{step}", told[0], kinds.FROZEN, told[1])
        if idle and not told[0]:
            names, message = tuple(sorted(idle)), f"{IDLE}: {some(sorted(idle))}"
            found = found.but(status=Status.KNOWN, message=message, names=names)
        return [found]

    def _rates(self, step: int, answers: list[Mapping]):
        pair = [a["rates"] for a in answers]
        self.rates.append(pair)
        verdicts = []
        for name in dict.fromkeys([*pair[0], *pair[1]]):
            ours, theirs = (p.get(name) for p in pair)
            node = f"rates/{name}/step{step}"
            if ours is None or theirs is None or len(ours) != len(theirs):
                counts = " and ".join("none" if x is None else f"{len(x)}" for x in (ours, theirs))
                problem = f"{counts} parameter groups in {self.sides[0]} and {self.sides[1]}"
                verdicts.append(self.verdict(checks.RATES, node, problem, kinds.RATE))
                continue
            problem = "; ".join(
                self._rate(name, group, a, b)
                for group, (a, b) in enumerate(zip(ours, theirs, strict=True))
                if not abs(a - b) <= gates.ROUNDED * max(abs(a), abs(b))
            )
            verdicts.append(self.verdict(checks.RATES, node, problem, kinds.RATE))
        return verdicts

    def _rate(self, name: str, group: int, a: float, b: float) -> str:
        """How one group's rates differ: one of them may have been kept where the other changed."""
        for side, k, now, other in ((self.sides[1], 1, b, a), (self.sides[0], 0, a, b)):
            earlier = [r[k][name][group] for r in self.rates[:-1] if name in r[k]]
            others = [r[1 - k][name][group] for r in self.rates[:-1] if name in r[1 - k]]
            if earlier and earlier[-1] == now and others and others[-1] != other:
                return f"{side}'s group {group} keeps its rate {now:g} where the other's goes to {other:g}"
        return f"group {group}: {self.sides[0]} {a:g}, {self.sides[1]} {b:g}"

    def _values(self, step: int, answers: list[Mapping], moved: list[dict]) -> list[Verdict]:
        boxed = [{k: np.array([v]) for k, v in a["numbers"].items()} for a in answers]
        norms = [{n: np.array([g]) for n, g in a["gradients"].items() if g > 0} for a in answers]
        largest = max((float(g[0]) for g in norms[0].values()), default=0.0)
        buffers = set(answers[0]["state"]) - set(answers[0]["trainable"])
        way = [{n: x for n, x in one.items() if n not in buffers} for one in moved]
        size = max((float(np.abs(x).max()) for x in way[0].values() if x.size), default=0.0)
        statistics = [{n: a["state"][n] for n in buffers if n in a["state"]} for a in answers]
        parts = (
            (checks.OWN_NUMBERS, "numbers", boxed, 0.0),
            (checks.OWN_GRADIENTS, "gradients", norms, gates.OWN_STEP_LEAST * largest),
            (checks.OWN_MOVED, "moved", way, gates.OWN_STEP_LEAST * size),
            (checks.OWN_STATISTICS, "statistics", statistics, 0.0),
            (checks.OWN_EMA, "EMA", [a["held"] for a in answers], 0.0),
        )
        verdicts = []
        for check, word, pair, scale in parts:
            if not pair[0] and not pair[1]:
                continue
            one = self._judge_one(check, f"{word}/step{step}", scale)
            verdicts += judge_nodes(self.case, check, *pair, one, self.sides)
        return verdicts

    def _judge_one(self, check: str, prefix: str, scale: float) -> Callable:
        def judge_one(node: str, a: np.ndarray, b: np.ndarray) -> Verdict:
            where = f"{prefix}/{node}"
            if a.shape != b.shape:
                problem = f"shapes {a.shape} and {b.shape}"
                return self.verdict(check, where, problem, kinds.SHAPE)
            measured = relative_l2(b, a, scale)
            if not a.any() and np.abs(b).max(initial=0) <= scale:
                measured = 0.0
            verdict = Verdict(self.case, check, where, Status.PASS, measured, self.limit)
            if measured <= self.limit:
                return verdict
            if node.rpartition("/")[2] in self.biased:
                return verdict.but(status=Status.KNOWN, message=BIASED)
            # rates and betas of Jittor's optimisers are float32
            if measured <= gates.OWN_STEP_ROUNDED:
                return verdict.but(status=Status.KNOWN, message=AS_ROUNDED)
            kind, text = kinds.tell(a, b)
            return verdict.but(status=Status.FAIL, kind=kind, message=text)

        return judge_one

    def conclude(self, steps: int) -> list[Verdict]:
        """After the last step: what never moved, and from when on nothing does."""
        verdicts, ever = [], [set().union(*(m[k] for m in self.moved)) for k in (0, 1)]
        known = [set(state) for state in self.states]
        ever = [one & known[0] & known[1] for one in ever]
        problem = ""
        for k, side in enumerate(self.sides):
            last = max((s for s, m in enumerate(self.moved) if m[k]), default=-1)
            other = max((s for s, m in enumerate(self.moved) if m[1 - k]), default=-1)
            if last < other:
                after = f"after step {last}" if last >= 0 else "at all"
                problem = f"on {side}'s side nothing moves {after}"
        verdicts.append(self.verdict(checks.MOVES, "all", problem, kinds.STILL))
        if self.moved and not problem and not any(ever):
            verdicts = [self.nothing(verdicts[0], f"{STILL} in {steps} steps")]
        if self.moved and not self.returned:
            left = Verdict(self.case, checks.OWN_NUMBERS, "returned", Status.NOT_RUN)
            verdicts.append(left.but(message=UNTOLD))
        if not problem:
            told = one_sided(ever, self.sides, f"moves in {steps} steps")
            verdicts.append(self.verdict(checks.MOVES, "each", told[0], kinds.STILL, told[1]))
        seen = [set().union(*(g[k] for g in self.gradients)) for k in (0, 1)]
        if seen[0] or seen[1]:
            told = one_sided(seen, self.sides, "ever gets a gradient")
            verdicts.append(
                self.verdict(checks.REACHED, "gradients", told[0], kinds.DETACHED, told[1])
            )
        return verdicts


def is_biased(name: str, earlier: list[Mapping], now: list[Mapping]) -> bool:
    """Whether the candidate's running variance went on with the biased one, n - 1 of n parts of the reference's."""
    if any(name not in state for state in (*earlier, *now)):
        return False
    ours, theirs = (new[name] - (1 - MOMENTUM) * old[name] for old, new in zip(earlier, now))
    if ours.shape != theirs.shape or not ours.all():
        return False
    parts = theirs / ours
    count = 1 / (1 - parts.mean()) if parts.mean() < 1 else 0.0
    is_whole = round(count) > 1 and abs(count - round(count)) < gates.BIASED_COUNT * count
    return is_whole and np.ptp(parts) < gates.BIASED_APART


def one_sided(pair: list[set[str]], sides: tuple[str, str], what: str) -> tuple[str, list[str]]:
    """("only on torch's side ...: a, b, c, d and 3 more", all of these names); "" and none when both are the same."""
    parts, names = [], []
    for k, side in enumerate(sides):
        only = sorted(pair[k] - pair[1 - k])
        names += only
        if only:
            parts.append(f"only on {side}'s side {what}: {some(only)}")
    return "; ".join(parts), names


def some(names: list[str]) -> str:
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return ", ".join(names[:4]) + more
