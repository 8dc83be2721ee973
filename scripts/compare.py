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

from door import schema
from door.terminal import Console, say
from parity.engine.ask.offline import comparable, compare
from parity.engine.values.shapes import ReportFile
from parity.errors import InputError
from parity.report.changes import changed_nodes
from parity.report.report import Report
from parity.report.terminal import conclude as tell
from parity.report.terminal import on_terminal
from parity.suite.detector_case import FLOORS, floors_on
from scripts.common import run_main
from scripts.options import Parser


def main() -> None:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, help="records, or two reports")
    parser.add_argument("--reports", action="store_true", help="the files are report.json's")
    parser.add_argument("--out", type=Path, help="folder for report.json and report.html")
    options = parser.parse_args()
    if options.reports:
        if len(options.files) != 2:
            raise InputError("--reports compares two files: the old one, then the new one")
        changes = changed_nodes(*(schema.read(file, ReportFile) for file in options.files))
        for line in changes or ["no node changed"]:
            say(line)
        sys.exit(bool(changes))
    records = [comparable(path) for path in options.files]
    for record in records:
        if lacking := [k for k in ("losses", "errors", "total") if k not in record]:
            raise InputError(
                f"{record.path}: has no {lacking[0]}; make it anew with scripts/record"
            )
    subject = records[0].about["subject"]
    device = records[0].about.get("device", "cpu")
    floors = floors_on(device).of(subject) if device in FLOORS else None
    result = compare(*records, floors=floors)
    report = Report(options.out or Path(), environment=result.environment)
    report.add(result.verdicts)
    if options.out:
        report.write()
    console = Console()
    tell(report.to_dict(), str(options.out or ""), console, on_terminal(console))
    sys.exit(bool(result.failures))


if __name__ == "__main__":
    run_main(main)
