"""Plan of the floor: expected accuracy and camera positions."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QFont
from PySide6.QtWidgets import QWidget

from core.geometry.accuracy import AccuracyMap
from core.types import CameraRig
from studio.theme import Theme, current_theme, theme_changed
from studio.viewport.accuracy_colours import cell_size_mm, error_colours, map_corners_mm, worst_direction_lines_mm
from studio.viewport.palette import rgba

_MAX_ALPHA = 170  # opacity of the colours, so that lines stand out


class AccuracyPlan(pg.PlotWidget):
    """Plan with expected accuracy from green over amber to red, and lines in the direction of the largest error."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.map: AccuracyMap | None = None
        self._rig: CameraRig | None = None
        self.level = 1
        self.setFixedHeight(300)
        self.setMenuEnabled(False)
        self.hideButtons()
        self.setMouseEnabled(x=False, y=False)
        self.viewport().setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setAspectLocked(True)
        self.setAccessibleName("Expected accuracy over the floor")
        theme_changed.connect(self.apply_theme)
        self.apply_theme(current_theme())

    def show_map(self, rig: CameraRig, accuracy: AccuracyMap, level: int) -> None:
        """Show one level of a map."""
        self._rig, self.map, self.level = rig, accuracy, level
        self.apply_theme(current_theme())

    def apply_theme(self, theme: Theme) -> None:
        """Draw everything in the colours of a theme."""
        self.setBackground(QColor(theme.panel))
        font = QFont(self.font())
        font.setPixelSize(11)
        for side in ("left", "bottom"):
            axis = self.plotItem.getAxis(side)
            axis.setPen(pg.mkPen(theme.border))
            axis.setTextPen(pg.mkPen(theme.muted))
            axis.enableAutoSIPrefix(False)
            axis.setStyle(tickFont=font, tickLength=4)
            self.plotItem.setLabel(side, "m", color=theme.muted, **{"font-size": "11px"})
        self.plotItem.clear()
        if self.map is None or self._rig is None:
            return
        accuracy, level = self.map, min(self.level, len(self.map.z_mm) - 1)
        stops = np.array([rgba(colour)[:3] * 255 for colour in (theme.good, theme.warn, theme.bad)], np.float64)
        colours = error_colours(accuracy, level, stops)
        colours[..., 3] = np.minimum(colours[..., 3], _MAX_ALPHA)
        item, (x0, y0), cell = (
            pg.ImageItem(colours),
            map_corners_mm(accuracy)[3, :2] / 1000,
            cell_size_mm(accuracy) / 1000,
        )
        item.setRect(x0, y0, cell * len(accuracy.x_mm), cell * len(accuracy.y_mm))
        self.plotItem.addItem(item)
        self._draw_worst_directions(theme, level)
        self._draw_cameras(theme)
        self.plotItem.autoRange(padding=0.08)

    def _draw_worst_directions(self, theme: Theme, level: int) -> None:
        assert self.map is not None
        start, end = worst_direction_lines_mm(self.map, level)
        ends = np.stack([start, end], 1).reshape(-1, 2) / 1000
        pen = pg.mkPen(QColor(theme.text), width=1.2)
        self.plotItem.addItem(pg.PlotCurveItem(ends[:, 0], ends[:, 1], connect="pairs", pen=pen))

    def _draw_cameras(self, theme: Theme) -> None:
        assert self._rig is not None
        posed = [c for c in self._rig if c.posed]
        centre = np.stack([c.centre_mm for c in posed]) / 1000
        middle = centre.mean(0)
        dots = pg.ScatterPlotItem(centre[:, 0], centre[:, 1], size=9, brush=pg.mkBrush(theme.accent), pen=None)
        self.plotItem.addItem(dots)
        for camera, (x, y, _) in zip(posed, centre, strict=True):
            name = pg.TextItem(camera.name, color=theme.text, anchor=_anchor(x - middle[0], y - middle[1]))
            name.setPos(x, y)
            self.plotItem.addItem(name)


def _anchor(right: float, up: float) -> tuple[float, float]:
    """Return the text anchor that places a name on the outer side of its camera."""
    if abs(right) > abs(up):
        return (-0.15, 0.5) if right > 0 else (1.15, 0.5)
    return (0.5, 1.25) if up > 0 else (0.5, -0.25)
