"""Dialog for a film of the take."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QCheckBox, QGridLayout, QHBoxLayout, QWidget

from core.pipelines.params import FilmLayout, FilmParams
from studio.shell.dialogs import Dialog
from studio.theme import GRID_PX, current_theme
from studio.widgets.buttons import button
from studio.widgets.choice import Choice
from studio.widgets.number_field import NumberField
from studio.widgets.text import make_label

_LAYOUTS: tuple[tuple[str, FilmLayout], ...] = (
    ("3D view beside the videos", "side-by-side"),
    ("3D view", "view"),
    ("Videos", "videos"),
)
_HEIGHTS = (720, 1080, 1440, 2160)
_RATES = (15.0, 24.0, 25.0, 30.0, 50.0, 60.0)


class FilmDialog(Dialog):
    """Dialog for the settings of a film.

    Args:
        take: Name of the take.
        poses: 3D result to show.
        cameras: Cameras with a video and a pose; without any, only the 3D view is available.
        length_s: Length of the take.
        azimuth_deg: Current azimuth of the 3D view.
        parent: The window.

    Signals:
        chosen: Settings of the film (`FilmParams`).
    """

    chosen = Signal(object)

    def __init__(
        self,
        take: str,
        poses: str,
        cameras: Sequence[str],
        length_s: float,
        azimuth_deg: float | None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__("Export video", parent, 520)
        self._take, self._poses, self._azimuth_deg = take, poses, azimuth_deg
        self._length_s = round(length_s, 3)
        self.body.addWidget(make_label("Export video", "title"))
        self.body.addWidget(
            make_label(
                f"{take} as an MP4 file in the exports folder. The job continues if the window is closed.", "muted"
            )
        )
        self.content = Choice("Content")
        for text, layout in _LAYOUTS if cameras else [entry for entry in _LAYOUTS if entry[1] == "view"]:
            self.content.addItem(text, layout)
        self.content.currentIndexChanged.connect(self._check)
        self.size_choice = Choice("Size")
        for height_px in _HEIGHTS:
            self.size_choice.addItem(f"{height_px} px high", height_px)
        self.size_choice.setCurrentIndex(_HEIGHTS.index(1080))
        self.rate = Choice("Frame rate")
        self.rate.addItem("As the take, up to 30", 0.0)
        for fps in _RATES:
            self.rate.addItem(f"{fps:g} per second", fps)
        self.times = [self._time("From", 0.0), self._time("To", self._length_s)]
        self.turn = QCheckBox("Rotate around the people")
        self.turn.setChecked(True)
        self.cameras = {name: QCheckBox(name) for name in cameras}
        grid = QGridLayout()
        grid.setHorizontalSpacing(2 * GRID_PX)
        grid.setVerticalSpacing(GRID_PX)
        grid.setColumnStretch(1, 1)
        part = QHBoxLayout()
        for field in self.times:
            part.addWidget(field, 1)
        rows: list[tuple[str, QWidget | QHBoxLayout]] = [
            ("Content", self.content),
            ("Size", self.size_choice),
            ("Frame rate", self.rate),
            ("Part", part),
            ("3D view", self.turn),
        ]
        for row, (text, content) in enumerate(rows):
            grid.addWidget(make_label(text, "strong", wrap=False), row, 0)
            if isinstance(content, QWidget):
                grid.addWidget(content, row, 1)
            else:
                grid.addLayout(content, row, 1)
        if self.cameras:
            boxes = QGridLayout()
            for index, box in enumerate(self.cameras.values()):
                box.setChecked(True)
                box.toggled.connect(self._check)
                boxes.addWidget(box, index // 3, index % 3)
            grid.addWidget(make_label("Cameras", "strong", wrap=False), len(rows), 0)
            grid.addLayout(boxes, len(rows), 1)
        self.body.addLayout(grid)
        self.problem = make_label("", "warn")
        self.body.addWidget(self.problem)
        self.foot.addStretch(1)
        cancel = button("Cancel")
        cancel.clicked.connect(self.reject)
        self.foot.addWidget(cancel)
        self.go = button("Export", "primary", "film")
        self.go.clicked.connect(self._export)
        self.foot.addWidget(self.go)
        self._check()

    @property
    def params(self) -> FilmParams:
        """Settings chosen in the dialog."""
        chosen = tuple(name for name, box in self.cameras.items() if box.isChecked())
        start_s, end_s = (field.value() for field in self.times)
        turns = self.turn.isChecked()
        return FilmParams(
            take=self._take,
            poses=self._poses,
            layout=self.content.currentData(),
            cameras=() if len(chosen) == len(self.cameras) else chosen,
            height_px=self.size_choice.currentData(),
            fps=self.rate.currentData(),
            start_s=start_s,
            end_s=0.0 if end_s >= self._length_s else end_s,
            turn_s=FilmParams(take="").turn_s if turns else 0.0,
            azimuth_deg=self._azimuth_deg,
            theme=current_theme().name,
        )

    def _time(self, name: str, value: float) -> NumberField:
        field = NumberField(name, "s", 3)
        field.setKeyboardTracking(True)  # updates the button while a number is being typed
        field.setRange(0.0, self._length_s)
        field.setValue(value)
        field.valueChanged.connect(self._check)
        return field

    def _check(self) -> None:
        layout = self.content.currentData()
        for box in self.cameras.values():
            box.setEnabled(layout != "view")
        self.turn.setEnabled(layout != "videos")
        problem = ""
        if self.times[0].value() >= self.times[1].value():
            problem = "The start must be before the end."
        elif layout != "view" and not any(box.isChecked() for box in self.cameras.values()):
            problem = "Choose a camera."
        self.problem.setText(problem)
        self.problem.setVisible(bool(problem))
        self.go.setEnabled(not problem)

    def _export(self) -> None:
        self.chosen.emit(self.params)
        self.accept()
