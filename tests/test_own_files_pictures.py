"""Pictures as cameras, scanners and microscopes write them, of every shape, and what is written on them."""

from __future__ import annotations

import os

import numpy as np
import pytest
from PIL import Image

from door.randomness import stream
from neutral import fonts
from neutral.config import preset, with_overrides
from neutral.data.batching import make_batch, named
from neutral.data.categories import Categories
from neutral.data.coco import CocoDataset, Target
from neutral.data.images import ImageCache, is_image, load_image
from neutral.data.panoptic import read_segments
from neutral.data.transforms import MOST_PIXELS, resize, resized_size, train_transform
from neutral.errors import InputError
from neutral.notes import Note
from neutral.pictures import Mark, draw
from scripts.photographs import find_files

RED, BLUE = (255, 0, 0), (0, 0, 255)


def halves(size=(40, 20)) -> Image.Image:
    """The left half red, the right half blue."""
    picture = Image.new("RGB", size, RED)
    picture.paste(BLUE, (size[0] // 2, 0, *size))
    return picture


@pytest.mark.parametrize(
    ("values", "mode"),
    [
        (np.linspace(0, 65535, 256), "uint16"),
        (np.linspace(0, 4095, 256), "uint16"),  # 12 bits in 16
        (np.linspace(-70000, 70000, 256), "int32"),
        (np.linspace(0, 1, 256), "float32"),
        (np.linspace(-3.5, 1e6, 256), "float32"),
    ],
)
def test_deep_grey_is_scaled_by_its_range(values, mode, tmp_path):
    path = tmp_path / "deep.tif"
    Image.fromarray(np.tile(values, (4, 1)).astype(mode)).save(path)
    with pytest.warns(Note, match=r"deep\.tif: grey values of more than 8 bits, scaled from"):
        pixels = np.asarray(load_image(path))
    assert pixels.shape == (4, 256, 3)
    assert np.abs(pixels[0, :, 0].astype(int) - np.arange(256)).max() <= 1


def test_grey_without_a_range(tmp_path):
    path = tmp_path / "flat.tif"
    for value, grey in ((np.uint16(0), 0), (np.float32(0.5), 128), (np.uint16(65535), 255)):
        Image.fromarray(np.full((4, 4), value)).save(path)
        assert np.asarray(load_image(path)).max() == grey
    holes = np.array([[0.0, 1.0], [np.nan, np.inf]], np.float32)
    Image.fromarray(holes).save(path)
    assert np.asarray(load_image(path))[..., 0].tolist() == [[0, 255], [0, 0]]
    Image.fromarray(np.linspace(0, 65535, 16).reshape(4, 4).astype("uint16")).save(
        tmp_path / "a.png"
    )
    assert 100 < np.asarray(load_image(tmp_path / "a.png")).mean() < 150


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr"])
def test_colours_of_every_kind(mode, tmp_path):
    suffix = {"CMYK": "jpg", "YCbCr": "jpg"}.get(mode, "png")
    halves().convert(mode).save(tmp_path / f"a.{suffix}")
    pixels = np.asarray(load_image(tmp_path / f"a.{suffix}"))
    assert pixels.shape == (20, 40, 3)
    if mode not in ("1", "L", "LA"):
        assert np.abs(pixels[10, 2].astype(int) - RED).max() < 12
        assert np.abs(pixels[10, 37].astype(int) - BLUE).max() < 12


def test_palettes_with_transparency_and_animations(tmp_path, recwarn):
    palette = halves().quantize(4)
    palette.save(tmp_path / "a.png", transparency=bytes([0, 128, 255, 255]))
    load_image(tmp_path / "a.png")
    assert not recwarn.list
    frames = [halves(), Image.new("RGB", (40, 20))]
    frames[0].save(tmp_path / "b.gif", save_all=True, append_images=frames[1:])
    with pytest.warns(Note, match="of its 2 frames the first is used"):
        pixels = np.asarray(load_image(tmp_path / "b.gif"))
    assert pixels[10, 2].tolist() == list(RED)
    assert load_image(tmp_path / "b.gif").size == (40, 20)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_exif_turns_what_people_see_and_nothing_else(orientation, suffix, tmp_path):
    from PIL import ImageOps

    path = tmp_path / f"a.{suffix}"
    exif = Image.Exif()
    exif[0x0112] = orientation
    halves().save(path, exif=exif, quality=95)
    assert load_image(path).size == (40, 20), "as stored, as annotations mean it"
    seen = load_image(path, upright=True)
    assert seen.size == ((20, 40) if orientation >= 5 else (40, 20))
    expected = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    assert np.array_equal(np.asarray(seen), np.asarray(expected))


def test_damaged_metadata_are_no_metadata(tmp_path):
    halves().save(tmp_path / "a.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")
    assert load_image(tmp_path / "a.jpg", upright=True).size == (40, 20)


def test_too_many_pixels(tmp_path):
    path = tmp_path / "huge.png"
    Image.new("1", (20000, 20000)).save(path)
    told = r"huge\.png: 20000 x 20000 pixels are more than 100,000,000.*--max-pixels 400000000"
    with pytest.raises(InputError, match=told):
        load_image(path)
    with pytest.raises(InputError, match="more than 100,000,000"):
        read_segments(path)
    halves().save(tmp_path / "a.png")
    with pytest.raises(InputError, match="--max-pixels 800"):
        load_image(tmp_path / "a.png", max_pixels=799)
    with pytest.raises(InputError, match="--max-pixels 800"):
        ImageCache(0, 799).get(tmp_path / "a.png")
    assert load_image(tmp_path / "a.png", max_pixels=800).size == (40, 20)


def test_content_decides_what_a_picture_is(tmp_path, monkeypatch):
    halves().save(tmp_path / "a", format="PNG")
    halves().save(tmp_path / "b.jpg", format="BMP")  # called otherwise than it is
    halves().save(tmp_path / ".c.png")
    halves().save(tmp_path / "d.ico")
    halves().save(tmp_path / "e.eps")
    (tmp_path / "._b.jpg").write_bytes(b"\0\5\x16\7")  # macOS leaves these
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "f.png").mkdir()
    (tmp_path / "g.jpeg").write_bytes(b"")  # its ending says that it should be one
    os.mkfifo(tmp_path / "pipe.png")
    found = find_files([str(tmp_path)])
    assert [p.name for p in found] == ["a", "b.jpg", "g.jpeg"]
    assert [p.name for p in find_files([str(tmp_path / "*")])] == ["a", "b.jpg", "g.jpeg"]
    assert [p.name for p in find_files([str(tmp_path / ".c.png")])] == [".c.png"]
    assert is_image(tmp_path / "a") and not is_image(tmp_path / "f.png")
    for name, message in (("e.eps", "not an image of the formats JPEG"), ("f.png", "is a folder")):
        with pytest.raises(InputError, match=rf"{name}.*{message}"):
            load_image(tmp_path / name)
    with pytest.raises(InputError, match=r"gone\.png: no such image"):
        load_image(tmp_path / "gone.png")
    whole = (tmp_path / "a").read_bytes()
    (tmp_path / "a").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="corrupt image"):
        load_image(tmp_path / "a")


# strips and specks


@pytest.mark.parametrize(
    ("size", "expected"),
    [  # round(1333 * 6 / 3000) = 3, and 3 * 3000 / 6; the others would be 0 high
        ((3000, 6), (1500, 3)),
        ((6, 3000), (3, 1500)),
        ((2000, 1), (2000, 1)),  # round(0.67)
        ((5000, 1), (1333, 1)),
        ((1, 5000), (1, 1333)),
        ((100000, 2), (1333, 1)),
        ((1, 1), (800, 800)),
    ],
)
def test_sizes_are_at_least_one_pixel(size, expected):
    assert resized_size(size, 800, 1333) == expected


def sample(size) -> tuple[Image.Image, Target]:
    boxes = np.array([[0, 0, *size]], np.float32)
    one = (np.array([1]), np.array([1.0], np.float32), 1, size[::-1], size[::-1])
    return Image.new("RGB", size), Target(boxes, *one)


@pytest.mark.parametrize("name", ["detr_r50", "simple_vgg16", "torchvision_r50_fpn"])
@pytest.mark.parametrize("size", [(3000, 6), (2000, 1), (1, 5000), (1, 1)])
def test_strips_can_be_trained_on(name, size):
    """Every draw of the augmentation, the crop of DETR's included."""
    config = preset(name)
    for k in range(6):
        image, target = sample(size)
        draws = stream(0, "strips", k)
        pixels, target = train_transform(image, target, config.transform, draws)
        batch = make_batch([(pixels, target)], config)
        least = 16 if name == "simple_vgg16" else 1
        assert min(pixels.shape[1:]) >= 1 and min(batch.images.shape[2:]) >= least
        assert pixels.shape[1] * pixels.shape[2] <= MOST_PIXELS
        assert target.size == pixels.shape[1:] and len(target.boxes) == 1


def test_a_picture_that_cannot_be_used_is_named(tmp_path, coco_folder):
    image, target = sample((20000, 1))
    with pytest.raises(InputError, match=r"photo\.png: 20000 x 1 .*resized to 12000000 x 600"):
        named(tmp_path / "photo.png", resize, image, target, 600)


@pytest.mark.parametrize("name", ["scenes_detr", "scenes_frcnn"])
def test_both_detectors_compute_on_a_strip(name):
    from neutral import parameters
    from neutral.data.transforms import val_transform
    from neutral.weights import initial_weights
    from torch_impl.session import Session

    config = with_overrides(preset(name), ["model.backbone.width=8"])
    session = Session(config)
    session.load(initial_weights(session.shapes(), config))
    rates = parameters.rates(session.trained_names(), config, 0)
    batch = make_batch([val_transform(*sample((3000, 6)), config.transform)], config)
    assert np.isfinite(session.detect(batch)[0]["boxes"]).all()
    assert np.isfinite(session.train_step(batch, 0, rates)["loss"])


# text


NAMES = ("猫", "犬", "ねこ", "いぬ", "고양이", "قطة", "كلب", "café", "cafe", "кот", "חתול", "🦄🦓")


def text_pixels(name: str) -> bytes:
    picture = draw(Image.new("RGB", (400, 300)), [Mark(np.array([20.0, 50, 200, 200]), RED, name)])
    return np.asarray(picture)[30:50, 20:200].tobytes()


@pytest.mark.parametrize("has_cjk", [True, False])
def test_no_two_names_look_alike(has_cjk, monkeypatch):
    """With whatever fonts this machine has, and with matplotlib's alone, which lacks Chinese."""
    if not has_cjk:
        monkeypatch.setattr(fonts, "files", lambda: iter([fonts.own()]))
    fonts.file_for.cache_clear()
    categories = Categories(dict(enumerate(NAMES, 1)), {k: k for k in range(1, len(NAMES) + 1)})
    shown = categories.drawable()
    assert len({text_pixels(name) for name in shown.values()}) == len(NAMES)
    assert shown[8] == "café" and shown[6] == "قطة"
    assert all(fonts.file_for(name) for name in shown.values())
    if not has_cjk:
        assert shown[1] == "id 1" and shown[2] == "id 2"
    fonts.file_for.cache_clear()


def test_what_cannot_be_drawn(tmp_path):
    for name in ("a\nb", "\x1b[31mred", "‮abc", "\x00", "\ud800", ""):
        shown = fonts.drawable(name, "id 3")
        assert shown and "\n" not in shown and "\x1b" not in shown
        draw(Image.new("RGB", (400, 300)), [Mark(np.array([1.0, 1, 50, 50]), RED, name)])


def test_masks_of_cmyk_and_data_sets_use_the_same_reader(coco_folder):
    root = coco_folder()
    Image.new("CMYK", (40, 30)).save(root / "val2017" / "1.jpg")
    (root / "val2017" / "1.jpg").rename(root / "val2017" / "1.png")
    assert CocoDataset.open(root, "val", 91)[0][0].mode == "RGB"
