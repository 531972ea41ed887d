"""Dialog for a new name."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QLineEdit, QWidget

from studio.shell.dialogs import Dialog
from studio.widgets.buttons import button
from studio.widgets.text import make_label


class RenameDialog(Dialog):
    """Dialog with a field for the new name.

    Args:
        what: Short description of the renamed object.
        name: Current name.
        problem: Function that returns why a name is not allowed; empty if it is.
        parent: The window.

    Signals:
        chosen: The new name.
    """

    chosen = Signal(str)

    def __init__(self, what: str, name: str, problem: Callable[[str], str], parent: QWidget | None = None) -> None:
        super().__init__(f"Rename {what}", parent, 440)
        self._before, self._problem_of = name, problem
        self.body.addWidget(make_label(f"Rename {what}", "title"))
        self.name = QLineEdit(name)
        self.name.setAccessibleName("Name")
        self.name.selectAll()
        self.name.textChanged.connect(self._check)
        self.body.addWidget(self.name)
        self.problem = make_label("", "warn")
        self.body.addWidget(self.problem)
        self.foot.addStretch(1)
        cancel = button("Cancel")
        cancel.clicked.connect(self.reject)
        self.go = button("Rename", "primary")
        self.go.clicked.connect(self._rename)
        self.foot.addWidget(cancel)
        self.foot.addWidget(self.go)
        self._check()

    def _check(self) -> None:
        text = self.name.text().strip()
        problem = "" if text == self._before else self._problem_of(text)
        self.problem.setText(problem)
        self.problem.setVisible(bool(problem))
        self.go.setEnabled(not problem)

    def _rename(self) -> None:
        if self.name.text().strip() != self._before:
            self.chosen.emit(self.name.text().strip())
        self.accept()
