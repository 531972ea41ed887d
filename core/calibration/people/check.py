"""Plausibility of 3D people: stature, upright posture and feet on the floor."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from core.calibration.checks import Finding, FindingLevel
from core.types.arrays import F64
from core.types.camera import CameraRig
from core.types.pose3d import Pose3DSequence
from core.types.skeleton import Skeleton

_STATURE_MM = (1200.0, 2100.0)
# Shank, thigh and trunk (ankle to knee to hip to shoulder) as shares of stature: Winter, Biomechanics and Motor Control
# of Human Movement, anthropometric segment lengths after Drillis and Contini.
_SEGMENT_SHARES = 0.246 + 0.245 + 0.288
_ANKLE_MM = (-80.0, 300.0)  # median height of the lower ankle; that of a standing person is some 80 mm
_MIN_SPINES = 5
_MAX_ANKLE_MM = 1000.0  # beyond, the floor is not merely imprecise


def check_people(rig: CameraRig, sequence: Pose3DSequence) -> tuple[Finding, ...]:
    """Check stature, posture and feet of people, which reveal a wrong unit, up axis or floor.

    Args:
        rig: Rig with which the poses were triangulated.
        sequence: 3D poses of people who stand and walk most of the time.

    Returns:
        Findings on all people together; empty if no person is seen well enough.
    """
    return tuple(_findings(rig, sequence.xyz_mm, sequence.skeleton))


def stature_mm(points_mm: F64, skeleton: Skeleton) -> F64:
    """Estimate body heights from median segment lengths.

    Args:
        points_mm: (T, P, J, 3) joints, NaN where missing.
        skeleton: Skeleton of the joints.

    Returns:
        Statures (P,) in the unit of the points; NaN for people without a visible shank, thigh or trunk.
    """

    def length(a: str, b: str) -> F64:
        ends = skeleton.select(points_mm, a, b)
        return _median(np.linalg.norm(ends[..., 0, :] - ends[..., 1, :], axis=-1))

    def both_sides(a: str, b: str) -> F64:
        return _median(np.stack([length(f"{side}_{a}", f"{side}_{b}") for side in ("left", "right")]))

    total = both_sides("ankle", "knee") + both_sides("knee", "hip") + length("mid_hip", "neck")
    return np.asarray(total / _SEGMENT_SHARES)


def _findings(rig: CameraRig, points: F64, skeleton: Skeleton) -> Iterator[Finding]:
    neck, hip = np.moveaxis(skeleton.select(points, "neck", "mid_hip"), -2, 0)
    spine = neck - hip
    spine = spine[np.isfinite(spine).all(-1)]
    statures = stature_mm(points, skeleton)
    statures = statures[np.isfinite(statures)]
    if not len(statures) or len(spine) < _MIN_SPINES:
        return
    low, high = statures.min() / 1000, statures.max() / 1000
    span = f"{low:.2f} m" if high - low < 0.01 else f"{low:.2f} to {high:.2f} m"
    outside = (statures < _STATURE_MM[0]) | (statures > _STATURE_MM[1])
    level: FindingLevel = "error" if outside.mean() > 0.5 else "warning" if outside.any() else "ok"
    yield Finding(
        check="stature",
        level=level,
        message=f"People are {span} tall, by the lengths of their limbs.",
        remedy="" if level == "ok" else "Check the length unit of the calibration; children are smaller.",
    )
    upright = np.median(spine / np.linalg.norm(spine, axis=-1, keepdims=True), axis=0)
    axis = int(np.argmax(np.abs(upright)))
    if axis != 2 or upright[2] < 0:
        name = ("-" if upright[axis] < 0 else "") + "xyz"[axis]
        yield Finding(
            check="upright",
            level="error" if abs(upright[axis]) > 0.8 else "warning",
            message=f"People's spines point along {name} instead of z.",
            remedy=f"Import the calibration again with {name} as the up axis.",
        )
        return
    ankles = skeleton.select(points, "left_ankle", "right_ankle")[..., 2]
    lower = _median(np.where(np.isfinite(ankles).all(-1), ankles.min(-1), np.nan))
    lower = lower[np.isfinite(lower)]
    if len(lower):
        yield _feet(float(np.median(lower)), rig)


def _feet(ankle_mm: float, rig: CameraRig) -> Finding:
    if _ANKLE_MM[0] <= ankle_mm <= _ANKLE_MM[1]:
        return Finding(check="feet", level="ok", message=f"Feet are on the floor: ankles {ankle_mm:.0f} mm above it.")
    where = "under" if ankle_mm < 0 else "above"
    return Finding(
        check="feet",
        level="error" if abs(ankle_mm) > _MAX_ANKLE_MM and not rig.floor_guessed else "warning",
        message=f"People's ankles are {abs(ankle_mm) / 1000:.2f} m {where} the floor of the {len(rig)}-camera rig.",
        remedy="The origin of the calibration is not on the floor: set the floor on the Calibrate page.",
    )


def _median(values: F64) -> F64:
    """Return the median of finite values over the first axis; NaN without any."""
    known = np.isfinite(values)
    filled = np.where(known.any(0), values, 0.0)
    return np.where(known.any(0), np.nanmedian(filled, axis=0), np.nan)
