"""Import of Vicon's `.xcp`, which is XML: a `<Camera>` with one `<KeyFrame>` each.

Lengths are millimetres and the world is z up. POSITION is the camera centre, ORIENTATION a quaternion x y z w, world to
camera (x right, y down, z forward). FOCAL_LENGTH is that along x in px; along y it is divided by PIXEL_ASPECT_RATIO.
VICON_RADIAL2 holds a model name, the distortion centre in px and three coefficients of r^2, r^4 and r^6 with r in px (y
times the aspect ratio); VICON_RADIAL two coefficients about the principal point. They undistort, and OpenCV's model is
fitted to them (`core.rig_io.vicon`). Cameras are named by DEVICEID, which is part of the names of Vicon's videos.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np

from core.geometry import undistort
from core.rig_io.cameras import checked_quaternion
from core.rig_io.raw import (
    RawRig,
    RigImporter,
    Unread,
    invalid_file,
    matrix,
    safe_xml,
    text,
)
from core.rig_io.vicon import ViconIntrinsics, image_grid, opencv_intrinsics
from core.types.arrays import F64
from core.types.camera import Camera

_MAX_ERROR_PX = 2.0


def _recognises(path: Path, content: str) -> bool:
    return "<Camera" in content and "<KeyFrame" in content and "<Cameras" in content


def _read(path: Path) -> RawRig:
    tags = list(safe_xml(path).iter("Camera"))
    if not tags:
        raise invalid_file(path, "it has no cameras")
    notes = []
    video = [tag for tag in tags if "video" in tag.get("TYPE", "").lower()]
    if video and len(video) < len(tags):
        notes.append(f"{len(tags) - len(video)} marker cameras were omitted.")
    calibrated = [tag for tag in video or tags if tag.find("KeyFrames/KeyFrame") is not None]
    if not calibrated:
        raise invalid_file(path, "none of its cameras is calibrated", "Calibrate them in Vicon's program first.")
    if len(calibrated) < len(video or tags):
        uncalibrated = ", ".join(_name(tag) for tag in video or tags if tag not in calibrated)
        notes.append(f"Omitted because not calibrated: {uncalibrated}.")
    read = [_camera(tag, path, notes) for tag in calibrated]
    worst = max(error for _, error in read)
    if worst > 0:
        notes.append(f"OpenCV's distortion was fitted to Vicon's with an error of {worst:.2g} px.")
    skewed = [_name(tag) for tag in calibrated if _attribute(tag, "SKEW", 1, path, [0.0]).any()]
    if skewed:
        notes.append(f"The skew of {', '.join(skewed)} was omitted.")
    unread = [
        Unread(camera=_name(tag), key=key, level="error")
        for tag in calibrated
        for frame in tag.iter("KeyFrame")
        for key in frame.attrib
        if key.startswith("VICON_") and key not in ("VICON_RADIAL", "VICON_RADIAL2")
    ]
    return RawRig(
        cameras=tuple(camera for camera, _ in read),
        unit="mm",
        up="z",
        notes=tuple(notes),
        unread=tuple(unread),
        pose_is="rotation_and_centre",
    )


def _camera(tag: ElementTree.Element, path: Path, notes: list[str]) -> tuple[Camera, float]:
    """Return the camera and the error of its fitted distortion, px."""
    name = _name(tag)
    key_frame = tag.find("KeyFrames/KeyFrame")
    assert key_frame is not None
    width, height = _attribute(tag, "SENSOR_SIZE", 2, path)
    aspect = _attribute(tag, "PIXEL_ASPECT_RATIO", 1, path, [1.0])[0]
    focal = _attribute(key_frame, "FOCAL_LENGTH", 1, path)[0]
    if not (1e-3 < focal < 1e9 and 0.01 < aspect < 100 and 1 <= width < 1e5 and 1 <= height < 1e5):
        raise invalid_file(path, f"camera {name}: the focal length, aspect ratio or sensor size is out of range")
    size_px = (round(width), round(height))
    intrinsics = _intrinsics(key_frame, focal, aspect, path)
    hint = "The coefficients must be those of Vicon's model, with the radius in pixels."
    largest = (np.abs(intrinsics.principal_px).max(), np.abs(intrinsics.centre).max(), np.abs(intrinsics.radial).max())
    if max(largest[0] / 1e6, largest[1] / 1e3, largest[2] / 1e12) > 1:
        raise invalid_file(path, f"camera {name}: the principal point or the distortion is out of range", hint)
    if intrinsics.folds(size_px):
        raise invalid_file(path, f"camera {name}: the distortion folds inside the image", hint)
    K, distortion, error = opencv_intrinsics(intrinsics, size_px)
    R = t = None
    if "POSITION" in key_frame.attrib and "ORIENTATION" in key_frame.attrib:
        R = checked_quaternion(_attribute(key_frame, "ORIENTATION", 4, path), path, name, notes)
        t = -R @ _attribute(key_frame, "POSITION", 3, path)
    camera = Camera(name=name, size_px=size_px, K=K, distortion=distortion, R=R, t_mm=t)
    if error > _MAX_ERROR_PX or not np.isfinite(undistort(camera, image_grid(size_px))).all():
        raise invalid_file(path, f"camera {name}: OpenCV's model cannot represent the distortion", hint)
    return camera, error


def _intrinsics(key_frame: ElementTree.Element, focal: float, aspect: float, path: Path) -> ViconIntrinsics:
    focal_px = np.array([focal, focal / aspect])
    principal = _attribute(key_frame, "PRINCIPAL_POINT", 2, path)
    centre, radial = principal, np.zeros(3)
    if "VICON_RADIAL2" in key_frame.attrib:
        # The first word is the name of the model.
        words = key_frame.attrib["VICON_RADIAL2"].split()[1:]
        values = matrix(words, (5,), path, "VICON_RADIAL2")
        centre, radial = values[:2], values[2:]
    elif "VICON_RADIAL" in key_frame.attrib:
        radial = np.append(_attribute(key_frame, "VICON_RADIAL", 2, path), 0.0)
    return ViconIntrinsics(
        focal_px=focal_px,
        principal_px=principal,
        centre=(centre - principal) / focal_px,
        radial=radial * focal ** np.array([2.0, 4.0, 6.0]),
    )


def _name(tag: ElementTree.Element) -> str:
    return text(tag.get("DEVICEID", "")) or text(tag.get("NAME", "")) or "camera"


def _attribute(tag: ElementTree.Element, key: str, count: int, path: Path, default: list[float] | None = None) -> F64:
    """Return the space-separated numbers (count,) of an attribute."""
    if key not in tag.attrib:
        if default is None:
            raise invalid_file(
                path, f"a <{tag.tag}> has no {key}", "Export the calibration again from Vicon's program."
            )
        return np.array(default)
    return matrix(tag.attrib[key].split(), (count,), path, key)


IMPORTER = RigImporter(
    name="xcp", title="Vicon (.xcp)", patterns=("*.xcp", "*.xml"), recognises=_recognises, read=_read
)
