"""Compares records (scripts/record), or two reports.

`python -m scripts.compare t64.safetensors j64.safetensors`        the semantic gate, node by node
`python -m scripts.compare t64.safetensors j64_forced.safetensors` where each error is made
`python -m scripts.compare t64 t32 j32`                            the precision gate, on both sides
`python -m scripts.compare --reports old.json new.json`            the nodes whose error changed

The first record is the reference: float64 PyTorch, or for forced float32 runs float64 PyTorch forced with
the same rounded values. Exit code 1 when anything failed or, of reports, changed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console

from neutral.files import read_json
from parity.case import Case
from parity.engine.floors import read_floors
from parity.engine.localise import compare_local_32, compare_local_64, culprits
from parity.engine.precision import PrecisionGate
from parity.engine.record import Record
from parity.engine.semantic import compare_semantics
from parity.engine.verdicts import Status, Verdict
from parity.errors import InputError
from parity.loading import resolve
from parity.report.changes import changed_nodes
from parity.report.report import Report
from parity.suite.cases import FLOORS
from scripts.common import run_main


def compare_records(paths: list[Path]) -> tuple[list[Verdict], dict]:
    """Verdicts of whichever gate the records are for, and the environments they were made in."""
    records = [Record(path) for path in paths]
    about = [r.about for r in records]
    environment = {str(p): a["environment"] for p, a in zip(paths, about, strict=True)}
    subjects = {a["subject"] for a in about}
    if len(subjects) != 1:
        raise InputError(f"records of different subjects: {', '.join(sorted(subjects))}")
    (case,) = subjects
    dtypes = tuple(a["dtype"] for a in about)
    forced = about[-1]["forced"]
    if dtypes == ("float64", "float64") and not forced:
        return compare_semantics(case, *records), environment
    if dtypes == ("float64", "float64"):
        weights = weights_of(case, about[0]["shapes"])
        return compare_local_64(case, *records, weights), environment
    if dtypes == ("float64", "float32", "float32"):
        if [a["side"] for a in about[1:]] != ["torch", "jittor"]:
            raise InputError("the float32 records must be PyTorch's, then Jittor's")
        gate = PrecisionGate(case, read_floors(FLOORS[device_of(about)]).of(case))
        if forced:
            return compare_local_32(gate, *records), environment
        return gate.compare(*records), environment
    raise InputError(
        f"records of {', '.join(dtypes)}: give float64 and float64 (semantics), or float64, float32 of "
        "PyTorch and float32 of Jittor (precision)"
    )


def device_of(about: list[dict]) -> str:
    """Where the records were made; floors of another device are others. InputError when they were made apart."""
    devices = {a.get("device", "cpu") for a in about}
    if len(devices) > 1:
        raise InputError(
            f"records of different devices: {', '.join(sorted(devices))}; record them on one"
        )
    return devices.pop()


def weights_of(case: str, shapes: dict) -> dict:
    """What both sides were given, for oracles; {} where the file that says so is not here."""
    target = "parity.engine.weights:drawn_weights"
    if case.endswith(".py"):
        if not Path(case).is_file():
            return {}
        target = Case.from_file(case).weights
    return resolve(target)({name: tuple(shape) for name, shape in shapes.items()})


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="+", type=Path, help="records, or two reports")
    parser.add_argument("--reports", action="store_true", help="the files are report.json's")
    parser.add_argument("--out", type=Path, help="folder for report.json and report.html")
    options = parser.parse_args()
    if options.reports:
        if len(options.files) != 2:
            raise InputError("--reports compares two files: the old one, then the new one")
        changes = changed_nodes(*map(read_json, options.files))
        print("\n".join(changes) or "no node changed")
        sys.exit(bool(changes))
    if not 2 <= len(options.files) <= 3:
        raise InputError("give two records for the semantic gate, three for the precision gate")
    verdicts, environment = compare_records(options.files)
    report = Report(options.out or Path(), environment=environment)
    report.add(verdicts)
    report.print(Console())
    for owner, failed in culprits(verdicts).items():
        print(f"{owner}: {failed[0]}")
    if options.out:
        print("report:", *report.write())
    sys.exit(any(v.status is Status.FAIL for v in verdicts))


if __name__ == "__main__":
    run_main(main)
