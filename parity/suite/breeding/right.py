"""Whether the causes that are named are where a mutant is: the module that it is in or makes, or its very function.

What a function makes is known from the sound run: in which modules' calls it ran, whom it constructed, who called it
(parity/mutants/covered.py). Code that runs in no module makes values with names of their own, by the table below.
A text is right that names a line of the mutant's function in its file, that function, or the row of a table.
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
KEPT = re.compile(r"^\s*self\.(\w+) = ", re.MULTILINE)  # what a constructor keeps
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
    "runtime.py:_first_line": r"^describe/(cuda|compiler) ",
    "runtime.py:compiler_version": r"^describe/compiler ",
    "runtime.py:nvcc_version": r"^describe/cuda ",
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
    if is_named(mutant, cause):
        return True
    known = functions_of(mutant, learned)
    told = {module(p) for p in (cause.where, *cause.also)}
    places = set(told)
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
    # what an error mentions, an option for example, is no place
    text = [*told, cause.node, *re.findall(r"; before it (\S+) was chosen", cause.summary)]
    return any(re.search(p, t) for p in stages_of(function, callers) for t in text)


def is_named(mutant: Bred, cause: Cause) -> bool:
    """Whether a cause has the name of the mutant's own function, of its row in a table, or of what ranks alone run."""
    name = mutant.function.rpartition(".")[2]
    if mutant.path.name == "group.py" and cause.check.startswith("ranks: "):
        return True  # one process does the same without it
    if cause.check == "session" and name in re.findall(r"\w+", cause.node.partition("/")[0]):
        return True  # nodes begin with the method that was asked
    maker = re.search(r"; computed by ([^;]*)", cause.summary)
    if maker and mutant.function in re.findall(r"[\w.]+", maker[1]):
        return True
    row = row_of(mutant)
    return bool(row) and cause.node == row.partition(" ")[0]


def row_of(mutant: Bred) -> str:
    """The key of the entry of a module's dictionary that a mutant is in."""
    if mutant.function:
        return ""
    for table in (x for x in ast.walk(parsed(mutant.path)) if isinstance(x, ast.Dict)):
        for key, value in zip(table.keys, table.values):
            inside = value.lineno <= mutant.line <= value.end_lineno
            if inside and isinstance(getattr(key, "value", None), str):
                return key.value
    return ""


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
    """What a mutant changes in modules that its function constructs: the parts that its statement makes, or that are
    made of the variable that it sets, or all; of the model itself only such parts, as everything is in it."""
    lines = statement(mutant)
    parts = KEPT.findall("\n".join(lines))
    variable = re.match(r"\s*(\w+) = ", lines[0])
    if variable and not parts:
        first, last = span(mutant, mutant.function)
        own = mutant.path.read_text().splitlines()[first - 1 : last]
        read = re.compile(rf"(?<![\w.]){variable[1]}\b(?! = )")
        parts = [part for line in own if read.search(line) for part in KEPT.findall(line)]
    if not parts:
        return set(made)
    return {part if m == ROOT else f"{m}.{part}" for m in made for part in parts}


def is_told(mutant: Bred, text: str) -> bool:
    """Whether an error's text names the place: a line of the mutant's statement; where it came up a line of its
    function; that function itself; the attribute that the statement makes, as part of a weight's name."""
    made = re.findall(r"self\.(\w+) = ", "\n".join(statement(mutant)))
    if any(re.search(rf"\b{part}\.\w", text) for part in made):
        return True
    lines = re.findall(rf"{re.escape(mutant.file)}\W+(?:line )?(\d+)", text)
    if any(mutant.first <= int(line) <= mutant.last for line in lines):
        return True
    # the last of a traceback, the first of a stack
    deepest = re.findall(r"^(\S+):(\d+), in ", text, re.MULTILINE)[-1:]
    deepest += re.findall(r"; it ran (\S+):(\d+), in ", text)
    first, last = span(mutant, mutant.function)
    if any(f.endswith(mutant.file) and first <= int(line) <= last for f, line in deepest):
        return True
    return any(
        is_called(mutant.function, plain(name)) for name in re.findall(r"([\w.<>]+)\(\)", text)
    )


def is_called(function: str, told: str) -> bool:
    """Whether a function, or a class by its constructor, is told under a name: "C.f" by "f", "C.f" or "m.C.f"."""
    names = {told, told.removesuffix(".__init__")} - {""}
    return bool(function) and any(
        f".{function}".endswith(f".{name}") or f".{name}".endswith(f".{function}") for name in names
    )


def statement(mutant: Bred) -> list[str]:
    """Its lines."""
    return mutant.path.read_text().splitlines()[mutant.first - 1 : mutant.last]


def span(mutant: Bred, name: str) -> tuple[int, int]:
    """Lines of a function of the mutant's file, of a class from its decorators to its body; of the statement where
    there is none of that name."""
    for function, node in functions(parsed(mutant.path)):
        if function == name:
            first = min(x.lineno for x in (node, *node.decorator_list))
            is_class = isinstance(node, ast.ClassDef)
            return first, node.body[0].lineno - 1 if is_class else node.end_lineno
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
