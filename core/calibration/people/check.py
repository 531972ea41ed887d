"""Whether the people in a rig's 3D poses are as tall as people are and stand on the floor."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from core.calibration.checks import Finding, FindingLevel
from core.types.arrays import F64
from core.types.camera import CameraRig
from core.types.pose3d import Pose3DSequence
from core.types.skeleton import PANOPTIC15, convert

_STATURE_MM = (1200.0, 2100.0)
# Shank, thigh and trunk (ankle to knee to hip to shoulder) as parts of stature: Winter, Biomechanics and Motor Control
# of Human Movement, anthropometric segment lengths after Drillis and Contini.
_PARTS = 0.246 + 0.245 + 0.288
_ANKLE_MM = (-80.0, 300.0)  # of the lower ankle most of the time; a standing one is some 80 mm high


def check_people(rig: CameraRig, sequence: Pose3DSequence) -> tuple[Finding, ...]:
    """Looks at stature, feet and uprightness of people, which show a wrong unit, floor or axis.

    Args:
        rig: That the poses were made with; names the remedy's subject.
        sequence: 3D poses of people who stand and walk most of the time.

    Returns:
        Findings on all people together; empty where nobody is seen well enough.
    """
    points, _ = convert(sequence.xyz_mm, sequence.score, sequence.skeleton, PANOPTIC15)
    return tuple(_findings(len(rig), points))


def stature_mm(points_mm: F64) -> F64:
    """(P,) body height from median segment lengths of Panoptic-15 points (T, P, 15, 3), NaN where not seen."""

    def length(a: str, b: str) -> F64:
        gap = points_mm[:, :, PANOPTIC15.index(a)] - points_mm[:, :, PANOPTIC15.index(b)]
        return _median(np.linalg.norm(gap, axis=-1))

    def both(a: str, b: str) -> F64:
        return _median(np.stack([length(f"{side}_{a}", f"{side}_{b}") for side in ("left", "right")]))

    return np.asarray((both("ankle", "knee") + both("knee", "hip") + length("mid_hip", "neck")) / _PARTS)


def _findings(cameras: int, points: F64) -> Iterator[Finding]:
    spine = points[:, :, PANOPTIC15.index("neck")] - points[:, :, PANOPTIC15.index("mid_hip")]
    spine = spine[np.isfinite(spine).all(-1)]
    statures = stature_mm(points)
    statures = statures[np.isfinite(statures)]
    if not len(statures) or len(spine) < 5:
        return
    low, high = statures.min() / 1000, statures.max() / 1000
    said = f"{low:.2f} m" if high - low < 0.01 else f"{low:.2f} to {high:.2f} m"
    outside = (statures < _STATURE_MM[0]) | (statures > _STATURE_MM[1])
    level: FindingLevel = "error" if outside.mean() > 0.5 else "warning" if outside.any() else "ok"
    yield Finding(
        check="stature",
        level=level,
        message=f"People are {said} tall by the lengths of their limbs.",
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
            remedy=f"Import the calibration again with {name} as the axis that points up.",
        )
        return
    ankles = points[:, :, [PANOPTIC15.index("left_ankle"), PANOPTIC15.index("right_ankle")], 2]
    lower = _median(np.where(np.isfinite(ankles).all(-1), ankles.min(-1), np.nan))
    lower = lower[np.isfinite(lower)]
    if len(lower):
        yield _feet(float(np.median(lower)), cameras)


def _feet(ankle_mm: float, cameras: int) -> Finding:
    if _ANKLE_MM[0] <= ankle_mm <= _ANKLE_MM[1]:
        return Finding(check="feet", level="ok", message=f"Feet are on the floor: ankles {ankle_mm:.0f} mm above it.")
    where = "under" if ankle_mm < 0 else "above"
    return Finding(
        check="feet",
        level="error" if abs(ankle_mm) > 1000 else "warning",
        message=f"People's ankles are {abs(ankle_mm) / 1000:.2f} m {where} the floor of the {cameras}-camera rig.",
        remedy="The calibration's origin is not on the floor: set it there in the program that calibrated.",
    )


def _median(values: F64) -> F64:
    """Median over the first axis of what is known; NaN where nothing is."""
    known = np.isfinite(values)
    filled = np.where(known.any(0), values, 0.0)
    return np.where(known.any(0), np.nanmedian(filled, axis=0), np.nan)
