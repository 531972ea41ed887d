"""Export to the COLMAP text model: `cameras.txt`, `images.txt`, empty `points3D.txt`; metres, z up, one image each."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from core.errors import CoreError
from core.rig_io.exporters.exporter import (
    ANY_INTRINSICS,
    Rendered,
    RigExporter,
    brown_coefficients,
    focal_and_centre,
    quaternion,
    require_poses,
    time_offset_notes,
)
from core.rig_io.importers.colmap import CORNER_TO_CENTRE_PX
from core.types.camera import Camera, CameraRig

_TITLE = "COLMAP (cameras.txt and images.txt)"


def _render(rig: CameraRig) -> Rendered:
    for name in rig.names:
        if re.search(r"[\s/\\]", name):
            raise CoreError(
                f"{_TITLE} names images after cameras, and '{name}' contains a space or a slash.", "Rename the camera."
            )
    cameras = require_poses(rig, _TITLE)
    intrinsics = [
        "# Camera list with one line of data per camera:",
        "#   CAMERA_ID, MODEL, WIDTH, HEIGHT, PARAMS[]",
        f"# Number of cameras: {len(cameras)}",
        *(_intrinsics(number, camera) for number, camera in enumerate(cameras, start=1)),
    ]
    images = [
        "# Image list with two lines of data per image:",
        "#   IMAGE_ID, QW, QX, QY, QZ, TX, TY, TZ, CAMERA_ID, NAME",
        "#   POINTS2D[] as (X, Y, POINT3D_ID)",
        f"# Number of images: {len(cameras)}, mean observations per image: 0",
        "# Length unit: m",
    ]
    for number, camera in enumerate(cameras, start=1):
        images += [_image(number, camera), ""]
    points = ["# 3D point list with one line of data per point:", "# Number of points: 0, mean track length: 0"]
    texts = {
        name: "\n".join(lines) + "\n"
        for name, lines in (("cameras.txt", intrinsics), ("images.txt", images), ("points3D.txt", points))
    }
    return Rendered(texts=texts, notes=time_offset_notes(rig, _TITLE))


def _intrinsics(number: int, camera: Camera) -> str:
    fx, fy, cx, cy = focal_and_centre(camera, _TITLE)
    if camera.distortion_model == "fisheye":
        model, distortion = "OPENCV_FISHEYE", camera.distortion
    else:
        if camera.distortion[8:].any():
            raise CoreError(
                f"Camera {camera.name} has thin prism or tilt terms, which {_TITLE} does not support.", ANY_INTRINSICS
            )
        distortion = brown_coefficients(camera, _TITLE, 8)
        model = "FULL_OPENCV" if distortion[4:].any() else "OPENCV" if distortion.any() else "PINHOLE"
        distortion = distortion[: {"FULL_OPENCV": 8, "OPENCV": 4, "PINHOLE": 0}[model]]
    centre = (cx + CORNER_TO_CENTRE_PX, cy + CORNER_TO_CENTRE_PX)
    width, height = camera.size_px
    return f"{number} {model} {width} {height} {_words((fx, fy, *centre, *distortion))}"


def _image(number: int, camera: Camera) -> str:
    x, y, z, w = quaternion(camera)
    return f"{number} {_words((w, x, y, z, *np.asarray(camera.pose[1]) / 1000))} {number} {camera.name}.png"


def _words(values: Sequence[float]) -> str:
    return " ".join(repr(float(value)) for value in values)


EXPORTER = RigExporter(
    name="colmap",
    title=_TITLE,
    summary="A folder of text files. Metres, z up. Eight coefficients or fisheye; no skew, unposed cameras or "
    "time offsets.",
    default_name="colmap",
    suffixes=(),
    render=_render,
)
