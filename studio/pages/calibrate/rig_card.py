"""The rig in 3D, on the Calibrate page."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import QEvent, QObject, QTimer
from PySide6.QtGui import QHideEvent, QPaintEvent, QResizeEvent, QWheelEvent
from PySide6.QtWidgets import QApplication, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from core.board.observations import BoardObservations
from core.geometry.accuracy import AccuracyMap
from core.types import CameraRig
from studio.pages.calibrate.rig_scene import RigScene
from studio.theme import GRID_PX, Theme, current_theme, theme_changed
from studio.viewport.camera import ViewName
from studio.viewport.canvas import Viewport
from studio.viewport.layers import SceneLayers
from studio.viewport.palette import palette
from studio.viewport.reliability import CameraReliability
from studio.widgets.buttons import button
from studio.widgets.card import Card
from studio.widgets.image_view import ImageView
from studio.widgets.level_legend import LevelLegend

NOTE = "Drag to turn, wheel to zoom once it was clicked, middle button to move."
_HEIGHT_PX = 360
_MARGIN_PX = 10
_VIEWS: tuple[tuple[ViewName, str], ...] = (("perspective", "3D"), ("top", "Top"), ("front", "Front"), ("side", "Side"))
_TOGGLES = (
    ("images", "Images", "The cameras' images of the frame chosen below"),
    ("board", "Board", "Where the board was, and where it is at the frame chosen below"),
    ("accuracy", "Accuracy", "Expected accuracy over the floor, at the height of hips"),
)


class RigSceneCard(Card):
    """Cameras in the room, coloured by how well the others predict the board in them.

    OpenGL is not asked for before the card is seen.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("The rig in the room", NOTE, parent)
        self.room = RigScene()
        self._palette = palette(current_theme())
        self.toggles: dict[str, QPushButton] = {}
        for name, words, tip in _TOGGLES:
            push = button(words, "normal", "", tip)
            push.setCheckable(True)
            push.setChecked(name != "accuracy")
            push.toggled.connect(partial(self._toggle, name))
            self.toggles[name] = push
            self.tools.addWidget(push)
        self.holder = _Holder(self._open)
        self.body.addWidget(self.holder)
        self.viewport: Viewport | None = None
        self.legend = LevelLegend(self.holder)
        views = QHBoxLayout()
        views.setSpacing(GRID_PX // 2)
        self.views = {}
        for view, words in _VIEWS:
            push = button(words, "quiet", "", "Show everything from here")
            push.clicked.connect(partial(self._look, view))
            self.views[view] = push
            views.addWidget(push)
        views.addStretch(1)
        self.body.addLayout(views)
        theme_changed.connect(self._wear)

    def show_rig(
        self,
        rig: CameraRig,
        accuracy: AccuracyMap | None,
        reliability: CameraReliability,
        seen: BoardObservations | None,
    ) -> None:
        """Shows a rig; arguments as `RigScene.show_rig`."""
        self.room.show_rig(rig, accuracy, reliability, seen)
        self.toggles["board"].setVisible(self.room.has_board)
        self.toggles["accuracy"].setVisible(self.room.has_accuracy)
        self.legend.show_levels(
            reliability.title, reliability.rows() if self.viewport is None or self.viewport.has_gl else []
        )
        self._place_legend()
        if self.viewport is not None:
            self.viewport.reframe()
            self.viewport.invalidate()

    def show_frame(self, frame: int | None) -> None:
        """Shows a frame of the board's recording; see `put_image`."""
        self.room.show_frame(frame)
        self._changed()

    def put_image(self, tile: ImageView) -> None:
        """Shows an image of the frame on its camera's image plane."""
        if tile.image is not None:
            self.room.put_image(tile.caption, tile.image)
            self._changed()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """The wheel scrolls the page over a view that nobody clicked."""
        if event.type() == QEvent.Type.Wheel and isinstance(watched, QWidget) and not watched.hasFocus():
            event.ignore()
            return True
        return False

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Keeps the legend in its corner."""
        super().resizeEvent(event)
        QTimer.singleShot(0, self._place_legend)

    def close_canvas(self) -> None:
        """Frees what OpenGL holds."""
        if self.viewport is not None:
            self.viewport.close_canvas()

    def _open(self) -> None:
        """Makes the view, now that it is looked at."""
        if self.viewport is not None:
            return
        self.viewport = Viewport()
        self.viewport.setMinimumHeight(_HEIGHT_PX)
        self.holder.fill(self.viewport)
        self.legend.setVisible(self.viewport.has_gl and bool(self.legend.rows))
        self.legend.raise_()
        for push in (*self.toggles.values(), *self.views.values()):
            push.setEnabled(self.viewport.has_gl)
        for child in self.viewport.findChildren(QWidget):
            child.installEventFilter(self)
        self.viewport.set_source(self._scene)
        self._place_legend()

    def _scene(self) -> SceneLayers:
        return self.room.scene(self._palette)

    def _look(self, view: ViewName) -> None:
        if self.viewport is not None:
            self.viewport.look(view)
            self._changed()

    def _toggle(self, name: str, on: bool) -> None:
        self.room.toggle(name, on)
        self._changed()

    def _changed(self) -> None:
        if self.viewport is not None:
            self.viewport.invalidate()

    def _place_legend(self) -> None:
        self.legend.move(self.holder.width() - self.legend.width() - _MARGIN_PX, _MARGIN_PX)

    def _wear(self, theme: Theme) -> None:
        self._palette = palette(theme)
        self._changed()


class _Holder(QWidget):
    """Keeps the room of the 3D view, and asks for it when it is painted for the first time: when it is seen."""

    def __init__(self, wanted: object, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setMinimumHeight(_HEIGHT_PX)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(0)
        self._timer.timeout.connect(wanted)
        self._full = False
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)

    def fill(self, widget: QWidget) -> None:
        """Shows what was wanted."""
        self._full = True
        layout = self.layout()
        assert layout is not None
        layout.addWidget(widget)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Not in the midst of painting: at the next turn of the event loop."""
        super().paintEvent(event)
        if not self._full:
            self._timer.start()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """The wheel ends here while the view has the focus: it zooms, and the page must not scroll as well."""
        focus = QApplication.focusWidget()
        event.setAccepted(focus is not None and self.isAncestorOf(focus))

    def hideEvent(self, event: QHideEvent) -> None:
        """Nobody looks any more."""
        self._timer.stop()
        super().hideEvent(event)
