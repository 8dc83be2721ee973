"""What a run's log says of an epoch: its training, and its evaluation."""

from __future__ import annotations

import math
from collections.abc import Callable

from neutral import parameters, runlog
from neutral.checkpoints import Place
from neutral.config import Config
from neutral.data.batching import Batch, val_batches
from neutral.data.coco import CocoDataset
from neutral.diagnosis import bad_node
from neutral.errors import InputError, NonFinite
from neutral.evaluation import compact, evaluate
from neutral.panoptic import encoded_segments, panoptic_quality
from neutral.ranks import anyone, together
from neutral.run.options import Report, RunOptions, Stopped
from neutral.undefined import defined
from neutral.voc_evaluation import VOC_RULES, evaluate_voc


class DataError(Exception):
    """A batch could not be made, between two steps of the optimiser or in an evaluation; `cause` is the InputError."""

    def __init__(self, cause: InputError):
        super().__init__(str(cause))
        self.cause = cause


def evaluation_run(
    session,
    config: Config,
    dataset: CocoDataset,
    limit: int | None,
    report: Report,
    workers: int = 0,
    stop: Callable[[], bool] = lambda: False,
):
    """Losses and AP over a split: (mean losses under DETR's names, Evaluation, detections by image id).

    Of the running average of the weights, where the configuration has one. Of several ranks each does every so many
    batches, those of one process; the first has the result, the others None.
    """
    group = session.group
    size = config.optimiser.batch_size
    total = math.ceil(min(len(dataset), limit or len(dataset)) / size)
    batches = val_batches(dataset, config, limit, workers, group.rank, group.size)
    done: list[tuple[dict, dict]] = []  # losses, and detections by image id

    def evaluate_share() -> bool:
        for number, batch in enumerate(batches):
            done.append(evaluated(session, batch))
            step = min(number * group.size + group.size, total)
            loss = done[-1][0]["loss"]
            report({"phase": "evaluate", "step": step, "steps": total, "loss": loss})
            if stop():
                return True
        return False

    with session.averaged():
        stopped = together(group, evaluate_share)
    if anyone(group, "stopped" if stopped else ""):
        raise Stopped
    shares = group.gather(done)
    if group.rank:
        return None
    steps, detections = [], {}
    for k in range(total):
        losses, found = shares[k % group.size][k // group.size]
        steps.append(losses)
        detections |= found
    return (
        runlog.mean_losses(steps, "test", config.model.loss_weights()),
        evaluate(dataset, detections),
        detections,
    )


def evaluated(session, batch: Batch) -> tuple[dict, dict]:
    """Losses of a batch, and detections by image id; NonFinite names the first bad node."""
    try:
        losses, found = session.evaluate(batch)
    except NonFinite as error:
        raise NonFinite(f"{error}: {bad_node(session, batch)}") from None
    if not math.isfinite(losses["loss"]):
        ids = [target.image_id for target in batch.targets]
        raise NonFinite(f"the loss of images {ids} is {losses['loss']}: {bad_node(session, batch)}")
    return losses, {t.image_id: compact(d) for t, d in zip(batch.targets, found, strict=True)}


def train_record(config: Config, place: Place) -> dict:
    """What the log says of an epoch's training."""
    optimiser = config.optimiser
    factor = parameters.decay_factor(place.epoch, optimiser)
    record = {
        "train_lr": optimiser.lr * factor,
        "train_lr_backbone": optimiser.lr_backbone * factor,
    }
    if optimiser.bias_lr_factor != 1:
        record["train_lr_bias"] = optimiser.lr * factor * optimiser.bias_lr_factor
    record |= runlog.mean_losses(place.losses, "train", config.model.loss_weights())
    return record | {"train_step_losses": [round(s["loss"], 6) for s in place.losses]}


def evaluation_record(
    session,
    config: Config,
    dataset: CocoDataset,
    options: RunOptions,
    report: Report,
    whole: bool = False,
) -> dict:
    """What the log says of an evaluation, of all images if `whole`; nothing on ranks but the first."""
    limit = None if whole else options.val_images
    try:
        found = evaluation_run(
            session, config, dataset, limit, report, options.workers, options.stop
        )
    except InputError as error:
        if NonFinite.__name__ in (type(error).__name__, getattr(error, "kind", "")):
            raise
        raise DataError(error) from None
    if found is None:
        return {}
    losses, evaluation, detections = found
    record = losses | {
        "test_images": len(detections),
        "test_coco_eval_bbox": [defined(v) for v in evaluation.stats],
        "test_per_class": {k: defined(v[0]) for k, v in evaluation.per_class.items()},
    }
    if dataset.has_codes:
        stats = evaluate(dataset, detections, "segm").stats
        record["test_coco_eval_masks"] = [defined(v) for v in stats]
    if segments := encoded_segments(dataset, detections):
        quality = panoptic_quality(dataset, segments)
        for which in ("all", "th", "st"):
            record[f"test_PQ_{which}"] = {k: defined(v) for k, v in quality.of(which).items()}
    if config.data.kind == "voc":
        for name in ("voc07", "voc"):
            found = evaluate_voc(dataset, detections, VOC_RULES[name])
            record[f"test_{name}_map"] = defined(found.mean)
    return record
