"""Pointer in the 3D view: shows and pins joints, and drags faces of the capture volume."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from PySide6.QtCore import QEvent, QObject, QPoint, QPointF, Qt, QTimer, Signal
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QApplication

from studio.pages.view.joints.picking import nearest_point, pinned
from studio.pages.view.joints.series import JointMotions, joint_text
from studio.pages.view.joints.tip import JointTip
from studio.viewport.canvas import Viewport


class Drag(Protocol):
    """Drag of an object in the scene."""

    def to(self, x: float, y: float) -> None:
        """Move to a position in the 3D view."""

    def drop(self) -> None:
        """End the drag."""


class ScenePointer(QObject):
    """Mouse handler of the 3D view, with precedence over the view.

    Args:
        viewport: The 3D view.
        joints: Function that returns the visible joints on one side of the dividing line and their frame in the result,
            or None.
        grab: Function that returns the drag of the object at a position, or None.

    Attributes:
        tip: Tooltip of the joint under the pointer.

    Signals:
        pinned: Clicked joint (`Pin`).
    """

    pinned = Signal(object)

    def __init__(
        self,
        viewport: Viewport,
        joints: Callable[[bool], tuple[JointMotions, int] | None],
        grab: Callable[[float, float], Drag | None],
    ) -> None:
        super().__init__(viewport)
        self._viewport, self._joints, self._grab = viewport, joints, grab
        self.tip = JointTip(viewport)
        self._at: QPointF | None = None
        self._pressed: QPointF | None = None
        self._drag: Drag | None = None
        native = viewport.native
        if native is not None:
            native.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Track the pointer, and consume events only during a drag."""
        if isinstance(event, QMouseEvent):
            match event.type():
                case QEvent.Type.MouseMove:
                    return self._moved(event)
                case QEvent.Type.MouseButtonPress:
                    return self._press(event)
                case QEvent.Type.MouseButtonRelease:
                    return self._release(event)
        elif event.type() == QEvent.Type.Wheel:
            QTimer.singleShot(0, self, self.refresh)  # after the view has zoomed
        elif event.type() == QEvent.Type.Leave:
            self._at = None
            self.tip.clear()
        return False

    def tick(self) -> bool:
        """Update after the scene was drawn; return whether another tick is needed."""
        self.refresh()
        return False

    def refresh(self) -> None:
        """Show the joint under the pointer after the scene has moved."""
        if self._at is None or self._pressed is not None or not self._viewport.isVisible():
            self.tip.clear()
            return
        found = self._pick(self._at)
        if found is None:
            self.tip.clear()
            return
        motions, frame, person, joint, place = found
        poses = motions.poses
        name = f"Person {poses.person_ids[person]}, {joint_text(poses.skeleton.joints[joint])}"
        self.tip.show_joint(name, motions.rows(person, joint, frame), person, place, "Click to pin a graph")

    def _moved(self, event: QMouseEvent) -> bool:
        self._at = event.position()
        if self._drag is not None:
            self._drag.to(self._at.x(), self._at.y())
            return True
        if event.buttons() == Qt.MouseButton.NoButton:
            self._pressed = None
            self._show_cursor(self._at)
        self.refresh()
        return False

    def _press(self, event: QMouseEvent) -> bool:
        self._at = self._pressed = event.position()
        if event.button() == Qt.MouseButton.LeftButton:
            self._drag = self._grab(self._at.x(), self._at.y())
        self.tip.clear()
        return self._drag is not None

    def _release(self, event: QMouseEvent) -> bool:
        pressed, self._pressed = self._pressed, None
        if self._drag is not None:
            drag, self._drag = self._drag, None
            drag.drop()
            return True
        near = pressed is not None and (event.position() - pressed).manhattanLength() < QApplication.startDragDistance()
        found = self._pick(event.position()) if near and event.button() == Qt.MouseButton.LeftButton else None
        if found is not None:
            motions, _frame, person, joint, _place = found
            self.pinned.emit(pinned(motions.poses, person, joint))
        self.refresh()
        return False

    def _show_cursor(self, at: QPointF) -> None:
        native = self._viewport.native
        if native is not None:
            over = self._grab(at.x(), at.y()) is not None
            native.setCursor(Qt.CursorShape.SizeAllCursor if over else Qt.CursorShape.ArrowCursor)

    def _pick(self, at: QPointF) -> tuple[JointMotions, int, int, int, QPoint] | None:
        """Return the joint at a position: result, frame, person, joint, and position in the view."""
        pointer = (at.x(), at.y())
        shown = self._joints(self._viewport.is_wiped(pointer))
        if shown is None:
            return None
        motions, frame = shown
        xyz_mm = motions.poses.xyz_mm[frame]
        xy_px = self._viewport.project_to_widget(xyz_mm.reshape(-1, 3), pointer)
        index = nearest_point(xy_px, pointer)
        if index is None:
            return None
        person, joint = divmod(index, xyz_mm.shape[1])
        x, y = np.round(xy_px[index]).astype(int)
        return motions, frame, person, joint, QPoint(int(x), int(y))
