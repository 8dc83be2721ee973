"""Two reports: what changed, in the terminal and as a page."""

from __future__ import annotations

import json

import pytest

from parity import cli
from parity.report.changes import BETTER, GONE, GREEN, NEW, RED, SCHEMA, WORSE, changes
from tests.browser import fits, launched, opened


def verdict(node: str, measured: float, limit: float = 1e-12, **more) -> dict:
    status = "PASS" if measured <= limit else "FAIL"
    found = {"case": "a <case>", "check": "float64 forward", "node": node, "status": status}
    return found | {"measured": measured, "limit": limit} | more


def report(*verdicts: dict) -> dict:
    return {"schema": SCHEMA, "created": "today", "environment": {}, "verdicts": list(verdicts)}


OLD = report(
    *(verdict("red", 1e-15), verdict("worse", 2e-13), verdict("gone", 1e-15)),
    *(verdict("green", 1e-11), verdict("better", 9e-13), verdict("same", 1e-15)),
    verdict("noisy", 2e-7, 1e-6, floor=3e-7),
)
NEW_ONE = report(
    *(verdict("red", 1e-11), verdict("worse", 9e-13), verdict("green", 1e-15)),
    *(verdict("better", 2e-13), verdict("same", 9e-15), verdict("new", 1e-15)),
    verdict("noisy", 4e-7, 1e-6, floor=3e-7),
)
WANTED = {"red": RED, "worse": WORSE, "gone": GONE, "green": GREEN, "better": BETTER, "new": NEW}


@pytest.fixture
def files(tmp_path):
    paths = [tmp_path / "old.json", tmp_path / "new.json"]
    for path, content in zip(paths, (OLD, NEW_ONE), strict=True):
        path.write_text(json.dumps(content))
    return paths


def test_each_kind_of_change_and_nothing_else():
    assert {c.node: c.kind for c in changes(OLD, NEW_ONE)} == WANTED
    assert changes(OLD, OLD) == []


def test_the_command(files, tmp_path, capsys):
    out = tmp_path / "difference.html"
    assert cli.main(["diff", *map(str, files), "--out", str(out)]) == 1
    told = capsys.readouterr().out
    assert "1 turned red, 1 got worse, 1 disappeared, 1 turned green" in told
    assert "a <case> / float64 forward / gone: is gone (was PASS)" in told
    assert "a &lt;case&gt;" in out.read_text()
    assert cli.main(["diff", str(files[0]), str(files[0]), "--out", str(out)]) == 0
    assert "Nothing changed" in capsys.readouterr().out


def test_bad_input(files, tmp_path, capsys):
    (tmp_path / "bad.json").write_text('{"schema": "other", "verdicts": []}')
    for bad in (tmp_path / "bad.json", tmp_path / "absent.json"):
        assert cli.main(["diff", str(files[0]), str(bad)]) == 2
        assert "error:" in capsys.readouterr().err
    assert not (tmp_path / "difference.html").exists()


def test_the_page(files, tmp_path, capsys):
    out = tmp_path / "difference.html"
    cli.main(["diff", *map(str, files), "--out", str(out)])
    with launched() as browser:
        page, errors = opened(browser, out, width=400)
        assert page.locator(".cell.kfail").count() == 1 and fits(page)
        page.locator("#find").fill("worse")
        shown = page.locator("tbody tr:visible td.mono").all_inner_texts()
        assert shown == ["worse"] and page.url.endswith("#worse")
        assert not errors
