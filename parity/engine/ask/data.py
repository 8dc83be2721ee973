"""The data of both sides: batches of their own pipelines, category ids on the way in and out, their evaluators.

Before: training.py. Asked by everything.py; judge/pipelines.py finds the words for what differs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np

from parity.case import Case
from parity.engine.ask.examination import Examination
from parity.engine.ask.result import Result
from parity.engine.ask.training import prepared
from parity.engine.judge import gates, kinds
from parity.engine.judge.checks import BATCHES, CATEGORIES, FLIPS
from parity.engine.judge.judging import judge, judge_nodes
from parity.engine.judge.pipelines import explain, is_image
from parity.engine.judge.verdicts import Status, Verdict
from parity.engine.sides.workers import Workers
from parity.engine.values import tree

HERE = "parity.engine.ask.data"
PARTS = (BATCHES, CATEGORIES, "evaluate")  # of a Subject
NOTHING = "the subjects have no data: give Subject(batches=...)"
YIELD = "yield batches: trees of arrays, tensors, numbers and strings"
LISTED = 3  # category ids in a message
WIDE = {"i": np.int64, "u": np.int64, "f": np.float64}


def check_data(
    case: Case,
    workers: Workers | None = None,
    *,
    seeds: Iterable[int] = (0,),
    batches: int = 4,
    device: str = "cpu",
    needed: bool = True,
) -> Result:
    """What the subjects' own pipelines give for the same seed: structure, integers and strings alike, floats within
    float32 rounding, with what differs in words; and their `categories` and `evaluate`, where they have them.

    Subjects without any of these: one FAIL, or no verdict where none is `needed`.
    """

    def ask(examination: Examination, used: Workers) -> list[Verdict]:
        name, sides = f"{case.name}: data", case.labels
        has = used.run(f"{HERE}:parts", sides=sides)
        verdicts = [
            Verdict(
                name, part, part, Status.FAIL, message=f"only {side} has it", kind=kinds.MISSING
            )
            for part in PARTS
            for side, other in (sides, sides[::-1])
            if part in has[side] and part not in has[other]
        ]
        both = [part for part in PARTS if all(part in has[side] for side in sides)]
        if not both and not verdicts:
            nothing = Verdict(name, BATCHES, "(all)", Status.FAIL, message=NOTHING)
            return [nothing] if needed else []
        for seed in seeds if "batches" in both else ():
            found = used.run(f"{HERE}:first_batches", seed, batches, sides=sides)
            odd = [f"{side}'s {found[side]}" for side in sides if isinstance(found[side], str)]
            if odd:
                wrong = Verdict(name, BATCHES, f"seed{seed}", Status.FAIL, message="; ".join(odd))
                return [*verdicts, wrong.but(kind=kinds.DATA)]
            verdicts += compare_batches(name, *(found[side] for side in sides), sides)
        if "categories" in both:
            found = used.run(f"{HERE}:own_categories", sides=sides)
            verdicts += compare_categories(name, *(found[side] for side in sides), sides)
        if "evaluate" in both:
            found = used.run(f"{HERE}:own_scores", sides=sides)
            verdicts += compare_scores(name, *(found[side] for side in sides), sides)
        return verdicts

    return prepared(case, workers, device, ask, "float32", "data")


def parts(server) -> list[str]:
    """In a worker: what the subject says of data."""
    return [part for part in PARTS if getattr(server.runner.subject, part) is not None]


def first_batches(server, seed: int, count: int) -> dict[str, np.ndarray] | str:
    """In a worker: arrays, numbers and strings of the first batches, by seed, batch and path; or what is wrong with
    what the pipeline gives."""
    subject, backend = server.runner.subject, server.backend
    called, given, found = f"{name_of(subject.batches)}({seed})", subject.batches(seed), {}
    try:
        one = isinstance(given, (str, Mapping, np.ndarray)) or backend.is_tensor(given)
        each = iter(() if one else given)
    except TypeError:
        one = True
    if one:
        return f"{called} gives a {type(given).__name__}; {YIELD}"
    for k, batch in zip(range(count), each):
        leaves = tree.leaves(
            batch, lambda x: backend.is_tensor(x) or isinstance(x, (np.ndarray, int, float, str))
        )
        before = len(found)
        for path, leaf in leaves:
            array = backend.to_numpy(leaf) if backend.is_tensor(leaf) else np.asarray(leaf)
            wide = WIDE.get(array.dtype.kind)
            found[f"seed{seed}/batch{k}{path}"] = array if wide is None else array.astype(wide)
        if len(found) == before:
            return f"{called}: batch {k} is a {type(batch).__name__} without any; {YIELD}"
    return found or f"{called} gives no batch; {YIELD}"


def name_of(function: Callable) -> str:
    return getattr(function, "__name__", type(function).__name__)


def own_categories(server) -> dict[int, list[int]]:
    """In a worker: by category id of the files, the label that training gets and the id that results come out with."""
    found = server.runner.subject.categories()
    return {int(given): [int(x) for x in pair] for given, pair in found.items()}


def own_scores(server) -> dict[str, float]:
    """In a worker: what the subject's evaluator says of ground truth given as detections."""
    return {str(name): float(x) for name, x in server.runner.subject.evaluate().items()}


def compare_batches(case: str, reference: dict, candidate: dict, sides) -> list[Verdict]:
    """Place by place; a FAIL says in words what differs."""
    flipped: dict[str, set[str]] = {}  # by batch: what is, "image" or "boxes"

    def judge_one(node, a, b):
        verdict = judge(case, BATCHES, node, b, a, gates.LOSS)
        # shapes of one element are told apart by their sizes only: Jittor has no scalars
        if verdict.status is not Status.FAIL and a.shape == b.shape:
            return verdict
        if a.size == b.size == 0 or (a.size == b.size == 1 and a.ravel()[0] == b.ravel()[0]):
            return verdict.but(status=Status.PASS, message="")
        text = explain(a, b)
        if "left to right" in text:
            what = "image" if is_image(a) else "boxes"
            flipped.setdefault(node.partition("[")[0], set()).add(what)
        return verdict.but(message=text or verdict.message, kind=kinds.DATA)

    found = judge_nodes(case, BATCHES, reference, candidate, judge_one, sides)
    for batch, what in flipped.items():
        inside = [x for node, x in reference.items() if node.startswith(f"{batch}[")]
        if len(what) == 1 and any(x.ndim == 2 and x.shape[1] == 4 for x in inside):
            which = "images but not boxes" if "image" in what else "boxes but not images"
            message = f"flipped left to right: {which}"
            found.append(Verdict(case, FLIPS, batch, Status.FAIL, message=message, kind=kinds.DATA))
    return found


def compare_categories(case: str, reference: dict, candidate: dict, sides) -> list[Verdict]:
    """The ids of the files, the labels, and the ids that come out; all ids that differ are one FAIL."""
    found, texts = [], []
    for given in sorted({*reference, *candidate}):
        pairs, node = (reference.get(given), candidate.get(given)), f"category {given}"
        if pairs[0] != pairs[1]:
            both = (
                f"{side}: {'not there' if p is None else f'label {p[0]}, out as {p[1]}'}"
                for side, p in zip(sides, pairs)
            )
            texts.append(f"category {given}: {'; '.join(both)}")
        elif pairs[0][1] != given:
            message = f"comes out as {pairs[0][1]} on both sides"
            found.append(Verdict(case, CATEGORIES, node, Status.INCONCLUSIVE, message=message))
        else:
            found.append(Verdict(case, CATEGORIES, node, Status.PASS))
    if texts:
        more = f"; and {len(texts) - LISTED} more" if len(texts) > LISTED else ""
        message = "; ".join(texts[:LISTED]) + more
        wrong = Verdict(case, CATEGORIES, "categories", Status.FAIL, message=message)
        found.append(wrong.but(kind=kinds.DATA))
    return found


def compare_scores(case: str, reference: dict, candidate: dict, sides) -> list[Verdict]:
    """Of ground truth given as detections; what is not perfect on the reference's side proves little."""
    as_arrays = ({k: np.float64(x) for k, x in scores.items()} for scores in (reference, candidate))

    def judge_one(node, a, b):
        verdict = judge(case, "evaluate", node, b, a, gates.LOSS)
        told = f"{sides[0]} {float(a):.6g}, {sides[1]} {float(b):.6g} for ground truth"
        failed = verdict.status is Status.FAIL
        return verdict.but(message=told, kind=kinds.DATA if failed else "")

    return judge_nodes(case, "evaluate", *as_arrays, judge_one, sides)
