"""Export to the TOML of Anipose and Pose2Sim: a table per camera, OpenCV conventions, metres, z up."""

from __future__ import annotations

from typing import Any

import tomli_w

from core.rig_io.exporters.exporter import Rendered, RigExporter
from core.types.camera import Camera, CameraRig

_TITLE = "Anipose, Pose2Sim (TOML)"


def camera_table(camera: Camera) -> dict[str, Any]:
    """Return the keys common to the TOML of several programs: size, matrix, distortions, fisheye, pose in metres."""
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
    unposed = [c.name for c in rig if not c.posed]
    if unposed:
        notes.append(f"{', '.join(unposed)} has no pose; Anipose and Pose2Sim require one for every camera.")
    fisheye = [c.name for c in rig if c.distortion_model == "fisheye"]
    if fisheye:
        notes.append(
            f"Pose2Sim reads the fisheye model of {', '.join(fisheye)} as a pinhole model; Anipose reads it correctly."
        )
    return Rendered(texts={"": tomli_w.dumps(tables)}, notes=tuple(notes))


EXPORTER = RigExporter(
    name="anipose",
    title=_TITLE,
    summary="Metres, z up. Holds all distortion models, and time offsets for this program.",
    default_name="Calib.toml",
    suffixes=(".toml",),
    render=_render,
)
