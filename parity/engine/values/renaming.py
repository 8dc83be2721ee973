"""A few rules that turn the candidate's names into the reference's, found from pairs of names, and written as code.

A rule replaces some parts of a dotted name, wherever they stand or only at its beginning; numbers in them may be
shifted. Rules come one after the other, greedily: the one that brings names furthest, and takes no right one away.

Before: proposing.py, which asks.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import SequenceMatcher

MOST = 8  # rules; what is left then is a table
NUMBER = re.compile(r"\d+")
LONG = 4  # letters: what is shorter may stand in other words, too
TRIED = 400  # pairs of names that rules are taken from, in each round
LOST = 0.1  # of what a tentative rule wins it may lose where pairs are only proposed


@dataclass(frozen=True)
class Rule:
    """`old` becomes `new`; both are parts of names joined by dots, "" for none. Where `shifts` is not empty, every
    number in `old` stands for any number, and the numbers of `new` are (which of old's, what is added) in order."""

    old: str
    new: str
    start: bool = False  # only at the beginning of a name
    shifts: tuple[tuple[int, int], ...] = ()

    @functools.cached_property
    def pattern(self) -> re.Pattern:
        text = re.escape(self.old)
        text = NUMBER.sub(r"(\\d+)", text) if self.shifts else text
        head = "^" if self.start else r"(?<![^.])"
        return re.compile(
            head + text + (r"(?![^.])" if self.new else r"\.")
        )  # what goes takes its dot along

    def put(self, match: re.Match) -> str:
        numbers = iter(self.shifts)

        def number(found: re.Match) -> str:
            which, more = next(numbers)
            return str(int(match[which + 1]) + more)

        return NUMBER.sub(number, self.new) if self.shifts else self.new

    def __call__(self, name: str) -> str:
        if not self.old:
            return f"{self.new}.{name}" if name else name
        return self.pattern.sub(self.put, name)

    def as_code(self, names: Iterable[str]) -> str:
        """The line for a pair file, the simplest that does the same for these names."""
        if not self.old:
            return f'name = "{self.new}." + name'
        old, new = self.old + ("" if self.new else "."), self.new
        if not new and all(n.removeprefix(old) == self(n) for n in names):
            return f'name = name.removeprefix("{old}")'
        safe = len(self.old) >= LONG and not self.old[0].isdigit()  # in no other part of a name
        if safe and not self.shifts and all(n.replace(old, new) == self(n) for n in names):
            return f'name = name.replace("{old}", "{new}")'
        return f'name = re.sub(r"{self.pattern.pattern}", {self.target()}, name)'

    def target(self) -> str:
        if not self.shifts:
            return f'"{self.new}"'
        shifts = iter(self.shifts)
        if not any(more for _, more in self.shifts):
            return 'r"' + NUMBER.sub(lambda _: rf"\{next(shifts)[0] + 1}", self.new) + '"'

        def number(_) -> str:
            which, more = next(shifts)
            return (
                f"{{int(m[{which + 1}]) {'-' if more < 0 else '+'} {abs(more)}}}"
                if more
                else f"{{m[{which + 1}]}}"
            )

        return 'lambda m: f"' + NUMBER.sub(number, self.new) + '"'


@dataclass(frozen=True)
class Renaming:
    """Rules in order, and names of modules and parameters that they do not reach."""

    rules: tuple[Rule, ...] = ()
    table: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, name: str) -> str:
        for own, theirs in self.table.items():
            if name == own or name.startswith(f"{own}."):
                return theirs + name[len(own) :]
        for rule in self.rules:
            name = rule(name)
        return name

    def as_code(self, names: list[str]) -> list[str]:
        """Lines for a pair file, which may need `import re`; `names`: the candidate's. [] where all are right as they
        are."""
        lines, now = [], list(names)
        for rule in self.rules:
            lines.append(f"    {rule.as_code(now)}")
            now = [rule(n) for n in now]
        head = []
        if self.table:
            table = (f'    "{own}": "{theirs}",' for own, theirs in self.table.items())
            head += ["NAMES = {", *table, "}", "", ""]
            loop = [
                "    for own, theirs in NAMES.items():",
                '        if name == own or name.startswith(own + "."):',
                "            return theirs + name[len(own):]",
            ]
            lines = loop + lines
        if not lines:
            return []
        return [*head, "def jittor_name(name):", *lines, "    return name"]


def find_rules(pairs: Mapping[str, str], lost: float = 0.0) -> tuple[Rule, ...]:
    """Rules for {the candidate's name: the reference's}; `lost`: how much of what a rule wins it may lose."""
    now, rules = {own: own for own in pairs}, []
    while len(rules) < MOST:
        wrong = [own for own in pairs if now[own] != pairs[own]]
        best, most = None, 0.0
        for rule in candidates([(now[own], pairs[own]) for own in wrong[:TRIED]]):
            won = gain(rule, now, pairs, lost)
            if won > most:
                best, most = rule, won
        if best is None:
            break
        rules.append(best)
        now = {own: best(name) for own, name in now.items()}
    return tuple(rules)


def gain(rule: Rule, now: Mapping[str, str], pairs: Mapping[str, str], lost: float) -> float:
    """By how many parts names come nearer to what they should be, less a little for how much the rule says."""
    won = worse = 0
    for own, name in now.items():
        other = rule(name)
        if other != name:
            nearer = distance(name, pairs[own]) - distance(other, pairs[own])
            won, worse = won + max(nearer, 0), worse + max(-nearer, 0)
    if worse > lost * won:
        return 0.0
    words = len(rule.old) + len(rule.new)
    unsafe = rule.old[:1].isdigit() + rule.start
    return won - worse - 0.001 * words - 0.01 * bool(rule.shifts) - 0.02 * unsafe


@functools.lru_cache(1 << 16)
def distance(name: str, other: str) -> int:
    """Parts that would have to be changed."""
    return sum(max(i2 - i1, j2 - j1) for i1, i2, j1, j2 in edits(name.split("."), other.split(".")))


def edits(a: list[str], b: list[str]) -> list[tuple[int, int, int, int]]:
    found = SequenceMatcher(None, a, b, autojunk=False).get_opcodes()
    return [places for tag, *places in found if tag != "equal"]


def candidates(pairs: list[tuple[str, str]]) -> Iterator[Rule]:
    """Rules that would change one of these names as it should be, each once."""
    seen = set()
    for name, other in pairs:
        for rule in rules_of(name.split("."), other.split(".")):
            if rule not in seen:
                seen.add(rule)
                yield rule


def rules_of(a: list[str], b: list[str]) -> Iterator[Rule]:
    """For every place where they differ: what stands there, with up to two parts before it and one after it."""
    for i1, i2, j1, j2 in edits(a, b):
        for before in range(min(2, i1, j1) + 1):
            if before and a[i1 - before] != b[j1 - before]:
                break
            for after in range(2 if i2 < len(a) and j2 < len(b) else 1):
                old, new = a[i1 - before : i2 + after], b[j1 - before : j2 + after]
                starts = (False, True) if i1 == before else (False,)
                for start in starts if old else (True,) if i1 == 0 else ():
                    yield Rule(".".join(old), ".".join(new), start)
                    shifted = shifts(".".join(old), ".".join(new))
                    if shifted:
                        yield Rule(".".join(old), ".".join(new), start, shifted)


def shifts(old: str, new: str) -> tuple[tuple[int, int], ...]:
    """Where the numbers of `new` come from; () where `old` has none, or not enough."""
    had, has = ([int(x) for x in NUMBER.findall(text)] for text in (old, new))
    if not had or not has or len(has) > len(had):
        return ()
    if len(had) == len(has):
        return tuple((k, y - x) for k, (x, y) in enumerate(zip(had, has, strict=True)))
    if any(y not in had for y in has):
        return ()
    return tuple((had.index(y), 0) for y in has)


def renaming(pairs: Mapping[str, str]) -> Renaming:
    """Rules for all names, and a table, of modules where it can be, for what they leave wrong."""
    rules = find_rules(pairs)
    found = Renaming(rules)
    wrong = {own: theirs for own, theirs in pairs.items() if found(own) != theirs}
    table: dict[str, str] = {}
    for own, theirs in wrong.items():
        if Renaming(rules, table)(own) == theirs:
            continue
        short = own, theirs
        while short[0].count(".") and short[1].count("."):
            (head, _, leaf), (other, _, end) = (x.rpartition(".") for x in short)
            inside = [n for n in pairs if n.startswith(f"{head}.")]
            if leaf != end or any(pairs[n] != other + n[len(head) :] for n in inside):
                break
            short = head, other
        table[short[0]] = short[1]
    return Renaming(rules, dict(sorted(table.items(), key=lambda x: -len(x[0]))))
