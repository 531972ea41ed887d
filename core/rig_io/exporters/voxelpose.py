"""Export to VoxelPose's JSON for Shelf and Campus: centres in mm, z up, radial and tangential terms separate."""

from __future__ import annotations

import json

from core.rig_io.exporters.exporter import (
    Rendered,
    RigExporter,
    brown_coefficients,
    focal_and_centre,
    require_poses,
    time_offset_notes,
)
from core.types.camera import Camera, CameraRig

_TITLE = "VoxelPose (JSON)"


def _render(rig: CameraRig) -> Rendered:
    document = {c.name: _camera(c) for c in require_poses(rig, _TITLE)}
    return Rendered(
        texts={"": json.dumps(document, indent=1, allow_nan=False) + "\n"}, notes=time_offset_notes(rig, _TITLE)
    )


def _camera(camera: Camera) -> dict[str, object]:
    fx, fy, cx, cy = focal_and_centre(camera, _TITLE)
    k1, k2, p1, p2, k3 = brown_coefficients(camera, _TITLE).tolist()
    return {
        "R": camera.pose[0].tolist(),
        "T": camera.centre_mm[:, None].tolist(),
        "fx": fx,
        "fy": fy,
        "cx": cx,
        "cy": cy,
        "k": [[k1], [k2], [k3]],
        "p": [[p1], [p2]],
        "width": camera.size_px[0],
        "height": camera.size_px[1],
    }


EXPORTER = RigExporter(
    name="voxelpose",
    title=_TITLE,
    summary="Millimetres, z up. Five coefficients without skew; no unposed cameras, no time offsets.",
    default_name="calibration_voxelpose.json",
    suffixes=(".json",),
    render=_render,
)
