"""Dialog for a picture of the 3D view."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QCheckBox, QGridLayout, QWidget

from studio.shell.dialogs import Dialog
from studio.theme import GRID_PX
from studio.widgets.buttons import button
from studio.widgets.choice import Choice
from studio.widgets.text import make_label

_SCALES = (1, 2, 4)


class PictureDialog(Dialog):
    """Dialog for size and background of a picture.

    Args:
        size_px: Width and height of the 3D view.
        parent: The window.

    Signals:
        chosen: Scale, and True for a transparent background.
    """

    chosen = Signal(int, bool)

    def __init__(self, size_px: tuple[int, int], parent: QWidget | None = None) -> None:
        super().__init__("Save picture", parent, 420)
        self.body.addWidget(make_label("Save picture", "title"))
        self.body.addWidget(
            make_label(
                "Save the current 3D view as a PNG file. Hidden layers, such as the floor, are omitted.", "muted"
            )
        )
        grid = QGridLayout()
        grid.setHorizontalSpacing(2 * GRID_PX)
        grid.setColumnStretch(1, 1)
        self.scale = Choice("Size")
        for scale in _SCALES:
            self.scale.addItem(f"{scale}×   {size_px[0] * scale} x {size_px[1] * scale} px", scale)
        self.scale.setCurrentIndex(_SCALES.index(2))
        grid.addWidget(make_label("Size", "strong", wrap=False), 0, 0)
        grid.addWidget(self.scale, 0, 1)
        self.transparent = QCheckBox("Transparent background")
        grid.addWidget(self.transparent, 1, 1)
        self.body.addLayout(grid)
        self.foot.addStretch(1)
        cancel = button("Cancel")
        cancel.clicked.connect(self.reject)
        self.foot.addWidget(cancel)
        self.go = button("Save…", "primary", "image")
        self.go.clicked.connect(self._save)
        self.foot.addWidget(self.go)

    def _save(self) -> None:
        self.chosen.emit(int(self.scale.currentData()), self.transparent.isChecked())
        self.accept()
