"""Detection of cameras that disagree with the others, such as those moved since the calibration.

Legend: P person, D detection in one image, J joint.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

import numpy as np

from core.geometry.projection import inside, project
from core.types.arrays import F64
from core.types.camera import Camera, CameraRig
from core.types.pose2d import Pose2D

_PERIOD_S = 6.0  # over which a camera is assessed
_EVERY_S = 0.3
_FEWEST_TIMES, _FEWEST_JOINTS = 8, 8
# Median distance of the nearest detection relative to the person's size in the image: 0.01 to 0.03 for calibrated
# cameras of the sample, 0.09 for one rotated by 3 degrees.
_APART = 0.08


class CameraAgreement:
    """Comparison of each camera's detections with the people triangulated from all cameras.

    Args:
        rig: Posed cameras, with intrinsics for the size of their images.
    """

    def __init__(self, rig: CameraRig) -> None:
        self._rig = rig
        self._apart: dict[str, deque[tuple[float, float]]] = {camera.name: deque() for camera in rig}
        self._next_s = -np.inf
        self._moved: tuple[str, ...] = ()

    def update(
        self, time_s: float, cameras: Sequence[str], poses2d: Mapping[str, Pose2D], xyz_mm: F64
    ) -> tuple[str, ...]:
        """Return the cameras that have disagreed for some seconds.

        Args:
            time_s: Time of the people; must increase.
            cameras: Cameras with an image at that time.
            poses2d: Detections by camera.
            xyz_mm: (P, J, 3) joints in world coordinates, NaN where missing.
        """
        if time_s < self._next_s:
            return self._moved
        self._next_s = time_s + _EVERY_S
        seeing = [
            name for name in cameras if (np.isfinite(poses2d[name].xy_px[0, ..., 0]).sum(-1) >= _FEWEST_JOINTS).any()
        ]
        if len(xyz_mm):
            for name in seeing:
                apart = _nearest(self._rig[name], poses2d[name], xyz_mm)
                if apart is not None:
                    self._apart[name].append((time_s, apart))
        elif len(seeing) > 1:  # No two of them agree on the position of a person.
            for name in seeing:
                self._apart[name].append((time_s, np.inf))
        moved = []
        for name, times in self._apart.items():
            while times and time_s - times[0][0] > _PERIOD_S:
                times.popleft()
            enough = len(times) >= _FEWEST_TIMES
            if np.median([apart for _, apart in times]) > _APART if enough else name in self._moved:
                moved.append(name)
        self._moved = tuple(moved)
        return self._moved


def _nearest(camera: Camera, poses: Pose2D, xyz_mm: F64) -> float | None:
    """Return the smallest distance between a projected person and a detection; None if either is missing.

    Only the nearest person counts, because others may be occluded in this camera.
    """
    people, found = project(camera, xyz_mm), poses.xy_px[0]  # (P, J, 2), (D, J, 2)
    people = people[(inside(camera, people)).sum(-1) >= _FEWEST_JOINTS]
    if not len(people):
        return None
    size = np.nanmax(np.nanmax(people, 1) - np.nanmin(people, 1), -1)
    gap = np.linalg.norm(people[:, None] - found[None], axis=-1)  # (P, D, J)
    enough = np.isfinite(gap).sum(-1) >= _FEWEST_JOINTS
    gap = np.where(enough[..., None], gap, np.inf)
    return float((np.nanmedian(gap, -1) / size[:, None]).min())
