"""Floor points clicked in the images of several cameras, and the world coordinates from three of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from core.calibration.world import world_from_points
from core.errors import CoreError
from core.geometry import ideal_points, pixel_rays, project_rig, triangulate
from core.geometry.similarity import Similarity
from core.types.arrays import F64
from core.types.camera import CameraRig

POINT_NAMES = ("Origin", "Along x", "Side of y")
"""Names of the three points, in order."""

_MAX_ERROR_PX = 12.0  # reprojection error of a click at 1280 px width, beyond which the clicks are of different points
_MIN_ANGLE_DEG = 2.0  # largest angle between rays, below which the depth is undetermined
_MIN_DISTANCE_MM = 100.0  # of two points
_MIN_CORNER_DEG = 10.0  # angle at the origin between the other two points


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FloorPoint:
    """A triangulated point.

    Attributes:
        xyz_mm: (3,) position in world coordinates.
        seen_px: (V, 2) projection into each camera of the rig; NaN where it is not visible.
        error_px: Reprojection error of each click, by camera.
    """

    xyz_mm: F64
    seen_px: F64
    error_px: dict[str, float]

    @property
    def worst_px(self) -> float:
        """Largest reprojection error of a click, px."""
        return max(self.error_px.values())


def locate_point(rig: CameraRig, clicks: Mapping[str, Sequence[float]]) -> FloorPoint:
    """Triangulate a point from clicks.

    Args:
        rig: Posed cameras at the size of the images.
        clicks: Pixels (2,) by camera, at least two.

    Raises:
        CoreError: Too few clicks, nearly parallel rays, or clicks that are not of one point.
    """
    names = [name for name in rig.names if name in clicks]
    if len(names) < 2:
        raise CoreError(
            f"The point was clicked in {len(names)} views, expected at least 2.",
            "Click the same point in a second view.",
        )
    seen_by = rig.subset(names)
    clicked = np.array([clicks[name] for name in names], float)
    direction = np.stack([pixel_rays(c, xy) for c, xy in zip(seen_by, clicked, strict=True)])
    lost = [name for name, ray in zip(names, direction, strict=True) if not np.isfinite(ray).all()]
    if lost:
        raise CoreError(
            f"The distortion of {lost[0]} is not valid at the clicked pixel.", "Click nearer to the image centre."
        )
    cosine = np.clip(direction @ direction.T, -1, 1)
    if np.degrees(np.arccos(np.abs(cosine).min())) < _MIN_ANGLE_DEG:
        raise CoreError(
            f"{' and '.join(names)} see this point from almost the same direction.",
            "Click it in a view from another direction as well.",
        )
    xyz = triangulate(seen_by, ideal_points(seen_by, clicked), np.ones(len(names)))
    seen_px = project_rig(rig, xyz)
    at = [rig.names.index(name) for name in names]
    error = np.linalg.norm(seen_px[at] - clicked, axis=-1)
    allowed = _MAX_ERROR_PX * np.array([max(c.size_px) for c in seen_by]) / 1280
    if not np.isfinite(error).all() or (error > allowed).any():
        by = f" by up to {error.max():.0f} px" if np.isfinite(error).all() else ""
        raise CoreError(
            f"The clicks in {', '.join(names)} disagree{by}: they are not of one point.",
            "Move one of them onto its epipolar line, or remove it.",
        )
    return FloorPoint(xyz_mm=xyz, seen_px=seen_px, error_px=dict(zip(names, error.tolist(), strict=True)))


def world_from_floor(xyz: F64, rig: CameraRig) -> Similarity:
    """Return the change to the world coordinates of three floor points: origin, direction of x, side of y.

    Up is the side of the cameras, so that the first two points determine the side of +y.

    Args:
        xyz: (3, 3) points in present world coordinates, mm.
        rig: Posed cameras.

    Raises:
        CoreError: Not three points, coincident or collinear points, or an order that is not right-handed.
    """
    if len(xyz) != 3:
        raise CoreError(f"{len(xyz)} points were given, expected 3.", "Click three points of the floor.")
    sides = np.roll(xyz, -1, 0) - xyz
    if np.linalg.norm(sides, axis=1).min() < _MIN_DISTANCE_MM:
        raise CoreError(
            f"Two of the points are less than {_MIN_DISTANCE_MM / 10:.0f} cm apart.", "Choose points farther apart."
        )
    x, other = (d / np.linalg.norm(d) for d in (sides[0], xyz[2] - xyz[0]))
    if np.linalg.norm(np.cross(x, other)) < np.sin(np.radians(_MIN_CORNER_DEG)):
        raise CoreError(
            "The three points are almost collinear.", "Choose a third point well off the line of the first two."
        )
    change = world_from_points(xyz[0], xyz[1], xyz[2], rig)
    if change.points(xyz[2])[1] < 0:
        raise CoreError(
            "Seen from the cameras' side, the third point lies to the right of the line from the first to the second.",
            "It shows the side of y, which is to the left of x: choose one on the other side, or exchange two points.",
        )
    return change
