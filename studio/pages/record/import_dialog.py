"""Dialog for the import of videos: name of the take, and camera of each video."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QGridLayout, QLineEdit, QWidget

from core.pipelines.params import ImportTakeParams
from core.session import Session
from studio.pages.record import presenter
from studio.shell.dialogs import Dialog
from studio.theme import GRID_PX
from studio.widgets.buttons import button
from studio.widgets.choice import Choice
from studio.widgets.text import make_label


class ImportDialog(Dialog):
    """Name of the take and camera of each video, proposed from the file names.

    Args:
        session: Session that receives the take.
        videos: The video files.
        parent: The window.

    Signals:
        chosen: The `ImportTakeParams` to import with.
    """

    chosen = Signal(object)

    def __init__(self, session: Session, videos: Sequence[Path], parent: QWidget | None = None) -> None:
        super().__init__("Import videos", parent, 600)
        self._session, self._videos = session, list(videos)
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
        for row, (video, camera) in enumerate(
            zip(videos, presenter.proposed_cameras(session, videos), strict=True), start=1
        ):
            grid.addWidget(make_label(video.name, wrap=False), row, 0)
            choice = Choice()
            choice.setEditable(rig is None)
            choice.addItems(list(rig.names) if rig is not None else [camera])
            choice.setAccessibleName(f"Camera of {video.name}")
            choice.setCurrentIndex(choice.findText(camera))
            choice.setPlaceholderText("Select camera")
            choice.currentTextChanged.connect(self._check)
            self.cameras.append(choice)
            grid.addWidget(choice, row, 1)
        self.body.addLayout(grid)
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
            videos=tuple(str(v) for v in self._videos),
            cameras=tuple(c.currentText() for c in self.cameras),
            name=self.name.text(),
        )

    def _check(self) -> None:
        problem = presenter.import_problem(self.name.text(), [c.currentText() for c in self.cameras], self._session)
        self.problem.setText(problem)
        self.problem.setVisible(bool(problem))
        self.go.setEnabled(not problem)
        self.go.setToolTip(problem)

    def _import(self) -> None:
        self.chosen.emit(self.params)
        self.accept()
