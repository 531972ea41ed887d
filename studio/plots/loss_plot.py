"""Plot of training metrics."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QColor, QFont, QFontMetrics, QResizeEvent
from PySide6.QtWidgets import QWidget

from core.jobs import Metric
from studio.theme import Theme, current_theme, theme_changed

_REDRAW_MS = 100
_MAX_POINTS = 2_000
_FEW_DECADES = 2
_FEW_POINTS = 3
"""Number of points below which dots are drawn instead of a line."""
_TITLE_PX, _LEGEND_PX = 24, 16
_LEGEND_FONT_PX, _LEGEND_GAP_PX = 11, 12


class LogAxis(pg.AxisItem):
    """Logarithmic axis with plain numbers: 1, 2 and 5 per decade, or only decades if there are many."""

    def tickValues(self, minVal: float, maxVal: float, size: float) -> list[tuple[float, list[float]]]:
        """Return ticks as pyqtgraph expects: (spacing, positions), positions as powers of ten."""
        first, last = int(np.floor(minVal)), int(np.ceil(maxVal))
        steps = (1, 2, 5) if last - first <= _FEW_DECADES else (1,)
        exact = (decade + np.log10(step) for decade in range(first, last + 1) for step in steps)
        return [(1.0, [float(v) for v in exact if minVal <= v <= maxVal])]

    def tickStrings(self, values: list[float], scale: float, spacing: float) -> list[str]:
        """Return tick labels as pyqtgraph expects."""
        return [f"{10**value:.3g}" for value in values]


class LossPlot(pg.PlotWidget):
    """Curves over training steps, redrawn at most ten times per second.

    Args:
        title: Title.
        unit: Label of the vertical axis.
        logarithmic: Use a logarithmic vertical axis.
        labels: Legend text by the second part of a metric's name, if different.
        reference: Second part of the name of a metric drawn as a reference level.
    """

    def __init__(
        self,
        title: str,
        unit: str = "",
        *,
        logarithmic: bool = False,
        labels: Mapping[str, str] | None = None,
        reference: str = "",
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent, axisItems={"left": LogAxis("left")} if logarithmic else None)
        self._title, self._unit, self._logarithmic = title, unit, logarithmic
        self._labels = dict(labels or {})
        self._reference = reference
        self._level: tuple[str, float] | None = None
        self._level_line = pg.InfiniteLine(angle=0)
        self._points: dict[str, list[tuple[int, float]]] = {}
        self._curves: dict[str, pg.PlotDataItem] = {}
        self.setFixedHeight(208)
        self.setMenuEnabled(False)
        self.hideButtons()
        self.setMouseEnabled(x=False, y=False)
        self.viewport().setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.plotItem.setLogMode(y=logarithmic)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_REDRAW_MS)
        self._timer.timeout.connect(self.redraw)
        theme_changed.connect(self.apply_theme)
        self.apply_theme(current_theme())

    @property
    def level(self) -> float | None:
        """Value of the reference; None if there is none."""
        return None if self._level is None else self._level[1]

    @property
    def names(self) -> list[str]:
        """Names of the metrics with a curve."""
        return list(self._points)

    def add(self, metrics: Iterable[Metric]) -> None:
        """Add values, which are drawn at the next redraw."""
        for metric in metrics:
            if not np.isfinite(metric.value):
                continue
            if self._reference and metric.name.partition("/")[2] == self._reference:
                self._level = metric.name, metric.value
            else:
                self._points.setdefault(metric.name, []).append((metric.step, metric.value))
        if not self._timer.isActive():
            self._timer.start()

    def reset(self) -> None:
        """Remove all curves."""
        self._points.clear()
        self._level = None
        self.plotItem.removeItem(self._level_line)
        for curve in self._curves.values():
            self.plotItem.removeItem(curve)
        self._curves.clear()
        self._update_title()

    def redraw(self) -> None:
        """Draw the added values."""
        for name, points in self._points.items():
            values = np.array(points, float)  # (n, 2): step, value
            # A resumed job repeats the steps since its last checkpoint; the later value counts.
            steps, index = np.unique(values[::-1, 0], return_index=True)
            series = values[::-1, 1][index]
            if self._logarithmic:
                series = np.where(series > 0, series, np.nan)
            stride = max(1, len(steps) // _MAX_POINTS)
            few = {"symbol": "o", "symbolSize": 7, "symbolPen": None} if len(steps) < _FEW_POINTS else {"symbol": None}
            curve = self._curve(name)
            curve.setData(steps[::stride], series[::stride], **few)
            curve.setSymbolBrush(self._pen(list(self._curves).index(name)).color())
        if self._level is not None and self._points and self._level_line.scene() is None:
            self._level_line.setPos(np.log10(self._level[1]) if self._logarithmic else self._level[1])
            self.plotItem.addItem(self._level_line)
            self._update_title()

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
        self.plotItem.setLabel("bottom", "step", color=theme.muted, **{"font-size": "11px"})
        self.plotItem.setLabel("left", self._unit, color=theme.muted, **{"font-size": "11px"})
        self._level_line.setPen(pg.mkPen(theme.muted, width=1.2, style=Qt.PenStyle.DashLine))
        for index, curve in enumerate(self._curves.values()):
            curve.setPen(self._pen(index))
            curve.setSymbolBrush(self._pen(index).color())
        self._update_title()

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Break the legend into lines."""
        super().resizeEvent(event)
        if event is not None and event.size().width() != event.oldSize().width() and hasattr(self, "_curves"):
            self._update_title()

    def _curve(self, name: str) -> pg.PlotDataItem:
        if name not in self._curves:
            self._curves[name] = self.plotItem.plot(pen=self._pen(len(self._curves)), connect="finite", antialias=True)
            self._update_title()
        return self._curves[name]

    def _update_title(self) -> None:
        """Set the title with a coloured legend below it, because a legend inside the plot could hide curves."""
        theme = current_theme()
        parts = [name.partition("/")[2] or name for name in self._curves]
        texts = [self._labels.get(part, part.replace("_", " ")) for part in parts]
        entries = [
            f'<span style="color:{theme.series[i % len(theme.series)]}">{html.escape(text)}</span>'
            for i, text in enumerate(texts)
        ]
        if self._level is not None and self._curves:
            texts.append(f"{self._labels.get(self._reference, self._reference)}: {self._level[1]:.1f} {self._unit}")
            entries.append(f'<span style="color:{theme.muted}">{html.escape(texts[-1])}</span>')
        lines = [" &nbsp; ".join(entries[i] for i in line) for line in self._lines(texts)] if len(texts) > 1 else []
        under = "".join(f'<br><span style="font-size:{_LEGEND_FONT_PX}px">{line}</span>' for line in lines)
        self.plotItem.setTitle(f"{html.escape(self._title)}{under}", color=theme.text, size="12px")
        height = _TITLE_PX + _LEGEND_PX * len(lines)
        self.plotItem.titleLabel.setMaximumHeight(height)
        self.plotItem.layout.setRowFixedHeight(0, height)

    def _lines(self, texts: list[str]) -> list[list[int]]:
        """Return the legend entries of each line, so that the lines fit the width."""
        font = QFont(self.font())
        font.setPixelSize(_LEGEND_FONT_PX)
        metrics = QFontMetrics(font)
        available = self.width() - self.plotItem.getAxis("left").width() - _LEGEND_GAP_PX
        lines: list[list[int]] = []
        taken = 0.0
        for i, text in enumerate(texts):
            needed = metrics.horizontalAdvance(text) + _LEGEND_GAP_PX
            if not lines or taken + needed > available:
                lines.append([])
                taken = 0.0
            lines[-1].append(i)
            taken += needed
        return lines

    def _pen(self, index: int) -> pg.mkPen:
        series = current_theme().series
        return pg.mkPen(series[index % len(series)], width=1.6)
