"""Which video is of which camera, and what to call the take."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QGridLayout, QLineEdit, QWidget

from core.pipelines.params import ImportTakeParams
from core.session import Session
from studio.pages.record import presenter
from studio.shell.dialogs import Dialog
from studio.theme import GRID_PX
from studio.widgets.buttons import button
from studio.widgets.text import label


class ImportDialog(Dialog):
    """Asks for the take's name and each video's camera; both are filled in as far as the file names tell.

    Signals:
        chosen: The `ImportTakeParams` to import with.
    """

    chosen = Signal(object)

    def __init__(self, session: Session, videos: Sequence[Path], parent: QWidget | None = None) -> None:
        super().__init__("Import videos", parent, 600)
        self._session, self._videos = session, list(videos)
        self.body.addWidget(label("Import videos", "title"))
        self.body.addWidget(label("One video per camera, started together. They are copied into the session.", "muted"))
        grid = QGridLayout()
        grid.setHorizontalSpacing(2 * GRID_PX)
        grid.setVerticalSpacing(GRID_PX)
        grid.setColumnStretch(0, 1)
        grid.setColumnStretch(1, 1)
        self.name = QLineEdit(presenter.proposed_name(session, videos))
        self.name.setAccessibleName("Take name")
        grid.addWidget(label("Take name", "strong", wrap=False), 0, 0)
        grid.addWidget(self.name, 0, 1)
        rig = session.rig
        self.cameras: list[QComboBox] = []
        for row, (video, camera) in enumerate(
            zip(videos, presenter.proposed_cameras(session, videos), strict=True), start=1
        ):
            grid.addWidget(label(video.name, wrap=False), row, 0)
            choice = QComboBox()
            choice.setEditable(rig is None)
            choice.addItems(list(rig.names) if rig is not None else [camera])
            choice.setAccessibleName(f"Camera of {video.name}")
            choice.setCurrentIndex(choice.findText(camera))
            choice.setPlaceholderText("Which camera?")
            choice.currentTextChanged.connect(self._check)
            self.cameras.append(choice)
            grid.addWidget(choice, row, 1)
        self.body.addLayout(grid)
        self.objection = label("", "warn")
        self.body.addWidget(self.objection)
        self.name.textChanged.connect(self._check)
        self.foot.addStretch(1)
        cancel = button("Cancel")
        cancel.clicked.connect(self.reject)
        self.foot.addWidget(cancel)
        self.go = button("Import", "primary", "import")
        self.go.clicked.connect(self._go)
        self.foot.addWidget(self.go)
        self._check()

    @property
    def params(self) -> ImportTakeParams:
        """The answers."""
        return ImportTakeParams(
            videos=tuple(str(v) for v in self._videos),
            cameras=tuple(c.currentText() for c in self.cameras),
            name=self.name.text(),
        )

    def _check(self) -> None:
        why_not = presenter.objection(self.name.text(), [c.currentText() for c in self.cameras], self._session)
        self.objection.setText(why_not)
        self.objection.setVisible(bool(why_not))
        self.go.setEnabled(not why_not)
        self.go.setToolTip(why_not)

    def _go(self) -> None:
        self.chosen.emit(self.params)
        self.accept()
