"""Status bar: compute device, free disk space, what was just done, and the running job."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QHBoxLayout, QProgressBar, QStatusBar, QWidget

from studio.jobs.text import progress_text
from studio.jobs.tracked import TrackedJob
from studio.state.app_state import AppState
from studio.state.system_info import GpuQuery, device_text, disk_text, torch_build
from studio.theme import GRID_PX
from studio.widgets.elided import ElidedLabel
from studio.widgets.icon_label import IconLabel
from studio.widgets.text import make_label, set_role

_DISK_INTERVAL_MS = 10_000
_MESSAGE_MS = 8_000


class StatusBar(QStatusBar):
    """Status bar with device, disk and job.

    Args:
        state: Selection of the window.
        parent: Owner.
    """

    def __init__(self, state: AppState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = state
        self.setSizeGripEnabled(False)
        self.device = make_label("", "small", wrap=False)
        self.disk = make_label("", "small", wrap=False)
        self.message = ElidedLabel("reason")
        self.job_text = ElidedLabel("small")
        self.job_text.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.job_bar = QProgressBar()
        self.job_bar.setTextVisible(False)
        self.job_bar.setFixedWidth(16 * GRID_PX)
        self.addWidget(_with_icon("chip", self.device))
        self.addWidget(_with_icon("disk", self.disk))
        right = QWidget()
        row = QHBoxLayout(right)
        row.setContentsMargins(2 * GRID_PX, 0, 2 * GRID_PX, 0)
        row.setSpacing(GRID_PX)
        row.addWidget(self.message, 1)
        row.addWidget(self.job_text, 1)
        row.addWidget(self.job_bar)
        self.addPermanentWidget(right, 1)
        self._gpu_query = GpuQuery(self)
        self._gpu_query.answered.connect(self._show_device)
        self._gpu_query.start()
        self._forget = QTimer(self)
        self._forget.setSingleShot(True)
        self._forget.setInterval(_MESSAGE_MS)
        self._forget.timeout.connect(self.message.clear)
        self._timer = QTimer(self)
        self._timer.setInterval(_DISK_INTERVAL_MS)
        self._timer.timeout.connect(self.refresh)
        self._timer.start()
        state.status_changed.connect(self.refresh)
        for signal in (state.jobs.added, state.jobs.changed, state.jobs.ended, state.jobs.cleared):
            signal.connect(self._show_job)
        self.refresh()
        self._show_job()

    def announce(self, text: str) -> None:
        """Show for a while what was done. Qt's own messages have no room beside a widget that takes the width."""
        self.message.setText(text)
        self._forget.start()

    def refresh(self) -> None:
        """Update the free disk space."""
        folder = self._state.session.root if self._state.session else Path.home()
        text, low = disk_text(folder)
        self.disk.setText(text)
        self.disk.setToolTip(f"Free space on the disk of {folder}")
        set_role(self.disk, "warn" if low else "small")

    def _show_device(self, gpu_name: str) -> None:
        text, warning = device_text(gpu_name, torch_build())
        self.device.setText(f"Device: {text}")
        self.device.setToolTip(warning or "Jobs run on this device")
        set_role(self.device, "warn" if warning else "small")

    def _show_job(self, _job: TrackedJob | None = None) -> None:
        active = self._state.jobs.active
        self.job_bar.setVisible(bool(active))
        if not active:
            self.job_text.setText("")
            return
        job = active[-1]
        more = f"  (+{len(active) - 1} more)" if len(active) > 1 else ""
        self.job_text.setText(f"{job.title}: {progress_text(job)}{more}")
        self.job_bar.setRange(0, 0 if job.fraction is None else 1000)
        self.job_bar.setValue(round(1000 * (job.fraction or 0)))


def _with_icon(name: str, text: QWidget) -> QWidget:
    holder = QWidget()
    row = QHBoxLayout(holder)
    row.setContentsMargins(GRID_PX + GRID_PX // 2, 0, GRID_PX // 2, 0)
    row.setSpacing(6)
    row.addWidget(IconLabel(name, "faint", 14))
    row.addWidget(text)
    return holder
