"""Limits on the size of documents and on the values in them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from core.errors import CoreError

MAX_DEPTH = 64
"""Maximum nesting of the values of a document."""
MAX_BYTES = 1 << 30
"""Maximum size of a document, bytes."""
_MAX_ITEMS = 5_000_000  # of a document with aliases, each of which repeats what it refers to
_MAX_BITS = 63
_DIGITS_PER_BIT = 0.30103
REMEDY = "Export it again from the program that wrote it, or restore an earlier copy."


def bad_document(where: str, what: str, hint: str = REMEDY) -> CoreError:
    """Return the error for an invalid document: its name, what is wrong with it, and a remedy."""
    return CoreError(f"{where}: {what}.", hint)


def read_bounded(path: Path, max_bytes: int = MAX_BYTES) -> bytes:
    """Return the bytes of a file.

    Raises:
        CoreError: The file is missing, not readable, not a file, or too large.
    """
    try:
        if path.is_file() and path.stat().st_size > max_bytes:
            raise bad_document(str(path), f"it is larger than {_size(max_bytes)}", "Choose the right file.")
        with path.open("rb") as file:
            return file.read(max_bytes + 1)[:max_bytes]
    except FileNotFoundError as error:
        raise CoreError(f"{path} does not exist.", "Check the path, or run the step that writes it.") from error
    except (OSError, ValueError) as error:  # ValueError: a path with a null character
        raise CoreError(
            f"{path} could not be read: {getattr(error, 'strerror', None) or error}.",
            "Check that it is a file and that you have permission to read it.",
        ) from error


def check_value(value: Any, where: str, *, repeats: bool = False) -> Any:
    """Return a parsed value of plain types after checking its depth and its integers.

    Args:
        value: Mappings, lists and scalars.
        where: Name of the document for messages.
        repeats: True if the format can repeat a part in several places, so that the number of values is limited as
            well.

    Raises:
        CoreError: Too deep, too many values, or an integer of more than 18 digits.
    """
    try:
        _check(value, 0, [_MAX_ITEMS] if repeats else None)
    except _OutOfBoundsError as bad:
        raise bad_document(where, f"{place(bad.keys)}{bad}") from None
    return value


def place(keys: list[Any]) -> str:
    """Return the position of a value in a document as a prefix of a sentence, such as "cam01.K[3]: "."""
    shown = keys[:6] + (["…"] if len(keys) > 6 else [])
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{str(key)[:60]}" for key in shown).lstrip(".")
    return f"{text}: " if text else ""


class _OutOfBoundsError(Exception):
    """A value is out of bounds; the keys that lead to it are added on the way up."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.keys: list[Any] = []


def _check(value: Any, depth: int, left: list[int] | None) -> None:
    if isinstance(value, Mapping):
        for key in value:
            if isinstance(key, int):
                _check_integer(key)
        inside: Any = value.items()
    elif isinstance(value, list | tuple):
        inside = enumerate(value)
    else:
        if isinstance(value, int):
            _check_integer(value)
        return
    if depth >= MAX_DEPTH:
        raise _OutOfBoundsError(f"it is nested more than {MAX_DEPTH} levels deep")
    if left is not None:
        left[0] -= len(value)
        if left[0] < 0:
            raise _OutOfBoundsError(f"it has more than {_MAX_ITEMS} values")
    for key, item in inside:
        if type(item) is float or type(item) is str:
            continue
        try:
            _check(item, depth + 1, left)
        except _OutOfBoundsError as bad:
            bad.keys.insert(0, key)
            raise


def _check_integer(value: int) -> None:
    if value.bit_length() > _MAX_BITS:
        raise _OutOfBoundsError(f"it has a number of {value.bit_length() * _DIGITS_PER_BIT:.0f} digits")


def _size(n_bytes: int) -> str:
    unit: Literal["GB", "MB"] = "GB" if n_bytes >= 1 << 30 else "MB"
    return f"{n_bytes >> (30 if unit == 'GB' else 20)} {unit}"
