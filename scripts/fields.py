"""The fields of the configuration, which --set changes: types, ranges or choices, and who has which value.

`python -m scripts.fields` lists them with the values of a preset (--preset); `--docs` writes docs/configuration.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from door.files import replacing
from door.terminal import Console, Table, say
from neutral.config import PRESETS, preset, ranges, to_dict
from scripts.common import run_main
from scripts.options import Parser

PAGE = Path(__file__).resolve().parent.parent / "docs" / "configuration.md"
HEAD = """# Fields of the configuration

`--set FIELD=VALUE` changes one; a value outside of its range is refused before anything starts. Values are those of
`detr_r50`, and of `torchvision_r50_fpn` for the fields that only Faster R-CNN has. This page is written by
`python -m scripts.fields --docs`; what the fields mean is said beside them in `neutral/config/`.

| field | type | range or choices | value |
|---|---|---|---|
"""


def values_of(name: str) -> dict[str, str]:
    """A preset's values by field, as --set wants them."""
    found: dict[str, str] = {}

    def walk(node: dict, path: str) -> None:
        for key, value in node.items():
            if isinstance(value, dict):
                walk(value, f"{path}{key}.")
            else:
                found[path + key] = written(value)

    walk(to_dict(preset(name)), "")
    return found


def written(value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        nested = any(isinstance(part, tuple) for part in value)
        return (";" if nested else ",").join(map(written, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def page() -> str:
    shown = values_of("torchvision_r50_fpn") | values_of("detr_r50")
    rows = [
        f"| `{name}` | {kind} | {told.replace('|', 'or')} | {shown.get(name, '')} |"
        for name, (kind, told) in ranges().items()
    ]
    return HEAD + "\n".join(rows) + "\n"


def main() -> None:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="detr_r50", help=f"one of {', '.join(PRESETS)}")
    parser.add_argument("--docs", action="store_true", help="write docs/configuration.md")
    options = parser.parse_args()
    if options.docs:
        with replacing(PAGE) as temporary:
            temporary.write_text(page())
        say(f"written: {PAGE.name}")
        return
    shown = values_of(options.preset)
    table = Table("field", "type", "range or choices", options.preset)
    for name, (kind, told) in ranges().items():
        if name in shown:
            table.add_row(name, kind, told, shown[name])
    Console().print(table)


if __name__ == "__main__":
    run_main(main)
