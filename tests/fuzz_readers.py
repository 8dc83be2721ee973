"""Coverage-guided fuzzing of the readers of weight files: `make fuzz`.

Starts from whole files of every layout. Arrays or an InputError are right; anything else, a file that takes
longer than ten seconds or more than 2 GB is a finding, and libFuzzer keeps the file that did it.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["neutral", "pickle", "zipfile"]):
    from neutral.errors import InputError
    from neutral.weights.readers import JITTOR_MARK, read_checkpoint

from tests.weight_files import LAYOUTS, write_file

FOLDER = Path(tempfile.mkdtemp(prefix="fuzz-weights-"))
SUFFIXES = (".pth", ".pkl", ".npz", ".safetensors")


def one_input(data: bytes) -> None:
    """The first byte chooses the suffix, and whether Jittor's checksum is put right."""
    if not data:
        return
    suffix, body = SUFFIXES[data[0] % 4], data[1:]
    if data[0] & 4:
        body += hashlib.sha1(body).digest() + JITTOR_MARK
    path = FOLDER / f"input{suffix}"
    path.write_bytes(body)
    try:
        for tensor in read_checkpoint(path).tensors.values():
            tensor.values().sum()
    except InputError as error:
        assert path.name in str(error)


def main() -> None:
    corpus = FOLDER / "corpus"
    corpus.mkdir()
    for layout, (suffix, _, _) in LAYOUTS.items():
        body = write_file(FOLDER, layout).read_bytes()
        first = SUFFIXES.index(suffix)
        if layout.startswith("jittor"):
            first, body = first | 4, body[:-28]
        (corpus / layout).write_bytes(bytes([first]) + body)
    limits = ["-timeout=10", "-rss_limit_mb=2048", "-max_len=20000"]
    atheris.Setup([sys.argv[0], *limits, *sys.argv[1:], str(corpus)], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
