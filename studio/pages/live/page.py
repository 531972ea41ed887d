"""Live page: 3D view of the people in front of running cameras."""

from __future__ import annotations

import statistics
import time

from PySide6.QtCore import QEvent, QObject, QSize, QTimer
from PySide6.QtGui import QHideEvent, QPainter, QPaintEvent, QShowEvent
from PySide6.QtWidgets import QCheckBox, QFrame, QHBoxLayout, QLabel, QStackedWidget, QToolButton, QVBoxLayout, QWidget

from core.body.models.families import FREE
from core.body.models.registry import body_models
from core.live.config import VMC_PORT, LiveConfig
from studio.icons import icon
from studio.pages.live.presenter import (
    LiveScene,
    LiveView,
    all_in_demo_room,
    body_text,
    camera_text,
    fits_demo_room,
    live_view,
    rate_text,
    session_rig,
    take_cameras,
    used_text,
)
from studio.state.app_state import AppState
from studio.state.live_status import LiveStatus
from studio.theme import GRID_PX, Theme, current_theme, theme_changed
from studio.viewport.canvas import Viewport
from studio.viewport.layers.skeletons import SHOW_BODIES
from studio.viewport.palette import palette
from studio.widgets.buttons import button, set_blocked
from studio.widgets.choice import Choice
from studio.widgets.empty_state import EmptyState
from studio.widgets.frame_ticker import FrameTicker
from studio.widgets.label_plate import paint_label_plate
from studio.widgets.number_field import NumberField
from studio.widgets.text import make_label

_POLL_MS = 33
_TEXT_S = 0.5  # between updates of numbers, for legibility
_MARGIN_PX = 12
_START_TIP = "Run the cameras, and show the people in 3D"
_STOP_TIP = "Stop live 3D; the recording of a take continues"
_VMC_TIP = "Send the people by the VMC protocol (OSC) to a program on this computer, such as Unity, Blender or Godot"
_DEMO_TIP = "Four simulated cameras with two people, and their calibration"


class LivePage(QWidget):
    """Live page.

    Args:
        state: Selection of the window.
    """

    def __init__(self, state: AppState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state, self._cameras = state, state.cameras
        self.scene = LiveScene()
        self._wanted, self._stage = False, ""
        self._latencies_s: list[float] = []
        self._told_s = 0.0
        self._palette = palette(current_theme())
        self._build()
        self._timer = QTimer(self)
        self._timer.setInterval(_POLL_MS)
        self._timer.timeout.connect(self.poll)
        state.content_changed.connect(self.refresh)
        state.jobs.active_changed.connect(self.refresh)
        self._cameras.changed.connect(self.refresh)
        self._cameras.job_changed.connect(self._job_changed)
        self._cameras.status_changed.connect(self._show_status)
        theme_changed.connect(self._apply_theme)

    @property
    def view(self) -> LiveView:
        """Current state of the page."""
        return live_view(session_rig(self._state.session), self._cameras.cameras, self._cameras.status, self._wanted)

    @property
    def _footage(self) -> tuple[str, ...]:
        """Calibrated cameras of the selected take, which play their videos in a loop."""
        return take_cameras(self._state.take, session_rig(self._state.session))

    @property
    def config(self) -> LiveConfig:
        """Settings of live 3D."""
        return LiveConfig(
            body_model=self.model.currentData() if self.bodies.isChecked() else "",
            vmc_port=int(self.port.value()) if self.vmc.isChecked() else 0,
        )

    def start(self) -> None:
        """Start live 3D, and the cameras if they are not running."""
        self._wanted = True
        self._cameras.show_people(self.config)
        self.refresh()

    def stop(self) -> None:
        """Stop live 3D, and the cameras unless they are recording."""
        self._wanted = False
        self._cameras.hide_people()
        self._cameras.release()
        self.refresh()

    def try_demo(self) -> None:
        """Run simulated cameras of people, whose exact calibration a session without one adopts."""
        self._cameras.add_demo(people=True)
        self.start()

    def play_take(self) -> None:
        """Play the videos of the selected take as its cameras."""
        self._cameras.add(self._footage)
        self.start()

    def poll(self) -> None:
        """Draw the newest people, if there are new ones."""
        now_ns = time.monotonic_ns()
        if not self.scene.poll(now_ns):
            return
        people = self.scene.people
        if people is not None:
            self._latencies_s.append(people.latency_s(now_ns))
        self.viewport.invalidate()
        if people is None or now_ns / 1e9 - self._told_s >= _TEXT_S:
            latency_s = statistics.median(self._latencies_s) if self._latencies_s else 0.0
            self.plate.show_text(rate_text(people, latency_s))
            self.unused.setText(used_text(people, self._cameras.status))
            self._latencies_s.clear()
            self._told_s = now_ns / 1e9

    def showEvent(self, event: QShowEvent) -> None:
        """Resume the updates."""
        super().showEvent(event)
        self.refresh()

    def hideEvent(self, event: QHideEvent) -> None:
        """Stop the cameras, unless people are sent to another program."""
        super().hideEvent(event)
        self._timer.stop()
        self.scene.attach(None)
        if self._wanted and not self.vmc.isChecked():
            self.stop()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Keep the label in its corner of the 3D view."""
        if watched is self.viewport and event.type() == QEvent.Type.Resize:
            self.plate.move(_MARGIN_PX, _MARGIN_PX)
        return False

    def shut_down(self) -> None:
        """Free the OpenGL resources before the window closes."""
        self._timer.stop()
        self.scene.close()
        self.viewport.close_canvas()

    def refresh(self) -> None:
        """Show the current state."""
        if not self.isVisible():
            return
        view = self.view
        rig = session_rig(self._state.session)
        idle = view.stage in ("no rig", "no cameras") and not self._cameras.cameras
        self.demo.setVisible(idle and fits_demo_room(rig))
        self.play.setVisible(view.stage == "no cameras" and bool(self._footage))
        self.calibrate.setVisible(view.stage in ("no rig", "mismatch"))
        self.record.setVisible(view.stage in ("no cameras", "mismatch"))
        blocked = view.stage in ("no rig", "no cameras", "mismatch")
        if blocked:
            self.empty.show_message(view.heading, view.text)
        self.stack.setCurrentIndex(0 if blocked else 1)
        running = view.stage in ("starting", "running") or self._wanted
        self.start_button.setVisible(not running)
        self.stop_button.setVisible(running)
        busy = "" if self._cameras.running else self._state.jobs.why_not()
        set_blocked(self.start_button, busy, _START_TIP)
        chosen = self.model.currentData()
        models = [(card.title, card.name) for card in body_models() if not card.problem]
        if chosen not in (name for _, name in models):
            models.append((f"{chosen} (missing)", chosen))
        self.model.offer(models, chosen)
        self.model.setVisible(len(models) > 1)
        self._show_notice(view)
        if view.stage == "starting":
            self.plate.show_text("Starting…")
        elif view.stage != "running":
            self.plate.show_text("")
        self.scene.set_rig(rig, self._cameras.names)
        self._show_status(self._cameras.status)
        self._timer.start()
        self.viewport.invalidate()

    def _build(self) -> None:
        self.start_button = button("Start live 3D", "primary", "play", _START_TIP)
        self.start_button.clicked.connect(self.start)
        self.stop_button = button("Stop", "normal", "stop", _STOP_TIP)
        self.stop_button.clicked.connect(self.stop)
        self.bodies = QToolButton()
        self.bodies.setIcon(icon(SHOW_BODIES.icon))
        self.bodies.setIconSize(QSize(18, 18))
        self.bodies.setToolTip(f"{SHOW_BODIES.label} ({SHOW_BODIES.shortcut})")
        self.bodies.setAccessibleName(SHOW_BODIES.label)
        self.bodies.setShortcut(SHOW_BODIES.shortcut)
        self.bodies.setCheckable(True)
        self.bodies.setChecked(True)
        self.bodies.toggled.connect(self._bodies_toggled)
        self.model = Choice("Body model")
        self.model.setToolTip("Body model to fit; add more on the View page")
        self.model.offer([("", FREE)], FREE)
        self.model.activated.connect(self._config_changed)
        self.vmc = QCheckBox("Send by VMC to port")
        self.vmc.setToolTip(_VMC_TIP)
        self.vmc.toggled.connect(self._vmc_changed)
        self.port = NumberField("UDP port", "", 0)
        self.port.setRange(1, 65_000)
        self.port.setValue(VMC_PORT)
        self.port.edited.connect(self._vmc_changed)
        self.port.setMaximumWidth(110)
        self.notice = make_label("", "warn")
        self.notice.setContentsMargins(12, 0, 12, 6)
        self.unused = make_label("", "small", wrap=False)
        bar = QFrame()
        row = QHBoxLayout(bar)
        row.setContentsMargins(12, 6, 8, 6)
        row.setSpacing(GRID_PX)
        row.addWidget(make_label("Live 3D", "strong", wrap=False))
        row.addStretch(1)
        row.addWidget(self.unused)
        for widget in (self.bodies, self.model, self.vmc, self.port, self.start_button, self.stop_button):
            row.addWidget(widget)
        self.viewport = Viewport(FrameTicker(parent=self))
        self.viewport.set_scene_source(lambda: self.scene.layers(self._palette))
        self.viewport.installEventFilter(self)
        self.plate = _Plate(self.viewport)
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(bar)
        column.addWidget(self.notice)
        column.addWidget(self.viewport, 1)
        self.calibrate = button("Calibrate", "primary", "calibrate")
        self.calibrate.clicked.connect(lambda: self._state.page_requested.emit("calibrate", ""))
        self.record = button("Cameras", "normal", "record", "Add or rename cameras on the Record page")
        self.record.clicked.connect(lambda: self._state.page_requested.emit("record", ""))
        self.play = button("Play the take", "normal", "play", "Play the videos of the selected take as live cameras")
        self.play.clicked.connect(self.play_take)
        self.demo = button("Demo: people", "normal", "person", _DEMO_TIP)
        self.demo.clicked.connect(self.try_demo)
        self.empty = EmptyState("person", "", "", self.calibrate, self.record, self.play, self.demo)
        self.stack = QStackedWidget()
        self.stack.addWidget(self.empty)
        self.stack.addWidget(content)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.stack)

    def _bodies_toggled(self, on: bool) -> None:
        self.scene.show_bodies(on)
        self.model.setEnabled(on)
        self.viewport.invalidate()
        self._config_changed()

    def _vmc_changed(self) -> None:
        self.port.setEnabled(self.vmc.isChecked())
        self._config_changed()

    def _config_changed(self) -> None:
        if self._wanted:
            self._cameras.show_people(self.config)
        self._show_notice(self.view)

    def _show_notice(self, view: LiveView) -> None:
        """Show why live 3D has ended, or why bodies or VMC are not available."""
        status = self._cameras.status
        text = f"{view.heading}. {view.text}" if view.stage == "failed" else camera_text(status)
        if not text:
            problem = (status.people.body_problem if status is not None else "") or self.scene.body_problem
            text = body_text(problem, wanted=self.bodies.isChecked(), vmc=self.vmc.isChecked())
        self.notice.setText(text)
        self.notice.setVisible(bool(text))

    def _job_changed(self) -> None:
        if self._cameras.job is None and not self._cameras.running:
            self._wanted = False
        self.refresh()

    def _show_status(self, status: LiveStatus | None) -> None:
        """Attach to new rings, and show a changed state."""
        if not self.isVisible():
            return
        shown = status if status is not None and status.live else None
        self.scene.attach(shown)
        view = self.view
        self._show_notice(view)
        stage = view.stage
        if stage != self._stage:
            self._stage = stage
            session = self._state.session
            if session is not None and stage == "running" and all_in_demo_room(self._cameras.cameras):
                self._state.rig.follow(session, "The exact rig of the demo room is used.")
            self.refresh()

    def _apply_theme(self, theme: Theme) -> None:
        self._palette = palette(theme)
        self.viewport.invalidate()


class _Plate(QLabel):
    """Line of text over a corner of the 3D view."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("liveRate")
        self.setContentsMargins(10, 6, 10, 6)
        self.move(_MARGIN_PX, _MARGIN_PX)
        self.hide()

    def show_text(self, text: str) -> None:
        """Show a text; an empty one hides the plate."""
        if text != self.text():
            self.setText(text)
            self.adjustSize()
        self.setVisible(bool(text))

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the plate and the text."""
        with QPainter(self) as painter:
            paint_label_plate(painter, self)
        super().paintEvent(event)
