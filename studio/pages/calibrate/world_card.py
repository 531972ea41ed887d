"""Card for the world coordinates: axes, floor, origin and scale."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QWidget

from core.calibration.world import rotate_quarters, scale_to_distance, turn_upside_down
from core.errors import CoreError
from core.geometry.similarity import Similarity
from core.types import CameraRig
from studio.theme import GRID_PX
from studio.widgets.buttons import button
from studio.widgets.card import Card
from studio.widgets.choice import Choice
from studio.widgets.number_field import NumberField
from studio.widgets.text import make_label

_FLOOR_TIP = "Set floor, origin and x axis from the board on the floor"
_POINTS_TIP = "Click three floor points in the images of a take"
_FEET_TIP = "Set the floor from the feet of the people in the selected take"


class WorldCard(Card):
    """Buttons to change the world coordinates.

    Signals:
        moved: Change of the coordinates (`Similarity`), and its description.
        failed: Error (`CoreError`).
        floor_requested: Name of a take of the board on the floor.
        points_requested: The user wants to click three floor points.
        feet_requested: The user wants the floor from the feet of the people in the selected take.
    """

    moved = Signal(object, str)
    failed = Signal(object)
    floor_requested = Signal(str)
    points_requested = Signal()
    feet_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("World coordinates", "Correct axes, floor and scale. Every change can be undone.", parent)
        self._rig: CameraRig | None = None
        self.rotations = {}
        rotations = QHBoxLayout()
        rotations.setSpacing(GRID_PX)
        for axis in ("x", "y", "z"):
            push = button(f"{axis} 90°", "normal", "retry", f"Rotate the world by 90° about its {axis} axis")
            push.clicked.connect(partial(self._rotate, axis))
            self.rotations[axis] = push
            rotations.addWidget(push)
        self.flip = button("Flip", "normal", "", "Swap up and down: rotate by 180° about x")
        self.flip.clicked.connect(self._flip)
        rotations.addWidget(self.flip)
        rotations.addStretch(1)
        self.body.addLayout(rotations)
        grid = QGridLayout()
        grid.setHorizontalSpacing(GRID_PX)
        grid.setVerticalSpacing(GRID_PX)
        grid.setColumnStretch(0, 1)
        self.floor_take = Choice()
        self.floor_take.setAccessibleName("Take of the board on the floor")
        self.floor_take.setPlaceholderText("No take of a board on the floor")
        self.floor = button("Set floor", "normal", "floor", _FLOOR_TIP)
        self.floor.clicked.connect(self._request_floor)
        self.feet = button("Floor from feet", "normal", "person", _FEET_TIP)
        self.feet.clicked.connect(self.feet_requested)
        self.points = button("3 points…", "normal", "cross", _POINTS_TIP)
        self.points.clicked.connect(self.points_requested)
        grid.addWidget(make_label("From a board lying on the floor", "small"), 0, 0, 1, 2)
        grid.addWidget(self.floor_take, 1, 0)
        grid.addWidget(self.floor, 1, 1)
        other = QHBoxLayout()
        other.setSpacing(GRID_PX)
        for push in (self.points, self.feet):
            other.addWidget(push)
        other.addStretch(1)
        grid.addWidget(make_label("From three floor points, or from the feet of people", "small"), 2, 0, 1, 2)
        grid.addLayout(other, 3, 0, 1, 2)
        self.first, self.second = Choice(), Choice()
        self.first.setAccessibleName("First camera")
        self.second.setAccessibleName("Second camera")
        self.distance = NumberField("Distance", "mm", 0)
        self.distance.setRange(1, 1_000_000)
        self.scale = button("Rescale", "normal", "measure", "Scale the rig to the measured distance of two cameras")
        self.scale.clicked.connect(self._scale)
        self.body.addLayout(grid)
        self.body.addWidget(make_label("Scale from the measured distance between two cameras", "small"))
        pair = QHBoxLayout()
        pair.setSpacing(GRID_PX)
        for field in (self.first, self.second, self.distance):
            field.setMinimumWidth(9 * GRID_PX)
            pair.addWidget(field, 1)
        pair.addWidget(self.scale)
        self.body.addLayout(pair)
        for box in (self.first, self.second):
            box.activated.connect(self._show_distance)

    def show_rig(self, rig: CameraRig, takes: list[str], *, footage: bool, poses3d: bool) -> None:
        """Show a rig, and enable the buttons with available inputs.

        Args:
            rig: Rig of the session.
            takes: Names of takes of the board on the floor.
            footage: True if the session has a take, whose images floor points can be clicked in.
            poses3d: True if the selected take has 3D poses.
        """
        self._rig = rig
        _fill(self.floor_take, takes)
        posed = [c.name for c in rig if c.posed]
        _fill(self.first, posed)
        _fill(self.second, posed, 1)
        self.floor.setEnabled(bool(takes))
        self.floor.setToolTip(_FLOOR_TIP if takes else "Import a take in which the board lies on the floor")
        self.feet.setEnabled(poses3d)
        self.feet.setToolTip(_FEET_TIP if poses3d else "Run Triangulate on the Train page first")
        self.scale.setEnabled(len(posed) >= 2)
        self.points.setEnabled(len(posed) >= 2 and footage)
        self.points.setToolTip(_POINTS_TIP if self.points.isEnabled() else "Needs two calibrated cameras and a take")
        self._show_distance()

    def _show_distance(self) -> None:
        rig, names = self._rig, (self.first.currentText(), self.second.currentText())
        if rig is not None and all(n in rig.names for n in names):
            apart = rig[names[0]].centre_mm - rig[names[1]].centre_mm
            self.distance.show_value(float((apart @ apart) ** 0.5))

    def _rotate(self, axis: str) -> None:
        self.moved.emit(rotate_quarters(axis, 1), f"Rotated by 90 degrees about {axis}.")  # type: ignore[arg-type]

    def _flip(self) -> None:
        self.moved.emit(turn_upside_down(), "Rotated by 180 degrees about x.")

    def _request_floor(self) -> None:
        if self.floor_take.currentText():
            self.floor_requested.emit(self.floor_take.currentText())

    def _scale(self) -> None:
        if self._rig is None:
            return
        first, second, distance = self.first.currentText(), self.second.currentText(), self.distance.value()
        try:
            change: Similarity = scale_to_distance(self._rig, first, second, distance)
        except CoreError as error:
            self.failed.emit(error)
            return
        self.moved.emit(change, f"Rescaled: {first} and {second} are {distance:.0f} mm apart.")


def _fill(box: Choice, names: list[str], index: int = 0) -> None:
    """Set the available names, and keep the selection if it still exists."""
    if [box.itemText(i) for i in range(box.count())] == names:
        return
    chosen = box.currentText()
    box.clear()
    box.addItems(names)
    box.setCurrentIndex(names.index(chosen) if chosen in names else min(index, len(names) - 1))
