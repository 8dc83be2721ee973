"""The members of a zip, within limits that are looked at before anything is unpacked."""

from __future__ import annotations

import lzma
import zipfile
import zlib
from collections.abc import Iterator, Mapping

from neutral.weights.stored import Refused

EXPANSION = 100  # a compressed member may be this many times as large as what is stored of it
UNPACKED = 4 << 30  # bytes of all compressed members together
MEMBERS = 100_000
DIRECTORY = 16 << 20  # bytes of the list of members
END, END_64 = b"PK\x05\x06", b"PK\x06\x06"
COMMENT = 1 << 16  # bytes, at most, behind the end record


def check_directory(data: memoryview) -> None:
    """Refused when the list of members is larger than DIRECTORY: reading it alone would take minutes."""
    tail = bytes(data[-(COMMENT + 22) :])
    place = tail.rfind(END)
    if place < 0:
        return  # zipfile says that it is none
    size = int.from_bytes(tail[place + 12 : place + 16], "little")
    before = tail[max(place - 76, 0) : place]  # the end record of large zips, and what locates it
    large = before.rfind(END_64)
    if large >= 0:  # it counts, whatever the other says
        size = int.from_bytes(before[large + 40 : large + 48], "little")
    if size > DIRECTORY:
        raise Refused(
            f"its list of members has {size} bytes; weights have {MEMBERS} members at most"
        )


class Members(Mapping):
    """The files of a zip by name: views of it where they are stored, bytes where they are compressed."""

    def __init__(self, archive: zipfile.ZipFile, data: memoryview):
        self.archive, self.data = archive, data
        listed = archive.infolist()
        if len(listed) > MEMBERS:
            raise Refused(f"it has {len(listed)} members; weights have {MEMBERS} at most")
        self.entries = {entry.filename: entry for entry in listed}
        if len(self.entries) < len(listed):
            raise Refused("two of its members have the same name")
        packed = [e for e in listed if e.compress_type != zipfile.ZIP_STORED]
        unpacked = sum(entry.file_size for entry in packed)
        if unpacked > UNPACKED:
            raise Refused(
                f"it unpacks to {unpacked / (1 << 30):.1f} GiB; compressed weights may have {UNPACKED >> 30}, "
                "store larger ones without compression"
            )
        if sum(entry.compress_size for entry in listed) > len(data):
            raise Refused("its members lie on one another")

    def __getitem__(self, name: str) -> memoryview:
        entry = self.entries[name]
        if entry.flag_bits & 1:
            raise Refused(f"{name} is encrypted")
        if entry.compress_type == zipfile.ZIP_STORED:
            return self.stored(entry)
        if entry.file_size > EXPANSION * max(entry.compress_size, 1024):
            raise Refused(
                f"{name} unpacks to {entry.file_size} bytes, {EXPANSION} times and more what is stored of it"
            )
        try:
            with self.archive.open(entry) as file:
                content = file.read(entry.file_size + 1)
        except (zlib.error, lzma.LZMAError) as error:
            raise ValueError(str(error)) from None
        if len(content) != entry.file_size:
            raise ValueError(f"{name} unpacks to another size than it says")
        return memoryview(content)

    def stored(self, entry: zipfile.ZipInfo) -> memoryview:
        header = bytes(self.data[entry.header_offset : entry.header_offset + 30])
        if len(header) < 30 or header[:4] != b"PK\x03\x04":
            raise ValueError(f"{entry.filename} has no header")
        names = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
        start = entry.header_offset + 30 + names
        if start + entry.file_size > len(self.data):
            raise ValueError(f"{entry.filename} reaches beyond the file")
        return self.data[start : start + entry.file_size]

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)
