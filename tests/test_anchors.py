"""Anchors in every convention, against the public systems' own numbers."""

from __future__ import annotations

import json

import numpy as np
import pytest
from torchvision.models.detection.anchor_utils import AnchorGenerator

from neutral.anchors import cell_anchors, centred_inside, grid_anchors, inside
from neutral.config import preset
from neutral.config.faster_rcnn import AnchorConfig


def test_py_faster_rcnns_windows():
    """The nine anchors that py-faster-rcnn's generate_anchors.py lists, around 7.5."""
    config = preset("tf_res101").model.rpn.anchors
    (anchors,) = grid_anchors(config, [(1, 1)], (16,))
    wanted = [
        *([-84, -40, 99, 55], [-176, -88, 191, 103], [-360, -184, 375, 199]),
        *([-56, -56, 71, 71], [-120, -120, 135, 135], [-248, -248, 263, 263]),
        *([-36, -80, 51, 95], [-80, -168, 95, 183], [-168, -344, 183, 359]),
    ]
    assert anchors.tolist() == wanted


def test_a5s_golden_vectors():
    """EECS 498 A5-2: a 2x2 grid of p5, stride 32, scale 2."""
    config = AnchorConfig(sizes=((2.0,),))
    (anchors,) = grid_anchors(config, [(2, 2)], (32,))
    first_cell = anchors.reshape(4, 3, 4)[0]
    assert np.allclose(first_cell[0], [-29.2548, -6.6274, 61.2548, 38.6274], atol=1e-4)
    assert first_cell[1].tolist() == [-16, -16, 48, 48]
    assert np.allclose(first_cell[2], [-6.6274, -29.2548, 38.6274, 61.2548], atol=1e-4)


def test_torchvisions_anchors():
    torch = pytest.importorskip("torch")
    generator = pytest.importorskip("torchvision").models.detection.anchor_utils.AnchorGenerator
    config = preset("torchvision_r50_fpn").model
    shapes = [
        (32, 40),
        (16, 20),
        (8, 10),
        (4, 5),
        (2, 3),
    ]  # of a 128 x 160 image; p6's stride is 53
    ours = grid_anchors(config.rpn.anchors, shapes, config.strides(), (128, 160))
    theirs = generator(config.rpn.anchors.sizes, (config.rpn.anchors.ratios,) * 5)
    images = torch.zeros(1, 3, 128, 160)
    maps = [torch.zeros(1, 1, *shape) for shape in shapes]
    wanted = theirs(type("ImageList", (), {"tensors": images, "image_sizes": [(128, 160)]})(), maps)
    assert np.array_equal(np.concatenate(ours), wanted[0].numpy())


@pytest.mark.parametrize("name", ["trzy_resnet50", "trzy_vgg16", "simple_vgg16"])
def test_the_golden_records_anchors(name, shared):
    with np.load(shared / "golden" / f"{name}.npz") as record:
        arrays = dict(record)
    height, width = json.loads((shared / "golden" / f"{name}.json").read_text())["image"][1:]
    config = preset(name).model.rpn.anchors
    (anchors,) = grid_anchors(config, [(height // 16, width // 16)], (16,))
    if name == "simple_vgg16":
        assert np.array_equal(anchors[:, [1, 0, 3, 2]], arrays["anchors_yxyx"])
        return
    centre, side = (anchors[:, :2] + anchors[:, 2:]) / 2, anchors[:, 2:] - anchors[:, :2]
    found = np.concatenate([centre[:, ::-1], side[:, ::-1]], axis=1)
    wanted = arrays["anchor_map_cy_cx_h_w"].reshape(-1, 4)
    assert np.allclose(found, wanted, rtol=1e-6, atol=1e-4)
    valid = inside(anchors, (height, width), strict=False)
    assert np.array_equal(valid, arrays["anchor_valid"].ravel().astype(bool))


def test_orders():
    sizes = ((10.0, 20.0),)
    ratio = cell_anchors(AnchorConfig(sizes=sizes, unit="pixels", ratios=(1.0, 4.0)), 0, 16)
    size = cell_anchors(
        AnchorConfig(sizes=sizes, unit="pixels", ratios=(1.0, 4.0), order="size_major"), 0, 16
    )
    # width is size / sqrt(ratio): 10, 20, then 5, 10
    assert (ratio[:, 2] * 2).tolist() == [10, 20, 5, 10]
    assert (size[:, 2] * 2).tolist() == [10, 5, 20, 10]


def test_borders():
    anchors = np.array(
        [[0, 0, 32, 24], [0, 0, 31, 23], [-1, 0, 5, 5], [24, 4, 40, 20]], dtype=np.float32
    )
    assert inside(anchors, (24, 32), strict=False).tolist() == [True, True, False, False]
    assert inside(anchors, (24, 32), strict=True).tolist() == [False, True, False, False]
    # the last one is centred on x = 32, the first pixel of the padding
    assert centred_inside(anchors, (24, 32)).tolist() == [True, True, True, False]


@pytest.mark.parametrize("ratio", [0.5, 2.0])
def test_corners_are_rounded_as_torchvision_rounds_them(ratio):
    """Halves between two pixels: products of more digits than float32 has would fall on the other side."""
    sizes = tuple(np.arange(300, 2000, 0.25).tolist())
    config = AnchorConfig(sizes=(sizes,), unit="pixels", ratios=(ratio,), rounding="corners")
    found = cell_anchors(config, 0, 16)
    expected = AnchorGenerator.generate_anchors(None, sizes, (ratio,)).numpy()
    np.testing.assert_array_equal(found, expected)
    root = np.sqrt(np.float32(ratio))
    for side, factor in ((2, np.float64(1 / root)), (3, np.float64(root))):
        assert (np.round(factor * np.array(sizes) / 2) != found[:, side]).any(), "no such half"


@pytest.mark.parametrize(
    ("unit", "rounding", "size", "stride", "side"),
    [
        ("strides", "none", 3.3, 12, np.float32(np.float64(3.3) * 12)),
        ("areas", "none", 1.1, 16, np.float32(np.sqrt(np.float64(1.1)))),
        ("pixels", "window", 100.3, 12, np.float32(12 * np.float64(100.3) / 12 - 1)),
    ],
)
def test_sizes_are_taken_with_all_their_digits(unit, rounding, size, stride, side):
    config = AnchorConfig(sizes=((size,),), unit=unit, ratios=(1.0,), rounding=rounding)
    assert cell_anchors(config, 0, stride)[0].tolist() == [-side / 2, -side / 2, side / 2, side / 2]


def test_windows_take_ratios_with_all_their_digits():
    """95 times 0.3 is a little less than a half of a pixel, times the float32 next to 0.3 a little more."""
    config = AnchorConfig(sizes=((52.0,),), unit="pixels", ratios=(0.3,), rounding="window")
    assert cell_anchors(config, 0, 52).tolist() == [[-47.0, -13.5, 47.0, 13.5]]
