"""Names that come from files are text: shown as they are, never taken for markup or for commands to a terminal."""

from __future__ import annotations

import functools
import unicodedata

# Cc: control characters, escape codes begin with one; Cf: marks without a glyph, those that turn the direction of
# writing among them; Cs: halves of characters, which cannot be encoded; Zl, Zp: other kinds of line ends
UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
JOINERS = "\u200c\u200d"  # with which Persian, Hindi and others are written, and which move nothing
LONGEST = 120


@functools.lru_cache(maxsize=1 << 14)
def _written(character: str) -> str:
    if unicodedata.category(character) not in UNSEEN or character in JOINERS:
        return character
    return character.encode("unicode_escape").decode()  # "\\n", "\\x1b", "\\u202e"


def plain(value) -> str:
    """`value` on one line, every character seen: what has no glyph, or would do something, is written as an escape."""
    text = str(value)
    return text if text.isascii() and text.isprintable() else "".join(map(_written, text))


def shortened(value, longest: int = LONGEST) -> str:
    """As `plain`; of a long text the beginning."""
    text = str(value)
    return plain(text if len(text) <= longest else f"{text[: longest - 4]} ...")


def as_text(value):
    """For templates of HTML, which escape markup themselves: `plain` lines, but of what is markup already."""
    if hasattr(value, "__html__"):
        return value
    return "\n".join(map(plain, value.split("\n"))) if isinstance(value, str) else value
