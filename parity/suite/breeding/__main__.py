"""`python -m parity.suite.breeding`: mutants that nobody wrote, drawn by seed, and what became of each.

Every outcome goes to OUT/outcomes-SEED.jsonl at once: --resume goes on where a campaign was stopped. With --docs also
docs/breeding.md and logs/reference/breeding.json. Exit code 1 when a mutant survives that nobody has explained.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from door.ranges import Range, add_number
from parity.mutants import ROOT
from parity.mutants.breeding import Bred
from parity.suite.breeding.campaign import SURVIVED, Campaign, Outcome, Progress, drawn
from parity.suite.breeding.checks import Nursery, all_checks
from parity.suite.breeding.table import summary, write_table
from parity.suite.breeding.verdict import settle

FRAMEWORKS = ("torch", "jittor")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_number(parser, "--count", int, Range(1), default=150, help="mutants a side")
    add_number(parser, "--seed", int, Range(0), default=0, help="of the draw")
    add_number(parser, "--minutes", float, Range(0), default=0, help="stop after; 0: when done")
    parser.add_argument("--resume", action="store_true", help="keep what was tried before")
    parser.add_argument("--docs", action="store_true", help="write docs/breeding.md")
    parser.add_argument("--out", type=Path, default=ROOT / "logs" / "breeding")
    options = parser.parse_args()
    pairs = zip(*(drawn(side, options.count, options.seed) for side in FRAMEWORKS))
    wanted = [mutant for pair in pairs for mutant in pair]
    progress = Progress(options.out / f"outcomes-{options.seed}.jsonl", options.resume)
    run(wanted, progress, options.out, options.minutes)
    outcomes = [progress.found[k] for m in wanted if (k := (m.side, m.name)) in progress.found]
    found = summary(outcomes, options.seed, 2 * options.count)
    write_table(found, options.out, options.docs)
    print(found["text"])
    return 1 if any(o.outcome == SURVIVED for o in outcomes) else 0


def run(wanted: list[Bred], progress: Progress, out: Path, minutes: float) -> None:
    """Tries those that have no outcome yet, until the time is over."""
    left = [m for m in wanted if (m.side, m.name) not in progress.found]
    if not left:
        return
    end = time.monotonic() + minutes * 60 if minutes else float("inf")
    with Nursery() as nursery:
        campaign = Campaign(nursery, all_checks(), out)
        campaign.learn()
        for number, mutant in enumerate(left, 1):
            if time.monotonic() > end:
                print(f"stopped: {len(left) - number + 1} left; --resume goes on", file=sys.stderr)
                return
            outcome = settle(campaign.attempt(mutant), mutant)
            progress.add(outcome)
            print(f"{number}/{len(left)} {told(outcome)}", file=sys.stderr, flush=True)


def told(outcome: Outcome) -> str:
    where = f"{outcome.check} / {outcome.node}" if outcome.check else outcome.reason
    return f"{outcome.outcome:<11}{outcome.side:<7}{outcome.name}: {where} ({outcome.seconds} s)"


if __name__ == "__main__":
    sys.exit(main())
