"""Calibration error over the recording; a click selects a frame."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QColor, QFont, QKeyEvent
from PySide6.QtWidgets import QWidget

from core.types.arrays import F64
from studio.theme import Theme, current_theme, theme_changed

_CLIPPED_HEIGHT = 0.95  # position on the axis of points beyond it


class _UnitAxis(pg.AxisItem):
    """Axis with the unit in every tick label, which takes less space than a title."""

    def __init__(self, side: str, unit: str) -> None:
        super().__init__(side)
        self._unit = unit

    def tickStrings(self, values: Sequence[float], scale: float, spacing: float) -> list[str]:
        return [f"{text} {self._unit}" for text in super().tickStrings(values, scale, spacing)]


class ErrorTimeline(pg.PlotWidget):
    """Plot with one dot per frame, and a marker at the selected frame.

    Signals:
        frame_selected: Frame selected by a click or the arrow keys.
    """

    frame_selected = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        axes = {"left": _UnitAxis("left", "px"), "bottom": _UnitAxis("bottom", "s")}
        super().__init__(parent, axisItems=axes)
        self._time_s, self._error = np.zeros(0), np.zeros(0)
        self._top = np.inf
        self.frame: int | None = None
        self.setFixedHeight(132)
        self.setMenuEnabled(False)
        self.hideButtons()
        self.setMouseEnabled(x=False, y=False)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName("Error over time")
        self._dots = pg.ScatterPlotItem(size=6, pen=None)
        self._marker = pg.InfiniteLine(angle=90)
        self._marker.hide()
        self.plotItem.addItem(self._dots)
        self.plotItem.addItem(self._marker)
        self.scene().sigMouseClicked.connect(self._clicked)
        theme_changed.connect(self.apply_theme)
        self.apply_theme(current_theme())

    def show_errors(self, time_s: Sequence[float] | F64, error_px: Sequence[float | None] | F64) -> None:
        """Show errors (T,) at times (T,); None or NaN where missing."""
        self._time_s = np.asarray(time_s, float)
        self._error = np.array([np.nan if e is None else e for e in error_px], float)
        self.frame = None
        self._marker.hide()
        known = self._error[np.isfinite(self._error)]
        self._top = np.inf
        if len(known):
            self._top = float(np.percentile(known, 98)) * 1.25
        self.apply_theme(current_theme())
        if len(known):
            self.setYRange(0, self._top, padding=0)

    @property
    def status_text(self) -> str:
        """Description of the selected frame; empty if none is selected."""
        if self.frame is None:
            return ""
        error = self._error[self.frame]
        text = f"{error:.2f} px" if np.isfinite(error) else "no prediction"
        return f"{self._time_s[self.frame]:.1f} s: {text}. Arrow keys: previous and next frame."

    def go_to(self, frame: int) -> None:
        """Mark a frame without emitting `frame_selected`."""
        self.frame = frame
        self._marker.setValue(float(self._time_s[frame]))
        self._marker.show()

    def apply_theme(self, theme: Theme) -> None:
        """Apply the colours of a theme."""
        self.setBackground(QColor(theme.panel))
        self.plotItem.showGrid(x=False, y=True, alpha=0.25)
        font = QFont(self.font())
        font.setPixelSize(11)
        for side in ("left", "bottom"):
            axis = self.plotItem.getAxis(side)
            axis.setPen(pg.mkPen(theme.border))
            axis.setTextPen(pg.mkPen(theme.muted))
            axis.enableAutoSIPrefix(False)
            axis.setStyle(tickFont=font, tickLength=4)
        self._marker.setPen(pg.mkPen(theme.text, width=1.4))
        known = np.isfinite(self._error)
        typical = float(np.median(self._error[known])) if known.any() else 1.0
        brushes = [pg.mkBrush(theme.warn if e > 3 * typical else theme.accent) for e in self._error[known]]
        # Outliers are shown as arrows at the upper edge.
        above = self._error[known] > self._top
        height = np.where(above, _CLIPPED_HEIGHT * self._top, self._error[known]) if above.any() else self._error[known]
        symbols = np.where(above, "t1", "o").tolist()
        self._dots.setData(self._time_s[known], height, brush=brushes, symbol=symbols)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Go to the previous or next frame with an error."""
        step = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}.get(Qt.Key(event.key()), 0)
        known = np.flatnonzero(np.isfinite(self._error))
        if step and len(known):
            index = 0 if self.frame is None else int(np.searchsorted(known, self.frame)) + step
            self._select(int(known[np.clip(index, 0, len(known) - 1)]))
        else:
            super().keyPressEvent(event)

    def _clicked(self, event: object) -> None:
        position = self.plotItem.vb.mapSceneToView(event.scenePos())  # type: ignore[attr-defined]
        known = np.flatnonzero(np.isfinite(self._error))
        if len(known):
            self._select(int(known[np.argmin(np.abs(self._time_s[known] - position.x()))]))

    def _select(self, frame: int) -> None:
        self.go_to(frame)
        self.frame_selected.emit(frame)
