"""The rail on the left: the pages in the order of the work, each with how far it is."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QEnterEvent, QFont, QPainter, QPaintEvent
from PySide6.QtWidgets import QAbstractButton, QButtonGroup, QFrame, QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from studio.icons import renderer
from studio.pages.registry import PAGES, PageSpec
from studio.state.steps import StepView
from studio.theme import GRID_PX, current_theme
from studio.widgets.icon_label import IconLabel
from studio.widgets.status_dot import StepState, paint_dot
from studio.widgets.text import label

RAIL_PX = 184


class NavButton(QAbstractButton):
    """One page in the rail.

    Args:
        spec: The page.
    """

    def __init__(self, spec: PageSpec, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.spec = spec
        self.step_state: StepState = "blocked"
        self.setText(spec.title)
        self.setCheckable(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setAccessibleName(spec.title)

    def set_step(self, step: StepView) -> None:
        """Shows how far the page is, and why."""
        self.step_state = step.state
        self.setToolTip(f"{self.spec.title}: {step.reason}" if step.reason else self.spec.title)
        self.setAccessibleDescription(step.reason)
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(RAIL_PX - 2 * GRID_PX, 5 * GRID_PX)

    def enterEvent(self, event: QEnterEvent) -> None:
        self.update()

    def leaveEvent(self, event: QEvent) -> None:
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        theme = current_theme()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        box = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        painter.setPen(Qt.PenStyle.NoPen)
        if self.isChecked():
            painter.setBrush(QColor(theme.accent_soft))
            painter.drawRoundedRect(box, 6, 6)
        elif self.underMouse() and self.isEnabled():
            painter.setBrush(QColor(theme.hover))
            painter.drawRoundedRect(box, 6, 6)
        if self.hasFocus():
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QColor(theme.accent))
            painter.drawRoundedRect(box, 6, 6)
        ink = theme.faint if not self.isEnabled() else theme.text if self.isChecked() else theme.muted
        middle = box.center().y()
        drawing = theme.accent if self.isChecked() and self.isEnabled() else ink
        renderer(self.spec.icon, drawing).render(painter, QRectF(12, middle - 10, 20, 20))
        font = QFont(self.font())
        font.setWeight(QFont.Weight.DemiBold if self.isChecked() else QFont.Weight.Medium)
        painter.setFont(font)
        painter.setPen(QColor(ink))
        painter.drawText(box.adjusted(44, 0, -32, 0), Qt.AlignmentFlag.AlignVCenter, self.text())
        if self.isEnabled():
            paint_dot(painter, QPointF(box.right() - 18, middle), self.step_state, 6.0)
        painter.end()


class NavigationRail(QFrame):
    """The pages, top to bottom.

    Signals:
        page_chosen: Name of the page that was clicked.
    """

    page_chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("rail")
        self.setFixedWidth(RAIL_PX)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(GRID_PX, GRID_PX, GRID_PX, GRID_PX)
        layout.setSpacing(4)
        layout.addLayout(_brand())
        layout.addSpacing(GRID_PX)
        self._group = QButtonGroup(self)
        self.buttons: dict[str, NavButton] = {}
        for spec in PAGES:
            button = NavButton(spec)
            self.buttons[spec.name] = button
            self._group.addButton(button)
            layout.addWidget(button)
        self._group.buttonClicked.connect(self._clicked)
        layout.addStretch(1)
        self.foot = QHBoxLayout()
        self.foot.setSpacing(4)
        layout.addLayout(self.foot)

    def set_current(self, name: str) -> None:
        """Marks a page as the one that is seen; an empty name marks none."""
        self._group.setExclusive(bool(name))
        for page, button in self.buttons.items():
            button.setChecked(page == name)

    def set_steps(self, steps: dict[str, StepView]) -> None:
        """Shows how far each page is."""
        for name, step in steps.items():
            self.buttons[name].set_step(step)

    def set_pages_enabled(self, enabled: bool) -> None:
        """Without a session there is nothing to go to."""
        for button in self.buttons.values():
            button.setEnabled(enabled)

    def _clicked(self, button: NavButton) -> None:
        self.page_chosen.emit(button.spec.name)


def _brand() -> QHBoxLayout:
    row = QHBoxLayout()
    row.setContentsMargins(GRID_PX, GRID_PX, GRID_PX, GRID_PX)
    row.setSpacing(GRID_PX)
    row.addWidget(IconLabel("logo", "accent", 22))
    row.addWidget(label("SelfPose", "heading", wrap=False), 1)
    return row
