"""Verb `record`: running cameras, their previews and their takes.

On the command line, the job records a single take. In the window, commands start and stop takes; see
`core.jobs.commands` for the commands and the values of `status` events.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from typing import Any

import av

from core.calibration.board.live import BoardWatch, WatchSummary
from core.calibration.board.session_board import board_to_print, save_session_board, session_board
from core.capture.camera import Opener
from core.capture.previews import Previews
from core.capture.recorder import Recorder
from core.capture.remote import RemoteControl, remote_status
from core.capture.source import Source, SourceOptions, is_simulated, open_source, parse_camera
from core.capture.sources.files import expand_folders
from core.capture.takes import TakeMaker, room_bytes, save_recording
from core.clock import SYSTEM_CLOCK, Clock
from core.config import to_mapping
from core.errors import CoreError
from core.files import read_json, write_json
from core.jobs.commands import AddMarker, Command, CommandReader, SetControl, SetLive, StartTake, StopTake
from core.live.client import LiveSwitch
from core.live.config import LiveConfig
from core.pipelines.cameras.board_preview import BoardPreview
from core.pipelines.params import RecordParams
from core.pipelines.rig.certify import certify_recorded
from core.pipelines.rig.demo_room import adopt_demo_rig, save_demo_truth
from core.progress import Reporter
from core.session import RunLayout, Session, Take, TakeLayout
from core.session.incoming import discard, find_recording
from core.types.frame import Frame

_PRE_ROLL_S = 2.0
_STATUS_EVERY_S = 0.5
_START_TIMEOUT_S = 15.0
_STALE_S = 1.0  # age relative to the latest frames from which a frame set is not shown
_LEAST_STEP_NS = 5_000_000
_RATE_S = 2.0  # measurement period of the data rate
_ADDRESS = re.compile(r"^(?=\S*[:/])\S+ (?=[a-z])")  # of the camera, at the beginning of its problem


def run_record(
    session: Session, params: RecordParams, run: RunLayout, reporter: Reporter, clock: Clock = SYSTEM_CLOCK
) -> dict[str, Any]:
    """Run cameras until cancelled or for a given duration, and record takes.

    Cancelling is the normal end. Called again with the run of a crashed recording, it recovers the take.

    Args:
        session: Session that receives the takes.
        params: Cameras and settings.
        run: Run of this recording.
        reporter: Receives progress, notes and the state of the cameras.
        clock: Clock of cameras and previews.

    Returns:
        `take` (the last one, empty without takes), `takes`, `seconds`, and `images` by camera.

    Raises:
        CoreError: No cameras are given, or none sends an image.
    """
    av.logging.set_level(av.logging.ERROR)
    recovered = []
    while (found := find_recording(session, run.name)) is not None:
        reporter.note("The recording was interrupted. Recovering its images.")
        recovered.append(save_recording(session, *found, reporter))
    if recovered:
        return _result(recovered, float(recovered[-1].timeline().time_s[-1]))
    if run.recorded.is_file() and (name := str(read_json(run.recorded))) in session.take_names():
        reporter.note(f"The recording had already ended with take {name}.")
        take = session.take(name)
        return _result([take], float(take.timeline().time_s[-1]))
    addresses = _addresses(params.cameras)
    adopt_demo_rig(session, addresses, run, reporter)
    board = session_board(session, params.board)
    if board.kind == "auto" and all(is_simulated(address) for address in addresses.values()):
        board = board_to_print(session, params.board)
        save_session_board(session, board)  # the board of demo cameras is known
    with clock.member():
        opener = partial(_open, start_ns=clock.now_ns(), clock=clock, board=board)
        job = _CameraJob(session, params, run, reporter, clock, addresses)
        with ExitStack() as open_until_the_end:
            previews = open_until_the_end.enter_context(closing(Previews(reporter)))
            if params.remote_port:
                remote = RemoteControl(run.root, params.remote_port, reporter, all_interfaces=params.remote_network)
                job.remote = open_until_the_end.enter_context(closing(remote))
            return job.run(opener, previews, BoardPreview(BoardWatch(board), clock))


def _open(camera: str, address: str, **shared: Any) -> Source:
    return open_source(address, SourceOptions(camera=camera, **shared))


class _CameraJob:
    """Main loop of running cameras, with the current or next take."""

    def __init__(
        self,
        session: Session,
        params: RecordParams,
        run: RunLayout,
        reporter: Reporter,
        clock: Clock,
        addresses: Mapping[str, str],
    ) -> None:
        self._session, self._params, self._run, self._addresses = session, params, run, addresses
        self._reporter, self._clock = reporter, clock
        self._takes = TakeMaker(session, run, tuple(addresses), reporter, clock)
        self._live = LiveSwitch(session.root, reporter)
        self._commands = CommandReader(run.root)
        self._kind, self._sound = params.kind, False
        self._next: tuple[StartTake, TakeLayout, int] | None = None  # next take and its start time
        self._length_s = 0.0
        self._begin_ns = clock.now_ns()
        self._written: tuple[int, dict[str, int]] = (0, {})
        self._rates = dict.fromkeys(addresses, 0.0)
        self._silent: set[str] = set()
        self._shown = ""
        self.remote: RemoteControl | None = None

    @property
    def _once(self) -> bool:
        """True if the job records a single take."""
        return not self._params.preview_only

    def run(self, opener: Opener, previews: Previews, board: BoardPreview) -> dict[str, Any]:
        """Run the cameras until the job ends, and return its result."""
        folder = None
        if self._once:
            folder = self._start(self._first(), numbered=False)
            write_json(self._run.recorded, folder.name)
            if self._params.countdown_s:
                folder = None
            else:
                self._mark_begun()
        # A pre-roll of raw images needs continuous encoding.
        pre_roll_s = 0.0 if self._once or self._params.live is not None else _PRE_ROLL_S
        self._recorder = Recorder(
            self._addresses, opener, self._clock, pre_roll_s=pre_roll_s, folder=folder, sound=self._params.sound
        )
        try:
            self._live.switch(self._params.live)
            seconds = self._loop(previews, board)
        finally:
            self._live.close()
            self._recorder.stop()
            self._cancel_countdown()
            sent = {name: camera.frames for name, camera in self._recorder.cameras.items()}
            self._takes.end(self._recorder, unwanted=not any(sent.values()))
            self._recorder.close()
        self._note_all()
        heard = [name for name, store in self._recorder.stores.items() if store.sound]
        if heard and self._once and not self._params.sound:
            self._reporter.note(f"The sound of {', '.join(heard)} was not recorded; use --sound to record it.")
        try:
            self._save(wait=True)
        finally:
            self._takes.close()
        if not any(sent.values()):
            problems = _summary({name: camera.problem for name, camera in self._recorder.cameras.items()})
            raise CoreError("No camera sent an image.", problems or "Check the addresses of the cameras.")
        takes = [self._session.take(name) for name in self._takes.takes]
        simulated = all(map(is_simulated, self._addresses.values()))  # exactly known clocks
        if self._once and takes and not simulated and not self._reporter.cancelled():
            certify_recorded(self._session, takes[-1], self._run, self._reporter)
        return (
            _result(takes, seconds)
            if takes
            else {"take": "", "takes": [], "seconds": round(seconds, 1), "images": sent, "live": self._live.last}
        )

    def _first(self) -> StartTake:
        p = self._params
        return StartTake(
            name=p.name,
            kind=p.kind,
            note=p.note,
            countdown_s=p.countdown_s,
            duration_s=p.duration_s,
            sound=p.sound,
        )

    def _loop(self, previews: Previews, board: BoardPreview) -> float:
        """Update previews and execute commands until the end; return the length of the last take or of the job in s."""
        params, clock, recorder = self._params, self._clock, self._recorder
        shown, status_ns, watched_s, due_ns = dict[str, int](), 0, 0.0, clock.now_ns()
        while not self._reporter.cancelled() and not recorder.ended:
            now_ns = clock.now_ns()
            watched_s = (now_ns - self._begin_ns) / 1e9
            silent = not any(camera.frames or camera.phase == "starting" for camera in recorder.cameras.values())
            if watched_s > _START_TIMEOUT_S and silent:
                break
            self._execute_commands()
            self._advance()
            seconds = self._takes.seconds if self._once or self._takes.folder is not None else watched_s
            if self._once and self._takes.folder is None and self._next is None:
                break
            if not self._once and params.duration_s and watched_s >= params.duration_s:
                break
            index, frames = _latest(recorder)
            fresh = {name: frame for name, frame in frames.items() if frame.time_ns > shown.get(name, 0)}
            shown |= {name: frame.time_ns for name, frame in fresh.items()}
            if fresh and self._kind != "motion" and not self._live.on:
                board.offer(fresh)
            new = [previews.put(frame, index, board.corners(frame)) for frame in fresh.values()]
            self._live.attach(previews.names)
            if any(new) or now_ns - status_ns >= _STATUS_EVERY_S * 1e9:
                status_ns = now_ns
                self._note_all()
                self._save()
                self._publish(self._status(previews, board.summary))
                self._progress(seconds)
            # A fixed schedule keeps the rate, unless an iteration takes too long.
            due_ns = max(due_ns + round(1e9 / params.preview_hz), clock.now_ns() + _LEAST_STEP_NS)
            clock.sleep((due_ns - clock.now_ns()) / 1e9)
        self._publish(self._status(previews, board.summary))
        return self._takes.seconds or watched_s

    def _publish(self, status: dict[str, Any]) -> None:
        self._reporter.status(status)
        if self.remote is not None:
            self.remote.status = remote_status(status)

    def _execute_commands(self) -> None:
        commands, errors = self._commands.read()
        for error in errors:
            self._warn(error)
        for command in commands:
            try:
                self._execute(command)
            except CoreError as error:
                self._warn(error)

    def _execute(self, command: Command) -> None:
        if isinstance(command, StartTake):
            if self._next is not None or self._takes.folder is not None:
                raise CoreError("A take is being recorded.", "Stop it before starting another one.")
            self._start(command)
        elif isinstance(command, StopTake):
            self._cancel_countdown()
            self._takes.end(self._recorder, unwanted=command.discard)
        elif isinstance(command, AddMarker):
            self._takes.mark(command.text)
        elif isinstance(command, SetControl):
            if not self._recorder.set_control(command.camera, command.control, command.value):
                raise CoreError(f"There is no camera '{command.camera}'.", "Choose one of the running cameras.")
        else:
            self._set_live(command)

    def _set_live(self, command: SetLive) -> None:
        """Switch live 3D on or off."""
        config = self._params.live or LiveConfig()
        config = replace(config, vmc_port=command.vmc_port, body_model=command.body_model)
        self._live.switch(config if command.on else None)

    def _start(self, command: StartTake, *, numbered: bool = True) -> TakeLayout:
        """Prepare a take, which begins after its countdown."""
        folder = self._takes.reserve(command, numbered=numbered)
        self._kind, self._sound = command.kind, command.sound
        self._next = command, folder, self._clock.now_ns() + round(command.countdown_s * 1e9)
        return folder

    def _mark_begun(self) -> None:
        """Make the next take the current one."""
        assert self._next is not None
        command, folder, begin_ns = self._next
        self._next, self._length_s = None, command.duration_s
        self._takes.began(folder, begin_ns)

    def _cancel_countdown(self) -> None:
        """Cancel the countdown."""
        if self._next is not None:
            discard(self._session, self._next[1])
            self._next = None

    def _advance(self) -> None:
        """Begin the take after its countdown, and end it after its duration or when the disk is full."""
        if self._next is not None and self._clock.now_ns() >= self._next[2]:
            command, folder, begin_ns = self._next
            self._recorder.begin(folder, begin_ns, sound=command.sound)
            self._mark_begun()
        if self._takes.folder is None:
            return
        if self._length_s and self._takes.seconds >= self._length_s:
            self._takes.end(self._recorder)
            return
        stores = self._recorder.stores.values()
        full = room_bytes(self._session.root) <= 0
        if full or all(store.problem for store in stores):
            why = "The disk is nearly full" if full else "No camera can be stored"
            self._reporter.note(f"{why}: the take {self._takes.folder.name} has ended.", "warning")
            self._takes.end(self._recorder)

    def _save(self, *, wait: bool = False) -> None:
        """Note completed takes; a failure ends a job with a single take."""
        try:
            for name in self._takes.finished(wait=wait):
                save_demo_truth(self._session.take(name), self._addresses)
                if not self._once:
                    self._reporter.note(f"Take {name} is complete.")
        except CoreError as error:
            if self._once:
                raise
            self._warn(error)

    def _warn(self, error: CoreError) -> None:
        self._reporter.note(f"{error.message} {error.hint}".strip(), "warning")

    def _note_all(self) -> None:
        for note in self._recorder.notes():
            self._reporter.note(note, "warning")
        silent = set(self._recorder.silent)
        for name in sorted(silent - self._silent):
            self._reporter.note(f"{name} has stopped sending images. The other cameras keep running.", "warning")
        self._silent = silent

    def _progress(self, seconds: float) -> None:
        doing = "Recording" if self._takes.folder is not None else "Watching"
        if self._once and self._length_s:
            self._reporter.progress(min(seconds, self._length_s), self._length_s, doing)
        elif (text := f"{doing}, {seconds:.0f} s so far{self._live.text}") != self._shown:
            self._shown = text  # repeated, it would only make the event log longer
            self._reporter.progress(0, 0, text)

    def _status(self, previews: Previews, summary: WatchSummary | None) -> dict[str, Any]:
        now_ns, recorder, takes = self._clock.now_ns(), self._recorder, self._takes
        stores, skews, dropped, rings = recorder.stores, recorder.skew_ms, recorder.dropped, previews.names
        since_ns, written = self._written
        if now_ns - since_ns >= _RATE_S * 1e9:
            total = {name: store.written_bytes for name, store in stores.items()}
            if since_ns:
                self._rates = {n: (total[n] - written[n]) * 1e9 / (now_ns - since_ns) for n in total}
            self._written = now_ns, total
        cameras = {}
        for name, camera in recorder.cameras.items():
            seen, store = summary.coverage.get(name) if summary is not None else None, stores[name]
            drift_ppm = camera.clock.drift_ppm
            cameras[name] = {
                "state": camera.phase,
                "problem": camera.problem or store.problem,
                "size_px": list(camera.size_px or ()),
                "fps": round(camera.fps, 1),
                "frames": camera.frames,
                "recorded": store.recorded,
                "dropped": dropped[name],
                "damaged": camera.damaged,
                "lost": store.lost,
                "reconnects": camera.reconnects,
                "skew_ms": round(skews.get(name, 0.0), 1),
                "utc_error_ms": None if camera.utc_error_s is None else round(1e3 * camera.utc_error_s, 1),
                "drift_ppm": None if drift_ppm is None else round(drift_ppm, 1),
                "queue": store.waiting,
                "bytes_per_s": round(self._rates[name]),
                "codec": store.codec,
                "sound": store.sound,
                "controls": [to_mapping(control) for control in camera.controls],
                "cells": [] if seen is None else seen.cells.tolist(),
                "share": 0.0 if seen is None else round(seen.share, 3),
                "board": 0 if seen is None else seen.images,
                "ring": rings.get(name, ""),
            }
        rate = sum(self._rates.values())
        coming = self._next
        folder = takes.folder if coming is None else coming[1]
        return {
            "state": "countdown" if coming is not None else "watching" if folder is None else "recording",
            "take": "" if folder is None else folder.name,
            "sound": folder is not None and self._sound,
            "takes": list(takes.takes),
            "saving": list(takes.saving),
            "seconds": round((now_ns - (self._begin_ns if takes.folder is None else takes.begin_ns)) / 1e9, 1),
            "countdown_s": 0.0 if coming is None else round(max(coming[2] - now_ns, 0) / 1e9, 1),
            "markers": [{"time_s": (m.time_ns - takes.begin_ns) / 1e9, "text": m.text} for m in takes.markers],
            "disk_minutes": round(max(room_bytes(self._session.root), 0) / rate / 60, 1) if rate else None,
            "live": self._live.on,
            "people": self._live.facts,
            "advice": "" if summary is None else summary.advice,
            "cameras": cameras,
        }


def _latest(recorder: Recorder) -> tuple[int, Mapping[str, Frame]]:
    """Return the index and the frames of the latest frame set, or -1 and the latest frames if it is not recent."""
    frames = {name: camera.latest for name, camera in recorder.cameras.items() if camera.latest is not None}
    frame_set = recorder.frame_set
    if frame_set is not None and frames:
        newest_ns = max(frame.time_ns for frame in frames.values())
        if newest_ns - max(frame.time_ns for frame in frame_set.frames.values()) < _STALE_S * 1e9:
            return frame_set.index, frame_set.frames
    return -1, frames


def _summary(problems: Mapping[str, str]) -> str:
    """Return the problems of cameras without their addresses; those with the same problem are named together."""
    cameras: dict[str, list[str]] = {}
    for name, problem in problems.items():
        if problem:
            cameras.setdefault(_ADDRESS.sub("", problem), []).append(name)
    return " ".join(f"{', '.join(names)}: {problem}" for problem, names in cameras.items())


def _result(takes: Sequence[Take], seconds: float) -> dict[str, Any]:
    last = takes[-1]
    images = {camera.name: camera.n_frames for camera in last.manifest.cameras}
    names = [take.name for take in takes]
    return {"take": last.name, "takes": names, "seconds": round(seconds, 1), "images": images}


def _addresses(cameras: tuple[str, ...]) -> dict[str, str]:
    """Return the address by camera name; unnamed cameras are numbered."""
    out: dict[str, str] = {}
    for number, text in enumerate(expand_folders(cameras), 1):
        name, address = parse_camera(text)
        name = name or f"cam{number:02d}"
        if name in out:
            raise CoreError(f"Two cameras are named {name}.", "Use different names: name=address.")
        out[name] = address
    if not out:
        raise CoreError("There is no camera to record.", "Add cameras: [left=rtsp://…, right=v4l2:/dev/video0].")
    return out
