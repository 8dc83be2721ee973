"""The worked examples: right versions are silent, defects have the expected first cause."""

from __future__ import annotations

import dataclasses
import re
import shlex
from pathlib import Path

import pytest

from examples.ports import __main__ as command
from examples.ports.defect import example_names, load_example
from examples.ports.trial import Trials
from parity import InputError

pytestmark = pytest.mark.usefixtures("warm_workers")

EXAMPLES = example_names()
PAGE = Path(command.__file__).resolve().parent.parent.parent / "docs" / "ports.md"


@pytest.fixture(scope="module", params=EXAMPLES)
def trials(request):
    with Trials(load_example(request.param)) as found:
        yield found


@pytest.fixture(scope="module")
def outcomes(trials):
    """Of the right version and of the fast defects, each run once."""
    return [trials.run(d) for d in [None, *(d for d in trials.example.defects if d.fast)]]


def test_right_versions_are_silent_and_defects_are_told(outcomes):
    for outcome in outcomes:
        command_says(outcome)


@pytest.mark.ports
def test_every_defect_is_told(trials):
    for defect in trials.example.defects:
        command_says(trials.run(defect))


def command_says(outcome) -> None:
    assert outcome.as_expected, (outcome.to_dict(), [c.lines() for c in outcome.causes])


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_have_defects_of_many_kinds(name):
    example = load_example(name)
    assert len(example.defects) >= 4
    assert sum(d.fast for d in example.defects) in (1, 2, 3)


def test_texts_that_are_not_there_are_errors():
    example = load_example("classifier")
    (defect, *_) = example.defects
    for old in ("not in the file", "self"):
        with pytest.raises(InputError, match="occurs"):
            dataclasses.replace(defect, old=old).patched(example.port)
    with pytest.raises(InputError, match="does not exist"):
        dataclasses.replace(defect, file="models/no.py").patched(example.port)


def test_another_cause_than_the_expected_one_is_told(capsys, outcomes):
    _, told, *_ = outcomes
    outcome = dataclasses.replace(told, defect=dataclasses.replace(told.defect, where="no module"))
    assert outcome.found and not outcome.as_expected
    command.tell(outcome)
    assert "NOT AS EXPECTED" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["no_example"], ["--defect", "no defect"]])
def test_bad_input_is_one_line(arguments, capsys):
    assert command.main(arguments) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_the_page_keeps_what_others_wrote(tmp_path, monkeypatch):
    page = tmp_path / "ports.md"
    monkeypatch.setattr(command, "PAGE", page)
    page.write_text("## Published ports\n\nkept\n")
    for _ in range(2):
        command.write_page([])
    text = page.read_text()
    assert text.count("## Worked examples") == 1 and text.endswith("kept\n")


def test_what_the_page_shows_is_there():
    """Its commands name examples, defects and files that there are; its table of what to see names examples."""
    text = PAGE.read_text()
    lines = re.findall(
        r"^    (?:python -m examples.ports|parity run) (.*?)(?:  +#.*)?$", text, re.M
    )
    assert len(lines) == 3
    for words in map(shlex.split, lines):
        if words[0].endswith("pair.py"):
            assert (PAGE.parent.parent / words[0]).is_file()
            continue
        names = words[: words.index("--defect")] if "--defect" in words else words
        assert command.chosen(names, words[len(names) + 1 :])
    shown = re.search(r"\| see \|\n(.*?)\n\n", text, re.S)[1]
    shown = re.findall(r"`(\w+)` \|$", shown, re.M)
    assert shown and set(shown) <= set(EXAMPLES)
