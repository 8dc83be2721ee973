"""Records what one framework computes, to be compared elsewhere (scripts/compare).

`python -m scripts.record "scenes_detr on scenes" --side torch --dtype float64 --out t64.safetensors` on one
machine or in one environment; with `--reference t64.safetensors` in the other, every node is computed from
what the first had before it, which tells where an error is made. For the precision gate, float32 runs
repeat the float64 one's choices (`--replay`), and a forced run takes its float32 values (`--rounded`).
A subject is a case of the suite (`--list`), or a file with a pair of modules (docs/pairs.md).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from door.terminal import say
from parity.case import Case
from parity.engine.ask.offline import record
from parity.engine.sides.workers import FRAMEWORKS
from parity.errors import InputError
from parity.suite.cases import CASES, FASTER_RCNN
from parity.suite.detector_case import DetectorCase
from scripts.common import run_main
from scripts.options import Parser

DATA = Path(__file__).resolve().parent.parent / "logs" / "data"


def find_case(name: str) -> Case:
    """The suite's case of that name, or a file's; InputError lists what there is."""
    return Case.from_file(name) if name.endswith(".py") else find_detector(name).as_case(DATA)


def find_detector(name: str) -> DetectorCase:
    """The suite's case of that name; InputError lists what there is."""
    for case in CASES + FASTER_RCNN:
        if case.name == name:
            if case.data is not None and not case.data.is_dir():
                raise InputError(f"{name}: its data are not at ../shared/data/{case.data.name}")
            return case
    names = [case.name for case in CASES + FASTER_RCNN]
    raise InputError(f"{name}: no such case, and no .py file; cases:", *names)


def main() -> None:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("subject", nargs="?", help="a case's name, or a file FILE.py with a pair")
    parser.add_argument("--list", action="store_true", help="list the cases")
    parser.add_argument("--side", choices=FRAMEWORKS)
    parser.add_argument("--dtype", choices=("float64", "float32"), default="float64")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--out", type=Path, help="the record, FILE.safetensors")
    parser.add_argument("--reference", type=Path, help="a record that forces this run")
    parser.add_argument("--rounded", action="store_true", help="force with float32 values")
    parser.add_argument("--replay", type=Path, help="a record whose choices are repeated")
    options = parser.parse_args()
    if options.list:
        for case in CASES + FASTER_RCNN:
            say(case.name)
        return
    for name in ("subject", "side", "out"):
        if getattr(options, name) is None:
            raise InputError(f"say {'what' if name == 'subject' else '--' + name}; see --help")
    found = record(
        find_case(options.subject),
        options.side,
        options.out,
        dtype=options.dtype,
        device=options.device,
        reference=options.reference,
        replay=options.replay,
        rounded=options.rounded,
    )
    say(f"{found.path}: {len(found['nodes'])} nodes")


if __name__ == "__main__":
    run_main(main)
