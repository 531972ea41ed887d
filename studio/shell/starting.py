"""Start of jobs by buttons, with errors in dialogs."""

from __future__ import annotations

from PySide6.QtWidgets import QWidget

from core.errors import CoreError
from core.session import Session
from studio.shell.dialogs import show_error_dialog
from studio.state.app_state import AppState


def start_job(
    state: AppState, session: Session | None, verb: str, params: object, title: str, parent: QWidget | None
) -> None:
    """Start a job; show an error dialog if it cannot be started.

    Args:
        state: State of the window.
        session: Session to work on; nothing happens without one.
        verb: Verb to run.
        params: Settings of the verb.
        title: Title of the job.
        parent: Window of the dialog.
    """
    if session is None:
        return
    try:
        state.jobs.start(session, verb, params, title)
    except CoreError as error:
        show_error_dialog(error, parent)
