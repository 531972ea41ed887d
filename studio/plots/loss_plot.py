"""Curves of a running training: one line a figure, in the theme's colours."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QColor, QFont
from PySide6.QtWidgets import QWidget

from core.jobs import Metric
from studio.theme import Theme, current_theme, theme_changed

_REDRAW_MS = 100
_MAX_POINTS = 2_000


class LossPlot(pg.PlotWidget):
    """Lines over training steps, redrawn at most ten times a second.

    Args:
        title: What the figures have in common.
        unit: Of the vertical axis, in words.
        logarithmic: Whether the vertical axis is.
    """

    def __init__(self, title: str, unit: str = "", *, logarithmic: bool = False, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._title, self._unit, self._logarithmic = title, unit, logarithmic
        self._points: dict[str, list[tuple[int, float]]] = {}
        self._curves: dict[str, pg.PlotDataItem] = {}
        self.setFixedHeight(208)
        self.setMenuEnabled(False)
        self.hideButtons()
        self.setMouseEnabled(x=False, y=False)
        self.viewport().setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.plotItem.setLogMode(y=logarithmic)
        self._legend = self.plotItem.addLegend(offset=(-8, 8), labelTextSize="11px")
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_REDRAW_MS)
        self._timer.timeout.connect(self.redraw)
        theme_changed.connect(self.dress)
        self.dress(current_theme())

    @property
    def names(self) -> list[str]:
        """Figures that have a curve."""
        return list(self._points)

    def n_points(self, name: str) -> int:
        """How many values of a figure are held."""
        return len(self._points.get(name, ()))

    def add(self, metrics: Iterable[Metric]) -> None:
        """Takes new figures in; they are drawn with the next redraw."""
        for metric in metrics:
            if np.isfinite(metric.value):
                self._points.setdefault(metric.name, []).append((metric.step, metric.value))
        if not self._timer.isActive():
            self._timer.start()

    def forget(self) -> None:
        """Begins anew."""
        self._points.clear()
        for curve in self._curves.values():
            self.plotItem.removeItem(curve)
        self._curves.clear()
        self._legend.clear()

    def redraw(self) -> None:
        """Draws what was added."""
        for name, points in self._points.items():
            values = np.array(points, float)  # (n, 2): step, value
            # A resumed job repeats the steps since its last checkpoint: the later value counts.
            steps, index = np.unique(values[::-1, 0], return_index=True)
            series = values[::-1, 1][index]
            if self._logarithmic:
                series = np.where(series > 0, series, np.nan)
            stride = max(1, len(steps) // _MAX_POINTS)
            self._curve(name).setData(steps[::stride], series[::stride])

    def dress(self, theme: Theme) -> None:
        """Takes the colours of a theme."""
        self.setBackground(QColor(theme.panel))
        self.plotItem.showGrid(x=False, y=True, alpha=0.25)
        font = QFont(self.font())
        font.setPixelSize(11)
        for side in ("left", "bottom"):
            axis = self.plotItem.getAxis(side)
            axis.setPen(pg.mkPen(theme.border))
            axis.setTextPen(pg.mkPen(theme.muted))
            # On a logarithmic axis only the decades fit; their tenths keep their lines.
            level = 0 if self._logarithmic and side == "left" else 2
            axis.setStyle(tickFont=font, tickLength=4, maxTextLevel=level)
        self.plotItem.setTitle(self._title, color=theme.text, size="12px")
        self.plotItem.setLabel("bottom", "step", color=theme.muted, **{"font-size": "11px"})
        self.plotItem.setLabel("left", self._unit, color=theme.muted, **{"font-size": "11px"})
        self._legend.setLabelTextColor(QColor(theme.muted))
        for index, curve in enumerate(self._curves.values()):
            curve.setPen(self._pen(index))

    def _curve(self, name: str) -> pg.PlotDataItem:
        if name not in self._curves:
            words = name.partition("/")[2].replace("_", " ") or name
            self._curves[name] = self.plotItem.plot(
                pen=self._pen(len(self._curves)), name=words, connect="finite", antialias=True
            )
            self._legend.setLabelTextColor(QColor(current_theme().muted))
        return self._curves[name]

    def _pen(self, index: int) -> pg.mkPen:
        series = current_theme().series
        return pg.mkPen(series[index % len(series)], width=1.6)
