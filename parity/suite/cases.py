"""What the suite runs: the table of its cases."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from parity.suite.detector_case import COCO_MINI, SHARED, DetectorCase, sizes

EXAMPLE = (
    Path(__file__).resolve().parent.parent.parent / "docs" / "example_pair.py"
)  # a pair of modules
GOLDEN = SHARED / "golden"


SCENES = (0, 8, 20)  # six objects and occlusion, a crowd, an empty image
FEW_SCENES = (
    "data.scenes.train_images=800"  # those of the training are drawn, too, but not looked at
)
# the small DETR as DETR is: normalised behind its blocks, a map at stride 32
POST_NORM = (
    FEW_SCENES,
    "model.transformer.pre_norm=false",
    "model.backbone.layer4_stride=2",
    "optimiser.lr=2e-4",
    "optimiser.lr_backbone=2e-4",
    "optimiser.warmup_steps=0",
)
MASKS = (
    "model.masks.enabled=true",
    "model.masks.norm_groups=4",
    "model.masks.panoptic=true",
    "model.masks.panoptic_threshold=0",
    "model.masks.things_below=3",
)
CASES = (
    DetectorCase("scenes_detr on scenes", "scenes_detr", POST_NORM, SCENES),
    DetectorCase(
        "scenes_detr with dropout from shared streams",
        "scenes_detr",
        (*POST_NORM, "model.transformer.dropout=0.1"),
        SCENES,
        float32=False,
        dropout_step=3,
    ),
    DetectorCase(
        "pre-norm, learned positions, no auxiliary losses",
        "scenes_detr",
        (FEW_SCENES, "model.position.kind=learned", "model.aux_loss=false"),
        SCENES,
    ),
    DetectorCase("scenes_detr with masks", "scenes_detr", (*POST_NORM, *MASKS), SCENES),
    DetectorCase("detr_r101_dc5 on scenes", "detr_r101_dc5", sizes(64, 80), (0, 1), float32=False),
    DetectorCase(
        "detr_r50 on coco_mini, short side 96", "detr_r50", sizes(96, 144), (0, 7), data=COCO_MINI
    ),
    DetectorCase(
        "detr_r50 on coco_mini, short side 192",
        "detr_r50",
        sizes(192, 256),
        (3, 12),
        float64=False,
        data=COCO_MINI,
    ),
)

# Faster R-CNN: whole backbones and heads on a small image, few regions, anchors to fit; VGG16's
# fully connected layers narrower, as a float64 gradient of 100 million weights tells nothing more
FEW = (
    "model.rpn.proposals.post_nms_train=24",
    "model.rpn.proposals.post_nms_test=4",
    "model.roi.sampler.count=6",
    "model.roi.detections.score_threshold=0.01",
)
NARROW = ("model.roi.hidden=256",)
AREAS = ("model.rpn.anchors.sizes=256,1024,4096",)
STRIDES = ("model.rpn.anchors.sizes=1,2,4",)
SMALL = sizes(80, 100)
TWO = (0, 20)  # six objects, none
C4 = ("model.fpn.channels=0", "model.rpn.proposals.per_level=false", *STRIDES)
# without objects among the proposals, random weights propose nothing that overlaps one by half
LOW_BAR = ("model.roi.labels.positive=0.1", "model.roi.labels.negative=0.1")
LIKE_TF = (
    *LOW_BAR,
    "model.pixel_offset=1",
    "model.rpn.scores=softmax",
    "model.rpn.softmax_layout=class_major",
    "model.rpn.inside_strict=true",
    "model.rpn.train_inside_only=true",
    "model.rpn.anchors.rounding=window",
    "model.rpn.proposals.test_mode=top",
    "model.rpn.proposals.top_count=40",
    "model.roi.pool=crop_and_resize",
    "model.roi.append_gt=false",
    "model.roi.sampler.refill=true",
    "model.roi.dropout=0.3",
    "model.roi.coder.scale=0.1,0.1,0.2,0.2",
    "model.roi.coder.scale_is=stds",
    "model.roi.detections.score_threshold=0",
)
LIKE_TRZY = (
    "model.rpn.coder.clamp=0.2",
    "model.box_order=yx",
    "model.background=last",
    "model.rpn.channels=24",
    "model.rpn.anchors.order=size_major",
    "model.rpn.scores=softmax",
    "model.rpn.proposals.min_size=4",
    "model.rpn.proposals.min_size_scaled=true",
    "model.rpn.proposals.filter_first=true",
    "model.rpn.proposals.inside_only=true",
    "model.roi.head=layer4",
    "model.roi.layer4_pool=max",
    "model.roi.pool=roi_pool",
    "model.roi.background_slot=false",
    "model.roi.class_loss_eps=1e-7",
    "model.roi.sampler.fraction_of=available",
    "model.roi.sampler.rounding=round",
    "model.roi.box_loss.kind=l1",
    "model.backbone.stride_on=1x1",
    "model.roi.detections.score_threshold=0.01",
)
CAFFE_SCALE = ("transform.std=60,60,60",)  # random weights on values up to 150 saturate every logit
VGG = {"full": True, "padded": False}
FASTER_RCNN = (
    DetectorCase("scenes_frcnn on scenes", "scenes_frcnn", ("optimiser.kind=sgd",), SCENES),
    DetectorCase("one map, as tf", "scenes_frcnn", (*C4, *LIKE_TF), SCENES, dropout_step=3),
    DetectorCase("one map, as trzy", "scenes_frcnn", (*C4, *LIKE_TRZY), SCENES),
    DetectorCase(
        "torchvision_r50_fpn",
        "torchvision_r50_fpn",
        (*SMALL, *FEW, "model.rpn.anchors.sizes=16;32;64;96;128"),
        TWO,
    ),
    DetectorCase(
        "a5_fpn",
        "a5_fpn",
        (*SMALL, *FEW, "model.rpn.proposals.min_size=4", "model.rpn.anchors.sizes=3;3;2"),
        TWO,
    ),
    DetectorCase("tf_mobile", "tf_mobile", (*SMALL, *FEW, *STRIDES, *CAFFE_SCALE, *LOW_BAR), TWO),
    DetectorCase("trzy_resnet50", "trzy_resnet50", (*SMALL, *FEW, *AREAS), TWO),
    DetectorCase("trzy_vgg16", "trzy_vgg16", (*SMALL, *FEW, *AREAS, *NARROW), TWO, **VGG),
    DetectorCase("trzy_resnet101", "trzy_resnet101", (*SMALL, *FEW, *AREAS), TWO, full=True),
    DetectorCase("trzy_resnet152", "trzy_resnet152", (*SMALL, *FEW, *AREAS), TWO, full=True),
    DetectorCase("simple_vgg16", "simple_vgg16", (*SMALL, *FEW, *STRIDES, *NARROW), TWO, **VGG),
    DetectorCase(
        "tf_vgg16",
        "tf_vgg16",
        (*SMALL, *FEW, *STRIDES, *NARROW, *LOW_BAR),
        TWO,
        dropout_step=1,
        **VGG,
    ),
    DetectorCase(
        "tf_res50", "tf_res50", (*SMALL, *FEW, *STRIDES, *CAFFE_SCALE, *LOW_BAR), TWO, full=True
    ),
    DetectorCase(
        "tf_res101", "tf_res101", (*SMALL, *FEW, *STRIDES, *CAFFE_SCALE, *LOW_BAR), TWO, full=True
    ),
    DetectorCase(
        "tf_res152", "tf_res152", (*SMALL, *FEW, *STRIDES, *CAFFE_SCALE, *LOW_BAR), TWO, full=True
    ),
    DetectorCase(
        "d2_r50_fpn",
        "d2_r50_fpn",
        (*SMALL, *FEW, *CAFFE_SCALE, "model.rpn.anchors.sizes=16;32;64;96;128"),
        TWO,
        full=True,
    ),
    DetectorCase(
        "d2_r50_c4",
        "d2_r50_c4",
        (*SMALL, *FEW, *CAFFE_SCALE, "model.rpn.anchors.sizes=16,32,64"),
        TWO,
        full=True,
    ),
    DetectorCase(
        "torchvision_r50_fpn on coco_mini, short side 192",
        "torchvision_r50_fpn",
        (*sizes(192, 256), *FEW),
        (3, 12),
        float64=False,
        data=COCO_MINI,
        full=True,
    ),
)

# whole training steps, with everything that a step can have
STEPPING = {
    "scenes_detr": DetectorCase(
        "scenes_detr, steps",
        "scenes_detr",
        (
            *POST_NORM,
            "model.transformer.dropout=0.1",
            "optimiser.warmup_steps=3",
            "optimiser.accumulate=2",
            "optimiser.lr_milestones=5",
        ),
        SCENES,
        dropout_step=0,
    ),
    "scenes_frcnn": DetectorCase(
        "scenes_frcnn, steps",
        "scenes_frcnn",
        (
            "optimiser.kind=sgd",
            "optimiser.lr=1e-3",
            "optimiser.warmup_steps=3",
            "optimiser.accumulate=2",
            "optimiser.lr_milestones=5",
            "optimiser.bias_lr_factor=2",
            "optimiser.bias_decay=false",
        ),
        SCENES,
    ),
}

# steps of two ranks with different numbers of objects: one has a crowd, the other an empty image
RANKED = {
    name: replace(
        STEPPING[name],
        name=f"{name}, two ranks",
        overrides=(*STEPPING[name].overrides, "optimiser.accumulate=1"),
        images=(0, 20, 8, 3),
    )
    for name in STEPPING
}

OVERFITTED_IMAGES = 4
# steps and rate at which PyTorch learns four scenes by heart: AP about 0.7 and more
OVERFITTING = {"scenes_detr": (150, 5e-4), "scenes_frcnn": (80, 2e-3)}
