"""Run logs for TensorBoard."""

from __future__ import annotations

import io
import os
import platform
import time
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from door.display import plain
from neutral.files import append
from neutral.runlog import numbers

VERSION = "brain.Event:2"  # of the format, in a file's first event


class Board:
    """TensorBoard's event files of a run: train and validation losses of the same name in one chart.

    Written by the caller's thread, as logs are: TensorBoard's own writer fails in another one when the disk is full.
    """

    def __init__(self, folder: Path):
        name = f"events.out.tfevents.{int(time.time()):010d}.{platform.node()}.{os.getpid()}"
        self.files = {part: folder / part / name for part in ("train", "val")}
        for file in self.files.values():
            append(file, record_of(Event(wall_time=time.time(), file_version=VERSION)))

    def add(self, record: dict, step: int) -> None:
        """The numbers of an epoch's record, at the number of steps so far."""
        events = dict.fromkeys(self.files, b"")
        for name, value in numbers(record).items():
            part = "val" if name.startswith("test_") else "train"
            tag = name.removeprefix("train_").removeprefix("test_")
            summary = Summary(value=[Summary.Value(tag=plain(tag), simple_value=value)])
            events[part] += record_of(Event(wall_time=time.time(), step=step, summary=summary))
        for part, data in events.items():
            append(self.files[part], data)


def record_of(event: Event) -> bytes:
    """An event in TensorBoard's framing."""
    file = io.BytesIO()
    RecordWriter(file).write(event.SerializeToString())
    return file.getvalue()
