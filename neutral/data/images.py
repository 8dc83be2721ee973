"""Pictures from files: formats by content, from a list of those wanted, whatever the file's name says.

Every picture becomes RGB of 8 bits. Grey ones of 16 or 32 bits and of floats are scaled by their own least and
greatest values, transparency is dropped (facebookresearch/detr: `convert("RGB")`), of several frames the first counts.
The pixels are as stored, which is what annotations mean; `upright` turns them as EXIF says, which is what people see.
"""

from __future__ import annotations

import threading
import warnings
from collections import OrderedDict
from pathlib import Path

import numpy as np
from PIL import (
    Image,
    MpoImagePlugin,  # noqa: F401  (of JPEG, cameras' files with a preview)
    TiffImagePlugin,  # noqa: F401  (Pillow knows a format when its module is there)
    UnidentifiedImageError,
    WebPImagePlugin,  # noqa: F401
)

from door.files import regular
from neutral.errors import InputError
from neutral.notes import say

FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF", "PPM")
MAX_PIXELS = 100_000_000
DEEP = ("I", "I;16", "I;16B", "I;16L", "I;16N", "F")  # one channel of more than 8 bits
ORIENTATION = 0x0112  # EXIF's tag, and what a viewer does for each of its values
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
Image.MAX_IMAGE_PIXELS = None  # the limit here is ours, with its own message
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")  # about metadata


def load_image(path: Path, upright: bool = False, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """The image as RGB; InputError names a file that is missing, no image, too large, or cut short."""
    try:
        with Image.open(regular(path), formats=FORMATS) as image:
            check_size(image.size, path, max_pixels)
            if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
                say(f"{path}: of its {image.n_frames} frames the first is used", "frames")
            picture = to_rgb(image, path)
            turn = TURNS.get(orientation(image)) if upright else None
            return picture if turn is None else picture.transpose(turn)
    except InputError:
        raise
    except Exception as error:  # Pillow raises what it likes
        raise InputError(f"{path}: {reason(error)}") from None


def reason(error: Exception) -> str:
    """Why an image could not be opened, and what to do."""
    if isinstance(error, FileNotFoundError):
        return "no such image"
    if isinstance(error, IsADirectoryError):
        return "is a folder, not an image"
    if isinstance(error, PermissionError):
        return "may not be read: change its permissions"
    if isinstance(error, UnidentifiedImageError):
        return f"not an image of the formats {', '.join(FORMATS)}; convert or remove it"
    return f"corrupt image ({error}); replace or remove it"


def orientation(image: Image.Image) -> int:
    """EXIF's, 1 where there is none or none that can be read. Pillow turns TIFF files itself."""
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except Exception:  # damaged metadata are no metadata
        return 1


def check_size(size: tuple[int, int], path: Path, max_pixels: int) -> None:
    """InputError for more pixels than `max_pixels`."""
    if size[0] * size[1] > max_pixels:
        raise InputError(
            f"{path}: {size[0]} x {size[1]} pixels are more than {max_pixels:,}; make it smaller, or raise the limit "
            f"with --max-pixels {size[0] * size[1]}"
        )


def to_rgb(image: Image.Image, path: Path) -> Image.Image:
    """Of 8 bits; grey pictures of more are scaled from their least to their greatest value."""
    if image.mode in DEEP:
        return scaled(np.asarray(image), path)
    if image.mode == "P" and "transparency" in image.info:
        return image.convert("RGBA").convert("RGB")
    try:
        return image.convert("RGB")
    except ValueError:
        raise InputError(f"{path}: is in {image.mode} colours; save it as RGB") from None


def scaled(values: np.ndarray, path: Path) -> Image.Image:
    """Grey values [H, W] of any type -> RGB. What is not finite becomes black, a picture of one value stays so."""
    values = values.astype(np.float64)
    finite = np.isfinite(values)
    low, high = (float(f(values[finite])) if finite.any() else 0.0 for f in (np.min, np.max))
    if low == high:  # no range of its own: that of its type, or of what such files hold
        low, high = 0.0, next((top for top in (1.0, 255.0, 65535.0) if high <= top), high)
    say(
        f"{path}: grey values of more than 8 bits, scaled from {low:g} to {high:g} to black to white; "
        "others like it are scaled by their own",
        "grey",
    )
    shares = np.where(finite, np.clip((values - low) / (high - low), 0, 1), 0)
    grey = Image.fromarray(np.rint(shares * 255).astype(np.uint8))
    return grey.convert("RGB")


def stored_size(path: Path) -> tuple[int, int]:
    """(width, height) from the file's header; InputError as load_image."""
    try:
        with Image.open(regular(path), formats=FORMATS) as image:
            return image.size
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{path}: {reason(error)}") from None


def is_turned(path: Path) -> bool:
    """Whether its EXIF says that a viewer swaps width and height."""
    with Image.open(path, formats=FORMATS) as image:
        return orientation(image) >= 5


def is_image(path: Path) -> bool:
    """Whether a file's content begins as that of an image; hidden files and folders are none."""
    if path.name.startswith(".") or not path.is_file():
        return False
    try:
        with Image.open(path, formats=FORMATS):
            return True
    except Exception:
        return False


class ImageCache:
    """Decoded images by path, `limit_mib` of pixels at most: the longest unused is dropped. Safe between threads.

    No image has more than `max_pixels`.
    """

    def __init__(self, limit_mib: float = 0, max_pixels: int = MAX_PIXELS):
        self.limit = limit_mib * 2**20
        self.max_pixels = max_pixels
        self.images: OrderedDict[Path, Image.Image] = OrderedDict()
        self.size = 0
        self.lock = threading.Lock()

    def get(self, path: Path) -> Image.Image:
        """The image, from memory or, as `load_image`, from its file."""
        with self.lock:
            if path in self.images:
                self.images.move_to_end(path)
                return self.images[path]
        image = load_image(path, max_pixels=self.max_pixels)
        with self.lock:
            if path not in self.images and _bytes(image) <= self.limit:
                self.images[path] = image
                self.size += _bytes(image)
                while self.size > self.limit:
                    self.size -= _bytes(self.images.popitem(last=False)[1])
        return image


def _bytes(image: Image.Image) -> int:
    return image.width * image.height * len(image.getbands())
