"""Export to one OpenCV FileStorage file, YAML or JSON: a list of cameras, world to camera, mm, z up."""

from __future__ import annotations

from typing import Any

from core.rig_io.exporters.exporter import Rendered, RigExporter
from core.rig_io.exporters.filestorage import json_text, yaml_text
from core.types.camera import Camera, CameraRig

_SUMMARY = "Millimetres, z up. Read by cv2.FileStorage. Holds all distortion models, unposed cameras and time offsets."


def _document(rig: CameraRig) -> dict[str, Any]:
    return {"length_unit": "mm", "cameras": [_camera(camera) for camera in rig]}


def _camera(camera: Camera) -> dict[str, Any]:
    table: dict[str, Any] = {
        "camera_name": camera.name,
        "image_width": camera.size_px[0],
        "image_height": camera.size_px[1],
        "distortion_model": "fisheye" if camera.distortion_model == "fisheye" else "plumb_bob",
        "camera_matrix": camera.K,
        "distortion_coefficients": camera.distortion[None],
    }
    if camera.posed:
        R, t_mm = camera.pose
        table |= {"rotation_matrix": R, "translation_vector": t_mm[:, None]}
    if camera.time_offset_s:
        table["time_offset_s"] = float(camera.time_offset_s)
    return table


YAML_EXPORTER = RigExporter(
    name="opencv-yaml",
    title="OpenCV (YAML)",
    summary=_SUMMARY,
    default_name="calibration_opencv.yml",
    suffixes=(".yml", ".yaml"),
    render=lambda rig: Rendered(texts={"": yaml_text(_document(rig))}),
)
JSON_EXPORTER = RigExporter(
    name="opencv-json",
    title="OpenCV (JSON)",
    summary=_SUMMARY,
    default_name="calibration_opencv.json",
    suffixes=(".json",),
    render=lambda rig: Rendered(texts={"": json_text(_document(rig))}),
)
