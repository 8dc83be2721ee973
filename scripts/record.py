"""Records what one framework computes, to be compared elsewhere (scripts/compare).

`python -m scripts.record "scenes_detr on scenes" --side torch --dtype float64 --out t64.safetensors` on one
machine or in one environment; with `--reference t64.safetensors` in the other, every node is computed from
what the first had before it, which tells where an error is made. For the precision gate, float32 runs
repeat the float64 one's decisions (`--replay`), and a forced run takes its float32 values (`--rounded`).
A subject is a case of the suite (`--list`), or a file with a pair of modules (docs/pairs.md).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from neutral.config import to_dict
from neutral.errors import InputError
from parity.cases import CASES, FASTER_RCNN
from parity.golden import golden_weights
from parity.record import Record
from parity.workers import FRAMEWORKS, Worker
from scripts.common import run_main

DATA = Path(__file__).resolve().parent.parent / "logs" / "data"


def record(options: argparse.Namespace) -> Path:
    """Runs the subject on one side and writes the record."""
    worker = Worker(options.side)
    traced = {"out": options.out.resolve(), "rounded": options.rounded}
    for name in ("reference", "replay"):
        path = getattr(options, name)
        if path is not None:
            Record(path)  # a bad file is told before anything is computed
            traced[name] = path.resolve()
    try:
        if options.subject.endswith(".py"):
            path = Path(options.subject).resolve()
            worker.call("build_pair", path, options.device, options.dtype)
            weights = worker.call("pair_weights", path, worker.call("shapes"))
            batch = worker.call("pair_inputs", path)
        else:
            case = find_case(options.subject)
            worker.call("build", to_dict(case.config()), options.device, options.dtype)
            weights = golden_weights(worker.call("shapes"))
            batch, traced["dropout_step"] = case.batch(DATA), case.dropout_step
        worker.call("load", weights)
        return worker.call("trace", batch, about={"subject": options.subject}, **traced)
    finally:
        worker.close()


def find_case(name: str):
    """The case of that name; InputError lists what there is."""
    for case in CASES + FASTER_RCNN:
        if case.name == name:
            if case.data is not None and not case.data.is_dir():
                raise InputError(f"{name}: its data are not at ../shared/data/{case.data.name}")
            return case
    names = "\n  ".join(case.name for case in CASES + FASTER_RCNN)
    raise InputError(f"{name}: no such case, and no .py file; cases:\n  {names}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("subject", nargs="?", help="a case's name, or a file FILE.py with a pair")
    parser.add_argument("--list", action="store_true", help="list the cases")
    parser.add_argument("--side", choices=FRAMEWORKS)
    parser.add_argument("--dtype", choices=("float64", "float32"), default="float64")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--out", type=Path, help="the record, FILE.safetensors")
    parser.add_argument("--reference", type=Path, help="a record that forces this run")
    parser.add_argument("--rounded", action="store_true", help="force with float32 values")
    parser.add_argument("--replay", type=Path, help="a record whose decisions are repeated")
    options = parser.parse_args()
    if options.list:
        print("\n".join(case.name for case in CASES + FASTER_RCNN))
        return
    for name in ("subject", "side", "out"):
        if getattr(options, name) is None:
            raise InputError(f"say {'what' if name == 'subject' else '--' + name}; see --help")
    path = record(options)
    print(f"{path}: {len(Record(path)['nodes'])} nodes")


if __name__ == "__main__":
    run_main(main)
