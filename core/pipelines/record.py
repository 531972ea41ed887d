"""Verb `record`: make a take from running cameras, and watch a board in them meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import av
import cv2
import numpy as np

from core.calibration.board.live import BoardWatch, WatchSummary
from core.calibration.board.session_board import board_to_print, save_session_board, session_board
from core.capture.recorder import Recorder, read_frame_times
from core.capture.ring import ImageRing
from core.capture.source import Source, SourceOptions, is_simulated, open_source, parse_camera
from core.clock import SYSTEM_CLOCK, Clock
from core.errors import CoreError
from core.files import read_json, write_json
from core.pipelines.params import RecordParams
from core.progress import Reporter
from core.session import RunLayout, Session, Take, TakeLayout
from core.session.incoming import discard, find_recording, free_take_name, reserve
from core.session.ingest import ingest_recording
from core.types.arrays import F64, U8
from core.types.frame import Frame

_PREVIEW_PX = 640  # long side of a preview
_SUMMARY_EVERY = 4  # frame sets
_STATUS_EVERY_S = 1.0
_START_TIMEOUT_S = 15.0
_STALE_S = 1.0  # a frame set this much older than the latest frames is not shown


def run_record(
    session: Session, params: RecordParams, run: RunLayout, reporter: Reporter, clock: Clock = SYSTEM_CLOCK
) -> dict[str, Any]:
    """Run cameras until cancelled or until the time is up, and make a take of what they sent.

    Cancelling is the normal end, also of watching. Called again in the run of a recording that crashed, it makes the
    take of what that one left.

    Args:
        session: Session that receives the take.
        params: Cameras and settings.
        run: Run of this recording.
        reporter: Receives progress, notes and the state of the cameras.
        clock: Clock of cameras and previews.

    Returns:
        `take` (empty if only watched), `seconds`, and `images` by camera.

    Raises:
        CoreError: No camera is given, or none sends an image.
    """
    av.logging.set_level(av.logging.ERROR)
    if not params.preview_only and (left := find_recording(session, run.name)) is not None:
        reporter.note("The recording was interrupted. Its images are recovered.")
        interrupted, owner = left
        return _finish(session, params, interrupted, owner.cameras, reporter, 0.0)
    if run.recorded.is_file() and (name := str(read_json(run.recorded))) in session.take_names():
        reporter.note(f"The recording had ended: its take is {name}.")
        return _result(session.take(name), 0.0)
    addresses = _addresses(params.cameras)
    board = session_board(session, params.board)
    if board.kind == "auto" and all(is_simulated(address) for address in addresses.values()):
        board = board_to_print(session, params.board)
        save_session_board(session, board)  # what they film is known
    folder: TakeLayout | None = None
    if not params.preview_only:
        name = free_take_name(session, params.name)
        folder = reserve(session, name, run=run.name, cameras=tuple(addresses))
        write_json(run.recorded, name)
    with clock.member():
        opener = partial(_open, start_ns=clock.now_ns(), clock=clock, board=board)
        recorder = Recorder(addresses, folder, opener, clock)
        try:
            seconds = _watch(recorder, BoardWatch(board), params, reporter, clock)
        finally:
            recorder.stop()
    problems = [f"{name}: {camera.problem}" for name, camera in recorder.cameras.items() if camera.problem]
    for problem in problems:
        reporter.note(problem, "warning")
    images = {name: camera.frames for name, camera in recorder.cameras.items()}
    if not any(images.values()):
        if folder is not None:
            discard(session, folder)
        raise CoreError("No camera sent an image.", " ".join(problems) or "Check the addresses of the cameras.")
    if folder is None:
        return {"take": "", "seconds": round(seconds, 1), "images": images}
    return _finish(session, params, folder, tuple(addresses), _Uncancelled(reporter), seconds)


def _open(camera: str, address: str, **shared: Any) -> Source:
    return open_source(address, SourceOptions(camera=camera, **shared))


def _watch(recorder: Recorder, watch: BoardWatch, params: RecordParams, reporter: Reporter, clock: Clock) -> float:
    """Publish previews and the cameras' state until the end; return the duration in s."""
    begin_ns, status_ns = clock.now_ns(), 0
    doing = "Watching" if params.preview_only else "Recording"
    summary: WatchSummary | None = None
    count, shown, silent = 0, dict.fromkeys(recorder.cameras, -1), set[str]()
    previews = _Previews(reporter)
    try:
        while not reporter.cancelled() and not recorder.ended:
            now_ns = clock.now_ns()
            seconds = (now_ns - begin_ns) / 1e9
            if params.duration_s and seconds >= params.duration_s:
                break
            if seconds > _START_TIMEOUT_S and not any(camera.frames for camera in recorder.cameras.values()):
                break
            fresh = {name: frame for name, frame in _latest(recorder).items() if frame.index > shown[name]}
            shown |= {name: frame.index for name, frame in fresh.items()}
            images = _decoded(fresh)
            corners = watch.detect(images) if images else {}
            if images and count % _SUMMARY_EVERY == 0:
                summary = watch.summary()
            count += bool(images)
            fresh_ring = [previews.put(name, image, corners.get(name)) for name, image in images.items()]
            if any(fresh_ring) or now_ns - status_ns >= _STATUS_EVERY_S * 1e9:
                status_ns = now_ns
                reporter.status(_status(recorder, previews, summary, seconds))
            for name in set(recorder.silent) - silent:
                reporter.note(f"{name} has stopped sending images. The others go on.", "warning")
            silent = set(recorder.silent)
            if params.duration_s:
                reporter.progress(min(seconds, params.duration_s), params.duration_s, doing)
            else:
                reporter.progress(0, 0, f"{doing}, {seconds:.0f} s so far")
            clock.sleep(max(0.02, 1 / params.preview_hz - (clock.now_ns() - now_ns) / 1e9))
        seconds = (clock.now_ns() - begin_ns) / 1e9
        reporter.status(_status(recorder, previews, summary, seconds))
        return seconds
    finally:
        previews.close()


def _latest(recorder: Recorder) -> Mapping[str, Frame]:
    """Return the latest frame set, or each camera's latest frame while there is no recent set."""
    frames = {name: camera.latest for name, camera in recorder.cameras.items() if camera.latest is not None}
    frame_set = recorder.frame_set
    if frame_set is not None:
        newest_ns = max(frame.time_ns for frame in frames.values())
        if newest_ns - max(frame.time_ns for frame in frame_set.frames.values()) < _STALE_S * 1e9:
            return frame_set.frames
    return frames


def _decoded(frames: Mapping[str, Frame]) -> dict[str, U8]:
    """Return the images of frames; damaged ones are skipped."""
    images = {}
    for name, frame in frames.items():
        try:
            images[name] = frame.image
        except CoreError:
            continue
    return images


class _Previews:
    """One ring of live images per camera.

    Args:
        reporter: Receives a note if there is no shared memory.
    """

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._rings: dict[str, ImageRing] = {}
        self._failed = False

    @property
    def names(self) -> dict[str, str]:
        """Name of the ring by camera."""
        return {camera: ring.name for camera, ring in self._rings.items()}

    def put(self, camera: str, image: U8, corners_px: F64 | None) -> bool:
        """Publish an image with the board's corners, in px of the full image; return whether its ring is new."""
        if self._failed:
            return False
        height, width = image.shape[:2]
        scale = min(1.0, _PREVIEW_PX / max(height, width))
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA) if scale < 1 else image, np.uint8)
        new = camera not in self._rings
        try:
            ring = self._rings.setdefault(camera, ImageRing(_PREVIEW_PX**2)) if new else self._rings[camera]
        except CoreError as error:
            self._failed = True
            self._reporter.note(f"There are no previews. {error.message} {error.hint}", "warning")
            return False
        ring.put(small, {"corners": [] if corners_px is None else np.round(corners_px, 1).tolist()})
        return new

    def close(self) -> None:
        """Remove all rings."""
        for ring in self._rings.values():
            ring.close()


def _status(recorder: Recorder, previews: _Previews, summary: WatchSummary | None, seconds: float) -> dict[str, Any]:
    cameras, dropped, rings = {}, recorder.dropped, previews.names
    for name, camera in recorder.cameras.items():
        seen = summary.coverage.get(name) if summary is not None else None
        cameras[name] = {
            "size_px": list(camera.size_px or ()),
            "frames": camera.frames,
            "dropped": dropped[name],
            "fps": round(camera.fps, 1),
            "problem": camera.problem,
            "cells": [] if seen is None else seen.cells.tolist(),
            "share": 0.0 if seen is None else round(seen.share, 3),
            "board": 0 if seen is None else seen.images,
            "ring": rings.get(name, ""),
        }
    return {"seconds": round(seconds, 1), "advice": "" if summary is None else summary.advice, "cameras": cameras}


def _finish(
    session: Session,
    params: RecordParams,
    folder: TakeLayout,
    cameras: tuple[str, ...],
    reporter: Reporter,
    seconds: float,
) -> dict[str, Any]:
    """Make the take of the files in a recording's folder."""
    times_ns = {name: read_frame_times(folder.frame_times(name)) for name in cameras}
    return _result(ingest_recording(session, folder, times_ns, params.kind, reporter), seconds)


def _result(take: Take, seconds: float) -> dict[str, Any]:
    images = {camera.name: camera.n_frames for camera in take.manifest.cameras}
    return {"take": take.name, "seconds": round(seconds, 1), "images": images}


def _addresses(cameras: tuple[str, ...]) -> dict[str, str]:
    """Return the address by camera name; cameras without a name are numbered."""
    out: dict[str, str] = {}
    for number, text in enumerate(cameras, 1):
        name, address = parse_camera(text)
        name = name or f"cam{number:02d}"
        if name in out:
            raise CoreError(f"Two cameras are named {name}.", "Use different names: name=address.")
        out[name] = address
    if not out:
        raise CoreError("There is no camera to record.", "Add cameras: [left=rtsp://…, right=v4l2:/dev/video0].")
    return out


class _Uncancelled:
    """A reporter that is never cancelled: the recording has ended and is to be kept."""

    def __init__(self, reporter: Reporter) -> None:
        self.progress, self.metric, self.note = reporter.progress, reporter.metric, reporter.note
        self.status = reporter.status

    def cancelled(self) -> bool:
        """Return False."""
        return False
