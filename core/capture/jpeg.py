"""Structure of JPEG images, read without decoding: whether an image is whole, and its size."""

from __future__ import annotations

START, END = b"\xff\xd8", b"\xff\xd9"
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD8)}
_NO_SIZE = {0xC4, 0xC8, 0xCC}  # share the range of the frame headers


def jpeg_size(data: bytes | memoryview) -> tuple[int, int] | None:
    """Return width and height of a JPEG image in px; None if it is damaged.

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
        data: The image, or its beginning.

    Returns:
        Offset of the coded pixels, 0 if they have not come yet, and width and height in px; None if it is damaged.
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
        if length < 2 or marker in (0x00, 0xD8, 0xD9):
            return None
        if 0xC0 <= marker <= 0xCF and marker not in _NO_SIZE:
            if at + 9 > len(data):
                break
            size = data[at + 7] << 8 | data[at + 8], data[at + 5] << 8 | data[at + 6]
        at += 2 + length
        if marker == 0xDA:
            return (at, size) if all(size) else None
    return 0, size
