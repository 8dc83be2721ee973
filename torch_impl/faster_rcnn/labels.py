"""Which boxes are trained as what: matching to objects, and sampling by smallest random keys.

The rules are those of the public systems (config.LabelConfig, config.SamplerConfig). A sampler gets
one random key per box and takes the boxes with the smallest keys, so nothing is drawn here, the
choice stays on the device, and both frameworks make the same one.

B images, N boxes, T objects (padded), S slots of a sample.
"""

from __future__ import annotations

from neutral.choices import Choices
from neutral.config.faster_rcnn import LabelConfig, SamplerConfig
from neutral.regret import label_regret, match_regret
from torch_impl import ops
from torch_impl.faster_rcnn.boxes import iou

LAST = 2.0  # a key greater than any random key: not a candidate


def match(
    boxes,
    allowed,
    objects,
    present,
    config: LabelConfig,
    offset: float,
    choices: Choices,
    stage: str,
):
    """boxes [B, N, 4], allowed bool [B, N]; objects [B, T, 4], present bool [B, T].

    Returns labels float [B, N], 1 positive, 0 negative, -1 neither, and the index of the object that
    each box overlaps most, int [B, N] (the first of equals; 0 in an image without objects). Boxes not
    allowed are neither, and cannot be an object's best. Both are settled, as {stage}_labels and {stage}_matches.
    """
    pairs = ops.cast(present, boxes)[:, None] * ops.cast(allowed, boxes)[:, :, None]
    overlap = iou(boxes, objects, offset) * pairs + (pairs - 1)  # -1 where there is no pair
    best, index = ops.max_first(overlap, 2)
    best = ops.clamp_min(best, 0)  # no object at all is no overlap
    positive = best >= ops.scalar(config.positive, best)
    bound = ops.scalar(config.negative, best)
    negative = best <= bound if config.negative_inclusive else best < bound
    negative = ops.logical_and(negative, best >= ops.scalar(config.negative_from, best))
    if config.low_quality:
        highest, _ = ops.max_first(overlap, 1)  # [B, T]
        ties = ops.logical_and(overlap == highest[:, None], pairs > 0)
        positive = ops.logical_or(positive, ops.cast(ties, boxes).sum(2) > 0)
    positive = ops.cast(ops.logical_and(positive, allowed), boxes)
    negative = ops.cast(ops.logical_and(negative, allowed), boxes) * (1 - positive)
    labels = choices.settle(
        f"{stage}_labels",
        positive * 2 + negative - 1,
        lambda given: label_regret(*map(ops.to_numpy, (overlap, allowed)), given, config),
    )
    index = choices.settle(
        f"{stage}_matches", index, lambda given: match_regret(ops.to_numpy(overlap), given)
    )
    return labels, index


def quotas(labels, config: SamplerConfig, count: int):
    """How many positives and negatives a row of labels [B, N] gives, [B, 1] each, as integers in floats."""
    positives = ops.cast(labels > 0, labels).sum(1, keepdims=True)
    negatives = ops.cast(labels == 0, labels).sum(1, keepdims=True)
    total = positives * 0 + count
    fraction = ops.scalar(config.positive_fraction, labels)
    if config.fraction_of == "available":
        total = ops.minimum(total, positives + negatives)
    most = total * fraction
    most = ops.round_half_even(most) if config.rounding == "round" else most.floor()
    taken = ops.minimum(most, positives)
    if config.refill:  # without negatives all are positives
        taken = ops.where(negatives > 0, taken, total)
        taken = taken * ops.cast(positives > 0, taken)
        return taken, (total - taken) * ops.cast(positives + negatives > 0, taken)
    rest = ops.minimum(total - taken, negatives)
    if config.fraction_of == "available":  # one side without any leaves no sample
        both = ops.cast(ops.logical_and(taken > 0, rest > 0), taken)
        return taken * both, rest * both
    return taken, rest


def as_rows(x, config: SamplerConfig):
    """[B, N] -> the rows that are sampled from: as they are, or all in one when the scope is the batch."""
    return x.reshape(1, -1) if config.scope == "batch" else x


def sample(labels, keys, config: SamplerConfig):
    """labels and keys [B, N] -> bool [B, N], the boxes sampled."""
    rows, row_keys = as_rows(labels, config), as_rows(keys, config)
    count = config.count * (labels.shape[0] // rows.shape[0])
    taken, rest = quotas(rows, config, count)
    chosen = None
    for kind, quota in ((rows > 0, taken), (rows == 0, rest)):
        candidate = ops.cast(kind, keys)
        places = ops.cast(ops.ranks(row_keys * candidate + (1 - candidate) * LAST), keys)
        picked = ops.logical_and(kind, places < quota)
        chosen = picked if chosen is None else ops.logical_or(chosen, picked)
    return chosen.reshape(labels.shape)


def sample_slots(labels, keys, config: SamplerConfig):
    """labels and keys [B, N] -> indices into the flattened boxes, int [B * S], -1 in an empty slot.

    Positives come first, then negatives, each in the order of their keys; S is `count`, or N when
    that is less and nothing is drawn again.
    """
    rows, row_keys = as_rows(labels, config), as_rows(keys, config)
    width = rows.shape[1]
    count = config.count * (labels.shape[0] // rows.shape[0])
    taken, rest = quotas(rows, config, count)
    slots = count if config.refill else min(count, width)
    place = ops.expand(ops.arange(slots, keys)[None], rows.shape[0], slots)
    is_positive = place < taken
    index = None
    for kind, first, quota in ((rows > 0, taken * 0, taken), (rows == 0, taken, rest)):
        candidate = ops.cast(kind, keys)
        order = ops.cast(
            ops.sort_descending(-(row_keys * candidate + (1 - candidate) * LAST))[1], keys
        )
        available = candidate.sum(1, keepdims=True)
        wanted = place - first
        if config.refill:  # more wanted than there are: drawn again, by the keys of the first boxes
            again = (ops.take(row_keys, ops.as_index(wrap(place, width))) * available).floor()
            wanted = ops.where(ops.expand(quota > available, *place.shape), again, wanted)
        wanted = ops.minimum(ops.clamp_min(wanted, 0), ops.clamp_min(available - 1, 0))
        found = ops.take(order, ops.as_index(wanted))
        index = found if index is None else ops.where(is_positive, index, found)
    offset = ops.arange(rows.shape[0], keys)[:, None] * width
    filled = ops.cast(place < taken + rest, keys)
    return ops.as_index(((index + offset) * filled + (filled - 1)).reshape(-1))


def wrap(place, width: int):
    """place modulo width, for floats that hold non-negative integers."""
    return place - ops.quotient(place, width) * width
