"""Choice of the network's input size from the size of the people in a few images of a take.

Small people are detected more accurately in a large input, but large people are missed there: sizes and threshold were
measured on real footage, see docs/method/reconstruction.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby

import numpy as np

from core.pose2d.config import DEFAULT_LONG_SIDE_PX, LARGE_LONG_SIDE_PX, InputChoice
from core.pose2d.estimator import Detections, Estimator
from core.progress import Reporter, check
from core.session import Take
from core.session.video import VideoReader
from core.types.arrays import I64, U8

SMALL_PERSON_PX = 60.0
"""Size of a person in the default input below which the large input is chosen."""
_PROBE_IMAGES = 8


def choose_input(take: Take, open_estimator: Callable[[int], Estimator], reporter: Reporter) -> InputChoice:
    """Estimate people in a few images, spread over the cameras and frames of a take, and choose the input size.

    The large input is chosen where the people are small in the default one, or where only the large one finds any.

    Args:
        take: The take.
        open_estimator: Return the estimator with this longer side of its input.
        reporter: Cancels.

    Raises:
        CoreError: A video cannot be read, or the estimator fails.
        CancelledError: The job was cancelled.
    """
    images = list(_probe_images(take, reporter))
    sizes = _person_sizes(open_estimator(DEFAULT_LONG_SIDE_PX), images, reporter)
    if sizes:
        person_px = float(np.median(sizes))
        return InputChoice(
            long_side_px=LARGE_LONG_SIDE_PX if person_px < SMALL_PERSON_PX else DEFAULT_LONG_SIDE_PX,
            person_px=round(person_px, 1),
        )
    found = _person_sizes(open_estimator(LARGE_LONG_SIDE_PX), images, reporter)
    return InputChoice(long_side_px=LARGE_LONG_SIDE_PX if found else DEFAULT_LONG_SIDE_PX, person_px=None)


def person_sizes_px(detections: Detections) -> np.ndarray:
    """Return the longer sides (P,) of the boxes of people in image pixels."""
    return np.asarray((detections.box_px[:, 2:] - detections.box_px[:, :2]).max(-1, initial=0.0))


def _probe_images(take: Take, reporter: Reporter) -> Iterator[U8]:
    index = take.timeline().frame_index
    probes = sorted(_probe_frames(index))
    for v, frames in groupby(probes, lambda probe: probe[0]):
        camera = take.cameras[v]
        with VideoReader(take.video_path(camera), take.camera(camera).rotation_deg) as video:
            for _, t in frames:
                check(reporter)
                yield video.read(int(index[t, v]))


def _probe_frames(index: I64) -> set[tuple[int, int]]:
    """Return pairs of camera and frame that have an image: frames spread evenly, one camera after the other."""
    n_frames, n_cameras = index.shape
    n = max(_PROBE_IMAGES, n_cameras)
    chosen = set()
    for k in range(n):
        v = k % n_cameras
        recorded = np.flatnonzero(index[:, v] >= 0)
        if recorded.size:
            wanted = (k + 0.5) / n * n_frames
            chosen.add((v, int(recorded[np.abs(recorded - wanted).argmin()])))
    return chosen


def _person_sizes(estimator: Estimator, images: list[U8], reporter: Reporter) -> list[float]:
    """Return the sizes of all people in pixels of the default input."""
    sizes: list[float] = []
    for image in images:
        check(reporter)
        scale = DEFAULT_LONG_SIDE_PX / max(image.shape[:2])
        sizes += (person_sizes_px(estimator.estimate([image])[0]) * scale).tolist()
    return sizes
