"""Parsing of JPEG images without decoding: size, completeness and boundaries."""

from __future__ import annotations

from collections.abc import Iterator

START, END = b"\xff\xd8", b"\xff\xd9"
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD8)}
_NO_SIZE = {0xC4, 0xC8, 0xCC}  # share the range of the frame headers
_MAX_BYTES = 64 << 20  # of an image; longer data is not one
_KEPT = 1024  # bytes kept before an image, for its headers


def jpeg_size(data: bytes | memoryview) -> tuple[int, int] | None:
    """Return the width and height of a JPEG image in px; None if it is damaged.

    An image counts as damaged if its headers cannot be read, or if its end is missing. The coded pixels are not read.

    Args:
        data: The image; zeros after it, as some cameras append, are allowed.
    """
    header = jpeg_header(data)
    if header is None or header[0] == 0:
        return None
    tail = bytes(data[-4096:]).rstrip(b"\0\r\n ")
    return header[1] if tail.endswith(END) else None


def jpeg_header(data: bytes | bytearray | memoryview) -> tuple[int, tuple[int, int]] | None:
    """Read the headers of a JPEG image.

    Args:
        data: The image, or the first part of it.

    Returns:
        Offset of the coded pixels (0 if they are beyond the data), and width and height in px; None if the image is
        damaged.
    """
    if bytes(data[:2]) != START[: len(data)]:
        return None
    at, size = 2, (0, 0)
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF or marker in _WITHOUT_LENGTH:  # fill bytes
            at += 1 if marker == 0xFF else 2
            continue
        length = data[at + 2] << 8 | data[at + 3]
        if length < 2 or marker < 0xC0 or marker in (0xD8, 0xD9):
            return None
        if 0xC0 <= marker <= 0xCF and marker not in _NO_SIZE:
            if at + 9 > len(data):
                break
            size = data[at + 7] << 8 | data[at + 8], data[at + 5] << 8 | data[at + 6]
        at += 2 + length
        if marker == 0xDA:
            return (at, size) if all(size) else None
    return 0, size


class JpegScanner:
    """Splitter of a byte stream into JPEG images, whatever lies between them.

    Boundaries and announced lengths of multipart streams are ignored, because cameras get them wrong.
    """

    def __init__(self) -> None:
        self.damaged = 0
        self.before = b""  # text before the latest image, such as its headers
        self._buffer = bytearray()
        self._searched = 0

    def add(self, data: bytes) -> Iterator[bytes]:
        """Add received bytes, and yield the images that they complete.

        Truncated images and those with unreadable headers are counted in `damaged`.
        """
        self._buffer += data
        while True:
            start = self._buffer.find(START + b"\xff")
            if start < 0:
                self._drop(len(self._buffer) - _KEPT)
                return
            if start:
                self.before = bytes(self._buffer[max(0, start - _KEPT) : start])
                self._drop(start)
            header = jpeg_header(self._buffer)
            if header is None:
                self._skip(self._buffer.find(START + b"\xff", 2))
                continue
            pixels = header[0]
            search = max(pixels, self._searched)
            end = self._buffer.find(END, search) if pixels else -1
            following = (
                self._buffer.find(START + b"\xff", search, end if end >= 0 else len(self._buffer)) if pixels else -1
            )
            if following >= 0:
                self._skip(following)
            elif end >= 0:
                image = bytes(self._buffer[: end + 2])
                self._drop(end + 2)
                yield image
            elif len(self._buffer) > _MAX_BYTES:
                self._skip(len(self._buffer))
            else:
                self._searched = max(0, len(self._buffer) - 2)
                return

    @property
    def unfinished(self) -> bool:
        """True if an image has begun and not ended."""
        return self._buffer.startswith(START)

    def _skip(self, at: int) -> None:
        self.damaged += 1
        self._drop(at if at >= 0 else max(2, len(self._buffer) - 2))

    def _drop(self, count: int) -> None:
        del self._buffer[: max(0, count)]
        self._searched = 0
