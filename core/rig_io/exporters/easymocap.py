"""Export to EasyMocap: `intri.yml` and `extri.yml` in one folder, metres, z up."""

from __future__ import annotations

import re
from typing import Any

from core.errors import CoreError
from core.rig_io.exporters.exporter import Rendered, RigExporter, brown_coefficients, time_offset_notes
from core.rig_io.exporters.filestorage import yaml_text
from core.types.camera import CameraRig

_TITLE = "EasyMocap (intri.yml and extri.yml)"


def _render(rig: CameraRig) -> Rendered:
    for name in rig.names:
        if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
            raise CoreError(
                f"{_TITLE} uses camera names in keys, and '{name}' cannot be part of one.",
                "Rename the camera with letters, digits, '-' and '_'.",
            )
    intri: dict[str, Any] = {"names": list(rig.names)}
    extri: dict[str, Any] = {"names": [c.name for c in rig if c.posed]}
    for camera in rig:
        name = camera.name
        intri |= {f"K_{name}": camera.K, f"dist_{name}": brown_coefficients(camera, _TITLE)[None]}
        intri |= {f"H_{name}": camera.size_px[1], f"W_{name}": camera.size_px[0]}
        rotation = camera.rotation_vector
        if rotation is not None:
            R, t_mm = camera.pose
            extri |= {f"R_{name}": rotation[:, None], f"Rot_{name}": R, f"T_{name}": t_mm[:, None] / 1000}
    return Rendered(
        texts={"intri.yml": yaml_text(intri), "extri.yml": yaml_text(extri)}, notes=time_offset_notes(rig, _TITLE)
    )


EXPORTER = RigExporter(
    name="easymocap",
    title=_TITLE,
    summary="A folder of two files. Metres, z up. Five coefficients; no time offsets.",
    default_name="easymocap",
    suffixes=(),
    render=_render,
)
