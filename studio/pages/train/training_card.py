"""Card of the running or newest training: losses, a held-out frame, and the buttons to cancel and resume."""

from __future__ import annotations

from PySide6.QtCore import QTimer, Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QWidget

from core.errors import CoreError
from core.jobs import Metric
from studio.jobs.text import outcome_text, progress_text
from studio.jobs.tracked import TrackedJob
from studio.pages.train import presenter, training_text
from studio.pages.train.held_out import HeldOutView
from studio.pages.train.plots import PLOTS, Plot
from studio.plots.loss_plot import LossPlot
from studio.shell.dialogs import show_error_dialog
from studio.state.app_state import AppState
from studio.widgets.buttons import button
from studio.widgets.card import Card
from studio.widgets.columns import TileGrid
from studio.widgets.empty_state import EmptyState
from studio.widgets.text import make_label


class TrainingCard(Card):
    """Card with progress and results of a training.

    Args:
        state: Selection of the window.
        parent: Owner.

    Attributes:
        plots: Plots with data.
        held_out: View of the held-out frame.

    Signals:
        shown: The job was shown again.
    """

    shown = Signal()

    def __init__(self, state: AppState, parent: QWidget | None = None) -> None:
        super().__init__("Training", parent=parent)
        self._state = state
        self._watched: TrackedJob | None = None
        self.cancel = button("Cancel", "normal", "stop", "Stop after saving a checkpoint; can be resumed")
        self.resume = button("Resume", "normal", "retry", "Continue from the last checkpoint")
        self.cancel.clicked.connect(self._cancel)
        self.resume.clicked.connect(self._resume)
        self.tools.addWidget(self.cancel)
        self.tools.addWidget(self.resume)
        self._empty = EmptyState("train", *training_text.training_state(None))
        self.outcome = make_label("", "strong")
        self.held_out = HeldOutView(self)
        self._curves = TileGrid(tile_px=260, max_columns=2)
        self.plots: list[tuple[Plot, LossPlot]] = []
        for widget in (self._empty, self.outcome, self.held_out, self._curves):
            self.body.addWidget(widget)
        self._builder = QTimer(self)
        self._builder.timeout.connect(self._build_plot)
        jobs = state.jobs
        jobs.measured.connect(self._measured)
        jobs.changed.connect(self._job_changed)
        for signal in (jobs.added, jobs.cleared, jobs.active_changed):
            signal.connect(self._watch_again)

    @property
    def running(self) -> bool:
        """True while the training is running."""
        return self._watched is not None and self._watched.active

    def showEvent(self, event: QShowEvent) -> None:
        """Build plots that received data while the card was hidden."""
        super().showEvent(event)
        self._builder.start()

    def show_job(self) -> None:
        """Show the state of the training."""
        job = self._watched
        measured = job is not None and bool(job.metrics)
        self._empty.setVisible(not measured)
        self._empty.show_message(*training_text.training_state(job))
        outcome = training_text.training_outcome(job) if measured else ""
        self.outcome.setText(outcome)
        self.outcome.setVisible(bool(outcome))
        self._curves.setVisible(measured)
        self.cancel.setVisible(self.running)
        self.resume.setVisible(job is not None and job.resumable)
        self.resume.setEnabled(not self._state.jobs.why_not())
        if job is None:
            self.set_note("")
        else:
            self.set_note(f"{job.title}: {progress_text(job) if job.active else outcome_text(job)}")
            self.cancel.setEnabled(job.cancel_requested_s is None)
        self.shown.emit()

    def _watch_again(self, _job: object = None) -> None:
        """Show the running or newest training with its full history."""
        watched = presenter.watched_job(self._state.jobs)
        if watched is self._watched and watched is not None:
            return
        self._watched = watched
        self.held_out.show_job(self._state.session, watched)
        for _plot, widget in self.plots:
            widget.reset()
        if watched is not None:
            self._add(watched.metrics)
        self.show_job()

    def _measured(self, tracked: TrackedJob, metrics: list[Metric]) -> None:
        before = self._watched
        self._watch_again()
        if tracked is self._watched and tracked is before:
            self._add(metrics)
            if any(metric.name.startswith("held_out/") for metric in metrics):
                self.held_out.show_job(self._state.session, tracked)
            self.show_job()

    def _add(self, metrics: list[Metric]) -> None:
        known = [plot for plot, _ in self.plots]
        for plot, widget in self.plots:
            widget.add(metric for metric in metrics if plot.shows(metric.name))
            if widget.isHidden() == bool(widget.names):
                widget.setVisible(bool(widget.names))
                self._curves.relayout()
        if any(plot not in known and plot.shows(metric.name) for plot in PLOTS for metric in metrics):
            self._builder.start()

    def _build_plot(self) -> None:
        """Build the next plot with data, one per event-loop iteration, if the card is visible."""
        self._builder.stop()
        metrics = [] if self._watched is None or not self.isVisible() else self._watched.metrics
        known = [plot for plot, _ in self.plots]
        for at, plot in enumerate(p for p in PLOTS if p in known or any(p.shows(m.name) for m in metrics)):
            if plot not in known:
                made = LossPlot(
                    plot.title, plot.unit, logarithmic=plot.logarithmic, labels=plot.labels, reference=plot.reference
                )
                made.add(metric for metric in metrics if plot.shows(metric.name))
                self.plots.insert(at, (plot, made))
                self._curves.insert_tile(at, made)
                self._builder.start()
                return

    def _job_changed(self, tracked: TrackedJob) -> None:
        if tracked is self._watched:
            self.show_job()

    def _cancel(self) -> None:
        if self._watched is not None:
            self._state.jobs.cancel(self._watched)

    def _resume(self) -> None:
        if self._watched is not None:
            try:
                self._state.jobs.resume(self._watched)
            except CoreError as error:
                show_error_dialog(error, self.window())
            self.show_job()
