"""The command `parity`: run, map, record, compare, diff, floors, lint. Bad input is one line and exit code 2."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

from door import schema
from door.files import write_json
from door.terminal import Console, say
from parity.atlas.lint import main as lint_files
from parity.case import Case
from parity.cli_options import (
    compare_options,
    diff_options,
    floors_options,
    lint_options,
    map_options,
    record_options,
    run_options,
)
from parity.engine.ask.coverage import together, unreached
from parity.engine.ask.everything import Wanted, examine_all
from parity.engine.ask.examination import Examination
from parity.engine.ask.examine import workers_of
from parity.engine.ask.mapping import propose_names
from parity.engine.ask.measure import measure, nearby
from parity.engine.ask.offline import comparable, compare, record
from parity.engine.ask.result import Result
from parity.engine.judge import kinds
from parity.engine.judge.floors import SCHEMA, given_floors, read_floors
from parity.engine.judge.verdicts import Status, Verdict
from parity.engine.tell.known import strictly, with_known
from parity.engine.values.shapes import ReportFile
from parity.errors import InputError, WorkerDied, WorkerError
from parity.report.changes import BAD, changes
from parity.report.difference import tell as tell_difference
from parity.report.difference import write_page
from parity.report.gist import answer
from parity.report.reading import read
from parity.report.report import RUNNING, Progress, Report, Timing
from parity.report.terminal import conclude as tell
from parity.report.terminal import on_terminal, print_table, shown


def run(options: argparse.Namespace) -> int:
    """Everything about each pair, or the quick part of it; 1 when anything failed."""
    cases = named_apart(options.cases, [Case.from_file(path) for path in options.cases])
    console, report, watch = Console(), Report(options.out), Timing()
    code: dict[tuple[str, str], list[dict]] = {}
    for done, case in enumerate(cases):
        if len(cases) > 1:
            report.progress = Progress(RUNNING, done, len(cases), case.name)
            console.print(f"{case.name}:", markup=False)
        found = examined(case, options, console, alone=len(cases) == 1)
        report.environment = report.environment or found.environment
        report.add((strictly if options.strict else with_known)(found.verdicts))
        report.timings.append(watch.of(case.name))
        code.setdefault(case.labels, []).append(found.code)
        report.write()  # whatever comes, this is kept
    report.progress = Progress()
    for labels, runs in code.items():
        whole = {side: together(run.get(side, []) for run in runs) for side in labels}
        name = cases[0].name if len(cases) == 1 else f"all {len(cases)} pairs"
        report.add(unreached(name, labels[1], whole[labels[1]]))
        report.read += read(whole, labels)
    return conclude(report, console, options.table)


def named_apart(files: list[Path], cases: list[Case]) -> list[Case]:
    """Cases of one name by their folders, too; of two that are the same still, by number."""
    count = Counter(case.name for case in cases)
    names = [
        case.name if count[case.name] == 1 else f"{file.resolve().parent.name}/{case.name}"
        for file, case in zip(files, cases, strict=True)
    ]
    return [
        replace(
            case, name=name if names.count(name) == 1 else f"{name} ({names[: k + 1].count(name)})"
        )
        for k, (case, name) in enumerate(zip(cases, names, strict=True))
    ]


def examined(case: Case, options: argparse.Namespace, console: Console, alone: bool) -> Result:
    """What became of a pair; of one of several what cannot be run is a FAIL, and the others are run."""

    def told(stage: str, verdicts: list) -> None:
        # whether that is known and no defect is told in the end, by all that was compared
        odd = sum(v.status is Status.FAIL for v in verdicts)
        console.print(f"{stage}: {len(verdicts)} compared, {odd} differ", markup=False)

    floors = None
    if options.floors:
        floors = given_floors(options.floors, case.name, options.device)
    wanted = Wanted(options.device, options.steps, options.branches, options.quick, options.limit)
    try:
        return examine_all(case, wanted, floors, options.out / "reproduce", told)
    except Exception as error:  # whatever the user's code raises
        if alone:
            raise
        console.print(f"error: {error}", markup=False)
        failed = Verdict(
            case.name, "worker", "(run)", Status.FAIL, message=f"{type(error).__name__}: {error}"
        )
        return Result([failed.but(kind=kinds.CRASH)])


def conclude(report: Report, console: Console, table: bool = False) -> int:
    """What it came to, and where the report is; 1 when anything failed or nothing was compared."""
    report.write()
    found = report.to_dict()
    if table:
        print_table(found, console)
    tell(found, shown(report.folder), console, on_terminal(console))
    return int(answer(found).status != Status.PASS)


def map_names(options: argparse.Namespace) -> int:
    """Proposes which of the candidate's names is which of the reference's; 1 when something has no partner."""
    case = Case.from_file(options.case)
    found = propose_names(case, device=options.device)
    for line in found.told(case.labels):
        say(line)
    code = found.as_code()
    if code:
        print(f"\nfor the pair file:\n\n{code}")
    return int(bool(found.only_reference or found.only_candidate))


def record_one(options: argparse.Namespace) -> int:
    found = record(
        Case.from_file(options.case),
        options.side,
        options.out,
        dtype=options.dtype,
        device=options.device,
        reference=options.reference,
        replay=options.replay,
        rounded=options.rounded,
    )
    say(f"{found.path}: {len(found['nodes'])} nodes")
    return 0


def compare_records(options: argparse.Namespace) -> int:
    records = [comparable(path) for path in options.records]
    about, floors = records[0].about, None
    if options.floors:
        device = about.get("device", "cpu")
        floors = given_floors(options.floors, about["subject"], device)
    result = compare(*records, floors=floors)
    report = Report(options.out, environment=result.environment)
    report.add(result.verdicts)
    return conclude(report, Console())


def compare_reports(options: argparse.Namespace) -> int:
    """What changed from one report to another; 1 when anything turned red, got worse or disappeared."""
    old, new = (schema.read(file, ReportFile) for file in (options.old, options.new))
    found = changes(old, new)
    tell_difference(old, new, found, Console())
    say(f"page: {write_page(options.out, old, new, found)}")
    return int(any(change.kind in BAD for change in found))


def measure_noise(options: argparse.Namespace) -> int:
    """Measures the floors of a pair's reference and adds them to a file of floors."""
    case = Case.from_file(options.case)
    before = read_floors(options.out)
    if before.cases and before.device != options.device:
        raise InputError(
            f"{options.out}: holds floors of {before.device}; give {options.device}'s another --out"
        )
    with (
        workers_of(case, None, options.device) as workers,
        Examination(case, workers) as examination,
    ):
        examination.run_reference()
        sections = measure(examination, nearby)
    about = dict(before.about) | {"schema": SCHEMA, "device": options.device}
    write_json(options.out, about | {"cases": dict(before.cases) | {case.name: sections}})
    print(
        f"{options.out}: floors of {case.name}; use them with `parity run --floors {options.out}`"
    )
    return 0


def lint(options: argparse.Namespace) -> int:
    """Jittor code against the atlas of what differs; see docs/atlas.md."""
    return lint_files(options.arguments)


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(
        prog="parity",
        description="Proves whether two implementations of a model agree.",
        epilog="example: parity run my_pair.py        (docs/pairs.md says what is in the file)",
    )
    commands = found.add_subparsers(required=True, metavar="COMMAND", title="commands")
    for name, function, add_options, text, example in COMMANDS:
        one = commands.add_parser(
            name, help=text, description=text, epilog=f"example: parity {name} {example}"
        )
        one.set_defaults(function=function)
        add_options(one)
    return found


COMMANDS = (  # name, what runs it, its options, what it does, an example
    (
        "run",
        run,
        run_options,
        "Examines a pair: every layer, gradient, choice and step.",
        "my_pair.py --steps 0",
    ),
    (
        "map",
        map_names,
        map_options,
        "Proposes which parameter of the candidate is which.",
        "my_pair.py",
    ),
    (
        "record",
        record_one,
        record_options,
        "Records what one side computes, to be compared elsewhere.",
        "my_pair.py --side reference --out t64.safetensors",
    ),
    (
        "compare",
        compare_records,
        compare_options,
        "Compares two or three records.",
        "t64.safetensors j64.safetensors",
    ),
    (
        "diff",
        compare_reports,
        diff_options,
        "Compares two reports: what turned red, got worse, disappeared.",
        "old/report.json logs/parity/report.json",
    ),
    (
        "floors",
        measure_noise,
        floors_options,
        "Measures the noise of a pair's reference.",
        "my_pair.py",
    ),
    ("lint", lint, lint_options, "Looks for known differences in Jittor code.", "my_port/"),
)
FRAMES = 3  # of the user's code, below an error of it
NAMES = tuple(name for name, *_ in COMMANDS)


def main(arguments: list[str] | None = None) -> int:
    given = sys.argv[1:] if arguments is None else arguments
    if given[:1] == ["lint"]:  # which has options of its own
        return lint(argparse.Namespace(arguments=given[1:]))
    options = parser().parse_args(given)
    try:
        return options.function(options)
    except InputError as error:
        say(f"error: {error}", error=True)
        return error.exit_code
    except WorkerError as error:  # of the user's own code: where
        frames = error.told.get("traceback", "").splitlines()[-FRAMES:]
        for line in (f"error: {error}", *(f"  {frame}" for frame in frames)):
            say(line, error=True)
        return 2
    except (WorkerDied, OSError, json.JSONDecodeError) as error:
        say(f"error: {error}", error=True)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
