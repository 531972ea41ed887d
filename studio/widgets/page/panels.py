"""Tab bar over widgets, one of which is visible."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QIcon, QWheelEvent
from PySide6.QtWidgets import QHBoxLayout, QTabBar, QVBoxLayout, QWidget

from studio.icons import icon
from studio.theme import GRID_PX


class Panels(QWidget):
    """Tab bar, and the widget of the selected tab below.

    Unlike in a `QTabWidget`, hidden widgets take no space, so that a long one does not make the others scroll.

    Args:
        kind: Appearance of the tabs in the style sheet: "steps" or "segments".
        margin_px: Space on both sides of the tabs.

    Attributes:
        bar: Tab bar.
        tools: Layout at the right end of the tab bar.

    Signals:
        changed: Name of the panel that was selected.
    """

    changed = Signal(str)

    def __init__(self, kind: str = "segments", margin_px: int = 0, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._panels: dict[str, QWidget] = {}
        self._tips: dict[str, str] = {}
        self._box = QVBoxLayout(self)
        self._box.setContentsMargins(0, 0, 0, 0)
        self._box.setSpacing(GRID_PX)
        self.bar = _TabBar()
        self.bar.setProperty("kind", kind)
        self.bar.setDrawBase(False)
        self.bar.setExpanding(False)
        self.bar.setElideMode(Qt.TextElideMode.ElideNone)
        self.bar.setUsesScrollButtons(False)
        self.bar.setIconSize(QSize(16, 16))
        self.bar.currentChanged.connect(self._show_current)
        self.tools = QHBoxLayout()
        self.tools.setSpacing(GRID_PX)
        head = QHBoxLayout()
        head.setContentsMargins(margin_px, 0, margin_px, 0)
        head.addWidget(self.bar, 1)
        head.addLayout(self.tools)
        self._box.addLayout(head)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the panels in order."""
        return tuple(self._panels)

    @property
    def current(self) -> str:
        """Name of the visible panel."""
        return self.names[self.bar.currentIndex()]

    def area(self, name: str) -> QWidget:
        """Return the widget of a panel."""
        return self._panels[name]

    def add(self, name: str, title: str, panel: QWidget, tip: str = "") -> None:
        """Append a panel."""
        panel.setVisible(not self._panels)
        self._panels[name], self._tips[name] = panel, tip
        self._box.addWidget(panel, 1)
        self.bar.setTabToolTip(self.bar.addTab(title), tip)

    def show_panel(self, name: str) -> None:
        """Select a panel."""
        self.bar.setCurrentIndex(self.names.index(name))

    def is_available(self, name: str) -> bool:
        """Return True if a panel can be selected."""
        at = self.names.index(name)
        return self.bar.isTabVisible(at) and self.bar.isTabEnabled(at)

    def set_available(self, name: str, available: bool) -> None:
        """Show or hide the tab of a panel."""
        self.bar.setTabVisible(self.names.index(name), available)

    def set_blocked(self, name: str, reason: str) -> None:
        """Disable a tab, with the reason as its tooltip; an empty reason enables it."""
        at = self.names.index(name)
        self.bar.setTabEnabled(at, not reason)
        self.bar.setTabToolTip(at, reason or self._tips[name])

    def set_icon(self, name: str, icon_name: str, token: str = "muted") -> None:
        """Show an icon on a tab; an empty name removes it."""
        self.bar.setTabIcon(self.names.index(name), icon(icon_name, token, token) if icon_name else QIcon())

    def _show_current(self, index: int) -> None:
        for at, panel in enumerate(self._panels.values()):
            panel.setVisible(at == index)
        if 0 <= index < len(self._panels):
            self.changed.emit(self.names[index])


class _TabBar(QTabBar):
    def wheelEvent(self, event: QWheelEvent) -> None:
        """Pass wheel events to the page: scrolling must not select another tab."""
        event.ignore()
