"""Findings as SARIF 2.1.0, which code hosts show beside the code."""

from __future__ import annotations

from pathlib import Path

from parity.atlas.catalogue import BY_ID
from parity.atlas.lint.finding import DOUBTED, HINT, Edit, Finding

LEVELS = {HINT: "note", DOUBTED: "note"}  # SARIF's words; "warning" and "error" are its own
SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def as_sarif(findings: list[Finding], root: Path) -> dict:
    """One run; paths relative to `root` where they lie below it."""
    entries = sorted({f.entry for f in findings})
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": {"name": "parity-lint", "rules": [rule(e) for e in entries]}},
                "columnKind": "utf16CodeUnits",
                "results": [result(f, entries.index(f.entry), root) for f in findings],
            }
        ],
    }


def rule(identifier: str) -> dict:
    entry = BY_ID.get(identifier)
    told = {"id": identifier, "shortDescription": {"text": entry.title if entry else identifier}}
    if entry and entry.effect:
        told["fullDescription"] = {"text": entry.effect}
    return told


def result(finding: Finding, index: int, root: Path) -> dict:
    place = {"artifactLocation": {"uri": uri(finding.path, root)}, "region": region(finding)}
    told = {
        "ruleId": finding.entry,
        "ruleIndex": index,
        "level": LEVELS.get(finding.level, finding.level),
        "message": {"text": finding.message},
        "locations": [{"physicalLocation": place}],
    }
    if finding.edits:
        changes = {
            "artifactLocation": place["artifactLocation"],
            "replacements": [replacement(e) for e in finding.edits],
        }
        told["fixes"] = [{"description": {"text": finding.message}, "artifactChanges": [changes]}]
    return told


def region(finding: Finding) -> dict:
    return {
        "startLine": finding.line,
        "startColumn": finding.column,
        "endLine": max(finding.last_line, finding.line),
        "endColumn": max(finding.last_column, 1),
    }


def replacement(edit: Edit) -> dict:
    deleted = {
        "startLine": edit.start[0],
        "startColumn": edit.start[1] + 1,
        "endLine": edit.end[0],
        "endColumn": edit.end[1] + 1,
    }
    return {"deletedRegion": deleted, "insertedContent": {"text": edit.text}}


def uri(path: Path, root: Path) -> str:
    try:
        return path.resolve().relative_to(root.resolve()).as_posix()
    except ValueError:
        return path.resolve().as_uri()
