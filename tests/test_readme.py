"""The READMEs and the documentation: every number from a file, both languages alike, the site built with its links."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from scripts import readme, reference
from tests.small_suites import ROOT

WORDS = 25  # of a sentence


@pytest.fixture(scope="module")
def facts() -> dict:
    return readme.facts()


@pytest.mark.parametrize("name", readme.PAGES)
def test_every_number_comes_from_a_file(name, facts):
    assert readme.check(name, readme.rendered(name, facts)) == []


def test_a_difference_is_found(facts):
    text = readme.rendered("README.md", facts)
    other = facts | {"atlas": facts["atlas"] + 1}
    assert readme.check("README.md", readme.rendered("README.md", other))
    assert readme.check("README.md", text + "\n" * readme.LONGEST)
    assert readme.loose_numbers("It takes 12 s, see [a](b-3) and `x[4]` of {{ n }}.") == ["12"]


def parts(text: str) -> list[str]:
    """The structure of a page: headings by level, code, pictures, tables by columns, lists, where links lead."""
    found, code = [], False
    for line in text.splitlines():
        if line.startswith("```"):
            code = not code
            found.append("code")
        elif code:
            found.append(line)
        elif match := re.match(r"(#+) ", line):
            found.append(match[1])
        elif line.startswith("|"):
            found.append(f"row of {line.count('|')}")
        elif line.startswith("* "):
            found.append("item")
        if not code:
            found += sorted(re.findall(r"\]\(([^)]+)\)", line))
    return [x for x in found if x not in ("README.md", "README.zh.md")]


def test_both_languages_have_the_same_structure_and_numbers(facts):
    english, chinese = (readme.rendered(name, facts) for name in readme.READMES)
    assert parts(english) == parts(chinese)
    numbers = [sorted(re.findall(r"\d[\d.,]*\d|\d", text)) for text in (english, chinese)]
    assert numbers[0] == numbers[1]


def test_sentences_are_short(facts):
    text = re.sub(r"```.*?```", "", readme.rendered("README.md", facts), flags=re.DOTALL)
    prose = [x for x in text.splitlines() if x and not x.startswith(("|", "#", "!"))]
    for sentence in re.split(r"(?<=[.:;!?])\s", " \n".join(prose)):
        assert len(sentence.split()) <= WORDS, sentence


def test_the_reference_is_what_the_code_says():
    commands = reference.commands()
    for section in commands.split("\n## ")[1:]:
        name, _, text = section.partition("\n")
        assert re.search(rf"example|`{re.escape(name)}[ `]", text, re.IGNORECASE), (
            f"{name}: no example"
        )
    if sys.version_info[:2] == reference.WRITTEN_WITH:
        assert (reference.OUT / "commands.md").read_text() == commands
    assert (reference.OUT / "python.md").read_text() == reference.names()


def test_the_site_is_built_and_its_links_lead_somewhere(tmp_path):
    pytest.importorskip("mkdocs", reason="pip install '.[docs]'")
    pytest.importorskip("mkdocstrings", reason="pip install '.[docs]'")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-3000:]
    assert (tmp_path / "reference" / "python.html").stat().st_size > 50_000
