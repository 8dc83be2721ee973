"""How a run begins: anew, from initial values or a file, or where its checkpoint left it."""

from __future__ import annotations

import json
import platform
import time
from dataclasses import asdict
from functools import partial
from pathlib import Path

from door.files import sha256_of
from door.randomness import neighbours, stream
from neutral.checkpoints import Checkpoints, Place
from neutral.config import Config, to_dict
from neutral.data.categories import Categories
from neutral.data.coco import CocoDataset
from neutral.errors import InputError
from neutral.provenance import git_revision
from neutral.ranks import check_same_tensors, code_digest, on_first
from neutral.run.folder import (
    LOG,
    STREAM,
    check_foreign,
    has_epochs,
    keep_epochs,
    mend_end,
    note,
    read_lines,
)
from neutral.run.identity import (
    SCORING,
    accept,
    check_accepted,
    differences,
    flattened,
    identity_of,
    in_words,
)
from neutral.run.options import Report, RunOptions
from neutral.runlog import append_line
from neutral.weights import CATEGORIES, Weights, initial_weights, open_weights

SHOWN = 8  # names in a message; the log has them all


def facts_of(
    session, config: Config, datasets: dict[str, CocoDataset], options: RunOptions
) -> dict[str, str]:
    """In what ranks of one run must not differ, by name."""
    told = session.describe()
    asked = {k: v for k, v in asdict(options).items() if k not in ("stop", "workers")}
    facts = {f"{told['framework']}'s version": told["version"]}
    facts["the source"] = code_digest(told["framework"])
    facts |= {f"data.{name}": in_words(d.fingerprint) for name, d in datasets.items()}
    facts |= flattened(to_dict(config)) | {f"--{k.replace('_', '-')}": v for k, v in asked.items()}
    return {name: str(value) for name, value in facts.items()}


def start(
    session,
    config: Config,
    datasets: dict[str, CocoDataset],
    options: RunOptions,
    report: Report,
    checkpoints: Checkpoints,
    notes: list[str],
) -> Place:
    """`begin` on the first rank; the others get weights, the optimiser's state and the place from it."""
    work = partial(begin, session, config, datasets, options, report, checkpoints, notes)
    place = on_first(session.group, work)
    if session.group.size > 1:
        session.receive()
        check_same_tensors(session.group, session.digests(), "at the start")
    return place


def begin(
    session,
    config: Config,
    datasets: dict[str, CocoDataset],
    options: RunOptions,
    report: Report,
    checkpoints: Checkpoints,
    notes: list[str],
) -> Place:
    """Loads the session and sees to the log; `notes` go into it. InputError when the folder holds another run.

    `checkpoints` gets what its files say of the run.
    """
    folder = options.folder
    log, links = folder / LOG, folder / STREAM
    checkpoints.run = identity = identity_of(session, datasets, options)
    check_accepted(options, config, identity)
    has_checkpoint = checkpoints.newest.exists()
    if options.resume and not has_checkpoint and not log.exists():
        raise InputError(f"{folder}: no run to resume; start one without --resume")
    if not has_checkpoint:
        check_foreign(folder, checkpoints, options.weights)
    if not options.resume and (has_checkpoint or has_epochs(log)):
        raise InputError(f"{log} exists: continue it with --resume, or choose another --out")
    mended = [mend_end(path) for path in (log, links)]
    notes = [*notes, *filter(None, mended)]
    if has_checkpoint:
        place, accepted = resume(session, config, checkpoints, options, identity)
        notes += accepted
        for path in (log, links):
            keep_epochs(path, place.epoch)
        if place.epoch >= config.optimiser.epochs:
            text = f"has {place.epoch} epochs already, optimiser.epochs={config.optimiser.epochs}: nothing is trained"
            report({"phase": "message", "text": f"{folder}: {text}; ask for more to go on"})
        logged = read_lines(log)
        missing = set(range(place.epoch)) - {record.get("epoch") for record in logged}
        notes += [f"the log has nothing of epochs {sorted(missing)}"] if missing and logged else []
        if not logged:
            told = {"source": "checkpoint", "file": checkpoints.newest.name}
            append_line(log, {"header": header(session, config, datasets, told)})
    else:
        place = afresh(session, config, datasets, options, report)
    for text in notes:
        note(folder, text)
        report({"phase": "message", "text": text})
    return place


def afresh(
    session,
    config: Config,
    datasets: dict[str, CocoDataset],
    options: RunOptions,
    report: Report,
) -> Place:
    """Loads the weights that a new run starts from, and begins its log."""
    log, links = options.folder / LOG, options.folder / STREAM
    weights, told = start_weights(session, config, options)
    session.load(weights)
    report_begun(told, report)
    report_classes(told, datasets["train"].known, report)
    for path in (log, links):  # of a run that ended before its first checkpoint
        path.unlink(missing_ok=True)
    append_line(log, {"header": header(session, config, datasets, told)})
    return Place(ranks=session.group.size)


def resume(
    session, config: Config, checkpoints: Checkpoints, options: RunOptions, identity: dict
) -> tuple[Place, list[str]]:
    """Where the newest checkpoint left the run, and what was accepted; see identity.py."""
    arrays, metadata = checkpoints.read()
    changed = differences(metadata, config, identity)
    notes = accept(checkpoints.newest, changed, options.resume_anyway)
    if "start" not in changed and "run" in metadata:
        identity["start"] = json.loads(metadata["run"]).get("start")
    place = checkpoints.load(session, arrays, metadata)
    if any(name in SCORING for name in changed):
        place.best = place.best_epoch = None
    accumulate = config.optimiser.accumulate
    if place.done % accumulate:
        raise InputError(
            f"{checkpoints.newest}: is {place.done} batches into an epoch, no whole number of steps of "
            f"optimiser.accumulate={accumulate}; change that between epochs"
        )
    size = config.optimiser.batch_size
    then, _ = changed.get("optimiser.batch_size", (size, size))
    if (place.ranks, then) != (session.group.size, size):
        notes += other_shares(place, then, session.group.size, config)
    return place, notes


def other_shares(place: Place, size_then: int, ranks: int, config: Config) -> list[str]:
    """Makes a place of other ranks, or other batches, one of these, none of the epoch's images left out; what the log
    says of it."""
    told = []
    if place.ranks != ranks:
        told.append(
            f"resumed on {ranks} ranks, {place.ranks} then: from here on not bit for bit the run that it would have "
            "been"
        )
    size, accumulate = config.optimiser.batch_size, config.optimiser.accumulate
    seen = place.done * place.ranks * size_then
    place.done = seen // (ranks * size * accumulate) * accumulate
    if again := seen - place.done * ranks * size:
        told.append(f"{again} images of epoch {place.epoch + 1} come a second time")
    place.ranks = ranks
    return told


def start_weights(session, config: Config, options: RunOptions) -> tuple[Weights, dict]:
    """The weights that a run starts from, and what its log says of them."""
    if options.weights is None:
        weights = initial_weights(session.shapes(), config)
        told = {"source": "initial values"}
        if options.perturb:
            number = options.perturb
            weights = {
                k: neighbours(v, stream(0, "perturb", number, k)) for k, v in weights.items()
            }
            told |= {"perturbed": options.perturb}
        return weights, told
    if options.perturb:
        raise InputError("--perturb moves initial weights; it does not go with --weights")
    found = open_weights(
        options.weights, config, options.source, options.inside, options.reset_heads
    )
    return found.weights(), {
        **({CATEGORIES: found.categories.to_text()} if found.categories else {}),
        "source": found.source.name,
        "file": options.weights.name,
        "sha256": sha256_of(options.weights),
        "begun_anew": found.begun,
    }


def report_begun(told: dict, report: Report) -> None:
    """Says which tensors a run does not take from its file."""
    names = list(told.get("begun_anew", ()))
    if names:
        shown = ", ".join(names[:SHOWN])
        shown += f", ... ({len(names)} in all)" if len(names) > SHOWN else ""
        text = f"{told['file']} ({told['source']}): begun anew: {shown}"
        report({"phase": "message", "text": text})


def report_classes(told: dict, known: Categories, report: Report) -> None:
    """Says so when a class head goes on with other categories than it was trained on."""
    if CATEGORIES in told:
        theirs = Categories.from_text(told[CATEGORIES], told["file"]).by_label()
        if theirs != known.by_label():
            lists = [", ".join(found.values()) for found in (theirs, known.by_label())]
            text = f"{told['file']}: its class head, trained on {lists[0]}, goes on with {lists[1]}"
            report({"phase": "message", "text": text})


def header(session, config: Config, datasets: dict[str, CocoDataset], weights: dict) -> dict:
    return {
        "weights": weights,
        "config": to_dict(config),
        "environment": session.describe()
        | {"python": platform.python_version(), "machine": platform.machine()},
        "revision": git_revision(Path(__file__).parent),
        "data": {split: dataset.fingerprint for split, dataset in datasets.items()},
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
