"""Export to Qualisys Track Manager's `.qca.txt`: XML, mm, z up, sensor units of 1/64 px, cameras looking along -z."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import numpy as np

from core.rig_io.exporters.exporter import (
    Rendered,
    RigExporter,
    brown_coefficients,
    focal_and_centre,
    require_poses,
    time_offset_notes,
)
from core.types.camera import Camera, CameraRig

_TITLE = "Qualisys"
_SUBPIXELS = 64.0
_TO_OPENGL = np.diag([1.0, -1.0, -1.0])


def _render(rig: CameraRig) -> Rendered:
    root = ElementTree.Element("calibration", {"type": "exported"})
    cameras = ElementTree.SubElement(root, "cameras")
    for camera in require_poses(rig, _TITLE):
        cameras.append(_camera(camera))
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    return Rendered(
        texts={"": f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'}, notes=time_offset_notes(rig, _TITLE)
    )


def _camera(camera: Camera) -> ElementTree.Element:
    fx, fy, cx, cy = focal_and_centre(camera, _TITLE)
    k1, k2, p1, p2, k3 = brown_coefficients(camera, _TITLE).tolist()
    width, height = camera.size_px
    R = _TO_OPENGL @ camera.pose[0]
    extent = {"left": "0", "top": "0", "right": str(width - 1), "bottom": str(height - 1)}
    tag = ElementTree.Element(
        "camera", {"active": "1", "model": "Miqus Video", "serial": camera.name, "viewrotation": "0"}
    )
    ElementTree.SubElement(tag, "fov_video", extent)
    ElementTree.SubElement(tag, "fov_video_max", extent)
    rotation = {f"r{i + 1}{j + 1}": repr(float(R[i, j])) for i in range(3) for j in range(3)}
    position = {axis: repr(float(value)) for axis, value in zip("xyz", camera.centre_mm, strict=True)}
    ElementTree.SubElement(tag, "transform", position | rotation)
    intrinsics = {
        "focalLengthU": fx * _SUBPIXELS,
        "focalLengthV": fy * _SUBPIXELS,
        "centerPointU": cx * _SUBPIXELS,
        "centerPointV": cy * _SUBPIXELS,
        "sensorMinU": 0.0,
        "sensorMaxU": (width - 1) * _SUBPIXELS,
        "sensorMinV": 0.0,
        "sensorMaxV": (height - 1) * _SUBPIXELS,
        "skew": 0.0,
        "radialDistortion1": k1,
        "radialDistortion2": k2,
        "radialDistortion3": k3,
        "tangentalDistortion1": p1,
        "tangentalDistortion2": p2,
    }
    ElementTree.SubElement(tag, "intrinsic", {name: repr(value) for name, value in intrinsics.items()})
    return tag


EXPORTER = RigExporter(
    name="qca",
    title=_TITLE,
    summary="Millimetres, z up. Five coefficients without skew; no unposed cameras, no time offsets.",
    default_name="Calib.qca.txt",
    suffixes=(".qca.txt", ".qca", ".xml"),
    render=_render,
)
