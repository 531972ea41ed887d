"""Dialog for a new session."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFileDialog, QGridLayout, QHBoxLayout, QLineEdit, QWidget

from core.errors import CoreError
from core.files import safe_name
from core.session import Session
from studio.shell.dialogs import Dialog
from studio.theme import GRID_PX
from studio.widgets.buttons import button
from studio.widgets.text import make_label


class NewSessionDialog(Dialog):
    """Dialog for name and location of a new session, whose folder has its name.

    Args:
        place: Proposed parent folder.
        parent: The window.

    Signals:
        chosen: Folder and name of the session.
    """

    chosen = Signal(Path, str)

    def __init__(self, place: Path, parent: QWidget | None = None) -> None:
        super().__init__("New session", parent, 560)
        self.body.addWidget(make_label("New session", "title"))
        self.body.addWidget(make_label("A folder for the takes, calibration and results of one setup.", "muted"))
        grid = QGridLayout()
        grid.setHorizontalSpacing(2 * GRID_PX)
        grid.setVerticalSpacing(GRID_PX)
        grid.setColumnStretch(1, 1)
        self.name = QLineEdit(_free_name(place))
        self.name.setAccessibleName("Name")
        self.name.selectAll()
        self.place = QLineEdit(str(place))
        self.place.setAccessibleName("Place")
        browse = button("", "normal", "folder", "Choose another location")
        browse.setAccessibleName("Choose another location")
        browse.clicked.connect(self._browse)
        where = QHBoxLayout()
        where.setSpacing(GRID_PX)
        where.addWidget(self.place, 1)
        where.addWidget(browse)
        grid.addWidget(make_label("Name", "muted", wrap=False), 0, 0)
        grid.addWidget(self.name, 0, 1)
        grid.addWidget(make_label("Place", "muted", wrap=False), 1, 0)
        grid.addLayout(where, 1, 1)
        self.body.addLayout(grid)
        self.problem = make_label("", "small")
        self.problem.setMinimumHeight(4 * GRID_PX)
        self.body.addWidget(self.problem)
        self.foot.addStretch(1)
        cancel = button("Cancel")
        cancel.clicked.connect(self.reject)
        self.go = button("Create", "primary", "plus")
        self.go.clicked.connect(self._create)
        self.foot.addWidget(cancel)
        self.foot.addWidget(self.go)
        for field in (self.name, self.place):
            field.textChanged.connect(self._check)
        self._check()

    @property
    def root(self) -> Path:
        """Folder of the session.

        Raises:
            CoreError: The name is not valid for a folder.
        """
        return Path(self.place.text().strip()).expanduser() / safe_name(self.name.text())

    def _check(self) -> None:
        try:
            root = self.root
            Session.check_new(root)
            problem = "" if self.place.text().strip() else "Choose a location for the folder of the session."
        except CoreError as error:
            problem = f"{error.message} {error.hint}"
        self.problem.setText(problem or f"The folder will be {root}.")
        self.problem.setProperty("role", "warn" if problem else "small")
        self.problem.style().polish(self.problem)
        self.go.setEnabled(not problem)
        self.go.setToolTip(problem)

    def _browse(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "Location of the session", self.place.text())
        if chosen:
            self.place.setText(chosen)

    def _create(self) -> None:
        self.chosen.emit(self.root, self.name.text().strip())
        self.accept()


def _free_name(place: Path) -> str:
    """Return an unused name for a session."""
    names = ("My session", *(f"My session {number}" for number in range(2, 1000)))
    return next((name for name in names if not (place / safe_name(name)).exists()), "My session")
