"""Region proposal network: objectness and box deltas per anchor, proposals, and their losses.

Ren et al. 2015, in every variant that config.RpnConfig describes. Everything has a fixed size: an
image with fewer proposals than the limit has empty places, marked in a mask, so that nothing waits
for the device.

B images, N anchors of all levels together, T objects (padded), P proposals, K places before NMS.
"""

from __future__ import annotations

import numpy as np

from jittor_impl import ops
from jittor_impl.faster_rcnn.boxes import BoxCoder, box_loss, clip, sides
from jittor_impl.faster_rcnn.labels import match, sample
from jittor_impl.runtime import nn
from neutral.anchors import centred_inside, grid_anchors, inside
from neutral.choices import relative
from neutral.config.faster_rcnn import FasterRcnnConfig, RpnConfig
from neutral.regret import bounds_regret, nms_regret, order_regret


class RpnHead(nn.Module):
    """A 3x3 convolution and two 1x1 ones, with torchvision's names."""

    def __init__(self, config: RpnConfig, inputs: int):
        super().__init__()
        width = config.channels or inputs
        self.anchors = len(config.anchors.sizes[0]) * len(config.anchors.ratios)
        self.scores = config.scores
        self.layout = config.softmax_layout
        outputs = self.anchors * (2 if config.scores == "softmax" else 1)
        self.conv = nn.Sequential(nn.Sequential(nn.Conv2d(inputs, width, 3, 1, 1)))
        self.cls_logits = nn.Conv2d(width, outputs, 1)
        self.bbox_pred = nn.Conv2d(width, self.anchors * 4, 1)

    def execute(self, x):
        """x [B, C, H, W] -> objectness [B, H * W * A] and deltas [B, H * W * A, 4], in grid_anchors' order.

        Objectness is a logit; of a 2-way softmax it is the difference of the two, which means the same.
        """
        hidden = ops.relu(self.conv(x))
        scores, deltas = self.cls_logits(hidden), self.bbox_pred(hidden)
        batch, _, height, width = deltas.shape
        if self.scores == "softmax" and self.layout == "class_major":
            scores = scores[:, self.anchors :] - scores[:, : self.anchors]
        elif self.scores == "softmax":
            pairs = scores.reshape(batch, self.anchors, 2, height, width)
            scores = pairs[:, :, 1] - pairs[:, :, 0]
        objectness = ops.permute(scores, 0, 2, 3, 1).reshape(batch, -1)
        return objectness, ops.permute(deltas, 0, 2, 3, 1).reshape(batch, -1, 4)


class RegionProposalNetwork(nn.Module):
    def __init__(self, config: FasterRcnnConfig, inputs: int):
        super().__init__()
        self.config = config.rpn
        self.offset = config.pixel_offset
        self.strides = config.strides()
        self.coder = BoxCoder(config.rpn.coder, config.box_order, config.pixel_offset)
        self.head = RpnHead(config.rpn, inputs)

    def predict(self, features, image):
        """Maps, finest first, of a batch padded to `image` (height, width) -> objectness [B, N], deltas
        [B, N, 4] and the anchors, a list of NumPy arrays."""
        shapes = [tuple(x.shape[2:]) for x in features]
        found = [self.head(x) for x in features]
        objectness = ops.full_precision(ops.cat([scores for scores, _ in found], 1))
        deltas = ops.full_precision(ops.cat([level for _, level in found], 1))
        return objectness, deltas, grid_anchors(self.config.anchors, shapes, self.strides, image)

    def allowed(self, anchors: np.ndarray, sizes, inside_only: bool) -> np.ndarray:
        """bool [B, N]: the anchors that take part in each image of `sizes` (height, width)."""
        allowed = np.ones((len(sizes), len(anchors)), dtype=bool)
        for i, size in enumerate(sizes):
            if self.config.exclude_padding:
                allowed[i] &= centred_inside(anchors, size)
            if inside_only:
                allowed[i] &= inside(anchors, size, self.config.inside_strict)
        return allowed

    def propose(self, objectness, deltas, anchors, sizes, scales, training, choices, name):
        """Proposals [B, P, 4] and which places are filled, bool [B, P]; both constants.

        sizes: (height, width) per image; scales: network pixels per original pixel, per image.
        """
        limits = self.config.proposals
        flat = np.concatenate(anchors)
        objectness = ops.frozen(objectness)
        boxes = self.coder.decode(ops.frozen(deltas), ops.array(flat, like=objectness)[None])
        far = np.array([(w, h, w, h) for h, w in sizes], dtype=np.float64) - self.offset
        boxes = clip(boxes, ops.array(far, like=boxes)[:, None])
        allowed = ops.array(self.allowed(flat, sizes, limits.inside_only))
        smallest = np.array(scales if limits.min_size_scaled else np.ones(len(sizes)))
        smallest = ops.array(smallest * limits.min_size, like=boxes)[:, None]
        extent = sides(boxes, self.offset)
        large = choices.settle(
            f"{name}_large",
            ops.logical_and(extent[..., 0] >= smallest, extent[..., 1] >= smallest),
            lambda given: relative(
                bounds_regret(ops.to_numpy(extent - smallest[..., None])), ops.to_numpy(boxes)
            ),
        )
        good = ops.logical_and(allowed, large)
        entering = good if limits.filter_first else allowed
        index = self.select(objectness, boxes, good, entering, anchors, training, choices, name)
        filled = index >= 0
        choices.note(name, index)
        choices.note(f"{name}_filled", filled)
        chosen = ops.take(boxes, ops.as_index(ops.clamp_min(ops.cast(index, boxes), 0)))
        return choices.value(name, ops.frozen(chosen)), filled

    def select(self, objectness, boxes, good, entering, anchors, training, choices, name):
        """The anchors whose boxes become proposals, best first: int [B, P], -1 in empty places.

        Settled as {name}_order, the candidates by score, and {name}_kept, those that survive suppression.
        """
        limits = self.config.proposals
        lowest = objectness * 0 + ops.MASKED
        ranked = ops.where(entering, objectness, lowest)
        if limits.test_mode == "top" and not training:
            count = min(limits.top_count, objectness.shape[1])
            order = ops.sort_descending(ranked)[1][:, :count]
            order = choices.settle(
                f"{name}_order",
                order,
                lambda given: order_regret(*map(ops.to_numpy, (objectness, order)), given),
            )
            return mark_empty(order, ops.take(entering, order))
        before, after = limits.counts(training)
        chosen, start = [], 0
        counts = [len(level) for level in anchors] if limits.per_level else [objectness.shape[1]]
        for count in counts:
            kept = min(before, count)
            order = ops.sort_descending(ranked[:, start : start + count])[1][:, :kept]
            chosen.append(order + start)
            start += count
        places = ops.cat(chosen, 1)
        ranked = ops.where(good, objectness, lowest)
        order = ops.sort_descending(ops.take(ranked, places))[1]  # across levels
        own = ops.take(places, order)
        places = choices.settle(
            f"{name}_order",
            own,
            lambda given: order_regret(*map(ops.to_numpy, (objectness, own)), given),
        )
        level = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
        level = ops.take_rows(ops.array(level), places.reshape(-1)).reshape(places.shape)
        good = ops.logical_and(ops.take(good, places), ops.take(entering, places))
        boxes = widen(ops.take(boxes, places), self.offset)
        threshold = limits.nms_threshold
        keep = [ops.nms(boxes[i], level[i], good[i], threshold) for i in range(boxes.shape[0])]
        keep = choices.settle(
            f"{name}_kept",
            ops.stack(keep, 0),
            lambda given: nms_regret(*map(ops.to_numpy, (boxes, level, good)), threshold, given),
        )
        kept = ops.sort_descending(ops.cast(keep, objectness))[1][:, : min(after, places.shape[1])]
        return mark_empty(ops.take(places, kept), ops.take(keep, kept))

    def losses(self, objectness, deltas, anchors, sizes, objects, keys, choices):
        """Binary cross entropy and box loss of the sampled anchors, each divided by their number.

        objects: (boxes [B, T, 4], present bool [B, T]); keys [B, N].
        """
        flat = np.concatenate(anchors)
        allowed = ops.array(self.allowed(flat, sizes, self.config.train_inside_only))
        anchors = ops.expand(ops.array(flat, like=deltas)[None], *deltas.shape)
        rules = (self.config.labels, self.offset, choices, "anchor")
        labels, index = match(anchors, allowed, *objects, *rules)
        sampled = choices.settle("anchor_sample", sample(labels, keys, self.config.sampler))
        weight = ops.cast(sampled, deltas)
        count = ops.clamp_min(weight.sum(), 1)
        positive = ops.cast(labels > 0, deltas)
        # cross entropy of a logit x: softplus(-x) for a positive, softplus(x) for a negative
        cross_entropy = ops.softplus(objectness * (1 - positive * 2))
        goal = self.coder.encode_positive(ops.take(objects[0], index), anchors, labels > 0)
        boxes = box_loss(deltas, goal, self.config.box_loss) * positive
        return (cross_entropy * weight).sum() / count, (boxes * weight).sum() / count


def widen(boxes, offset: float):
    """Legacy boxes as ordinary ones: the far corner moves out by the offset, and areas and IoU are the same."""
    if not offset:
        return boxes
    return boxes + ops.array(np.array([0.0, 0.0, offset, offset]), like=boxes)


def mark_empty(index, filled):
    """Indices with -1 where not filled."""
    mask = ops.as_index(ops.cast(filled, ops.as_float(index)))
    return index * mask + (mask - 1)
