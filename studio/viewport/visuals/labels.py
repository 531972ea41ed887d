"""Labels."""

from __future__ import annotations

from typing import Any

from studio.viewport.layers import LabelLayer
from studio.viewport.visuals.text_billboards import TextBillboardNode


class LabelDrawing:
    """Names and metre marks."""

    def __init__(self, parent: Any) -> None:
        self._node = TextBillboardNode(parent=parent)

    def show(self, layer: LabelLayer) -> None:
        """Draws these words."""
        canvas = self._node.canvas
        self._node.order = 12 if layer.behind else 90
        self._node.set_labels(layer, 1.0 if canvas is None else float(canvas.pixel_scale))
        self._node.visible = True

    def hide(self) -> None:
        """Draws no words."""
        self._node.visible = False
