"""Pixels of widgets, and where a colour is in them."""

from __future__ import annotations

import numpy as np
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QWidget

from studio.viewport.palette import rgba


def pixels(widget: QWidget) -> np.ndarray:
    """Return the pixels (H, W, 3) of a widget."""
    image = widget.grab().toImage().convertToFormat(QImage.Format.Format_RGB888)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    return rows[:, : image.width() * 3].reshape(image.height(), image.width(), 3).copy()


def of_colour(image: np.ndarray, colour: str) -> np.ndarray:
    """Return a mask (H, W) of pixels of a hue, at any brightness."""
    wanted = rgba(colour)[:3]
    seen = image.astype(float) / 255
    length = np.linalg.norm(seen, axis=-1)
    alike = (seen @ wanted) / (np.maximum(length, 1e-6) * np.linalg.norm(wanted))
    return (alike > 0.985) & (length > 0.45)


def near(mask: np.ndarray, xy: np.ndarray, reach: int = 3) -> bool:
    x, y = np.round(xy).astype(int)
    return bool(mask[max(y - reach, 0) : y + reach + 1, max(x - reach, 0) : x + reach + 1].any())
