"""Navigation rail: the pages in the order of the workflow, each with its state."""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QEnterEvent, QFont, QPainter, QPaintEvent
from PySide6.QtWidgets import (
    QAbstractButton,
    QBoxLayout,
    QButtonGroup,
    QFrame,
    QHBoxLayout,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from studio.icons import renderer
from studio.specs import PageSpec, StepView
from studio.theme import GRID_PX, current_theme
from studio.widgets.icon_label import IconLabel
from studio.widgets.status_dot import StepState, paint_status_dot
from studio.widgets.text import make_label

RAIL_PX = 184
COMPACT_PX = 56


class NavButton(QAbstractButton):
    """Button of one page.

    Args:
        spec: The page.
        parent: Owner.
    """

    def __init__(self, spec: PageSpec, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.spec = spec
        self.step_state: StepState = "blocked"
        self.compact = False
        self.setText(spec.title)
        self.setCheckable(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setAccessibleName(spec.title)

    def set_step(self, step: StepView) -> None:
        """Show the state of the page, with its reason as the tooltip."""
        self.step_state = step.state
        self.setToolTip(f"{self.spec.title}: {step.reason}" if step.reason else self.spec.title)
        self.setAccessibleDescription(step.reason)
        self.update()

    def sizeHint(self) -> QSize:
        """Return the size of the compact button."""
        return QSize(COMPACT_PX - 2 * GRID_PX, 5 * GRID_PX)

    def enterEvent(self, event: QEnterEvent) -> None:
        """Repaint with the hover background."""
        self.update()

    def leaveEvent(self, event: QEvent) -> None:
        """Repaint without the hover background."""
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw background, icon, title and state."""
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
        text_colour = theme.faint if not self.isEnabled() else theme.text if self.isChecked() else theme.muted
        middle = box.center().y()
        icon_colour = theme.accent if self.isChecked() and self.isEnabled() else text_colour
        renderer(self.spec.icon, icon_colour).render(painter, QRectF(10 if self.compact else 12, middle - 10, 20, 20))
        font = QFont(self.font())
        font.setWeight(QFont.Weight.DemiBold if self.isChecked() else QFont.Weight.Medium)
        painter.setFont(font)
        painter.setPen(QColor(text_colour))
        if not self.compact:
            painter.drawText(box.adjusted(44, 0, -32, 0), Qt.AlignmentFlag.AlignVCenter, self.text())
        if self.isEnabled():
            at = QPointF(box.right() - 7, box.top() + 9) if self.compact else QPointF(box.right() - 18, middle)
            paint_status_dot(painter, at, self.step_state, 4.5 if self.compact else 6.0)
        painter.end()


class NavigationRail(QFrame):
    """Buttons of the pages, top to bottom.

    Args:
        pages: The pages in order.
        parent: Owner.

    Attributes:
        buttons: By page name.
        foot: Layout at the bottom, for tool buttons.

    Signals:
        page_chosen: Name of the clicked page.
    """

    page_chosen = Signal(str)

    def __init__(self, pages: Iterable[PageSpec], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("rail")
        self.setFixedWidth(RAIL_PX)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(GRID_PX, GRID_PX, GRID_PX, GRID_PX)
        layout.setSpacing(4)
        self._brand = make_label("SelfPose", "heading", wrap=False)
        head = QHBoxLayout()
        head.setContentsMargins(9, GRID_PX, 0, GRID_PX)
        head.setSpacing(GRID_PX)
        head.addWidget(IconLabel("logo", "accent", 22), 0, Qt.AlignmentFlag.AlignLeft)
        head.addWidget(self._brand, 1)
        layout.addLayout(head)
        layout.addSpacing(GRID_PX)
        self._group = QButtonGroup(self)
        self.buttons: dict[str, NavButton] = {}
        for spec in pages:
            button = NavButton(spec)
            self.buttons[spec.name] = button
            self._group.addButton(button)
            layout.addWidget(button)
        self._group.buttonClicked.connect(self._clicked)
        layout.addStretch(1)
        self.foot = QBoxLayout(QBoxLayout.Direction.LeftToRight)
        self.foot.setSpacing(4)
        layout.addLayout(self.foot)

    def set_compact(self, compact: bool) -> None:
        """Show icons only, or icons and titles."""
        self.setFixedWidth(COMPACT_PX if compact else RAIL_PX)
        self._brand.setVisible(not compact)
        down, across = QBoxLayout.Direction.TopToBottom, QBoxLayout.Direction.LeftToRight
        self.foot.setDirection(down if compact else across)
        for button in self.buttons.values():
            button.compact = compact
            button.update()

    def set_current(self, name: str) -> None:
        """Mark the visible page; an empty name marks none."""
        self._group.setExclusive(bool(name))
        for page, button in self.buttons.items():
            button.setChecked(page == name)

    def set_steps(self, steps: dict[str, StepView]) -> None:
        """Show the state of each page."""
        for name, step in steps.items():
            self.buttons[name].set_step(step)

    def set_pages_enabled(self, enabled: bool) -> None:
        """Enable or disable all pages."""
        for button in self.buttons.values():
            button.setEnabled(enabled)

    def _clicked(self, button: NavButton) -> None:
        self.page_chosen.emit(button.spec.name)
