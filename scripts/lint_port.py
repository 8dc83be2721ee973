"""Looks through a Jittor port for spellings that mean something else than in PyTorch.

`python -m scripts.lint_port PATH` (a file or a folder) prints FILE:LINE: what is wrong [entry of the atlas]; `python -m
scripts.atlas --explain ENTRY` shows the difference. `# atlas: ok` at the end of a line silences it. Exit code 1 when
there are warnings.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from door.terminal import say
from parity.atlas.lint import lint_path
from scripts.common import Parser, run_main


def main() -> int:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+", type=Path, help="files or folders")
    options = parser.parse_args()
    total, files = Counter(), 0
    for path in options.paths:
        warnings, count, broken = lint_path(path)
        files += count
        for line in broken:
            say(f"not Python: {line}", error=True)
        for warning in warnings:
            total[warning.entry] += 1
            say(warning)
    kinds = ", ".join(f"{entry} {count}" for entry, count in total.most_common())
    say(
        f"{total.total()} warnings in {files} files that use jittor"
        + (f": {kinds}" if kinds else "")
    )
    return int(bool(total))


if __name__ == "__main__":
    run_main(main)
