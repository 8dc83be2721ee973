"""Runs the worked examples: `python -m examples.ports [NAME ...] [--defect X] [--json F]`.

Every right version must be silent, and every defect's first cause the expected one; exit code 1 where that is not so,
2 for bad input. Without names or --defect all are run, and logs/reference/ports/examples.json and the table in
docs/ports.md are written (--no-docs leaves them alone).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from door.files import write_json
from door.terminal import Console, Table, say
from examples.ports.defect import Example, example_names, load_example
from examples.ports.trial import Outcome, Trials
from parity.errors import InputError

ROOT = Path(__file__).resolve().parent.parent.parent
JSON = ROOT / "logs" / "reference" / "ports" / "examples.json"
PAGE = ROOT / "docs" / "ports.md"
BEGIN, END = "<!-- examples: written by `make ports` -->", "<!-- end of examples -->"
SECTION = "# Ports\n\n## Worked examples\n\n"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m examples.ports", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="examples; all by default")
    parser.add_argument("--defect", action="append", default=[], help="this one only; repeatable")
    parser.add_argument("--json", type=Path, help="write the outcomes there, too")
    parser.add_argument("--no-docs", action="store_true", help="leave docs/ports.md alone")
    options = parser.parse_args(arguments)
    try:
        examples = chosen(options.names, options.defect)
        outcomes = list(tried(examples, options.defect))
    except InputError as error:
        say(error, error=True)
        return 2
    Console(width=None if sys.stdout.isatty() else 160).print(table(outcomes))
    odd = [x for x in outcomes if not x.as_expected]
    say(f"{len(outcomes) - len(odd)} of {len(outcomes)} as expected")
    found = [x.to_dict() for x in outcomes]
    if options.json:
        write_json(options.json, {"outcomes": found})
    if not options.names and not options.defect and not options.no_docs:
        JSON.parent.mkdir(parents=True, exist_ok=True)
        write_json(JSON, {"outcomes": found})
        write_page(outcomes)
    return int(bool(odd))


def chosen(names: list[str], defects: list[str]) -> list[Example]:
    """These examples, or all, of which only those that have one of the defects; InputError for one that none has."""
    examples = [load_example(name) for name in names or example_names()]
    known = {d.name for example in examples for d in example.defects}
    for name in defects:
        if name not in known:
            raise InputError(f"no defect {name!r}: {', '.join(sorted(known))}")
    if not defects:
        return examples
    return [e for e in examples if any(d.name in defects for d in e.defects)]


def tried(examples: list[Example], defects: list[str]) -> Iterator[Outcome]:
    """Every version's outcome, told as soon as it is there."""
    for example in examples:
        with Trials(example) as trials:
            wanted = [d for d in example.defects if not defects or d.name in defects]
            for defect in [None, *wanted]:
                outcome = trials.run(defect)
                tell(outcome)
                yield outcome


def tell(outcome: Outcome) -> None:
    mark = "ok" if outcome.as_expected else "NOT AS EXPECTED"
    say(f"{outcome.example}: {outcome.name}: {mark} ({outcome.seconds:.1f} s)")
    if not outcome.as_expected:
        wanted = outcome.defect.expected if outcome.defect else "silence"
        say(f"    expected {wanted}; {outcome.compared} compared")
        for cause in outcome.causes[:3]:
            say("    " + "\n    ".join(cause.lines()))


def cells(outcome: Outcome) -> list[str]:
    first = outcome.causes[0] if outcome.causes else None
    told = f"{first.where or first.case}: {first.kind}" if first else "silent"
    return [
        outcome.example,
        outcome.name,
        "yes" if outcome.found else "no",
        told,
        "yes" if outcome.as_expected else "NO",
        f"{outcome.seconds:.1f}",
    ]


HEAD = ["example", "defect", "found", "first cause", "expected", "seconds"]


def table(outcomes: list[Outcome]) -> Table:
    found = Table(*HEAD)
    for outcome in outcomes:
        found.add_row(*cells(outcome))
    return found


def write_page(outcomes: list[Outcome]) -> None:
    """The table in docs/ports.md, between its markers; the page where there is none."""
    defects = [x for x in outcomes if x.defect]
    right = len(outcomes) - len(defects)
    silent = sum(x.as_expected for x in outcomes if not x.defect)
    told = sum(x.as_expected for x in defects)
    lines = [
        f"{right} examples, {silent} of the right versions silent; {len(defects)} defects, "
        f"{sum(x.found for x in defects)} found, {told} with the expected first cause.",
        "",
        "| example | defect | first cause | expected | s |",
        "|---|---|---|---|---|",
    ]
    for outcome in defects:
        example, name, _, first, expected, seconds = (c.replace("|", "\\|") for c in cells(outcome))
        lines.append(f"| {example} | {name} | {first} | {expected} | {seconds} |")
    block = "\n".join([BEGIN, "", *lines, "", END])
    text = PAGE.read_text() if PAGE.exists() else ""
    if BEGIN in text and END in text:
        before, _, rest = text.partition(BEGIN)
        PAGE.write_text(before + block + rest.partition(END)[2])
    else:
        PAGE.write_text(SECTION + block + "\n" + (f"\n{text}" if text else ""))


if __name__ == "__main__":
    sys.exit(main())
