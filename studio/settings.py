"""What the window remembers between starts. A bad file never keeps it from opening."""

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
from studio.theme import ThemeName

_logger = logging.getLogger(f"{NAME}.settings")
_MAX_RECENT = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Values with sensible defaults.

    Attributes:
        theme: Which look.
        recent: Session folders, newest first.
        last_folder: Where the last file was chosen.
        jobs_panel: Whether the panel of jobs is open.
        geometry: Place and size of the window, as Qt's own bytes in base64.
        cameras: Live cameras, each as "name=address".
    """

    theme: ThemeName = "dark"
    recent: tuple[str, ...] = ()
    last_folder: str = ""
    jobs_panel: bool = False
    geometry: str = ""
    cameras: tuple[str, ...] = ()


def settings_file() -> Path:
    """Where the settings of this person lie."""
    return platformdirs.user_config_path(NAME, appauthor=False) / "settings.yaml"


def sessions_folder() -> Path:
    """Where new sessions are proposed."""
    return platformdirs.user_documents_path() / "SelfPose Studio"


class SettingsStore:
    """The settings and their file.

    A file that cannot be read is kept beside as `settings.bad.yaml` and the defaults are used; a single bad value
    costs only that value. `complaint` then says so, for the window to show once.

    Args:
        path: The file; None keeps everything in memory.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self.complaint = ""
        self._value = self._load()

    @property
    def value(self) -> Settings:
        """The settings as they are now."""
        return self._value

    def update(self, **changes: Any) -> None:
        """Changes some settings and writes the file; a disk that refuses is logged, not fatal."""
        self._value = dataclasses.replace(self._value, **changes)
        if self._path is not None:
            try:
                write_yaml(self._path, to_mapping(self._value))
            except OSError as error:
                _logger.warning("The settings could not be saved in %s: %s", self._path, error)

    def remember_session(self, root: Path) -> None:
        """Puts a session first among the recent ones."""
        others = [r for r in self._value.recent if r != str(root)]
        self.update(recent=(str(root), *others)[:_MAX_RECENT])

    def _load(self) -> Settings:
        if self._path is None or not self._path.exists():
            return Settings()
        try:
            values = read_yaml(self._path) or {}
            if not isinstance(values, Mapping):
                raise CoreError(f"{self._path} holds no settings.", "It should be 'name: value' lines.")
        except CoreError as error:
            return self._forgive(error, {})
        return self._forgive_values(values)

    def _forgive_values(self, values: Mapping[str, Any]) -> Settings:
        try:
            return from_mapping(Settings, values)
        except CoreError as error:
            good: dict[str, Any] = {}
            for key, value in values.items():
                with contextlib.suppress(CoreError):
                    from_mapping(Settings, {key: value})
                    good[key] = value
            return self._forgive(error, good)

    def _forgive(self, error: CoreError, good: Mapping[str, Any]) -> Settings:
        assert self._path is not None
        copy = self._path.with_name("settings.bad.yaml")
        with contextlib.suppress(OSError):
            shutil.copy2(self._path, copy)
        rest = "The other settings were kept." if good else "The defaults are used."
        self.complaint = f"The settings could not be read in full: {error.message} {rest} A copy is in {copy}."
        _logger.warning("%s", self.complaint)
        return from_mapping(Settings, good)
