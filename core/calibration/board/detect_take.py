"""Looks for a board through a whole take, every camera, in parallel."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from threading import Event

import numpy as np

from core.board.detect import BoardDetector, Found
from core.board.observations import BoardObservations, merge
from core.board.pattern import Board
from core.errors import CancelledError
from core.progress import Reporter
from core.session import Take
from core.session.video import VideoReader
from core.types.arrays import F64, I64

_BURST = 12  # frames in a row, so that motion, and with it each camera's time offset, stays visible
_MEASURED = 16  # images in which markers are measured


def detect_board(
    take: Take,
    board: Board,
    reporter: Reporter,
    *,
    rate_hz: float = 10.0,
    max_frames: int = 600,
    cameras: Sequence[str] | None = None,
) -> BoardObservations:
    """Finds the board in the images of a take.

    Args:
        take: Its videos are read once, in order.
        board: What to look for.
        reporter: Told of the images done; asked whether to stop.
        rate_hz: Most frames a second that are looked at.
        max_frames: Of a longer take, evenly spread bursts of frames are looked at.
        cameras: Only these; all when None.

    Raises:
        CoreError: A video cannot be read.
        CancelledError: The reporter asked to stop.
    """
    import cv2

    timeline = take.timeline()
    frames = chosen_frames(timeline.time_s, rate_hz, max_frames)
    frame = timeline.frame_index[frames].copy()
    names = take.cameras if cameras is None else tuple(cameras)
    frame[:, [v for v, name in enumerate(take.cameras) if name not in names]] = -1
    detector, stop = BoardDetector(board), Event()
    workers = max(1, os.cpu_count() or 1)
    # As many parts as keep all workers busy to the end, each read by itself from a key frame on.
    pieces = [
        (v, part)
        for v in range(len(take.cameras))
        for part in np.array_split(np.flatnonzero(frame[:, v] >= 0), max(1, -(-workers // len(take.cameras))))
        if len(part)
    ]
    total, done = int((frame >= 0).sum()), [0]
    found: dict[tuple[int, int], Found] = {}
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # one image a thread is faster than many threads an image
    try:
        with ThreadPoolExecutor(workers) as pool:
            jobs = {
                pool.submit(_look, take, v, part, frame[part, v], detector, done, stop): (v, part) for v, part in pieces
            }
            try:
                _follow(set(jobs), done, total, reporter)
            except BaseException:
                stop.set()
                raise
            for job, (v, part) in jobs.items():
                found.update({(v, int(m)): result for m, result in zip(part, job.result(), strict=True)})
    finally:
        cv2.setNumThreads(threads)
    time_s = np.where(frame >= 0, timeline.frame_time_s[frames], np.nan)
    sizes = [c.size_px for c in take.manifest.cameras]
    return merge(board, take.cameras, sizes, time_s, frame, found, source=f"take {take.name}")


def chosen_frames(time_s: F64, rate_hz: float, most: int) -> I64:
    """Numbers of the frames to look at: at most `rate_hz`, and of a long take bursts spread evenly."""
    step = np.floor((time_s - time_s[0]) * rate_hz + 1e-6) if len(time_s) else time_s
    first = np.flatnonzero(np.diff(step, prepend=-1.0) > 0)
    if len(first) <= most:
        return first
    bursts = max(1, most // _BURST)
    begin = np.round(np.linspace(0, len(first) - _BURST, bursts)).astype(int)
    return np.unique(first[(begin[:, None] + np.arange(_BURST)).ravel()])


def _follow(jobs: set[Future[list[Found]]], done: list[int], total: int, reporter: Reporter) -> None:
    """Tells of progress until all have ended; raises what stopped one of them."""
    waiting = jobs
    while waiting:
        ended, waiting = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
        for job in ended:
            job.result()
        reporter.progress(done[0], total, "Finding the board")
        if reporter.cancelled():
            raise CancelledError


def _look(
    take: Take, v: int, part: I64, frames: I64, detector: BoardDetector, done: list[int], stop: Event
) -> list[Found]:
    results = []
    camera = take.cameras[v]
    with VideoReader(take.video_path(camera), take.camera(camera).rotation_deg) as video:
        for number in frames:
            if stop.is_set():
                raise CancelledError
            results.append(detector.find(video.read_gray(int(number))))
            done[0] += 1
    return results


def measured_marker(take: Take, seen: BoardObservations) -> float:
    """Side of the board's markers in mm, if its squares have the size given; NaN where that cannot be told.

    A wrong size of the squares shows in nothing else: everything is simply larger or smaller.
    """
    if seen.board.kind != "charuco":
        return float("nan")
    number, start, count = np.unique(seen.image, return_index=True, return_counts=True)
    most = np.argsort(-count)[:_MEASURED]
    detector, sides = BoardDetector(seen.board), []
    for v in range(len(seen.cameras)):
        mine = [i for i in most if number[i] // len(seen.time_s) == v]
        if not mine:
            continue
        camera = seen.cameras[v]
        with VideoReader(take.video_path(camera), take.camera(camera).rotation_deg) as video:
            for i in sorted(mine, key=lambda i: number[i]):
                rows = slice(start[i], start[i] + count[i])
                frame = int(seen.image_index[number[i] % len(seen.time_s), v])
                sides.append(detector.marker_mm(video.read_gray(frame), seen.point[rows], seen.xy_px[rows]))
    known = [side for side in sides if np.isfinite(side)]
    return float(np.median(known)) if len(known) >= 3 else float("nan")
