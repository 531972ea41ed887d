"""Export to the JSON of the CMU Panoptic Studio: cameras with K, distCoef, R, t; centimetres, y down."""

from __future__ import annotations

import json

from core.rig_io.exporters.exporter import Rendered, RigExporter, brown_coefficients, require_poses, time_offset_notes
from core.types.axes import rotation_to_z_up
from core.types.camera import CameraRig

_TITLE = "CMU Panoptic Studio (JSON)"


def _render(rig: CameraRig) -> Rendered:
    from_file = rotation_to_z_up("-y")
    cameras = [
        {
            "name": c.name,
            "type": "hd",
            "resolution": list(c.size_px),
            "panel": 0,
            "node": i,
            "K": c.K.tolist(),
            "distCoef": brown_coefficients(c, _TITLE).tolist(),
            "R": (c.pose[0] @ from_file).tolist(),
            "t": (c.pose[1][:, None] / 10).tolist(),
        }
        for i, c in enumerate(require_poses(rig, _TITLE))
    ]
    text = json.dumps({"calibDataSource": "exported", "cameras": cameras}, indent=1, allow_nan=False) + "\n"
    return Rendered(texts={"": text}, notes=time_offset_notes(rig, _TITLE))


EXPORTER = RigExporter(
    name="panoptic",
    title=_TITLE,
    summary="Centimetres, y down. Five coefficients; no unposed cameras, no time offsets.",
    default_name="calibration_panoptic.json",
    suffixes=(".json",),
    render=_render,
)
