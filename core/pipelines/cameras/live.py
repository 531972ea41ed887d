"""Verb `live`: real-time 3D people of running cameras."""

from __future__ import annotations

from typing import Any

from core.capture.source import parse_camera
from core.capture.sources.demo import room_camera_name
from core.capture.sources.files import expand_folders
from core.live.config import check_names
from core.pipelines.params import LiveParams, RecordParams
from core.pipelines.record import run_record
from core.progress import Reporter
from core.session import RunLayout, Session

_IMAGES_HZ = 30.0  # more than live 3D usually needs, so that the newest images are recent


def run_live(session: Session, params: LiveParams, run: RunLayout, reporter: Reporter) -> dict[str, Any]:
    """Run the cameras with live 3D and without recording, until cancelled or for a given duration.

    Returns:
        `seconds`, `images` by camera, and the last `fps`, `latency_ms` and number of `people`.

    Raises:
        CoreError: The session is not calibrated, or no camera sends an image.
    """
    if not all(room_camera_name(parse_camera(camera)[1]) for camera in params.cameras):
        rig = session.require_rig()  # recording gives a session the exact rig of the demo room
        names = [parse_camera(camera)[0] for camera in expand_folders(params.cameras)]
        check_names(rig.names, [name or f"cam{number:02d}" for number, name in enumerate(names, 1)])
    settings = RecordParams(
        cameras=params.cameras,
        duration_s=params.duration_s,
        kind="motion",
        preview_only=True,
        preview_hz=_IMAGES_HZ,
        live=params.live,
    )
    result = run_record(session, settings, run, reporter)
    live = result["live"]
    return {
        "seconds": result["seconds"],
        "images": result["images"],
        **{name: live[name] for name in ("fps", "latency_ms", "people")},
    }
