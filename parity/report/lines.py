"""Names of cases as people read them, and a case's end in a line."""

from __future__ import annotations

from parity.engine.judge.verdicts import Status, Verdict
from parity.report.gist import Cell
from parity.report.screen import duration


def name_of(item) -> str:
    """ "parity/suite/test_ops.py::test_a[b]" -> "test_ops.py::test_a[b]"."""
    path, separator, rest = item.nodeid.partition("::")
    return path.rpartition("/")[2] + separator + rest


def overall(verdicts: list[Verdict], outcomes) -> str:
    """One word for a case: the worst of its verdicts, and of what pytest says of it."""
    statuses = {v.status for v in verdicts}
    if "failed" in outcomes or Status.FAIL in statuses:
        return "FAIL"
    if "skipped" in outcomes:
        return "NOT RUN"
    only = statuses == {Status.INCONCLUSIVE}
    return "INCONCLUSIVE" if only else "PASS"


def line_of(status: str, name: str, verdicts: list[Verdict], seconds: float) -> str:
    """ "PASS  NAME  812 compared, worst 2.1e-15, limit 1.0e-12  31 s"."""
    cell = Cell()
    for verdict in verdicts:
        cell.add(verdict.to_dict())
    text = cell.told() if verdicts else "nothing compared"
    if cell.first:
        text += f", first {cell.first['node']} {cell.first.get('message', '')[:100]}".rstrip()
    return f"{status:<8} {name}: {text}; {duration(seconds)}"


def group_of(name: str) -> str:
    """ "test_detectors.py::test_detector[one_map]" -> "detectors"."""
    return name.partition("::")[0].removesuffix(".py").removeprefix("test_")


def readable(name: str) -> str:
    """ "test_detectors.py::test_detector[one_map]" -> "detectors: one_map", "test_ops.py::test_ops_float64" -> "ops:
    ops float64"."""
    file, _, test = name.partition("::")
    what, _, parameters = test.partition("[")
    file = file.removesuffix(".py").removeprefix("test_")
    what = what.removeprefix("test_").replace("_", " ")
    named = [what] if what.rstrip("s") != file.rstrip("s") else []
    return f"{file}: {' '.join([*named, parameters.removesuffix(']')])}".rstrip(" :")
