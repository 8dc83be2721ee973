"""Weights between systems, file formats and frameworks, with the proof that they arrived.

Example: `python -m scripts.convert_weights inspect detr-r50.pth`

    inspect FILE                                  what a file holds: its tree, shapes, values, and which system's it is
    convert FILE --preset NAME --out FILE         to canonical names; .safetensors, .pth (PyTorch) or .pkl (Jittor)
    convert ... --naming "Hugging Face DETR"      under another system's names
    convert ... --verify                          both frameworks compute with both files, node by node
    sources                                       the systems that are known, and by which keys

Beside the converted file lies FILE.json with the proof: where every tensor went, what was left out and why,
totals, the round trip.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.progress import Progress, track
from rich.text import Text
from rich.tree import Tree

from door.display import plain
from door.files import digest, read_json, write_json
from door.jsontext import dumps
from door.tensorfile import Item
from door.terminal import Console, Table
from neutral.errors import InputError
from neutral.files import check_ours, keep_apart
from neutral.weights.conversion import convert
from neutral.weights.proof import prove
from neutral.weights.readers import read_checkpoint
from neutral.weights.recognising import candidates, named_source
from neutral.weights.sources import SOURCES
from neutral.weights.stored import Checkpoint, StoredTensor
from neutral.weights.writers import WRITERS, write_weights
from parity.engine.judge.verdicts import Status
from parity.suite.verify import verify
from scripts.common import run_main
from scripts.options import Parser, add_config_options, add_source_options, config_from

console = Console()


def statistics(tensor: StoredTensor) -> dict[str, float | int]:
    """mean, std, min, max of the finite values, how many are NaN or infinite, and the share of zeros."""
    values = tensor.values()
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values.reshape(-1)
    found = {"not_finite": int(values.size - finite.size)}
    if finite.size:
        found |= {
            "mean": float(finite.mean(dtype=np.float64)),
            "std": float(finite.std(dtype=np.float64)),
            "min": float(finite.min()),
            "max": float(finite.max()),
            "zeros": float((finite == 0).mean()),
        }
    return found


def describe(checkpoint: Checkpoint) -> dict:
    """All that `inspect` shows, as JSON."""
    tensors = {
        name: {"dtype": t.dtype, "shape": list(t.shape)} | statistics(t)
        for name, t in track(checkpoint.tensors.items(), "reading", transient=True, console=console)
    }
    return {
        "file": str(checkpoint.path),
        "bytes": checkpoint.path.stat().st_size,
        "sha256": digest(checkpoint.path, "sha256"),
        "layout": checkpoint.layout,
        "sources": [source.name for source in candidates(checkpoint)],
        "elements": sum(int(np.prod(t["shape"])) for t in tensors.values()),
        "same_memory": checkpoint.tied(),
        "beside": checkpoint.beside,
        "metadata": checkpoint.metadata,
        "tensors": tensors,
    }


def shown(about: dict) -> str:
    """One tensor's line."""
    line = f"{about['dtype']} {about['shape']}"
    if "mean" in about:
        line += f"  mean {about['mean']:.3g} std {about['std']:.3g} [{about['min']:.3g}, {about['max']:.3g}]"
        line += f" {about['zeros']:.0%} zeros" if about["zeros"] > 0.01 else ""
    return line + (f"  {about['not_finite']} NaN or infinite" if about["not_finite"] else "")


def show(about: dict) -> None:
    sources = " or ".join(about["sources"]) or "not known; see sources"
    console.print(f"{about['file']}: {about['layout']}, {about['bytes'] / 1e6:.1f} MB, {sources}")
    console.print(f"SHA-256 {about['sha256']}")
    console.print(f"{len(about['tensors'])} tensors, {about['elements']:,} elements")
    for title, value in (
        ("the same memory", "; ".join(", ".join(names) for names in about["same_memory"])),
        ("beside the weights", ", ".join(f"{k} ({v})" for k, v in about["beside"].items())),
        ("metadata", ", ".join(f"{k}={v[:60]}" for k, v in about["metadata"].items())),
    ):
        if value:
            console.print(f"{title}: {value[:1000]}", markup=False)
    branches = {"": Tree("", hide_root=True)}
    for name, tensor in about["tensors"].items():
        folder, _, leaf = name.rpartition(".")
        parts = folder.split(".") if folder else []
        for k in range(len(parts)):
            path = ".".join(parts[: k + 1])
            if path not in branches:
                branches[path] = branches[".".join(parts[:k])].add(plain(parts[k]))
        branches[folder].add(plain(f"{leaf}: {shown(tensor)}"))
    console.print(branches[""], soft_wrap=True)


def inspect(options: argparse.Namespace) -> None:
    about = describe(read_checkpoint(options.file))
    print(dumps(about, indent=1)) if options.json else show(about)


def list_sources(options: argparse.Namespace) -> None:
    table = Table("system", "known by", "fills")
    for source in SOURCES:
        fills = "a whole detector"
        if source.fills:
            fills = "a backbone" + (
                f", {source.channels.upper()} images" if source.channels else ""
            )
        table.add_row(source.name, Text("\n".join(source.marks)), fills)
    console.print(table)


def watched(item: Item, progress: Progress) -> Item:
    """The item, whose fetching moves the progress bar."""
    task = progress.task_ids[0] if progress.task_ids else progress.add_task("writing", total=0)
    progress.update(task, total=progress.tasks[0].total + item.nbytes)

    def fetch():
        array = item.fetch()
        progress.advance(task, item.nbytes)
        return array

    return replace(item, fetch=fetch)


def show_proof(proof: dict) -> None:
    count = proof["tensors"]
    console.print(
        f"{proof['file']} ({proof['layout']}, {proof['system']}) -> {proof['preset']}: {count['used']} of "
        f"{count['theirs']} tensors fill {count['ours'] - len(proof['begun_anew'])} of {count['ours']}, "
        f"{proof['elements']['filled']:,} elements; round trip {proof['round_trip']}"
    )
    for title, names in (("left out", proof["left_out"]), ("begun anew", proof["begun_anew"])):
        reasons: dict[str, list[str]] = {}
        for name, reason in names.items():
            reasons.setdefault(reason, []).append(name)
        for reason, group in reasons.items():
            more = f", ... ({len(group)} in all)" if len(group) > 4 else ""
            console.print(f"{title}: {', '.join(group[:4])}{more}: {reason}", markup=False)
    for note in proof["notes"]:
        console.print(note, markup=False)


def run_conversion(options: argparse.Namespace) -> int:
    config = config_from(options)
    if options.out.suffix not in WRITERS:
        raise InputError(f"--out {options.out}: weights are written as {', '.join(WRITERS)}")
    proven = options.out.with_name(options.out.name + ".json")
    keep_apart([options.out, proven], [options.file])
    check_ours(options.out, lambda path: proven.exists())
    check_ours(proven, lambda path: "round_trip" in read_json(path))
    checkpoint = read_checkpoint(options.file)
    source = named_source(options.source) if options.source else None
    naming = named_source(options.naming) if options.naming else None
    more = (options.reset_heads, options.round, options.inside)
    conversion = convert(checkpoint, config, source, *more)
    with Progress(transient=True, console=console) as progress:
        items = [watched(item, progress) for item in conversion.items(naming)]
        write_weights(options.out, items, conversion.metadata(naming))
    proof = prove(conversion, options.out, naming)
    show_proof(proof)
    code = 0
    if options.verify:
        verdicts = verify(conversion, options.out, naming)
        failed = [v for v in verdicts if v.status is Status.FAIL]
        proof["verified"] = {s.name: sum(v.status is s for v in verdicts) for s in Status}
        if failed:
            proof["first_difference"] = str(failed[0])
            console.print(f"the two files do not compute the same: {failed[0]}", markup=False)
            code = 1
        else:
            console.print(
                f"both frameworks compute the same from both files: {len(verdicts)} comparisons"
            )
    write_json(proven, proof)
    console.print(f"written: {options.out} and {options.out.name}.json")
    return code


def main() -> int:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("inspect", help="what a file holds, and which system's it is")
    command.add_argument("file", type=Path)
    command.add_argument("--json", action="store_true")
    command.set_defaults(run=inspect)
    command = commands.add_parser("sources", help="the systems that are known")
    command.set_defaults(run=list_sources)
    command = commands.add_parser("convert", help="to canonical names, or another system's")
    command.add_argument("file", type=Path)
    add_config_options(command)
    command.add_argument(
        "--out", type=Path, required=True, help=f"the new file: {', '.join(WRITERS)}"
    )
    add_source_options(command)
    command.add_argument(
        "--naming", help="the system whose names are written; canonical ones otherwise"
    )
    command.add_argument(
        "--reset-heads", action="store_true", help="begin a class head for other classes anew"
    )
    command.add_argument("--round", action="store_true", help="round float64 values to float32")
    command.add_argument(
        "--verify", action="store_true", help="compare what both frameworks make of both files"
    )
    command.set_defaults(run=run_conversion)
    options = parser.parse_args()
    return options.run(options) or 0


if __name__ == "__main__":
    run_main(main)
