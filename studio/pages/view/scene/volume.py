"""Capture volume in the 3D view: panel, and handles of the faces."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import QFrame, QScrollArea, QWidget

from core.errors import CoreError
from studio.pages.view.presenter import ViewPresenter
from studio.pages.view.scene.face_drag import FaceDrag, face_at
from studio.state.volume import VolumeState
from studio.viewport.canvas import Viewport
from studio.viewport.layers.volume import SHOW_VOLUME
from studio.volume.box import VolumeBox
from studio.volume.editor import VolumeEditor
from studio.widgets.buttons import button
from studio.widgets.card import Card

_WIDTH_PX, _HEADER_PX, _MIN_AREA_PX = 376, 44, 48


class VolumePanel(Card):
    """Panel of the capture volume with expandable fields, in a corner of the 3D view.

    Signals:
        closed: The close button was clicked.
    """

    closed = Signal()

    def __init__(self, volume: VolumeState, parent: QWidget | None = None) -> None:
        super().__init__("Capture volume", parent=parent)
        self._volume = volume
        self.editor = VolumeEditor(volume)
        self.editor.setProperty("role", "scrolled")
        self.editor.set_expanded(False)
        self.edit = button("Edit", "quiet", "chevron-up", "Edit position, size and voxel grid")
        self.edit.setCheckable(True)
        self.edit.toggled.connect(self._unfold)
        self.reset = button("Reset", "quiet", "retry", "Reset to the volume derived from the rig and the people")
        self.reset.clicked.connect(self.editor.reset)
        close = button("", "quiet", "close", f"Hide the capture volume ({SHOW_VOLUME.shortcut})")
        close.setAccessibleName("Hide the capture volume")
        close.clicked.connect(self.closed)
        for push in (self.edit, self.reset, close):
            # No focus on click, so that Space still plays.
            push.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            self.tools.addWidget(push)
        self._area = QScrollArea()
        self._area.setWidgetResizable(True)
        self._area.setFrameShape(QFrame.Shape.NoFrame)
        self._area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._area.setWidget(self.editor)
        self.body.addWidget(self._area)
        self._bottom_px = self._margin_px = 0
        self.setFixedWidth(_WIDTH_PX)

    def refresh(self) -> None:
        """Show the stored capture volume."""
        self.editor.refresh()
        self.reset.setVisible(self._volume.is_set)
        self._fit()

    def lie_over(self, area: QSize, strip: QSize, margin_px: int) -> None:
        """Move to the lower left corner of an area, above the strip in the right corner if both are too wide."""
        beside = _WIDTH_PX + strip.width() + 3 * margin_px <= area.width()
        self._bottom_px = area.height() - margin_px - (0 if beside else strip.height() + margin_px)
        self._margin_px = margin_px
        self._fit()

    def _fit(self) -> None:
        """Resize to the content within the available space; the rest scrolls."""
        content, outer = self.editor.layout(), self.layout()
        assert content is not None and outer is not None
        margins = outer.contentsMargins()
        width = _WIDTH_PX - margins.left() - margins.right() - 2
        content.activate()
        needed = content.totalHeightForWidth(width) if content.hasHeightForWidth() else content.sizeHint().height()
        around = margins.top() + margins.bottom() + _HEADER_PX
        room = self._bottom_px - self._margin_px - around
        self._area.setFixedHeight(max(_MIN_AREA_PX, min(needed, room)))
        self.resize(_WIDTH_PX, self._area.height() + around)
        self.move(self._margin_px, self._bottom_px - self.height())

    def _unfold(self, expanded: bool) -> None:
        self.editor.set_expanded(expanded)
        self._fit()


class VolumeHandles:
    """Handles of the faces of the capture volume; a drag is previewed and stored at its end.

    Args:
        viewport: The 3D view.
        presenter: Content of the page.
        volume: Stored volume.
        refused: Function called with the reason if a volume cannot be stored.
    """

    def __init__(
        self,
        viewport: Viewport,
        presenter: ViewPresenter,
        volume: VolumeState,
        refused: Callable[[CoreError], None],
    ) -> None:
        self._viewport, self._presenter, self._volume, self._refused = viewport, presenter, volume, refused

    def grab(self, x: float, y: float) -> FaceDrag | None:
        """Return a drag of the face whose handle is at a position of the 3D view; None if there is none."""
        box = self._presenter.box
        face = face_at(self._viewport, box, (x, y)) if box is not None else None
        if box is None or face is None:
            return None
        return FaceDrag(self._viewport, box, face, (x, y), self._preview, self._store)

    def _preview(self, box: VolumeBox) -> None:
        self._presenter.preview_box(box)
        self._viewport.invalidate()

    def _store(self, box: VolumeBox) -> None:
        try:
            self._volume.set(box.settings(self._volume.current().chosen), "face")
        except CoreError as error:
            self._refused(error)
