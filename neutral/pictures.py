"""Boxes, labels and attention drawn on images with Pillow."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from PIL import Image, ImageDraw, PngImagePlugin

from door.display import plain
from door.files import regular, replacing
from neutral.fonts import SIZE, font_for
from neutral.panoptic import OFFSET

READABLE = 300  # pixels of the short side
GREEN, YELLOW, BLUE, RED, GREY = "#2ecc40", "#ffdc00", "#4c9aff", "#ff4136", "#bbbbbb"


@dataclass(frozen=True)
class Mark:
    """A box, xyxy pixels, in a colour, with words above it."""

    box: np.ndarray
    colour: str
    text: str = ""
    width: int = 2


def draw(image: Image.Image, marks: list[Mark]) -> Image.Image:
    """The image with the marks on it, the first ones lowest; small ones are enlarged so that words can be read."""
    scale = max(1, -(-READABLE // min(image.size)))
    size = (image.width * scale, image.height * scale)
    picture = image.convert("RGB").resize(size, Image.Resampling.BILINEAR)
    pen = ImageDraw.Draw(picture)
    for mark in marks:
        left, top, right, bottom = (float(v) * scale for v in mark.box)
        box = [min(left, right), min(top, bottom), max(left, right), max(top, bottom)]
        pen.rectangle(box, outline=mark.colour, width=mark.width)
        if text := plain(mark.text):
            font = font_for(text)
            x = max(min(left, picture.width - pen.textlength(text, font=font) - 2), 0)
            y = max(top - SIZE - 2, 0)
            pen.rectangle(pen.textbbox((x + 1, y), text, font=font), fill=mark.colour)
            pen.text((x + 1, y), text, fill="black", font=font)
    return picture


def detection_marks(
    found: dict[str, np.ndarray], names: dict[int, str], threshold: float, colours=None
) -> list[Mark]:
    """Detections (scores, labels, boxes) of at least `threshold`, the best on top; a colour for each, or green."""
    marks = []
    for k in np.argsort(found["scores"], kind="stable"):
        score, label = float(found["scores"][k]), int(found["labels"][k])
        if score >= threshold:
            colour = GREEN if colours is None else colours[k]
            text = f"{names.get(label, f'class {label}')} {score:.2f}"
            marks.append(Mark(found["boxes"][k], colour, text))
    return marks


def cover(image: Image.Image, found: dict, threshold: float) -> Image.Image:
    """The image with the masks (bool [N, H, W]), if there are any, of detections of at least `threshold` on it."""
    pixels = np.asarray(image.convert("RGB"), dtype=float) / 255
    for k, mask in enumerate(found.get("masks", ())):
        if found["scores"][k] >= threshold:
            pixels[mask] = 0.5 * pixels[mask] + 0.5 * np.array(colormaps["tab20"](k % 20)[:3])
    return Image.fromarray((pixels * 255).astype(np.uint8))


def paint_segments(image: Image.Image, prediction: np.ndarray) -> Image.Image:
    """The image in the colours of its segments (neutral/panoptic.py), dark where there is none."""
    colours = colormaps["tab20"](prediction % OFFSET % 20)[..., :3] * (prediction >= 0)[..., None]
    mixed = 0.4 * np.asarray(image.convert("RGB"), dtype=float) / 255 + 0.6 * colours
    return Image.fromarray((mixed * 255).astype(np.uint8))


def beside(pictures: list[tuple[str, Image.Image]]) -> Image.Image:
    """Pictures of the same height next to each other, each under its title."""
    bar = 16
    height = max(p.height for _, p in pictures) + bar
    sheet = Image.new("RGB", (sum(p.width for _, p in pictures) + 4 * (len(pictures) - 1), height))
    pen, left = ImageDraw.Draw(sheet), 0
    for title, picture in pictures:
        pen.text((left + 3, 1), plain(title), fill="white", font=font_for(plain(title)))
        sheet.paste(picture, (left, bar))
        left += picture.width + 4
    return sheet


def rows(pictures: list[Image.Image], columns: int) -> Image.Image:
    """Pictures of one size in a grid."""
    width, height = pictures[0].size
    sheet = Image.new(
        "RGB", (width * min(columns, len(pictures)), height * -(-len(pictures) // columns))
    )
    for k, picture in enumerate(pictures):
        sheet.paste(picture, (k % columns * width, k // columns * height))
    return sheet


def heat(image: Image.Image, weights: np.ndarray) -> Image.Image:
    """The image under a map of weights [H, W] >= 0 of any size, the greatest brightest."""
    shares = weights / max(float(weights.max()), 1e-12)
    shares = Image.fromarray((shares * 255).astype(np.uint8)).resize(
        image.size, Image.Resampling.BILINEAR
    )
    colours = colormaps["inferno"](np.asarray(shares) / 255.0)[..., :3]
    mixed = 0.45 * np.asarray(image.convert("RGB"), dtype=float) / 255 + 0.55 * colours
    return Image.fromarray((mixed * 255).astype(np.uint8))


OURS = "detector-parity"  # what a PNG file that is written here says of its origin


def save(picture: Image.Image, path: Path) -> Path:
    mark = PngImagePlugin.PngInfo()
    mark.add_text("Software", OURS)
    with replacing(path) as temporary:
        picture.save(temporary, format="PNG", pnginfo=mark)
    return path


def is_ours(path: Path) -> bool:
    """Whether `save` wrote the file."""
    try:
        with Image.open(regular(path)) as image:
            return image.format == "PNG" and image.info.get("Software") == OURS
    except (OSError, SyntaxError, ValueError):
        return False
