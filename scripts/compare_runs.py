"""Do the two frameworks train alike? Judges runs over several seeds, made by scripts/train_pair.

`python -m scripts.compare_runs logs/seed0 logs/seed1 logs/seed2 --out logs/seeds`, each folder with torch/ and
jittor/: same seed, weights and data on both sides. AP, AP50 and the training loss at the end by two one-sided
tests with margins of parity/engine/judge/gates.py; whole curves by a permutation band; data streams link by link.
Writes OUT/seeds.json and OUT/seeds.png. Exit code 1 when something failed; INCONCLUSIVE is no failure.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from door.files import write_json
from door.terminal import say
from parity.engine.judge.verdicts import Status
from parity.report.gist import answer
from parity.report.report import Report
from parity.suite.runs import draw, judge_runs
from scripts.common import run_main
from scripts.options import Parser


def main() -> None:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="folders that scripts/train_pair wrote")
    parser.add_argument("--out", type=Path, required=True, help="folder of seeds.json, seeds.png")
    options = parser.parse_args()
    verdicts, curves = judge_runs(options.runs)
    report = Report(options.out)
    report.add(verdicts)
    say(answer(report.to_dict()).text)
    for verdict in verdicts:
        say(verdict)
    write_json(options.out / "seeds.json", report.to_dict())
    draw(curves, options.out / "seeds.png")
    say(f"written: {options.out / 'seeds.json'}, {options.out / 'seeds.png'}")
    sys.exit(any(v.status is Status.FAIL for v in verdicts))


if __name__ == "__main__":
    run_main(main)
