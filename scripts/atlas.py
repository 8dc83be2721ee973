"""The semantics atlas: where PyTorch and Jittor mean different things.

`python -m scripts.atlas` lists all entries, `python -m scripts.atlas argmax` those of an operator (all words must
occur), `--explain ID` shows one with scripts that can be copied and run alone, `--run ID` runs it now. `--record`
measures these entries and writes parity/atlas/atlas.json; `--namesakes` compares the signatures of all names;
`--docs` writes docs/atlas.md and docs/atlas/.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from door.files import replacing
from door.terminal import Console, Table, say
from neutral.errors import InputError
from parity.atlas.catalogue import BY_ID, ENTRIES
from parity.atlas.entry import AREAS, Entry
from parity.atlas.judge import (
    CRASHES,
    DIFFERS,
    RAISES,
    SAME,
    Reader,
    brief,
    read_record,
    write_record,
)
from parity.atlas.namesakes import look, write_namesakes
from parity.atlas.page import explain, render, told
from scripts.common import make_progress, run_main
from scripts.options import Parser

COMMAND = "python -m scripts.atlas"
NAMES = {"torch": "PyTorch", "jittor": "Jittor"}
KINDS = (SAME, DIFFERS, RAISES, CRASHES)
DOCS = Path(__file__).resolve().parent.parent / "docs"


def named(identifier: str) -> Entry:
    if identifier not in BY_ID:
        near = [i for i in BY_ID if identifier.split("-")[0] in i][:6]
        raise InputError(
            f"no entry {identifier!r}" + (f"; near it: {', '.join(near)}" if near else "")
        )
    return BY_ID[identifier]


def matching(options: argparse.Namespace, record: dict) -> list[Entry]:
    """Entries that have all the words, in id, title, operators or code."""
    words = [w.lower() for w in options.words]
    found = []
    for entry in ENTRIES:
        text = " ".join((entry.id, entry.title, entry.operators, entry.torch, entry.jittor_code))
        kind = told(record, options.device, entry)
        fits = options.kind in (None, kind) and options.area in (None, entry.area)
        if fits and all(w in text.lower() for w in words):
            found.append(entry)
    return found


def measure(entries: list[Entry], device: str, known: dict) -> None:
    """Runs entries, says what changed, and writes the record."""
    reader, found = Reader(device), {}
    try:
        versions = {
            side: reader.workers[side].call("describe", device)["version"]
            for side in reader.workers
        }
        with make_progress() as progress:
            task = progress.add_task("entries", total=len(entries), note="")
            for entry in entries:
                result = found[entry.id] = reader.read(entry)
                before = known.get(entry.id, {}).get("kind")
                if before and before != result["kind"]:
                    line = f"{entry.id}: was {before}, now {result['kind']}"
                    progress.console.print(line, highlight=False)
                progress.update(task, advance=1, note=entry.id)
    finally:
        reader.close()
    write_record(device, {NAMES[k]: v for k, v in versions.items()}, found, BY_ID)


def write_pages(pages: dict[str, str]) -> None:
    """docs/atlas.md and the pages below docs/atlas; what nothing writes any more goes."""
    (DOCS / "atlas").mkdir(exist_ok=True)
    for path, text in pages.items():
        with replacing(DOCS / path) as temporary:
            temporary.write_text(text)
    for old in (DOCS / "atlas").iterdir():
        if f"atlas/{old.name}" not in pages:
            old.unlink()
    print(f"written: {len(pages)} pages, docs/atlas.md first")


def compare_namesakes() -> None:
    """Looks at every name of both packages, and writes namesakes.json."""
    reader = Reader()
    try:
        versions = {
            name: reader.workers[side].call("describe", "cpu")["version"]
            for side, name in NAMES.items()
        }
        write_namesakes(*look(reader.workers), versions)
    finally:
        reader.close()


def main() -> None:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="operators or other words that must occur")
    parser.add_argument("--area", choices=AREAS)
    parser.add_argument("--kind", choices=KINDS)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--explain", metavar="ID", help="everything about one entry")
    parser.add_argument("--run", metavar="ID", help="run one entry now, on both sides")
    parser.add_argument("--record", action="store_true", help="measure, and write atlas.json")
    parser.add_argument("--docs", action="store_true", help="write docs/atlas.md and docs/atlas/")
    parser.add_argument("--namesakes", action="store_true", help="compare all signatures anew")
    options = parser.parse_args()
    record = read_record()
    if options.namesakes:
        compare_namesakes()
    if options.explain:
        print(explain(named(options.explain), record))
        return
    if options.run:
        entry, reader = named(options.run), Reader(options.device)
        try:
            found = reader.read(entry)
        finally:
            reader.close()
        say(f"{entry.id}: {found['kind']}")
        for side in ("torch", "jittor", "safe"):
            if side in found:
                say(f"  {side}: {brief(found[side])}")
        return
    entries = matching(options, record)
    if options.record:
        known = record.get(options.device, {}).get("entries", {})
        measure(entries, options.device, known)
        record = read_record()
    if options.docs:
        write_pages(render(record, COMMAND))
    if options.record or options.docs or options.namesakes:
        return
    table = Table("id", "kind", "what", "safe")
    for entry in entries:
        kind = told(record, options.device, entry)
        table.add_row(entry.id, kind, entry.title, "yes" if entry.safe else "")
    Console().print(table)
    say(f"{len(entries)} of {len(ENTRIES)} entries; --explain ID tells more")


if __name__ == "__main__":
    run_main(main)
