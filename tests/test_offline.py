"""Record in one place, compare in another: the scripts, end to end, on the example pair."""

from __future__ import annotations

import json

import pytest

from tests.starting import run

PAIR = "docs/example_pair.py"


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """Paths by name of all that the gates need, each made by its own process."""
    folder = tmp_path_factory.mktemp("records")
    paths = {}

    def record(name: str, side: str, dtype: str, **options) -> None:
        paths[name] = folder / f"{name}.safetensors"
        arguments = ["--side", side, "--dtype", dtype, "--out", paths[name]]
        for key, value in options.items():
            arguments += [f"--{key}"] + ([value] if value is not True else [])
        result = run("record", PAIR, *arguments)
        assert result.returncode == 0, result.stderr
        assert "nodes" in result.stdout

    record("t64", "torch", "float64")
    record("j64", "jittor", "float64")
    record("j64 forced", "jittor", "float64", reference=paths["t64"])
    record("t32", "torch", "float32", replay=paths["t64"])
    record("j32", "jittor", "float32", replay=paths["t64"])
    return paths


@pytest.mark.parametrize(
    ("names", "check"),
    [
        (("t64", "j64"), "float64 node gradients"),
        (("t64", "j64 forced"), "float64 local gradients"),
        (("t64", "t32", "j32"), "float32 choices"),
    ],
)
def test_each_gate(records, tmp_path, names, check):
    result = run("compare", *(records[n] for n in names), "--out", tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["counts"]["FAIL"] == 0
    assert check in {v["check"] for v in report["verdicts"]}
    assert len(report["environment"]) == len(names), "where each was made is told"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("t32", "t64"), "records of float32, float64"),
        (("t64",), "give two records"),
        (("t64", "j32", "t32"), "must be torch's, then jittor's"),
    ],
)
def test_what_makes_no_comparison_is_told(records, names, message):
    result = run("compare", *(records[n] for n in names))
    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_bad_requests_are_told(tmp_path):
    result = run("record", "no such case", "--side", "torch", "--out", tmp_path / "x.safetensors")
    assert result.returncode == 2
    assert "no such case" in result.stderr
    assert "scenes_detr on scenes" in result.stderr, "the cases are listed"
    assert not (tmp_path / "x.safetensors").exists()
    result = run("record", PAIR, "--out", tmp_path / "x.safetensors")
    assert "--side" in result.stderr


def test_two_reports(records, tmp_path):
    reports = []
    for name, other in (("a", "j64"), ("b", "j64")):
        run("compare", records["t64"], records[other], "--out", tmp_path / name)
        reports.append(tmp_path / name / "report.json")
    assert run("compare", "--reports", *reports).stdout.strip() == "no node changed"
    changed = json.loads(reports[1].read_text())
    changed["verdicts"][3]["status"] = "FAIL"
    reports[1].write_text(json.dumps(changed))
    result = run("compare", "--reports", *reports)
    assert result.returncode == 1
    assert "PASS to FAIL" in result.stdout
