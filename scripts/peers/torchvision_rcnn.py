"""torchvision's Faster R-CNN with a ResNet and an FPN, as fasterrcnn_resnet50_fpn builds it for its weights."""

from __future__ import annotations

from functools import partial

import torch
import torchvision
from torch import nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone

from neutral.data.batching import Batch
from scripts.peers.torch_peer import TorchPeer

STAGES = 5


class Model(TorchPeer):
    version = f"torchvision {torchvision.__version__}"

    def build(self) -> nn.Module:
        config = self.config.model
        proposals, detections = config.rpn.proposals, config.roi.detections
        backbone = resnet_fpn_backbone(
            backbone_name=config.backbone.name,
            weights=None,
            norm_layer=partial(torchvision.ops.FrozenBatchNorm2d, eps=config.backbone.norm_eps),
            trainable_layers=STAGES - config.backbone.frozen_stages,
        )
        model = FasterRCNN(
            backbone,
            config.num_classes,
            image_mean=[0.0] * 3,  # the batches are normalised already
            image_std=[1.0] * 3,
            rpn_pre_nms_top_n_train=proposals.pre_nms_train,
            rpn_pre_nms_top_n_test=proposals.pre_nms_test,
            rpn_post_nms_top_n_train=proposals.post_nms_train,
            rpn_post_nms_top_n_test=proposals.post_nms_test,
            box_batch_size_per_image=config.roi.sampler.count,
            box_score_thresh=detections.score_threshold,
            box_detections_per_img=detections.max_count,
        )
        # the batches have the size that all systems get; its own way to leave it is for training alone
        model.transform.resize = lambda image, target=None: (image, target)
        self.box_head = model.roi_heads.box_head
        return model

    def images(self, batch: Batch) -> list[torch.Tensor]:
        """Without the padding, which the model adds itself."""
        sizes = [target.size for target in batch.targets]
        return [self.tensor(x[:, :h, :w]) for x, (h, w) in zip(batch.images, sizes, strict=True)]

    def losses(self, batch: Batch) -> torch.Tensor:
        targets = [
            {"boxes": self.tensor(t.boxes), "labels": self.tensor(t.labels)} for t in batch.targets
        ]
        return sum(self.model(self.images(batch), targets).values())

    def scores(self, batch: Batch) -> list[torch.Tensor]:
        return [found["scores"] for found in self.model(self.images(batch))]
