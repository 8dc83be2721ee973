"""What the suite runs: configurations small enough for two CPU cores, and the images they see."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from neutral.config import Config, preset, with_overrides
from neutral.data import open_dataset
from neutral.data.batching import Batch, collate
from neutral.data.transforms import val_transform

SHARED = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
COCO_MINI = SHARED / "coco_mini"
GOLDEN = SHARED / "golden"


@dataclass(frozen=True)
class Case:
    """One model on one batch. `images` are positions in the validation split."""

    name: str
    preset: str
    overrides: tuple[str, ...]
    images: tuple[int, ...]
    float32: bool = True
    float64: bool = True  # Jittor's float64 convolutions are slow: small images only
    dropout_step: int | None = None
    data: Path | None = None  # a COCO directory; None: scenes

    def config(self) -> Config:
        """With positions in the model's dtype, so that float64 shows more than float32 rounding."""
        data = ("data.kind=coco", f"data.root={self.data}") if self.data else ("data.kind=scenes",)
        return with_overrides(
            preset(self.preset), ["model.position.dtype=model", *data, *self.overrides]
        )

    def batch(self, scenes_folder: Path) -> Batch:
        config = self.config()
        dataset = open_dataset(config, "val", scenes_folder)
        samples = [val_transform(*dataset[i], config.transform) for i in self.images]
        if self.data is None:  # scenes are all of one size: cut one, so that there is padding
            image, target = samples[0]
            samples[0] = (image[:, : image.shape[1] - 24, : image.shape[2] - 40], target)
        return collate(samples)


def sizes(short: int, longest: int) -> tuple[str, ...]:
    return (f"transform.val_size={short}", f"transform.max_size={longest}")


SCENES = (0, 8, 20)  # six objects and occlusion, a crowd, an empty image
CASES = (
    Case("scenes_detr on scenes", "scenes_detr", (), SCENES),
    Case(
        "scenes_detr with dropout from shared streams",
        "scenes_detr",
        ("model.transformer.dropout=0.1",),
        SCENES,
        float32=False,
        dropout_step=3,
    ),
    Case(
        "pre-norm, learned positions, no auxiliary losses",
        "scenes_detr",
        ("model.transformer.pre_norm=true", "model.position.kind=learned", "model.aux_loss=false"),
        SCENES,
    ),
    Case("detr_r101_dc5 on scenes", "detr_r101_dc5", sizes(64, 80), (0, 1), float32=False),
    Case(
        "detr_r50 on coco_mini, short side 96", "detr_r50", sizes(96, 144), (0, 7), data=COCO_MINI
    ),
    Case(
        "detr_r50 on coco_mini, short side 192",
        "detr_r50",
        sizes(192, 256),
        (3, 12),
        float64=False,
        data=COCO_MINI,
    ),
)
