"""JSON of the CMU Panoptic Studio: a list of cameras with K, distCoef, R, t, in centimetres with y down."""

from __future__ import annotations

import json

from core.rig_io.exporters.exporter import Rendered, RigExporter, brown, lost, posed
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
            "distCoef": brown(c, _TITLE).tolist(),
            "R": (c.pose[0] @ from_file).tolist(),
            "t": (c.pose[1][:, None] / 10).tolist(),
        }
        for i, c in enumerate(posed(rig, _TITLE))
    ]
    text = json.dumps({"calibDataSource": "exported", "cameras": cameras}, indent=1, allow_nan=False) + "\n"
    return Rendered(texts={"": text}, notes=lost(rig, _TITLE))


EXPORTER = RigExporter(
    name="panoptic",
    title=_TITLE,
    summary="Centimetres, y down. Five coefficients; no cameras without a pose, no time offsets.",
    default_name="calibration_panoptic.json",
    suffixes=(".json",),
    render=_render,
)
