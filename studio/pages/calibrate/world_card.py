"""Origin, floor, axes and scale of the rig: buttons that can all be undone."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QGridLayout, QHBoxLayout, QWidget

from core.calibration.world import Similarity, rotate_quarters, scale_to_distance, turn_upside_down
from core.errors import CoreError
from core.types import CameraRig
from studio.theme import GRID_PX
from studio.widgets.buttons import button
from studio.widgets.card import Card
from studio.widgets.number_field import NumberField
from studio.widgets.text import label

_POINTS_TIP = "Click three points of the floor in the images of a take"


class FrameCard(Card):
    """Moves the world frame.

    Signals:
        moved: A `Similarity` and what it does, in words.
        failed: A `CoreError`.
        floor_wanted: Name of a take in which the board lies on the floor.
        points_wanted: Somebody wants to click three points of the floor.
        feet_wanted: Somebody wants the floor from the feet of the people in the selected take.
        people_wanted: Somebody wants poses from these people, in the way of `CalibratePeopleParams.mode`.
    """

    moved = Signal(object, str)
    failed = Signal(object)
    floor_wanted = Signal(str)
    points_wanted = Signal()
    feet_wanted = Signal()
    people_wanted = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("World frame", "Wrong axes or floor? Every step can be undone.", parent)
        self._rig: CameraRig | None = None
        self.turns = {}
        turns = QHBoxLayout()
        turns.setSpacing(GRID_PX)
        for axis in ("x", "y", "z"):
            push = button(f"{axis} 90°", "normal", "retry", f"Turn the world a quarter about its {axis} axis")
            push.clicked.connect(partial(self._turn, axis))
            self.turns[axis] = push
            turns.addWidget(push)
        self.flip = button("Flip", "normal", "", "Exchange up and down, by half a turn about x")
        self.flip.clicked.connect(self._flip)
        turns.addWidget(self.flip)
        turns.addStretch(1)
        self.body.addLayout(turns)
        grid = QGridLayout()
        grid.setHorizontalSpacing(GRID_PX)
        grid.setVerticalSpacing(GRID_PX)
        grid.setColumnStretch(0, 1)
        self.floor_take = QComboBox()
        self.floor_take.setAccessibleName("Take of the board on the floor")
        self.floor = button("Set floor", "normal", "floor", "Floor, origin and x axis from the board that lies there")
        self.floor.clicked.connect(self._floor)
        self.feet = button("From feet", "normal", "person", "Floor from the feet of the people in the selected take")
        self.feet.clicked.connect(self.feet_wanted)
        self.points = button("3 points…", "normal", "cross", _POINTS_TIP)
        self.points.clicked.connect(self.points_wanted)
        grid.addWidget(label("Floor from the board that lies there", "small"), 0, 0, 1, 2)
        grid.addWidget(self.floor_take, 1, 0)
        grid.addWidget(self.floor, 1, 1)
        other = QHBoxLayout()
        other.setSpacing(GRID_PX)
        for push in (self.points, self.feet):
            other.addWidget(push)
        other.addStretch(1)
        grid.addWidget(label("Floor from three points that you click, or from people's feet", "small"), 2, 0, 1, 2)
        grid.addLayout(other, 3, 0, 1, 2)
        self.first, self.second = QComboBox(), QComboBox()
        self.first.setAccessibleName("First camera")
        self.second.setAccessibleName("Second camera")
        self.distance = NumberField("Distance", "mm", 0)
        self.distance.setRange(1, 1_000_000)
        self.scale = button("Re-scale", "normal", "measure", "Make the two cameras as far apart as you measured")
        self.scale.clicked.connect(self._scale)
        self.body.addLayout(grid)
        self.body.addWidget(label("Scale from a distance between two lenses that you measured", "small"))
        pair = QHBoxLayout()
        pair.setSpacing(GRID_PX)
        for field in (self.first, self.second, self.distance):
            field.setMinimumWidth(9 * GRID_PX)
            pair.addWidget(field, 1)
        pair.addWidget(self.scale)
        self.body.addLayout(pair)
        self.body.addWidget(label("Where cameras stand, from people who walk about in the selected take", "small"))
        people = QHBoxLayout()
        people.setSpacing(GRID_PX)
        self.repair = button("Repair moved cameras", "normal", "person", "Find cameras that were moved, and place them")
        self.anew = button("Place all anew", "normal", "person", "Place all cameras by people; lenses stay")
        for push, mode in ((self.repair, "repair"), (self.anew, "new")):
            push.clicked.connect(partial(self.people_wanted.emit, mode))
            people.addWidget(push)
        people.addStretch(1)
        self.body.addLayout(people)
        for box in (self.first, self.second):
            box.activated.connect(self._show_distance)

    def show_rig(self, rig: CameraRig, takes: list[str], *, people: bool, labelled: bool) -> None:
        """Shows what can be done with a rig.

        Args:
            rig: The session's.
            takes: Takes that may show a board on the floor.
            people: Whether the selected take has 3D poses.
            labelled: Whether it has 2D poses.
        """
        self._rig = rig
        _fill(self.floor_take, takes)
        posed = [c.name for c in rig if c.posed]
        _fill(self.first, posed)
        _fill(self.second, posed, 1)
        self.floor.setEnabled(bool(takes))
        self.floor.setToolTip("" if takes else "Bring in a take in which the board lies on the floor")
        self.feet.setEnabled(people)
        self.feet.setToolTip("" if people else "Make 3D poses of a take with people first")
        for push in (self.repair, self.anew):
            push.setEnabled(labelled)
            if not labelled:
                push.setToolTip("Find 2D poses in the selected take first: Label, on the Train page")
        self.scale.setEnabled(len(posed) >= 2)
        self.points.setEnabled(len(posed) >= 2 and bool(takes))
        self.points.setToolTip(_POINTS_TIP if self.points.isEnabled() else "Needs two calibrated cameras and a take")
        self._show_distance()

    def _show_distance(self) -> None:
        rig, names = self._rig, (self.first.currentText(), self.second.currentText())
        if rig is not None and all(n in rig.names for n in names):
            apart = rig[names[0]].centre_mm - rig[names[1]].centre_mm
            self.distance.show_value(float((apart @ apart) ** 0.5))

    def _turn(self, axis: str) -> None:
        self.moved.emit(rotate_quarters(axis, 1), f"Turned by 90 degrees about {axis}.")  # type: ignore[arg-type]

    def _flip(self) -> None:
        self.moved.emit(turn_upside_down(), "Turned upside down.")

    def _floor(self) -> None:
        if self.floor_take.currentText():
            self.floor_wanted.emit(self.floor_take.currentText())

    def _scale(self) -> None:
        if self._rig is None:
            return
        first, second, distance = self.first.currentText(), self.second.currentText(), self.distance.value()
        try:
            change: Similarity = scale_to_distance(self._rig, first, second, distance)
        except CoreError as error:
            self.failed.emit(error)
            return
        self.moved.emit(change, f"Re-scaled: {first} and {second} are {distance:.0f} mm apart.")


def _fill(box: QComboBox, names: list[str], index: int = 0) -> None:
    """Offers these names; keeps the choice where it still exists."""
    if [box.itemText(i) for i in range(box.count())] == names:
        return
    chosen = box.currentText()
    box.clear()
    box.addItems(names)
    box.setCurrentIndex(names.index(chosen) if chosen in names else min(index, len(names) - 1))
