"""What a data set's categories are: an id, a name, and the label that stands for it in the network.

An id is what tells categories apart. Names are for people: two may be the same, and one may be written otherwise
elsewhere. Labels are numbers of one data set, or of one checkpoint, which carries its categories for that reason.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass

from neutral.errors import InputError
from neutral.fonts import drawable


@dataclass(frozen=True)
class Categories:
    """names, labels: by category id."""

    names: dict[int, str]
    labels: dict[int, int]

    def by_label(self) -> dict[int, str]:
        """Names by label, those that are the same with their ids."""
        titles = told_apart(self.names)
        return {label: titles[category] for category, label in self.labels.items()}

    def drawable(self) -> dict[int, str]:
        """Names by label as a picture can show them: with the id where no font has the name."""
        titles = told_apart(self.names)
        return {k: drawable(titles[i], f"id {i}") for i, k in self.labels.items()}

    def ids(self) -> dict[int, int]:
        """Category ids by label."""
        return {label: category for category, label in self.labels.items()}

    def to_text(self) -> str:
        """JSON, for a checkpoint's metadata."""
        return json.dumps(
            [
                {"id": category, "name": name, "label": self.labels[category]}
                for category, name in sorted(self.names.items())
            ]
        )

    @classmethod
    def from_text(cls, text: str, where: str) -> Categories:
        """The inverse of `to_text`; InputError names `where` it is damaged."""
        try:
            rows = json.loads(text)
            names = {int(row["id"]): str(row["name"]) for row in rows}
            return cls(names, {int(row["id"]): int(row["label"]) for row in rows})
        except (ValueError, TypeError, KeyError):
            raise InputError(f"{where}: its categories are damaged") from None

    def check_same(self, other: Categories, where: str, elsewhere: str) -> None:
        """InputError unless every category of `other` (found `elsewhere`) is here, with its name and label."""
        for category, name in sorted(other.names.items()):
            if category not in self.names:
                what = f"category {category} ({name!r}), which {where} does not have"
            elif self.names[category] != name:
                what = f"category {category} as {name!r}, {where} as {self.names[category]!r}"
            elif self.labels[category] != other.labels[category]:
                mine, theirs = self.labels[category], other.labels[category]
                what = f"category {category} ({name!r}) as label {theirs}, {where} as label {mine}"
            else:
                continue
            raise InputError(
                f"{elsewhere}: has {what}: the same ids, names and labels are wanted in both; "
                "choose the data set that goes with it, or mend the list of categories"
            )


def told_apart(names: dict[int, str]) -> dict[int, str]:
    """The names by id, with the id behind those that are the same."""
    counts = Counter(names.values())
    return {k: v if counts[v] == 1 else f"{v} (id {k})" for k, v in names.items()}
