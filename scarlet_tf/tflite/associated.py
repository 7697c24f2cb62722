"""Associated files of a .tflite file, such as labels.txt: a zip appended to its flatbuffer.

TFLite's metadata describes it: readers open the whole file as a zip, and find the flatbuffer at its start.
"""

from __future__ import annotations

import dataclasses
import io
import struct
import zipfile
from collections.abc import Mapping

_END = b"PK\x05\x06"  # signature of a zip's end record
_END_SIZE = 22  # bytes, of that record without its comment
_OFFSET = 16  # of the central directory's position in that record


@dataclasses.dataclass(frozen=True, kw_only=True)
class AppendedZip:
    """A zip at the end of a file.

    Attributes:
        content: its bytes, with everything after it.
        place: position in a file at which its stored offsets are right: where it began, or 0 if they count from its
            own start. Readers correct for a later position.
    """

    content: bytes
    place: int

    @classmethod
    def of(cls, file: bytes) -> AppendedZip | None:
        """Return the zip at the end of a file; None if there is none."""
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
            return None  # constants that look like a zip
        return cls(content=file[start:], place=max(start - shift, 0))

    def after(self, flatbuffer: bytes) -> bytes:
        """Return a file that starts with a flatbuffer and ends with this zip, bit for bit."""
        return flatbuffer + bytes(max(self.place - len(flatbuffer), 0)) + self.content


def add_files(file: bytes, files: Mapping[str, bytes]) -> bytes:
    """Return a file with associated files, replacing any that it had.

    They are stored uncompressed, because clients map them into memory, and with a fixed date, so that the same input
    gives the same bytes.

    Args:
        file: content of the .tflite file.
        files: contents by name.
    """
    old = AppendedZip.of(file)
    stream = io.BytesIO(file if old is None else file[: -len(old.content)])
    with zipfile.ZipFile(stream, "a", zipfile.ZIP_STORED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return stream.getvalue()


def read_files(file: bytes) -> dict[str, bytes]:
    """Return the contents of a file's associated files by name; empty if there are none."""
    if AppendedZip.of(file) is None:
        return {}
    with zipfile.ZipFile(io.BytesIO(file)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}
