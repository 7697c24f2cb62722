"""Associated files of a .tflite file, such as labels.txt: a zip that follows its flatbuffer.

TFLite's metadata describes it: readers open the whole file as a zip, and find the flatbuffer at its start.
"""

from __future__ import annotations

import dataclasses
import io
import struct
import zipfile
from collections.abc import Mapping

_END = b"PK\x05\x06"  # of the record that ends a zip
_END_SIZE = 22  # of that record without its comment
_OFFSET = 16  # in that record, of the central directory's position


@dataclasses.dataclass(frozen=True, kw_only=True)
class AppendedZip:
    """A zip at the end of a file.

    Attributes:
        content: its bytes, with all that follows it.
        place: where in a file it would have to begin for the offsets it states to be right: where it did, or 0 where
            they count from its own beginning. Readers add what lies further ahead.
    """

    content: bytes
    place: int

    @classmethod
    def of(cls, file: bytes) -> AppendedZip | None:
        """Return the zip that a file ends in; None where there is none."""
        end = file.rfind(_END)
        if end < 0:
            return None
        try:
            with zipfile.ZipFile(io.BytesIO(file)) as archive:
                if not archive.infolist() and end + _END_SIZE + len(archive.comment) != len(file):
                    return None
                start = min((info.header_offset for info in archive.infolist()), default=archive.start_dir)
                (stated,) = struct.unpack_from("<I", file, end + _OFFSET)
                shift = archive.start_dir - stated
        except (zipfile.BadZipFile, ValueError, NotImplementedError, struct.error):
            return None  # constants that look like one
        return cls(content=file[start:], place=max(start - shift, 0))

    def after(self, flatbuffer: bytes) -> bytes:
        """Return a file that begins with a flatbuffer and ends in this zip, bit for bit."""
        return flatbuffer + bytes(max(self.place - len(flatbuffer), 0)) + self.content


def add_files(file: bytes, files: Mapping[str, bytes]) -> bytes:
    """Return a file with associated files, in place of those it may have had; the same bytes at any time.

    They are stored as they are: clients map them into memory.
    """
    old = AppendedZip.of(file)
    stream = io.BytesIO(file if old is None else file[: -len(old.content)])
    with zipfile.ZipFile(stream, "a", zipfile.ZIP_STORED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return stream.getvalue()


def read_files(file: bytes) -> dict[str, bytes]:
    """Return the associated files by name; empty where there are none."""
    if AppendedZip.of(file) is None:
        return {}
    with zipfile.ZipFile(io.BytesIO(file)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}
