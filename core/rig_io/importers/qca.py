"""Import of Qualisys Track Manager's `.qca.txt`, which is XML.

Lengths are millimetres and the world is z up. Focal lengths and principal point are in 1/64 px of the sensor; the
distortion is OpenCV's. The rotation is world to camera, with the camera looking along -z and y up, as in OpenGL.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np

from core.rig_io.cameras import unread_fields
from core.rig_io.raw import RawRig, RigImporter, invalid_file, matrix, safe_xml, text
from core.types.camera import Camera

_SUBPIXELS = 64.0
_READ = re.compile(
    r"focal[lL]ength[UV]?|sensorM(in|ax)[UV]|centerPoint[UV]|radialDistortion[123]|tangentalDistortion[12]"
)
_FROM_OPENGL = np.diag([1.0, -1.0, -1.0])


def _recognises(path: Path, content: str) -> bool:
    return (
        re.search(r"<calibration[\s>]", content[:4000]) is not None and re.search(r"<camera[\s>]", content) is not None
    )


def _read(path: Path) -> RawRig:
    tags = [tag for tag in safe_xml(path).iter("camera") if tag.get("active", "1") != "0"]
    if not tags:
        raise invalid_file(path, "it has no active camera")
    video = [tag for tag in tags if "video" in tag.get("model", "").lower()]
    notes = []
    if video and len(video) < len(tags):
        notes.append(f"{len(tags) - len(video)} marker cameras were omitted.")
    rotated = [tag.get("serial", "") for tag in tags if tag.get("viewrotation", "0") not in ("0", "")]
    if rotated:
        notes.append(f"The view rotation of {', '.join(rotated)} was not applied; do not rotate the videos either.")
    cameras = tuple(_camera(tag, path) for tag in video or tags)
    unread = [
        field
        for tag, camera in zip(video or tags, cameras, strict=True)
        for field in unread_fields(camera.name, _unread_attributes(tag))
    ]
    return RawRig(
        cameras=cameras, unit="mm", up="z", notes=tuple(notes), unread=tuple(unread), pose_is="rotation_and_centre"
    )


def _unread_attributes(tag: ElementTree.Element) -> dict[str, float]:
    """Return attributes of the intrinsics that are not read and not zero."""
    intrinsic = tag.find("intrinsic")
    found = {} if intrinsic is None else {k: v for k, v in intrinsic.attrib.items() if not _READ.fullmatch(k)}
    return {key: 1.0 for key, value in found.items() if value.strip("0. +-eE") != ""}


def _camera(tag: ElementTree.Element, path: Path) -> Camera:
    name = text(tag.get("serial", "")) or "camera"
    transform, intrinsic, crop = (_child(tag, kind, name, path) for kind in ("transform", "intrinsic", "fov_video"))
    left, top, right, bottom = (_number(crop, k, name, path) for k in ("left", "top", "right", "bottom"))
    binning = _binning(tag, intrinsic, name, path)
    per_px = _SUBPIXELS * binning
    K = np.eye(3)
    K[0, 0], K[1, 1] = (_number(intrinsic, f"focalLength{a}", name, path) / per_px for a in "UV")
    # The principal point is relative to the sensor; the origin of a cropped video is not.
    K[0, 2] = _number(intrinsic, "centerPointU", name, path) / per_px - left
    K[1, 2] = _number(intrinsic, "centerPointV", name, path) / per_px - top
    keys = ("radialDistortion1", "radialDistortion2", "tangentalDistortion1", "tangentalDistortion2")
    distortion = [_number(intrinsic, key, name, path, 0.0) for key in keys]
    distortion.append(_number(intrinsic, "radialDistortion3", name, path, 0.0))
    R = np.array([[_number(transform, f"r{i}{j}", name, path) for j in (1, 2, 3)] for i in (1, 2, 3)])
    R = _FROM_OPENGL @ R
    centre = np.array([_number(transform, axis, name, path) for axis in "xyz"])
    return Camera(
        name=name,
        size_px=(round(right - left) + 1, round(bottom - top) + 1),
        K=K,
        distortion=np.array(distortion),
        R=R,
        t_mm=-R @ centre,
    )


def _binning(tag: ElementTree.Element, intrinsic: ElementTree.Element, name: str, path: Path) -> int:
    """Return the sensor pixels per video pixel along one side: video may have half the sensor's resolution."""
    widest = tag.find("fov_video_max")
    if widest is None or intrinsic.get("sensorMaxU") is None:
        return 1
    sensor = _number(intrinsic, "sensorMaxU", name, path) / _SUBPIXELS
    return max(1, round(sensor / max(_number(widest, "right", name, path), 1.0)))


def _child(tag: ElementTree.Element, kind: str, name: str, path: Path) -> ElementTree.Element:
    child = tag.find(kind)
    if child is None:
        raise invalid_file(
            path, f"camera {name} has no <{kind}>", "Export the calibration again from Qualisys Track Manager."
        )
    return child


def _number(tag: ElementTree.Element, key: str, name: str, path: Path, default: float | None = None) -> float:
    value = tag.get(key)
    if value is None and default is not None:
        return default
    if value is None:
        raise invalid_file(path, f"camera {name}: <{tag.tag}> has no {key}")
    return float(matrix(value, (1,), path, f"camera {name}: {key}")[0])


IMPORTER = RigImporter(
    name="qca", title="Qualisys", patterns=("*.qca.txt", "*.qca", "*.xml"), recognises=_recognises, read=_read
)
