"""What a run leaves behind when a number is not finite: the batch, and the first node that holds NaN or infinity.

And, when it is asked for, where memory goes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from door.files import write_json
from door.tensorfile import Item, write_tensors
from neutral.data.batching import Batch
from neutral.errors import NonFinite
from neutral.finite import first_bad

FOLDER = "non_finite"


def dump(session, batch: Batch, step: int, folder: Path) -> str:
    """Writes the batch and the weights, then runs the step again, watched; returns what was found, in words.

    FOLDER/batch.safetensors (images, mask; boxes0, labels0, ... by image), weights.safetensors, and report.json with
    the first bad weight, node and gradient: forward in the order of execution, gradients in the reverse.
    """
    folder = folder / FOLDER
    arrays = {"images": batch.images, "mask": batch.mask}
    for k, target in enumerate(batch.targets):
        arrays |= {f"boxes{k}": target.boxes, f"labels{k}": target.labels}
    weights = session.state()
    for name, content in (("batch", arrays), ("weights", weights)):
        items = [
            Item(k, str(v.dtype), v.shape, lambda v=v: np.ascontiguousarray(v))
            for k, v in content.items()
        ]
        write_tensors(folder / f"{name}.safetensors", items, {})
    report = {"step": step, "images": [t.image_id for t in batch.targets], "weight": None}
    report["weight"] = first_bad(weights, weights)
    write_json(folder / "report.json", report)  # what follows may crash: Jittor sorts NaN badly
    report |= watched(session, batch, step)
    write_json(folder / "report.json", report)
    kinds = ("weight", "node", "gradient")
    found = next(((kind, report[kind]) for kind in kinds if report.get(kind)), None)
    if not found:
        return f"no single node shows it; see {folder}"
    kind, bad = found
    return f"the first bad {kind} is {bad['node']} ({bad['nan']} NaN, {bad['infinite']} infinite); see {folder}"


def bad_node(session, batch: Batch) -> str:
    """The first bad node of a forward pass, in words."""
    if session.watch is None:
        return "nothing watches which node it was"
    try:
        nodes = session.watch().trace(batch, gradients=False)["nodes"]
    except NonFinite as error:
        nodes = error.nodes
    bad = first_bad(nodes, nodes)
    if bad is None:
        return "no single node shows it"
    return f"{bad['node']} is the first with {bad['nan']} NaN and {bad['infinite']} infinite values"


def watched(session, batch: Batch, step: int) -> dict:
    """The first bad node of the forward pass and the first bad gradient of the backward pass, of one step."""
    if session.watch is None:
        return {}
    try:
        trace = session.watch(step).trace(batch, step=step)
    except NonFinite as error:  # the matcher refuses to match what is not finite
        return {"stopped": str(error), "node": first_bad(error.nodes, error.nodes)}
    parameters = {f"parameter {k}": v for k, v in trace["gradients"].items()}
    found = trace["node_gradients"]
    gradients = {name: found[name] for name in reversed(list(found))} | parameters
    return {
        "node": first_bad(trace["nodes"], trace["nodes"]),
        "gradient": first_bad(gradients, gradients),
    }


def write_memory(events: list, device: str, path: Path) -> list[tuple[str, float]]:
    """Writes MiB in use by module; returns the growths, greatest first.

    The file: "device" and "events", each a module, "entered" or "left", and MiB, in order. A module's growth is that
    between being entered and being left, its inner modules' included.
    """
    stack, growths = [], {}
    for module, what, mib in events:
        if what == "entered":
            stack.append(mib)
        elif stack:
            growths[module] = max(growths.get(module, 0.0), mib - stack.pop())
    write_json(path, {"device": device, "events": events})
    return sorted(growths.items(), key=lambda item: -item[1])
