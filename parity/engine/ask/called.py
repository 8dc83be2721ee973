"""The functions that both sides' own code calls by the same name: each of the candidate's is given the reference's
arguments, while what it calls itself answers as the reference's did. What then differs is made by its own lines.

Before: sides/called.py, arguments.py. Asked by everything.py.
"""

from __future__ import annotations

import numpy as np

from parity.case import Case, Side
from parity.engine.ask.arguments import places
from parity.engine.ask.examination import Examination
from parity.engine.ask.result import Result
from parity.engine.ask.training import prepared
from parity.engine.judge import gates, kinds
from parity.engine.judge.branching import difference
from parity.engine.judge.checks import FUNCTIONS, LOCAL_FORWARD_64, LOCAL_GRADIENTS_64
from parity.engine.judge.verdicts import Status, Verdict
from parity.engine.sides.called import ALIKE
from parity.engine.sides.workers import Workers
from parity.engine.values import tree

HERE, LENT = "parity.engine.sides.called", "parity.engine.sides.lent"


def check_called(case: Case, workers: Workers | None = None, *, device: str = "cpu") -> Result:
    """A verdict for every function that can be compared so; none for what is random, keeps a state, or takes and gives
    other things on the two sides."""

    def ask(examination: Examination, used: Workers) -> list[Verdict]:
        return compared(case, used, examination.inputs, examination.targets)

    return prepared(case, workers, device, ask, "float64", FUNCTIONS)


def compared(case: Case, workers: Workers, inputs, targets) -> list[Verdict]:
    """The verdicts, of sides that are built."""
    sides = case.labels
    passed = [file_of(half) for half in (case.reference, case.candidate)]
    names = workers.run(f"{LENT}:own_names", passed, sides=sides)
    lent = {n for side in sides for n in names[side]}
    seen = workers.run(f"{HERE}:observe", inputs, targets, passed, sorted(lent), sides=sides)
    (ours, whole), (theirs, other_whole) = (seen[side] for side in sides)
    others = {}
    for call in theirs:
        others.setdefault(call["name"], call)
    # what both take from a library is neither's own code, whatever else has its name
    anew = [c for c in ours if c["name"] in others and not is_lent(c, others[c["name"]])]
    shared = [c for c in anew if with_places(c, others[c["name"]])]
    functions = [c for c in shared if not c["module"]]
    again = Again(case, workers, shared)
    found, flows = [], {}
    for call, own, other in zip(functions, *again.both(functions), strict=True):
        code = call["code"], others[call["name"]]["code"]
        verdict = judge(case, call, own, other, code)
        found += [(verdict, call, other)] if verdict else []
        if verdict is not None and verdict.status is Status.PASS:
            backward = judge_gradients(case, call["name"], own, other, code)
            flows |= {call["name"]: backward} if backward else {}
    wrong = {c["name"] for v, c, _ in found if v.status is Status.FAIL}
    if numbers(whole["results"]) and agree(whole, other_whole):
        right = wrong  # whatever they do is made good
    else:
        right = right_together(shared, others, wrong, again) if wrong else set()
    found = [x for x in found if x[0].status is not Status.FAIL or x[1]["name"] not in right]
    told = told_of(found, wrong - right, again)
    told += [verdict for name, verdict in flows.items() if name not in wrong]
    return explaining(case, told, shared, again)


def is_lent(*calls: dict) -> bool:
    return all(call["lent"] for call in calls)


def with_places(ours: dict, theirs: dict) -> bool:
    """Whether the candidate's function can be given the reference's arguments: then it is noted how."""
    found = places(ours, theirs)
    ours["places"] = found
    return found is not None


class Again:
    """Calls made again: of the reference's own and of the candidate's with the reference's arguments."""

    def __init__(self, case: Case, workers: Workers, shared: list[dict]):
        self.workers, self.sides = workers, case.labels
        self.places = {call["name"]: call["places"] for call in reversed(shared)}
        self.of = ("name", "arguments", "answers", "which", *(["wanted"] if case.gradients else []))

    def both(self, calls: list[dict]) -> list[list]:
        """Of both sides what sides/called.py tells of each."""
        jobs = [[call[key] for key in self.of] for call in calls]
        jobs = [job if len(job) > 4 else [*job, ()] for job in jobs]
        given = [
            [
                *job,
                call["places"],
                {n: self.places[n] for n, *_ in call["answers"] if n in self.places},
            ]
            for job, call in zip(jobs, calls, strict=True)
        ]
        return [self.one(side, own) for side, own in zip(self.sides, (jobs, given), strict=True)]

    def one(self, side: str, jobs: list) -> list:
        jobs = [tuple(job) for job in jobs]
        return self.workers.run(f"{HERE}:call_again", jobs, sides=(side,))[side]

    def others(self, jobs: list) -> list:
        """Of the candidate alone."""
        return self.one(self.sides[1], jobs)


def explaining(case: Case, told: list[Verdict], shared: list[dict], again: Again) -> list[Verdict]:
    """FAILs of functions with the modules that are wrong for those alone: whose own lines give the reference's results
    where such functions do."""
    names = {v.owner.removesuffix("()") for v in told if v.status is Status.FAIL}
    called: dict[str, set[str]] = {}
    for call in shared:
        called.setdefault(call["name"], set()).update(child for child, *_ in call["answers"])
    wrong = {c["name"]: below(c["name"], called) & names for c in shared if c["module"]}
    jobs = [c for c in shared if c["module"] and wrong[c["name"]]]
    fine: dict[str, bool] = {}
    for call, own, other in zip(jobs, *again.both(jobs), strict=True):
        name, code = call["name"], (call["code"], "")
        verdict = judge(case, call, own, other, code)
        right = verdict is not None and verdict.status is Status.PASS
        right = right and judge_gradients(case, name, own, other, code) is None
        fine[name] = fine.get(name, True) and right
    explains = {n: tuple(m for m in fine if fine[m] and n in wrong[m]) or None for n in names}
    return [
        v.but(explains=explains[v.owner.removesuffix("()")]) if v.status is Status.FAIL else v
        for v in told
    ]


def below(name: str, called: dict[str, set[str]]) -> set[str]:
    """All that a function's or a module's own code calls, and what those call."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        new = called.get(waiting.pop(), set()) - found
        found |= new
        waiting += new
    return found


def told_of(found: list[tuple], wrong: set[str], again: Again) -> list[Verdict]:
    """One verdict of each function; what comes of a wrong one that it calls is told with that. `found`: (verdict, the
    reference's call, the candidate's)."""
    told: dict[str, Verdict] = {}
    narrow: set[str] = set()
    following: list[tuple[str, Verdict]] = []
    for verdict, call, other in found:
        name, fails = call["name"], verdict.status is Status.FAIL
        made_by = wrong & set(other["own"]) - {name}  # what it calls
        if fails and made_by:
            following.append((min(made_by), verdict))
            continue
        if fails and agrees_in_float32(call, other, again):
            narrow.add(name)
            continue
        if name not in told or (fails and told[name].status is not Status.FAIL):
            told[name] = verdict
    for name, verdict in following:
        if name in told:
            text = f"; so {verdict.owner} gives {verdict.message.partition(': ')[2]}"
            told[name] = told[name].but(message=told[name].message + text)
        elif name not in narrow:  # as where two call each other
            told[verdict.owner.removesuffix("()")] = verdict
    return list(told.values())


def agrees_in_float32(call: dict, other: dict, again: Again) -> bool:
    """Whether what is chosen by numbers, integers or how many, differs in float64 alone, where a side has its
    thresholds in float32."""
    wanted, given = numbers(call["results"]), numbers(other["results"])
    if any(x.dtype.kind == "f" and x.shape == given[k].shape for k, x in wanted.items()):
        return False
    is_array = lambda x: isinstance(x, np.ndarray)  # noqa: E731
    given = {k: call[k] for k in ("arguments", "answers")}
    narrow = tree.replaced(
        given, is_array, lambda _, x: x.astype(np.float32) if x.dtype.kind == "f" else x
    )
    ours, theirs = (answers[0] for answers in again.both([call | narrow | {"wanted": ()}]))
    if not ours or not theirs:
        return False
    two = numbers(ours["results"]), numbers(theirs["results"])
    return two[0].keys() == two[1].keys() and not any(
        differs(x, two[1][k]) for k, x in two[0].items()
    )


def right_together(
    shared: list[dict], others: dict[str, dict], wrong: set[str], again: Again
) -> set[str]:
    """Those of `wrong` that are not: the candidate's gives its own call another time otherwise, or gives the
    reference's results for arguments in another form, or another object of that name is right, or all that calls it
    is right with what it calls itself: they share the work in another way."""
    names = sorted(wrong)
    repeated = again.others([(n, others[n]["arguments"], [], others[n]["which"]) for n in names])
    right = {n for n, x in zip(names, repeated, strict=True) if not x or not agree(others[n], x)}
    called: dict[str, set[str]] = {}
    fine: dict[str, bool] = {}
    for call in shared:
        name = call["name"]
        asked = {child for child, *_ in call["answers"]} & wrong
        if name in wrong and name not in called and is_in_another_form(call, others[name]):
            right.add(name)
        if name in wrong or asked:
            called.setdefault(name, set()).update(asked - {name})
            job = (name, call["arguments"], [])
            given = again.others([(*job, n, (), call["places"]) for n in range(ALIKE)])
            fine[name] = fine.get(name, True) and any(x and agree(call, x) for x in given)
    together = {name for name in fine if fine[name]}
    for _ in wrong:  # and what those call, and so on
        by = {n: {c for c in called if n in called[c]} for n in wrong}
        together |= {n for n in wrong if by[n] and by[n] <= together}
    return right | together & wrong


def is_in_another_form(ours: dict, theirs: dict) -> bool:
    """Whether the two sides' own calls give the same floats for other arguments, as where those are swapped."""
    floats = any(x.dtype.kind == "f" for x in numbers(ours["results"]).values())
    return floats and agree(ours, theirs) and not agree(ours, theirs, "arguments")


def agree(ours: dict, theirs: dict, what: str = "results") -> bool:
    """Whether two calls give, or are given, the same numbers."""
    a, b = numbers(ours[what]), numbers(theirs[what])
    return a.keys() == b.keys() and not any(differs(a[k], b[k]) for k in a)


def file_of(side: Side) -> str:
    """The file with the pair, whose functions are none of the port's."""
    return str(side.arguments.get("path", side.build.rpartition(":")[0]))


def numbers(value) -> dict[str, np.ndarray]:
    """Arrays and numbers by path, integers and truth values as one kind."""
    is_leaf = lambda x: isinstance(x, (np.ndarray, bool, int, float))  # noqa: E731
    found = {path: np.asarray(x) for path, x in tree.leaves(value, is_leaf)}
    return {k: x if x.dtype.kind == "f" else x.astype(np.int64) for k, x in found.items()}


def judge(case: Case, call: dict, own, other, code: tuple[str, str]) -> Verdict | None:
    """What differs first; None where the reference does not give the same again, or a side cannot be asked."""
    if not own or not other or own["results"] is None or other["results"] is None:
        return None
    wanted, repeated, given = (numbers(x["results"]) for x in (call, own, other))
    if any(differs(wanted[k], repeated.get(k)) for k in wanted) or wanted.keys() != given.keys():
        return None
    name = f"{call['name']}()"
    base = Verdict(f"{case.name}: {FUNCTIONS}", LOCAL_FORWARD_64, name, Status.PASS, owner=name)
    for path, values in wanted.items():
        apart = differs(values, given[path])
        if apart:
            kind, text, measured = apart
            left = ", ".join(f"{x}()" for x in other["left out"])
            message = f"given the reference's arguments: {text or 'another result'}"
            message += f"; {left} is never called" if left else ""
            kind = kinds.UNCALLED if left else kind
            wrong = base.but(status=Status.FAIL, node=f"{name}{path}", measured=measured)
            return wrong.but(limit=gates.BRANCH, message=message, kind=kind, code=code)
    return base.but(measured=0.0, limit=gates.BRANCH)


def judge_gradients(
    case: Case, name: str, own: dict, other: dict, code: tuple[str, str]
) -> Verdict | None:
    """A FAIL on the first gradient that differs where the results agree; None where none does, or the two sides did not
    ask the same of what they call: its part may be made there."""
    alike = own["asked"] == other["asked"] and not (own["own"] or other["own"])
    wanted, given = own["gradients"], other["gradients"]
    if not alike or not wanted or given is None:
        return None
    sizes = {k: 0.0 if g is None else float(np.linalg.norm(g)) for k, g in wanted.items()}
    least = gates.BRANCH * max(filter(np.isfinite, sizes.values()), default=0.0)
    for path, ours in wanted.items():
        theirs = given.get(path)
        ours, theirs = (None if g is None or not g.any() else g for g in (ours, theirs))
        if not np.isfinite(sizes[path]) or (ours is None and theirs is None):
            continue
        kind, text, measured = kinds.DETACHED, "absent: detached, or in place", 1.0
        if ours is None:
            kind, text = kinds.BACKWARD, "there, the reference's is not"
        elif theirs is not None:
            measured = float(np.linalg.norm(ours - theirs) / sizes[path])
            kind, text = kinds.BACKWARD, f"another one: {kinds.tell(ours, theirs)[1]}"
        apart = measured * (sizes[path] if ours is not None else float(np.linalg.norm(theirs)))
        if not (measured <= gates.BRANCH or apart <= least):  # one that is no number, too
            where = f"{case.name}: {FUNCTIONS}", LOCAL_GRADIENTS_64, f"{name}()/in{path}"
            message = f"given the reference's arguments: the candidate's gradient is {text}"
            found = Verdict(*where, Status.FAIL, measured, gates.BRANCH, message, owner=f"{name}()")
            return found.but(kind=kind, code=code)
    return None


def differs(a: np.ndarray, b: np.ndarray | None) -> tuple[str, str, float] | None:
    return (kinds.MISSING, "", 1.0) if b is None else difference(a, b, 0.0, ties=False)
