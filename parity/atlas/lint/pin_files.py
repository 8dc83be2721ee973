"""Where a port says which releases it wants: requirements, setup files, environments of conda, lines of a README."""

from __future__ import annotations

import ast
import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.specifiers import InvalidSpecifier, SpecifierSet

MOST_BYTES = 1_000_000  # of a README or a list that is read
ALIASES = {"pytorch": "torch", "py-opencv": "opencv-python"}
NAME = r"[A-Za-z][\w.-]*"
REQUIREMENT = re.compile(rf"^(?P<name>{NAME})\s*(?:\[[^\]]*\])?\s*\(?(?P<spec>[<>=!~^].*?)?\)?$")
INSTALLS = re.compile(
    r"\b(?:pip3?|conda|mamba|micromamba|uv pip)\s+(?:install|create)\b(?P<rest>.*)"
)
CREATES = re.compile(r"\b(?:conda|mamba|micromamba)\s+create\b|\bvirtualenv\b|-m venv\b")
PYTHON = re.compile(  # "Python 3.8", "- **Python** >= 3.7": of the environment that follows
    r"\bpython\W{0,6}(?:version|\u7248\u672c)?[^\w<>=]{0,6}(>=)?\s*(3\.\d+)(?![\w.]*[:/-])",
    re.IGNORECASE,
)
OPTIONS_WITH_VALUE = {"-n", "--name", "-c", "--channel", "-p", "-i", "-f", "--index-url", "-r"}
OPTIONS_WITH_VALUE |= {"--extra-index-url", "--find-links", "-t", "--target", "--prefix", "-e"}


@dataclass(frozen=True)
class Pin:
    """One package (or "python") as one line wants it."""

    name: str
    spec: SpecifierSet
    path: Path
    line: int

    def __str__(self) -> str:
        return f"{self.name}{self.spec}" if str(self.spec) else self.name


def is_pin_file(path: Path) -> bool:
    name = path.name.lower()
    return (
        name in ("setup.py", "setup.cfg", "pyproject.toml")
        or bool(re.match(r"(requirement|constraint)s?.*\.(txt|in)$", name))
        or bool(re.match(r"env(ironment)?\w*\.ya?ml$", name))
        or bool(re.match(r"(readme|install)\w*\.(md|rst|txt)$", name))
    )


def environments(path: Path) -> list[list[Pin]]:
    """What is installed together, as far as one file says. OSError where it is unreadable."""
    name = path.name.lower()
    if not path.is_file() or path.stat().st_size > MOST_BYTES:
        return []
    lines = decoded(path.read_bytes()).splitlines()
    if name.endswith((".md", ".rst")) or name.startswith(("readme", "install")):
        return list(of_readme(path, lines))
    if name == "setup.py":
        return [list(of_setup(path, "\n".join(lines)))]
    if name == "setup.cfg":
        return [list(of_cfg(path, lines))]
    if name == "pyproject.toml":
        return list(of_pyproject(path, lines))
    if name.endswith((".yml", ".yaml")):
        return [list(of_conda(path, lines))]
    return [list(of_requirements(path, lines))]


def decoded(data: bytes) -> str:
    """By the byte order mark, as pip does; UTF-8 otherwise, whatever else there is replaced."""
    for mark, name in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if data.startswith(mark):
            return data.decode(name, errors="replace")
    return data.decode("utf-8", errors="replace")


def pin(path: Path, line: int, text: str, conda: bool = False) -> Iterator[Pin]:
    """Of "torch==1.8.0+cu111", "numpy >= 1.20, < 2", conda's "pytorch=1.8" and poetry's "^1.8"; of nothing else."""
    if ";" in text or "@" in text:  # only somewhere, or from somewhere: nothing to compare
        return
    found = REQUIREMENT.match(text.strip().strip("\"'"))
    if not found:
        return
    name = re.sub(r"[-_.]+", "-", found["name"]).lower()
    spec = re.sub(r"\+[\w.]+", "", (found["spec"] or "").replace(" ", ""))
    if conda:
        spec = re.sub(r"^=+([^=<>!~,]+).*", r"==\1", spec)
        spec = f"{spec}.*" if spec.startswith("==") and not spec.endswith("*") else spec
    spec = re.sub(r"^[~^](?=\d)(.*)", lambda m: caret(m[1]), spec)
    try:
        yield Pin(ALIASES.get(name, name), SpecifierSet(spec), path, line)
    except InvalidSpecifier:
        return


def caret(version: str) -> str:
    """Poetry's ^1.8: from there to the next major release."""
    first, *others = version.split(".")
    upper = f"{int(first) + 1}" if first != "0" or not others else f"0.{int(others[0]) + 1}"
    return f">={version},<{upper}"


def of_requirements(
    path: Path, lines: list[str], seen: frozenset[Path] = frozenset()
) -> Iterator[Pin]:
    for number, line in enumerate(lines, 1):
        text = re.sub(r"(^|\s)#.*", "", line).strip().rstrip("\\").strip()
        if include := re.match(r"(?:-r|--requirement|-c|--constraint)[ =]?\s*(\S+)", text):
            yield from included(path.parent / include[1], seen | {path.resolve()})
        elif not text.startswith("-"):
            yield from pin(path, number, re.sub(r"\s+--hash.*", "", text))


def included(path: Path, seen: frozenset[Path] = frozenset()) -> Iterator[Pin]:
    if path.is_file() and path.resolve() not in seen:
        yield from of_requirements(path, decoded(path.read_bytes()).splitlines(), seen)


def of_setup(path: Path, text: str) -> Iterator[Pin]:
    """install_requires and python_requires of setup(), where they are written out."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return  # told as a Python file
    lists = {
        t.id: n.value
        for n in ast.walk(tree)
        if isinstance(n, ast.Assign)
        for t in n.targets
        if isinstance(t, ast.Name)
    }
    for node in (n for n in ast.walk(tree) if isinstance(n, ast.keyword)):
        value = lists.get(node.value.id) if isinstance(node.value, ast.Name) else node.value
        if node.arg == "install_requires" and isinstance(value, (ast.List, ast.Tuple)):
            for item in value.elts:
                if isinstance(item, ast.Constant) and isinstance(item.value, str):
                    yield from pin(path, item.lineno, item.value)
        elif node.arg == "python_requires" and isinstance(value, ast.Constant):
            yield from pin(path, value.lineno, f"python{value.value}")


def of_cfg(path: Path, lines: list[str]) -> Iterator[Pin]:
    inside = False
    for number, line in enumerate(lines, 1):
        key = re.match(r"(\w+)\s*=\s*(.*)", line)
        if key:
            inside = key[1] == "install_requires"
        if key and key[1] == "python_requires":
            yield from pin(path, number, f"python{key[2]}")
        elif inside and (key or line[:1].isspace()):
            yield from pin(path, number, key[2] if key else line)
        elif not line[:1].isspace():
            inside = False


def of_pyproject(path: Path, lines: list[str]) -> Iterator[list[Pin]]:
    """The dependencies, and these with each extra."""
    groups: dict[str, list[Pin]] = {"": []}
    section = key = ""
    for number, line in enumerate(lines, 1):
        header = re.match(r"\s*\[+([^\]]+)\]+", line)
        given = re.match(r"""\s*["']?([\w-]+)["']?\s*=(?!=)\s*(.*)""", line)
        if header and "=" not in line.split("]")[0]:
            section, key = header[1].strip(), ""
            continue
        if given:
            key = given[1]
        if section == "tool.poetry.dependencies" and given:
            version = re.search(r"""["']([\d^~<>=!*][^"']*)["']""", given[2])
            wanted = version[1] if version else ""
            wanted = f"=={wanted}" if wanted[:1].isdigit() else wanted.replace("*", "")
            groups[""] += pin(path, number, f"{key}{wanted}")
        elif section == "project" and key == "requires-python" and given:
            groups[""] += pin(path, number, "python" + given[2].split("#")[0].strip(" \"'"))
        elif (section == "project" and key == "dependencies") or section.endswith(
            "optional-dependencies"
        ):
            extra = groups.setdefault("" if section == "project" else key, [])
            text = given[2] if given else line
            for quoted in re.findall(r"""["']([^"']+)["']""", text.split(" #")[0]):
                extra += pin(path, number, quoted)
    base = groups.pop("")
    yield base
    yield from (base + extra for extra in groups.values())


def of_conda(path: Path, lines: list[str]) -> Iterator[Pin]:
    for number, line in enumerate(lines, 1):
        if item := re.match(rf"\s*-\s+(?:\S+::)?(['\"]?{NAME}\s*[=<>!~].*)$", line.split(" #")[0]):
            yield from pin(path, number, item[1].strip("\"' "), conda="==" not in item[1])


def of_readme(path: Path, lines: list[str]) -> Iterator[list[Pin]]:
    """One environment for each `conda create` or heading of the first two levels, from lines that install."""
    found: list[Pin] = []
    folder, code = path.parent, False
    for number, line in enumerate(lines, 1):
        code ^= line.lstrip().startswith("```")
        if CREATES.search(line) or (not code and re.match(r"#{1,2} ", line)):
            yield found
            found, folder = [], path.parent
        if moved := re.match(r"\s*\$?\s*cd\s+([\w./-]+)\s*$", line):
            folder = next(
                (f for f in (folder / moved[1], path.parent / moved[1]) if f.is_dir()), folder
            )
        if install := INSTALLS.search(line):
            text = re.split(r"&&|;|`|\||#|<br>", install["rest"])[0]
            conda = not re.search(r"pip3?\s+install", line)
            found += installed(path, number, text, conda, folder)
        elif said := PYTHON.search(line):
            found += pin(path, number, f"python{said[1] or '=='}{said[2]}{'' if said[1] else '.*'}")
    yield found


def installed(path: Path, line: int, text: str, conda: bool, folder: Path) -> Iterator[Pin]:
    words = iter(re.findall(r"\"[^\"]*\"|'[^']*'|\S+", text))
    for word in words:
        if word in ("-r", "--requirement"):
            yield from included(folder / next(words, ""))
        elif word in OPTIONS_WITH_VALUE:
            next(words, None)
        elif not word.startswith("-"):
            yield from pin(path, line, word, conda and "==" not in word)
