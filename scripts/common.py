"""What the command lines share: options that make a configuration, errors, progress."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import sys
import textwrap
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from door.jsontext import dumps
from door.ranges import SEEDS, Range, add_number
from door.terminal import Console, TextColumn, say
from neutral.config import PRESETS, Config, preset, ranges, validate, with_overrides
from neutral.data import SPLITS, open_dataset
from neutral.data.coco import CocoDataset
from neutral.data.images import MAX_PIXELS, ImageCache
from neutral.errors import Ended, InputError
from neutral.notes import Note
from neutral.processes import Terminated, end_politely, tie_to_parent
from neutral.ranks import Seat
from neutral.run import SCORES
from neutral.undefined import shown
from parity.suite.subjects import runner_of

FRAMEWORKS = ("torch", "jittor")


class Parser(argparse.ArgumentParser):
    """A command line whose errors are one line each, as all of a script's are (see `run_main`)."""

    def error(self, message: str):
        raise InputError(f"{message}; see --help")


def fields_help() -> str:
    """The fields that --set takes, with their ranges or choices, group by group."""
    groups: dict[str, list[str]] = {}
    for name, (_, told) in ranges().items():
        group, _, leaf = name.rpartition(".")
        groups.setdefault(group, []).append(f"{leaf} ({told})" if told else leaf)
    lines = ["fields of --set with their ranges; those of model are the preset's detector's:"]
    for group, leaves in groups.items():
        text = f"{group or 'by itself'}: {'; '.join(leaves)}"
        lines += textwrap.wrap(text, 110, initial_indent="  ", subsequent_indent="    ")
    return "\n".join(lines)


def add_config_options(parser: argparse.ArgumentParser) -> None:
    parser.epilog, parser.formatter_class = fields_help(), argparse.RawDescriptionHelpFormatter
    group = parser.add_argument_group("model and data")
    group.add_argument("--preset", required=True, help=f"one of {', '.join(PRESETS)}")
    group.add_argument(
        "--data", help="COCO directory, a year of VOC (as VOC2007), or VOCdevkit; scenes need none"
    )
    group.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="as optimiser.lr=1e-3; repeatable",
    )
    add_number(
        group, "--seed", int, SEEDS, help="one number for weights, order, augmentation and dropout"
    )
    group.add_argument(
        "--deterministic",
        action="store_true",
        help="only algorithms that give the same bits in every run (on CPU they do so anyway)",
    )


def add_run_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the run")
    group.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    add_number(
        group,
        "--ranks",
        int,
        Range(1, 1024),
        default=1,
        metavar="N",
        help="processes, with a GPU each on --device cuda, that train together, each on its share of the images "
        "(optimiser.batch_size is of each): torchrun starts PyTorch's, mpirun Jittor's",
    )
    group.add_argument("--out", type=Path, required=True, help="folder of the run")
    group.add_argument(
        "--weights",
        type=Path,
        help="start from these (ours, or of any known source, see convert_weights) instead of random ones",
    )
    add_source_options(parser)
    group.add_argument(
        "--reset-heads",
        action="store_true",
        help="begin the class head anew when --weights has another number of classes",
    )
    add_number(group, "--max-steps", int, Range(1), help="training steps per epoch, at most")
    add_number(group, "--val-images", int, Range(1), help="validation images, at most")
    add_number(group, "--evaluate-every", int, Range(1), default=1, metavar="EPOCHS")
    group.add_argument("--resume", action="store_true", help="continue the run in --out")
    group.add_argument(
        "--resume-anyway",
        action="append",
        default=[],
        metavar="FIELD",
        help="continue it though this differs from its checkpoint, as data.train or optimiser.lr; repeatable",
    )
    group.add_argument(
        "--full-evaluation",
        action="store_true",
        help="the last evaluation is of all images, --val-images or not",
    )
    add_number(
        group,
        "--keep",
        int,
        Range(0),
        default=0,
        metavar="N",
        help="keep the checkpoints of the last N epochs",
    )
    group.add_argument(
        "--best-by",
        choices=tuple(SCORES),
        default="AP",
        help="what best.safetensors is best in",
    )
    group.add_argument(
        "--tensorboard", action="store_true", help="write OUT/tensorboard, too (log.csv always is)"
    )
    add_loading_options(parser)


def add_source_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--source", help="which system's weights these are, when they do not tell")
    parser.add_argument(
        "--inside",
        metavar="PREFIX",
        help="take the tensors whose names begin so, as model or ema, when the file holds others, too",
    )


def add_loading_options(parser: argparse.ArgumentParser) -> None:
    add_number(
        parser,
        "--workers",
        int,
        Range(0, 256),
        default=1,
        help="threads that prepare batches ahead (0: none); the batches are the same for any number",
    )
    add_number(
        parser,
        "--cache-images",
        float,
        Range(0),
        default=0,
        metavar="MIB",
        help="keep decoded images in memory, this much at most",
    )
    add_pixel_limit(parser)


def add_pixel_limit(parser: argparse.ArgumentParser) -> None:
    text = f"refuse images of more pixels (default {MAX_PIXELS:,})"
    add_number(parser, "--max-pixels", int, Range(1, 10**12), metavar="N", help=text)


def open_datasets(config: Config, cache_mib: float) -> dict[str, CocoDataset]:
    """Both splits, their images in one cache; InputError when their categories do not agree."""
    datasets = {split: open_dataset(config, split) for split in SPLITS}
    train, val = (datasets[split] for split in SPLITS)
    train.known.check_same(val.known, train.source, val.source)
    cache = ImageCache(cache_mib, config.data.max_pixels)
    return {split: replace(dataset, cache=cache) for split, dataset in datasets.items()}


def config_from(options: argparse.Namespace) -> Config:
    config = preset(options.preset)
    overrides = list(options.set)
    if options.data:
        asked = with_overrides(config, overrides).data
        sets = (*asked.train_sets, *asked.val_sets)
        kind = kind_of(Path(options.data), sets, config.data.kind)
        if kind == "coco" and config.data.kind == "coco_panoptic":
            kind = "coco_panoptic"
        overrides = [f"data.kind={kind}", f"data.root={options.data}", *overrides]
    if options.seed is not None:
        overrides.append(f"seed={options.seed}")
    overrides += ["deterministic=true"] if options.deterministic else []
    if getattr(options, "max_pixels", None) is not None:
        overrides.append(f"data.max_pixels={options.max_pixels}")
    return validate(with_overrides(config, overrides))


def kind_of(root: Path, sets: Sequence[str], usual: str = "coco") -> str:
    """COCO or VOC: what the sets that are asked for are, else what the folder has; `usual` where it has both.

    `--set data.kind` overrides it. A folder JPEGImages alone is no sign: labelme's COCO export has one.
    """
    if any(name.endswith(".json") or ".json:" in name for name in sets):
        return "coco"
    is_coco = any((root / "annotations").glob("*.json"))
    signs = ("ImageSets", "Annotations")
    is_voc = any((y / sign).is_dir() for y in (root, *root.glob("VOC*")) for sign in signs)
    if is_coco and is_voc:
        return "voc" if usual == "voc" else "coco"
    return "voc" if is_voc else "coco"


def arguments_of(
    options: argparse.Namespace, *adders: Callable[[argparse.ArgumentParser], None], **other
) -> list[str]:
    """The command line of the options that `adders` add to a parser, flags alone; `other`: values instead of theirs."""
    parser = argparse.ArgumentParser(add_help=False)
    for add in adders:
        add(parser)
    arguments = []
    for action in (a for a in parser._actions if a.option_strings):
        value = other.get(action.dest, getattr(options, action.dest, action.default))
        flag = action.option_strings[-1]
        if value in (None, action.default):
            continue
        if action.nargs == 0:
            arguments.append(flag)
        elif isinstance(value, list) and action.nargs is None:  # a repeatable one
            arguments += [f"{flag}={each}" for each in value]
        elif isinstance(value, list):
            arguments += [flag, *map(str, value)]
        else:
            arguments.append(f"{flag}={value}")
    return arguments


def implementation(framework: str, module: str):
    """A module of the framework's implementation; only that framework is imported. InputError when it cannot be."""
    try:
        return importlib.import_module(f"{framework}_impl.{module}")
    except ImportError as error:
        raise InputError(f"{framework} cannot be used here: {error}; see scripts.doctor") from None


def open_group(framework: str, device: str, seat: Seat):
    """Joins the other ranks of a run."""
    return implementation(framework, "group").Group(seat, device)


def open_session(framework: str, config: Config, device: str, group=None):
    """A session of the framework, of a rank when a group is given."""
    session = implementation(framework, "session").Session(config, device, group=group)
    session.watch = partial(runner_of, framework, session)
    return session


def make_progress() -> Progress:
    return Progress(
        TextColumn("{task.description:<28}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=Console(stderr=True),
    )


class ProgressReport:
    """Turns the events of neutral.run into bars and lines, one bar per run; its end is the whole run's."""

    def __init__(self, progress: Progress, name: str):
        self.progress = progress
        self.name = name
        self.task = progress.add_task(name, total=None, note="")

    def __call__(self, event: dict) -> None:
        if event["phase"] == "message":
            self.progress.console.print(f"{self.name}: {event['text']}", highlight=False)
            return
        if event["phase"] == "epoch":
            record = event["record"]
            ap = record.get("test_coco_eval_bbox")
            scores = f", AP {shown(ap[0], 3)}, AP50 {shown(ap[1], 3)}" if ap else ""
            speed = f"{record['images_per_second']:.2f} images/s"
            where = f"{self.name} epoch {event['epoch'] + 1}/{event['epochs']}"
            line = f"{where}: loss {record['train_loss']:.4f}{scores}, {speed}"
            self.progress.console.print(line, highlight=False)
            return
        note = f"loss {event['loss']:.4f}"
        if event["phase"] == "train":
            done = event["epoch"] * event["steps"] + event["step"]
            total = event["epochs"] * event["steps"]
            what = f"epoch {event['epoch'] + 1}/{event['epochs']}"
            self.progress.update(self.task, completed=done, total=total)
        elif self.progress.tasks[self.task].total is None:  # an evaluation alone
            what = "evaluation"
            self.progress.update(self.task, completed=event["step"], total=event["steps"])
        else:
            what = f"evaluation {event['step']}/{event['steps']}"
        self.progress.update(self.task, description=f"{self.name} {what}", note=note)


def json_report(event: dict) -> None:
    """Events as JSON lines on stdout, for train_pair."""
    print(dumps(event), flush=True)


def print_notes(show: Callable[[str], None] = lambda text: print(text, file=sys.stderr)) -> None:
    """What neutral.notes has to say goes to `show`, a line each; other warnings as Python has them."""
    usual = warnings.showwarning

    def showwarning(message, category, *rest, **named):
        if issubclass(category, Note):
            show(f"note: {message}")
        else:
            usual(message, category, *rest, **named)

    warnings.simplefilter("always", Note)
    warnings.showwarning = showwarning


def run_main(main: Callable[[], int | None]) -> None:
    """Runs a command; bad input becomes one line on stderr and exit code 2, notes a line each.

    SIGTERM and SIGHUP end it after clearing up, with 128 and their number; a command that another one started ends
    with that.
    """
    print_notes()
    tie_to_parent()
    try:
        end_politely()
        code = main() or 0
    except InputError as error:
        code = told(f"error: {error}", error.exit_code, error.details)
    except OSError as error:  # a full disk, a folder that cannot be written
        where = f"{error.filename}: " if error.filename else ""
        code = told(f"error: {where}{error.strerror or error}; nothing was left half written", 2)
    except KeyboardInterrupt:
        code = told("interrupted", 130)
    except (Ended, Terminated) as error:
        code = told(str(error), error.code, getattr(error, "details", ()))
    with contextlib.suppress(OSError):  # whoever read them has gone
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code) if "jittor" in sys.modules else sys.exit(
        code
    )  # Jittor's own exit handlers print


def told(message: str, code: int, details: Sequence[str] = ()) -> int:
    with contextlib.suppress(OSError):
        say(message, error=True)
        for line in details:
            say(f"  {line}", error=True)
    return code
