"""The page of a report as a file: what is in it, how large it is, what it needs."""

from __future__ import annotations

import json
import re

from parity.engine.judge import checks
from parity.report.gist import answer, kind_of, matrix
from tests.test_report_page import small_report


def test_no_network_is_needed(tmp_path):
    page = small_report(tmp_path).write()[1].read_text()
    assert not re.findall(r"""(?:src|href)=["']?(?:https?:)?//""", page)
    assert "@import" not in page
    assert page.count("</script>") == 3, "a message cannot end a script element"
    data = page.partition('id="data">')[2].partition("</script>")[0]
    assert set(json.loads(data)["cases"]) == {"first", "second <case>", "third"}


def test_every_check_of_the_engine_has_a_column():
    names = [v for k, v in vars(checks).items() if k.isupper() and isinstance(v, str)]
    assert {name for name in names if kind_of(name) == "other"} == {checks.NOT_LOOKED_INTO}


def test_answers_and_levels():
    def told(*statuses, **more):
        verdicts = [
            {
                "case": "c",
                "check": "float64 forward",
                "node": "n",
                "status": s,
                "measured": 0.5,
                "limit": 1.0,
            }
            for s in statuses
        ]
        return answer({"verdicts": verdicts, "environment": {"torch": {}, "jittor": {}}} | more)

    assert (
        told("PASS", "PASS").text
        == "Jittor agrees with PyTorch: 2 comparisons, worst at 50 % of its limit"
    )
    near = {"case": "c", "check": "float64 forward", "node": "n", "status": "PASS", "limit": 1.0}
    far = near | {"status": "KNOWN", "measured": 9e3}
    both = answer({"verdicts": [far, near | {"measured": 0.01}, far], "environment": {}}).text
    assert "1 comparisons, worst at 1 % of its limit; 2 KNOWN" in both
    (cell,) = (c for row in matrix([far, far]).values() for c in row.values())
    assert "worst 9.0e+03, limit 1.0e+00, 2 KNOWN" in cell.told(), "alone it is told"
    assert told("PASS", "FAIL").status == "FAIL" and "first c" in told("PASS", "FAIL").text
    assert told().status == "NOT_RUN" and told("INCONCLUSIVE").status == "INCONCLUSIVE"
    causes = [
        {"case": "c", "where": w, "side": "torch", "check": "float64 local forward", "also": []}
        for w in "ab"
    ]
    assert told("FAIL", causes=causes).text.startswith("2 modules are wrong, all on PyTorch's side")
    cell = matrix(
        [
            {
                "case": "c",
                "check": "float64 forward",
                "node": "n",
                "status": "PASS",
                "measured": 1e-14,
                "limit": 1e-12,
            }
        ]
    )
    assert cell["c"]["forward64"].level == "4" and kind_of("weights: torch round trip") == "weights"
