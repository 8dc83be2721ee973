"""What mutants that nobody wrote found untested, of values that no check compares (docs/breeding.md)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from door.randomness import stream
from neutral.config import preset, with_overrides
from neutral.data import annotations, batching, open_dataset, transforms
from neutral.data.coco import CocoDataset
from neutral.data.masks import _outline, decode_masks, packed_total
from neutral.data.transforms import val_transform
from neutral.errors import InputError
from neutral.randomness import Draws
from neutral.weights import initial_weights
from neutral.weights.layout import canonical_shapes
from parity.suite.mutants import experiments
from torch_impl import ops, runtime

SMALL = 1 << 14  # values of a tensor


LEARNED = replace(experiments.DETR, overrides=("model.position.kind=learned",))


@pytest.mark.parametrize(
    "case",
    [
        *(experiments.DETR, experiments.SEGMENTING, LEARNED),
        *(experiments.RCNN, experiments.MOBILENET),
    ],
)
def test_every_initial_value_is_float32(case):
    config = case.config()
    shapes = canonical_shapes(config)
    small = [key for key, shape in shapes.items() if np.prod(shape) < SMALL]
    found = initial_weights(shapes, config, small)
    assert found.keys() == set(small)
    assert {str(x.dtype) for x in found.values()} == {"float32"}


@pytest.mark.parametrize("switch", ["matmul", "cudnn"])
def test_one_switch_of_tf32_is_enough_to_tell_it(switch):
    places = {"matmul": torch.backends.cuda.matmul, "cudnn": torch.backends.cudnn}
    before = {name: place.allow_tf32 for name, place in places.items()}
    try:
        for place in places.values():
            place.allow_tf32 = False
        assert runtime.describe()["tf32"] is False
        places[switch].allow_tf32 = True
        assert runtime.describe()["tf32"] is True
    finally:
        for name, place in places.items():
            place.allow_tf32 = before[name]


def test_draws_begin_with_the_first_step():
    new, begun = Draws(3), Draws(3)
    begun.begin_step(0)
    first = new.uniform("site", (4,))
    assert (first == begun.uniform("site", (4,))).all()
    assert (first != new.uniform("site", (4,))).any()  # the second call of a step


def test_draws_are_those_of_the_first_rank_where_none_is_told():
    found = [Draws(3, *rank).uniform("site", (4,)).tolist() for rank in ((), (0,), (1,))]
    assert found[0] == found[1] != found[2]


class Pictures:
    """A dataset of two images; the second cannot be transformed."""

    images = ({"file_name": "good.png"}, {"file_name": "bad.png"})

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return np.zeros((3, 8, 8), np.float32), SimpleNamespace(image_id=index)

    def path(self, image):
        return f"folder/{image['file_name']}"


def test_an_image_that_cannot_be_transformed_is_told_by_its_file(monkeypatch):
    def transform(image, target, *_):
        if target.image_id == 1:
            raise InputError("too thin")
        return image, target

    monkeypatch.setattr(batching, "train_transform", transform)
    config = with_overrides(preset("scenes_detr"), ["optimiser.batch_size=2"])
    with pytest.raises(InputError, match=r"^folder/bad\.png: too thin$"):
        list(batching.train_batches(Pictures(), config, 0))


def test_what_data_hands_out_has_its_dtypes_without_objects_too(tiny_config, tmp_path):
    config = with_overrides(tiny_config, ["data.scenes.val_images=24"])
    dataset = open_dataset(config, "val", tmp_path)
    assert isinstance(dataset, CocoDataset)
    found = [val_transform(*dataset[k], config.transform) for k in range(len(dataset))]
    assert {len(target.labels) > 0 for _, target in found} == {True, False}
    for image, target in found:
        kinds = [str(x.dtype) for x in (image, target.boxes, target.labels)]
        assert kinds == ["float32", "float32", "int64"]


@pytest.mark.parametrize("bad", ["/", "!", "p", "é"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_character_that_no_packed_code_has_is_enough(bad, place):
    code = "".join(chr(48 + count) for count in (7, 9, 4))
    assert packed_total(code) == 20
    assert packed_total(code[:place] + bad + code[place + 1 :]) is None


def test_a_key_that_is_the_rate_in_float32_is_kept(monkeypatch):
    keys = np.full((2,), 0.7, np.float32)  # less than 0.7 in float64
    monkeypatch.setattr(Draws, "uniform", lambda self, site, shape: keys)
    assert Draws(0).keep("site", (2,), 0.7).all()


def test_named_sets_are_looked_for_below_the_root():
    root = Path("root")
    found = annotations.locate_coco(root, "train", ["minival2014", "train2014"])
    assert found == [annotations.locate_set(root, name) for name in ("minival2014", "train2014")]
    assert all(file.is_relative_to(root) for file, _ in found)


def test_polygons_may_reach_as_far_as_twice_the_longer_side():
    def decoded(far: float):
        polygon = [[0, 0, far, 0, far, far]]
        return decode_masks([{"id": 1, "image_id": 2, "segmentation": polygon}], 5, 6)

    assert decoded(12).any()
    with pytest.raises(InputError, match="far outside"):
        decoded(12.5)


def test_a_strip_is_resized_within_the_memory_before_it_is_cropped(monkeypatch):
    def resize(image, target, short, longest):
        raise LookupError(short, longest)

    monkeypatch.setattr(transforms, "resize", resize)
    config = with_overrides(preset("scenes_detr"), ["transform.crop_probability=1"]).transform
    config = replace(config, flip_probability=0)
    with pytest.raises(LookupError) as caught:
        transforms.train_transform(None, None, config, stream(0, "test"))
    short, longest = caught.value.args
    assert short * longest <= transforms.MOST_PIXELS < short * (longest + 1)


def test_categories_of_one_name_are_told_apart():
    titles = CocoDataset.titles.fget(SimpleNamespace(categories={1: "cat", 2: "cat", 3: "dog"}))
    assert titles == {1: "cat (id 1)", 2: "cat (id 2)", 3: "dog"}


@pytest.mark.parametrize("seed", range(5))
def test_an_outline_is_as_long_as_its_sides(seed):
    corners = np.random.default_rng(seed).integers(-9, 9, (3 + seed, 2)).tolist()
    sides = zip(corners, corners[1:] + corners[:1], strict=True)
    length = sum(max(abs(a[0] - b[0]), abs(a[1] - b[1])) for a, b in sides)
    assert _outline([x for corner in corners for x in corner]) == length


def test_what_surrounds_a_module_twice_is_undone_in_turn():
    module = torch.nn.Identity()
    first = ops.surround(module, lambda inner: lambda x: inner(x) + 1)
    second = ops.surround(module, lambda inner: lambda x: inner(x) * 2)
    assert module(3) == 8
    second()
    assert module(3) == 4
    first()
    assert module(3) == 3 and "forward" not in vars(module)


def test_no_more_batches_wait_than_two_for_each_worker(monkeypatch):
    begun = []

    class Counted(batching.ThreadPoolExecutor):
        def submit(self, make, start):
            begun.append(start)
            return super().submit(make, start)

    monkeypatch.setattr(batching, "ThreadPoolExecutor", Counted)
    found = batching.ahead(lambda start: start * 10, range(9), 2)
    for taken in range(9):
        assert next(found) == taken * 10
        assert begun == list(range(min(9, taken + 1 + 2 * batching.AHEAD)))


def test_the_least_numbers_are_kept():
    least, bits = torch.full((1,), 2.0**-130), torch.int32  # whose half float32 has, too
    if not torch.set_flush_denormal(True):
        pytest.skip("this CPU cannot flush them")
    try:
        assert (least * 0.5).view(bits) == 0
        runtime.configure("cpu", "float32")
        assert (least * 0.5).view(bits) == 1 << (149 - 131)
    finally:
        torch.set_flush_denormal(False)
