"""The report in a real browser: headless Chromium runs the page, clicks, and tells what it sees."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import pytest

from parity.engine.verdicts import Status, Verdict
from parity.report.report import Report

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
needs_browser = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium here (Debian: apt-get install chromium)"
)

# what a reader does, and what must then be on the page
ACTIONS = """
const seen = {}, cells = k => [...document.querySelectorAll("#table tbody tr")].map(r => r.cells[k].textContent);
const heads = () => [...document.querySelectorAll("#table thead th")];
const column = name => heads().findIndex(h => h.textContent.startsWith(name));
seen.columns = heads().map(h => h.textContent);
seen.order = cells(0);
heads()[column("64 local")].click(); seen.worst_first = cells(0);
heads()[column("64 local")].click(); seen.best_first = cells(0);
const filter = document.getElementById("filter");
filter.value = "layer1"; filter.oninput(); seen.filtered = cells(0);
filter.value = ""; filter.oninput();
const status = document.getElementById("status");
status.value = "FAIL"; status.onchange(); seen.failed = cells(0); seen.classes = cells(1); seen.why = cells(15);
seen.amplification = cells(column("amplif."));
status.value = ""; status.onchange();
seen.tree = [...document.querySelectorAll("#tree summary, #tree .leaf")].map(e => e.textContent);
seen.colours = [...document.querySelectorAll("#tree .leaf i:first-child")].map(e => e.style.background);
seen.open = [...document.querySelectorAll("#tree details[open] > summary")].map(e => e.textContent.split(" ")[0]);
[...document.querySelectorAll("#tree .leaf")].find(e => e.textContent.startsWith("conv2")).click();
seen.picked = cells(0);
const chooser = document.getElementById("case");
chooser.value = "second <case>"; chooser.onchange(); filter.value = ""; filter.oninput();
seen.other_case = cells(0);
seen.width = document.documentElement.scrollWidth <= window.innerWidth;
document.body.replaceChildren(document.createElement("pre"));
document.querySelector("pre").textContent = JSON.stringify(seen);
"""


def verdict(node: str, check: str, measured: float, limit: float, **fields) -> Verdict:
    status = Status.FAIL if measured > limit else Status.PASS
    return Verdict("first", check, node, status, measured, limit, **fields)


def write_report(folder):
    report = Report(folder, environment={"torch": {"version": "2"}, "jittor": {"version": "1"}})
    for node, local, total in (
        ("stem.conv1", 1e-16, 1e-16),
        ("stem.layer1.conv2", 5e-7, 2e-6),
        ("stem.layer1.conv3", 2e-16, 3e-6),
    ):
        owner = {"owner": node, "message": "jittor is wrong </script>" if local > 1e-12 else ""}
        report.add([verdict(node, "float64 local forward", local, 1e-12, **owner)])
        report.add([verdict(node, "float64 forward", total, 1e-12)])
        report.add([verdict(node, "float32 forward", 3e-7, 1e-6, floor=1e-7)])
    report.add([Verdict("second <case>", "float64 forward", "only", Status.PASS, 0.0, 1e-12)])
    return report.write()[1]


@pytest.fixture(scope="module", params=["1280,900", "390,800"], ids=["desk", "phone"])
def seen(request, tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("page")
    page = write_report(folder).read_text()
    acting = folder / "acting.html"
    acting.write_text(page.replace("</body>", f"<script>{{{ACTIONS}}}</script></body>"))
    command = [
        CHROMIUM,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--virtual-time-budget=5000",
    ]
    command += [f"--user-data-dir={folder / 'profile'}", f"--window-size={request.param}"]
    result = subprocess.run(
        [*command, "--dump-dom", acting.as_uri()], capture_output=True, text=True, timeout=120
    )
    found = re.search(r"<pre>(.*?)</pre>", result.stdout, re.DOTALL)
    assert found, f"the page's script failed: {result.stderr[-2000:]}"
    text = found[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    return json.loads(text)


@needs_browser
def test_sorting(seen):
    assert seen["order"] == ["stem.conv1", "stem.layer1.conv2", "stem.layer1.conv3"]
    assert seen["worst_first"] == ["stem.layer1.conv2", "stem.layer1.conv3", "stem.conv1"]
    assert seen["best_first"] == seen["worst_first"][::-1]


@needs_browser
def test_filtering(seen):
    assert sorted(seen["filtered"]) == ["stem.layer1.conv2", "stem.layer1.conv3"]
    assert seen["failed"] == ["stem.layer1.conv3", "stem.layer1.conv2"], "still sorted"
    assert seen["classes"] == ["OK", "SEMANTIC-DIFF"], "an inherited error is nobody's fault here"
    assert seen["amplification"] == ["15000000000", "4"]
    assert seen["why"] == ["", "jittor is wrong </script>"]
    assert seen["other_case"] == ["only"]


@needs_browser
def test_the_tree_shows_local_beside_inherited_error(seen):
    assert [line.split(" ")[0] for line in seen["tree"]] == [
        "all",
        "stem",
        "conv1",
        "layer1",
        "conv2",
        "conv3",
    ]
    conv1, conv2, conv3 = seen["colours"]
    assert conv2 != conv1
    assert conv3 != conv2, "conv3 only inherits"
    assert "stem" in seen["open"], "the way to a culprit is open"
    assert seen["picked"] == ["stem.layer1.conv2"]


@needs_browser
def test_it_fits_the_window(seen):
    assert seen["width"]


def test_no_network_is_needed(tmp_path):
    page = write_report(tmp_path).read_text()
    assert not re.findall(r"""(?:src|href)=["']?(?:https?:)?//""", page)
    assert "@import" not in page
    assert page.count("</script>") == 2, "a message cannot end a script element"
