"""Live camera image with the board coverage shaded over it."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QRectF
from PySide6.QtGui import QColor, QImage, QPainter
from PySide6.QtWidgets import QWidget

from core.types.arrays import I64
from studio.theme import current_theme
from studio.widgets.images.coverage import FULL_CELL_POINTS
from studio.widgets.images.image_view import ImageView

_MAX_ALPHA = 90


class LiveImage(ImageView):
    """Live image of a camera.

    Args:
        caption: Name of the camera.
        parent: Owner.
    """

    def __init__(self, caption: str = "", parent: QWidget | None = None) -> None:
        super().__init__(caption, parent)
        self.message = "Starting…"
        self.cells: I64 = np.zeros((0, 0), np.int64)
        self.setAccessibleName(f"Camera {caption}")

    def set_cells(self, cells: I64) -> None:
        """Set the number of points per cell (rows, columns)."""
        self.cells = cells
        self.update()

    def _paint_image(self, painter: QPainter, image: QImage) -> None:
        super()._paint_image(painter, image)
        if not self.cells.size:
            return
        scale = min(self.width() / image.width(), self.height() / image.height())
        width, height = image.width() * scale, image.height() * scale
        left, top = (self.width() - width) / 2, (self.height() - height) / 2
        rows, columns = self.cells.shape
        colour = QColor(current_theme().on_image)
        for row, column in np.argwhere(self.cells > 0).tolist():
            colour.setAlpha(round(_MAX_ALPHA * min(1.0, self.cells[row, column] / FULL_CELL_POINTS)))
            x, y = left + column * width / columns, top + row * height / rows
            painter.fillRect(QRectF(x, y, width / columns, height / rows), colour)
