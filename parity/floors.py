"""The noise floor, measured: how far PyTorch's own float32 is from float64, summed in another order,
started one unit in the last place away, or simply run again. `python -m parity.floors` measures it on
this machine and writes floors.json, which is committed; the gates judge by it.

A floor is the greatest error of any variant, in units of u = 2^-24, relative L2 and greatest, by case,
section ("forward", "gradients", and the local ones) and node.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
from rich.progress import track

from neutral.files import read_json, write_json
from neutral.randomness import stream
from parity import gates
from parity.cases import CASES, FASTER_RCNN, Case
from parity.environment import describe_machine
from parity.verdicts import absent_if_zero, precision_gradient_floor, relative_l2, relative_max
from parity.workers import Pair

LOCKS = {  # floors of other devices are other floors
    "cpu": Path(__file__).with_name("floors.json"),
    "cuda": Path(__file__).with_name("floors-cuda.json"),
}
SECTIONS = ("forward", "gradients", "local forward", "local gradients")
VARIANTS = {
    "cpu": ("again", "one thread", "without oneDNN", "input one ulp away"),
    "cuda": ("again", "without cuDNN", "input one ulp away"),
}


class Floors:
    """Floors of one case; without any, the priors of gates.py hold."""

    def __init__(self, sections: Mapping[str, Mapping[str, list[float]]] | None = None):
        self.sections = sections or {}

    def of(self, section: str, node: str) -> float | None:
        """The floor of the relative L2 error, as a fraction."""
        floor = self.sections.get(section, {}).get(node)
        return None if floor is None else floor[0] * gates.U32

    def limits(self, section: str, node: str, priors: tuple[float, float]) -> tuple[float, float]:
        """The least limits for relative L2 and greatest error: FLOOR_FACTOR times the floor, or the prior
        where that is more: a node where PyTorch's variants agree by chance is no reason for an alarm."""
        floor = self.sections.get(section, {}).get(node, (0.0, 0.0))
        return tuple(
            max(prior, gates.FLOOR_FACTOR * x * gates.U32) for prior, x in zip(priors, floor)
        )


@cache
def read_lock(device: str = "cpu") -> dict:
    lock = LOCKS[device]
    return read_json(lock) if lock.exists() else {"cases": {}}


def floors_of(case: str, device: str = "cpu") -> Floors:
    return Floors(read_lock(device)["cases"].get(case))


def describe_lock(device: str = "cpu") -> dict:
    """Where and with what the floors were measured."""
    return {k: v for k, v in read_lock(device).items() if k != "cases"}


def jittered(batch):
    """Every pixel that is not padding moved to the next float32."""
    up = stream(0, "floors").random(batch.images.shape) < 0.5
    target = np.where(up, np.float32(np.inf), np.float32(-np.inf)).astype(np.float32)
    moved = np.nextafter(batch.images, target)
    return replace(batch, images=np.where(batch.images == 0, batch.images, moved))


def measure(examination) -> dict[str, dict[str, list[float]]]:
    """Floors of an examination that has run, by section and node."""
    worker = examination.pair["torch"]
    found: dict[str, dict[str, list[float]]] = {section: {} for section in SECTIONS}
    original = examination.batch
    for variant in VARIANTS[examination.pair.device]:
        worker.call("vary", variant)
        examination.batch = jittered(original) if variant.startswith("input") else original
        try:
            records = examination.variant_32()
        finally:
            examination.batch = original
            worker.call("vary", "again")
        for exact, run, prefix in records:
            errors = {f"{prefix}forward": node_errors(exact["nodes"], run["nodes"])}
            if "gradients" in exact:
                parts = ("node_gradients", "gradients") if prefix else ("gradients",)
                errors[f"{prefix}gradients"] = {
                    node: error
                    for part in parts
                    for node, error in gradient_errors(exact[part], run[part]).items()
                }
            for section, by_node in errors.items():
                for node, error in by_node.items():
                    before = found[section].get(node, [0.0, 0.0])
                    found[section][node] = [max(pair) for pair in zip(before, error)]
    return {
        section: {node: [float(f"{x:.2g}") for x in e] for node, e in by_node.items()}
        for section, by_node in found.items()
    }


def node_errors(exact: Mapping, run: Mapping, floor: float = 0.0) -> dict[str, list[float]]:
    """Errors of float nodes in units of u."""
    return {
        node: [m(values, exact[node], floor) / gates.U32 for m in (relative_l2, relative_max)]
        for node, values in run.items()
        if values is not None and values.dtype.kind == "f" and exact.get(node) is not None
    }


def gradient_errors(exact: Mapping, run: Mapping) -> dict[str, list[float]]:
    exact, run = absent_if_zero(exact), absent_if_zero(run)
    return node_errors(exact, run, precision_gradient_floor(exact))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--case", action="append", help="only these cases; others stay as they are")
    parser.add_argument("--device", choices=tuple(LOCKS), default="cpu")
    options = parser.parse_args()
    from parity.examine import examine_case  # noqa: PLC0415 (which reads the lock)

    cases = [c for c in CASES + FASTER_RCNN if c.float32 and not c.full and available(c)]
    cases = [c for c in cases if not options.case or c.name in options.case]
    pair, lock = Pair(options.device), read_lock(options.device)
    described = pair["torch"].call("describe", options.device)
    versions = {"torch": described["version"]}
    for case in track(cases, "measuring noise floors"):
        with examine_case(
            case, pair, Path(__file__).parent.parent / "logs" / "data"
        ) as examination:
            examination.run_reference()
            lock["cases"][case.name] = measure(examination)
    pair.close()
    measured = {
        "measured": time.strftime("%Y-%m-%d"),
        "machine": describe_machine() | {"device": described["device_name"]},
        "versions": versions,
    }
    if options.case and "measured" in lock:  # what the lock says of the others stays true of them
        later = lock.get("measured_apart", {}) | {case.name: measured for case in cases}
        about = {k: v for k, v in lock.items() if k != "cases"} | {"measured_apart": later}
    else:
        about = {"schema": "detector-parity/floors/1"} | measured
        about |= {"variants": list(VARIANTS[options.device]), "unit": gates.U32}
    write_json(LOCKS[options.device], about | {"cases": lock["cases"]}, indent=None)
    print(f"{LOCKS[options.device].name}: {len(lock['cases'])} cases")


def available(case: Case) -> bool:
    return case.data is None or case.data.is_dir()


if __name__ == "__main__":
    main()
