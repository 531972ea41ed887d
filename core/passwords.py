"""Passwords in camera addresses: stored in a file that only the user can read, and masked everywhere else.

`rtsp://user:***@host/stream` stands for an address with a stored password.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import platformdirs

from core import NAME
from core.disk import replacing
from core.errors import CoreError
from core.files import read_json

HIDDEN = "***"
_URL = re.compile(r"[a-zA-Z][\w+.-]*://[^\s,\]]+")
_USER = re.compile(
    r"(?P<head>[a-zA-Z][\w+.-]*://[^\s:/?#@\[]*:)(?!\d{1,5}(?:[/?#\s]|$))(?P<secret>(?:(?!://)\S)*)(?=@)"
)
"""User and password: up to the last @. A number before a slash is a port, as in rtsp://host:554/a@b."""
_QUERY = re.compile(
    r"(?P<head>[?&;/](?:pass(?:w(?:or)?d)?|pwd|loginpas|(?:access_?)?token|auth|secret|(?:api_?)?key)=)"
    r"(?P<secret>[^&;\s/?#,'\"\]]+)",
    re.IGNORECASE,
)
_secrets: set[str] = set()
"""Passwords that this process has encountered, which are masked regardless of their characters."""


class HidingFormatter(logging.Formatter):
    """Formatter of log lines that masks passwords."""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter`."""
        return without_passwords(super().format(record))


def without_passwords(text: str) -> str:
    """Return a text in which the passwords of all addresses are masked."""
    for secret in _secrets:
        text = text.replace(f":{secret}@", f":{HIDDEN}@").replace(f"={secret}", f"={HIDDEN}")
    if "://" not in text:
        return text
    for pattern in (_USER, _QUERY):
        text = pattern.sub(lambda match: match["head"] + (HIDDEN if match["secret"] else ""), text)
    return text


def keep_passwords(value: Any) -> Any:
    """Store the passwords of all addresses in plain values, and return the values with the passwords masked.

    Args:
        value: Text, or lists and mappings of plain values.

    Raises:
        DiskError: The user's folder cannot be written.
    """
    if isinstance(value, str):
        return _keep(value)
    if isinstance(value, Mapping):
        return {key: keep_passwords(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [keep_passwords(item) for item in value]
    return value


def with_password(address: str) -> str:
    """Return an address with its stored password.

    Raises:
        CoreError: No password is stored on this computer.
    """
    if HIDDEN not in address:
        _remember(address)
        return address
    full = _read().get(address)
    if full is None:
        raise CoreError(
            f"The password of {address} is not known on this computer.", "Enter the address with its password again."
        )
    _remember(full)
    return full


def passwords_file() -> Path:
    """Return the file of addresses with their passwords, which only the user can read."""
    return platformdirs.user_config_path(NAME, appauthor=False) / "cameras.json"


def _keep(text: str) -> str:
    if text.count("://") > 1:
        return _URL.sub(lambda match: _keep(match[0]), text)
    scheme = re.search(r"[a-zA-Z][\w+.-]*://", text)
    if scheme is None:
        return text
    name, address = text[: scheme.start()], text[scheme.start() :]
    shown = _hidden_address(address)
    if shown == address:
        return text
    _remember(address)
    stored = _read()
    if stored.get(shown) != address:
        path = passwords_file()
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with replacing(path, mode=0o600) as temporary:
            temporary.write_text(json.dumps({**stored, shown: address}, indent=2) + "\n", encoding="utf-8")
    return name + shown


def _hidden_address(address: str) -> str:
    """Mask the passwords of a text that is a single address, in which they may contain spaces."""
    return without_passwords(address.replace(" ", "\0")).replace("\0", " ")


def _remember(address: str) -> None:
    masked = address.replace(" ", "\0")
    for pattern in (_USER, _QUERY):
        for match in pattern.finditer(masked):
            if match["secret"] not in ("", HIDDEN):
                _secrets.add(match["secret"].replace("\0", " "))


def _read() -> dict[str, str]:
    path = passwords_file()
    if not path.is_file():
        return {}
    values = read_json(path)
    return {str(k): str(v) for k, v in values.items()} if isinstance(values, dict) else {}
