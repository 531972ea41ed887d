"""Motion of a joint over a take: speed, height, angles, uncertainty and confidence."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from core.body.angles import JOINT_ANGLES, joint_angles
from core.types import BodySequence, Pose3DSequence, Skeleton
from core.types.arrays import F64
from studio.pages.view.summary import speeds_m_s

_NEIGHBOURS = {
    "elbow": ("shoulder", "wrist"),
    "shoulder": ("elbow", "hip"),
    "hip": ("shoulder", "knee"),
    "knee": ("hip", "ankle"),
}
"""Neighbours between which the angle at a joint is measured, on the same side of the body."""
_BODY_JOINTS = {"mid_hip": "pelvis"}
"""Joints of body models by their names in skeletons."""
_AROUND_FRAMES = 64
"""Number of frames before and after for the speed at a frame, for up to 1000 frames per second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """Quantity of a joint to show and plot.

    Attributes:
        name: Attribute of `JointSeries`, or name of a joint angle.
        label: Display name.
        unit: Unit of the plot.
        text: Format of a value with unit.
        scale: Factor from the stored to the displayed unit.
    """

    name: str
    label: str
    unit: str
    text: str
    scale: float = 1.0


QUANTITIES = (
    Quantity(name="speed_m_s", label="Speed", unit="m/s", text="{:.2f} m/s"),
    Quantity(name="angle_deg", label="Angle", unit="°", text="{:.0f}°"),
    *(
        Quantity(name=name, label=name.capitalize(), unit="°", text="{:.0f}°")
        for name in ("flexion", "abduction", "rotation", "elevation", "bending", "tilt", "obliquity")
    ),
    Quantity(name="height_mm", label="Height", unit="m", text="{:.2f} m", scale=1e-3),
    Quantity(name="sigma_mm", label="Uncertainty", unit="mm", text="± {:.0f} mm"),
    Quantity(name="confidence", label="Confidence", unit="%", text="{:.0f} %", scale=100.0),
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JointSeries:
    """Quantities of a joint of a person, NaN where unknown.

    Attributes:
        speed_m_s: (T,) speed over a tenth of a second.
        angle_deg: (T,) angle between the bones to both neighbours; 180 is a straight limb.
        height_mm: (T,) height above the floor.
        sigma_mm: (T,) standard deviation of the position: root of the trace of its covariance.
        confidence: (T,) score from 0 to 1.
        body_angles: Angles (T,) of the fitted body at the joint by name in degrees, which replace `angle_deg`.
    """

    speed_m_s: F64
    angle_deg: F64
    height_mm: F64
    sigma_mm: F64
    confidence: F64
    body_angles: Mapping[str, F64] = field(default_factory=dict)

    def shown(self, quantity: Quantity) -> F64 | None:
        """Return a quantity (T,) in its displayed unit; None if the joint has no such angle."""
        if quantity.name in self.body_angles:
            return self.body_angles[quantity.name]
        if not hasattr(self, quantity.name) or (quantity.name == "angle_deg" and self.body_angles):
            return None
        values = np.asarray(getattr(self, quantity.name) * quantity.scale)
        return values if np.isfinite(values).any() else None

    def rows(self, frame: int) -> tuple[tuple[str, str], ...]:
        """Return labels and texts of the quantities known at a frame."""
        shown = [(quantity, self.shown(quantity)) for quantity in QUANTITIES]
        values = [(quantity, float(values[frame])) for quantity, values in shown if values is not None]
        return tuple((q.label, q.text.format(value)) for q, value in values if math.isfinite(value))


class JointMotions:
    """Motion of the joints of a result, computed on demand.

    Args:
        poses: 3D result.
        bodies: Bodies fitted to it, or None.

    Attributes:
        poses: 3D result.
        bodies: Bodies fitted to it, or None.
    """

    def __init__(self, poses: Pose3DSequence, bodies: BodySequence | None = None) -> None:
        self.poses, self.bodies = poses, bodies
        self._series: dict[tuple[int, int], JointSeries] = {}
        self._angles: dict[int, F64] = {}

    def series(self, person: int, joint: int) -> JointSeries:
        """Return the motion of a joint of a person (column), with the angles of the fitted body if there is one."""
        series = self._measured(person, joint)
        column = self._body_column(person)
        if self.bodies is None or column is None:
            return series
        if column not in self._angles:
            self._angles[column] = joint_angles(_part(self.bodies, column))[:, 0]
        return replace(series, body_angles=self._named(self._angles[column], joint))

    def rows(self, person: int, joint: int, frame: int) -> tuple[tuple[str, str], ...]:
        """Return labels and texts of the quantities known at a frame."""
        # Only the frames around, because a long take would be too slow while the pointer moves.
        around = slice(max(frame - _AROUND_FRAMES, 0), frame + _AROUND_FRAMES)
        series, column = joint_series(_frames(self.poses, around), person, joint), self._body_column(person)
        if self.bodies is not None and column is not None:
            angles = joint_angles(_part(self.bodies, column, around))[:, 0]
            series = replace(series, body_angles=self._named(angles, joint))
        return series.rows(frame - around.start)

    def _measured(self, person: int, joint: int) -> JointSeries:
        if (person, joint) not in self._series:
            self._series[person, joint] = joint_series(self.poses, person, joint)
        return self._series[person, joint]

    def _body_column(self, person: int) -> int | None:
        """Return the column of a person among the bodies; None without a body."""
        bodies, person_id = self.bodies, self.poses.person_ids[person]
        if bodies is None or person_id not in bodies.person_ids or len(bodies.time_s) != len(self.poses.time_s):
            return None
        return bodies.person_ids.index(person_id)

    def _named(self, angles: F64, joint: int) -> dict[str, F64]:
        """Return the angles of a joint among (T, A) by the name of the movement."""
        name = self.poses.skeleton.joints[joint]
        name = _BODY_JOINTS.get(name, name)
        return {
            angle.name.removeprefix(f"{name}_"): angles[:, index]
            for index, angle in enumerate(JOINT_ANGLES)
            if angle.joint == name
        }


def _frames(poses: Pose3DSequence, frames: slice) -> Pose3DSequence:
    """Return a slice of the frames of a result."""
    covariance = poses.covariance_mm2
    return replace(
        poses,
        time_s=poses.time_s[frames],
        xyz_mm=poses.xyz_mm[frames],
        score=poses.score[frames],
        covariance_mm2=None if covariance is None else covariance[frames],
    )


def _part(bodies: BodySequence, column: int, frames: slice = slice(None)) -> BodySequence:
    """Return one person of bodies in a slice of the frames."""
    return replace(
        bodies,
        time_s=bodies.time_s[frames],
        person_ids=(bodies.person_ids[column],),
        betas=bodies.betas[column : column + 1],
        rotations_rad=bodies.rotations_rad[frames, column : column + 1],
        pelvis_mm=bodies.pelvis_mm[frames, column : column + 1],
    )


def joint_series(poses: Pose3DSequence, person: int, joint: int) -> JointSeries:
    """Return the motion of a joint.

    Args:
        poses: 3D result.
        person: Column of the person.
        joint: Index of the joint.
    """
    xyz_mm = poses.xyz_mm[:, person, joint]
    known = np.isfinite(xyz_mm).all(-1)
    sigma_mm = np.full(len(xyz_mm), np.nan)
    if poses.covariance_mm2 is not None:
        trace = np.trace(poses.covariance_mm2[:, person, joint].astype(float), axis1=-2, axis2=-1)
        sigma_mm = np.where(known, np.sqrt(np.maximum(trace, 0.0)), np.nan)
    return JointSeries(
        speed_m_s=speeds_m_s(xyz_mm[:, None], poses.time_s)[:, 0],
        angle_deg=_angle_deg(poses, person, joint),
        height_mm=xyz_mm[:, 2],
        sigma_mm=sigma_mm,
        confidence=np.where(known, poses.score[:, person, joint], np.nan),
    )


def joint_text(joint: str) -> str:
    """Return the name of a joint as text, such as "left knee"."""
    return joint.replace("_", " ")


def angle_neighbours(skeleton: Skeleton, joint: int) -> tuple[str, str] | None:
    """Return the neighbours between which the angle at a joint is measured; None if it has no angle."""
    side, _, part = skeleton.joints[joint].partition("_")
    ends = tuple(f"{side}_{end}" for end in _NEIGHBOURS.get(part, ()))
    return (ends[0], ends[1]) if ends and skeleton.has(*ends) else None


def _angle_deg(poses: Pose3DSequence, person: int, joint: int) -> F64:
    ends = angle_neighbours(poses.skeleton, joint)
    if ends is None:
        return np.full(len(poses.time_s), np.nan)
    xyz_mm = poses.xyz_mm[:, person]
    first, second = (xyz_mm[:, poses.skeleton.index(end)] - xyz_mm[:, joint] for end in ends)
    sine = np.linalg.norm(np.cross(first, second), axis=-1)
    return np.asarray(np.degrees(np.arctan2(sine, (first * second).sum(-1))))
