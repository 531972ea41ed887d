"""TOML as Anipose and Pose2Sim read it: a table per camera, OpenCV's conventions, metres, z up."""

from __future__ import annotations

from typing import Any

import tomli_w

from core.rig_io.exporters.exporter import Rendered, RigExporter
from core.types.camera import Camera, CameraRig

_TITLE = "Anipose, Pose2Sim (TOML)"


def camera_table(camera: Camera) -> dict[str, Any]:
    """What TOML files of several programs agree on: size, matrix, distortions, fisheye, and in metres the pose."""
    table: dict[str, Any] = {
        "size": list(camera.size_px),
        "matrix": camera.K.tolist(),
        "distortions": camera.distortion.tolist(),
        "fisheye": camera.distortion_model == "fisheye",
    }
    rotation = camera.rotation_vector
    if rotation is not None:
        table["rotation"] = rotation.tolist()
        table["translation"] = (camera.pose[1] / 1000).tolist()
    if camera.time_offset_s:
        table["time_offset_s"] = camera.time_offset_s
    return table


def _render(rig: CameraRig) -> Rendered:
    tables: dict[str, Any] = {f"cam_{i}": {"name": c.name, **camera_table(c)} for i, c in enumerate(rig)}
    tables["metadata"] = {"adjusted": False, "error": 0.0, "units": "m"}
    notes = []
    bare = [c.name for c in rig if not c.posed]
    if bare:
        notes.append(f"{', '.join(bare)} has no pose in the file; Anipose and Pose2Sim need one for every camera.")
    round_lens = [c.name for c in rig if c.distortion_model == "fisheye"]
    if round_lens:
        notes.append(
            f"Pose2Sim takes the fisheye lens of {', '.join(round_lens)} for an ordinary one; Anipose does not."
        )
    return Rendered(texts={"": tomli_w.dumps(tables)}, notes=tuple(notes))


EXPORTER = RigExporter(
    name="anipose",
    title=_TITLE,
    summary="Metres, z up. Holds every lens, and time offsets for this program.",
    default_name="Calib.toml",
    suffixes=(".toml",),
    render=_render,
)
