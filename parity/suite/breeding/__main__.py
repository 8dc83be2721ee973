"""`python -m parity.suite.breeding`: mutants that nobody wrote, drawn by seed, and what became of each.

Five parts, all of them without --part: `mutants` of the implementations; `again`, those of them that survived or were
named elsewhere, on the code as it is now; `judges`, mutants of what the harness judges by; `together`, two or three of
the first that were caught, at once; `sound`, variations that must not alarm.
Every outcome goes to OUT/PART-SEED.jsonl at once: --resume goes on where a campaign was stopped, or where the committed
one was (logs/reference/breeding.json). With --docs also docs/breeding.md and logs/reference/breeding.json.
Exit code 1 when a mutant survives that nobody has explained, or a sound variation alarms.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from door.files import read_json
from door.ranges import Range, add_number
from parity.mutants import ROOT
from parity.suite.breeding import judges, parts
from parity.suite.breeding.progress import Progress
from parity.suite.breeding.table import REFERENCE, summary, write_table


def committed() -> int:
    """The seed of the committed campaign, 0 where there is none."""
    return read_json(REFERENCE)["seed"] if REFERENCE.is_file() else 0


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_number(parser, "--count", int, Range(1), default=150, help="mutants a side")
    add_number(parser, "--judges", int, Range(1), default=judges.COUNT, help="of what judges")
    told = "of the draw; default: that of the committed campaign"
    add_number(parser, "--seed", int, Range(0), default=committed(), help=told)
    add_number(
        parser, "--minutes", float, Range(0), default=0, help="of each part; 0: all it takes"
    )
    parser.add_argument("--part", choices=list(parts.PARTS), action="append", help="these only")
    parser.add_argument("--resume", action="store_true", help="keep what was tried before")
    parser.add_argument("--docs", action="store_true", help="write docs/breeding.md")
    parser.add_argument("--commit", default="", help="of which the outcomes are, for the page")
    parser.add_argument("--out", type=Path, default=ROOT / "logs" / "breeding")
    options = parser.parse_args()
    chosen = options.part or list(parts.PARTS)
    found = {}
    for part in parts.PARTS:
        path = options.out / f"{part}-{options.seed}.jsonl"
        found[part] = Progress(path, options.resume or part not in chosen, REFERENCE)
    with parts.Ground(options.out) as ground:
        for part in chosen:
            parts.PARTS[part](options, found, ground)
    result = summary(found, options)
    write_table(result, options.out, options.docs)
    print(result["text"])
    return 1 if result["unexplained"] else 0


if __name__ == "__main__":
    sys.exit(main())
