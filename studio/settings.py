"""Persistent settings of the window; a damaged file does not prevent the window from opening."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from core import NAME
from core.config import from_mapping, to_mapping
from core.errors import CoreError
from core.files import read_yaml, write_yaml
from core.passwords import keep_passwords
from studio.theme import ThemeName

_logger = logging.getLogger(f"{NAME}.settings")
_MAX_RECENT = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of one user.

    Attributes:
        theme: Name of the theme.
        recent: Recent session folders, newest first.
        last_folder: Folder of the last chosen file.
        jobs_panel: Show the jobs panel.
        geometry: Position and size of the window: Qt's bytes in base64.
        cameras: Live cameras, each as "name=address".
        turning: Rotate the 3D view slowly when the sample is opened.
        record_sound: Store the sound of cameras in takes.
    """

    theme: ThemeName = "dark"
    recent: tuple[str, ...] = ()
    last_folder: str = ""
    jobs_panel: bool = False
    geometry: str = ""
    cameras: tuple[str, ...] = ()
    turning: bool = True
    record_sound: bool = False


def user_settings_file() -> Path:
    """Return the settings file of the current user."""
    return platformdirs.user_config_path(NAME, appauthor=False) / "settings.yaml"


def sessions_folder() -> Path:
    """Return the default folder of new sessions."""
    return platformdirs.user_documents_path() / "SelfPose Studio"


class SettingsStore:
    """Settings and their file.

    An unreadable file is copied to `settings.bad.yaml` and replaced by the defaults; an invalid value is replaced by
    its default.

    Args:
        path: The file; None keeps the settings in memory.

    Attributes:
        complaint: Message on unreadable settings, to show once; empty if all were read.
        is_new: True at the first start, when there is no file yet.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self.complaint = ""
        self.is_new = path is not None and not path.exists()
        self._value = self._load()

    @property
    def value(self) -> Settings:
        """Current settings."""
        return self._value

    def update(self, **changes: Any) -> None:
        """Change settings and write the file; a write error is only logged."""
        if "cameras" in changes:
            changes["cameras"] = tuple(keep_passwords(changes["cameras"]))
        self._value = dataclasses.replace(self._value, **changes)
        if self._path is not None:
            try:
                write_yaml(self._path, to_mapping(self._value))
            except (OSError, CoreError) as error:
                _logger.warning("The settings could not be saved in %s: %s", self._path, error)

    def remember_session(self, root: Path) -> None:
        """Put a session first in the list of recent sessions."""
        others = [r for r in self._value.recent if r != str(root)]
        self.update(recent=(str(root), *others)[:_MAX_RECENT])

    def forget_session(self, root: Path) -> None:
        """Remove a session from the list of recent sessions."""
        self.update(recent=tuple(r for r in self._value.recent if r != str(root)))

    def _load(self) -> Settings:
        if self._path is None or not self._path.exists():
            return Settings()
        try:
            values = read_yaml(self._path) or {}
            if not isinstance(values, Mapping):
                raise CoreError(f"{self._path} contains no settings.", "It should contain 'name: value' lines.")
        except CoreError as error:
            return self._recover(error, {})
        return self._load_values(values)

    def _load_values(self, values: Mapping[str, Any]) -> Settings:
        try:
            return from_mapping(Settings, values)
        except CoreError as error:
            valid: dict[str, Any] = {}
            for key, value in values.items():
                with contextlib.suppress(CoreError):
                    from_mapping(Settings, {key: value})
                    valid[key] = value
            return self._recover(error, valid)

    def _recover(self, error: CoreError, valid: Mapping[str, Any]) -> Settings:
        assert self._path is not None
        copy = self._path.with_name("settings.bad.yaml")
        with contextlib.suppress(OSError):
            shutil.copy2(self._path, copy)
        rest = "The other settings were kept." if valid else "The defaults are used."
        self.complaint = f"{error.message} {rest} A copy of the file is {copy}."
        _logger.warning("%s", self.complaint)
        return from_mapping(Settings, valid)
