"""Dialog for the import of videos: name of the take, and camera of each video."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QGridLayout, QLineEdit, QWidget

from core.pipelines.params import ImportTakeParams
from core.session import Session
from core.session.footage.sources import find_footage
from studio.pages.record import presenter
from studio.shell.dialogs import Dialog
from studio.theme import GRID_PX
from studio.widgets.buttons import button
from studio.widgets.choice import Choice
from studio.widgets.number_field import NumberField
from studio.widgets.text import make_label

_FASTEST_FPS = 2000.0


class ImportDialog(Dialog):
    """Dialog for the name of the take, the camera of each video, and the frame rate of images without times.

    Args:
        session: Session of the new take.
        videos: Video files, or folders of videos or images.
        parent: The window.

    Raises:
        CoreError: There is nothing to import.

    Signals:
        chosen: Settings of the import (`ImportTakeParams`).
    """

    chosen = Signal(object)

    def __init__(self, session: Session, videos: Sequence[Path], parent: QWidget | None = None) -> None:
        super().__init__("Import videos", parent, 600)
        self._session = session
        self._footage, left_out = find_footage(videos)
        self.body.addWidget(make_label("Import videos", "title"))
        self.body.addWidget(
            make_label("One synchronised video per camera. The files are copied into the session.", "muted")
        )
        grid = QGridLayout()
        grid.setHorizontalSpacing(2 * GRID_PX)
        grid.setVerticalSpacing(GRID_PX)
        grid.setColumnStretch(0, 1)
        grid.setColumnStretch(1, 1)
        self.name = QLineEdit(presenter.proposed_name(session, videos))
        self.name.setAccessibleName("Take name")
        grid.addWidget(make_label("Take name", "strong", wrap=False), 0, 0)
        grid.addWidget(self.name, 0, 1)
        rig = session.rig
        self.cameras: list[Choice] = []
        proposed = presenter.proposed_cameras(session, [footage.name for footage in self._footage])
        for row, (video, camera) in enumerate(zip(self._footage, proposed, strict=True), start=1):
            grid.addWidget(make_label(video.path.name, wrap=False), row, 0)
            choice = Choice()
            choice.setEditable(rig is None)
            choice.addItems(list(rig.names) if rig is not None else [camera])
            choice.setAccessibleName(f"Camera of {video.path.name}")
            choice.setCurrentIndex(choice.findText(camera))
            choice.setPlaceholderText("Select camera")
            choice.currentTextChanged.connect(self._check)
            self.cameras.append(choice)
            grid.addWidget(choice, row, 1)
        self.fps: NumberField | None = None
        if any(footage.timeless for footage in self._footage):
            self.fps = NumberField("Frame rate of the images", "fps", 3)
            self.fps.setRange(0.0, _FASTEST_FPS)
            self.fps.valueChanged.connect(self._check)
            row = len(self._footage) + 1
            grid.addWidget(make_label("Frame rate (images store no times)", wrap=False), row, 0)
            grid.addWidget(self.fps, row, 1)
        self.body.addLayout(grid)
        for note in left_out:
            self.body.addWidget(make_label(note, "small"))
        self.problem = make_label("", "warn")
        self.body.addWidget(self.problem)
        self.name.textChanged.connect(self._check)
        self.foot.addStretch(1)
        cancel = button("Cancel")
        cancel.clicked.connect(self.reject)
        self.foot.addWidget(cancel)
        self.go = button("Import", "primary", "import")
        self.go.clicked.connect(self._import)
        self.foot.addWidget(self.go)
        self._check()

    @property
    def params(self) -> ImportTakeParams:
        """Settings chosen in the dialog."""
        return ImportTakeParams(
            videos=tuple(str(footage.path) for footage in self._footage),
            fps=0.0 if self.fps is None else self.fps.value(),
            cameras=tuple(c.currentText() for c in self.cameras),
            name=self.name.text(),
        )

    def _check(self) -> None:
        problem = presenter.import_problem(self.name.text(), [c.currentText() for c in self.cameras], self._session)
        if not problem and self.fps is not None and self.fps.value() <= 0:
            problem = "Enter the frame rate of the images."
        self.problem.setText(problem)
        self.problem.setVisible(bool(problem))
        self.go.setEnabled(not problem)
        self.go.setToolTip(problem)

    def _import(self) -> None:
        self.chosen.emit(self.params)
        self.accept()
