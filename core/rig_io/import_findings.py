"""Findings on an imported file: fields that were not understood, and another meaning of the poses."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from core.rig_io.raw import RawRig
from core.rig_io.readings import PoseReading, RotationReading, better_readings
from core.types.finding import Finding, FindingLevel

READING_TEXT: dict[PoseReading, str] = {
    "world_to_camera": "world to camera",
    "camera_to_world": "camera to world",
    "rotation_and_centre": "rotation world to camera and camera centre",
    "transposed": "world to camera with a transposed rotation",
    "camera_to_world_opengl": "camera to world with OpenGL's axes (y up, looking along -z)",
    "world_to_camera_opengl": "world to camera with OpenGL's axes (y up, looking along -z)",
}
ROTATION_TEXT: dict[RotationReading, str] = {
    "degrees": "rotation vectors in degrees",
    "radians": "rotation vectors in radians",
    "xyzw": "quaternions x y z w",
    "wxyz": "quaternions w x y z",
}
_LABELS = {"pose_is": "Camera poses", "rotation_is": "Rotations", "up": "Up axis"}
_UPRIGHT = 0.7  # length of the mean up direction
_FULL_TURN_RAD = 2 * np.pi
_CHECK = "file"
_POSES = "poses"
FILE_CHECKS = frozenset((_CHECK, _POSES))
"""Checks of the file that a rig was imported from."""
_MAX_NAMES = 6


def unread_findings(raw: RawRig) -> Iterator[Finding]:
    """Yield a finding for each field that was not understood, with the cameras that have it."""
    by_key = sorted(raw.unread, key=lambda field: (field.key, field.level))
    for (key, level), fields in itertools.groupby(by_key, key=lambda field: (field.key, field.level)):
        names = list(dict.fromkeys(field.camera for field in fields))
        shown = ", ".join(names[:_MAX_NAMES]) + ("…" if len(names) > _MAX_NAMES else "")
        if level == "error":
            yield _finding(
                level,
                f"'{key}' of {shown} may be distortion and was not understood: these lenses are not right.",
                "Give the distortion as distortion_coefficients in OpenCV's order k1 k2 p1 p2 k3, and import again.",
                names,
            )
        elif level == "warning":
            yield _finding(
                level,
                f"'{key}' of {shown} was not understood and not used.",
                "Check that it does not change where a point is seen; else convert it to OpenCV's fields.",
                names,
            )
        else:
            yield _finding("ok", f"'{key}' of {shown} was not understood and not used.", "", names)


def pose_findings(raw: RawRig) -> Iterator[Finding]:
    """Yield a finding if only another pose convention lets all cameras view a common volume."""
    longest = max((float(np.linalg.norm(v)) for v in raw.rotation_vectors.values()), default=0.0)
    better = better_readings(raw.cameras, raw.pose_is, raw.rotation_vectors, raw.quaternions)
    if not better:
        if longest > _FULL_TURN_RAD + 0.01:
            yield _finding(
                "warning",
                f"The rotation vectors are up to {longest:.3g} long, more than a full turn in radians.",
                "If they are degrees, import the file again with `--set rotation_is=degrees`.",
            )
        return
    reading, rotation, aim = better[0]
    posed = [camera for camera in raw.cameras if camera.posed]
    what = [READING_TEXT[reading]] if reading != raw.pose_is else []
    what += [ROTATION_TEXT[rotation]] if rotation != "as_stated" else []
    settings = [f"pose_is={reading}"] if reading != raw.pose_is else []
    settings += [f"rotation_is={rotation}"] if rotation != "as_stated" else []
    up = raw.up or "z"
    if aim.up != up and aim.upright > 0.5:
        settings.append(f"up={aim.up}")
    others = [READING_TEXT[other] for other, _, _ in better[1:3] if other not in (reading, raw.pose_is)]
    also = f" (as {', or as '.join(others)}, they would too)" if others else ""
    upright = ", and their images are upright" if aim.upright > _UPRIGHT else ""
    level: FindingLevel = "error" if len(posed) > 2 else "warning"
    yield _finding(
        level,
        f"The poses seem to be stored as {' and '.join(what)}: read so, all cameras look at a common volume{also}, "
        f"{_heights(aim.heights, raw)}{upright}; as read now, {READING_TEXT[raw.pose_is]}, "
        "that is not so.",
        f"Import the file again with {' '.join(f'`--set {setting}`' for setting in settings)}; in the window, with "
        f"{' and '.join(_LABELS[setting.partition('=')[0]] for setting in settings)}.",
        check=_POSES,
    )


def _heights(heights: np.ndarray, raw: RawRig) -> str:
    """Describe the heights of the cameras, in the length unit of the file if it is known."""
    unit = {"m": "m", "cm": "cm", "mm": "mm"}.get(raw.unit or "", "")
    return f"from heights of {heights.min():.4g} to {heights.max():.4g} {unit}".rstrip()


def _finding(
    level: FindingLevel, message: str, remedy: str, cameras: list[str] | None = None, check: str = _CHECK
) -> Finding:
    return Finding(
        check=check,
        level=level,
        message=message,
        remedy=remedy,
        camera=cameras[0] if cameras and len(cameras) == 1 else "",
    )
