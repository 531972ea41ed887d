"""Import of the calibration that OptiTrack's Motive exports as `.mcal`, which is XML in UTF-16.

Lengths are metres and the world is y up. `Extrinsic` has the position of the camera and a matrix from camera to world
coordinates, the camera looking along -z with y up, as in OpenGL. `IntrinsicStandardCameraModel` has focal lengths and
principal point in px and OpenCV's distortion; Motive's own `Intrinsic` is another model. No specification is published:
the format was inferred by users of the files.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np

from core.rig_io.raw import RawRig, RigImporter, invalid_file, matrix, rotation_matrix, safe_xml, text
from core.rig_io.readings import stored_to_pose
from core.types.camera import Camera

_STANDARD = "IntrinsicStandardCameraModel"
_HINT = "Export the calibration again from Motive 2 or later."


def _recognises(path: Path, content: str) -> bool:
    return "HorizontalFocalLength" in content and "<Camera" in content


def _read(path: Path) -> RawRig:
    tags = [tag for tag in safe_xml(path).iter("Camera") if tag.find("Extrinsic") is not None]
    if not tags:
        raise invalid_file(path, "it has no calibrated cameras", _HINT)
    without = [_name(tag) for tag in tags if tag.find(_STANDARD) is None]
    if without:
        raise invalid_file(path, f"camera {without[0]} has no {_STANDARD}, only Motive's own lens model", _HINT)
    notes = ["Motive's axes of the camera are not documented: compare the floor grid with the images."]
    cameras = tuple(_camera(tag, path) for tag in tags)
    return RawRig(cameras=cameras, unit="m", up="y", notes=tuple(notes), pose_is="camera_to_world_opengl")


def _camera(tag: ElementTree.Element, path: Path) -> Camera:
    name = _name(tag)
    attributes, intrinsic, extrinsic = (tag.find(kind) for kind in ("Attributes", _STANDARD, "Extrinsic"))
    if attributes is None or intrinsic is None or extrinsic is None:
        raise invalid_file(path, f"camera {name} has no <Attributes>", _HINT)

    def one(part: ElementTree.Element, key: str) -> float:
        if key not in part.attrib:
            raise invalid_file(path, f"camera {name}: <{part.tag}> has no {key}", _HINT)
        return float(matrix(part.attrib[key].split(), (1,), path, f"camera {name}: {key}")[0])

    K = np.eye(3)
    K[0, 0], K[1, 1] = one(intrinsic, "HorizontalFocalLength"), one(intrinsic, "VerticalFocalLength")
    K[0, 2], K[1, 2] = one(intrinsic, "LensCenterX"), one(intrinsic, "LensCenterY")
    A = np.array([one(extrinsic, f"OrientMatrix{i}") for i in range(9)]).reshape(3, 3)
    R, t = stored_to_pose(
        rotation_matrix(A, path, name), np.array([one(extrinsic, axis) for axis in "XYZ"]), "camera_to_world_opengl"
    )
    return Camera(
        name=name,
        size_px=(round(one(attributes, "ImagerPixelWidth")), round(one(attributes, "ImagerPixelHeight"))),
        K=K,
        distortion=np.array([one(intrinsic, key) for key in ("k1", "k2", "TangentialX", "TangentialY", "k3")]),
        R=R,
        t_mm=t,
    )


def _name(tag: ElementTree.Element) -> str:
    return text(tag.get("Serial", "")) or "camera"


IMPORTER = RigImporter(
    name="optitrack", title="OptiTrack Motive (.mcal)", patterns=("*.mcal",), recognises=_recognises, read=_read
)
