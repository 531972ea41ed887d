"""Sample session: real footage of two people from four cameras, with its calibration."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import platformdirs

from core import NAME, __version__
from core.disk import saying_why, temporary_in
from core.errors import CoreError
from core.files import read_yaml, resource
from core.pipelines.ingest import run_import_rig, run_import_take
from core.pipelines.params import ImportRigParams, ImportTakeParams
from core.progress import NullReporter, Reporter, StageReporter
from core.reconstruction.triangulated import Triangulator
from core.session import BASELINE, RunLayout, Session, SessionLayout
from core.session.inputs import input_digests

DEMO_NAME = "Two people"
DEMO_TAKE = "two_people"
DEMO_CAMERAS = ("cam01", "cam02", "cam03", "cam04")
_SESSION = "session"


def demo_folder() -> Path:
    """Return the default folder of the sample session, in the user's data folder."""
    return platformdirs.user_data_path(NAME, appauthor=False) / "sample"


def create_demo(root: Path, reporter: Reporter | None = None, *, result: bool = False) -> Session:
    """Create the sample session, or open an existing one.

    The session is created under a temporary name and renamed at the end, so that an interruption leaves no partial
    session.

    Args:
        root: Session folder; missing, empty, or a session.
        reporter: Receives the progress.
        result: Triangulate the people from the 2D poses of the sample, for a first 3D view.

    Returns:
        The session, with the take "two_people" and its rig.

    Raises:
        CoreError: The folder contains other files, or cannot be written to.
    """
    reporter = reporter or NullReporter()
    root = root.expanduser().absolute()
    if SessionLayout(root).manifest.is_file():
        return Session.open(root)
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise CoreError(f"{root} exists and is not empty.", "Choose a new folder for the sample session.")
    with saying_why(root.parent):
        root.parent.mkdir(parents=True, exist_ok=True)
        temporary = temporary_in(root.parent)  # removed by the next attempt if this one is killed
        temporary.mkdir()
    try:
        _fill(temporary, reporter)
        if result:
            _triangulate(temporary)
        if root.exists():
            root.rmdir()
        (temporary / _SESSION).rename(root)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return Session.open(root)


def _fill(temporary: Path, reporter: Reporter) -> None:
    session, sample, run = (
        Session.create(temporary / _SESSION, DEMO_NAME),
        resource("sample"),
        RunLayout(temporary / "run"),
    )
    rig = ImportRigParams(path=str(sample / "Calib.qca.txt"))
    run_import_rig(session, rig, run, StageReporter(reporter, 0.0, 0.1, "Importing the calibration"))
    take = ImportTakeParams(
        videos=tuple(str(sample / f"{camera}.mp4") for camera in DEMO_CAMERAS), cameras=DEMO_CAMERAS, name=DEMO_TAKE
    )
    run_import_take(session, take, run, StageReporter(reporter, 0.1, 0.9, "Importing the videos"))


def _triangulate(temporary: Path) -> None:
    """Triangulate the embedded first-pass 2D poses without the comparison of cameras, which takes a minute."""
    session = Session.open(temporary / _SESSION)
    take, rig = session.take(DEMO_TAKE), session.require_rig()
    estimator = read_yaml(resource("sample", "poses2d", "estimator.yaml"))["estimator"]
    shutil.copytree(resource("sample", "poses2d"), take.layout.poses2d_manifest(estimator).parent)
    sequence = Triangulator().reconstruct(rig, take.poses2d(estimator, rig), take.timeline().time_s, NullReporter())
    made_with = {**input_digests(take, estimator, rig).to_provenance(), "code_version": __version__}
    sequence = dataclasses.replace(sequence, provenance={**sequence.provenance, **made_with})
    sequence.save(take.layout.poses3d(BASELINE))
