"""Names of 3D results for people: titles that were given to them, and the part of a file name that stands for one."""

from __future__ import annotations

import re
from pathlib import Path

from core.errors import CoreError
from core.files import read_yaml, write_yaml
from core.session.store import BASELINE, Take

_RUN = re.compile(r"(\d{8}-\d{6})\b")


def given_title(take: Take, name: str) -> str:
    """Return the title that a user has given to a result of a take; empty if there is none."""
    title = _titles(take).get(name, "")
    return title if isinstance(title, str) else ""


def give_title(take: Take, name: str, title: str) -> None:
    """Give a title to a result of a take; an empty one takes it away.

    Raises:
        CoreError: The take cannot be written.
    """
    titles = {key: value for key, value in _titles(take).items() if key != name}
    if title.strip():
        titles[name] = title.strip()
    try:
        write_yaml(_file(take), titles)
    except OSError as error:
        raise CoreError(
            f"{_file(take)} cannot be written: {error.strerror}.", "Check that you may write to the session."
        ) from error


def result_slug(name: str) -> str:
    """Return what stands for a result in names of exported files: "baseline", "fast", or "trained_20261130-140300"."""
    match = _RUN.match(name)
    return f"trained_{match[1]}" if match and name != BASELINE else name


def _titles(take: Take) -> dict[str, object]:
    try:
        titles = read_yaml(_file(take)) if _file(take).is_file() else {}
    except CoreError:
        return {}  # damaged: the results have their own names
    return titles if isinstance(titles, dict) else {}


def _file(take: Take) -> Path:
    return take.layout.poses3d_root / "titles.yaml"
