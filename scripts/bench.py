"""What a full comparison costs, against running both frameworks bare, side by side in this process's workers.

`python -m scripts.bench ["CASE" ...]` times, after one warm-up each, the examination of a case (every run, record and
verdict) and the same four forward and backward passes (both frameworks, both precisions) with nothing
watched, in turns; prints the ratio of the medians, and with --out writes it as JSON. The budget is 1.5 times.
The warm-up tells how many kernels Jittor compiled for the case, and for how long compilers ran (0 in a warm cache).
Memory, in a run of its own: what the comparing process allocates at most (tracemalloc counts NumPy's arrays;
budget: the larger of two traces plus one node), and the workers' peaks after bare passes and after the
examination.
"""

from __future__ import annotations

import argparse
import statistics
import time
import tracemalloc
from collections import Counter
from pathlib import Path

from rich.progress import track

from door.files import write_json
from door.ranges import Range, add_number
from door.terminal import say
from neutral.config import to_dict
from parity.engine.ask.environment import describe_machine
from parity.engine.judge.verdicts import Status
from parity.engine.judge.weights import drawn_weights
from parity.engine.sides.workers import FRAMEWORKS, Workers
from parity.engine.values.kernels import Kernels
from parity.suite.ask import ask
from scripts.common import run_main
from scripts.options import Parser
from scripts.record import DATA, find_detector

DEFAULT = ("scenes_detr on scenes", "scenes_frcnn on scenes")
BUDGET = 1.5
MIB = 1 << 20


def bare(case, pair: Workers, batch) -> float:
    """Seconds of four passes, forward, losses, detections and backward."""
    seconds = 0.0
    for dtype in ("float64", "float32"):
        ask(pair, "build", to_dict(case.config()), pair.device, dtype)
        pair.both("load", drawn_weights(pair["torch"].call("shapes")))
        started = time.perf_counter()
        ask(pair, "bare", batch, case.dropout_step)
        seconds += time.perf_counter() - started
    return seconds


def examined(case, pair: Workers) -> float:
    """Seconds of the same passes watched, free and forced, recorded and judged, building left out."""
    building = dict.fromkeys(FRAMEWORKS, 0.0)
    with case.examination(pair, DATA) as examination:
        prepare = examination.prepare

        def timed(sides: tuple[str, ...], dtype: str) -> None:
            started = time.perf_counter()
            prepare(sides, dtype)
            for side in sides:
                building[side] += time.perf_counter() - started

        examination.prepare = timed
        started = time.perf_counter()
        verdicts = examination.run()
        seconds = time.perf_counter() - started - min(building.values())
    assert verdicts, "an examination without verdicts"
    failed = sum(v.status is Status.FAIL for v in verdicts)
    if failed:
        say(f"{case.name}: {failed} comparisons failed; the times stand")
    return seconds


def time_both(case, rounds: int) -> tuple[dict, dict]:
    """Medians of both, in turns; and the workers' peak memory after bare passes and after everything."""
    pair, batch, kernels = Workers(), case.batch(DATA), Kernels()
    bare(case, pair, batch)
    before = {side: pair[side].call("peak_memory") for side in FRAMEWORKS}
    examined(case, pair)  # compile, and fill caches
    compiled = {"kernels": kernels.fresh(), "compiler_seconds": kernels.seconds()}
    times = [(bare(case, pair, batch), examined(case, pair)) for _ in range(rounds)]
    plain, full = (statistics.median(column) for column in zip(*times, strict=True))
    after = {side: pair[side].call("peak_memory") for side in FRAMEWORKS}
    pair.close()
    seconds = {"bare_seconds": plain, "examination_seconds": full, "ratio": full / plain}
    return compiled | seconds, {
        side: {"bare": before[side], "examined": after[side]} for side in FRAMEWORKS
    }


def judging_memory(case) -> dict[str, float]:
    """MiB that the comparing process allocates at most, against the larger of two traces and one node of it."""
    pair = Workers()
    with case.examination(pair, DATA) as examination:
        tracemalloc.start()
        examination.run()
        peak = tracemalloc.get_traced_memory()[1] / MIB
        tracemalloc.stop()
        traces = Counter()
        for path in examination.folder.glob("*.safetensors"):  # a trace may lie in two files
            traces[path.name.partition(".")[0]] += path.stat().st_size / MIB
        nodes = examination["torch free 64"]["nodes"]
        node = max(nodes[name].nbytes for name in nodes) / MIB
    pair.close()
    return {
        "comparing": peak,
        "largest_trace": max(traces.values()),
        "largest_node": node,
        "within_bound": bool(peak <= max(traces.values()) + node),
    }


def measure(case, rounds: int) -> dict:
    seconds, workers = time_both(case, rounds)
    memory = {"workers": workers} | judging_memory(case)
    return {"case": case.name, "rounds": rounds} | seconds | {"memory_mib": memory}


def main() -> None:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", default=DEFAULT, help="names of scripts/record --list")
    add_number(parser, "--rounds", int, Range(1), default=5)
    parser.add_argument("--out", type=Path, help="a JSON file")
    options = parser.parse_args()
    cases, found = [find_detector(name) for name in options.cases], []
    for case in track(cases, "measuring"):
        found.append(measure(case, options.rounds))
    for row in found:
        memory = row["memory_mib"]
        workers = ", ".join(
            f"{side} {m['bare']:.0f} -> {m['examined']:.0f}"
            for side, m in memory["workers"].items()
        )
        say(
            f"{row['case']}: {row['examination_seconds']:.2f} s against {row['bare_seconds']:.2f} s bare, "
            f"ratio {row['ratio']:.1f} (budget {BUDGET:g}); MiB: comparing {memory['comparing']:.0f}, largest trace "
            f"{memory['largest_trace']:.0f}, its largest node {memory['largest_node']:.0f}; workers {workers}; "
            f"{row['kernels']} kernels compiled, {row['compiler_seconds']:.0f} s of compilers"
        )
    if options.out:
        write_json(options.out, {"machine": describe_machine(), "cases": found})


if __name__ == "__main__":
    run_main(main)
