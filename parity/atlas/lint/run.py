"""Lints texts, files and folders."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from parity.atlas.lint import (
    pins,
    rules_arrays,
    rules_called,
    rules_cases,
    rules_custom,
    rules_cuts,
    rules_data,
    rules_freezing,
    rules_given,
    rules_handed,
    rules_items,
    rules_kept,
    rules_lacks,
    rules_layers,
    rules_lost,
    rules_meant,
    rules_modes,
    rules_modules,
    rules_names,
    rules_nowhere,
    rules_numbers,
    rules_optimising,
    rules_options,
    rules_own,
    rules_pairs,
    rules_program,
    rules_python,
    rules_scripts,
    rules_sets,
    rules_slips,
    rules_steps,
    rules_stopping,
    rules_stored,
    rules_training,
    rules_unset,
    rules_views,
    rules_words,
)
from parity.atlas.lint.code import Code
from parity.atlas.lint.doubts import weighed
from parity.atlas.lint.finding import HINT, UNREAD, UNREADABLE, Finding
from parity.atlas.lint.pin_files import is_pin_file
from parity.atlas.lint.program import Program
from parity.atlas.lint.sharing import share
from parity.atlas.lint.source import read_source
from parity.errors import InputError

_AREAS = (
    rules_arrays,
    rules_pairs,
    rules_numbers,
    rules_views,
    rules_stopping,
    rules_layers,
    rules_training,
    rules_optimising,
    rules_modes,
    rules_modules,
    rules_names,
    rules_data,
    rules_called,
    rules_freezing,
    rules_custom,
    rules_steps,
    rules_sets,
    rules_program,
    rules_unset,
    rules_python,
    rules_options,
    rules_cuts,
    rules_items,
    rules_scripts,
    rules_kept,
    rules_given,
    rules_stored,
    rules_handed,
    rules_lacks,
    rules_lost,
    rules_nowhere,
    rules_words,
    rules_meant,
    rules_slips,
    rules_cases,
)
RULES = tuple(rule for area in _AREAS for rule in area.RULES)
PLAIN = (  # of files that name no framework, in a program that speaks to Jittor
    *rules_called.RULES,
    rules_unset.names,
    rules_unset.locals_read,
    rules_python.of_modules,
    rules_python.containers,
    rules_python.unraised,
    rules_lost.repeated,
    rules_words.gone,
    rules_words.beyond,
    rules_words.no_exception,
    rules_slips.texts_raised,
    rules_slips.named_only,
    rules_slips.rebound,
)
OTHERS = re.compile(
    r"^\s*(?:import|from)\s+(?:torch|tensorflow|keras|paddle|mindspore|jax|mxnet)", re.M
)
ARRAYS = re.compile(
    r"\.(?:detach|unsqueeze|requires_grad|cuda|contiguous|numel|permute|expand_as|masked_fill)\(|\.data\.\w+_\("
)
MENTION = re.compile(r"jittor|\bjt\b")
STAR = re.compile(r"^from\s+\.*([\w.]+)\s+import\s+\*", re.M)
STEPS = 3  # of stars behind stars
SKIPPED = {"__pycache__", "node_modules", "site-packages", "wandb"}


@dataclass
class Report:
    """findings in order of place; files: how many use Jittor; looked_at: how many were read at all."""

    findings: list[Finding] = field(default_factory=list)
    files: int = 0
    looked_at: int = 0

    @property
    def exit_code(self) -> int:
        """2 when a file could not be read, 1 when there are findings."""
        if any(f.level == UNREADABLE for f in self.findings):
            return 2
        return int(bool(self.findings))


def lint_text(text: str, path: Path = Path("<text>"), hints: bool = False) -> list[Finding]:
    """Findings of one file, by place, doubted ones too; none when it does not import jittor. SyntaxError when it
    is not Python."""
    if not MENTION.search(text):
        return []
    code = Code(text, path)
    share([code], code.program)
    return sift(code, hints)


def sift(code: Code, hints: bool) -> list[Finding]:
    source, rules = code.source, rules_of(code)
    if source.silent or not rules:
        return []
    places = {(n.lineno, n.col_offset + 1): n for n in reversed(code.nodes) if hasattr(n, "lineno")}
    found: dict[tuple, Finding] = {}
    for rule in rules:
        for finding in rule(code):
            node = places[finding.line, finding.column]
            wanted = hints or finding.level != HINT
            if wanted and not source.is_silenced(node, finding.entry):
                key = (finding.line, finding.column, finding.entry)
                found.setdefault(key, weighed(finding))
    return sorted(found.values())


def rules_of(code: Code) -> tuple:
    source = code.source
    if source.uses_jittor:
        return RULES
    if {"jt", "jittor"} & source.unbound.keys():
        return (rules_unset.names,)
    near = any(other.source.uses_jittor for other in code.files)
    return PLAIN if near and not OTHERS.search(source.text) else ()


def takes_arrays(code: Code) -> bool:
    """Whether a file names no framework, asks for what only arrays of Jittor's or PyTorch's have, and is imported by
    files that name PyTorch not."""
    source = code.source
    if source.uses_jittor or rules_of(code) != PLAIN or not ARRAYS.search(source.text):
        return False
    users = re.compile(rf"^\s*(?:from|import)\s+[\w.]*\b{re.escape(code.path.stem)}\b", re.M)
    texts = [text for file, text in code.program.texts.items() if file != code.path]
    near = [text for text in texts if users.search(text)]
    return bool(near) and not any(OTHERS.search(text) for text in near)


def lint_path(path: Path, hints: bool = False) -> Report:
    """Findings of a file, or of a folder's Python files and of what it wants installed. InputError when there is
    nothing at `path`."""
    if not path.is_file() and not path.is_dir():
        raise InputError(f"{path}: no such file or folder")
    report, texts = Report(), {}
    closed: list[OSError] = []
    files = [path] if path.is_file() else list(files_of(path, closed.append))
    report.findings += [unreadable(Path(error.filename), error) for error in closed]
    for file in files:
        if not (is_python(file) or (file == path and not is_pin_file(file))):
            continue
        report.looked_at += 1
        try:
            texts[file] = read_source(file)
        except (SyntaxError, ValueError, OSError, RecursionError, MemoryError) as error:
            report.findings.append(unreadable(file, error))
    codes = read_together(texts, report)
    patched = set().union(*(code.patched for code in codes))
    sets = {name: own for code in codes for name, own in code.sets.items()}
    program = Program(texts, {code.path: code.source.tree for code in codes})
    share(codes, program)
    for code in codes:
        code.patched, code.sets, code.program, code.files = patched, sets, program, codes
    report.files = sum(code.source.uses_jittor for code in codes)
    silent = [code for code in codes if takes_arrays(code)]
    for code in silent:
        code.source.frameworks.add("jittor")
    for code in codes:
        try:
            report.findings += sift(code, hints)
        except RecursionError as error:
            report.findings.append(unreadable(code.path, error))
    if report.files:
        report.findings += (weighed(f) for file in texts for f in rules_own.imports(program, file))
    if report.files or path.is_file():
        found = pins.findings(files, unreadable)
        report.findings += (f for f in found if hints or f.level != HINT)
    report.findings = sorted(set(report.findings))
    return report


def read_together(texts: dict[Path, str], report: Report) -> list[Code]:
    """Those files that speak to Jittor, by their own imports or by `from layers import *` of another's of them, and
    those beside them that speak to no framework."""
    given: dict[
        str, dict[str, str]
    ] = {}  # by the last part of a module's name: what a star takes from it
    stars = {file: STAR.findall(text) for file, text in texts.items()}
    for _ in range(STEPS):
        for file, text in texts.items():
            handed = [given.get(name.rpartition(".")[2], {}) for name in stars[file]]
            own = star_names(text)
            given[file.stem] = {**{k: v for names in handed for k, v in names.items()}, **own}
    codes, mentioned = [], any(map(MENTION.search, texts.values()))
    for file, text in texts.items():
        handed = {k: v for n in stars[file] for k, v in given.get(n.rpartition(".")[2], {}).items()}
        if MENTION.search(text) or (mentioned and not OTHERS.search(text)):
            try:
                codes.append(Code(text, file, handed))
            except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
                if MENTION.search(text):
                    report.findings.append(unreadable(file, error))
    return codes


def star_names(text: str) -> dict[str, str]:
    """Of `import jittor as jt` and `from jittor import nn` at the left margin, without parsing the file."""
    found = {m[1]: "jittor" for m in re.finditer(r"^import jittor as (\w+)", text, re.M)}
    found |= {
        m[2]: f"jittor.{m[1]}" for m in re.finditer(r"^import jittor\.(\w+) as (\w+)", text, re.M)
    }
    for names in re.findall(r"^from jittor import ([\w, ]+)$", text, re.M):
        found |= {n: f"jittor.{n}" for n in re.findall(r"\w+", names) if " as " not in names}
    return found


def is_python(path: Path) -> bool:
    return path.name.endswith((".py", ".pyw"))


def python_files(folder: Path) -> Iterator[Path]:
    return (file for file in files_of(folder) if is_python(file))


def files_of(folder: Path, onerror: Callable[[OSError], None] | None = None) -> Iterator[Path]:
    """Python files and what may hold pins, in order, without hidden folders, environments, caches and records of runs;
    links to folders are not followed."""
    for root, folders, files in os.walk(folder, onerror=onerror):
        kept = [d for d in folders if not d.startswith(".") and d not in SKIPPED]
        folders[:] = sorted(d for d in kept if not (Path(root) / d / "pyvenv.cfg").exists())
        for file in (Path(root) / name for name in sorted(files)):
            if is_python(file) or is_pin_file(file):
                yield file


def unreadable(file: Path, error: Exception) -> Finding:
    line = getattr(error, "lineno", None) or 1
    what = getattr(error, "msg", None) or getattr(error, "strerror", None) or str(error)
    text = (
        f"cannot be read{' as Python' if is_python(file) else ''}: {what or type(error).__name__}"
    )
    return Finding(file, line, 1, UNREAD, text, UNREADABLE, line, 1)
