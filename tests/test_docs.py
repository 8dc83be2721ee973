"""The documentation as text: sentences are short, and files that it names are there."""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.commands import ROOT

WORDS = 25  # of a sentence
PAGES = sorted(p.relative_to(ROOT).as_posix() for p in (ROOT / "docs").rglob("*.md"))
GENERATED = ("docs/atlas/", "docs/reference/commands.md", "docs/mutants.md", "docs/breeding.md")
WRITTEN = [p for p in PAGES if not p.startswith(GENERATED)] + ["README.md"]
FENCE = re.compile(r"^( *)(```|~~~).*?^\1\2", re.MULTILINE | re.DOTALL)


def paragraphs(text: str) -> list[str]:
    """Prose without code, tables, headings and pictures; an item of a list is a paragraph of its own."""
    found, open_one = [], False
    other = re.compile(r"\s*(#|!\[|<)|    (?! *[*-] )")
    for line in FENCE.sub("", text).splitlines():
        item = re.match(r" *(?:[*-]|\d+\.) +(.*)", line)
        is_table = line.lstrip().startswith("|")
        if not line.strip() or is_table or (not open_one and other.match(line)):
            open_one = False
        elif item or not open_one:
            found.append(item[1] if item else line.strip())
            open_one = True
        else:
            found[-1] += " " + line.strip()
    return found


def sentences(text: str) -> list[str]:
    """A link counts as its text, and code as one word."""
    found = []
    for paragraph in paragraphs(text):
        plain = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", re.sub(r"`[^`]*`", "code", paragraph))
        found += re.split(r"(?<=[.!?])[*_)\"]*\s+", plain)
    return found


@pytest.mark.parametrize("name", WRITTEN)
def test_sentences_are_short(name):
    text = (ROOT / name).read_text()
    long = [s for s in sentences(text) if len(s.split()) > WORDS]
    assert not long, f"{name}: more than {WORDS} words:\n" + "\n".join(long)


# a word of code that may be a path: with a slash and an ending, or a known folder
PATH = re.compile(
    r"[\w.{},*/-]+/[\w.{},*-]*\.(?:py|md|json|toml|txt|j2|css|html|sh)|[\w{},*-]+\.py"
)
# what runs write, what users have, what is another project's
FOLDERS = ("logs/", "OUT/", "../shared", "old/", "annotations/")
FILES = {"main.py", "engine.py"}


def named_files(text: str) -> set[str]:
    """Paths in code, `{torch,jittor}_impl/x.py` and `a/{b,c}.py` as several."""
    found = set()
    for code in re.findall(r"`([^`\n]+)`", FENCE.sub("", text)):
        if PATH.fullmatch(code) and not code.startswith(FOLDERS):
            found |= expanded(code)
    return found - FILES


def expanded(name: str) -> set[str]:
    match = re.search(r"\{([^{}]*)\}", name)
    if not match:
        return {name}
    return {
        path
        for part in match[1].split(",")
        for path in expanded(name[: match.start()] + part + name[match.end() :])
    }


@cache
def all_files() -> tuple[str, ...]:
    folders = ("door", "neutral", "torch_impl", "jittor_impl", "jittor_setup", "parity", "scripts")
    more = ("tests", "docs", "examples", ".ci")
    ours = [p.relative_to(ROOT) for f in folders + more for p in (ROOT / f).rglob("*")]
    jittor = importlib.util.find_spec("jittor")  # of whose files pages speak, too
    places = list(jittor.submodule_search_locations) if jittor else []
    return tuple(p.as_posix() for p in [*ours, *(p for f in places for p in Path(f).rglob("*.py"))])


def is_there(name: str) -> bool:
    """Whether a file has this path, from the project's folder or from the part that the page speaks of."""
    if (ROOT / name).exists():
        return True
    return any(Path(file).match(name) for file in all_files())


@pytest.mark.parametrize("name", WRITTEN)
def test_files_that_are_named_are_there(name):
    gone = sorted(f for f in named_files((ROOT / name).read_text()) if not is_there(f))
    assert not gone, f"{name} names files that are not there: {gone}"


ENGINE = sorted((ROOT / "parity" / "engine").rglob("[!_]*.py"))


@pytest.mark.parametrize("path", ENGINE, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_a_file_of_the_engine_says_where_it_stands(path):
    """What to read before, and who asks; the files that it names are there."""
    said = ast.get_docstring(ast.parse(path.read_text()))
    assert re.search(r"^Before: \S", said, re.MULTILINE), f"{path}: says not what to read before"
    gone = [name for name in re.findall(r"[\w*/]+\.py\b", said) if not is_there(name)]
    assert not gone, f"{path} names files that are not there: {gone}"


NAMED = r"(?:`[\w.]+`(?:, | and ))*`[\w.]+` (?:in|of) `([^`]+)`"  # `f` and `g` in `file.py`


def places(cell: str) -> Iterator[tuple[str, list[Path]]]:
    """What a cell of the table calls places, and the files that these are: a bare name lies beside the path before."""
    folders: list[Path] = []
    for code in re.findall(r"`([^`]+)`", cell):
        if "/" in code:
            found = [ROOT / name for name in expanded(code)]
            folders = [f if f.is_dir() else f.parent for f in found]
        elif re.search(r"\.(py|j2)$", code):
            found = [f / code for f in folders]
        else:
            continue
        yield code, [file for f in found for file in f.parent.glob(f.name)] or found[:1]


def rows() -> list[str]:
    text = (ROOT / "docs/architecture.md").read_text().partition("## Where do I change X")[2]
    return [line.split("|")[2] for line in text.splitlines() if line.startswith("| ")][1:]


@pytest.mark.parametrize("cell", rows())
def test_where_to_change_something_is_there(cell):
    """Of the table of architecture.md, names in files included."""
    found = dict(places(cell))
    assert all(f.exists() for files in found.values() for f in files), cell
    for named in re.finditer(NAMED, cell):
        *words, code = re.findall(r"`([^`]+)`", named[0])
        for word in (w.rpartition(".")[2] for w in words):
            missing = [f.name for f in found[code] if not re.search(rf"\b{word}\b", f.read_text())]
            assert not missing, f"{word} is not in {missing}"


def test_the_search_finds_names():
    assert named_files("see `parity/{case,loading}.py`, `x`") == {
        "parity/case.py",
        "parity/loading.py",
    }
    assert is_there("engine/judge/gates.py") and not is_there("parity/engine/no_such_file.py")


def test_long_sentences_are_found():
    long = " ".join(["word"] * (WORDS + 1)) + "."
    text = (
        f"# {long}\n\n| {long} |\n\n```\n{long}\n```\n\nShort one. {long}\n\n* an item\n* {long}\n"
    )
    assert [s for s in sentences(text) if len(s.split()) > WORDS] == [long, long]
