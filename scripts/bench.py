"""What a full comparison costs, against running both frameworks bare, side by side in this process's workers.

`python -m scripts.bench ["CASE" ...]` times, after one warm-up each, the examination of a case (every run, record and
verdict) and the same four forward and backward passes (both frameworks, both precisions) with nothing
watched, in turns; prints the ratio of the medians and the peak memory of every process, and with --out
writes them as JSON. The budget is three times.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

from rich.progress import track

from neutral.config import to_dict
from neutral.files import peak_memory, write_json
from parity.environment import describe_machine
from parity.examine import examine_case
from parity.golden import golden_weights
from parity.verdicts import Status
from parity.workers import FRAMEWORKS, Pair
from scripts.common import run_main
from scripts.record import DATA, find_case

DEFAULT = ("scenes_detr on scenes", "scenes_frcnn on scenes")
BUDGET = 3.0


def bare(case, pair: Pair, batch) -> float:
    """Seconds of four passes, forward, losses, detections and backward."""
    seconds = 0.0
    for dtype in ("float64", "float32"):
        pair.both("build", to_dict(case.config()), pair.device, dtype)
        pair.both("load", golden_weights(pair["torch"].call("shapes")))
        started = time.perf_counter()
        pair.both("bare", batch, case.dropout_step)
        seconds += time.perf_counter() - started
    return seconds


def examined(case, pair: Pair) -> float:
    """Seconds of the same passes watched, free and forced, recorded and judged, building left out."""
    building = 0.0
    with examine_case(case, pair, DATA) as examination:
        prepare = examination.prepare

        def timed(*arguments):
            nonlocal building
            started = time.perf_counter()
            prepare(*arguments)
            building += time.perf_counter() - started

        examination.prepare = timed
        started = time.perf_counter()
        verdicts = examination.run()
        seconds = time.perf_counter() - started - building
    assert verdicts, "an examination without verdicts"
    failed = sum(v.status is Status.FAIL for v in verdicts)
    if failed:
        print(f"{case.name}: {failed} comparisons failed; the times stand")
    return seconds


def measure(case, pair: Pair, rounds: int) -> dict:
    batch = case.batch(DATA)
    bare(case, pair, batch), examined(case, pair)  # compile, and fill caches
    times = [(bare(case, pair, batch), examined(case, pair)) for _ in range(rounds)]
    plain, full = (statistics.median(column) for column in zip(*times, strict=True))
    memory = {side: pair[side].call("peak_memory") for side in FRAMEWORKS}
    return {
        "case": case.name,
        "bare_seconds": plain,
        "examination_seconds": full,
        "ratio": full / plain,
        "rounds": rounds,
        "peak_memory_mib": memory | {"parity": peak_memory()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cases", nargs="*", default=DEFAULT, help="names of scripts/record --list")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="a JSON file")
    options = parser.parse_args()
    cases, found = [find_case(name) for name in options.cases], []
    for case in track(cases, "measuring"):
        pair = Pair()  # a process per case, so that its memory is its own
        found.append(measure(case, pair, options.rounds))
        pair.close()
    for row in found:
        memory = ", ".join(f"{k} {v:.0f} MiB" for k, v in row["peak_memory_mib"].items())
        print(
            f"{row['case']}: {row['examination_seconds']:.2f} s against {row['bare_seconds']:.2f} s bare, "
            f"ratio {row['ratio']:.1f} (budget {BUDGET:g}); peak memory {memory}"
        )
    if options.out:
        write_json(options.out, {"machine": describe_machine(), "cases": found})


if __name__ == "__main__":
    run_main(main)
