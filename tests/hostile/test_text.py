"""Names are text: on terminals, in pages, charts, pictures, TensorBoard and logs."""

from __future__ import annotations

import csv
import json
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from door.display import plain
from door.terminal import Console, Table, say
from neutral.board import Board
from neutral.pictures import Mark, beside, draw
from neutral.runlog import append_lines, write_csv
from neutral.score_charts import class_bars, precision_recall
from neutral.weights import save_weights
from parity.engine.judge.verdicts import Status, Verdict
from parity.report.report import Report
from parity.report.screen import Screen
from parity.suite.summary import Section, write_summary
from tests.hostile.asking import done, exit_of, refused

NAMES = (
    "[red]dog[/red]",
    "[/]",
    ":smile:",
    "\x1b[31mdog\x1b[2J",
    "\x9b31mdog",
    "dog\rcat",
    "dog\ncat | PASS",
    "dog\u2028cat",
    "\u202egod\u202c",
    "\u2066dog\u2069",
    "<!--<script>",
    "</script><script>alert(1)</script>",
    "<b>dog</b>&amp;",
    "{{ 7 * 7 }}",
    "$x^{$",
    "%s{0}",
    "=1+1",
    "dog\0",
    "\u200bdog",
    "\ud800",
)
UNSEEN = re.compile(
    r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def sound(text: str) -> bool:
    return not UNSEEN.search(text)


@pytest.mark.parametrize("name", NAMES)
def test_plain(name):
    shown = plain(name)
    assert sound(shown) and "\n" not in shown
    shown.encode()
    assert shown == name or "\\" in shown


# German, Chinese, Arabic, Persian with a joiner, an emoji
WORDS = ("Hund \u00e4", "\u72ac", "\u0643\u0644\u0628", "\u06cc\u200c\u0647", "\U0001f415")


@pytest.mark.parametrize("name", WORDS)
def test_what_is_text_stays(name):
    assert plain(name) == name


@pytest.mark.parametrize("name", NAMES)
def test_terminal(name, capsys):
    console = Console(width=200)
    table = Table("class", "AP")
    table.add_row(name, "0.5")
    console.print(table)
    console.print(f"names: {name}")
    say(f"names: {name}")
    told = capsys.readouterr().out
    assert sound(told) and told.count(plain(name)) == 3
    assert told.count("\n") == 5 + 2  # a table of one row, and two lines


@pytest.mark.parametrize("name", NAMES)
def test_screen(name, tmp_path):
    path = tmp_path / "out"
    with path.open("w") as file:
        screen = Screen(file)
        screen.line(f"node {name}")
        screen.close()
    assert path.read_text() == f"node {plain(name)}\n"


class Page(HTMLParser):
    """Elements of a page, and its text."""

    def __init__(self, text: str):
        super().__init__()
        self.elements, self.text, self.comments = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)

    def handle_data(self, data):
        self.text.append(data)

    def handle_comment(self, data):
        self.comments.append(data)


def report_of(name: str, folder) -> str:
    report = Report(folder, environment={"torch": {"device": name}})
    messages = {"measured": 2.0, "limit": 1.0, "message": name, "owner": name}
    report.add(
        [
            Verdict(name, "float64 forward", name, Status.FAIL, **messages),
            Verdict(name, "float32 decisions", name, Status.INCONCLUSIVE, message=name),
            Verdict(name, name, name, Status.NOT_RUN, message=name),
        ]
    )
    return report.write()[1].read_text()


def test_report(tmp_path):
    """The same elements and the same text, whatever nodes and messages are called."""
    usual = Page(report_of("dog", tmp_path))
    for name in NAMES:
        text = report_of(name, tmp_path)
        assert sound(text)
        page = Page(text)
        assert page.elements == usual.elements and page.comments == usual.comments
        data = re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1]
        assert "<" not in data and plain(name) in json.loads(data)["cases"]


@pytest.mark.parametrize("name", NAMES)
def test_summary(name, tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    section = Section(name, {name: {name: name}}, [name], {name: tmp_path / "a.png"})
    verdicts = [Verdict("a", name, name, Status.PASS, message=name)]
    text = write_summary(tmp_path / "s.html", name, [section], verdicts).read_text()
    section = Section("x", {"x": {"x": "x"}}, ["x"], {"x": tmp_path / "a.png"})
    verdicts = [Verdict("a", "x", "x", Status.PASS, message="x")]
    usual = write_summary(tmp_path / "t.html", "x", [section], verdicts).read_text()
    assert sound(text) and Page(text).elements == Page(usual).elements


@pytest.mark.filterwarnings("ignore:Glyph")
def test_charts(tmp_path):
    out = [tmp_path / "a.svg", tmp_path / "a.png"]
    class_bars([("run", dict.fromkeys(NAMES, 0.5))], "".join(NAMES), out)
    assert "script" not in {e.tag.rpartition("}")[2] for e in ElementTree.parse(out[0]).iter()}
    curves = [(name, {"recall": [0, 1], "AP": [1, 0]}) for name in NAMES]
    precision_recall(curves, "".join(NAMES), out)
    ElementTree.parse(out[0])
    assert sound(out[0].read_text())


@pytest.mark.parametrize("name", NAMES)
def test_pictures(name):
    picture = draw(Image.new("RGB", (400, 300)), [Mark(np.array([5, 50, 90, 90]), "red", name)])
    assert beside([(name, picture)]).size == (400, 316)


def test_tensorboard_and_tables(tmp_path):
    record = {"epoch": 0, "train_loss": 1.0, "test_per_class": dict.fromkeys(NAMES, 0.5)}
    Board(tmp_path / "board").add(record, 1)
    append_lines(tmp_path / "log.txt", [record])
    assert sound((tmp_path / "log.txt").read_text())
    assert json.loads((tmp_path / "log.txt").read_text()) == record
    write_csv(tmp_path / "log.txt", tmp_path / "log.csv")
    with (tmp_path / "log.csv").open(newline="") as file:
        row = next(csv.DictReader(file))
    assert sum(value == "0.5" for value in row.values()) == len(NAMES)


def test_tensors_are_called_what_they_are_called(tmp_path, monkeypatch, capsys):
    path = tmp_path / "a.safetensors"
    save_weights(path, {f"layer.{name}": np.zeros(2, np.float32) for name in NAMES[:-1]})
    told = done(monkeypatch, capsys, "convert_weights", "inspect", path)
    assert sound(told)
    for name in NAMES[:-1]:
        assert plain(name.rpartition(".")[2]) in told
    line = refused(
        monkeypatch,
        "convert_weights",
        "convert",
        path,
        "--preset",
        "detr_r50",
        "--out",
        tmp_path / "b.pth",
    )
    assert "of no known source" in line or "does not fit" in line


def test_a_class_of_that_name_is_evaluated(coco_folder, tmp_path):
    """A command of its own: a table on the terminal, an error that names a file."""

    def rename(content):
        content["categories"][0]["name"] = NAMES[0] + NAMES[3] + NAMES[6]

    root = coco_folder(rename)
    found = tmp_path / "found\x1b[31m.json"
    found.write_text(
        json.dumps([{"image_id": 1, "category_id": 1, "bbox": [0, 0, 40, 10], "score": 0.9}])
    )
    arguments = ("--preset", "detr_r50", "--data", root, "--detections")
    code, _, told = exit_of("evaluate", *arguments, found)
    assert code == 0 and sound(told) and "[red]dog[/red]" in told
    found.write_text("[1]")
    code, errors, _ = exit_of("evaluate", *arguments, found)
    assert (code, len(errors)) == (2, 1) and sound(errors[0]) and "\\x1b[31m" in errors[0]
