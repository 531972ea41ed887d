"""Points of the floor, shown in the images of several cameras, and the world frame from three of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from core.calibration.world import Similarity, world_from_points
from core.errors import CoreError
from core.geometry import ideal_points, pixel_rays, project_rig, triangulate
from core.types.arrays import F64
from core.types.camera import CameraRig

POINT_NAMES = ("Origin", "Along x", "Side of y")
"""What the three points are, in order."""

_FARTHEST_PX = 12.0  # from where the views together see a point, at 1280 px width: beyond, somebody clicked elsewhere
_LEAST_ANGLE_DEG = 2.0  # between two rays; below, the distance of the point is a guess
_LEAST_APART_MM = 100.0
_LEAST_TURN_DEG = 10.0  # of the third point off the line through the first two


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FloorPoint:
    """A point that was found.

    Attributes:
        xyz_mm: (3,) in the world.
        seen_px: (V, 2) where each camera of the rig shows it; NaN where it cannot.
        error_px: By camera in which it was clicked, how far the click is from there.
    """

    xyz_mm: F64
    seen_px: F64
    error_px: dict[str, float]

    @property
    def worst_px(self) -> float:
        """The largest error of a click."""
        return max(self.error_px.values())


def locate_point(rig: CameraRig, clicks: Mapping[str, Sequence[float]]) -> FloorPoint:
    """Finds a point by where it was clicked.

    Args:
        rig: Posed cameras at the size of the images.
        clicks: (2,) px by camera, at least two.

    Raises:
        CoreError: Too few clicks, rays that are almost parallel, clicks that cannot be of one point.
    """
    names = [name for name in rig.names if name in clicks]
    if len(names) < 2:
        raise CoreError("The point was clicked in one view only.", "Click the same point in a second view.")
    seen_by = rig.subset(names)
    clicked = np.array([clicks[name] for name in names], float)
    direction = np.stack([pixel_rays(c, xy) for c, xy in zip(seen_by, clicked, strict=True)])
    lost = [name for name, ray in zip(names, direction, strict=True) if not np.isfinite(ray).all()]
    if lost:
        raise CoreError(f"{lost[0]} does not know where that part of its image looks.", "Click nearer to its middle.")
    cosine = np.clip(direction @ direction.T, -1, 1)
    if np.degrees(np.arccos(np.abs(cosine).min())) < _LEAST_ANGLE_DEG:
        raise CoreError(
            f"{' and '.join(names)} see this point from almost the same side.",
            "Click it in a view from another side as well.",
        )
    xyz = triangulate(seen_by, ideal_points(seen_by, clicked), np.ones(len(names)))
    seen_px = project_rig(rig, xyz)
    at = [rig.names.index(name) for name in names]
    error = np.linalg.norm(seen_px[at] - clicked, axis=-1)
    allowed = _FARTHEST_PX * np.array([max(c.size_px) for c in seen_by]) / 1280
    if not np.isfinite(error).all() or (error > allowed).any():
        by = f" by up to {error.max():.0f} px" if np.isfinite(error).all() else ""
        raise CoreError(
            f"The clicks in {', '.join(names)} miss each other{by}: they are not of one point.",
            "Move one of them onto its line, or remove it.",
        )
    return FloorPoint(xyz_mm=xyz, seen_px=seen_px, error_px=dict(zip(names, error.tolist(), strict=True)))


def world_from_floor(xyz: F64, rig: CameraRig) -> Similarity:
    """The frame whose floor three points show: its origin, one in the direction of x, one on the side of y.

    Up is the side on which the cameras are, so that the side of +y is settled by the first two points.

    Args:
        xyz: (3, 3) mm in the present world.
        rig: Posed cameras.

    Raises:
        CoreError: Not three points, two that are one, three on a line, or in an order that no right-handed frame has.
    """
    if len(xyz) != 3:
        raise CoreError(f"{len(xyz)} points were shown.", "Three points of the floor are needed.")
    sides = np.roll(xyz, -1, 0) - xyz
    if np.linalg.norm(sides, axis=1).min() < _LEAST_APART_MM:
        raise CoreError(
            f"Two of the points are less than {_LEAST_APART_MM / 10:.0f} cm apart.", "Choose points farther apart."
        )
    x, other = (d / np.linalg.norm(d) for d in (sides[0], xyz[2] - xyz[0]))
    if np.linalg.norm(np.cross(x, other)) < np.sin(np.radians(_LEAST_TURN_DEG)):
        raise CoreError("The three points lie almost on one line.", "Choose the third one well off to the side.")
    change = world_from_points(xyz[0], xyz[1], xyz[2], rig)
    if change.points(xyz[2])[1] < 0:
        raise CoreError(
            "Seen from the cameras' side, the third point lies to the right of the line from the first to the second.",
            "It shows the side of y, which is to the left of x: choose one on the other side, or exchange two points.",
        )
    return change
