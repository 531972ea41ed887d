"""Export rigs to a format of your own: centres and viewing directions as CSV.

To add it to the program, move this module to `core/rig_io/exporters/centres_csv.py` and list it in `EXPORTERS` of
`core/rig_io/exporters/__init__.py`:

    "centres-csv": "core.rig_io.exporters.centres_csv:EXPORTER",

Command line, window and the contract tests of exporters then know it.
"""

from __future__ import annotations

from core.rig_io.exporters.exporter import Rendered, RigExporter, require_poses, time_offset_notes
from core.types.camera import CameraRig

_TITLE = "Camera centres (CSV)"


def _render(rig: CameraRig) -> Rendered:
    rows = ["camera,x_mm,y_mm,z_mm,forward_x,forward_y,forward_z"]
    for camera in require_poses(rig, _TITLE):
        R, t_mm = camera.pose
        rows.append(",".join([camera.name, *(f"{value:.6f}" for value in (*(-R.T @ t_mm), *R[2]))]))
    return Rendered(
        texts={"": "\n".join(rows) + "\n"}, notes=("Intrinsics are left out.", *time_offset_notes(rig, _TITLE))
    )


EXPORTER = RigExporter(
    name="centres-csv",
    title=_TITLE,
    summary="Millimetres, z up. Centres and viewing directions only.",
    default_name="centres.csv",
    suffixes=(".csv",),
    render=_render,
)
