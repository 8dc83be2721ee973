"""DETR's segmentation head and its losses: attention maps of the queries, refined by the backbone's finer maps.

Follows facebookresearch/detr models/segmentation.py and models/detr.py:164-192, with its state-dict names, but for
the prefix `detr.` that the rest of the model has there.

B batch, Q queries, N heads, D hidden dimension, S = h w cells of the coarsest map, M matched pairs.
"""

from __future__ import annotations

import numpy as np

from neutral.config import CriterionConfig, DetrConfig, TransformerConfig
from neutral.data.coco import Target
from torch_impl import ops
from torch_impl.backbones.resnet import GroupNorm, stage_channels
from torch_impl.runtime import nn


class AttentionMap(nn.Module):
    """Where each query looks in the encoded map: one softmax over the cells of all heads together."""

    def __init__(self, config: TransformerConfig):
        super().__init__()
        self.heads = config.heads
        self.width = config.hidden_dim // config.heads
        self.q_linear = nn.Linear(config.hidden_dim, config.hidden_dim)
        self.k_linear = nn.Linear(config.hidden_dim, config.hidden_dim)

    def forward(self, queries, memory, mask):
        """queries [B, Q, D], memory [S, B, D], mask bool [B, h, w] -> [B, Q, N, h, w]."""
        batch, count = queries.shape[0], queries.shape[1]
        q = self.q_linear(queries) * ops.scalar(self.width**-0.5, queries)
        k = self.k_linear(memory)
        q = ops.permute(q.reshape(batch, count, self.heads, self.width), 0, 2, 1, 3)
        k = ops.permute(k.reshape(k.shape[0], batch, self.heads, self.width), 1, 2, 3, 0)
        logits = q @ k + ops.attention_bias(mask.reshape(batch, -1), q)  # [B, N, Q, S]
        logits = ops.permute(logits, 0, 2, 1, 3).reshape(batch, count, -1)
        weights = ops.softmax(logits, 2)
        return weights.reshape(batch, count, self.heads, mask.shape[1], mask.shape[2])


class MaskHead(nn.Module):
    """Convolutions on the map and a query's attention; at every upsampling a finer map of the backbone is added."""

    def __init__(self, config: DetrConfig):
        super().__init__()
        dim, masks = config.transformer.hidden_dim, config.masks
        widths = [dim + config.transformer.heads, dim // 2, dim // 4, dim // 8, dim // 16]
        inputs = [widths[0], *widths[:4]]
        for k in range(5):
            setattr(self, f"lay{k + 1}", nn.Conv2d(inputs[k], widths[k], 3, 1, 1))
            setattr(self, f"gn{k + 1}", GroupNorm(widths[k], masks.norm_groups, masks.norm_eps))
        self.out_lay = nn.Conv2d(widths[4], 1, 3, 1, 1)
        for k in range(3):
            channels = stage_channels(config.backbone, 3 - k)
            setattr(self, f"adapter{k + 1}", nn.Conv2d(channels, widths[k + 1], 1))

    def forward(self, x, attention, finer):
        """x [B, D, h, w], attention [B, Q, N, h, w], finer: layer3 to layer1 -> logits [B, Q, H, W], as layer1."""
        count = attention.shape[1]
        attention = attention.reshape(-1, attention.shape[2], x.shape[2], x.shape[3])
        x = ops.cat([repeat(x, count), attention], 1)
        x = ops.relu(self.gn1(self.lay1(x)))
        x = ops.relu(self.gn2(self.lay2(x)))
        x = ops.relu(self.gn3(self.lay3(refine(x, self.adapter1(finer[0]), count))))
        x = ops.relu(self.gn4(self.lay4(refine(x, self.adapter2(finer[1]), count))))
        x = ops.relu(self.gn5(self.lay5(refine(x, self.adapter3(finer[2]), count))))
        x = self.out_lay(x)
        return x.reshape(-1, count, x.shape[2], x.shape[3])


def repeat(x, count: int):
    """[B, C, H, W] -> [B count, C, H, W], each map `count` times in a row."""
    size = tuple(x.shape)
    return ops.expand(x[:, None], size[0], count, *size[1:]).reshape(-1, *size[1:])


def refine(x, finer, count: int):
    """x [B count, C, h, w] at the size of finer [B, C, H, W], and that added."""
    return repeat(finer, count) + ops.upsample_nearest(x, finer.shape[2], finer.shape[3])


def focal_loss(logits, goal, num_boxes: float, config: CriterionConfig):
    """logits and goal (0 or 1) [M, P] -> scalar: the mean over an object's pixels, summed over the objects."""
    probability = ops.sigmoid(logits)
    loss = ops.softplus(logits) - logits * goal  # binary cross entropy
    wrong = probability * (1 - goal) + (1 - probability) * goal
    for _ in range(config.focal_gamma):
        loss = loss * wrong
    found, missed = (ops.scalar(x, logits) for x in (config.focal_alpha, 1 - config.focal_alpha))
    share = found * goal + missed * (1 - goal)
    return (share * loss).sum() / logits.shape[1] / num_boxes


def dice_loss(logits, goal, num_boxes: float, config: CriterionConfig):
    """logits and goal (0 or 1) [M, P] -> scalar: 1 - 2 |both| / (|found| + |goal|), summed over the objects."""
    probability = ops.sigmoid(logits)
    both, sizes = (probability * goal).sum(1), probability.sum(1) + goal.sum(1)
    smooth = ops.scalar(config.dice_smooth, both)
    # of one object these are scalars: beside a whole number Jittor's would be float32
    ratio = (both + both + smooth) / (sizes + smooth)
    return (ops.scalar(1, ratio) - ratio).sum() / num_boxes


def mask_losses(
    masks,
    targets: tuple[Target, ...],
    pairs: list[tuple[np.ndarray, np.ndarray]],
    num_boxes: float,
    config: CriterionConfig,
):
    """masks: logits [B, Q, h, w]; pairs as `match` gives them -> focal and dice losses, scalars.

    Predictions are resized to the images; beyond an image the goal is 0, as in the reference.
    """
    image = np.concatenate([np.full(len(q), i) for i, (q, _) in enumerate(pairs)]).astype(np.int64)
    if len(image) == 0:
        return masks.sum() * 0, masks.sum() * 0
    height, width = (max(t.size[axis] for t in targets) for axis in (0, 1))
    goal = np.zeros((len(image), height, width), dtype=np.float32)
    wanted = [mask for t, (_, j) in zip(targets, pairs) for mask in t.masks[j]]
    for k, mask in enumerate(wanted):
        goal[k, : mask.shape[0], : mask.shape[1]] = mask
    chosen = ops.gather_pairs(masks, image, np.concatenate([q for q, _ in pairs]))
    chosen = ops.resize_bilinear(chosen[:, None], height, width).reshape(len(image), -1)
    goal = ops.array(goal.reshape(len(image), -1), like=masks)
    return focal_loss(chosen, goal, num_boxes, config), dice_loss(chosen, goal, num_boxes, config)
