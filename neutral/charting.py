"""What all charts have in common: colours, text as it stands, files written whole."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.text import Text

from door.display import as_text
from door.files import replacing
from neutral.errors import InputError

matplotlib.rcParams["text.parse_math"] = False  # a dollar in a name is a dollar
COLOURS = ("#c44e52", "#4c72b0")  # PyTorch's red, Jittor's blue


def check_outputs(outputs: list[Path]) -> None:
    for output in outputs:
        if output.suffix.lower() not in (".png", ".svg"):
            raise InputError(f"{output}: charts are written as .png or .svg")


def save(figure, outputs: list[Path]) -> None:
    for text in figure.findobj(Text):
        text.set_text(as_text(text.get_text()))
    for output in outputs:
        with replacing(output) as temporary:
            figure.savefig(temporary, dpi=100, format=output.suffix[1:].lower())
    pyplot.close(figure)
