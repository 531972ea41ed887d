"""Decoding of text: UTF-8 and UTF-16 with or without a byte order mark, and the encoding that XML declares."""

from __future__ import annotations

import codecs
import re

from core.errors import CoreError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_DECLARED = re.compile(rb"""\A\s*<\?xml[^>]{0,200}encoding\s*=\s*["']([\w.-]{1,40})["']""")
_ENCODINGS = frozenset({"ascii", "utf-8", "iso8859-1", "iso8859-15", "cp1252", "cp1250", "cp1251", "cp932", "gbk"})


def decode_text(data: bytes, where: str) -> str:
    """Return the text of a file, without a byte order mark.

    Args:
        data: Content of the file.
        where: Name of the file for messages.

    Raises:
        CoreError: Another encoding, or no text.
    """
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "") or _unmarked(data)
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise CoreError(
            f"{where} is not a text file in UTF-8 or UTF-16 (line {line}).",
            "Choose a text file, or save it again as UTF-8.",
        ) from error


def _unmarked(data: bytes) -> str:
    """Return the encoding of text without a mark; text in UTF-16 that begins with ASCII has every other byte zero."""
    if len(data) >= 4 and len(data) % 2 == 0:
        if data[1] == data[3] == 0 and data[0] and data[2]:
            return "utf-16-le"
        if data[0] == data[2] == 0 and data[1] and data[3]:
            return "utf-16-be"
    declared = _DECLARED.match(data)
    if declared:
        try:
            name = codecs.lookup(declared[1].decode()).name
        except LookupError:
            return "utf-8"
        return name if name in _ENCODINGS else "utf-8"
    return "utf-8"
