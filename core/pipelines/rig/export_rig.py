"""Verb `export-rig`: export of the rig in the formats of other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from core.errors import CoreError
from core.pipelines.params import ExportRigParams
from core.progress import Reporter
from core.rig_io.exporters import EXPORTERS, write_rig
from core.session import RunLayout, Session


def run_export_rig(session: Session, params: ExportRigParams, run: RunLayout, reporter: Reporter) -> dict[str, Any]:
    """Write the session's rig in one format, with notes on what the format cannot store.

    Returns:
        `format`, `files` and `notes`.

    Raises:
        CoreError: There is no rig, the format is unknown or cannot store a camera, or the path is not writable.
    """
    exporter = EXPORTERS.get(params.format)
    rig = session.rig
    if rig is None:
        raise CoreError(
            "The session has no rig.", "Calibrate the cameras, or import a calibration, on the Calibrate page first."
        )
    path = Path(params.path).expanduser() if params.path else session.layout.exports / exporter.default_name
    if path.resolve() in (session.root.resolve(), session.layout.rig.resolve()):
        raise CoreError(f"{path} is a file of the session, which exports must not replace.", "Choose another path.")
    reporter.progress(0, 1, f"Writing {exporter.title}")
    written = write_rig(rig, path.absolute(), params.format)
    for note in written.notes:
        reporter.note(note, "warning")
    rig.save(run.rig)
    reporter.progress(1, 1, "Written")
    return {"format": exporter.title, "files": [str(file) for file in written.files], "notes": list(written.notes)}
