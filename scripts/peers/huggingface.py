"""Hugging Face's DetrForObjectDetection, built from a configuration, with transformers' own ResNet inside.

Beside timm's, that ResNet would be frozen whole: transformers looks for names that only timm's has. Here the stages
that the recipe trains are trained (TorchPeer.name_trained).
"""

from __future__ import annotations

import torch
import transformers
from torch import nn

from neutral.config import RESNET_LAYOUTS
from neutral.data.batching import Batch
from scripts.peers.torch_peer import TorchPeer


class Model(TorchPeer):
    version = f"transformers {transformers.__version__}"

    def build(self) -> nn.Module:
        model = self.config.model
        kind, depths = RESNET_LAYOUTS[model.backbone.name]
        widths = [model.backbone.width * 2**k for k in range(4)]
        backbone = transformers.ResNetConfig(
            embedding_size=model.backbone.width,
            hidden_sizes=[4 * w for w in widths] if kind == "bottleneck" else widths,
            depths=list(depths),
            layer_type=kind,
            out_features=["stage4"],
        )
        t, weights, costs = model.transformer, model.criterion, model.matcher
        sides = {
            f"{side}_{name}": value
            for side in ("encoder", "decoder")
            for name, value in (("ffn_dim", t.feedforward_dim), ("attention_heads", t.heads))
        }
        settings = transformers.DetrConfig(
            backbone_config=backbone,
            num_labels=model.num_classes,
            num_queries=model.num_queries,
            d_model=t.hidden_dim,
            encoder_layers=t.encoder_layers,
            decoder_layers=t.decoder_layers,
            dropout=t.dropout,
            attention_dropout=t.dropout,  # as in facebookresearch/detr; transformers' own default is none
            activation_dropout=t.dropout,
            auxiliary_loss=model.aux_loss,
            class_cost=int(costs.cost_class),
            bbox_cost=int(costs.cost_bbox),
            giou_cost=int(costs.cost_giou),
            bbox_loss_coefficient=int(weights.loss_bbox),
            giou_loss_coefficient=int(weights.loss_giou),
            eos_coefficient=weights.eos_coef,
            **sides,
        )
        self.processor = transformers.DetrImageProcessor()
        return transformers.DetrForObjectDetection(settings)

    def inputs(self, batch: Batch) -> dict[str, torch.Tensor]:
        return {
            "pixel_values": self.tensor(batch.images),
            "pixel_mask": self.tensor(~batch.mask).long(),
        }

    def losses(self, batch: Batch) -> torch.Tensor:
        labels = [
            {"class_labels": self.tensor(t.labels), "boxes": self.tensor(t.boxes)}
            for t in batch.targets
        ]
        return self.model(**self.inputs(batch), labels=labels).loss

    def scores(self, batch: Batch) -> list[torch.Tensor]:
        outputs = self.model(**self.inputs(batch))
        sizes = [target.original_size for target in batch.targets]
        found = self.processor.post_process_object_detection(outputs, 0.0, sizes)
        return [image["scores"] for image in found]
