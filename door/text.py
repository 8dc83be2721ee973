"""Text files as their authors' programs write them: by their byte order mark or declaration, else UTF-8."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from door import schema
from door.errors import InputError

MARKS = (  # UTF-32 first: its mark begins as UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# where zeros stand among the first four bytes of text that begins with ASCII and has no mark
ZEROS = {(0, 1, 0, 1): "utf-16-le", (1, 0, 1, 0): "utf-16-be"}
ZEROS |= {(0, 1, 1, 1): "utf-32-le", (1, 1, 1, 0): "utf-32-be"}
# labels of files that programs fill with the larger set, as browsers read them
LARGER = {"gb2312": "gb18030", "gbk": "gb18030"}
DECLARED = re.compile(rb"""\A\s*<\?xml[^>]*?encoding\s*=\s*["']([^"']*)["']""")


def read_text(path: Path) -> str:
    """The file's text; InputError names the file and the encoding that it is not. OSError as `read_bytes`."""
    return decode(path.read_bytes(), path)


def read_json_as(path: Path, shape, limit: int = schema.LIMIT):
    """A JSON file of this shape (see door/schema.py), in whatever encoding its beginning says."""
    data = schema.read_bytes(path, limit)
    marked = data.startswith(tuple(mark for mark, _ in MARKS))
    if marked or tuple(int(b == 0) for b in data[:4]) in ZEROS:
        data = decode(data, path).encode()
    try:
        return schema.parse(data, shape, str(path))
    except InputError:
        decode(data, path)  # names the encoding where that is what is wrong
        raise


def decode(data: bytes, path: Path, declared: str = "") -> str:
    """`data` by its mark, by the position of its zeros, as `declared` or, without that, as UTF-8."""
    encoding = next((name for mark, name in MARKS if data.startswith(mark)), "")
    encoding = encoding or ZEROS.get(tuple(int(b == 0) for b in data[:4]), "")
    if not encoding and declared:
        encoding = _known(declared, path)
    try:
        return data.decode(encoding or "utf-8")
    except UnicodeDecodeError as error:
        said = f"says that it is {declared or encoding}" if encoding else "says no encoding"
        where = f"byte 0x{data[error.start]:02X} at {error.start}"
        raise InputError(
            f"{path}: is not {encoding or 'utf-8'} ({where}), and {said}; save it as UTF-8, "
            f"for instance with iconv -f GBK -t UTF-8 where it is GBK"
        ) from None


def decode_xml(data: bytes, path: Path) -> str:
    """As `decode`, by the XML declaration, too; without the declaration, which speaks of the bytes."""
    found = DECLARED.match(data)
    declared = found[1].decode("ascii", "replace").strip() if found else ""
    if declared.lower().replace("-", "").startswith(("utf16", "ucs2", "unicode", "utf32")):
        declared = ""  # the declaration could be read as ASCII, so this is another encoding: .NET's mistake
    text = decode(data, path, declared)
    return re.sub(r"\A\s*<\?xml.*?\?>", "", text, count=1, flags=re.S)


def _known(declared: str, path: Path) -> str:
    try:
        name = codecs.lookup(declared).name
        b"".decode(name)
    except LookupError:
        raise InputError(
            f"{path}: declares the encoding {declared!r}, which is not known; save it as UTF-8"
        ) from None
    return LARGER.get(name, name)
