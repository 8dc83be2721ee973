"""What the command lines share: how they end, the session of a framework, progress. options.py has their options."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from door.jsontext import dumps
from door.terminal import Console, TextColumn, say
from neutral.config import Config
from neutral.data import SPLITS, open_dataset
from neutral.data.coco import CocoDataset
from neutral.data.images import ImageCache
from neutral.errors import Ended, InputError
from neutral.notes import Note
from neutral.processes import Terminated, end_politely, tie_to_parent
from neutral.ranks import VARIABLES, Seat
from neutral.undefined import shown
from parity.suite.subjects import runner_of

FRAMEWORKS = ("torch", "jittor")


def open_datasets(config: Config, cache_mib: float) -> dict[str, CocoDataset]:
    """Both splits, their images in one cache; InputError when their categories do not agree."""
    datasets = {split: open_dataset(config, split) for split in SPLITS}
    train, val = (datasets[split] for split in SPLITS)
    train.known.check_same(val.known, train.source, val.source)
    cache = ImageCache(cache_mib, config.data.max_pixels)
    return {split: replace(dataset, cache=cache) for split, dataset in datasets.items()}


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
    # at an exit Jittor prints, and PyTorch's threads of several ranks may abort the process, when all is done
    ended_by_force = "jittor" in sys.modules or any(x in os.environ for x in VARIABLES["torchrun"])
    os._exit(code) if ended_by_force else sys.exit(code)


def told(message: str, code: int, details: Sequence[str] = ()) -> int:
    with contextlib.suppress(OSError):
        say(message, error=True)
        for line in details:
            say(f"  {line}", error=True)
    return code
