"""What one case of the suite is: a detector, small enough for two CPU cores, and the images that it sees."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from neutral.config import Config, preset, to_dict, with_overrides
from neutral.data import open_dataset
from neutral.data.batching import Batch, collate
from neutral.data.transforms import val_transform
from parity.case import Case
from parity.engine.ask.examination import Examination
from parity.engine.judge.floors import FloorsFile, read_floors
from parity.engine.sides.workers import Workers
from parity.suite.subjects import sides

SHARED = Path(__file__).resolve().parent.parent.parent.parent / "shared" / "data"
COCO_MINI = SHARED / "coco_mini"
FLOORS = {  # of another device are others
    "cpu": Path(__file__).with_name("floors.json"),
    "cuda": Path(__file__).with_name("floors-cuda.json"),
}


@cache
def floors_on(device: str) -> FloorsFile:
    """The suite's floors there, read once."""
    return read_floors(FLOORS[device])


@dataclass(frozen=True)
class DetectorCase:
    """One model on one batch. `images` are positions in the validation split."""

    name: str
    preset: str
    overrides: tuple[str, ...]
    images: tuple[int, ...]
    float32: bool = True
    float64: bool = True
    dropout_step: int | None = None
    data: Path | None = None  # a COCO directory; None: scenes
    full: bool = False  # only in `make parity-full`
    # on padding every cell of a map is the same, and which of equals a trained max-pool takes is settled
    # by rounding: VGG16 gets images of one size
    padded: bool = True

    def config(self) -> Config:
        """DETR's positions in the model's dtype, so that float64 shows more than float32 rounding."""
        data = ("data.kind=coco", f"data.root={self.data}") if self.data else ("data.kind=scenes",)
        config = preset(self.preset)
        if config.model.detector == "detr":
            data = ("model.position.dtype=model", *data)
        return with_overrides(config, [*data, *self.overrides])

    def batch(self, scenes_folder: Path) -> Batch:
        config = self.config()
        dataset = open_dataset(config, "val", scenes_folder)
        samples = [val_transform(*dataset[i], config.transform) for i in self.images]
        if self.data is None and self.padded:  # scenes are all of one size: cut one
            image, target = samples[0]
            samples[0] = (image[:, : image.shape[1] - 24, : image.shape[2] - 40], target)
        return collate(samples, config.transform.size_divisor)

    def of_ranks(self, count: int) -> list[DetectorCase]:
        """The case cut into as many: of every rank its images."""
        return [replace(self, images=self.images[rank::count]) for rank in range(count)]

    def as_case(self, scenes_folder: Path) -> Case:
        """What the harness examines, with drawn weights."""
        reference, candidate = sides(to_dict(self.config()), self.dropout_step)
        return Case(
            self.name,
            reference,
            candidate,
            inputs=lambda: self.batch(scenes_folder),
            float64=self.float64,
            float32=self.float32,
            training=None,
        )

    def examination(
        self, workers: Workers, scenes_folder: Path, scripts: Path | None = None
    ) -> Examination:
        floors = floors_on(workers.device).of(self.name)
        return Examination(self.as_case(scenes_folder), workers, floors, scripts)


def sizes(short: int, longest: int) -> tuple[str, ...]:
    return (f"transform.val_size={short}", f"transform.max_size={longest}")
