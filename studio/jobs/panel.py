"""Panel with the jobs of the session."""

from __future__ import annotations

from PySide6.QtCore import Qt, QUrl, Signal
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QFrame, QHBoxLayout, QProgressBar, QScrollArea, QVBoxLayout, QWidget

from core.errors import CoreError
from studio.jobs.text import outcome_text, progress_text
from studio.jobs.tracked import TrackedJob
from studio.shell.dialogs import Dialog, code_view, show_error_dialog
from studio.state.app_state import AppState
from studio.theme import GRID_PX
from studio.widgets.buttons import button
from studio.widgets.icon_label import IconLabel
from studio.widgets.text import make_label, set_role

PANEL_PX = 320
_LOOK = {
    "starting": ("clock", "muted"),
    "running": ("play", "accent"),
    "finished": ("check-circle", "good"),
    "failed": ("error", "bad"),
    "lost": ("error", "bad"),
    "cancelled": ("stop", "muted"),
}
_MAX_NOTES = 3


class JobCard(QFrame):
    """Card of one job.

    Args:
        tracked: The job.
        parent: Owner.

    Signals:
        cancel_requested: Cancel was pressed.
        resume_requested: Resume or Retry was pressed.
        details_requested: Details was pressed.
        rename_requested: Rename was pressed.
        delete_requested: Delete was pressed.
    """

    cancel_requested = Signal(object)
    resume_requested = Signal(object)
    details_requested = Signal(object)
    rename_requested = Signal(object)
    delete_requested = Signal(object)

    def __init__(self, tracked: TrackedJob, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.tracked = tracked
        self.setProperty("role", "jobCard")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 12, 12, 12)
        layout.setSpacing(GRID_PX)
        head = QHBoxLayout()
        head.setSpacing(GRID_PX)
        self._icon = IconLabel("clock", "muted", 18)
        head.addWidget(self._icon, 0, Qt.AlignmentFlag.AlignTop)
        self.title = make_label(tracked.title, "strong")
        head.addWidget(self.title, 1)
        self.details = button("Details", "link", "", "Show notes, errors and the log")
        self.details.clicked.connect(self._details)
        head.addWidget(self.details, 0, Qt.AlignmentFlag.AlignTop)
        layout.addLayout(head)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        layout.addWidget(self.bar)
        self.text = make_label("", "small")
        self.hint = make_label("", "small")
        self.notes = make_label("", "small")
        for text_label in (self.text, self.hint, self.notes):
            layout.addWidget(text_label)
        row = QHBoxLayout()
        row.setSpacing(GRID_PX)
        self.cancel = button("Cancel", "normal", "stop")
        self.resume = button("Resume", "normal", "retry")
        self.cancel.clicked.connect(self._cancel)
        self.resume.clicked.connect(self._resume)
        self.open = button("Open", "normal", "play", "Open the film")
        self.open.clicked.connect(self._open)
        for push in (self.cancel, self.resume, self.open):
            row.addWidget(push)
        row.addStretch(1)
        self.rename = button("Rename", "link")
        self.delete = button(
            "Delete", "link", "", "Move this job with its files, including trained networks, to the bin"
        )
        self.rename.clicked.connect(lambda: self.rename_requested.emit(self.tracked))
        self.delete.clicked.connect(lambda: self.delete_requested.emit(self.tracked))
        row.addWidget(self.rename)
        row.addWidget(self.delete)
        layout.addLayout(row)
        self.refresh()

    def refresh(self) -> None:
        """Show the current state of the job."""
        job = self.tracked
        name, token = _LOOK[job.state]
        self._icon.set_icon(name, token)
        self.bar.setVisible(job.active)
        self.bar.setRange(0, 0 if job.fraction is None else 1000)
        self.bar.setValue(round(1000 * (job.fraction or 0)))
        self.text.setText(progress_text(job) if job.active else outcome_text(job))
        set_role(self.text, "bad" if job.state in ("failed", "lost") else "small")
        self.hint.setText(job.failure.hint if job.failure else "")
        self.hint.setVisible(job.failure is not None)
        notes = [("⚠ " if n.level == "warning" else "") + n.text for n in job.notes[-_MAX_NOTES:]]
        self.notes.setText("\n".join(notes))
        self.notes.setVisible(bool(notes) and job.state != "failed")
        self.cancel.setVisible(job.active)
        requested = job.cancel_requested_s is not None
        self.cancel.setEnabled(not requested or job.stuck)
        self.cancel.setText("Kill" if job.stuck else "Stopping…" if requested else "Cancel")
        self.cancel.setToolTip("The job does not respond: kill its process" if job.stuck else "Stop at a safe point")
        self.resume.setVisible(job.resumable)
        self.open.setVisible(bool(job.result.get("film")) and not job.active)
        for push in (self.rename, self.delete):
            push.setVisible(not job.active)
        self.resume.setText("Retry" if job.state == "failed" else "Resume")
        self.resume.setToolTip("Continue where it stopped")

    def _cancel(self) -> None:
        self.cancel_requested.emit(self.tracked)

    def _resume(self) -> None:
        self.resume_requested.emit(self.tracked)

    def _open(self) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(self.tracked.result["film"])))

    def _details(self) -> None:
        self.details_requested.emit(self.tracked)


class JobDetails(Dialog):
    """Dialog with the outcome, folder, traceback, notes and end of the log of a job."""

    def __init__(self, tracked: TrackedJob, parent: QWidget | None = None) -> None:
        super().__init__(tracked.title, parent, 720)
        self.resize(760, 560)
        self.body.addWidget(make_label(tracked.title, "title"))
        bad = tracked.state in ("failed", "lost")
        status = progress_text(tracked) if tracked.active else outcome_text(tracked)
        self.body.addWidget(make_label(status, "bad" if bad else "muted"))
        if tracked.failure is not None:
            self.body.addWidget(make_label(tracked.failure.hint, "body"))
        folder = make_label(str(tracked.job.folder), "small")
        folder.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.body.addWidget(folder)
        self.trace = code_view(tracked.failure.trace if tracked.failure else "")
        if self.trace.toPlainText():
            self.body.addWidget(make_label("TRACEBACK", "overline"))
            self.body.addWidget(self.trace, 1)
        if tracked.notes:
            self.body.addWidget(make_label("NOTES", "overline"))
            self.body.addWidget(make_label("\n".join(note.text for note in tracked.notes)))
        self.log = code_view(tracked.job.log_tail())
        self.log.setPlaceholderText("The log is empty.")
        self.log.verticalScrollBar().setValue(self.log.verticalScrollBar().maximum())
        self.body.addWidget(make_label("END OF LOG", "overline"))
        self.body.addWidget(self.log, 1)
        self.foot.addStretch(1)
        close = button("Close", "primary")
        close.clicked.connect(self.accept)
        self.foot.addWidget(close)


class JobsPanel(QFrame):
    """Panel with the cards of all jobs, the newest on top.

    Args:
        state: State of the window.
        parent: Owner.

    Signals:
        closed: The close button was pressed.
        rename_requested: Job to rename (`TrackedJob`).
        delete_requested: Job to delete (`TrackedJob`).
    """

    closed = Signal()
    rename_requested = Signal(object)
    delete_requested = Signal(object)

    def __init__(self, state: AppState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("jobsPanel")
        self.setFixedWidth(PANEL_PX)
        self._jobs = state.jobs
        self.cards: dict[str, JobCard] = {}
        outer = QVBoxLayout(self)
        outer.setContentsMargins(2 * GRID_PX, GRID_PX, GRID_PX, GRID_PX)
        outer.setSpacing(GRID_PX)
        head = QHBoxLayout()
        head.addWidget(make_label("Jobs", "heading", wrap=False), 1)
        close = button("", "quiet", "close", "Hide jobs")
        close.setAccessibleName("Hide jobs")
        close.clicked.connect(self.closed)
        head.addWidget(close)
        outer.addLayout(head)
        self._empty = make_label("No jobs yet. Long-running tasks appear here.", "muted")
        outer.addWidget(self._empty)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        inner = QWidget()
        inner.setProperty("role", "scrolled")
        self._list = QVBoxLayout(inner)
        self._list.setContentsMargins(0, 0, GRID_PX, 0)
        self._list.setSpacing(GRID_PX)
        self._list.addStretch(1)
        scroll.setWidget(inner)
        outer.addWidget(scroll, 1)
        self._jobs.added.connect(self._add)
        self._jobs.changed.connect(self._refresh)
        self._jobs.ended.connect(self._refresh)
        self._jobs.cleared.connect(self._clear)

    def show_details(self, tracked: TrackedJob) -> JobDetails:
        """Open the details of a job."""
        dialog = JobDetails(tracked, self)
        dialog.open()
        return dialog

    def _add(self, tracked: TrackedJob) -> None:
        card = JobCard(tracked)
        card.cancel_requested.connect(self._jobs.cancel)
        card.resume_requested.connect(self._resume)
        card.details_requested.connect(self.show_details)
        card.rename_requested.connect(self.rename_requested)
        card.delete_requested.connect(self.delete_requested)
        self.cards[tracked.name] = card
        older = sorted((name for name in self.cards if name > tracked.name), reverse=True)
        self._list.insertWidget(len(older), card)
        self._empty.hide()

    def _refresh(self, tracked: TrackedJob) -> None:
        card = self.cards.get(tracked.name)
        if card is not None:
            card.refresh()

    def _resume(self, tracked: TrackedJob) -> None:
        try:
            self._jobs.resume(tracked)
        except CoreError as error:
            show_error_dialog(error, self.window())

    def _clear(self) -> None:
        for card in self.cards.values():
            self._list.removeWidget(card)
            card.hide()
            card.deleteLater()
        self.cards.clear()
        self._empty.show()
