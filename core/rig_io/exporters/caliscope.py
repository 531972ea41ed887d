"""Export to caliscope's `camera_array.toml`: numbered cameras, metres, Rodrigues vectors, unknown values omitted."""

from __future__ import annotations

import re
from typing import Any

import tomli_w

from core.rig_io.exporters.anipose import camera_table
from core.rig_io.exporters.exporter import Rendered, RigExporter, brown_coefficients
from core.types.camera import Camera, CameraRig

_TITLE = "caliscope (camera_array.toml)"


def _render(rig: CameraRig) -> Rendered:
    numbers = _numbers(rig)
    tables = {str(number): _table(number, camera) for number, camera in zip(numbers, rig, strict=True)}
    renamed = [f"cam_{n} is {c.name}" for n, c in zip(numbers, rig, strict=True) if c.name != f"cam_{n}"]
    notes = (f"caliscope numbers its cameras: {', '.join(renamed)}.",) if renamed else ()
    return Rendered(texts={"": tomli_w.dumps({"cameras": tables})}, notes=notes)


def _table(number: int, camera: Camera) -> dict[str, Any]:
    table = {"cam_id": number, "name": camera.name, "rotation_count": 0, "ignore": False, **camera_table(camera)}
    if camera.distortion_model == "pinhole":
        table["distortions"] = brown_coefficients(camera, _TITLE).tolist()
    if camera.rmse_px is not None:
        table["error"] = camera.rmse_px
    return table


def _numbers(rig: CameraRig) -> list[int]:
    """Return the numbers in the names if all cameras are named cam_0, cam_1 and so on, else 0, 1 and so on."""
    found = [re.fullmatch(r"cam_(0|[1-9]\d{0,5})", name) for name in rig.names]
    return [int(match[1]) for match in found if match] if all(found) else list(range(len(rig)))


EXPORTER = RigExporter(
    name="caliscope",
    title=_TITLE,
    summary="Metres. Five coefficients or fisheye; unposed cameras; caliscope replaces names by numbers.",
    default_name="camera_array.toml",
    suffixes=(".toml",),
    render=_render,
)
