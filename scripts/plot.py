"""Compares two run logs in a chart: `python -m scripts.plot LOG_TORCH LOG_JITTOR --out chart.png chart.svg`.

Takes this project's logs and those of facebookresearch/detr and its ports (JSON lines). The chart
says what differs between the runs: learning rate, epochs, mean ground-truth count, ...
"""

from __future__ import annotations

import argparse
from pathlib import Path

from neutral.plots import compare_runs
from neutral.runlog import read_log
from scripts.common import run_main


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("first", type=Path, help="log of the first run")
    parser.add_argument("second", type=Path, help="log of the second run")
    parser.add_argument("--labels", nargs=2, default=("PyTorch", "Jittor"))
    parser.add_argument(
        "--out", type=Path, nargs="+", default=[Path("comparison.png")], help=".png and .svg files"
    )
    options = parser.parse_args()
    noted = compare_runs(
        read_log(options.first), read_log(options.second), tuple(options.labels), options.out
    )
    print("the runs differ in:" if noted else "the runs do not differ in what their logs record")
    for line in noted:
        print(f"  {line}")
    print(f"charts: {', '.join(map(str, options.out))}")


if __name__ == "__main__":
    run_main(main)
