"""The options of each command of `parity`; cli.py has what they do."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

OUT = Path("logs") / "parity"


def groups(one: argparse.ArgumentParser, *titles: str) -> list:
    return [one.add_argument_group(title) for title in titles]


def device(one) -> None:
    one.add_argument(
        "--device", choices=("cpu", "cuda"), default="cpu", help="where both sides run"
    )


def floors(one) -> None:
    one.add_argument(
        "--floors", type=Path, metavar="FILE", help="measured noise, see `parity floors`"
    )


def run_options(one: argparse.ArgumentParser) -> None:
    what, how, told = groups(one, "what is compared", "how", "what is told")
    what.add_argument(
        "cases", type=Path, nargs="+", metavar="FILE.py", help="files with a pair (docs/pairs.md)"
    )
    what.add_argument("--steps", type=whole, default=8, help="training steps; 0 leaves them out")
    what.add_argument(
        "--branches",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="values that reach other branches, too",
    )
    what.add_argument(
        "--quick", action="store_true", help="float32 against the float64 reference, nothing else"
    )
    device(how)
    how.add_argument(
        "--limit",
        type=seconds,
        help="SECONDS that each pair may take; what is left then is NOT_RUN",
    )
    floors(how)
    how.add_argument("--strict", action="store_true", help="KNOWN differences fail, too")
    told.add_argument("--out", type=Path, default=OUT, help="folder of the report")
    told.add_argument("--table", action="store_true", help="print every check, too")


def record_options(one: argparse.ArgumentParser) -> None:
    what, how = groups(one, "what is recorded", "how it runs")
    what.add_argument("case", type=Path, help="FILE.py with a pair")
    what.add_argument("--side", required=True, help="reference, candidate or the side's label")
    what.add_argument("--out", type=Path, required=True, help="FILE.safetensors")
    device(how)
    how.add_argument("--dtype", choices=("float64", "float32"), default="float64")
    how.add_argument("--reference", type=Path, help="a record that forces this run")
    how.add_argument("--rounded", action="store_true", help="force with its float32 values")
    how.add_argument("--replay", type=Path, help="a record whose choices are repeated")


def map_options(one: argparse.ArgumentParser) -> None:
    one.add_argument("case", type=Path, help="FILE.py with a pair")
    device(one)


def compare_options(one: argparse.ArgumentParser) -> None:
    one.add_argument(
        "records", nargs="+", type=Path, help="of `parity record`, the reference's first"
    )
    floors(one)
    one.add_argument("--out", type=Path, default=OUT, help="folder of the report")


def diff_options(one: argparse.ArgumentParser) -> None:
    one.add_argument("old", type=Path, help="report.json of an earlier run")
    one.add_argument("new", type=Path, help="report.json of a later one")
    one.add_argument("--out", type=Path, default=OUT / "difference.html", help="the page of both")


def floors_options(one: argparse.ArgumentParser) -> None:
    one.add_argument("case", type=Path, help="FILE.py with a pair")
    one.add_argument(
        "--out", type=Path, default=Path("floors.json"), help="added to when it exists"
    )
    device(one)


def lint_options(one: argparse.ArgumentParser) -> None:
    one.add_argument("arguments", nargs=argparse.REMAINDER, help="see `parity lint --help`")


def whole(text: str) -> int:
    """A whole number, 0 or more."""
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text} is negative")
    return number


def seconds(text: str) -> float:
    number = float(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text}: give seconds, more than 0")
    return number
