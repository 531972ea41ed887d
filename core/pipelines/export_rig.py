"""Verb `export-rig`: the session's calibration as a file of another tool."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from core.errors import CoreError
from core.pipelines.params import ExportRigParams
from core.progress import Reporter
from core.rig_io.exporters import EXPORTERS, write_rig
from core.session import RunLayout, Session


def run_export_rig(session: Session, params: ExportRigParams, run: RunLayout, reporter: Reporter) -> dict[str, Any]:
    """Writes the session's rig in one format. What the format does not say is told as a note.

    Returns:
        `format`, `files` and `notes`.

    Raises:
        CoreError: No rig, no such format, a camera that it cannot hold, or a place that cannot be written to.
    """
    exporter = EXPORTERS.get(params.format)
    rig = session.rig
    if rig is None:
        raise CoreError("The session has no rig.", "Calibrate, or import a calibration, on the Calibrate page first.")
    path = Path(params.path).expanduser() if params.path else session.layout.exports / exporter.default_name
    if path.resolve() in (session.root.resolve(), session.layout.rig.resolve()):
        raise CoreError("The session's own files are not for exports.", "Write it to another folder.")
    reporter.progress(0, 1, f"Writing {exporter.title}")
    written = write_rig(rig, path.absolute(), params.format)
    for note in written.notes:
        reporter.note(note, "warning")
    rig.save(run.rig)
    reporter.progress(1, 1, "Written")
    return {"format": exporter.title, "files": [str(file) for file in written.files], "notes": list(written.notes)}
