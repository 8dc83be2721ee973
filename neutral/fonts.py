"""Fonts for names in any script: matplotlib's own (Latin, Greek, Cyrillic, Hebrew, Arabic), Noto Sans CJK where
`pip install '.[fonts]'` brought it, and those of the system. What none of them has is never drawn as empty boxes.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from PIL import ImageFont

PACKAGE, FILE = "manimgx_fonts_cjk", "NotoSansCJK-VF.otf.ttc"
SIZE = 11


@functools.cache
def own() -> str:
    """The font that is always there. matplotlib is imported when a font is asked for, and not by every command."""
    data = importlib.import_module("matplotlib").get_data_path()
    return str(Path(data) / "fonts" / "ttf" / "DejaVuSans.ttf")


def files() -> Iterator[str]:
    """Font files, the ones that are always there first."""
    yield own()
    package = importlib.util.find_spec(PACKAGE)
    for folder in package.submodule_search_locations or () if package else ():
        if (Path(folder) / FILE).is_file():
            yield str(Path(folder) / FILE)
    yield from sorted(importlib.import_module("matplotlib.font_manager").findSystemFonts())


@functools.cache
def characters(file: str) -> frozenset[int]:
    """Codes of the characters that a font has; none when it cannot be read."""
    try:
        return frozenset(importlib.import_module("matplotlib.ft2font").FT2Font(file).get_charmap())
    except (RuntimeError, OSError):
        return frozenset()


@functools.lru_cache(maxsize=4096)
def file_for(text: str) -> str | None:
    """The first font with all characters of the text; None when no font has them."""
    wanted = {ord(c) for c in text if not c.isspace()}
    return next((file for file in files() if wanted <= characters(file)), None)


@functools.cache
def font(file: str) -> ImageFont.FreeTypeFont:
    found = ImageFont.truetype(file, SIZE)
    with contextlib.suppress(
        OSError, ValueError
    ):  # only fonts of several weights, which begin with the thinnest
        found.set_variation_by_name("Regular")
    return found


def font_for(text: str) -> ImageFont.FreeTypeFont:
    """A font to draw the text in, the usual one where no font has all of it."""
    return font(file_for(text) or own())


def one_line(text: str) -> str:
    """The text without what moves the pen or turns the direction: control and formatting characters."""
    return "".join(" " if unicodedata.category(c)[0] == "C" else c for c in text).strip()


def drawable(name: str, beside: str) -> str:
    """The name, or what of it can be drawn with `beside` (an id) behind it."""
    name = one_line(name)
    if name and file_for(name):
        return name
    rest = "".join(c for c in name if c.isspace() or ord(c) in characters(own())).strip()
    return f"{rest} {beside}".strip()
