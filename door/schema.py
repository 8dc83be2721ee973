"""The door of every file with content: read once, held to a declared shape, or refused in one line.

A shape is a type that msgspec checks while it parses: TypedDicts (keys that are not named are dropped), lists,
`Annotated[float, Meta(ge=0)]`. schemas.py has those of all kinds of files. NaN and infinity are no JSON and nowhere
valid. Where a part of a shape has Meta(description=...), messages say that: "x.json: annotations[17].bbox: expected 4
finite numbers, got [1, 2, NaN]".
"""

from __future__ import annotations

import contextlib
import functools
import gc
import json
import re
import types
import typing
from pathlib import Path

import msgspec
from typing_extensions import NotRequired, Required

from door.display import shortened
from door.errors import InputError

MIB = 1 << 20
LIMIT = 256 * MIB  # of a file of JSON, unless its kind has another limit
NOT_JSON = (b"-Infinity", b"Infinity", b"NaN")  # what Python's own writer makes of such numbers
MARK = "\x00"  # before those, once they have been made strings so that the rest can be looked at
STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")


def read(path: Path | str, shape, limit: int = LIMIT):
    """The content of a JSON file, of the given shape. InputError names place, what was wanted, what is there."""
    path = Path(path)
    return parse(read_bytes(path, limit), shape, str(path))


def read_bytes(path: Path, limit: int = LIMIT) -> bytes:
    """The whole of a file of at most `limit` bytes."""
    try:
        if not path.is_file() and path.exists():
            raise InputError(f"{path}: is {_kind_of(path)}, not a file")
        size = path.stat().st_size
        if size > limit:
            raise InputError(
                f"{path}: has {size / MIB:.0f} MiB; files of this kind may have {limit // MIB}: split it"
            )
        return path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except InputError:
        raise
    except ValueError:  # a zero byte
        raise InputError(f"{str(path)!r}: no file can be called so") from None


def _kind_of(path: Path) -> str:
    kinds = (("is_dir", "a folder"), ("is_fifo", "a named pipe"), ("is_socket", "a socket"))
    return next((name for test, name in kinds if getattr(path, test)()), "a device")


def parse(data: bytes | str, shape, name: str):
    """As `read`, of what is in memory already; `name` begins messages."""
    data = data.encode(errors="surrogatepass") if isinstance(data, str) else data
    try:
        with _paused_collector(len(data)):
            return _decoder(shape).decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(_explain(data, shape, name, error)) from None


@functools.lru_cache(maxsize=256)
def _decoder(shape) -> msgspec.json.Decoder:
    """Made once for each shape: making one takes as long as parsing a kilobyte."""
    return msgspec.json.Decoder(shape)


@contextlib.contextmanager
def _paused_collector(size: int):
    """Millions of new objects, none of them garbage, would be looked through over and over: three times as long."""
    paused = size > MIB and gc.isenabled()
    if paused:
        gc.disable()
    try:
        yield
    finally:
        if paused:
            gc.enable()


def check(value, shape, name: str, strict: bool = True):
    """As `parse`, of a value that other code has parsed; not `strict`: numbers may be strings."""
    try:
        return msgspec.convert(value, shape, strict=strict)
    except msgspec.ValidationError as error:
        steps, told = _steps(error)
        raise InputError(f"{name}: {_describe(shape, steps, told, value)}") from None
    except RecursionError:
        raise InputError(f"{name}: nested too deeply") from None


def _explain(data: bytes, shape, name: str, error: Exception) -> str:
    """One line on what is wrong with the data, with the place and the value where they can be told."""
    spelled = data
    while isinstance(error, msgspec.DecodeError):
        if isinstance(error, msgspec.ValidationError):
            steps, told = _steps(error)
            return f"{name}: {_describe(shape, steps, told, msgspec.Raw(spelled))}"
        bare = _bare_number(spelled, error)
        if bare is None:
            break
        start, word = bare  # as a string it can be parsed, and is found where a number was wanted
        quoted = json.dumps(MARK + word.decode()).encode()
        spelled = spelled[:start] + quoted + spelled[start + len(word) :]
        try:
            msgspec.json.decode(spelled, type=shape)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as next_error:
            error = next_error
        else:
            return f"{name}: not valid JSON: {word.decode()} at byte {start}"
    if isinstance(error, RecursionError):
        return f"{name}: nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return f"{name}: not text in UTF-8 ({error.reason} at byte {error.start})"
    return f"{name}: not valid JSON ({str(error).removeprefix('JSON is malformed: ')})"


def _bare_number(data: bytes, error: Exception) -> tuple[int, bytes] | None:
    """Where the parser stopped at NaN or infinity, and which; None when it was something else."""
    found = re.search(r"\(byte (\d+)\)", str(error))
    if not found:
        return None
    place = int(found[1])
    for word in NOT_JSON:
        for start in (place, place - 1):  # behind a minus
            if start >= 0 and data[start : start + len(word)] == word:
                return start, word
    return None


def _steps(error: Exception) -> tuple[list[str | int], str]:
    """Keys and indices down to the place that a ValidationError names, and what it says of it."""
    told, _, place = str(error).partition(" - at `$")
    steps = [key or int(index) for key, index in STEP.findall(place.rstrip("`").split("[...]")[0])]
    return steps, told


def _describe(shape, steps: list, told: str, value) -> str:
    """ "annotations[17].bbox: expected ..., got ...": as far down as a part of the shape has a description."""
    missing = re.search(r"missing required field `(.+)`", told)
    wanted, leaf = None, steps
    for depth in range(len(steps) + 1):
        wanted = _description(shape)
        if wanted and not (missing and depth == len(steps)):
            steps = steps[:depth]
            break
        if depth < len(steps):
            shape = _inner(shape, steps[depth])
    else:
        wanted = None
    where = "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in steps).lstrip(".")
    prefix = f"{where}: " if where else ""
    if missing and not wanted:
        return f"{prefix}has no {missing[1]!r}"
    if wanted is None:
        wanted = told.removeprefix("Expected ").partition(", got")[0].replace("`", "")
    elif leaf != steps and (bound := re.search(r"[<>]=? \S+\Z", told)):
        wanted += f", each {bound[0]}"
    try:
        found = _shown(_at(value, steps))
    except (RecursionError, msgspec.DecodeError, UnicodeDecodeError):
        found = "another thing, in a file that is damaged further on, too"
    return f"{prefix}expected {wanted}, got {found}"


def _description(shape) -> str | None:
    for meta in getattr(shape, "__metadata__", ()):
        if isinstance(meta, msgspec.Meta) and meta.description:
            return meta.description
    return None


def _inner(shape, step):
    """The shape of a key's or an index's value; None where there is no telling."""
    shape = getattr(shape, "__origin__", shape) if hasattr(shape, "__metadata__") else shape
    origin, parts = typing.get_origin(shape), typing.get_args(shape)
    if origin in (typing.Union, types.UnionType):
        found = (_inner(part, step) for part in parts)
        return next((s for s in found if s is not None), None)
    if isinstance(step, int):
        return parts[0] if origin in (list, tuple) and parts else None
    if origin is dict:
        return parts[1]
    if isinstance(shape, type) and hasattr(shape, "__annotations__"):
        hint = typing.get_type_hints(shape, include_extras=True).get(step)
        while typing.get_origin(hint) in (NotRequired, Required):
            hint = typing.get_args(hint)[0]
        return hint
    return None


def _at(value, steps: list):
    """The value at a place; of data that were only parsed so far, no more is parsed than has to be."""
    for step in steps:
        if isinstance(value, msgspec.Raw):
            kind = dict[str, msgspec.Raw] if isinstance(step, str) else list[msgspec.Raw]
            value = msgspec.json.decode(value, type=kind)
        value = value[step]
    return value


def _shown(value) -> str:
    """A value in a message: as JSON, on one line, not too long."""
    if isinstance(value, msgspec.Raw):
        text = bytes(value).decode(errors="replace")
        text = re.sub(r"\s+", " ", text) if len(text) < 1000 else text
    else:
        text = json.dumps(value, default=str)
    text = re.sub(r'"\\u0000(-?\w+)"', r"\1", text)
    return shortened(re.sub(r",(?=[^ ])", ", ", text) if text.startswith("[") else text)
