"""Every page of the project: one folder of templates, one style sheet, each page a single file that needs no other."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from door.display import as_text, plain
from door.jsontext import dumps

TEMPLATES = Path(__file__).resolve().parent / "templates"


@cache
def environment() -> Environment:
    found = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        finalize=as_text,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.globals |= {"asset": asset, "as_json": as_json, "address": address}
    return found


def render(template: str, **values) -> str:
    """The page of `template` with these values; names in them are text, never markup."""
    return environment().get_template(template).render(values)


def asset(name: str) -> Markup:
    """A style sheet or a script, to be written into a page."""
    return Markup((TEMPLATES / name).read_text())


def address(**state) -> str:
    """Of a page with this state, names as they are shown."""
    return "#" + urlencode({name: plain(value) for name, value in state.items()})


def as_json(value) -> Markup:
    """For a script element, which "<" could end, or begin a comment in."""
    return Markup(dumps(value, separators=(",", ":")).replace("<", "\\u003c"))
