"""How often the linter's entries were true on ports that nobody had seen, and what is told by default because of it.

`python -m scripts.lint_rates` prints the rates of tests/lint_judged.json, by entry, and what precision and recall
are where the choice is made from the other rounds. `--write` writes the counts, parity/atlas/lint/judged.py.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

from door.files import replacing
from door.terminal import say
from parity.atlas.lint.doubts import doubted, expected
from scripts.common import run_main
from scripts.options import Parser

ROOT = Path(__file__).resolve().parent.parent
COUNTS = ROOT / "parity" / "atlas" / "lint" / "judged.py"
FIRST_BLIND = 4
HEAD = '''"""By entry, what was told in the blind rounds: how much was true, and how much advice or false.

Written by `python -m scripts.lint_rates --write`.
"""

'''
Row = tuple[str, str, int]  # entry, verdict, round


def blind_rows() -> list[Row]:
    findings = json.loads((ROOT / "tests" / "lint_judged.json").read_text())["findings"]
    return [(entry, verdict, n) for *_, entry, verdict, n in findings if n >= FIRST_BLIND]


def counted(rows: Iterable[Row]) -> dict[str, tuple[int, int]]:
    """What was told by default and what was doubted alike: "true doubted" is as good as "true"."""
    found: dict[str, Counter] = defaultdict(Counter)
    for entry, verdict, _ in rows:
        found[entry][verdict.removesuffix(" doubted")] += 1
    told = {entry: (c["true"], c["advice"] + c["false"]) for entry, c in found.items()}
    return {entry: counts for entry, counts in sorted(told.items()) if any(counts)}


def left_out(rows: list[Row]) -> tuple[int, int, int]:
    """Findings told, those of them true, and all defects: of every round, by what the others say of its entries."""
    told = true = defects = 0
    for number in {n for *_, n in rows}:
        quiet = doubted(counted(row for row in rows if row[2] != number))
        for entry, verdict, _ in (row for row in rows if row[2] == number):
            kind = verdict.removesuffix(" doubted")
            shown = kind != "missed" and entry not in quiet
            told, true = told + shown, true + (shown and kind == "true")
            defects += kind in ("true", "missed")
    return told, true, defects


def written(counts: dict[str, tuple[int, int]]) -> str:
    lines = [f'    "{entry}": {pair},\n' for entry, pair in counts.items()]
    return HEAD + "JUDGED: dict[str, tuple[int, int]] = {\n" + "".join(lines) + "}\n"


def main(argv: list[str] | None = None) -> int:
    parser = Parser(prog="python -m scripts.lint_rates", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write parity/atlas/lint/judged.py")
    options = parser.parse_args(argv)
    rows = blind_rows()
    counts = counted(rows)
    quiet = doubted(counts)
    for entry, pair in sorted(counts.items(), key=lambda item: expected(*item[1])):
        level = "doubted" if entry in quiet else "told"
        say(f"{entry:22} {pair[0]:3} true {pair[1]:3} other  {expected(*pair):.0%}  {level}")
    told, true, defects = left_out(rows)
    say(f"by rounds left out: {true} of {told} told are true ({true / told:.0%}),")
    say(f"{true} of {defects} defects are told ({true / defects:.0%})")
    if options.write:
        with replacing(COUNTS) as temporary:
            temporary.write_text(written(counts))
    return 0


if __name__ == "__main__":
    run_main(main)
