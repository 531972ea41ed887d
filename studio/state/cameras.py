"""Cameras of the open session: those in use, those found, and the job that runs them."""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtCore import QObject, QTimer, Signal

from core.board.pattern import Board
from core.capture.session_cameras import SessionCameras, read_cameras, save_cameras
from core.capture.source import FoundCamera, discover_cameras, is_simulated, parse_camera
from core.capture.sources.demo import PEOPLE, SCHEME
from core.capture.sources.files import expand_folders, sample_cameras
from core.errors import CoreError
from core.jobs.commands import AddMarker, Command, SetControl, SetLive, StartTake, StopTake, send_command
from core.live.config import LiveConfig
from core.pipelines.params import RecordParams
from core.session import Session
from studio.background import Background
from studio.jobs.bridge import JobBridge
from studio.jobs.tracked import TrackedJob
from studio.settings import SettingsStore
from studio.state.live_status import LiveStatus, TakePhase, live_status, since

_SEARCH_MS = 8000
_PREVIEW_HZ = 15.0


class LiveCameras(QObject):
    """Cameras of the open session, shared by the pages that show them.

    One job runs the cameras for previews and recording. Previews stop when another job starts, to free the computer.

    Args:
        jobs: Jobs of the session.
        settings: Store of the real cameras of the last session, which are the initial cameras of a new one.
        parent: Owner.

    Signals:
        changed: The cameras in use or those found have changed.
        job_changed: The cameras were started or stopped.
        status_changed: New `LiveStatus` of the running cameras.
        live_changed: Live 3D was switched on or off while the cameras run.
        warned: Warning of the camera job, or the reason why it failed.
        take_made: Name of a new, complete take.
        failed: Error (`CoreError`).
    """

    changed = Signal()
    job_changed = Signal()
    status_changed = Signal(object)
    live_changed = Signal()
    warned = Signal(str)
    take_made = Signal(str)
    failed = Signal(object)

    def __init__(self, jobs: JobBridge, settings: SettingsStore, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._jobs, self._settings = jobs, settings
        self._session: Session | None = None
        self._cameras = SessionCameras()
        self.found: tuple[FoundCamera, ...] = ()
        self.searched = False
        """True if the current search is complete."""
        self._job: TrackedJob | None = None
        self._status: LiveStatus | None = None
        self._pending: tuple[RecordParams, str] | None = None
        self._takes: tuple[str, ...] = ()
        self._warnings = 0
        self._before: LiveStatus | None = None
        self._background = Background(self)
        self._search_timer = QTimer(self)
        self._search_timer.setInterval(_SEARCH_MS)
        self._search_timer.timeout.connect(self._search)
        jobs.active_changed.connect(self._jobs_changed)
        jobs.changed.connect(self._job_has_news)
        jobs.added.connect(self._job_added)
        jobs.ended.connect(self._job_ended)

    @property
    def cameras(self) -> tuple[str, ...]:
        """Cameras in use, each as "name=address"."""
        return self._cameras.used

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the cameras in use."""
        return tuple(parse_camera(one)[0] for one in self.cameras)

    @property
    def job(self) -> TrackedJob | None:
        """Job that runs the cameras; None while they are off."""
        return self._job

    @property
    def running(self) -> bool:
        """True if the cameras are running or about to run."""
        return self._job is not None or self._pending is not None

    @property
    def status(self) -> LiveStatus | None:
        """State of the running cameras; None until they publish one."""
        return self._status

    @property
    def phase(self) -> TakePhase:
        """Phase of the recording."""
        return "watching" if self._status is None else self._status.phase

    def attach(self, session: Session | None) -> None:
        """Switch to the cameras of another session; a new session gets the last cameras in use."""
        self.search(False)
        self._session, self._pending = session, None
        stored = None if session is None else read_cameras(session)
        self._cameras = stored or SessionCameras().with_added(self._settings.value.cameras)
        self.changed.emit()

    def search(self, on: bool) -> None:
        """Start or stop the periodic search for cameras in the background."""
        if on != self._search_timer.isActive():
            self.searched = False
        if not on:
            self._search_timer.stop()
            self._background.drop()
        elif not self._search_timer.isActive():
            self._search_timer.start()
            self._search()

    def add(self, addresses: Iterable[str]) -> None:
        """Add cameras, given as "address" or "name=address"; a folder is replaced by its videos."""
        rig = None
        if self._session is not None and self._session.layout.rig.exists():
            try:
                rig = self._session.rig
            except CoreError:
                rig = None  # reported by the page that shows the rig
        try:
            cameras = expand_folders(tuple(addresses))
        except CoreError as error:
            self.failed.emit(error)
            return
        self._use(self._cameras.with_added(cameras, () if rig is None else rig.names))

    def add_demo(self, *, people: bool = False) -> None:
        """Replace the cameras by simulated ones of a board or of people."""
        demo = [camera.address for camera in discover_cameras(simulated=True)]
        chosen = [address for address in demo if address.startswith(f"{SCHEME}:{PEOPLE}") == people]
        for name, address in map(parse_camera, self.cameras):
            if address in demo and address not in chosen:
                self._cameras = self._cameras.without(name)
        self.add(chosen)

    def add_sample(self) -> None:
        """Replace the cameras by the sample videos, played as live cameras."""
        self.add(sample_cameras())

    def remove(self, name: str) -> None:
        """Remove a camera."""
        self._use(self._cameras.without(name))

    def rename(self, old: str, new: str) -> None:
        """Rename a camera."""
        try:
            self._use(self._cameras.renamed(old, new))
        except CoreError as error:
            self.failed.emit(error)

    def watch(self, board: Board | None = None) -> None:
        """Start the cameras for previews; takes can be recorded at any time."""
        self._run(RecordParams(cameras=self.cameras, preview_only=True, board=board, preview_hz=_PREVIEW_HZ), "Cameras")

    def start_take(self, order: StartTake, board: Board | None = None) -> None:
        """Record a take from the running cameras, or start cameras for a single take.

        Args:
            order: Settings of the take.
            board: Board to detect if the cameras are started.
        """
        if self._job is not None:
            self._send(order)
            return
        params = RecordParams(
            cameras=self.cameras,
            name=order.name,
            kind=order.kind,
            note=order.note,
            countdown_s=order.countdown_s,
            duration_s=order.duration_s,
            sound=order.sound,
            board=board,
            preview_hz=_PREVIEW_HZ,
        )
        self._run(params, f"Record {order.name or order.kind}")

    def stop_take(self) -> None:
        """End the take or its countdown; the cameras keep running."""
        self._send(StopTake())

    def mark(self) -> None:
        """Add a marker at the current time."""
        self._send(AddMarker())

    def set_control(self, camera: str, control: str, value: float | None) -> None:
        """Set a control of a camera; None for automatic."""
        self._send(SetControl(camera=camera, control=control, value=value))

    def rename_problem(self, old: str, new: str) -> str:
        """Return why a name is not allowed for a camera; empty if it is."""
        try:
            self._cameras.renamed(old, new)
        except CoreError as error:
            return f"{error.message} {error.hint}"
        return ""

    def show_people(self, config: LiveConfig) -> None:
        """Start live 3D, and the cameras if necessary."""
        if self._job is not None and self._job.cancel_requested_s is None:
            self._send(SetLive(on=True, vmc_port=config.vmc_port, body_model=config.body_model))
        else:
            params = RecordParams(
                cameras=self.cameras, kind="motion", preview_only=True, preview_hz=_PREVIEW_HZ, live=config
            )
            self._run(params, "Live 3D")

    def hide_people(self) -> None:
        """End live 3D; the cameras keep running."""
        if self._job is not None:
            self._send(SetLive(on=False))

    def stop(self) -> None:
        """Stop the cameras; a recording is saved as a take."""
        self._pending = None
        self._cancel()

    def _cancel(self) -> None:
        if self._job is not None and self._job.cancel_requested_s is None:
            self._jobs.cancel(self._job)

    def _send(self, command: Command) -> None:
        if self._job is None:
            return
        try:
            send_command(self._job.job.folder, command)
        except CoreError as error:
            self.failed.emit(error)

    def release(self) -> None:
        """Stop the cameras unless they are recording."""
        if self._job is not None and self._job.watching:
            self.stop()

    def _job_ended(self, job: TrackedJob) -> None:
        if job.verb != "record":
            return
        if job.failure is not None:
            self.warned.emit(f"{job.failure.message} {job.failure.hint}".strip())
        for name in job.result.get("takes") or ():
            if name not in self._takes:
                self.take_made.emit(str(name))

    def _run(self, params: RecordParams, title: str) -> None:
        if self._session is None or not params.cameras:
            return
        if self._job is not None and self._job.watching:
            self._pending = params, title
            self._cancel()
            return
        try:
            self._jobs.start(self._session, "record", params, title)
        except CoreError as error:
            self.failed.emit(error)

    def _use(self, cameras: SessionCameras) -> None:
        if cameras == self._cameras:
            return
        self._cameras = cameras
        try:
            real = tuple(one for one in cameras.used if not is_simulated(parse_camera(one)[1]))
            if real or not cameras.used:  # simulated cameras are not remembered for the next session
                self._settings.update(cameras=real)
            if self._session is not None:
                save_cameras(self._session, cameras)
        except CoreError as error:
            self.failed.emit(error)
        self.changed.emit()
        if self._job is not None and self._job.watching:
            if self.cameras:
                self.watch()
            else:
                self.stop()

    def _search(self) -> None:
        if not self._background.busy:
            self._background.run(discover_cameras, self._searched, self.failed.emit)

    def _searched(self, found: list[FoundCamera]) -> None:
        if not self.searched or tuple(found) != self.found:
            self.searched, self.found = True, tuple(found)
            self.changed.emit()

    def _job_added(self, job: TrackedJob) -> None:
        asked = job.active and job.verb != "record" and not job.job.spec.background
        if self._job is not None and self._job.watching and asked:
            self.stop()  # frees the computer for the other job

    def _jobs_changed(self) -> None:
        job = next((job for job in self._jobs.active if job.verb == "record"), None)
        if job is not self._job:
            self._job, self._status, self._takes, self._warnings, self._before = job, None, (), 0, None
            self.job_changed.emit()
        if job is None and self._pending is not None:
            # Deferred, because the bridge is iterating over its jobs.
            QTimer.singleShot(0, self, self._run_pending)

    def _run_pending(self) -> None:
        if self._pending is not None and self._job is None:
            pending, self._pending = self._pending, None
            self._run(*pending)
            self.job_changed.emit()

    def _job_has_news(self, job: TrackedJob) -> None:
        if job is not self._job:
            return
        warnings = [note.text for note in job.notes if note.level == "warning"]
        for text in warnings[self._warnings :]:
            self.warned.emit(text)
        self._warnings = len(warnings)
        if job.status:
            status = live_status(job.status)
            if status is not None:
                if status.phase != "recording":
                    self._before = status
                elif self._before is not None:
                    status = since(status, self._before)
                switched = status.live != (self._status is not None and self._status.live)
                self._status = status
                self.status_changed.emit(self._status)
                if switched:
                    self.live_changed.emit()
                fresh = [name for name in self._status.takes if name not in self._takes]
                self._takes = self._status.takes
                for name in fresh:
                    self.take_made.emit(name)
