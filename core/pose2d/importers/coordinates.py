"""Comparison of imported coordinates with the images: another unit, another size, or images that were turned.

Unit and rotation follow from the range of the coordinates and from people's heads and feet. Another image size is only
a guess from the range; the rig, if there is one, decides it: joints of a person lie on the same epipolar lines.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from core.geometry.epipolar import essential_matrix, sampson_distance_px
from core.geometry.projection import undistort
from core.types.arrays import F64
from core.types.camera import Camera, CameraRig
from core.types.skeleton import COCO17

Frames = Sequence[Sequence[F64]]
"""People (17, 3) in each frame of a take."""
Size = tuple[float, float]
_UNITS = {"share": 1.0, "percent": 100.0}
_SMALLER = (1 / 4, 1 / 3, 3 / 8, 1 / 2, 2 / 3, 3 / 4)  # sizes at which videos are scaled down for a 2D program
_LARGER = (4 / 3, 3 / 2, 2.0, 8 / 3, 3.0, 4.0)
_QUANTILE = 0.005  # of the coordinates, at each end, that may lie anywhere
_MARGIN = 0.06  # by which joints may lie outside of the image, as a share of its size
_OUTSIDE = 0.1  # share of joints beyond the margin from which coordinates do not belong to the image
_EMPTY = 0.55  # share of the image beyond which no joint lies if the images were smaller
_BETTER, _FITS = 2.5, 0.01  # gain of a reading over the plain one; distance that fits, as a share of the image's width
_MIN_JOINTS = 30
_MAX_FRAMES = 60
_UPRIGHT = 0.6  # share of people whose feet point the same way
_HEAD = COCO17.indices("nose", "left_shoulder", "right_shoulder")
_FEET = COCO17.indices("left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle")
_DOWN = {(0, 1): 0, (1, 0): 1, (0, -1): 2, (-1, 0): 3}
"""Direction from head to feet, and the clockwise quarter turns that make it point down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How coordinates are converted to pixels of the take's images.

    Attributes:
        target_px: Size of the take's images.
        size_px: Size of the images that the poses belong to, before they are turned.
        quarters: Clockwise quarter turns from these images to those of the take.
        unit: Size of the image in the unit of the coordinates: 0 for pixels, 1 for shares, 100 for percent.
        centred: True if normalized coordinates range from -1 to 1.
    """

    target_px: Size
    size_px: Size
    quarters: int = 0
    unit: float = 0.0
    centred: bool = False

    @property
    def plain(self) -> bool:
        """True if the coordinates are pixels of the take's images."""
        return self.size_px == self.target_px and not self.quarters and not self.unit

    @property
    def text(self) -> str:
        """The reading in words, to follow "are taken as"."""
        if self.unit:
            name = "shares" if self.unit == 1 else "percent"
            return f"{name} of the image size" + (" from -1 to 1" if self.centred else "")
        size = f"pixels of images of {self.size_px[0]:.0f}x{self.size_px[1]:.0f}"
        return f"{size} that are turned by {90 * self.quarters} degrees clockwise" if self.quarters else size

    def apply(self, person: F64) -> F64:
        """Return a person (J, 3) with coordinates in pixels of the take's images."""
        xy, size = person[:, :2], np.array(self.size_px)
        if self.unit:
            xy = ((xy + 1) / 2 if self.centred else xy / self.unit) * size - 0.5
        for _ in range(self.quarters):
            xy = np.stack([size[1] - 1 - xy[:, 1], xy[:, 0]], -1)
            size = size[::-1]
        if self.size_px != self.target_px or self.quarters:
            xy = (xy + 0.5) * (np.array(self.target_px) / size) - 0.5
        return np.concatenate([xy, person[:, 2:]], 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """Coordinates that probably mean something else than they are read as.

    Attributes:
        message: Sentence on what is odd.
        remedy: Sentence on what to do.
        impossible: True if the coordinates cannot belong to the images.
    """

    message: str
    remedy: str
    impossible: bool = False


def stated_reading(target_px: Size, size_px: Size | None, quarters: int | None) -> Reading | None:
    """Return the reading that the user or the file states; None if neither does."""
    if size_px is None and quarters is None:
        return None
    turned = (quarters or 0) % 4
    upright = target_px if turned % 2 == 0 else target_px[::-1]
    return Reading(target_px=target_px, size_px=size_px or upright, quarters=turned)


def possible_readings(target_px: Size, people: Frames) -> tuple[list[Reading], Doubt | None]:
    """Return the readings that the range of coordinates and the posture of people leave open, the most plausible first.

    Args:
        target_px: Size of the take's images.
        people: People in any order of frames.

    Returns:
        Readings, and what speaks against the first one; None if nothing does.
    """
    persons = np.concatenate([np.asarray(frame) for frame in people if len(frame)] or [np.zeros((0, 17, 3))])
    seen = _seen(people)
    width, height = target_px
    plain = Reading(target_px=target_px, size_px=target_px)
    if len(seen) < _MIN_JOINTS:
        return [plain], None
    low, high = np.quantile(seen, [_QUANTILE, 1 - _QUANTILE], axis=0)
    if min(target_px) > 200:
        if high.max() <= 1.2 and low.min() >= -1.2:
            centred = bool(low.min() < -0.2)
            return [Reading(target_px=target_px, size_px=target_px, unit=1.0, centred=centred)], None
        if high.max() <= 104 and low.min() >= -4:
            percent = Reading(target_px=target_px, size_px=target_px, unit=100.0)
            return [percent, plain, *_scaled(target_px, high, _SMALLER)], None
    size = np.array(target_px)
    outside = float(((seen < -_MARGIN * size) | (seen > (1 + _MARGIN) * size)).any(-1).mean())
    down = _feet(persons)
    if outside > _OUTSIDE:
        return _outside(plain, high, down, outside)
    if down:
        upright = target_px if down == 2 else (height, width)
        return [plain, Reading(target_px=target_px, size_px=upright, quarters=down)], _lying(down)
    if (high < max(_SMALLER) * size).all():
        return [plain, *_scaled(target_px, high, _SMALLER)], None
    return [plain], None


def smaller_images(cameras: Sequence[tuple[Size, Frames]]) -> Doubt | None:
    """Return the doubt that all poses are of smaller images, if no joint lies in a large part of any image.

    Args:
        cameras: Size of the images and people of each camera.
    """
    shares = []
    for target_px, people in cameras:
        seen = _seen(people)
        if len(seen) >= _MIN_JOINTS:
            shares.append(float((np.quantile(seen, 1 - _QUANTILE, axis=0) / np.array(target_px)).max()))
    if not shares or max(shares) >= _EMPTY:
        return None
    fraction = next((f for f in _SMALLER if 0.75 * f < max(shares) <= f * (1 + _MARGIN)), 0.5)
    width, height = cameras[0][0]
    size = f"{round(width * fraction)}x{round(height * fraction)}"
    return Doubt(
        message=f"No joint lies beyond {100 * max(shares):.0f} % of the width and height of the images in any camera: "
        f"the poses may be of smaller images, such as {size}",
        remedy=f"If so, import them again with --image-size {size}. A calibration would decide it.",
    )


def _seen(people: Frames) -> F64:
    """Return the known joints (N, 2) of people."""
    persons = np.concatenate([np.asarray(frame) for frame in people if len(frame)] or [np.zeros((0, 17, 3))])
    return np.asarray(persons[np.isfinite(persons[..., 0])][:, :2])


def _scaled(target_px: Size, high: F64, fractions: Sequence[float]) -> list[Reading]:
    """Return readings as images of other sizes into which the coordinates fit."""
    sizes = [(round(target_px[0] * f), round(target_px[1] * f)) for f in fractions]
    return [Reading(target_px=target_px, size_px=s) for s in sizes if (high <= np.array(s) * (1 + _MARGIN)).all()]


def _outside(plain: Reading, high: F64, down: int | None, outside: float) -> tuple[list[Reading], Doubt]:
    """Return readings of coordinates that lie outside of the images."""
    target = plain.target_px
    swapped = target[::-1]
    readings = []
    if swapped != target and (high <= np.array(swapped) * (1 + _MARGIN)).all():
        quarters = [down] if down in (1, 3) else [1, 3]
        readings = [Reading(target_px=target, size_px=swapped, quarters=q) for q in quarters]
        if down in (1, 3):
            return readings, Doubt(message="", remedy="")
    readings += _scaled(target, high, _LARGER)
    doubt = Doubt(
        message=f"{100 * outside:.0f} % of the joints lie outside of the images of {target[0]:.0f}x{target[1]:.0f} "
        f"(up to {high[0]:.0f}, {high[1]:.0f})",
        remedy="State what the poses were made on: --image-size WIDTHxHEIGHT, or --rotation 90, 180 or 270.",
        impossible=True,
    )
    return [*readings, plain], doubt


def _lying(down: int) -> Doubt:
    where = {1: "to the right of", 2: "above", 3: "to the left of"}[down]
    return Doubt(
        message=f"people's feet are {where} their heads: the images may have been turned for the 2D poses",
        remedy=f"If so, import them again with --rotation {90 * down}.",
    )


def _feet(persons: F64) -> int | None:
    """Return the clockwise quarter turns that bring most people's feet below their heads; None if they differ."""
    parts = [np.where(np.isfinite(persons[:, j, :2]), persons[:, j, :2], np.nan) for j in (_HEAD, _FEET)]
    known = [np.isfinite(part).all(-1).any(-1) for part in parts]
    both = known[0] & known[1]
    if both.sum() < 5:
        return None
    step = np.nanmean(parts[1][both], 1) - np.nanmean(parts[0][both], 1)
    along_x = np.abs(step[:, 0]) > np.abs(step[:, 1])
    x, y = np.where(along_x, np.sign(step[:, 0]), 0), np.where(along_x, 0, np.sign(step[:, 1]))
    for (dx, dy), quarters in _DOWN.items():
        if ((x == dx) & (y == dy)).mean() > _UPRIGHT:
            return quarters
    return None


def choose_readings(
    options: Mapping[str, Sequence[Reading]], people: Mapping[str, Frames], rig: CameraRig
) -> dict[str, Reading] | None:
    """Choose among the readings of several cameras by the rig; None if it cannot decide.

    Args:
        options: Readings by camera, the first one as a default.
        people: People in each frame by camera, with coordinates as in the file.
        rig: Posed cameras.
    """
    chosen = {camera: readings[0] for camera, readings in options.items()}
    if all(len(readings) == 1 for readings in options.values()):
        return None
    plain = dict(chosen)
    # All cameras are read alike first: most programs do the same to every video.
    kinds = {_kind(reading) for readings in options.values() for reading in readings}
    alike = [
        {c: next((r for r in readings if _kind(r) == kind), readings[0]) for c, readings in options.items()}
        for kind in sorted(kinds)
    ]
    scores = [_disagreement(rig, people, readings) for readings in [plain, *alike]]
    best = int(np.nanargmin(scores)) if np.isfinite(scores).any() else 0
    if best and not scores[0] <= _BETTER * scores[best]:
        chosen = dict(alike[best - 1])
    for camera, readings in options.items():
        own = [_disagreement(rig, people, {**chosen, camera: reading}, camera) for reading in readings]
        now = _disagreement(rig, people, chosen, camera)
        if np.isfinite(own).any() and now > _BETTER * np.nanmin(own):
            chosen[camera] = readings[int(np.nanargmin(own))]
    width = float(np.median([reading.target_px[0] for reading in chosen.values()]))
    return chosen if _disagreement(rig, people, chosen) < _FITS * width else None


def _kind(reading: Reading) -> tuple[float, ...]:
    size = np.array(reading.size_px) if reading.quarters % 2 == 0 else np.array(reading.size_px[::-1])
    return (*np.round(size / np.array(reading.target_px), 2).tolist(), reading.quarters, reading.unit)


def _disagreement(
    rig: CameraRig, people: Mapping[str, Frames], readings: Mapping[str, Reading], camera: str = ""
) -> float:
    """Return the median epipolar distance in px of people to their nearest ones in other views; NaN if unknown.

    Args:
        rig: Posed cameras.
        people: People in each frame by camera.
        readings: Reading by camera.
        camera: Camera whose pairs count; empty for all.
    """
    cameras = [name for name in rig.names if name in readings]
    frames = [
        t for t in range(min(len(people[c]) for c in cameras)) if sum(bool(len(people[c][t])) for c in cameras) > 1
    ]
    frames = frames[:: max(1, len(frames) // _MAX_FRAMES)]
    ideal = {
        c: [
            undistort(rig[c], np.stack([readings[c].apply(p)[:, :2] for p in people[c][t]]))
            if len(people[c][t])
            else None
            for t in frames
        ]
        for c in cameras
    }
    distances = []
    for a, b in itertools.combinations(cameras, 2):
        if camera and camera not in (a, b):
            continue
        E, focal = _essential(rig[a], rig[b]), (float(rig[a].K[0, 0]), float(rig[b].K[0, 0]))
        found = []
        for first, second in zip(ideal[a], ideal[b], strict=True):
            if first is None or second is None:
                continue
            gap = sampson_distance_px(E, first[None], second[None], focal)[0]  # (K, L, J)
            enough = np.isfinite(gap).sum(-1) >= 5
            if enough.any():
                median = np.where(enough, np.nanmedian(np.where(enough[..., None], gap, 0.0), -1), np.inf)
                found += median.min(1)[enough.any(1)].tolist()
        if found:
            distances.append(float(np.median(found)))
    return float(np.median(distances)) if distances else float("nan")


def _essential(first: Camera, second: Camera) -> F64:
    assert first.R is not None and first.t_mm is not None and second.R is not None and second.t_mm is not None
    R = second.R @ first.R.T
    return essential_matrix(R, second.t_mm - R @ first.t_mm)
