"""Three points of the floor, each marked in the pictures of two cameras or more. No widgets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.calibration.frame import Similarity, from_points
from core.calibration.overlay import polylines_px
from core.errors import CoreError
from core.geometry import project, triangulate, undistort
from core.types import Camera, CameraRig
from core.types.arrays import F64

NAMES = ("Origin", "Along x", "Beside")
WORDS = ("the origin", "a second point, towards which x is to run", "a third point off to the side")
APART_PX = 12.0
"""Marks that are farther than this from their common point, at 1280 px width, do not mean the same thing."""
_LEAST_ANGLE_DEG = 1.5
_RAY_MM = (200.0, 30_000.0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Place:
    """Where a marked point is.

    Attributes:
        xyz_mm: (3,) in the rig's frame.
        error_px: By camera, from its mark to where the point appears.
        problem: Why it cannot be believed; empty if it can.
    """

    xyz_mm: F64
    error_px: dict[str, float]
    problem: str


class FloorPoints:
    """Marks of three points, and the frame that follows from them.

    Args:
        rig: Cameras; those without a pose take no part.
    """

    def __init__(self, rig: CameraRig) -> None:
        self.rig = rig.subset([c.name for c in rig if c.posed])
        self._marks: tuple[dict[str, F64], ...] = ({}, {}, {})

    def marks(self, point: int) -> dict[str, F64]:
        """(2,) px by camera."""
        return dict(self._marks[point])

    def mark(self, point: int, camera: str, xy_px: Sequence[float]) -> None:
        """Marks a point in a picture, or moves its mark."""
        self._marks[point][camera] = np.array(xy_px, float)

    def remove(self, point: int, camera: str | None = None) -> None:
        """Takes a mark back; all of the point's without a camera."""
        if camera is None:
            self._marks[point].clear()
        else:
            self._marks[point].pop(camera, None)

    @property
    def next_point(self) -> int:
        """The first point that is still to be marked; the last one when all are."""
        return next((i for i in range(3) if len(self._marks[i]) < 2), 2)

    def place(self, point: int) -> Place | None:
        """Where a point is; None until two cameras have marked it."""
        marks = self._marks[point]
        if len(marks) < 2:
            return None
        cameras = [self.rig[name] for name in marks]
        ideal = np.stack([undistort(c, marks[c.name]) for c in cameras])
        if self._angle_deg(cameras, ideal) < _LEAST_ANGLE_DEG:
            words = f"{' and '.join(marks)} see it from nearly the same direction: mark it in another camera too."
            return Place(xyz_mm=np.full(3, np.nan), error_px={}, problem=words)
        xyz = triangulate(self.rig.subset(list(marks)), ideal, np.ones(len(ideal)))
        errors = {c.name: float(np.linalg.norm(project(c, xyz) - marks[c.name])) for c in cameras}
        problem = ""
        if not np.isfinite(xyz).all() or not np.isfinite(list(errors.values())).all():
            problem = "The lines of sight do not meet: mark the same point in each picture."
        elif any(px > APART_PX * max(self.rig[n].size_px) / 1280 for n, px in errors.items()):
            worst = max(errors, key=lambda n: errors[n])
            problem = f"The marks are {errors[worst]:.0f} px apart in {worst}: mark the same point in each picture."
        return Place(xyz_mm=xyz, error_px=errors, problem=problem)

    def sight_lines_px(self, point: int, camera: str) -> list[F64]:
        """Polylines in a camera's picture on which the point must lie, by its marks in the other pictures."""
        out: list[F64] = []
        for name, xy in self._marks[point].items():
            ray = self._ray(self.rig[name], undistort(self.rig[name], xy)) if name != camera else None
            if ray is not None and camera in self.rig.names:
                start, end = (self.rig[name].centre_mm + s * ray for s in _RAY_MM)
                out += polylines_px(self.rig[camera], start[None], end[None])
        return out

    def seen_px(self, point: int, camera: str) -> F64 | None:
        """(2,) where a point that is known appears in a picture; None where it does not."""
        place = self.place(point)
        if place is None or place.problem or camera not in self.rig.names:
            return None
        xy = project(self.rig[camera], place.xyz_mm)
        return xy if np.isfinite(xy).all() else None

    def sentence(self, point: int) -> str:
        """How a point stands."""
        count = len(self._marks[point])
        place = self.place(point)
        if place is None:
            return "not marked yet" if not count else "marked in one picture: one more is needed"
        if place.problem:
            return place.problem
        return f"marked in {count} pictures, off by {max(place.error_px.values()):.1f} px at most"

    @property
    def problem(self) -> str:
        """Why no floor can be set yet; empty if it can."""
        for point in range(3):
            place = self.place(point)
            if place is None:
                return f"Mark {WORDS[point]} in two pictures or more."
            if place.problem:
                return f"{NAMES[point]}: {place.problem}"
        try:
            self.change()
        except CoreError as error:
            return f"{error.message} {error.hint}"
        return ""

    def change(self) -> Similarity:
        """The frame in which the three points lie on the floor.

        Raises:
            CoreError: A point is missing or cannot be believed, or they lie on one line.
        """
        places = [self.place(point) for point in range(3)]
        if any(place is None or place.problem for place in places):
            raise CoreError("Not all three points are known.", "Mark each of them in two pictures or more.")
        first, second, third = (place.xyz_mm for place in places if place is not None)
        return from_points(first, second, third, self.rig)

    def _ray(self, camera: Camera, ideal: F64) -> F64 | None:
        """(3,) unit vector in the world; None beyond the fold of the lens."""
        if not np.isfinite(ideal).all():
            return None
        ray = np.append(ideal, 1.0) @ camera.pose[0]
        return np.asarray(ray / np.linalg.norm(ray))

    def _angle_deg(self, cameras: list[Camera], ideal: F64) -> float:
        """Largest angle between two lines of sight."""
        rays = [self._ray(c, xy) for c, xy in zip(cameras, ideal, strict=True)]
        known = np.array([ray for ray in rays if ray is not None]).reshape(-1, 3)
        if len(known) < 2:
            return 0.0
        return float(np.degrees(np.arccos(np.clip(known @ known.T, -1, 1)).max()))
