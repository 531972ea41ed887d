"""Verb `record`: cameras that run now become a take; meanwhile they, and the board before them, can be watched."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from core.calibration.board.live import BoardWatch, Watching
from core.calibration.board.session_board import session_board
from core.capture.recorder import Recorder, finish
from core.capture.source import Source, name_and_address, open_source
from core.capture.sources.demo import SCHEME, DemoCameras
from core.errors import CoreError
from core.pipelines.params import RecordParams
from core.progress import Reporter, check
from core.session import RunLayout, Session
from core.session.ingest import ingest_videos
from core.types.arrays import F64, U8

_PREVIEW_PX = 640
_SUMMARY_EVERY = 4  # looks
_STARTING_S = 15.0
_JPEG = (int(cv2.IMWRITE_JPEG_QUALITY), 80)


def run_record(session: Session, params: RecordParams, run: RunLayout, reporter: Reporter) -> dict[str, Any]:
    """Runs cameras until it is cancelled or the time is up, and brings what they sent into the session as a take.

    Cancelling is how a recording ends: what is there becomes the take. Called again in the folder of a recording that
    crashed, it brings in what that one left.

    Returns:
        `take` (empty if nothing was kept), `seconds`, `images` by camera.

    Raises:
        CoreError: No camera, or none of them runs; what the others sent stays.
    """
    av.logging.set_level(av.logging.ERROR)
    folder = run.recording
    if not params.preview_only and any(folder.glob("*.times.csv")):
        reporter.note("A recording was cut off here: what it left is brought in.")
        return _bring_in(session, params, folder, reporter, 0.0)
    addresses = _addresses(params.cameras)
    board = params.board or session_board(session)
    room = DemoCameras(board) if any(a.startswith(f"{SCHEME}:") for a in addresses.values()) else None

    def opened(address: str) -> Source:
        if room is not None and address.startswith(f"{SCHEME}:"):
            return room.open(address.partition(":")[2])
        return open_source(address)

    recorder = Recorder(addresses, None if params.preview_only else folder, opened)
    try:
        seconds = _watch(recorder, BoardWatch(board), params, run, reporter)
    finally:
        recorder.stop()
    problems = [f"{name}: {camera.problem}" for name, camera in recorder.watched.items() if camera.problem]
    for problem in problems:
        reporter.note(problem, "warning")
    if not any(camera.frames for camera in recorder.watched.values()):
        raise CoreError("No camera sent an image.", " ".join(problems) or "Check the addresses of the cameras.")
    if params.preview_only:
        check(reporter)
        return {"take": "", "seconds": round(seconds, 1), "images": _counts(recorder)}
    return _bring_in(session, params, folder, _Uncancelled(reporter), seconds)


def _watch(recorder: Recorder, watch: BoardWatch, params: RecordParams, run: RunLayout, reporter: Reporter) -> float:
    """Looks at the newest images until the end; returns how long it was."""
    begin = time.monotonic()
    told: Watching | None = None
    looks, shown = 0, dict.fromkeys(recorder.watched, 0)
    while not reporter.cancelled() and not recorder.all_ended:
        now = time.monotonic()
        seconds = now - begin
        if params.duration_s and seconds >= params.duration_s:
            break
        if seconds > _STARTING_S and not any(c.frames for c in recorder.watched.values()):
            break
        fresh = {n: c.newest for n, c in recorder.watched.items() if c.newest is not None and c.frames > shown[n]}
        shown |= {name: recorder.watched[name].frames for name in fresh}
        images = {name: np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for name, frame in fresh.items()}
        corners = watch.look(images) if images else {}
        if images and looks % _SUMMARY_EVERY == 0:
            told = watch.summary()
        looks += bool(images)
        for name, image in images.items():
            _show(run.live_image(name), image)
        _tell(run.live_state, recorder, corners, told, seconds)
        if params.duration_s:
            reporter.progress(min(seconds, params.duration_s), params.duration_s, "Recording")
        else:
            reporter.progress(0, 0, f"Recording, {seconds:.0f} s so far")
        time.sleep(max(0.02, 1 / params.preview_hz - (time.monotonic() - now)))
    return time.monotonic() - begin


def _show(path: Path, image: U8) -> None:
    """Puts a preview where the window finds it."""
    height, width = image.shape[:2]
    scale = min(1.0, _PREVIEW_PX / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA) if scale < 1 else image
    ok, data = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), _JPEG)
    if ok:
        _put(path, data.tobytes())


def _put(path: Path, data: bytes) -> None:
    """Replaces a file as a whole; not synced to the disk, as the next one follows in a frame."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    temporary.write_bytes(data)
    temporary.replace(path)


def _tell(path: Path, recorder: Recorder, corners: Mapping[str, F64], told: Watching | None, seconds: float) -> None:
    cameras = {}
    for name, camera in recorder.watched.items():
        seen = told.coverage.get(name) if told is not None else None
        cameras[name] = {
            "size_px": list(camera.size_px or ()),
            "frames": camera.frames,
            "fps": round(camera.fps, 1),
            "problem": camera.problem,
            "corners": np.round(corners[name], 1).tolist() if name in corners else [],
            "cells": [] if seen is None else seen.cells.tolist(),
            "share": 0.0 if seen is None else round(seen.share, 3),
            "board": 0 if seen is None else seen.images,
        }
    state = {"seconds": round(seconds, 1), "advice": "" if told is None else told.advice, "cameras": cameras}
    _put(path, json.dumps(state, allow_nan=False).encode())


def _bring_in(
    session: Session, params: RecordParams, folder: Path, reporter: Reporter, seconds: float
) -> dict[str, Any]:
    videos = finish(folder)
    take = ingest_videos(
        session, videos, cameras=[v.stem for v in videos], name=params.name, kind=params.kind, reporter=reporter
    )
    counts = {camera.name: camera.n_frames for camera in take.manifest.cameras}
    shutil.rmtree(folder)
    return {"take": take.name, "seconds": round(seconds, 1), "images": counts}


def _counts(recorder: Recorder) -> dict[str, int]:
    return {name: camera.frames for name, camera in recorder.watched.items()}


def _addresses(cameras: tuple[str, ...]) -> dict[str, str]:
    """Camera name to address, from "name=address"; names are given where there is none."""
    out: dict[str, str] = {}
    for number, text in enumerate(cameras, 1):
        name, address = name_and_address(text)
        name = name or f"cam{number:02d}"
        if name in out:
            raise CoreError(f"Two cameras are called {name}.", "Give each a name of its own: name=address.")
        out[name] = address
    if not out:
        raise CoreError("There is no camera to record.", "Name them: cameras: [left=rtsp://…, right=v4l2:/dev/video0].")
    return out


class _Uncancelled:
    """Tells on, but does not stop: the recording is over, and is to be kept."""

    def __init__(self, reporter: Reporter) -> None:
        self.progress, self.metric, self.note = reporter.progress, reporter.metric, reporter.note

    def cancelled(self) -> bool:
        return False
