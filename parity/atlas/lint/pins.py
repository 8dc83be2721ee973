"""Releases that do not go together: of torch and torchvision, of Python, of NumPy with Jittor.

The facts are those of the packages' own metadata: torchvision and torchaudio name one release of torch each, wheels
exist for some releases of Python, Jittor up to 1.3.8 does not say that it cannot run with NumPy 2.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from parity.atlas.lint.finding import HINT, WARNING, Finding
from parity.atlas.lint.pin_files import Pin, environments, is_pin_file

TOGETHER = {"requirements.txt", "setup.py", "setup.cfg", "pyproject.toml"}
PINS = "pins"  # the entry of these findings
SILENT = re.compile(r"\bnoqa\b(?!:)|\bnoqa:.*\bpins\b", re.IGNORECASE)
TORCH = {  # a release: the least and greatest Python 3 that wheels were made for
    **{"1.4": (5, 8), "1.5": (5, 8), "1.6": (6, 8), "1.7": (6, 9), "1.8": (6, 9), "1.9": (6, 9)},
    **{"1.10": (6, 10), "1.11": (7, 10), "1.12": (7, 10), "1.13": (7, 11), "2.0": (8, 11)},
    **{"2.1": (8, 11), "2.2": (8, 12), "2.3": (8, 12), "2.4": (8, 12), "2.5": (9, 13)},
    **{"2.6": (9, 13), "2.7": (9, 13), "2.8": (9, 13), "2.9": (10, 14)},
}
NUMPY = {  # a release: the least Python 3 that it can be installed with
    **{"1.17": 5, "1.18": 5, "1.19": 6, "1.20": 7, "1.21": 7, "1.22": 8, "1.23": 8, "1.24": 8},
    **{"1.25": 9, "1.26": 9, "2.0": 9, "2.1": 10, "2.2": 10, "2.3": 11},
}
NAMES = {  # the torch that a release names, where the rule (torch_of) is not right
    "torchvision": {
        **{"0.8.1": "1.7.0", "0.8.2": "1.7.1", "0.11.1": "1.10.0", "0.11.2": "1.10.1"},
        **{"0.11.3": "1.10.2", "0.15.1": "2.0.0", "0.15.2": "2.0.1"},
    },
    "torchaudio": {"0.7.2": "1.7.1", "2.0.1": "2.0.0", "2.0.2": "2.0.1"},
}
FIRST_OF_TORCH_2 = 15  # torchvision 0.15
PATCHES = range(6)
PYTHONS = range(5, 16)
LEAST_OF_JITTOR, LEAST_OF_NUMPY_2 = 7, 9  # Python 3.7, 3.9
CAPPED = SpecifierSet(">=1.3.9")  # releases of Jittor that ask for numpy<2 themselves


def findings(
    files: Iterable[Path], unreadable: Callable[[Path, Exception], Finding]
) -> Iterator[Finding]:
    """Of what each file says, and what setup files and requirements.txt of one folder say together."""
    together: dict[Path, list[Pin]] = {}
    for path in files:
        try:
            found = environments(path) if is_pin_file(path) else []
        except OSError as error:
            yield unreadable(path, error)
            continue
        for pins in found:
            yield from apart(pins)
        if found and path.name in TOGETHER:
            together.setdefault(path.parent, []).extend(found[0])
    for pins in together.values():
        yield from apart(pins)


def apart(found: list[Pin]) -> Iterator[Finding]:
    """What cannot be installed, or cannot run, together."""
    by_name: dict[str, list[Pin]] = {}
    for pin in found:
        by_name.setdefault(pin.name, []).append(pin)
    yield from contradictions(by_name)
    last = {name: pins[-1] for name, pins in by_name.items()}
    for check in (companions, pythons, numpys):
        yield from check(last)


def told(pin: Pin, message: str, level: str = WARNING) -> Iterator[Finding]:
    lines = pin.path.read_bytes().splitlines()
    text = lines[pin.line - 1].decode(errors="replace") if pin.line <= len(lines) else ""
    if not SILENT.search(text):
        yield Finding(pin.path, pin.line, 1, PINS, message, level, pin.line, len(text) + 1)


def at(pin: Pin) -> str:
    return f"{pin} ({pin.path.name}:{pin.line})"


def contradictions(by_name: dict[str, list[Pin]]) -> Iterator[Finding]:
    for name, pins in by_name.items():
        first, *others = pins
        if name == "python" and first.path.suffix in (".md", ".rst"):
            continue  # two environments, told of in one place
        for other in others:
            if first.spec != other.spec and not common(first.spec, other.spec):
                yield from told(other, f"{other}, and {at(first)}: no release is both")
                break


def common(a: SpecifierSet, b: SpecifierSet) -> bool:
    """Whether a release may satisfy both: the bounds themselves, and what is next to them."""
    bounds = [Version(s.version.removesuffix(".*")) for s in [*a, *b] if s.operator != "==="]
    near = []
    for bound in bounds:
        whole = bound.release
        near += [bound, Version(f"{bound}.post1"), Version(".".join(map(str, (*whole, 1))))]
        near.append(Version(".".join(map(str, (*whole[:-1], max(whole[-1] - 1, 0), 999)))))
    return not near or any(a.contains(v, True) and b.contains(v, True) for v in near)


def allowed(pin: Pin, releases: Iterable[str]) -> list[str]:
    """Of the releases "1.8", those of which the pin takes some patch."""
    return [r for r in releases if any(pin.spec.contains(f"{r}.{p}", True) for p in PATCHES)]


def companions(last: dict[str, Pin]) -> Iterator[Finding]:
    torch = last.get("torch")
    if torch is None or not str(torch.spec):
        return
    for name in NAMES:
        other = last.get(name)
        if other is None or not str(other.spec):
            continue
        pairs = {v: torch_of(name, v) for v in releases(name) if other.spec.contains(v, True)}
        if pairs and not any(torch.spec.contains(t, True) for t in pairs.values()):
            wanted = " or ".join(
                dict.fromkeys((*list(pairs.values())[:1], *list(pairs.values())[-1:]))
            )
            yield from told(other, f"{other} does not go with {at(torch)}: it wants torch {wanted}")


def releases(name: str) -> list[str]:
    """Those that belong to a torch of the table, with every patch that there may be."""
    generations = [tuple(map(int, release.split("."))) for release in TORCH]
    if name == "torchvision":
        minors = [f"0.{minor + (1 if major == 1 else 15)}" for major, minor in generations]
    else:
        minors = [f"{'0' if major == 1 else major}.{minor}" for major, minor in generations]
    return [f"{m}.{p}" for m in minors for p in PATCHES]


def torch_of(name: str, release: str) -> str:
    """By the rule that torchvision counts generations as torch does since 1.4, and torchaudio has torch's numbers."""
    major, minor, patch = map(int, release.split("."))
    if release in NAMES[name]:
        return NAMES[name][release]
    if name == "torchaudio":
        return f"{major or 1}.{minor}.{patch}"
    return f"1.{minor - 1}.{patch}" if minor < FIRST_OF_TORCH_2 else f"2.{minor - 15}.{patch}"


def pythons(last: dict[str, Pin]) -> Iterator[Finding]:
    python = last.get("python")
    minors = minors_of(python)
    if not minors:
        return
    tables = {
        "torch": TORCH,
        "numpy": {release: (least, PYTHONS[-1]) for release, least in NUMPY.items()},
    }
    for name, table in tables.items():
        pin = last.get(name)
        ranges = [table[r] for r in allowed(pin, table)] if pin and str(pin.spec) else []
        if ranges and not any(low <= m <= high for low, high in ranges for m in minors):
            low, high = min(r[0] for r in ranges), max(r[1] for r in ranges)
            upper = f" to 3.{high}" if high < PYTHONS[-1] else " or newer"
            yield from told(pin, f"{pin} needs Python 3.{low}{upper}, and there is {at(python)}")
    jittor = last.get("jittor")
    if jittor is not None and max(minors) < LEAST_OF_JITTOR:
        text = f"{jittor} needs Python 3.{LEAST_OF_JITTOR} or newer, and there is {at(python)}"
        yield from told(jittor, text)


def minors_of(python: Pin | None) -> list[int]:
    """[7] of python=3.7; [] where nothing is said."""
    if python is None or not str(python.spec):
        return []
    return [m for m in PYTHONS if any(python.spec.contains(f"3.{m}.{p}", True) for p in range(30))]


def numpys(last: dict[str, Pin]) -> Iterator[Finding]:
    numpy, jittor, torch = (last.get(n) for n in ("numpy", "jittor", "torch"))
    only_2 = numpy is not None and not common(numpy.spec, SpecifierSet("<2"))
    if torch is not None and only_2 and not common(torch.spec, SpecifierSet(">=2.3")):
        yield from told(numpy, f"{numpy}: {at(torch)} was built for NumPy 1: numpy<2")
    if jittor is None:
        return
    minors = minors_of(last.get("python"))
    new_python = not minors or max(minors) >= LEAST_OF_NUMPY_2
    takes_2 = numpy is None or common(numpy.spec, SpecifierSet(">=2"))
    if only_2:
        yield from told(numpy, f"{numpy}: Jittor reads arrays wrongly with NumPy 2: numpy<2")
    elif takes_2 and new_python and not common(jittor.spec, CAPPED):
        text = f"{jittor} cannot run with NumPy 2 and does not say so: numpy<2"
        in_prose = numpy is None and jittor.path.suffix in (".md", ".rst")
        yield from told(numpy or jittor, text, HINT if in_prose else WARNING)
    for name in ("opencv-python", "opencv-python-headless"):
        opencv = last.get(name)
        if opencv and new_python and not common(opencv.spec, SpecifierSet("<4.12")):
            text = f"{opencv} needs NumPy 2 on Python 3.9 and newer, Jittor NumPy 1: {name}<4.12"
            yield from told(opencv, text, WARNING if minors else HINT)
