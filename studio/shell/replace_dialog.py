"""Confirmation before the calibration of a session is replaced."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtWidgets import QWidget

from core.session import Session
from core.session.calibrations import replaced_text
from studio.shell.dialogs import Dialog
from studio.widgets.buttons import button
from studio.widgets.text import make_label


class ReplaceDialog(Dialog):
    """Dialog to confirm the replacement of the calibration.

    Args:
        text: Description of the replaced calibration and its dependents.
        action: Text of the button to continue.
        parent: Window it belongs to.
    """

    def __init__(self, text: str, action: str, parent: QWidget | None = None) -> None:
        super().__init__("Replace the calibration?", parent)
        self.text = make_label(text)
        self.body.addWidget(make_label("Replace the calibration?", "heading"))
        self.body.addWidget(self.text)
        self.foot.addStretch(1)
        cancel = button("Cancel", "quiet")
        cancel.clicked.connect(self.reject)
        self.go = button(action, "primary")
        self.go.clicked.connect(self.accept)
        self.foot.addWidget(cancel)
        self.foot.addWidget(self.go)


def ask_to_replace(
    session: Session, action: str, parent: QWidget | None, then: Callable[[], object]
) -> ReplaceDialog | None:
    """Ask before replacing the calibration, and continue if the user agrees; continue at once without one."""
    text = replaced_text(session)
    if not text:
        then()
        return None
    dialog = ReplaceDialog(text, action, parent)
    dialog.accepted.connect(then)
    dialog.open()
    return dialog
