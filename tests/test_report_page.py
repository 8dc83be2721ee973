"""The report in a real browser: what a reader clicks, types, copies and links, and what must then be there."""

from __future__ import annotations

import re
import time

import numpy as np
import pytest

from parity.engine.judge.verdicts import Status, Verdict
from parity.engine.tell.shown import look
from parity.report.page import render
from parity.report.report import RUNNING, Progress, Report
from tests.browser import fits, launched, opened

WRONG = "stem.layer1.conv2"
NODES = (("stem.conv1", 1e-16, 1e-16), (WRONG, 5e-7, 2e-6), ("stem.layer1.conv3", 2e-16, 3e-6))


def verdict(node: str, check: str, measured: float, limit: float, **fields) -> Verdict:
    status = Status.FAIL if measured > limit else Status.PASS
    return Verdict("first", check, node, status, measured, limit, **fields)


def small_report(folder, wrong: bool = True) -> Report:
    report = Report(folder, environment={"torch": {"version": "2"}, "jittor": {"version": "1"}})
    ours = np.arange(24.0).reshape(2, 3, 4)
    theirs = ours.copy()
    theirs[1, 2, 3] = 25
    for node, local, total in NODES if wrong else [(n, 1e-16, 1e-16) for n, *_ in NODES]:
        more = {"shape": (2, 3, 4), "rms": 0.5, "code": ("ours.py:3 Conv", "theirs.py:4 Conv")}
        if local > 1e-12:
            more |= {"owner": node, "guilty": "jittor", "message": "jittor is wrong </script>"}
            more |= {"script": "first.py", "values": look(ours, theirs)}
        report.add([verdict(node, "float64 local forward", local, 1e-12, **more)])
        report.add([verdict(node, "float64 forward", total, 1e-12)])
        report.add([verdict(node, "float32 forward", 3e-7, 1e-6, floor=1e-7)])
        report.add([verdict(node, "float64 node gradients", 1e-15, 1e-11)])
        report.add([verdict(f"{node}.weight", "float64 gradients", 1e-15, 1e-11)])
    report.add([Verdict("second <case>", "float64 forward", "only", Status.PASS, 0.0, 1e-12)])
    report.add([Verdict("third", "case", "(all)", Status.NOT_RUN, message="no GPU")])
    losses = [{"loss": 3.0}, {"loss": 2.0}]
    report.curves["steps"] = {"torch": losses, "jittor": losses, "copies": [losses] * 8}
    return report


@pytest.fixture(scope="module")
def browser():
    with launched() as found:
        yield found


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return small_report(tmp_path_factory.mktemp("page")).write()[1]


def texts(page, selector: str) -> list[str]:
    return page.locator(selector).all_inner_texts()


def test_the_first_screen(browser, path):
    page, errors = opened(browser, path)
    told = "1 module is wrong, on Jittor's side: 3 of 17 comparisons fail; 1 NOT RUN."
    assert page.locator("#answer h1").inner_text() == told
    red = page.locator(".cell.kfail")
    assert red.count() == 2 and texts(page, ".matrix tbody th")[0] == "first"
    assert page.locator("#matrix").bounding_box()["y"] < 200
    red.nth(1).click()
    assert page.locator("#table tbody tr").count() == 3
    assert "case=first" in page.url and "kind=local64" in page.url
    assert page.locator("#table tbody tr.FAIL td").nth(0).inner_text() == WRONG
    assert not errors


def test_a_culprits_card(browser, path):
    page, errors = opened(browser, path, permissions=["clipboard-read", "clipboard-write"])
    card = page.locator(".card")
    assert card.locator("h3").inner_text() == WRONG
    assert "Jittor's side" in card.inner_text() and "theirs.py:4 Conv" in card.inner_text()
    assert "jittor is wrong </script>" in card.inner_text()
    assert card.locator(".picture canvas").count() == 1
    card.locator("[data-copy]").click()
    card.locator("[data-copy]", has_text="copied").wait_for()  # the browser copies beside the page
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("python ") and copied.endswith("reproduce/first.py")
    assert not errors


def test_error_over_depth_and_a_node(browser, path):
    page, errors = opened(browser, path, "#at=depth")
    page.locator("#picture canvas").wait_for()
    over = page.locator("#picture .u-over")
    box = over.bounding_box()
    over.hover(position={"x": box["width"] / 2, "y": 50})
    tip = page.locator(".tip").inner_text()
    assert WRONG in tip and "2 x 3 x 4" in tip and "FAIL" in tip
    over.click(position={"x": box["width"] / 2, "y": 50})
    node = page.locator("#node")
    assert f"node={WRONG}" in page.url
    assert "ours.py:3 Conv" in node.inner_text() and "[1, 2, 3]" in node.inner_text()
    assert node.locator("canvas.difference").count() == 1
    page.locator("#picture").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert "node=stem.layer1.conv3" in page.url
    for view in ("backward", "parameters"):
        page.locator("#depth [data-state=view]").select_option(view)
        page.locator("#picture canvas").wait_for()
    assert not errors


def test_the_address_is_the_state(browser, path):
    page, errors = opened(browser, path, "#at=comparisons")
    page.locator("#comparisons [data-state=status]").select_option("FAIL")
    page.locator("#comparisons [data-state=q]").fill("conv3")
    page.locator("#table th button").nth(3).click()
    assert page.locator("#table tbody tr").count() == 1
    address = page.url
    page.goto("about:blank")
    page.goto(address)
    assert page.locator("#comparisons [data-state=q]").input_value() == "conv3"
    assert page.locator("#table tbody tr").count() == 1
    assert page.locator("#comparisons").get_attribute("open") is not None
    page.locator("#comparisons [data-state=q]").fill("")
    assert texts(page, "#table tbody td:first-child") == ["stem.layer1.conv3", WRONG, WRONG]
    page.locator("#table th button").nth(3).click()
    assert texts(page, "#table tbody td:first-child")[0] == WRONG
    assert not errors


def test_an_address_that_nobody_made_opens_the_page(browser, path):
    for address in (
        "#case=nope&node=<img src=x onerror=alert(1)>",
        "#view=bogus&at=depth",
        "#%E0%A",
    ):
        page, errors = opened(browser, path, address)
        assert page.locator("#answer h1").is_visible() and not errors
        page.close()


def test_modules_and_their_tree(browser, path):
    page, _ = opened(browser, path, "#at=nodes")
    tree = texts(page, "#tree button")
    assert [line.split(" ")[0] for line in tree][:3] == ["all", "stem", "conv1"]
    conv2 = page.locator("#tree summary button", has_text="conv2")
    squares = conv2.locator("i")
    assert [squares.nth(k).get_attribute("class") for k in (0, 1)] == ["kfail", "kfail"]
    inherits = page.locator("#tree summary button", has_text="conv3").locator("i")
    assert inherits.nth(0).get_attribute("class") != "kfail", "conv3 only inherits"
    conv2.click()
    assert texts(page, "#modules tbody td:nth-child(2)") == ["SEMANTIC-DIFF", "OK"], (
        "conv2 and its weight"
    )


def test_search_and_sections(browser, path):
    page, errors = opened(browser, path)
    page.keyboard.press("/")
    page.keyboard.type("conv3")
    hits = page.locator("#found a")
    assert hits.first.inner_text() == "stem.layer1.conv3"
    hits.first.click()
    assert "node=stem.layer1.conv3" in page.url
    assert page.locator("#node h3").inner_text() == "stem.layer1.conv3"
    for section in page.locator("details.section").all():
        if section.get_attribute("open") is None:
            section.locator("summary h2").click()
    assert page.locator("#curves canvas").count() == 2
    assert "no GPU" in page.locator("#others").inner_text()
    assert page.locator("details.section[open]").count() == page.locator("details.section").count()
    assert not errors


def test_the_matrix_with_the_keyboard(browser, path):
    page, _ = opened(browser, path)
    page.locator(".cell").first.focus()
    before = page.evaluate("document.activeElement.getAttribute('aria-label')")
    page.keyboard.press("ArrowRight")
    after = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert before != after and after.startswith("first, ") and "compared" in after
    page.keyboard.press("Enter")
    assert "at=comparisons" in page.url


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_narrow_window_and_print(browser, path, scheme):
    page, errors = opened(
        browser,
        path,
        "#open=depth,nodes,comparisons,atlas,environment",
        width=400,
        color_scheme=scheme,
    )
    page.locator("#picture canvas").wait_for()
    assert fits(page) and not errors
    ink, ground = page.evaluate(
        "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
    )
    dark = [sum(map(int, re.findall(r"\d+", c)[:3])) < 384 for c in (ink, ground)]
    assert dark == ([True, False] if scheme == "light" else [False, True])
    page.emulate_media(media="print")
    assert page.locator("#answer").is_visible() and not page.locator(".tools").first.is_visible()


def test_a_right_pair(browser, tmp_path):
    page, errors = opened(browser, small_report(tmp_path, wrong=False).write()[1])
    assert (
        page.locator("#answer h1")
        .inner_text()
        .startswith("Jittor agrees with PyTorch: 16 comparisons")
    )
    assert not page.locator(".card").count() and not errors


def large(cases: int = 70, nodes: int = 240) -> dict:
    """A report as large as that of the whole suite: 51,000 comparisons."""
    checks = ("float64 forward", "float64 local forward", "float32 forward")
    rng = np.random.default_rng(0)
    values = look(x := rng.standard_normal((2, 8, 24, 32)), x + 1e-13)
    verdicts = []
    for case in range(cases):
        for k in range(nodes):
            for check in checks:
                one = {"case": f"case {case}", "check": check, "status": "PASS", "limit": 1e-12}
                one |= {"node": f"transformer.encoder.layers.{k}.self_attn.out_proj"}
                one |= {"measured": float(rng.uniform(1e-16, 9e-13)), "shape": [2, 8, 24, 32]}
                verdicts.append(one | ({"values": values} if k < 6 else {}))
    counts = {"PASS": len(verdicts), "FAIL": 0, "INCONCLUSIVE": 0, "NOT_RUN": 0}
    return {"verdicts": verdicts, "counts": counts, "environment": {}, "created": "today"}


def test_a_large_report_is_small_and_quick(browser, tmp_path):
    report = large()
    assert len(report["verdicts"]) > 50_000
    path = tmp_path / "report.html"
    path.write_text(render(report))
    assert path.stat().st_size < 8e6
    began = time.monotonic()
    page, errors = opened(browser, path, "#at=depth")
    page.locator("#picture canvas").wait_for()
    took = time.monotonic() - began
    assert took < 4, "2 s alone; other tests may run beside this one"
    assert page.locator("#matrix").bounding_box()["height"] < 900 and not errors


def test_a_report_in_which_nothing_is_yet(browser, tmp_path):
    report = Report(tmp_path, progress=Progress(RUNNING, 0, 3, "detectors: x"))
    page, errors = opened(browser, report.write()[1], "#open=depth,comparisons,nodes,steps")
    assert "0 of 3 cases done, now detectors: x" in page.locator("#progress").inner_text()
    assert page.locator("#answer h1").inner_text() == "Nothing yet." and not errors
