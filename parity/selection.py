"""A part of a mapping, without a copy of anything in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping


class Selection(Mapping):
    """Some of a mapping's items, in the order of `names` (default: all), fetched when they are looked at."""

    def __init__(self, source: Mapping, names: Iterable[str] | None = None, convert=lambda x: x):
        self.source = source
        self.names = dict.fromkeys(source if names is None else names)
        self.convert = convert

    def __getitem__(self, name: str):
        if name not in self.names:
            raise KeyError(name)
        return self.convert(self.source[name])

    def __contains__(self, name) -> bool:
        return name in self.names

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)
