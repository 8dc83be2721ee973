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
from parity.engine.floors import read_floors
from parity.engine.offline import compare
from parity.engine.record import Record
from parity.errors import InputError
from parity.report.changes import changed_nodes
from parity.report.report import Report
from parity.suite.cases import FLOORS
from scripts.common import run_main


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
    records = [Record(path) for path in options.files]
    subject = records[0].about["subject"]
    floors = {device: read_floors(path).of(subject) for device, path in FLOORS.items()}
    result = compare(*records, floors=floors)
    report = Report(options.out or Path(), environment=result.environment)
    report.add(result.verdicts)
    report.print(Console())
    for module, culprit in result.culprits.items():
        print(f"{module}: {culprit.verdicts[0]}")
    if options.out:
        print("report:", *report.write())
    sys.exit(bool(result.failures))


if __name__ == "__main__":
    run_main(main)
