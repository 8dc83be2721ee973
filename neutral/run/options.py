"""What a training run is asked to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from neutral.evaluation import METRICS

Report = Callable[[dict], None]  # receives {"phase", "epoch", "step", "steps", "loss", ...}

# what "best" can mean: a number of an epoch's record, greater ones better
SCORES: dict[str, Callable[[dict], float | None]] = {
    **{
        metric: lambda record, k=k: record["test_coco_eval_bbox"][k]
        for k, metric in enumerate(METRICS[:3])
    },
    **{rule: lambda record, rule=rule: record.get(f"test_{rule}_map") for rule in ("voc07", "voc")},
    "loss": lambda record: -record["test_loss"],
}


@dataclass(frozen=True)
class RunOptions:
    """How far and where: `max_steps` ends every epoch early, `val_images` limits evaluation."""

    folder: Path
    weights: Path | None = None
    max_steps: int | None = None
    val_images: int | None = None
    full_evaluation: bool = False  # the last one is of all images whatever `val_images` says
    evaluate_every: int = 1
    resume: bool = False
    # whose `weights` are, and behind which beginning of names, where files do not tell
    source: str | None = None
    inside: str | None = None
    resume_anyway: tuple[str, ...] = ()  # in what a run may differ from its checkpoint
    reset_heads: bool = False  # a class head for another number of classes begins anew
    workers: int = 0  # threads that prepare batches ahead
    keep: int = 0  # checkpoints of the last epochs to keep besides the newest
    best_by: str = "AP"  # see SCORES; the weights that score best are kept apart
    tensorboard: bool = False
    perturb: int = (
        0  # not 0: the initial weights move by one unit in the last place, each number another way
    )
    stop: Callable[[], bool] = lambda: False  # asked after every step; True ends the run, resumable


class Stopped(Exception):
    """The run was asked to stop, and wrote a checkpoint from which it goes on."""
