"""Run logs for TensorBoard."""

from __future__ import annotations

import time
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from door.display import plain
from neutral.runlog import numbers


class Board:
    """TensorBoard's event file of a run: train and validation losses of the same name in one chart."""

    def __init__(self, folder: Path):
        self.writers = {part: EventFileWriter(str(folder / part)) for part in ("train", "val")}

    def add(self, record: dict, step: int) -> None:
        """The numbers of an epoch's record, at the number of steps so far."""
        for name, value in numbers(record).items():
            part = "val" if name.startswith("test_") else "train"
            tag = name.removeprefix("train_").removeprefix("test_")
            summary = Summary(value=[Summary.Value(tag=plain(tag), simple_value=value)])
            event = Event(wall_time=time.time(), step=step, summary=summary)
            self.writers[part].add_event(event)
        for writer in self.writers.values():
            writer.flush()
