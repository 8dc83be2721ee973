"""Pretrained weights without a network: what would be downloaded is drawn by name, the same on both sides.

While `pretrained` is active, addresses and files of weights that are not there are answered with arrays: those of a
given checkpoint, those of a well-known network under its file's name ("resnet50-0676ba61.pth"), or else Unknown, which
takes its names and shapes from the module that it is loaded into.

Before: half.py, which builds inside of it; the backends' *_loading.py answer what is loaded.
"""

from __future__ import annotations

import fnmatch
import re
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from parity.backends import base
from parity.engine.judge.weights import drawn_weights
from parity.engine.sides.checkpoint import INSIDE, read, unwrapped
from parity.errors import InputError

DRAWN = "drawn"
SUFFIXES = (".pth", ".pt", ".pkl", ".bin", ".ckpt", ".tar", ".npz", ".safetensors")  # of weights
ADDRESSES = ("http://", "https://", "jittorhub://")
SALT = "pretrained "  # other values than those that everything is compared with
ANSWERED: dict[str, str] = {}  # in this process: what became of every address, see initial.py


class Unknown(dict):
    """A state dictionary whose names and shapes only the module knows that it is loaded into.

    It looks empty; asked for what files of weights have inside ("model", "state_dict"), it gives itself.
    """

    def __init__(self):
        super().__init__()
        self.left_out: set[str] = set()  # names that the user's code took away

    def __contains__(self, name) -> bool:
        return name in INSIDE or super().__contains__(name)

    def __missing__(self, name):
        if name in INSIDE:
            return self
        raise KeyError(f"{name}: of drawn weights only whole states are known (PRETRAINED)")

    def get(self, name, default=None):
        return self if name in INSIDE else super().get(name, default)

    def __delitem__(self, name) -> None:
        self.pop(name)

    def pop(self, name, *default):
        self.left_out.add(name)
        return super().pop(name, *(default or (None,)))


class Loads:
    """Answers to loads: `source` is DRAWN, a checkpoint's path, or paths by patterns of addresses."""

    def __init__(self, source: str | Path | Mapping[str, str | Path], backend: base.Backend):
        self.source, self.backend = source, backend
        self.unknown = False  # whether an Unknown was given out

    def answer(self, address: str) -> Mapping:
        """Arrays by name, or an Unknown."""
        name = Path(address).name
        path = self.source
        if isinstance(self.source, Mapping):
            patterns = (p for p in self.source if fnmatch.fnmatchcase(name, p) or p == address)
            path = self.source.get(next(patterns, None), DRAWN)
        if path != DRAWN:
            ANSWERED[address] = f"from {path}"
            return unwrapped(read(Path(path).expanduser(), self.backend))
        ANSWERED[address] = DRAWN
        shapes = self.backend.known_shapes(re.split(r"[-.]", name)[0])
        if shapes:
            return drawn_weights(shapes, SALT)
        self.unknown = True
        return Unknown()

    def filled(self, state, shapes: Mapping[str, tuple[int, ...]]) -> Mapping:
        """What a module of these shapes is to load: `state`, or drawn arrays where it is an Unknown.

        An empty state, once an Unknown was given out, is what the user's code made of it.
        """
        if not isinstance(state, Unknown) and (state or not self.unknown):
            return state
        left_out = getattr(state, "left_out", set())
        drawn = drawn_weights({n: s for n, s in shapes.items() if n not in left_out}, SALT)
        return drawn | dict(state)

    def is_weights(self, address: str) -> bool:
        """Whether it is a file of weights, which need not be fetched."""
        return str(address).partition("?")[0].endswith(SUFFIXES)

    def is_lost(self, file) -> bool:
        """Whether it is an address that a framework knows, or a file that is not there."""
        if not isinstance(file, (str, Path)):
            return False
        if "://" in str(file):  # others are the user's mistake, and fail as they would
            return str(file).startswith(ADDRESSES)
        return not Path(file).exists()


@contextmanager
def pretrained(source: str | Path | Mapping[str, str | Path] | None = DRAWN) -> Iterator[None]:
    """Within the block, weights that would be downloaded, or whose file is not there, are those of `source`.

    source: "drawn", the same values by name on both sides; a checkpoint; checkpoints by patterns of file names, for
    {"resnet50*": "weights/r50.pth"}; None leaves downloads alone. InputError when a checkpoint is missing, or
    outside of a side's process.
    """
    if source is None:
        yield
        return
    for path in source.values() if isinstance(source, Mapping) else (source,):
        if path != DRAWN and not Path(path).expanduser().is_file():
            raise InputError(
                f'{path}: no such file; give a checkpoint, "drawn" or None as pretrained weights'
            )
    backends = base.loaded()
    if not backends:  # nothing would be answered, and everything downloaded
        raise InputError(
            "parity.pretrained works where a side is built: use it inside of torch_side(), jittor_side() or a Side's "
            "target"
        )
    with ExitStack() as stack:
        for backend in backends:
            loads = Loads(source, backend)
            stack.enter_context(backend.answering(loads))
            stack.enter_context(not_retrieved(loads))
        yield


@contextmanager
def not_retrieved(loads: Loads) -> Iterator[None]:
    """urllib's own way to fetch a file."""
    original = urllib.request.urlretrieve

    def urlretrieve(url, filename=None, *rest, **named):
        if loads.is_weights(url) and filename is not None:
            return filename, None
        return original(url, filename, *rest, **named)

    urllib.request.urlretrieve = urlretrieve
    try:
        yield
    finally:
        urllib.request.urlretrieve = original


def answered(server) -> dict[str, str]:
    """In a worker: what became of every address since the half was last described."""
    return dict(ANSWERED)
