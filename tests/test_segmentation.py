"""DETR's masks: against Hugging Face's own model, in the data, in evaluation, and what is trained and loaded."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from door.files import write_json
from neutral.config import preset, with_overrides
from neutral.data import open_dataset
from neutral.data.masks import decode_masks, encode_mask
from neutral.data.transforms import crop, flip, resize
from neutral.errors import InputError
from neutral.evaluation import compact, evaluate, from_results, to_results
from neutral.parameters import MASK_HEAD, trainable
from neutral.weights.conversion import convert
from neutral.weights.layout import canonical_shapes
from neutral.weights.recognising import named_source
from neutral.weights.stored import in_memory
from parity.engine.judge.weights import drawn_weights
from tests.conversions import small_detr, there_and_back
from torch_impl import ops
from torch_impl.detr.segmentation import dice_loss, focal_loss
from torch_impl.session import Session

MASKS = ("model.masks.enabled=true", "model.transformer.hidden_dim=128")
SCENES = ("model.masks.enabled=true", "model.masks.norm_groups=4", "data.scenes.train_images=8")


def scenes_config(*overrides: str):
    return with_overrides(preset("scenes_detr"), [*SCENES, *overrides])


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    return open_dataset(scenes_config(), "val", tmp_path_factory.mktemp("scenes"))


def test_hugging_faces_model_makes_the_same_masks():
    """Its names, both ways, and its logits, boxes and masks."""
    transformers = pytest.importorskip("transformers")
    stages = [f"stage{k}" for k in range(1, 5)]
    backbone = transformers.ResNetConfig(
        embedding_size=64,
        hidden_sizes=[64, 128, 256, 512],
        depths=[2, 2, 2, 2],
        layer_type="basic",
        out_features=stages,
    )
    settings = {"encoder_layers": 2, "decoder_layers": 2, "d_model": 128, "dropout": 0.0}
    settings |= {f"{side}_ffn_dim": 96 for side in ("encoder", "decoder")}
    settings |= {f"{side}_attention_heads": 8 for side in ("encoder", "decoder")}
    theirs = transformers.DetrForSegmentation(
        transformers.DetrConfig(
            backbone_config=backbone,
            use_timm_backbone=False,
            use_pretrained_backbone=False,
            num_labels=91,
            attn_implementation="eager",
            **settings,
        )
    ).eval()
    shapes = {k: tuple(v.shape) for k, v in theirs.state_dict().items()}
    state = drawn_weights(shapes)
    theirs.load_state_dict({k: torch.from_numpy(np.asarray(v)) for k, v in state.items()})
    config = small_detr(*MASKS, "model.position.dtype=model")
    conversion = convert(in_memory("theirs", state), config)
    assert conversion.source.name == "DETR with masks (Hugging Face)"
    exported = {item.name for item in conversion.items(conversion.source)}
    assert exported == {k for k in state if "num_batches" not in k}
    session = Session(config, dtype="float64")
    session.load(conversion.weights())
    images = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 3, 64, 96)))
    with torch.no_grad():
        layers, masks = session.model(images, torch.zeros(2, 64, 96, dtype=torch.bool))
        found = theirs.double()(images, pixel_mask=torch.ones(2, 64, 96, dtype=torch.long))
    assert masks.shape == found.pred_masks.shape
    # its position encoding divides in another order
    assert torch.allclose(layers[-1][0], found.logits, rtol=0, atol=1e-6)
    assert torch.allclose(layers[-1][1], found.pred_boxes, rtol=0, atol=1e-6)
    assert torch.allclose(masks, found.pred_masks, rtol=0, atol=1e-5)
    session = Session(small_detr(), dtype="float32")  # as it was for whoever comes next


@pytest.mark.parametrize(
    "source", ["DETR with masks (Hugging Face)", "DETR with masks (facebookresearch)"]
)
def test_weights_go_both_ways(source):
    config = small_detr(*MASKS)
    there_and_back(config, source, drawn_weights(canonical_shapes(config)))


def test_a_detector_becomes_a_segmenter_and_back():
    """`--frozen_weights`: the head begins anew; without masks in the configuration it is left out."""
    plain, masked = small_detr("model.transformer.hidden_dim=128"), small_detr(*MASKS)
    weights = drawn_weights(canonical_shapes(plain))
    conversion = convert(in_memory("detr", weights), masked)
    assert set(conversion.begun) == set(canonical_shapes(masked)) - set(weights)
    assert all(key.startswith(MASK_HEAD) for key in conversion.begun)
    begun = conversion.weights()
    assert (begun["mask_head.gn3.weight"] == 1).all() and not begun["mask_head.lay3.bias"].any()
    whole = drawn_weights(canonical_shapes(masked))
    back = convert(in_memory("own", whole), plain, named_source("detector-parity"))
    assert set(back.left_out) == set(whole) - set(weights)
    del whole["mask_head.lay1.weight"]
    with pytest.raises(InputError, match=r"nothing fills mask_head\.lay1\.weight"):
        convert(in_memory("own", whole), masked, named_source("detector-parity"))


def test_only_the_head_is_trained_when_the_rest_is_frozen():
    config = small_detr(*MASKS, "model.masks.freeze_detr=true")
    trained = trainable(canonical_shapes(config), config)
    assert trained == [k for k in canonical_shapes(config) if k.startswith(MASK_HEAD)]
    session = Session(config)
    assert session.shapes() == canonical_shapes(config)
    assert session.trained_names() == [k for k in session.shapes() if k in trained]


def test_masks_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="norm_groups=8 must divide"):
        with_overrides(preset("scenes_detr"), ["model.masks.enabled=true"])
    with pytest.raises(InputError, match="freeze_detr=true needs"):
        with_overrides(preset("detr_r50"), ["model.masks.freeze_detr=true"])
    with pytest.raises(InputError, match="needs COCO or scenes"):
        with_overrides(preset("detr_r50"), ["model.masks.enabled=true", "data.kind=voc"])


def touching(masks: np.ndarray) -> np.ndarray:
    """The boxes, xyxy, of masks [N, H, W]."""
    found = []
    for mask in masks:
        rows, columns = np.nonzero(mask)
        found.append([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
    return np.array(found, dtype=float).reshape(-1, 4)


def test_masks_go_with_their_boxes(scenes):
    """Read from the annotations, flipped, cut and resized, the objects' masks fill their boxes."""
    for index in range(len(scenes)):
        image, target = scenes[index]
        assert target.masks.shape == (len(target.labels), *target.size)
        assert np.array_equal(touching(target.masks), target.boxes)
        assert np.array_equal(target.masks.sum((1, 2)), target.area)
        image, target = flip(image, target)
        assert np.array_equal(touching(target.masks), target.boxes)
        width, height = image.size
        image, target = crop(image, target, 10, 20, height - 30, width - 40)
        target = target.select(target.masks.any((1, 2)))
        boxes = touching(target.masks)
        assert (boxes[:, :2] >= target.boxes[:, :2]).all()
        assert (boxes[:, 2:] <= target.boxes[:, 2:]).all()
        before = touching(target.masks)
        image, target = resize(image, target, 196)
        scale = np.array([*image.size, *image.size]) / ([width - 40, height - 30] * 2)
        assert np.abs(touching(target.masks) - before * scale).max(initial=0) <= scale.max()


def test_codes_and_polygons():
    mask = np.zeros((9, 12), dtype=bool)
    mask[2:5, 3:8] = True
    polygon = [[3, 2, 8, 2, 8, 5, 3, 5]]
    counts = [2 + 3 * 9, 3, 6, 3, 6, 3, 6, 3, 6, 3, 4 + 9 * 4]
    codes = (polygon, {"size": [9, 12], "counts": counts}, encode_mask(mask))
    found = decode_masks([{"segmentation": code} for code in codes], 9, 12)
    assert (found == mask).all()
    two = decode_masks([{"segmentation": [*polygon, [0, 0, 2, 0, 2, 1, 0, 1]]}], 9, 12)
    assert two.sum() == mask.sum() + 2


@pytest.mark.parametrize(
    "code",
    [[[1, 2]], [["a"] * 6], {"size": [9, 12]}, {"size": [4, 4], "counts": [16]}, {"counts": "x"}],
)
def test_a_code_that_is_no_mask_is_named(code):
    annotation = {"id": 7, "image_id": 3, "segmentation": code}
    with pytest.raises(InputError, match="annotation 7 of image 3: its segmentation is no mask"):
        decode_masks([annotation], 9, 12)


def test_the_data_sets_own_masks_score_one(scenes, tmp_path):
    """Through `compact`, a file of COCO results and pycocotools; boxes alone do not score."""
    found = {}
    for index in range(len(scenes)):
        _, target = scenes[index]
        scores = np.linspace(1, 0.5, len(target.labels))
        own = {"scores": scores, "labels": target.labels, "boxes": target.boxes.astype(float)}
        found[target.image_id] = compact(own | {"masks": target.masks})
    path = tmp_path / "found.json"
    write_json(path, to_results(scenes, found))
    again = from_results(scenes, path)
    for detections in (found, again):
        assert evaluate(scenes, detections, "segm")["AP"] == pytest.approx(1)
        assert evaluate(scenes, detections)["AP"] == pytest.approx(1)
    for detections in again.values():
        detections["masks"] = [
            encode_mask(~decode_masks([{"segmentation": code}], 128, 160)[0])
            for code in detections.get("masks", ())
        ]
    assert evaluate(scenes, again, "segm")["AP"] < 0.1


def test_losses_are_those_of_the_formulas():
    """Against binary cross entropy and counts, written out."""
    criterion = preset("detr_r50").model.criterion
    generator = np.random.default_rng(1)
    logits, goal = generator.normal(size=(3, 20)) * 30, generator.random((3, 20)) < 0.5
    p = 1 / (1 + np.exp(-logits))
    right = np.where(goal, p, 1 - p)
    cross_entropy = np.where(goal, np.logaddexp(0, -logits), np.logaddexp(0, logits))
    focal = np.where(goal, 0.25, 0.75) * (1 - right) ** 2 * cross_entropy
    dice = 1 - (2 * (p * goal).sum(1) + 1) / (p.sum(1) + goal.sum(1) + 1)
    given = ops.array(logits), ops.array(goal.astype(np.float64))
    assert float(focal_loss(*given, 2.0, criterion)) == pytest.approx(focal.mean(1).sum() / 2)
    assert float(dice_loss(*given, 2.0, criterion)) == pytest.approx(dice.sum() / 2)


def test_an_annotation_without_a_mask_is_named(scenes, tmp_path):
    import json
    import shutil

    shutil.copytree(scenes.root, tmp_path / "coco")
    path = tmp_path / "coco" / "annotations" / "instances_val2017.json"
    content = json.loads(path.read_text())
    del content["annotations"][3]["segmentation"]
    path.write_text(json.dumps(content))
    place = ["data.kind=coco", f"data.root={tmp_path / 'coco'}"]
    with pytest.raises(InputError, match="annotation 4 has no segmentation"):
        open_dataset(scenes_config(*place), "val")
    open_dataset(with_overrides(preset("scenes_detr"), place), "val")
