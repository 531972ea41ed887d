"""Fraction of observed joints found by each method, as a function of distance."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QFont
from PySide6.QtWidgets import QWidget

from studio.theme import Theme, current_theme, theme_changed

_TITLE = "Observed joints found, by distance"
_HEIGHT_PX, _TITLE_PX = 208, 40
_TICKS = {"left": (25, 25), "bottom": (5, 5)}


class FoundPlot(pg.PlotWidget):
    """Cumulative curve per method: steeper is more accurate, higher at the end is more complete.

    Args:
        percent_height: Distances (K,) in percent of the person's height.
        found: Fractions (K,) by name of the method.
    """

    def __init__(
        self, percent_height: Sequence[float], found: Mapping[str, Sequence[float]], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setFixedHeight(_HEIGHT_PX)
        self.setMenuEnabled(False)
        self.hideButtons()
        self.setMouseEnabled(x=False, y=False)
        self.viewport().setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setAccessibleName(_TITLE)
        self.curves = {
            name: self.plotItem.plot(np.asarray(percent_height), 100 * np.asarray(shares), antialias=True)
            for name, shares in found.items()
        }
        self.setXRange(0, max(percent_height, default=1.0), padding=0)
        self.setYRange(0, 101, padding=0)
        theme_changed.connect(self.apply_theme)
        self.apply_theme(current_theme())

    def apply_theme(self, theme: Theme) -> None:
        """Apply the colours of a theme."""
        self.setBackground(QColor(theme.panel))
        self.plotItem.showGrid(x=False, y=True, alpha=0.25)
        font = QFont(self.font())
        font.setPixelSize(11)
        for side, text in (("left", "% of the joints"), ("bottom", "distance, % of the person's height")):
            axis = self.plotItem.getAxis(side)
            axis.setPen(pg.mkPen(theme.border))
            axis.setTextPen(pg.mkPen(theme.muted))
            axis.setStyle(tickFont=font, tickLength=4)
            axis.setTickSpacing(*_TICKS[side])
            self.plotItem.setLabel(side, text, color=theme.muted, **{"font-size": "11px"})
        legend = []
        for i, (name, curve) in enumerate(self.curves.items()):
            colour = theme.series[i % len(theme.series)]
            curve.setPen(pg.mkPen(colour, width=1.6))
            legend.append(f'<span style="color:{colour}">{html.escape(name)}</span>')
        under = f'<br><span style="font-size:11px">{" &nbsp; ".join(legend)}</span>'
        self.plotItem.setTitle(f"{html.escape(_TITLE)}{under}", color=theme.text, size="12px")
        self.plotItem.titleLabel.setMaximumHeight(_TITLE_PX)
        self.plotItem.layout.setRowFixedHeight(0, _TITLE_PX)
