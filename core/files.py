"""Atomic writing and validated reading of files, and the files included with the program."""

from __future__ import annotations

import copy
import hashlib
import importlib.resources
import json
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import yaml

from core.disk import replacing
from core.documents.limits import MAX_BYTES, read_bounded
from core.documents.syntax import parse_json, parse_yaml
from core.documents.text import decode_text
from core.errors import CoreError

T = TypeVar("T")


def write_bytes(path: Path, data: bytes) -> None:
    """Write bytes to `path`, atomically."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write text to `path` as UTF-8, atomically."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write `value` to `path` as indented JSON, atomically; NaN raises ValueError, as JSON lacks it."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file; see `core.documents.syntax.parse_json`.

    Raises:
        CoreError: The file is missing or invalid JSON, or a value is out of bounds.
    """
    return parse_json(read_text(path), str(path), "Restore the file, or delete it and run the step again.")


def write_yaml(path: Path, value: Any) -> None:
    """Write `value` to `path` as YAML, atomically, with keys in the given order."""
    write_text(path, yaml.safe_dump(value, sort_keys=False, allow_unicode=True))


def read_yaml(path: Path) -> Any:
    """Read a YAML file; see `core.documents.syntax.parse_yaml`.

    Raises:
        CoreError: The file is missing or invalid YAML, or a value is out of bounds.
    """
    return copy.deepcopy(read_once(path, _parsed))


_MAX_VALUES = 500
_values: dict[tuple[str, int, int, int, object], Any] = {}
"""Cached values of recent files, by path, file, modification time, size and parser; the window reads at each event."""


def read_once(path: Path, parse: Callable[[Path], T]) -> T:
    """Return the value of a file, parsed again only if the file has changed; callers must not modify it."""
    try:
        status = path.stat()
    except OSError:
        return parse(path)  # raises the error of this path
    key = str(path), status.st_ino, status.st_mtime_ns, status.st_size, parse
    if key not in _values:
        value = parse(path)
        while len(_values) >= _MAX_VALUES:
            _values.pop(next(iter(_values)), None)
        _values[key] = value
    found: T = _values[key]
    return found


def _parsed(path: Path) -> Any:
    return parse_yaml(read_text(path), str(path), "Correct the file or restore an earlier copy.")


def read_text(path: Path, max_bytes: int = MAX_BYTES) -> str:
    """Read a text file in UTF-8 or UTF-16, with or without a byte order mark.

    Raises:
        CoreError: The file is missing, unreadable, too large or not text.
    """
    return decode_text(read_bounded(path, max_bytes), str(path))


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def resource(*parts: str) -> Path:
    """Return the path of a file included with the program, such as `resource("sample", "Calib.qca.txt")`."""
    root = importlib.resources.files("resources")
    return Path(str(root.joinpath(*parts)))


def safe_name(text: str) -> str:
    """Return a name that is valid as a file name on every system.

    Raises:
        CoreError: No valid characters remain.
    """
    plain = unicodedata.normalize("NFKC", text).strip()
    name = re.sub(r"[^\w.-]+", "_", plain).strip("._")[:80]
    if not name or name.upper() in {"CON", "PRN", "AUX", "NUL"}:
        raise CoreError(f"'{text}' cannot be used as a name.", "Use letters, digits, '-' and '_'.")
    return name
