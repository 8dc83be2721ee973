"""Looks through a Jittor port for spellings that mean something else than in PyTorch.

`python -m parity.atlas.lint PATH...` prints FILE:LINE:COLUMN: what is wrong [entry of the atlas];
The atlas (docs/atlas.md) shows the difference. `# noqa`, `# noqa: ENTRY` or `# atlas: ok` at the end of
a line silences it. Exit code 0: nothing found, 1: findings, 2: a file that could not be read, or bad arguments.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

from door.files import replacing
from parity.atlas.lint.finding import DOUBTED, UNREADABLE, Finding
from parity.atlas.lint.fixes import fix_file
from parity.atlas.lint.pairwise import compare
from parity.atlas.lint.run import Report, lint_path
from parity.atlas.lint.sarif import as_sarif
from parity.errors import InputError


def arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="parity.atlas.lint",
        description=__doc__,
        epilog="example: parity lint my_port/ --fix",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("paths", nargs="*", type=Path, help="files or folders")
    parser.add_argument(
        "--hints",
        action="store_true",
        help="also tell what the code alone cannot show, or is seldom a defect",
    )
    parser.add_argument(
        "--fix", action="store_true", help="write what PyTorch's code of the same text means"
    )
    parser.add_argument(
        "--select", metavar="ENTRIES", default="", help="only these, separated by commas"
    )
    parser.add_argument("--ignore", metavar="ENTRIES", default="", help="none of these")
    parser.add_argument("--format", choices=("text", "json", "sarif"), default="text")
    parser.add_argument("--output", type=Path, help="write there instead of to the terminal")
    parser.add_argument(
        "--pair",
        nargs=2,
        type=Path,
        metavar=("REFERENCE", "PORT"),
        help="compare two halves: defaults, constants, bounds, operations, order",
    )
    options = parser.parse_args(argv)
    if bool(options.paths) == bool(options.pair):
        parser.error("give files or folders, or --pair REFERENCE PORT")
    return options


def look(options: argparse.Namespace) -> Report:
    if options.pair:
        findings, count = compare(*options.pair, options.hints)
        return Report(findings, count, count)
    report = Report()
    for path in options.paths:
        found = lint_path(path, options.hints)
        report.findings += found.findings
        report.files += found.files
        report.looked_at += found.looked_at
    return report


def chosen(findings: list[Finding], options: argparse.Namespace) -> list[Finding]:
    select, ignore = (set(filter(None, t.split(","))) for t in (options.select, options.ignore))
    kept = [f for f in findings if f.level == UNREADABLE or f.entry not in ignore]
    kept = [f for f in kept if options.hints or f.level != DOUBTED or f.entry in select]
    return [f for f in kept if not select or f.entry in select or f.level == UNREADABLE]


def mend(findings: list[Finding]) -> list[Finding]:
    """Fixes files; the findings that are left."""
    by_file: dict[Path, list[Finding]] = {}
    for finding in findings:
        by_file.setdefault(finding.path, []).append(finding)
    left = []
    for path, here in by_file.items():
        made = fix_file(path, here) if any(f.edits for f in here) else []
        if made:
            print(f"{path}: {len(made)} mended", file=sys.stderr)
        left += [f for f in here if f not in made]
    return left


def rendered(report: Report, options: argparse.Namespace) -> str:
    if options.format == "sarif":
        return json.dumps(as_sarif(report.findings, Path.cwd()), indent=1)
    if options.format == "json":
        rows = [
            {
                "path": str(f.path),
                "line": f.line,
                "column": f.column,
                "entry": f.entry,
                "level": f.level,
                "message": f.message,
                "fixable": bool(f.edits),
            }
            for f in report.findings
        ]
        return json.dumps(rows, indent=1)
    counts = Counter(f.entry for f in report.findings)
    kinds = ", ".join(f"{entry} {count}" for entry, count in counts.most_common())
    what = "functions compared" if options.pair else "files that use jittor"
    total = f"{len(report.findings)} findings in {report.files} {what}"
    return "\n".join([*map(str, report.findings), total + (f": {kinds}" if kinds else "")])


def main(argv: list[str] | None = None) -> int:
    options = arguments(argv)
    try:
        report = look(options)
        report.findings = chosen(report.findings, options)
        if options.fix:
            report.findings = mend(report.findings)
        text = rendered(report, options)
        if options.output is None:
            print(text)
        else:
            with replacing(options.output) as temporary:
                temporary.write_text(text + "\n")
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {error.filename or ''}: {error.strerror}", file=sys.stderr)
        return 2
    return report.exit_code
