"""What g++ spends on a kernel of Jittor's: `python -m scripts.bench_kernels [--out FILE]`.

Kernels that lie in Jittor's cache (run `make parity` first) are compiled anew in three ways, in turns: as Jittor does;
behind a header that was compiled beforehand; behind one whose inline functions wait until they are called
(jittor_setup/build.py). Prints CPU seconds a kernel, best and median, and the ratios to Jittor's own way.
"""

from __future__ import annotations

import argparse
import os
import resource
import shlex
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rich.progress import track

from door.files import write_json
from door.ranges import Range, add_number
from door.terminal import say
from jittor_setup import build, compiling
from jittor_setup.environment import jittor_home
from neutral.errors import InputError
from parity.engine.ask.environment import describe_machine
from scripts.common import run_main
from scripts.options import Parser

WAYS = ("own", "header", "waiting")


def sources(folder: Path, compiler: str) -> Iterator[Path]:
    """Kernels in a cache that were compiled by this path: neither the tuner's, nor those that call oneDNN."""
    for source in sorted(folder.glob("jt*/**/jit/*_op.cc")):
        text, key = source.read_text(errors="replace"), key_of(source)
        plain = "dnnl.hpp" not in text and "@begin" not in text
        if plain and key.is_file() and compiler in key.read_text():
            yield source


def key_of(source: Path) -> Path:
    return Path(f"{source.with_suffix('.so')}.key")


def command_of(source: Path, work: Path) -> str:
    """Jittor's own command line of a kernel, with `work`/jit in place of its folder; the source is copied there."""
    (work / "jit").mkdir(parents=True, exist_ok=True)
    shutil.copy(source, work / "jit")
    command = key_of(source).read_text().splitlines()[0]
    return command.replace(str(source.with_suffix("")), str(work / "jit" / source.stem))


def seconds(command: str, variables: dict[str, str]) -> float:
    """CPU seconds of a command and of all that it starts."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, shell=True, check=True, capture_output=True, env=os.environ | variables)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def prepared(command: str, chosen: dict[str, str], work: Path) -> dict[str, dict[str, str]]:
    """Variables of each way, whose headers are compiled by then."""
    folders = {way: work / way for way in WAYS[1:]}
    for folder in folders.values():
        folder.mkdir()
        seconds(command, chosen | {compiling.SWITCH: str(folder)})
    flags = build.flags_of(shlex.split(command)[3:])
    for home in folders["header"].glob("kernel-*"):
        shutil.rmtree(home / "include")
        if not build.compiled(str(home / "kernel.h"), chosen[compiling.COMPILER], flags):
            raise RuntimeError("Jittor's headers cannot be compiled")
    places = {WAYS[0]: "0"} | {way: str(folder) for way, folder in folders.items()}
    return {way: chosen | {compiling.SWITCH: place} for way, place in places.items()}


def main() -> None:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_number(parser, "--rounds", int, Range(1), default=5)
    add_number(parser, "--kernels", int, Range(1), default=12)
    parser.add_argument("--out", type=Path, help="a JSON file")
    options = parser.parse_args()
    cache = jittor_home() / ".cache" / "jittor"
    chosen = compiling.prepare(cache)
    if compiling.SWITCH not in chosen:
        raise InputError(f"kernels are not compiled with headers: {compiling.describe()}")
    found = list(sources(cache, chosen["cc_path"]))
    if not found:
        raise InputError(f"{cache}: no kernels; run `make parity` first")
    found = found[:: max(1, len(found) // options.kernels)][: options.kernels]
    with tempfile.TemporaryDirectory() as name:
        commands = [command_of(source, Path(name)) for source in found]
        ways = prepared(commands[0], chosen, Path(name))
        spent = {way: [[] for _ in commands] for way in WAYS}
        for _ in track(range(options.rounds), "measuring"):
            for k, command in enumerate(commands):
                for way in WAYS:
                    spent[way][k].append(seconds(command, ways[way]))
    record: dict = {"kernels": len(commands), "rounds": options.rounds}
    for kind, of in (("best", min), ("median", statistics.median)):
        each = {way: statistics.mean(map(of, spent[way])) for way in WAYS}
        pairs = ((b, a) for i, b in enumerate(WAYS) for a in WAYS[:i])
        record[kind] = each | {f"{b} / {a}": each[b] / each[a] for b, a in pairs}
        say(f"{kind}: " + ", ".join(f"{name} {value:.3f}" for name, value in record[kind].items()))
    if options.out:
        write_json(options.out, {"machine": describe_machine()} | record)


if __name__ == "__main__":
    run_main(main)
