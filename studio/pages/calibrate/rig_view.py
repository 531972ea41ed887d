"""The rig in space: cameras in the colours of their errors, the pictures of a moment, and the accuracy of places."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QImage, QShowEvent
from PySide6.QtWidgets import QPushButton, QWidget

from core.types import CameraRig
from core.types.arrays import U8
from studio.pages.calibrate import results
from studio.theme import Theme, current_theme, theme_changed
from studio.viewport.canvas import Viewport
from studio.viewport.layers import Scene
from studio.viewport.palette import palette
from studio.viewport.resolve import BAD_PX, ODD_PX, ViewOptions, resolve
from studio.viewport.stage import Stage
from studio.widgets.buttons import button
from studio.widgets.card import Card
from studio.widgets.text import label

_HEIGHT_PX = 380
_PICTURE_PX = 360  # width of pictures in space
_OF_A_BOARD = "how far a camera is off what the others predict of the board"
_OF_THE_RIG = "the reprojection error that the calibration itself reports"


def legend(left_out: bool) -> str:
    """What the colours of the cameras mean."""
    what = _OF_A_BOARD if left_out else _OF_THE_RIG
    limits = f"Amber from {ODD_PX:.0f} px, red from {BAD_PX:.0f} px"
    return f"{limits}: {what}, at 1280 px width. Drag to turn; click, then wheel to zoom."


class RigView(Card):
    """The cameras in 3D. The canvas is made when the card is first seen."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("The rig in space", parent=parent)
        self.pictures_toggle = self._toggle("Pictures", "Pictures of the board's recording in the cameras", on=True)
        self.accuracy_toggle = self._toggle(
            "Accuracy", "Expected accuracy at the height of hips, on the floor", on=True
        )
        self.all = button("Show all", "quiet", "frame", "Bring all cameras into view")
        self.all.clicked.connect(self._frame)
        self.tools.addWidget(self.all)
        self.viewport: Viewport | None = None
        self._stage = Stage.build()
        self._pictures: Mapping[str, U8] = {}
        self._palette = palette(current_theme())
        self._digest = ""
        theme_changed.connect(self._wear)
        self.legend = label("", "small")
        self.body.addWidget(self.legend)

    def scene(self) -> Scene:
        """What is shown."""
        options = ViewOptions(accuracy=self.accuracy_toggle.isChecked(), pictures=self.pictures_toggle.isChecked())
        return resolve(self._stage, 0.0, options, self._palette, self._pictures)

    def show_rig(self, rig: CameraRig, left_out_px: Mapping[str, float]) -> None:
        """Shows a rig.

        Args:
            rig: The session's.
            left_out_px: By camera, how far it is off what the others predict; empty where nobody knows.
        """
        self._stage = Stage.build(rig, accuracy=results.accuracy(rig), left_out_px=left_out_px)
        self.legend.setText(legend(bool(left_out_px)))
        if self.viewport is not None:
            if rig.digest != self._digest:
                self.viewport.reframe()
            self.viewport.invalidate()
        self._digest = rig.digest

    def show_picture(self, camera: str, image: QImage) -> None:
        """Shows a picture in a camera's image plane."""
        small = image.scaledToWidth(min(image.width(), _PICTURE_PX), Qt.TransformationMode.SmoothTransformation)
        small = small.convertToFormat(QImage.Format.Format_RGB888)
        rows = np.frombuffer(small.constBits(), np.uint8).reshape(small.height(), small.bytesPerLine())
        pixels = rows[:, : 3 * small.width()].reshape(small.height(), small.width(), 3).copy()
        self._pictures = {**self._pictures, camera: pixels}
        self._again()

    def forget_pictures(self) -> None:
        """Image planes are empty until there are pictures again."""
        self._pictures = {}
        self._again()

    def shut_down(self) -> None:
        """Frees OpenGL."""
        if self.viewport is not None:
            self.viewport.close_canvas()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """The wheel scrolls the page until the view was clicked; then it zooms."""
        if event.type() == QEvent.Type.Wheel and isinstance(watched, QWidget) and not watched.hasFocus():
            event.ignore()
            return True
        return super().eventFilter(watched, event)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if self.viewport is None:
            self.viewport = Viewport()
            for part in self.viewport.findChildren(QWidget):
                part.installEventFilter(self)
            self.viewport.setObjectName("rigViewport")
            self.viewport.setFixedHeight(_HEIGHT_PX)
            self.body.insertWidget(0, self.viewport)
            self.viewport.set_source(self.scene)
        self._again()

    def _toggle(self, words: str, tip: str, *, on: bool) -> QPushButton:
        push = button(words, "normal", "", tip)
        push.setCheckable(True)
        push.setChecked(on)
        push.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        push.toggled.connect(self._again)
        self.tools.addWidget(push)
        return push

    def _again(self) -> None:
        if self.viewport is not None:
            self.viewport.invalidate()

    def _frame(self) -> None:
        if self.viewport is not None:
            self.viewport.look("perspective")

    def _wear(self, theme: Theme) -> None:
        self._palette = palette(theme)
        self._again()
