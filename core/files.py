"""Atomic writing and validated reading of files, and the files that ship with the program."""

from __future__ import annotations

import hashlib
import importlib.resources
import json
import os
import re
import tempfile
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from core.errors import CoreError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; on success it replaces `path`, on error it is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


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
    """Read a JSON file.

    Raises:
        CoreError: A missing file, or invalid JSON.
    """
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise CoreError(
            f"{path} is not valid JSON: {error}.", "Restore the file, or delete it and run the step again."
        ) from error


def write_yaml(path: Path, value: Any) -> None:
    """Write `value` to `path` as YAML, atomically, with keys in the given order."""
    write_text(path, yaml.safe_dump(value, sort_keys=False, allow_unicode=True))


def read_yaml(path: Path) -> Any:
    """Read a YAML file with the safe loader.

    Raises:
        CoreError: A missing file, or invalid YAML.
    """
    try:
        return yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        raise CoreError(f"{path} is not valid YAML: {error}", "Correct the file or restore an earlier copy.") from error


def read_text(path: Path) -> str:
    """Read a UTF-8 text file.

    Raises:
        CoreError: A missing or unreadable file, or one that is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise CoreError(f"{path} does not exist.", "Check the path, or run the step that writes it.") from error
    except UnicodeDecodeError as error:
        raise CoreError(f"{path} is not a UTF-8 text file.", "Choose a text file.") from error
    except OSError as error:
        raise CoreError(
            f"{path} could not be read: {error.strerror}.",
            "Check that it is a file and that you have permission to read it.",
        ) from error


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def resource(*parts: str) -> Path:
    """Return the path of a file that ships with the program, such as `resource("sample", "Calib.qca.txt")`."""
    root = importlib.resources.files("resources")
    return Path(str(root.joinpath(*parts)))


def safe_name(text: str) -> str:
    """Return a name that is valid as a file name on every system.

    Raises:
        CoreError: No valid characters are left.
    """
    plain = unicodedata.normalize("NFKC", text).strip()
    name = re.sub(r"[^\w.-]+", "_", plain).strip("._")[:80]
    if not name or name.upper() in {"CON", "PRN", "AUX", "NUL"}:
        raise CoreError(f"'{text}' cannot be used as a name.", "Use letters, digits, '-' and '_'.")
    return name
