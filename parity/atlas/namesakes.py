"""Every name that PyTorch and Jittor share, with both signatures, found by looking at the installed packages.

`described` runs inside a worker of either framework; `compared` puts two descriptions side by side. namesakes.json
holds what was found, page.py shows it, and the linter reads from it which names, keywords
and orders of arguments Jittor knows.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import sys
from pathlib import Path

from door.files import read_json, write_json

RECORD = Path(__file__).parent / "namesakes.json"
RUN_SNIPPET = "parity.atlas.snippets:run_snippet"
NAMESPACES = {  # PyTorch's: Jittor's
    "torch": "jittor",
    "torch.Tensor": "jittor.Var",
    "torch.nn": "jittor.nn",
    "torch.nn.functional": "jittor.nn",
    "torch.nn.init": "jittor.init",
    "torch.linalg": "jittor.linalg",
    "torch.optim": "jittor.optim",
    "torch.optim.lr_scheduler": "jittor.lr_scheduler",
    "torch.utils.data": "jittor.dataset",
    "torchvision.models": "jittor.models",
    "torchvision.ops": "jittor.misc",
    "torchvision.transforms": "jittor.transform",
}
MORE_OF_JITTOR = ("jittor.misc", "jittor.attention", "jittor.distributions")
REQUIRED = "(required)"
HOUSEKEEPING = {  # parameters of PyTorch that change no values, or that it has given up itself
    *("out", "device", "layout", "memory_format", "requires_grad", "pin_memory", "generator"),
    *("foreach", "fused", "capturable", "differentiable", "size_average", "reduce", "non_blocking"),
    *("pickle_module", "pickle_protocol", "antialias", "sparse", "recompute_scale_factor"),
}
ALIKE = {  # spellings of one thing: a parameter under another name, where the meaning is the same
    **{"input": "x", "self": "x", "tensor": "x", "a": "x", "var": "x"},
    **{
        "dims": "dim",
        "axis": "dim",
        "keepdims": "keepdim",
        "size": "shape",
        "other": "y",
        "b": "y",
    },
}

Parameter = list  # [name, kind ("positional", "keyword", "several" ...; "declared": in C++), default as text]


def described(framework: str) -> dict:
    """{namespace: {name: parameters or None}} of what this process's framework offers; None: no signature."""
    spaces = NAMESPACES if framework == "torch" else {*NAMESPACES.values(), *MORE_OF_JITTOR}
    found = {}
    for space in sorted(spaces):
        owner = located(space)
        is_class = inspect.isclass(owner)
        things = {n: getattr(owner, n, None) for n in dir(owner) if not n.startswith("_")}
        if framework == "torch":
            things = {n: x for n, x in things.items() if is_own(x)}
        found[space] = {n: parameters(x, n, is_class) for n, x in things.items()}
    if framework == "jittor":
        package = importlib.import_module("jittor")
        folders = (f for root in package.__path__ for f in Path(root).iterdir())
        inner = {f.name for f in folders if f.is_dir() and any(f.glob("*.py"))}  # without __init__
        for name in inner | {module.name for module in pkgutil.iter_modules(package.__path__)}:
            found["jittor"].setdefault(name, None)
    return found


def described_apart(framework: str) -> dict:
    """The same in a worker, whose PyTorch keeps to the CPU: with PyTorch's own functions in their places again."""
    if staying := sys.modules.get("parity.backends.torch_staying"):
        staying.stay(False)
    return described(framework)


def is_own(thing) -> bool:
    """Whether it is PyTorch's: its modules also hold what they import from elsewhere."""
    module = getattr(thing, "__module__", None)
    own = not module or module.split(".")[0] in ("torch", "torchvision", "_operator")
    return own and not inspect.ismodule(thing)


def located(path: str):
    """The module or class of a dotted path."""
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError:
        module, _, name = path.rpartition(".")
        return getattr(importlib.import_module(module), name)


def parameters(thing, name: str, is_method: bool) -> list[Parameter] | None:
    """From the object, else from the first line of its documentation, else from Jittor's C++ declaration."""
    if not callable(thing):
        return None
    try:
        given = list(inspect.signature(unwrapped(thing)).parameters.values())
        if is_method and given:
            given = given[1:]
        return [parameter(p.name, p.kind.name, p.default, p.empty) for p in given]
    except (ValueError, TypeError):
        pass
    text = inspect.getdoc(thing) or ""
    if match := re.search(rf"^\s*(?:\w+\.)*{re.escape(name)}\((.*?)\)\s*->", text, re.M | re.S):
        return parsed(match[1].replace("\\*", "*"))
    overloads = []
    for declaration in re.findall(r"Declaration:\s*\n[^(\n]*\((.*)\)", text):
        given = [declared(part) for part in declaration.split(",") if part.strip()]
        overloads.append(given[1:] if is_method else given)
    if not overloads:
        return None
    first, *others = overloads
    names = {name for name, _, _ in first}
    return first + [p for given in others for p in given if p[0] not in names]


def unwrapped(thing):
    """The function within a wrapper of (*args, **kw), as a decorator without functools.wraps leaves it."""
    cells = getattr(thing, "__closure__", None) or ()
    inner = [cell.cell_contents for cell in cells if inspect.isfunction(cell.cell_contents)]
    given = inspect.signature(thing).parameters.values() if len(inner) == 1 else ()
    open_ended = [p.kind for p in given] == [
        inspect.Parameter.VAR_POSITIONAL,
        inspect.Parameter.VAR_KEYWORD,
    ]
    return inner[0] if open_ended else thing


def parameter(name: str, kind: str, default, empty) -> Parameter:
    kinds = {"KEYWORD_ONLY": "keyword", "VAR_POSITIONAL": "several", "VAR_KEYWORD": "any keyword"}
    shown = REQUIRED if default is empty else re.sub(r" at 0x[0-9a-f]+", "", repr(default))[:60]
    return [name, kinds.get(kind, "positional"), shown]


def parsed(text: str) -> list[Parameter] | None:
    """`input, dim, *, dtype=None`, with or without annotations, as documentation writes it."""
    try:
        node = ast.parse(f"def f({text}): pass").body[0].args
    except SyntaxError:
        return None
    found: list[Parameter] = []
    positional = [*node.posonlyargs, *node.args]
    defaults = [None] * (len(positional) - len(node.defaults)) + list(node.defaults)
    for argument, default in zip(positional, defaults, strict=True):
        found.append(
            [argument.arg, "positional", REQUIRED if default is None else ast.unparse(default)]
        )
    if node.vararg:
        found.append([node.vararg.arg, "several", REQUIRED])
    for argument, default in zip(node.kwonlyargs, node.kw_defaults, strict=True):
        found.append(
            [argument.arg, "keyword", REQUIRED if default is None else ast.unparse(default)]
        )
    if node.kwarg:
        found.append([node.kwarg.arg, "any keyword", REQUIRED])
    return found


def declared(text: str) -> Parameter:
    """`bool keepdims=false` of a C++ declaration."""
    named, equals, default = text.partition("=")
    words = {"false": "False", "true": "True", "nullptr": "None", "NanoVector()": "()"}
    name = named.split()[-1].lstrip("*&")
    return [name, "declared", words.get(default.strip(), default.strip()) if equals else REQUIRED]


def compared(torch: dict, jittor: dict) -> dict:
    """{namespace: {"jittor": its counterpart, "missing": names, "shared": {name: both, differences}}}."""
    found = {}
    for space, counterpart in NAMESPACES.items():
        ours, theirs = torch[space], jittor[counterpart]
        shared = {}
        for name in sorted(ours.keys() & theirs.keys()):
            pair = ours[name], theirs[name]
            shared[name] = {
                "torch": pair[0],
                "jittor": pair[1],
                "differences": differences(*pair) if None not in pair else [],
            }
        missing = sorted(n for n in ours.keys() - theirs.keys() if ours[n] is not None)
        found[space] = {"jittor": counterpart, "missing": missing, "shared": shared}
    return found


def canonical(name: str) -> str:
    return ALIKE.get(name, name)


def differences(torch: list[Parameter], jittor: list[Parameter]) -> list[str]:
    """What separates two signatures, in words; empty when a call for one means the same for the other."""
    found = []
    open_ended = {
        side: {k for _, k, _ in given} & {"several", "any keyword"}
        for side, given in (("torch", torch), ("jittor", jittor))
    }
    if open_ended["torch"] or open_ended["jittor"]:
        return []  # nothing can be said of *args and **kwargs
    left = {canonical(n): (n, k, d) for n, k, d in torch}
    right = {canonical(n): (n, k, d) for n, k, d in jittor}
    absent = [n for n in left if n not in right and left[n][2] != REQUIRED]
    found += [
        f"missing: {left[n][0]}" for n in absent if left[n][0] not in HOUSEKEEPING and n[0] != "_"
    ]
    found += [f"extra: {right[n][0]}" for n in right if n not in left and right[n][2] != REQUIRED]
    order = [n for n in left if n in right and left[n][1] == "positional"]
    theirs = [n for n in right if n in order]
    if order != theirs:
        found.append(f"order: {', '.join(theirs)} for {', '.join(order)}")
    for name in left.keys() & right.keys():
        a, b = left[name][2], right[name][2]
        if right[name][1] == "declared" and REQUIRED in (a, b):
            continue  # overloads: what one asks for another does not
        if not same_default(a, b):
            found.append(f"default of {left[name][0]}: {b} for {a}")
        aliased = right[name][1] == "declared"  # C++ takes keepdim for keepdims
        if left[name][0] != right[name][0] and a != REQUIRED and not aliased:
            found.append(f"named otherwise: {right[name][0]} for {left[name][0]}")
    return sorted(found)


def same_default(a: str, b: str) -> bool:
    """1 and 1.0 are one; so are None and nothing given of what has no default on one side only."""
    if a == b:
        return True
    try:
        left, right = ast.literal_eval(a), ast.literal_eval(b)
    except (ValueError, SyntaxError):
        return False
    if isinstance(left, (list, tuple)) and isinstance(right, (list, tuple)):
        return tuple(left) == tuple(right)
    numbers = {type(left), type(right)} == {int, float}
    return left == right and (numbers or isinstance(left, type(right)))


def read_namesakes() -> dict:
    """What was recorded: {"versions", "spaces": see compared, "jittor": {namespace: names}}."""
    return read_json(RECORD)


def write_namesakes(torch: dict, jittor: dict, versions: dict[str, str]) -> None:
    """Puts two descriptions, of workers of both frameworks, into the record."""
    signatures = {
        space: {n: given for n, given in names.items() if given is not None}
        for space, names in jittor.items()
    }
    write_json(
        RECORD,
        {
            "versions": versions,
            "spaces": compared(torch, jittor),
            "names": {space: sorted(names) for space, names in jittor.items()},
            "signatures": signatures,
        },
    )


def look(workers: dict) -> tuple[dict, dict]:
    """Descriptions of both frameworks, each made in its own worker."""
    found = []
    for side in ("torch", "jittor"):
        code = f"import importlib\nimportlib.import_module({__name__!r}).described_apart({side!r})"
        found.append(workers[side].call("run", RUN_SNIPPET, "", code, "cpu")["value"])
    return tuple(found)
