"""Choice of the network input size and of the orientation of each camera, from a few images of a take.

Small people are detected more accurately in a large input, but large people are missed there: sizes and threshold were
measured on real footage, see docs/method/reconstruction.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import groupby

import numpy as np

from core.pose2d.config import DEFAULT_LONG_SIDE_PX, LARGE_LONG_SIDE_PX, InputChoice
from core.pose2d.estimator import Detections, Estimator
from core.pose2d.quarter_turns import TurnedEstimator
from core.progress import Reporter, check
from core.session import Take
from core.session.footage.images import CameraImages, DamagedImages
from core.types.arrays import I64, U8

SMALL_PERSON_PX = 60.0
"""Person size in pixels of the default input below which the large input is chosen."""
_PROBE_IMAGES = 8
_TURN_IMAGES = 4  # Images per camera to test in all orientations.
_TURN_GAIN = 1.3  # Minimum ratio of the summed joint scores of the rotated and the original image.
_TURN_SHARE = 0.75  # Minimum fraction of the images with people that agree.
_TURNS = (90, 180, 270)


def choose_turns(take: Take, estimator: Estimator, reporter: Reporter) -> dict[str, int]:
    """Find the cameras with rotated images, by estimating people in a few images in all four orientations.

    Args:
        take: The take.
        estimator: Estimator of upright people.
        reporter: Receives a note on each rotated camera and cancels.

    Returns:
        Clockwise rotation in degrees that makes people upright, by name of the cameras that need one.

    Raises:
        CoreError: A video cannot be read, or the estimator fails.
        CancelledError: The job was cancelled.
    """
    scores: dict[str, list[list[float]]] = {}
    for camera, image in _probe_images(take, _TURN_IMAGES * len(take.cameras), reporter):
        found = [TurnedEstimator(estimator, degrees).estimate([image])[0] for degrees in (0, *_TURNS)]
        scores.setdefault(camera, []).append([float(people.score.sum()) for people in found])
    turned = {}
    for camera, rows in scores.items():
        table = np.array(rows)  # (images, orientations)
        table = table[table.any(1)]
        best = int(table.sum(0).argmax())
        agreed = (table[:, best] > table[:, 0]).sum() >= _TURN_SHARE * len(table)
        if best and agreed and table[:, best].sum() > _TURN_GAIN * table[:, 0].sum():
            turned[camera] = (0, *_TURNS)[best]
    for camera, degrees in turned.items():
        position = "upside down" if degrees == 180 else "on its side"
        reporter.note(
            f"Camera {camera} is {position}: its images are rotated by {degrees} degrees for the estimator "
            "(pose2d.upright=off disables this)."
        )
    return turned


def choose_input(
    take: Take, open_estimator: Callable[[int], Estimator], turned_deg: Mapping[str, int], reporter: Reporter
) -> InputChoice:
    """Choose the input size by estimating people in a few images, spread over the cameras and frames of a take.

    The large input is chosen if people are small in the default one, or are only found in the large one.

    Args:
        take: The take.
        open_estimator: Function that opens the estimator with a given longer side of its input.
        turned_deg: Rotation of the images of some cameras; see `choose_turns`.
        reporter: Cancels.

    Raises:
        CoreError: A video cannot be read, or the estimator fails.
        CancelledError: The job was cancelled.
    """
    images = list(_probe_images(take, _PROBE_IMAGES, reporter))
    sizes = _person_sizes(open_estimator(DEFAULT_LONG_SIDE_PX), images, turned_deg, reporter)
    if sizes:
        person_px = float(np.median(sizes))
        return InputChoice(
            long_side_px=LARGE_LONG_SIDE_PX if person_px < SMALL_PERSON_PX else DEFAULT_LONG_SIDE_PX,
            person_px=round(person_px, 1),
        )
    found = _person_sizes(open_estimator(LARGE_LONG_SIDE_PX), images, turned_deg, reporter)
    return InputChoice(long_side_px=LARGE_LONG_SIDE_PX if found else DEFAULT_LONG_SIDE_PX, person_px=None)


def person_sizes_px(detections: Detections) -> np.ndarray:
    """Return the longer sides (P,) of the boxes of people in image pixels."""
    return np.asarray((detections.box_px[:, 2:] - detections.box_px[:, :2]).max(-1, initial=0.0))


def _probe_images(take: Take, count: int, reporter: Reporter) -> Iterator[tuple[str, U8]]:
    """Yield about `count` images with camera names, at least one per camera."""
    index = take.timeline().frame_index
    probes = sorted(_probe_frames(index, count))
    for v, frames in groupby(probes, lambda probe: probe[0]):
        camera = take.cameras[v]
        with CameraImages(take, camera, DamagedImages()) as video:  # reported by the estimation of all images
            for _, t in frames:
                check(reporter)
                image = video.read(int(index[t, v]))
                if image is not None:
                    yield camera, image


def _probe_frames(index: I64, count: int) -> set[tuple[int, int]]:
    """Return pairs of camera and frame with an image, for frames spread evenly and alternating cameras."""
    n_frames, n_cameras = index.shape
    n = max(count, n_cameras)
    chosen = set()
    for k in range(n):
        v = k % n_cameras
        recorded = np.flatnonzero(index[:, v] >= 0)
        if recorded.size:
            wanted = (k + 0.5) / n * n_frames
            chosen.add((v, int(recorded[np.abs(recorded - wanted).argmin()])))
    return chosen


def _person_sizes(
    estimator: Estimator, images: list[tuple[str, U8]], turned_deg: Mapping[str, int], reporter: Reporter
) -> list[float]:
    """Return the sizes of all people in pixels of the default input."""
    sizes: list[float] = []
    for camera, image in images:
        check(reporter)
        scale = DEFAULT_LONG_SIDE_PX / max(image.shape[:2])
        people = TurnedEstimator(estimator, turned_deg.get(camera, 0)).estimate([image])[0]
        sizes += (person_sizes_px(people) * scale).tolist()
    return sizes
