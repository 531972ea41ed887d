"""Graphs of pinned joints under the timeline, on its time axis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QColor, QFont, QIcon, QMouseEvent, QPainter, QPen, QPixmap, QResizeEvent, QWheelEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLayout, QScrollArea, QToolButton, QVBoxLayout, QWidget

from core.types.arrays import F64
from studio.background import Background
from studio.pages.view.joints.picking import Pin, PinnedCurve
from studio.pages.view.joints.series import QUANTITIES, Quantity
from studio.theme import Theme, current_theme, theme_changed
from studio.widgets.choice import Choice
from studio.widgets.playback.timeline_bar import TimelineBar

_HEIGHT_PX = 88
_CHIPS_PX = 36
_COLUMNS = 1500
"""Number of points of a long curve, about one per pixel."""
_SWATCH = QSize(24, 12)
_STYLES = (Qt.PenStyle.SolidLine, Qt.PenStyle.DashLine, Qt.PenStyle.DotLine, Qt.PenStyle.DashDotLine)
"""Line styles of several joints of the same person."""


class JointGraphs(QFrame):
    """Plot of a quantity of all pinned joints, hidden without pins.

    Each session has its own pins, which are kept until the window is closed.

    Args:
        bar: Timeline bar above, whose time axis the plot shares.
        motions: Function that returns the computation of the motion of pinned joints, to run in a thread.
        parent: Owner.

    Attributes:
        curves: Pinned joints of the open session with their known motion.

    Signals:
        frame_selected: Frame clicked.
    """

    frame_selected = Signal(int)

    def __init__(
        self,
        bar: TimelineBar,
        motions: Callable[[Sequence[Pin]], Callable[[], list[PinnedCurve]]],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._motions = motions
        self._background = Background(self)
        self._pins: dict[Path | None, list[Pin]] = {}
        self._session: Path | None = None
        self.curves: Sequence[PinnedCurve] = ()
        self.quantity = Choice("Quantity of the pinned joints")
        self.quantity.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.quantity.currentIndexChanged.connect(self._draw)
        self.plot = _Plot(bar)
        self.plot.frame_selected.connect(self.frame_selected)
        self._chips = _ChipRow()
        head = QHBoxLayout()
        head.setContentsMargins(8, 4, 12, 0)
        head.addWidget(self.quantity)
        head.addSpacing(4)
        head.addWidget(self._chips, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addLayout(head)
        column.addWidget(self.plot)
        theme_changed.connect(self._apply_theme)
        self.hide()

    def refresh(self, session: Path | None) -> None:
        """Show the pins of a session in the current results once their motion is known."""
        self._session = session
        pins = self._pins.get(session, [])
        self.setVisible(bool(pins))
        self._background.drop()
        known = {c.pin: c for c in self.curves if all(len(one.index) == self.plot.n_frames for one in c.known)}
        self._show_curves([known.get(pin, PinnedCurve(pin=pin, selected=None, compared=None)) for pin in pins])
        if pins:
            self._background.run(self._motions(list(pins)), self._show_curves)

    def _show_curves(self, curves: Sequence[PinnedCurve]) -> None:
        self.curves = curves
        self._make_chips()
        known = [q for q in QUANTITIES if any(one.shown(q) is not None for c in self.curves for one in c.known)]
        current = self.quantity.currentData()
        if known:  # until then, the choice is kept
            self.quantity.offer([(q.label, q) for q in known], current if current in known else known[0])
        self._draw()

    def pin(self, pin: Pin) -> None:
        """Add the graph of a joint."""
        pins = self._pins.setdefault(self._session, [])
        if pin not in pins:
            pins.append(pin)
            self.refresh(self._session)

    def close_pin(self, pin: Pin) -> None:
        """Remove the graph of a joint."""
        self._pins[self._session].remove(pin)
        self.refresh(self._session)

    def show_frame(self, frame: int) -> None:
        """Move the playhead."""
        self.plot.playhead.setValue(frame + 0.5)

    def _make_chips(self) -> None:
        chips = []
        for curve, style in zip(self.curves, self._styles(), strict=True):
            chip = QToolButton()
            chip.setText(f"{curve.name}  ×")
            chip.setIcon(_line_icon(_colour(curve), style))
            chip.setIconSize(_SWATCH)
            chip.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
            chip.setToolTip(f"Close the graph of {curve.name}")
            chip.setAccessibleName(f"Close the graph of {curve.name}")
            chip.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            chip.clicked.connect(partial(self.close_pin, curve.pin))
            chips.append(chip)
        self._chips.show_chips(chips)

    def _styles(self) -> list[Qt.PenStyle]:
        """Return the line style of each curve, which differs between joints of the same person."""
        people = [curve.pin.person_id for curve in self.curves]
        return [_STYLES[people[:n].count(person) % len(_STYLES)] for n, person in enumerate(people)]

    def _draw(self) -> None:
        if not self.curves:
            return
        quantity: Quantity | None = self.quantity.currentData()
        self.plot.clear_curves("" if quantity is None else quantity.unit)
        if quantity is None:
            return
        for curve, style in zip(self.curves, self._styles(), strict=True):
            for one in curve.known:
                values = one.shown(quantity)
                ghost = one is not curve.selected
                if values is not None:
                    self.plot.add(
                        values, current_theme().muted if ghost else _colour(curve), 1.0 if ghost else 1.8, style
                    )

    def _apply_theme(self, theme: Theme) -> None:
        self.plot.apply_theme(theme)
        self._make_chips()
        self._draw()


class _ChipRow(QScrollArea):
    """Row of chips that scrolls sideways, so that many of them do not widen the window."""

    def __init__(self) -> None:
        super().__init__()
        self.setFrameShape(QFrame.Shape.NoFrame)
        for set_policy in (self.setHorizontalScrollBarPolicy, self.setVerticalScrollBarPolicy):
            set_policy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFixedHeight(_CHIPS_PX)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)

    def show_chips(self, chips: Sequence[QWidget]) -> None:
        """Replace the chips."""
        inner = QWidget()
        inner.setProperty("role", "scrolled")
        row = QHBoxLayout(inner)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        for chip in chips:
            row.addWidget(chip)
        row.setSizeConstraint(QLayout.SizeConstraint.SetFixedSize)
        place = self.horizontalScrollBar().value()
        self.setWidget(inner)
        self.horizontalScrollBar().setValue(place)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Scroll sideways."""
        bar = self.horizontalScrollBar()
        bar.setValue(bar.value() - event.angleDelta().y() - event.angleDelta().x())


class _Plot(pg.PlotWidget):
    """Curves over the frames of the timeline bar.

    Signals:
        frame_selected: Frame under the pointer while it is pressed.
    """

    frame_selected = Signal(int)

    def __init__(self, bar: TimelineBar) -> None:
        super().__init__()
        self._bar, self._curves = bar, []  # type: ignore[var-annotated]
        self.setFixedHeight(_HEIGHT_PX)
        self.setMenuEnabled(False)
        self.hideButtons()
        self.setMouseEnabled(x=False, y=False)
        self.setAccessibleName("Graph of the pinned joints")
        self.setToolTip("Click to go to a frame")
        self.plotItem.hideAxis("bottom")
        self.plotItem.layout.setContentsMargins(0, 4, 0, 4)
        self.plotItem.layout.setHorizontalSpacing(0)
        self.playhead = pg.InfiniteLine(angle=90)
        self.plotItem.addItem(self.playhead, ignoreBounds=True)
        self.apply_theme(current_theme())

    @property
    def n_frames(self) -> int:
        """Number of frames of the timeline bar."""
        return self._bar.n_frames

    def clear_curves(self, unit: str) -> None:
        """Remove all curves, and fit the axes to the timeline bar."""
        for curve in self._curves:
            self.plotItem.removeItem(curve)
        self._curves = []
        self.plotItem.getAxis("left").setLabel(unit)
        self._fit()

    def add(self, values: F64, colour: str, width: float, style: Qt.PenStyle) -> None:
        """Add a curve with one value per frame, NaN where unknown."""
        x, values = thinned(values)
        curve = pg.PlotDataItem(x, values, pen=pg.mkPen(colour, width=width, style=style), connect="finite")
        self._curves.append(curve)
        self.plotItem.addItem(curve)

    def apply_theme(self, theme: Theme) -> None:
        """Apply the colours of a theme."""
        self.setBackground(QColor(theme.panel))
        self.plotItem.showGrid(x=False, y=True, alpha=0.25)
        font = QFont(self.font())
        font.setPixelSize(11)
        axis = self.plotItem.getAxis("left")
        axis.setPen(pg.mkPen(theme.border))
        axis.setTextPen(pg.mkPen(theme.muted))
        axis.enableAutoSIPrefix(False)
        axis.setStyle(tickFont=font, tickLength=4)
        self.playhead.setPen(pg.mkPen(theme.text, width=1.4))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Align with the timeline bar, which has the same width."""
        super().resizeEvent(event)
        if hasattr(self, "playhead"):
            self._fit()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Pass wheel events to the page."""
        event.ignore()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Go to the frame under the pointer."""
        self.mouseMoveEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Go to the frame under the pointer while the button is held."""
        if event.buttons() & Qt.MouseButton.LeftButton:
            self.frame_selected.emit(self._bar.frame_at(event.position().x()))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Accept the event: there is no drag."""

    def _fit(self) -> None:
        """Align the first and the last frame with those of the bar."""
        count = self._bar.n_frames
        self.plotItem.getAxis("left").setWidth(round(self._bar.x_of(0)))
        right = max(self._bar.width() - self._bar.x_of(count), 0)
        self.plotItem.layout.setContentsMargins(0, 4, right, 4)
        self.setXRange(0, max(count, 1), padding=0)


def thinned(values: F64) -> tuple[F64, F64]:
    """Return positions and values (n,) of a reduced curve that preserves peaks, with two points per plot column.

    Gaps longer than a column are kept; shorter ones are bridged.
    """
    frames: F64 = np.arange(len(values), dtype=np.float64) + 0.5
    step = -(-len(values) // _COLUMNS)
    if step <= 2:
        return frames, values
    padded = np.append(values, np.full(-len(values) % step, np.nan)).reshape(-1, step)
    low = np.fmin.reduce(padded, axis=1)
    high = np.fmax.reduce(padded, axis=1)
    places: F64 = np.arange(len(padded), dtype=np.float64) * step + step / 2
    return np.repeat(places, 2), np.asarray(np.stack([low, high], 1).reshape(-1), float)


def _colour(curve: PinnedCurve) -> str:
    theme = current_theme()
    return theme.person(curve.selected.person) if curve.selected is not None else theme.muted


def _line_icon(colour: str, style: Qt.PenStyle) -> QIcon:
    """Return an icon with a short line, for a legend."""
    image = QPixmap(_SWATCH)
    image.fill(Qt.GlobalColor.transparent)
    with QPainter(image) as painter:
        painter.setPen(QPen(QColor(colour), 2, style))
        painter.drawLine(0, _SWATCH.height() // 2, _SWATCH.width(), _SWATCH.height() // 2)
    return QIcon(image)
