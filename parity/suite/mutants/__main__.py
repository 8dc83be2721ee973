"""`python -m parity.suite.mutants [NAME ...]`: the kill matrix and the false alarms.

Writes OUT/mutants.json; with --docs also docs/mutants.md and logs/reference/mutants.json,
which every report shows. Exit code 1 when a mutant is not caught by
its named check at its named node, or a sound pair gives an alarm.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from pathlib import Path

from jinja2 import Environment
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from door.files import replacing, write_json
from door.ranges import Range, add_number
from door.terminal import Console
from parity.mutants import ROOT
from parity.mutants.kill import Hunt, Kill
from parity.suite.mutants.catalogue import MUTANTS, PLANTING
from parity.suite.mutants.experiments import EXPERIMENTS, false_alarms
from parity.suite.mutants.mutant import Mutant

HERE = Path(__file__).resolve().parent


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="mutants; all without any")
    add_number(parser, "--seeds", int, Range(1), default=20, help="sound runs per detector")
    parser.add_argument("--out", type=Path, default=ROOT / "logs" / "mutants")
    parser.add_argument("--docs", action="store_true", help="write docs/mutants.md")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in MUTANTS]
    if unknown:
        print(f"error: no mutant {unknown[0]!r}; there are {', '.join(MUTANTS)}", file=sys.stderr)
        return 2
    chosen = [MUTANTS[name] for name in options.names or MUTANTS]
    experiments = false_alarms(options.seeds if not options.names else 0)
    started = time.time()
    kills, alarms = try_all(chosen, experiments)
    false = [alarm for alarm in alarms if alarm["failures"]]
    result = {
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seconds": round(time.time() - started),
        "machine": platform.machine(),
        "mutants": [kill.to_dict() for kill in kills],
        "sound_runs": len(alarms),
        "false_alarms": false,
    }
    write_json(options.out / "mutants.json", result)
    if options.docs:
        write_docs(result)
    named = sum(kill.as_named for kill in kills)
    print(
        f"{named} of {len(kills)} mutants killed by their named check at their named node, "
        f"{sum(k.caught for k in kills)} caught at all; {len(false)} false alarms in {len(alarms)} sound runs"
    )
    return 0 if named == len(kills) and not false else 1


def try_all(chosen: list[Mutant], experiments: list) -> tuple[list[Kill], list[dict]]:
    """What became of each mutant, and what turned red in sound runs, told as they come."""
    kills, alarms, hunt = [], [], Hunt(EXPERIMENTS, PLANTING)
    columns = (TextColumn("{task.description:<34}"), BarColumn(30), MofNCompleteColumn())
    console = Console(stderr=True)
    with Progress(
        *columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console
    ) as progress:
        task = progress.add_task("mutants", total=len(chosen) + len(experiments))
        try:
            for mutant in chosen:
                progress.update(task, description=mutant.name)
                kill = hunt.try_mutant(mutant)
                kills.append(kill)
                verdict = (
                    "killed" if kill.as_named else "killed elsewhere" if kill.caught else "ALIVE"
                )
                where = f"{kill.check} / {kill.node}" if kill.caught else "nothing turned red"
                console.print(f"{verdict:<17}{mutant.name:<34}{where}", highlight=False)
                progress.advance(task)
            for name, failures in hunt.false_alarms(experiments):
                progress.update(task, description=name)
                alarms.append({"run": name, "failures": [str(v) for v in failures]})
                progress.advance(task)
        finally:
            hunt.close()
    return kills, alarms


def write_docs(result: dict) -> None:
    """The committed result, and docs/mutants.md made of it."""
    write_json(ROOT / "logs" / "reference" / "mutants.json", result)
    page = Environment(trim_blocks=True, lstrip_blocks=True, autoescape=False).from_string(
        (HERE / "mutants.md.j2").read_text()
    )
    with replacing(ROOT / "docs" / "mutants.md") as temporary:
        temporary.write_text(page.render(result=result))


if __name__ == "__main__":
    sys.exit(main())
