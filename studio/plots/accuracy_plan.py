"""The floor from above: how well a point can be located there, and where the cameras stand."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QFont
from PySide6.QtWidgets import QWidget

from core.calibration.accuracy import AccuracyMap
from core.types import CameraRig
from studio.theme import Theme, current_theme, theme_changed

_ARROW_CELLS = 10  # lines of the worst direction along the longer side of the floor


class AccuracyPlan(pg.PlotWidget):
    """Green where points are located best, through amber to red; lines show in which direction they are worst."""

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
        theme_changed.connect(self.dress)
        self.dress(current_theme())

    def show_map(self, rig: CameraRig, found: AccuracyMap, level: int) -> None:
        """Shows one height of a map."""
        self._rig, self.map, self.level = rig, found, level
        self.dress(current_theme())

    @property
    def limits_mm(self) -> tuple[float, float]:
        """Errors that are drawn green and red: the best and the worst twentieth."""
        if self.map is None:
            return (0.0, 1.0)
        known = self.map.error_mm[np.isfinite(self.map.error_mm)]
        low, high = (float(np.percentile(known, q)) for q in (5, 95)) if len(known) else (0.0, 1.0)
        return low, max(high, 1.2 * low)

    def dress(self, theme: Theme) -> None:
        """Draws everything in the colours of a theme."""
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
        found, level = self.map, min(self.level, len(self.map.z_mm) - 1)
        error = found.error_mm[..., level]
        item = pg.ImageItem(self._colours(error, theme))
        cell = float(found.x_mm[1] - found.x_mm[0]) if len(found.x_mm) > 1 else 250.0
        item.setRect(
            (found.x_mm[0] - cell / 2) / 1000,
            (found.y_mm[0] - cell / 2) / 1000,
            cell * len(found.x_mm) / 1000,
            cell * len(found.y_mm) / 1000,
        )
        self.plotItem.addItem(item)
        self._draw_worst(theme, level)
        self._draw_cameras(theme)
        self.plotItem.autoRange(padding=0.04)

    def _colours(self, error: np.ndarray, theme: Theme) -> np.ndarray:
        """(X, Y, 4) uint8; nothing where fewer than two cameras look."""
        low, high = self.limits_mm
        shades = [QColor(c) for c in (theme.good, theme.warn, theme.bad)]
        stops = np.array([(c.red(), c.green(), c.blue()) for c in shades], float)
        share = np.clip((np.nan_to_num(error, nan=high) - low) / (high - low), 0, 1) * 2
        below = np.minimum(share.astype(int), 1)
        part = (share - below)[..., None]
        colour = stops[below] * (1 - part) + stops[below + 1] * part
        alpha = np.where(np.isfinite(error), 170, 0)
        return np.concatenate([colour, alpha[..., None]], -1).astype(np.uint8)

    def _draw_worst(self, theme: Theme, level: int) -> None:
        assert self.map is not None
        found = self.map
        every = max(1, max(len(found.x_mm), len(found.y_mm)) // _ARROW_CELLS)
        xs, ys = found.x_mm[every // 2 :: every], found.y_mm[every // 2 :: every]
        way = found.worst[every // 2 :: every, every // 2 :: every, level, :2]
        start = np.stack(np.meshgrid(xs, ys, indexing="ij"), -1)
        half = way * 0.35 * every * (found.x_mm[1] - found.x_mm[0] if len(found.x_mm) > 1 else 250.0)
        known = np.isfinite(way).all(-1)
        ends = np.stack([start - half, start + half], 2)[known].reshape(-1, 2) / 1000
        pen = pg.mkPen(QColor(theme.text), width=1.2)
        self.plotItem.addItem(pg.PlotCurveItem(ends[:, 0], ends[:, 1], connect="pairs", pen=pen))

    def _draw_cameras(self, theme: Theme) -> None:
        assert self._rig is not None
        posed = [c for c in self._rig if c.posed]
        centre = np.stack([c.centre_mm for c in posed]) / 1000
        dots = pg.ScatterPlotItem(centre[:, 0], centre[:, 1], size=9, brush=pg.mkBrush(theme.accent), pen=None)
        self.plotItem.addItem(dots)
        for camera, (x, y, _) in zip(posed, centre, strict=True):
            words = pg.TextItem(camera.name, color=theme.text, anchor=(0.5, 1.25))
            words.setPos(x, y)
            self.plotItem.addItem(words)
