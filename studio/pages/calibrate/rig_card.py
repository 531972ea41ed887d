"""Card with the rig in 3D."""

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

NOTE = "Drag to orbit, middle-drag to pan, click once to zoom with the wheel."
_HEIGHT_PX = 360
_MARGIN_PX = 10
_VIEWS: tuple[tuple[ViewName, str], ...] = (("perspective", "3D"), ("top", "Top"), ("front", "Front"), ("side", "Side"))
_TOGGLES = (
    ("images", "Images", "Camera images of the frame selected below"),
    ("board", "Board", "Trajectory of the board, and the board at the frame selected below"),
    ("accuracy", "Accuracy", "Expected accuracy over the floor, at hip height"),
)


class RigCard(Card):
    """3D view of the cameras, coloured by their leave-one-camera-out error.

    The OpenGL canvas is created when the card is first visible.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("3D view", NOTE, parent)
        self.rig_scene = RigScene()
        self._palette = palette(current_theme())
        self.toggles: dict[str, QPushButton] = {}
        for name, text, tip in _TOGGLES:
            push = button(text, "normal", "", tip)
            push.setCheckable(True)
            push.setChecked(name != "accuracy")
            push.toggled.connect(partial(self._toggle, name))
            self.toggles[name] = push
            self.tools.addWidget(push)
        self.holder = _LazyHolder(self._create_viewport)
        self.body.addWidget(self.holder)
        self.viewport: Viewport | None = None
        self.legend = LevelLegend(self.holder)
        views = QHBoxLayout()
        views.setSpacing(GRID_PX // 2)
        self.views = {}
        for view, text in _VIEWS:
            push = button(text, "quiet", "", "Frame everything from this side")
            push.clicked.connect(partial(self._set_view, view))
            self.views[view] = push
            views.addWidget(push)
        views.addStretch(1)
        self.body.addLayout(views)
        theme_changed.connect(self._apply_theme)

    def show_rig(
        self,
        rig: CameraRig,
        accuracy: AccuracyMap | None,
        reliability: CameraReliability,
        seen: BoardObservations | None,
    ) -> None:
        """Show a rig; arguments as for `RigScene.show_rig`."""
        self.rig_scene.show_rig(rig, accuracy, reliability, seen)
        self.toggles["board"].setVisible(self.rig_scene.has_board)
        self.toggles["accuracy"].setVisible(self.rig_scene.has_accuracy)
        self.legend.show_levels(
            reliability.title, reliability.rows() if self.viewport is None or self.viewport.has_gl else []
        )
        self._place_legend()
        if self.viewport is not None:
            self.viewport.reframe()
            self.viewport.invalidate()

    def show_frame(self, frame: int | None) -> None:
        """Show a frame of the board take; its images follow by `put_image`."""
        self.rig_scene.show_frame(frame)
        self._changed()

    def put_image(self, tile: ImageView) -> None:
        """Show an image of the frame on its camera's image plane."""
        if tile.image is not None:
            self.rig_scene.put_image(tile.caption, tile.image)
            self._changed()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Let the wheel scroll the page while the view does not have the focus."""
        if event.type() == QEvent.Type.Wheel and isinstance(watched, QWidget) and not watched.hasFocus():
            event.ignore()
            return True
        return False

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Keep the legend in its corner."""
        super().resizeEvent(event)
        QTimer.singleShot(0, self._place_legend)

    def close_canvas(self) -> None:
        """Free the OpenGL resources."""
        if self.viewport is not None:
            self.viewport.close_canvas()

    def _create_viewport(self) -> None:
        """Create the 3D view when it is first visible."""
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
        return self.rig_scene.scene(self._palette)

    def _set_view(self, view: ViewName) -> None:
        if self.viewport is not None:
            self.viewport.look(view)
            self._changed()

    def _toggle(self, name: str, on: bool) -> None:
        self.rig_scene.toggle(name, on)
        self._changed()

    def _changed(self) -> None:
        if self.viewport is not None:
            self.viewport.invalidate()

    def _place_legend(self) -> None:
        self.legend.move(self.holder.width() - self.legend.width() - _MARGIN_PX, _MARGIN_PX)

    def _apply_theme(self, theme: Theme) -> None:
        self._palette = palette(theme)
        self._changed()


class _LazyHolder(QWidget):
    """Placeholder of the 3D view; calls `create` when it is first painted."""

    def __init__(self, create: object, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setMinimumHeight(_HEIGHT_PX)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(0)
        self._timer.timeout.connect(create)
        self._filled = False
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)

    def fill(self, widget: QWidget) -> None:
        """Show the created widget."""
        self._filled = True
        layout = self.layout()
        assert layout is not None
        layout.addWidget(widget)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Create the view in the next iteration of the event loop, not while painting."""
        super().paintEvent(event)
        if not self._filled:
            self._timer.start()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Consume the wheel while the view has the focus: it zooms, and the page must not scroll too."""
        focus = QApplication.focusWidget()
        event.setAccepted(focus is not None and self.isAncestorOf(focus))

    def hideEvent(self, event: QHideEvent) -> None:
        """Cancel the pending creation."""
        self._timer.stop()
        super().hideEvent(event)
