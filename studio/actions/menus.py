"""Menus built from the table of actions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtWidgets import QMenu, QMenuBar, QWidget

from studio.actions.registry import ActionRegistry
from studio.actions.table import RECENT, SEPARATOR, MenuTable
from studio.settings import SettingsStore

_CLEAR = "\0clear"
OpenPath = Callable[[Path], None]


class RecentMenu(QMenu):
    """Submenu of existing recent sessions, updated whenever it opens.

    Args:
        settings: Store of the recent sessions.
        open_path: Function called with the chosen folder.
        parent: Owner.
    """

    def __init__(self, settings: SettingsStore, open_path: OpenPath, parent: QWidget) -> None:
        super().__init__("Open recent", parent)
        self._settings, self._open_path = settings, open_path
        self.aboutToShow.connect(self._fill)
        self.triggered.connect(self._open_chosen)

    def _fill(self) -> None:
        self.clear()
        for root in recent_sessions(self._settings):
            self.addAction(f"{root.name}    {root.parent}").setData(str(root))
        if self.isEmpty():
            self.addAction("No recent sessions").setEnabled(False)
        if self._settings.value.recent:
            self.addSeparator()
            self.addAction("Clear this list").setData(_CLEAR)

    def _open_chosen(self, action: object) -> None:
        path = getattr(action, "data", str)()
        if path == _CLEAR:
            self._settings.update(recent=())
        elif path:
            self._open_path(Path(path))


def recent_sessions(settings: SettingsStore) -> list[Path]:
    """Return the existing folders of recent sessions, newest first."""
    return [root for root in map(Path, settings.value.recent) if (root / "session.yaml").is_file()]


def fill_menu_bar(
    bar: QMenuBar, menus: MenuTable, registry: ActionRegistry, settings: SettingsStore, open_path: OpenPath
) -> None:
    """Add every menu of a table to the bar."""
    for title, names in menus:
        fill_menu(bar.addMenu(title), names, registry, settings, open_path)


def fill_menu(
    menu: QMenu, names: tuple[str, ...], registry: ActionRegistry, settings: SettingsStore, open_path: OpenPath
) -> None:
    """Add the named actions to a menu."""
    menu.setToolTipsVisible(True)
    for name in names:
        if name == SEPARATOR:
            menu.addSeparator()
        elif name == RECENT:
            menu.addMenu(RecentMenu(settings, open_path, menu))
        else:
            menu.addAction(registry[name])
