"""The embedded sample as a session: real footage of two people from four cameras, with its calibration."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import platformdirs

from core import NAME
from core.errors import CoreError
from core.files import resource
from core.pipelines.ingest import run_import_rig, run_import_take
from core.pipelines.params import ImportRigParams, ImportTakeParams
from core.progress import NullReporter, Reporter, StageReporter
from core.session import RunLayout, Session, SessionLayout

DEMO_NAME = "Two people"
DEMO_TAKE = "two_people"
DEMO_CAMERAS = ("cam01", "cam02", "cam03", "cam04")
_SESSION = "session"


def demo_folder() -> Path:
    """Where the sample session lies when nobody chose a place: in the person's data folder."""
    return platformdirs.user_data_path(NAME, appauthor=False) / "sample"


def create_demo(root: Path, reporter: Reporter | None = None) -> Session:
    """Makes a session from the embedded sample, or opens the one that is already there.

    It is made beside `root` and renamed at the end, so that an interrupted attempt leaves no half session.

    Args:
        root: Session folder to make; empty or absent, or a session.
        reporter: Told of the progress.

    Returns:
        The session, with take "two_people" and its rig.

    Raises:
        CoreError: The folder holds something else, or cannot be written.
    """
    reporter = reporter or NullReporter()
    root = root.expanduser().absolute()
    if SessionLayout(root).manifest.is_file():
        return Session.open(root)
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise CoreError(f"{root} exists and is not empty.", "Choose a new folder for the sample session.")
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        workshop = Path(tempfile.mkdtemp(prefix=f".{root.name}.", dir=root.parent))
    except OSError as error:
        raise CoreError(
            f"{root.parent} cannot be written: {error.strerror}.", "Choose a folder you may write to."
        ) from error
    try:
        _fill(workshop, reporter)
        if root.exists():
            root.rmdir()
        (workshop / _SESSION).rename(root)
    finally:
        shutil.rmtree(workshop, ignore_errors=True)
    return Session.open(root)


def _fill(workshop: Path, reporter: Reporter) -> None:
    session, sample, run = (
        Session.create(workshop / _SESSION, DEMO_NAME),
        resource("sample"),
        RunLayout(workshop / "run"),
    )
    rig = ImportRigParams(path=str(sample / "Calib.qca.txt"))
    run_import_rig(session, rig, run, StageReporter(reporter, 0.0, 0.1, "Reading the calibration"))
    take = ImportTakeParams(
        videos=tuple(str(sample / f"{camera}.mp4") for camera in DEMO_CAMERAS), cameras=DEMO_CAMERAS, name=DEMO_TAKE
    )
    run_import_take(session, take, run, StageReporter(reporter, 0.1, 0.9, "Copying the videos"))
