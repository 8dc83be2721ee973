"""Runs a piece of code in the framework of this process, and says in plain values what came out."""

from __future__ import annotations

import ast
import importlib
import math
import os
import re
import warnings

import numpy as np

from parity.engine.sides.server import Server

MOST_VALUES = 64  # of an array, in a result


def give_way() -> None:
    """What runs here does so on cores that have nothing else to do."""
    os.nice(10)


def run_snippet(server: Server, given: str, code: str, device: str) -> dict:
    """{"value": ...} or {"raises": exception, "message": its first words}.

    Arrays are {"dtype", "shape", "values"}; lists, tuples and dictionaries hold such, anything else its repr.
    """
    server.configure(device, "float32")
    names: dict = {"np": np}
    exec(given, names)
    framework = server.backend_name
    module = importlib.import_module(framework)
    make = module.from_numpy if framework == "torch" else module.array
    for name, value in list(names.items()):
        if isinstance(value, np.ndarray) and not name.startswith("np_"):
            tensor = make(value)
            names[name] = tensor.to(device) if framework == "torch" else tensor
    names |= {"nn": server.backend.nn, ("torch" if framework == "torch" else "jt"): module}
    part = "nn.functional" if framework == "torch" else "init"
    names["F" if framework == "torch" else "init"] = importlib.import_module(f"{framework}.{part}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return {"value": plain(evaluate(code, names))}
    except Exception as error:
        return {"raises": type(error).__name__, "message": first_words(error)}


def evaluate(code: str, names: dict):
    """Runs all statements; the value of the last, an expression."""
    tree = ast.parse(code.strip())
    last = tree.body.pop()
    assert isinstance(last, ast.Expr), "the last line of a snippet is an expression"
    exec(compile(tree, "<snippet>", "exec"), names)
    return eval(compile(ast.Expression(last.value), "<snippet>", "eval"), names)


def plain(value):
    """The value as numbers, strings, lists and dictionaries."""
    if hasattr(value, "numpy") and hasattr(value, "shape"):
        return of_array(value)
    if isinstance(value, np.ndarray):
        return array_record(value, str(value.dtype))
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (bool, str)) or value is None:
        return value
    if isinstance(value, (int, float)):
        return number(value)
    return repr(value)[:120]


def of_array(tensor) -> dict:
    dtype = str(tensor.dtype).removeprefix("torch.")
    # nothing in between for Jittor: any operation may change what a lazy array comes to
    values = tensor.detach().cpu().numpy() if hasattr(tensor, "data_ptr") else tensor.numpy()
    return array_record(values, dtype)


def array_record(values: np.ndarray, dtype: str) -> dict:
    flat = [number(v) for v in values.ravel()[:MOST_VALUES].tolist()]
    return {"dtype": dtype, "shape": list(values.shape), "values": flat}


def number(value):
    """JSON has no NaN and no infinities: these become words. Floats keep nine digits."""
    if isinstance(value, float):
        if not math.isfinite(value):
            return str(value)
        return float(f"{value:.9g}")
    return value


def first_words(error: Exception) -> str:
    """Jittor's messages are pages long, PyTorch's may hold addresses: the line that says what is wrong."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    wanted = [line for line in lines if re.search(r"Reason|AssertionError|expected|not ", line)]
    text = (wanted or lines or [""])[0]
    text = re.sub(r"\[[a-z] \d{4} [^]]*\]", "", text)  # Jittor's stamps of time and place
    text = re.sub(r"\x1b\[[0-9;]*m|0x[0-9a-f]+|\S*/site-packages/\S*", "", text)
    return text[:160]
