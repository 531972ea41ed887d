"""Detection of a board in a take, in parallel over cameras."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from threading import Event

import numpy as np

from core.board.detect import NOTHING_FOUND, BoardDetector, Found
from core.board.observations import BoardObservations, merge_detections
from core.board.pattern import Board
from core.errors import CancelledError
from core.progress import Reporter
from core.session import Take
from core.session.footage.images import CameraImages, DamagedImages
from core.types.arrays import F64, I64

_BURST = 12  # consecutive frames, because time offsets are estimated from the motion between them
_MEASURED_IMAGES, _LEAST_MEASURED = 16, 3  # images for the measurement of markers, and number that must succeed


def detect_board(
    take: Take,
    board: Board,
    reporter: Reporter,
    *,
    rate_hz: float = 10.0,
    max_frames: int = 600,
    cameras: Sequence[str] | None = None,
) -> BoardObservations:
    """Detect the board in the images of a take.

    Args:
        take: Take, whose videos are read once in order.
        board: Board to detect.
        reporter: Receives progress, and reports cancellation.
        rate_hz: Largest number of frames per second.
        max_frames: Largest number of frames; longer takes are sampled by evenly spaced bursts.
        cameras: Cameras to use; None for all.

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
    # Enough parts to keep all workers busy; each begins at a key frame.
    pieces = [
        (v, part)
        for v in range(len(take.cameras))
        for part in np.array_split(np.flatnonzero(frame[:, v] >= 0), max(1, -(-workers // len(take.cameras))))
        if len(part)
    ]
    total, done = int((frame >= 0).sum()), [0]
    found: dict[tuple[int, int], Found] = {}
    damaged = DamagedImages()
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # one image per thread is faster than many threads per image
    try:
        with ThreadPoolExecutor(workers) as pool:
            jobs = {
                pool.submit(_detect_part, take, v, frame[part, v], detector, damaged, done, stop): (v, part)
                for v, part in pieces
            }
            try:
                _wait(set(jobs), done, total, reporter)
            except BaseException:
                stop.set()
                raise
            for job, (v, part) in jobs.items():
                found.update({(v, int(m)): result for m, result in zip(part, job.result(), strict=True)})
    finally:
        cv2.setNumThreads(threads)
    damaged.report(reporter)
    time_s = np.where(frame >= 0, timeline.frame_time_s[frames], np.nan)
    sizes = [c.size_px for c in take.manifest.cameras]
    return merge_detections(board, take.cameras, sizes, time_s, frame, found, source=f"take {take.name}")


def chosen_frames(time_s: F64, rate_hz: float, most: int) -> I64:
    """Return the indices of the frames to search.

    Args:
        time_s: (T,) times of all frames.
        rate_hz: Largest number of frames per second.
        most: Largest number of frames; longer takes are sampled by evenly spaced bursts.
    """
    step = np.floor((time_s - time_s[0]) * rate_hz + 1e-6) if len(time_s) else time_s
    first = np.flatnonzero(np.diff(step, prepend=-1.0) > 0)
    if len(first) <= most:
        return first
    bursts = max(1, most // _BURST)
    begin = np.round(np.linspace(0, len(first) - _BURST, bursts)).astype(int)
    return np.unique(first[(begin[:, None] + np.arange(_BURST)).ravel()])


def _wait(jobs: set[Future[list[Found]]], done: list[int], total: int, reporter: Reporter) -> None:
    """Report progress until all jobs have ended; raise the error of a job that failed."""
    waiting = jobs
    while waiting:
        ended, waiting = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
        for job in ended:
            job.result()
        reporter.progress(done[0], total, "Finding the board")
        if reporter.cancelled():
            raise CancelledError


def _detect_part(
    take: Take, v: int, frames: I64, detector: BoardDetector, damaged: DamagedImages, done: list[int], stop: Event
) -> list[Found]:
    results = []
    with CameraImages(take, take.cameras[v], damaged) as video:
        for number in frames:
            if stop.is_set():
                raise CancelledError
            image = video.read_gray(int(number))
            results.append(NOTHING_FOUND if image is None else detector.find(image))
            done[0] += 1
    return results


def measure_marker(take: Take, seen: BoardObservations) -> float:
    """Measure the side of the board's markers in mm, given the size of the squares; NaN if impossible.

    This is the only way to detect a wrong size of the squares, which otherwise just scales the rig.
    """
    if seen.board.kind != "charuco":
        return float("nan")
    number, start, count = np.unique(seen.image, return_index=True, return_counts=True)
    most = np.argsort(-count)[:_MEASURED_IMAGES]
    detector, sides = BoardDetector(seen.board), []
    for v in range(len(seen.cameras)):
        own = [i for i in most if number[i] // len(seen.time_s) == v]
        if not own:
            continue
        camera = seen.cameras[v]
        with CameraImages(take, camera, DamagedImages()) as video:
            for i in sorted(own, key=lambda i: number[i]):
                rows = slice(start[i], start[i] + count[i])
                frame = int(seen.image_index[number[i] % len(seen.time_s), v])
                image = video.read_gray(frame)
                if image is not None:
                    sides.append(detector.marker_mm(image, seen.point[rows], seen.xy_px[rows]))
    known = [side for side in sides if np.isfinite(side)]
    return float(np.median(known)) if len(known) >= _LEAST_MEASURED else float("nan")
