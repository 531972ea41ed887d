"""Reading of comma-separated tables, row by row."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from core.documents.limits import MAX_BYTES, bad_document, read_bounded
from core.documents.text import decode_text

_MAX_COLUMNS = 100_000
_SAMPLE = 5000  # characters in which the delimiter is counted


def csv_rows(path: Path, delimiter: str = "", max_bytes: int = MAX_BYTES) -> Iterator[tuple[int, list[str]]]:
    """Yield the line number and the cells of each row that is not empty.

    Args:
        path: Text file.
        delimiter: Character between cells; empty for the comma, semicolon or tab that the beginning has most of.
        max_bytes: Maximum size of the file.

    Raises:
        CoreError: The file is missing, too large, or has a cell or a row out of bounds.
    """
    yield from parse_csv(decode_text(read_bounded(path, max_bytes), str(path)), str(path), delimiter)


def parse_csv(text: str, where: str, delimiter: str = "") -> Iterator[tuple[int, list[str]]]:
    """Yield the line number and the cells of each row of a text that is not empty; see `csv_rows`."""
    delimiter = delimiter or max(",;\t", key=text[:_SAMPLE].count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        for row in reader:
            if len(row) > _MAX_COLUMNS:
                raise bad_document(where, f"line {reader.line_num} has {len(row)} cells")
            if any(row):
                yield reader.line_num, row
    except csv.Error as error:
        raise bad_document(where, f"line {reader.line_num}: {error}") from error
