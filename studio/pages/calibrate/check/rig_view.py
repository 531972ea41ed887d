"""3D view of the rig on the Calibrate page."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import QEvent, QObject, QSize, QTimer
from PySide6.QtGui import QHideEvent, QPaintEvent, QResizeEvent, QWheelEvent
from PySide6.QtWidgets import QApplication, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from core.board.observations import BoardObservations
from core.geometry.accuracy import AccuracyMap
from core.types import CameraRig
from studio.pages.calibrate.check.rig_scene import RigScene
from studio.theme import GRID_PX, Theme, current_theme, theme_changed
from studio.viewport.accuracy_colours import ACCURACY_TITLE, accuracy_legend_rows
from studio.viewport.camera import ViewName
from studio.viewport.canvas import Viewport
from studio.viewport.layers.accuracy import SHOW_ACCURACY
from studio.viewport.layers.board import SHOW_BOARD
from studio.viewport.layers.cameras import SHOW_IMAGES
from studio.viewport.layers.spec import DisplayOption
from studio.viewport.palette import palette
from studio.viewport.reliability import CameraReliability
from studio.viewport.scene import SceneLayers
from studio.widgets.buttons import button
from studio.widgets.images.image_view import ImageView
from studio.widgets.level_legend import LevelLegend

NOTE = "Drag: orbit. Middle-drag: pan. Click + wheel: zoom."
_HEIGHT_PX = 280
_MARGIN_PX = 10
_VIEWS: tuple[tuple[ViewName, str], ...] = (("perspective", "3D"), ("top", "Top"), ("front", "Front"), ("side", "Side"))
_TOGGLES: tuple[tuple[DisplayOption, str, str], ...] = (
    (SHOW_IMAGES, "Images", "Camera images of the selected frame"),
    (SHOW_BOARD, "Board", "Board trajectory, and the board at the selected frame"),
    (SHOW_ACCURACY, "Accuracy", "Expected accuracy over the floor at hip height"),
)
"""Option, text and tooltip of the toggles."""


class RigView(QWidget):
    """3D view of cameras coloured by reliability; OpenGL is initialised by `prepare` or when it is first visible."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.rig_scene = RigScene()
        self._palette = palette(current_theme())
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(GRID_PX)
        self.holder = _LazyHolder(self._create_viewport)
        layout.addWidget(self.holder, 1)
        self.viewport: Viewport | None = None
        self.legend = LevelLegend(self.holder)
        self.accuracy_legend = LevelLegend(self.holder)
        self._accuracy: AccuracyMap | None = None
        foot = QHBoxLayout()
        foot.setSpacing(GRID_PX // 2)
        self.views = {}
        for view, text in _VIEWS:
            push = button(text, "quiet", "", f"{text} view, framing everything. {NOTE}")
            push.clicked.connect(partial(self._set_view, view))
            self.views[view] = push
            foot.addWidget(push)
        foot.addStretch(1)
        self.toggles: dict[str, QPushButton] = {}
        for option, text, tip in _TOGGLES:
            push = button(text, "normal", "", tip)
            push.setCheckable(True)
            push.setChecked(option.default)
            push.toggled.connect(partial(self._toggle, option))
            self.toggles[option.name] = push
            foot.addWidget(push)
        layout.addLayout(foot)
        theme_changed.connect(self._apply_theme)

    def show_rig(
        self,
        rig: CameraRig,
        accuracy: AccuracyMap | None,
        reliability: CameraReliability,
        observations: BoardObservations | None,
    ) -> None:
        """Show a rig; arguments as for `RigScene.show_rig`."""
        self.rig_scene.show_rig(rig, accuracy, reliability, observations)
        for option, _, _ in _TOGGLES:
            self.toggles[option.name].setVisible(self.rig_scene.is_available(option))
        self._accuracy = accuracy
        has_view = self.viewport is None or self.viewport.has_gl
        self.legend.show_levels(reliability.title, reliability.legend_rows() if has_view else [])
        self._show_accuracy_legend()
        if self.viewport is not None:
            self.viewport.frame_next_scene()
            self.viewport.invalidate()

    def show_frame(self, frame: int | None) -> None:
        """Show a frame of the board recording; see `put_image`."""
        self.rig_scene.show_frame(frame)
        self._redraw()

    def put_image(self, tile: ImageView) -> None:
        """Show an image of the frame on the image plane of its camera."""
        if tile.image is not None:
            self.rig_scene.put_image(tile.caption, tile.image)
            self._redraw()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Pass wheel events to the page while the view does not have the focus."""
        if event.type() == QEvent.Type.Wheel and isinstance(watched, QWidget) and not watched.hasFocus():
            event.ignore()
            return True
        return False

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Keep the legend in its corner."""
        super().resizeEvent(event)
        QTimer.singleShot(0, self, self._place_legend)

    def close_canvas(self) -> None:
        """Free OpenGL resources."""
        if self.viewport is not None:
            self.viewport.close_canvas()

    def prepare(self) -> bool:
        """Do the next part of the preparation (create the view, compile its shaders); return whether more follows."""
        if self.viewport is None:
            self._create_viewport()
            return True
        if not self.isVisible():
            self.viewport.grab_image()
        return False

    def _create_viewport(self) -> None:
        """Create the view when it is first visible."""
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
        self.viewport.set_scene_source(self._layers)
        self._place_legend()

    def _layers(self) -> SceneLayers:
        return self.rig_scene.layers(self._palette)

    def _set_view(self, view: ViewName) -> None:
        if self.viewport is not None:
            self.viewport.set_view(view)
            self._redraw()

    def _toggle(self, option: DisplayOption, on: bool) -> None:
        self.rig_scene.set_option(option, on)
        self._show_accuracy_legend()
        self._redraw()

    def _redraw(self) -> None:
        if self.viewport is not None:
            self.viewport.invalidate()

    def _show_accuracy_legend(self) -> None:
        shown = self._accuracy is not None and self.rig_scene.options.shows(SHOW_ACCURACY)
        rows = accuracy_legend_rows(self._accuracy) if shown and self._accuracy is not None else []
        self.accuracy_legend.show_levels(ACCURACY_TITLE, rows if self.viewport and self.viewport.has_gl else [])
        self._place_legend()

    def _place_legend(self) -> None:
        top = _MARGIN_PX
        for legend in (self.legend, self.accuracy_legend):
            if not legend.isHidden():
                legend.move(self.holder.width() - legend.width() - _MARGIN_PX, top)
                top += legend.height() + GRID_PX
        self.accuracy_legend.raise_()

    def _apply_theme(self, theme: Theme) -> None:
        self._palette = palette(theme)
        self._redraw()


class _LazyHolder(QWidget):
    """Placeholder of the 3D view, which requests the view at its first paint event."""

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

    def sizeHint(self) -> QSize:
        """Return a minimal size, because the hint of the view would make the page scroll."""
        return QSize(_HEIGHT_PX, _HEIGHT_PX)

    def fill(self, widget: QWidget) -> None:
        """Show the view."""
        self._filled = True
        layout = self.layout()
        assert layout is not None
        layout.addWidget(widget)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Request the view in the next event-loop iteration, not while painting."""
        super().paintEvent(event)
        if not self._filled:
            self._timer.start()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Accept the wheel while the view has the focus, so that the page does not scroll while it zooms."""
        focus = QApplication.focusWidget()
        event.setAccepted(focus is not None and self.isAncestorOf(focus))

    def hideEvent(self, event: QHideEvent) -> None:
        """Cancel the request."""
        self._timer.stop()
        super().hideEvent(event)
