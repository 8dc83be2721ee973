"""The second stage: regions pooled from the features, classified, and their boxes regressed.

Girshick 2015 and Ren et al. 2015, in every variant that config.RoiConfig describes.

B images, R regions of all images together, K classes with the background, P proposals, T objects,
S regions sampled per image.
"""

from __future__ import annotations

import math

import numpy as np

from neutral.config.faster_rcnn import FasterRcnnConfig, RoiConfig
from neutral.parameters import mobilenet_channels
from torch_impl import ops
from torch_impl.backbones.mobilenet import Layers
from torch_impl.backbones.resnet import make_stage
from torch_impl.dropout import Dropout
from torch_impl.faster_rcnn.boxes import BoxCoder, area, box_loss
from torch_impl.faster_rcnn.labels import match, sample_slots
from torch_impl.runtime import nn


class RegionPool(nn.Module):
    """RoIPool, RoIAlign or crop-and-resize, from the pyramid level that fits each region's size."""

    def __init__(self, config: FasterRcnnConfig):
        super().__init__()
        self.config = config.roi
        self.strides = [s for s in config.strides() if s <= 2**config.fpn.last_level]
        self.lowest = int(math.log2(self.strides[0]))

    def levels(self, boxes, choices, name):
        """Equation 1 of the FPN paper, settled as `name`: int [R], 0 the finest map."""
        roi = self.config
        size = area(boxes, 0.0).sqrt() / roi.canonical_size
        # log2 as a quotient of logs; the clamp keeps empty boxes at the finest level
        octaves = ops.clamp_min(size, 2.0**-20).log() / ops.scalar(math.log(2), size)
        exact = octaves + ops.scalar(roi.level_eps + roi.canonical_level, size)
        level = ops.clamp_min(exact.floor() - self.lowest, 0)
        level = ops.as_index(ops.minimum(level, level * 0 + (len(self.strides) - 1)))
        return choices.settle(name, level, lambda given: integer_distance(ops.to_numpy(exact)))

    def pool(self, x, boxes, images, stride: int):
        """x [B, C, H, W] of one level, boxes [R, 4], images int [R] -> [R, C, size, size]."""
        roi = self.config
        if roi.pool == "roi_align":
            return ops.roi_align(
                x, boxes, images, roi.size, 1 / stride, roi.sampling_ratio, roi.aligned
            )
        if roi.pool == "roi_pool":
            return ops.roi_pool(x, boxes, images, roi.size, 1 / stride)[0]
        # the tf port crops to twice the size and takes the greatest of each 2x2
        crops = ops.crop_and_resize(x, boxes, images, roi.size * 2, 1 / stride)
        return ops.max_pool(crops, 2, 2, 0)

    def forward(self, features, boxes, images, levels):
        """features: maps, finest first; boxes [R, 4]; images and levels int [R] -> [R, C, size, size]."""
        if len(self.strides) == 1:
            return self.pool(features[0], boxes, images, self.strides[0])
        order = ops.sort_descending(-ops.as_float(levels))[1]  # by level, finest first
        counts = np.bincount(ops.to_numpy(levels).astype(np.int64), minlength=len(self.strides))
        boxes, images = ops.take_rows(boxes, order), ops.take_rows(images, order)
        pooled, start = [], 0
        for x, stride, count in zip(features, self.strides, counts.tolist()):
            if count:
                rows = slice(start, start + count)
                pooled.append(self.pool(x, boxes[rows], images[rows], stride))
            start += count
        back = ops.sort_descending(-ops.as_float(order))[1]  # where each region went
        return ops.take_rows(ops.cat(pooled, 0), back)


def integer_distance(x: np.ndarray) -> np.ndarray:
    return np.abs(x - np.round(x))


class TwoFc(nn.Module):
    """Two linear layers with ReLU and dropout, torchvision's names."""

    def __init__(self, config: RoiConfig, channels: int):
        super().__init__()
        self.fc6 = nn.Linear(channels * config.size**2, config.hidden)
        self.fc7 = nn.Linear(config.hidden, config.hidden)
        self.dropout6 = Dropout(config.dropout)
        self.dropout7 = Dropout(config.dropout)
        self.outputs = config.hidden

    def forward(self, x):
        x = self.dropout6(ops.relu(self.fc6(x.reshape(x.shape[0], -1))))
        return self.dropout7(ops.relu(self.fc7(x)))


class Layer4(nn.Module):
    """The last stage of a ResNet on every region, then the mean or the greatest value of each channel."""

    def __init__(self, config: FasterRcnnConfig, outputs: int):
        super().__init__()
        self.layer4 = make_stage(config.backbone, 4)
        self.reduce = config.roi.layer4_pool
        self.outputs = outputs

    def forward(self, x):
        x = self.layer4(x)
        if self.reduce == "max":
            return ops.max_with_index(x.reshape(x.shape[0], x.shape[1], -1), 2)[0]
        return x.sum(3).sum(2) / (x.shape[2] * x.shape[3])


class MobileNetTail(Layers):
    """MobileNet's last two layers on every region, then the mean of each channel."""

    def __init__(self, config: FasterRcnnConfig):
        super().__init__(config.backbone, 12, 13)
        self.outputs = mobilenet_channels(config.backbone, 13)

    def forward(self, x):
        x = self.follow(x)
        return x.sum(3).sum(2) / (x.shape[2] * x.shape[3])


class Predictor(nn.Module):
    """Class scores [R, K] and box deltas [R, K, 4], the background's being zeros where it has no slot."""

    def __init__(self, config: FasterRcnnConfig, inputs: int):
        super().__init__()
        self.slots = config.num_classes - (not config.roi.background_slot)
        self.cls_score = nn.Linear(inputs, config.num_classes)
        self.regress = config.roi.regress
        if self.regress:
            self.bbox_pred = nn.Linear(inputs, self.slots * 4)

    def forward(self, x):
        return (self.cls_score(x), self.bbox_pred(x)) if self.regress else (self.cls_score(x),)


class RoiHeads(nn.Module):
    def __init__(self, config: FasterRcnnConfig, channels: int, layer4_channels: int):
        super().__init__()
        self.config = config.roi
        self.classes = config.num_classes
        self.background = 0 if config.background == "first" else config.num_classes - 1
        self.offset = config.pixel_offset
        self.coder = BoxCoder(config.roi.coder, config.box_order, config.pixel_offset)
        self.box_roi_pool = RegionPool(config)
        if config.roi.head == "layer4":
            self.box_head = Layer4(config, layer4_channels)
        elif config.roi.head == "mobilenet":
            self.box_head = MobileNetTail(config)
        else:
            self.box_head = TwoFc(config.roi, channels)
        self.box_predictor = Predictor(config, self.box_head.outputs)

    def predict(self, features, boxes, images, choices, name):
        """boxes [R, 4] and their images int [R] -> scores [R, K], deltas [R, K, 4] or None."""
        levels = self.box_roi_pool.levels(boxes, choices, name)
        pooled = self.box_roi_pool(features, boxes, images, levels)
        found = self.box_predictor(self.box_head(pooled))
        scores, *deltas = [ops.full_precision(x) for x in found]
        if not deltas:
            return scores, None
        deltas = deltas[0].reshape(scores.shape[0], -1, 4)
        if not self.config.background_slot:
            empty = deltas[:, :1] * 0
            deltas = ops.cat([empty, deltas] if self.background == 0 else [deltas, empty], 1)
        return scores, deltas

    def columns(self, labels):
        """Labels 1, 2, ..., 0 for the background -> columns of the scores."""
        if self.background == 0:
            return labels
        return labels - 1 + ops.as_index(ops.as_float(labels) <= 0) * self.classes

    def losses(self, features, proposals, filled, objects, labels, keys, choices):
        """Cross entropy and box loss of the sampled regions, each divided by their number.

        proposals [B, P, 4], filled bool [B, P]; objects: (boxes [B, T, 4], present bool [B, T]); labels
        int [B, T]; keys [B, P + T].
        """
        objects, present = objects
        if self.config.append_gt:
            proposals = ops.cat([proposals, objects], 1)
            filled = ops.cat([filled, present], 1)
        rules = (self.config.labels, self.offset, choices, "roi")
        kinds, index = match(proposals, filled, objects, present, *rules)
        keys = keys[:, : proposals.shape[1]]
        slots = sample_slots(kinds, keys, self.config.sampler)
        slots = choices.settle("roi_sample", slots)
        weight = ops.cast(slots >= 0, proposals)
        rows = ops.as_index(ops.clamp_min(ops.as_float(slots), 0))
        images = ops.as_index(ops.quotient(ops.as_float(rows), proposals.shape[1]))
        boxes = ops.take_rows(proposals.reshape(-1, 4), rows)
        positive = ops.take_rows((kinds > 0).reshape(-1), rows)
        matched = ops.take_rows(ops.take(objects, index).reshape(-1, 4), rows)
        classes = ops.take_rows(ops.take(labels, index).reshape(-1), rows)
        columns = self.columns(classes * ops.as_index(positive))
        scores, deltas = self.predict(features, boxes, images, choices, "roi_levels")
        count = ops.clamp_min(weight.sum(), 1)
        chosen = ops.one_hot(columns, self.classes, scores)
        loss_classifier = (self.negative_log(scores, chosen) * weight).sum() / count
        if deltas is None:
            return loss_classifier, None
        goal = self.coder.encode_positive(matched, boxes, positive)
        deltas = (deltas * chosen[:, :, None]).sum(1)
        regression = box_loss(deltas, goal, self.config.box_loss) * ops.cast(positive, deltas)
        return loss_classifier, (regression * weight).sum() / count

    def negative_log(self, scores, chosen):
        """-log of the chosen class's probability, [R, K] and one-hot [R, K] -> [R]."""
        if not self.config.class_loss_eps:
            return -(ops.log_softmax(scores, 1) * chosen).sum(1)
        probability = (ops.softmax(scores, 1) * chosen).sum(1)
        return -(probability + ops.scalar(self.config.class_loss_eps, scores)).log()

    def detect(self, features, proposals, choices):
        """proposals [B, P, 4] -> probabilities [B, P, K] and boxes [B, P, K, 4], not clipped."""
        batch, count = proposals.shape[:2]
        boxes = proposals.reshape(-1, 4)
        images = ops.array(np.repeat(np.arange(batch, dtype=np.int32), count))
        scores, deltas = self.predict(features, boxes, images, choices, "detection_levels")
        probabilities = ops.softmax(scores, 1).reshape(batch, count, self.classes)
        if deltas is None:
            decoded = ops.expand(boxes[:, None], boxes.shape[0], self.classes, 4)
        else:
            decoded = self.coder.decode(deltas, boxes[:, None])
        return probabilities, decoded.reshape(batch, count, self.classes, 4)
