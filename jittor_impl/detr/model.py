"""DETR (Carion et al. 2020): backbone, transformer, class and box heads.

Follows facebookresearch/detr models/detr.py and backbone.py, with its state-dict names.

B batch, C classes (the last logit, index C, is "no object"), D hidden dimension, Q queries,
K decoder layers.
"""

from __future__ import annotations

from jittor_impl import ops
from jittor_impl.backbones.resnet import ResNet, stage_channels
from jittor_impl.detr.position_encoding import build_position_encoding
from jittor_impl.detr.segmentation import AttentionMap, MaskHead
from jittor_impl.detr.transformer import Transformer
from jittor_impl.runtime import nn
from neutral.config import BackboneConfig, DetrConfig


class Backbone(nn.Module):
    """The body's last feature map, the padding mask at its resolution, and the finer maps where they are wanted."""

    def __init__(self, config: BackboneConfig, finer: bool):
        super().__init__()
        self.body = ResNet(config, 1 if finer else 4, 4)

    def execute(self, images, mask):
        """images [B, 3, H, W], mask bool [B, H, W] -> features [B, C, h, w], mask bool [B, h, w], layer3 to layer1."""
        *finer, features = self.body(images)
        mask = ops.resize_mask(mask, features.shape[2], features.shape[3])
        return (features, mask, *finer[::-1])


class MLP(nn.Module):
    """Linear layers with ReLU between them."""

    def __init__(self, inputs: int, hidden: int, outputs: int, count: int):
        super().__init__()
        sizes = [inputs] + [hidden] * (count - 1) + [outputs]
        self.layers = nn.ModuleList([nn.Linear(sizes[i], sizes[i + 1]) for i in range(count)])

    def execute(self, x):
        for index, layer in enumerate(self.layers):
            x = layer(x) if index == 0 else layer(ops.relu(x))
        return x


class DETR(nn.Module):
    def __init__(self, config: DetrConfig):
        super().__init__()
        dim = config.transformer.hidden_dim
        self.aux_loss = config.aux_loss
        self.segments = config.masks.enabled
        self.transformer = Transformer(config.transformer, self.segments)
        self.class_embed = nn.Linear(dim, config.num_classes + 1)
        self.bbox_embed = MLP(dim, dim, 4, config.box_layers)
        self.query_embed = nn.Embedding(config.num_queries, dim)
        self.input_proj = nn.Conv2d(stage_channels(config.backbone, 4), dim, 1)
        position = build_position_encoding(config.position, dim)
        self.backbone = nn.Sequential(Backbone(config.backbone, self.segments), position)
        if self.segments:
            self.bbox_attention = AttentionMap(config.transformer)
            self.mask_head = MaskHead(config)

    def execute(self, images, mask):
        """images [B, 3, H, W], mask bool [B, H, W] -> (logits [B, Q, C + 1], boxes [B, Q, 4]) per layer.

        Boxes are relative cxcywh. The last decoder layer comes last; it is alone without aux_loss. With masks, a pair:
        these, and the logits of the masks [B, Q, H / 4, W / 4] of the last layer.
        """
        features, mask, *finer = self.backbone[0](images, mask)
        position = self.backbone[1](features, mask)
        projected = self.input_proj(features)
        decoded = self.transformer(projected, mask, self.query_embed.weight, position)
        if self.segments:
            decoded, memory = decoded
        logits = ops.full_precision(self.class_embed(decoded))
        boxes = ops.sigmoid(ops.full_precision(self.bbox_embed(decoded)))
        first = 0 if self.aux_loss else decoded.shape[0] - 1
        layers = [(logits[k], boxes[k]) for k in range(first, decoded.shape[0])]
        if not self.segments:
            return layers
        attention = self.bbox_attention(decoded[decoded.shape[0] - 1], memory, mask)
        return layers, ops.full_precision(self.mask_head(projected, attention, finer))
