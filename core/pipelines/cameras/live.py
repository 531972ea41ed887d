"""Verb `live`: people of running cameras in 3D while they move."""

from __future__ import annotations

from typing import Any

from core.pipelines.params import LiveParams, RecordParams
from core.pipelines.record import run_record
from core.progress import Reporter
from core.session import RunLayout, Session

_IMAGES_HZ = 30.0  # more than live 3D mostly uses, so that its newest images are new


def run_live(session: Session, params: LiveParams, run: RunLayout, reporter: Reporter) -> dict[str, Any]:
    """Run the cameras without recording, with live 3D, until cancelled or until the time is up.

    Returns:
        `seconds`, `images` by camera, and the last `fps`, `latency_ms` and number of `people`.

    Raises:
        CoreError: The session is not calibrated, or no camera sends an image.
    """
    session.require_rig()
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
