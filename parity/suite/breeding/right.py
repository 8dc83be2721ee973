"""Whether the causes that are named are where a mutant is.

What a function makes is known from the sound run: in which modules' calls it ran, whom it constructed, who called it
(parity/mutants/covered.py). Code that runs in no module makes values with names of their own, by the table below.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping

from parity.engine.judge.checks import BEHIND
from parity.engine.tell.causes import Cause
from parity.engine.values.nodes import OUTSIDE, ROOT
from parity.mutants.breeding import Bred, parsed

# of what is made outside of modules: a function below {side}_impl or in neutral, or a file, and places in reports
RAISED = ("worker", BEHIND)
SOURCES = "_sources.py"
RPN, ROI = "faster_rcnn/rpn.py:RegionProposalNetwork.", "faster_rcnn/roi_heads.py:RoiHeads."
STAGES = {
    f"{RPN}predict": r"^rpn|anchor|proposals|loss_(objectness|rpn)",
    f"{RPN}propose": r"proposals",
    f"{RPN}losses": r"anchor|loss_(objectness|rpn)",
    f"{ROI}losses": r"^roi_|loss_(classifier|box_reg)",
    f"{ROI}detect": r"detection|^roi_heads",
    "faster_rcnn/post_process.py": r"detection|^image|\d+/(scores|labels|boxes)",
    "faster_rcnn/detector.py:Detector.run": r"loss/|proposals|anchor|^roi_",
    "faster_rcnn/detector.py:Detector.keys": r"sample",
    "detr/matcher.py": r"matches",
    "detr/criterion.py": r"loss/|error/|matches",
    "detr/segmentation.py:mask_losses": r"loss_(mask|dice)",
    "detr/detector.py:Detector.run": r"max in|image|detection|loss",
    "detr/detector.py:Detector.detections": r"detection|panoptic|^image",
    "detr/post_process.py": r"max in|image|\d+/(scores|labels|boxes|masks)|detection",
    "neutral/weights": r"weight|bias|initial|running|in_proj|import|names",
    "neutral/parameters.py": r"names|step|bn|norm|running|initial|channels",
    "neutral/data": r"train\d|val\d|AP|data|images|boxes|labels",
    "training.py": r"step\d|optimiser|adam|sgd|clip|average|moments",
    "session.py": r"step\d|names|dropout|sample",
    "session.py:Session.detect": r"^image|detection|\d+/(scores|labels|boxes|masks)",
    "session.py:Session.evaluate": r"loss|^image|detection|\d+/(scores|labels|boxes|masks)",
    "session.py:Session.load": r"weight|bias|running|step\d",
    "ops/training.py:load_array": r"weight|bias|running",
    "group.py": r"step\d|loss",
    "neutral/randomness.py": r"sample|dropout|initial|weight|train\d|step\d",
}
AROUND = (
    "training.py",
    "session.py",
    "group.py",
    *(f"{x}/detector.py" for x in ("detr", "faster_rcnn")),
)
# C++ by the constants of {side}_impl/*_sources.py, and what of kernels.py runs it
COMPILED = {
    "BILINEAR": ("BilinearPool",),
    "ROI_POOL": ("RoiPool",),
    "NMS": ("nms",),
    "NMS_CPU": ("nms",),
    "SPECIAL": ("NanToNum", "NanMean", "is_finite", "order_descending"),
    "SORT_CPU": ("order_descending",),
}


def stages_of(function: str, callers: Iterable[str]) -> list[str]:
    """Patterns of what is made where a function stands in the table, else those who called it; those that everything
    runs in count where no other does. What a constructor keeps its class uses: all of its methods count."""
    own, *others = (re.sub(r"^(torch|jittor)_impl/", "", f) for f in (function, *callers))
    kept = own.removesuffix("__init__") if own.endswith(".__init__") else own
    found = [key for key in STAGES if own.startswith(key) or (kept != own and key.startswith(kept))]
    if not found:
        found = [key for key in STAGES if any(f.startswith(key) for f in others)]
        found = [key for key in found if not key.startswith(AROUND)] or found
    longest = max(map(len, found), default=0) if own.startswith("session.py") else 0
    return [STAGES[key] for key in found if len(key) >= longest]


def is_right(mutant: Bred, cause: Cause, learned: Mapping) -> bool:
    """Whether a cause's place is one that the mutant's function makes. `learned`: see covered.Coverage.told."""
    if cause.check in RAISED and is_told(mutant, cause.summary):
        return True
    known = functions_of(mutant, learned)
    places = {module(p) for p in (cause.where, *cause.also)}
    if cause.check in RAISED:  # which weight has another shape, for example
        places |= set(re.findall(r"[\w.]+\.[\w.]+", cause.summary.split("\n")[0]))
    owners = {o for f in known for o in learned["owners"][f]}
    if places & (owners - {OUTSIDE}):
        return True
    made = {m for f in known for m in learned["made"].get(f, ())}
    if places & made or any(is_inside(p, m) for p in places for m in kept_in(mutant, made)):
        return True
    function = f"{mutant.file}:{mutant.function}"
    callers = {c for f in known for c in learned["callers"].get(f, ())} | {function}
    ops = {re.split(r"[:.]", c)[-1] for c in callers if "/ops" in c}
    if re.split(r"[#\[]", cause.node)[0] in ops:
        return True  # an op by itself
    if OUTSIDE not in owners:
        return False
    text = [*places, cause.node]
    return any(re.search(p, t) for p in stages_of(function, callers) for t in text)


def functions_of(mutant: Bred, learned: Mapping) -> list[str]:
    """Those that a mutant changes, of what ran: its own; of a module's or a class's own lines whatever its file has."""
    if mutant.file.endswith(SOURCES):  # C++ runs where it is asked for
        source = re.match(r"(\w+) =", statement(mutant)[0])
        names = COMPILED.get(source[1] if source else "", ("",))
        places = tuple(f"{mutant.side}_impl/kernels.py:{name}" for name in names)
        return [f for f in learned["owners"] if f.startswith(places)]
    function = f"{mutant.file}:{mutant.function}"
    known = [f for f in learned["owners"] if plain(f) == function]
    if not mutant.function or not known:
        known = [f for f in learned["owners"] if f.startswith(f"{mutant.file}:")]
    return known


def kept_in(mutant: Bred, made: Iterable[str]) -> set[str]:
    """What a mutant changes in modules that its function constructs: the part that its statement makes, or all; of the
    model itself only such a part, as everything is in it."""
    parts = re.findall(r"^\s*self\.(\w+) = ", "\n".join(statement(mutant)), re.MULTILINE)
    if not parts:
        return set(made)
    return {part if m == ROOT else f"{m}.{part}" for m in made for part in parts}


def is_told(mutant: Bred, text: str) -> bool:
    """Whether an error's text names the mutant's function: a line of it; itself; the attribute that the mutant's
    statement makes, as part of a weight's name."""
    lines = re.findall(rf"{re.escape(mutant.file)}\W+(?:line )?(\d+)", text)
    spans = [(mutant.first, mutant.last), span(mutant, mutant.function)]
    made = re.findall(r"self\.(\w+) = ", "\n".join(statement(mutant)))
    if any(re.search(rf"\b{part}\.\w", text) for part in made):
        return True
    name = mutant.function.rpartition(".")[2]
    return any(first <= int(line) <= last for line in lines for first, last in spans) or (
        bool(name) and re.search(rf"\b{re.escape(name)}(\.__init__)?\(\)", text) is not None
    )


def statement(mutant: Bred) -> list[str]:
    """Its lines."""
    return mutant.path.read_text().splitlines()[mutant.first - 1 : mutant.last]


def span(mutant: Bred, name: str) -> tuple[int, int]:
    """Lines of a function of the mutant's file; of its statement where there is none of that name."""
    for function, node in functions(parsed(mutant.path)):
        if function == name and not isinstance(node, ast.ClassDef):
            return node.lineno, node.end_lineno
    return mutant.first, mutant.last


def functions(node: ast.AST, name: str = "") -> Iterator[tuple[str, ast.AST]]:
    """Functions and classes of a tree by dotted names."""
    for child in ast.iter_child_nodes(node):
        inner = name
        if isinstance(child, (ast.FunctionDef, ast.ClassDef)):
            inner = f"{name}.{child.name}".lstrip(".")
            yield inner, child
        yield from functions(child, inner)


def plain(function: str) -> str:
    return function.replace("<locals>.", "")


def module(place: str) -> str:
    return place.partition("/in")[0].partition("#")[0]


def is_inside(place: str, name: str) -> bool:
    """Whether a place is a module or in it; of the model itself, which all is in, whether it is that."""
    return place == name or place.startswith(f"{name}.")
