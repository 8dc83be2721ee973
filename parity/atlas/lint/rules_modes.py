"""Training and evaluation by turns, and how long what is computed lazily takes."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from parity.atlas.lint.code import Code
from parity.atlas.lint.finding import Finding
from parity.atlas.lint.kinds import MODULE, TORCH, TORCH_MODULE
from parity.atlas.lint.rules_own import handed, is_shadowed, method_of
from parity.atlas.lint.rules_training import is_step
from parity.atlas.lint.source import FUNCTIONS, name_of

LOOPS = (ast.For, ast.While)
STEPS = 2  # of functions that call functions
CLOCKS = {"time.time", "time.perf_counter", "time.monotonic", "timeit.default_timer"}
NETLIKE = re.compile(
    r"(^|_)(net|model|generator|detector|backbone|discriminator|classifier|classification_?head)(_|\d|$)",
    re.IGNORECASE,
)
IDLE = {
    *("step", "zero_grad", "nll_loss", "mse_loss", "cross_entropy_loss", "criterion", "loss_fn"),
    "no_grad",
    "unsqueeze",
    "squeeze",
    "reshape",
    "view",
    "permute",
    "transpose",
    "float32",
    "float",
}


@dataclass(frozen=True)
class Event:
    """name: "eval", "train" or "step"; owner: of what, as the loop names it; node: where the file says so."""

    name: str
    owner: str
    node: ast.Call


def turns(code: Code) -> Iterator[Finding]:
    """A loop that trains and evaluates, by functions of the program's too, and never calls train() again."""
    for loop in code.every(*LOOPS):
        if code.source.enclosing(loop, FUNCTIONS) is None and not code.source.uses_jittor:
            continue
        happened = list(events(code, loop, {}, STEPS))
        names = {event.name for event in happened}
        inner = [n for n in ast.walk(loop) if isinstance(n, LOOPS) and n is not loop]
        if names != {"eval", "step"} or any(both(code, other) for other in inner):
            continue
        for event in happened:
            if event.name == "eval" and is_trained(code, event.owner):
                message = f"eval() stops all gradients, and the loop of line {loop.lineno} never calls train() again"
                yield code.found(event.node, "eval-stops-gradients", message)
                break


def both(code: Code, loop: ast.AST) -> bool:
    return {"eval", "step"} <= {event.name for event in events(code, loop, {}, STEPS)}


def is_trained(code: Code, owner: str) -> bool:
    """Whether train() or parameters() of a model is called anywhere in the file."""
    return any(
        isinstance(n, ast.Attribute)
        and n.attr in ("train", "parameters", "named_parameters")
        and ast.unparse(n.value) == owner
        for n in code.nodes
    )


def events(code: Code, body: ast.AST, given: dict[str, str], steps: int) -> Iterator[Event]:
    """In the order of the text; given: how the caller names the arguments of this function."""
    calls = [n for n in inside(body) if isinstance(n, ast.Call)]
    for call in sorted(calls, key=lambda n: (n.lineno, n.col_offset)):
        owner = ast.unparse(call.func.value) if isinstance(call.func, ast.Attribute) else ""
        name = call.func.attr if owner else ""
        foreign = bool(owner) and code.of(call.func.value).kind in (TORCH, TORCH_MODULE)
        if name in ("eval", "train") and not call.args and not foreign:
            first, dot, rest = owner.partition(".")
            yield Event(name, f"{given.get(first, first)}{dot}{rest}", call)
        elif name in ("step", "backward") and is_step(name, owner, call):
            yield Event("step", owner, call)
        elif steps and (function := callee(code, call)) is not None and function is not body:
            own = any(function is n for n in code.nodes)
            made = made_in(function)
            for event in events(code, function, named(function, call, given), steps - 1):
                if event.name == "eval" and event.owner.split(".")[0] in made:
                    continue
                yield event if own else Event(event.name, event.owner, call)


def made_in(function: ast.AST) -> set[str]:
    """What a function makes itself and calls so: net = Net(), which nobody trains who calls it."""
    made = (n for n in inside(function) if isinstance(n, ast.Assign) and len(n.targets) == 1)
    return {
        name_of(n.targets[0])
        for n in made
        if isinstance(n.value, ast.Call) and name_of(n.value.func)[:1].isupper()
    } - {""}


def inside(body: ast.AST) -> Iterator[ast.AST]:
    """What runs when a loop or a function runs: not what the functions within it do."""
    waiting = list(ast.iter_child_nodes(body))
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            waiting += ast.iter_child_nodes(node)


def callee(code: Code, call: ast.Call) -> ast.FunctionDef | None:
    """A function of the program's that is called by its name, or a method of self."""
    func = call.func
    if isinstance(func, ast.Name) and not is_shadowed(code, func):
        place = code.program.definition(code.path, func.id)
        return place[1] if place and isinstance(place[1], ast.FunctionDef) else None
    if (
        isinstance(func, ast.Attribute)
        and isinstance(func.value, ast.Name)
        and func.value.id == "self"
    ):
        owner = code.source.enclosing(call, (ast.ClassDef,))
        return owner and method_of(code.program, code.path, owner, func.attr)
    return None


def named(function: ast.FunctionDef, call: ast.Call, given: dict[str, str]) -> dict[str, str]:
    """How the loop names the arguments of a function."""
    texts = {name: ast.unparse(value) for name, value in handed(function, call).items()}
    return {name: given.get(text, text) for name, text in texts.items()}


def durations(code: Code) -> Iterator[Finding]:
    """start = time.time(); y = net(x); time.time() - start: nothing is computed by then."""
    for body in code.bodies:
        starts = {}
        for node in body:
            started = isinstance(node, ast.Assign) and is_clock(code, node.value)
            if started and isinstance(node.targets[0], ast.Name):
                starts.setdefault(node.targets[0].id, []).append(node)
        for node in body:
            taken = isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub)
            if not taken or not isinstance(node.right, ast.Name):
                continue
            ended = read_before(starts, node.left, node.lineno)
            end = node.lineno if is_clock(code, node.left) else ended.lineno if ended else 0
            last = read_before(starts, node.right, end)
            if last is not None and is_idle(code, body, last.end_lineno, end):
                message = (
                    "measures no computing, which is lazy: jt.sync_all(True) before both times"
                )
                yield code.found(node, "lazy-time", message)


def read_before(starts: dict[str, list], name: ast.AST, line: int) -> ast.Assign | None:
    """The last reading of the clock that a name holds at a line."""
    before = [n for n in starts.get(name_of(name), ()) if n.lineno < line]
    return max(before, key=lambda n: n.lineno, default=None)


def is_clock(code: Code, node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and code.source.dotted(node.func) in CLOCKS


def is_idle(code: Code, body: list[ast.AST], start: int, end: int) -> bool:
    """Whether a network is called between two lines, and nothing there that would wait for it."""
    between = [n for n in body if start < getattr(n, "lineno", 0) < end]
    calls = [n for n in between if isinstance(n, ast.Call)]
    runs = [n for n in calls if is_network(code, n)]
    waits = any(
        (isinstance(n, ast.Attribute) and n.attr == "data") or isinstance(n, (*LOOPS, ast.If))
        for n in between
    )
    others = [n for n in calls if n not in runs and name_of(n.func) not in IDLE]
    return bool(runs) and not waits and not others


def is_network(code: Code, call: ast.Call) -> bool:
    known = code.of(call.func).kind
    named = not known and NETLIKE.search(name_of(call.func)) and code.speaks_jittor(call)
    return known == MODULE or bool(named)


RULES = (turns, durations)
