"""Files that matter: written whole or not at all, found wherever the program is installed."""

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
    """Yields a temporary path beside `path`; on success it is synced and takes its place, on error it is removed."""
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
    """Replaces `path` by `data`, atomically."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Replaces `path` by UTF-8 `text`, atomically."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Replaces `path` by `value` as indented JSON, atomically. NaN is refused: JSON has none."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """The value in a JSON file.

    Raises:
        CoreError: The file is missing or is not JSON.
    """
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise CoreError(
            f"{path} is not valid JSON: {error}.", "Restore the file or delete it and redo the step."
        ) from error


def write_yaml(path: Path, value: Any) -> None:
    """Replaces `path` by `value` as YAML, atomically, keys in the given order."""
    write_text(path, yaml.safe_dump(value, sort_keys=False, allow_unicode=True))


def read_yaml(path: Path) -> Any:
    """The value in a YAML file, read with the safe loader.

    Raises:
        CoreError: The file is missing or is not YAML.
    """
    try:
        return yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        raise CoreError(f"{path} is not valid YAML: {error}", "Correct the file or restore an earlier copy.") from error


def read_text(path: Path) -> str:
    """The UTF-8 text of a file.

    Raises:
        CoreError: The file is missing, unreadable, or not text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise CoreError(f"{path} does not exist.", "Check the path, or redo the step that makes it.") from error
    except UnicodeDecodeError as error:
        raise CoreError(f"{path} is not a text file.", "Choose a file of the expected kind.") from error
    except OSError as error:
        raise CoreError(
            f"{path} could not be read: {error.strerror}.", "Check that it is a file you may read."
        ) from error


def sha256(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def resource(*parts: str) -> Path:
    """Path of a file that ships with the program, such as `resource("weights", "movenet_multipose.onnx")`."""
    root = importlib.resources.files("resources")
    return Path(str(root.joinpath(*parts)))


def safe_name(text: str) -> str:
    """A name fit for a file on every system, from what a person typed.

    Raises:
        CoreError: Nothing usable is left.
    """
    plain = unicodedata.normalize("NFKC", text).strip()
    name = re.sub(r"[^\w.-]+", "_", plain).strip("._")[:80]
    if not name or name.upper() in {"CON", "PRN", "AUX", "NUL"}:
        raise CoreError(f"'{text}' cannot be used as a name.", "Use letters, digits, '-' and '_'.")
    return name
