"""Paths of the files of a session; only this module and `core.jobs.spec` define them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from core.files import safe_name
from core.jobs.spec import EVENTS_FILE, JOB_FILE, LOG_FILE, METRICS_FILE

BODY_SUFFIX = "-body"
"""Suffix of the name of a 3D result that contains the joints of fitted bodies."""


@dataclass(frozen=True, slots=True)
class RunLayout:
    """Folder of a run (one job).

    Attributes:
        root: The folder.
    """

    root: Path

    @property
    def name(self) -> str:
        """Name of the run."""
        return self.root.name

    @property
    def job(self) -> Path:
        """Specification of the job."""
        return self.root / JOB_FILE

    @property
    def config(self) -> Path:
        """Resolved settings of the verb."""
        return self.root / "config.yaml"

    @property
    def rig(self) -> Path:
        """Copy of the rig that the job used or produced."""
        return self.root / "rig.toml"

    @property
    def volume(self) -> Path:
        """Capture volume of a training."""
        return self.root / "volume.yaml"

    @property
    def inputs(self) -> Path:
        """Digests of the inputs of a training."""
        return self.root / "inputs.yaml"

    @property
    def events(self) -> Path:
        """Events of the job, JSON lines."""
        return self.root / EVENTS_FILE

    @property
    def metrics(self) -> Path:
        """Table of all metrics."""
        return self.root / METRICS_FILE

    @property
    def log(self) -> Path:
        """Log of the process."""
        return self.root / LOG_FILE

    @property
    def checkpoints(self) -> Path:
        """Folder of a training's checkpoints."""
        return self.root / "checkpoints"

    @property
    def held_out_frame(self) -> Path:
        """Predictions of a training's networks for a held-out frame."""
        return self.root / "held_out_frame.json"

    @property
    def report(self) -> Path:
        """Report of the job."""
        return self.root / "report.json"

    @property
    def recorded(self) -> Path:
        """File with the name of the take of a recording."""
        return self.root / "take.json"

    def step(self, verb: str) -> RunLayout:
        """Return the folder of one step of a job with several steps."""
        return RunLayout(self.root / "steps" / safe_name(verb))


@dataclass(frozen=True, slots=True)
class TakeLayout:
    """Folder of a take.

    Attributes:
        root: The folder.
    """

    root: Path

    @property
    def name(self) -> str:
        """Name of the take."""
        return self.root.name

    @property
    def manifest(self) -> Path:
        """Manifest of the take, written last: the take is complete if it exists."""
        return self.root / "take.yaml"

    @property
    def timestamps(self) -> Path:
        """Timeline of the take."""
        return self.root / "timestamps.csv"

    @property
    def sync(self) -> Path:
        """Sync certificate of the take."""
        return self.root / "sync.yaml"

    @property
    def owner(self) -> Path:
        """Process that creates the take; absent once the take is complete."""
        return self.root / "owner.json"

    @property
    def reserve(self) -> Path:
        """File that reserves space for the timeline in case the disk fills up; absent once the take is complete."""
        return self.root / ".reserve"

    def video(self, camera: str, suffix: str = ".mkv") -> Path:
        """Return the path of a camera's video."""
        return self.root / f"cam_{safe_name(camera)}{suffix}"

    def frame_times(self, camera: str) -> Path:
        """Return the path of a camera's table of image times; see `core.session.times_table`."""
        return self.root / f"cam_{safe_name(camera)}.times.csv"

    @property
    def poses2d_root(self) -> Path:
        """Folder of all 2D poses."""
        return self.root / "poses2d"

    def poses2d(self, estimator: str) -> Path:
        """Return the folder of an estimator's 2D poses."""
        return self.poses2d_root / safe_name(estimator)

    def poses2d_manifest(self, estimator: str) -> Path:
        """Return the path of the manifest of 2D poses, written last: they are complete if it exists."""
        return self.poses2d(estimator) / "estimator.yaml"

    def poses2d_file(self, estimator: str, camera: str) -> Path:
        """Return the path of a camera's 2D poses."""
        return self.poses2d(estimator) / f"{safe_name(camera)}.npz"

    def poses2d_chunks(self, estimator: str) -> Path:
        """Return the folder of finished chunks of an incomplete estimation."""
        return self.poses2d(estimator) / "chunks"

    def heatmaps_file(self, estimator: str, camera: str) -> Path:
        """Return the path of a camera's heatmaps."""
        return self.poses2d(estimator) / f"{safe_name(camera)}.heatmaps.h5"

    def second_look_file(self, estimator: str, camera: str) -> Path:
        """Return the path of a camera's 2D poses after the second look; valid if the manifest mentions one."""
        return self.second_look(estimator) / f"{safe_name(camera)}.npz"

    def second_look_chunks(self, estimator: str) -> Path:
        """Return the folder of finished chunks of an incomplete second look."""
        return self.second_look(estimator) / "chunks"

    def second_look(self, estimator: str) -> Path:
        """Return the folder of an estimator's 2D poses after the second look."""
        return self.poses2d(estimator) / "second_look"

    def reduced_images(self, camera: str, width: int, height: int) -> Path:
        """Return the path of a camera's images at the input size of networks; a cache of the video."""
        return self.root / ".images" / f"{safe_name(camera)}.{width}x{height}.npy"

    def first_image(self, camera: str) -> Path:
        """Return the path of a small copy of a camera's first image; a cache of the video."""
        return self.root / ".images" / f"{safe_name(camera)}.first.jpg"

    @property
    def poses3d_root(self) -> Path:
        """Folder of all 3D poses."""
        return self.root / "poses3d"

    def poses3d(self, run: str) -> Path:
        """Return the path of the 3D poses of a run."""
        return self.poses3d_root / f"{safe_name(run)}.nc"

    @property
    def bodies_root(self) -> Path:
        """Folder of all fitted bodies."""
        return self.root / "bodies"

    def bodies(self, run: str) -> Path:
        """Return the path of the bodies fitted to the 3D poses of a run, or of the bodies whose joints they are."""
        return self.bodies_root / f"{safe_name(run.removesuffix(BODY_SUFFIX))}.nc"

    @property
    def truth(self) -> Path:
        """Annotated 3D people; only for takes of data sets."""
        return self.root / "truth.nc"

    @property
    def report(self) -> Path:
        """Metrics of the latest evaluation."""
        return self.root / "report.json"


@dataclass(frozen=True, slots=True)
class CalibrationLayout:
    """Folder of a calibration or of a replaced rig.

    Attributes:
        root: The folder.
    """

    root: Path

    @property
    def name(self) -> str:
        """Name of the calibration: its time."""
        return self.root.name

    @property
    def rig(self) -> Path:
        """Calibrated cameras."""
        return self.root / "rig.toml"

    @property
    def report(self) -> Path:
        """Report of the calibration."""
        return self.root / "report.json"

    @property
    def volume(self) -> Path:
        """Capture volume set for this rig; absent if there was none."""
        return self.root / "volume.yaml"

    @property
    def observations(self) -> Path:
        """Detections of the board in all images."""
        return self.root / "observations.npz"

    @property
    def residuals(self) -> Path:
        """Reprojection residual of each detection."""
        return self.root / "residuals.npz"


@dataclass(frozen=True, slots=True)
class SessionLayout:
    """Folder of a session.

    Attributes:
        root: The folder.
    """

    root: Path

    @property
    def manifest(self) -> Path:
        """Manifest of the session."""
        return self.root / "session.yaml"

    @property
    def rig(self) -> Path:
        """Calibrated cameras of the session."""
        return self.root / "rig.toml"

    @property
    def cameras(self) -> Path:
        """Cameras to record with, and the names of all former ones."""
        return self.root / "cameras.yaml"

    @property
    def volume(self) -> Path:
        """Capture volume set by the user; absent if it is derived."""
        return self.root / "volume.yaml"

    @property
    def rig_report(self) -> Path:
        """Report of the checks of the rig."""
        return self.root / "calibration" / "report.json"

    @property
    def board(self) -> Path:
        """Board of the latest calibration."""
        return self.root / "calibration" / "board.yaml"

    @property
    def calibrations(self) -> Path:
        """Folder of all calibrations."""
        return self.root / "calibration"

    def calibration(self, stamp: str) -> CalibrationLayout:
        """Return the folder of the calibration, or of the replaced rig, of a time."""
        return CalibrationLayout(self.calibrations / safe_name(stamp))

    @property
    def moving(self) -> Path:
        """Temporary folder of files that replace others together."""
        return self.root / ".moving"

    @property
    def takes(self) -> Path:
        """Folder of all takes."""
        return self.root / "takes"

    @property
    def incoming(self) -> Path:
        """Folder of incomplete takes."""
        return self.takes / ".incoming"

    def incoming_take(self, name: str) -> TakeLayout:
        """Return the folder of an incomplete take; it is renamed to `take(name)` once complete."""
        return TakeLayout(self.incoming / safe_name(name))

    def take(self, name: str) -> TakeLayout:
        """Return the folder of a take."""
        return TakeLayout(self.takes / safe_name(name))

    @property
    def runs(self) -> Path:
        """Folder of all runs."""
        return self.root / "runs"

    def run(self, name: str) -> RunLayout:
        """Return the folder of a run."""
        return RunLayout(self.runs / safe_name(name))

    @property
    def bin(self) -> Path:
        """Folder of deleted takes, results and runs."""
        return self.root / ".bin"

    @property
    def exports(self) -> Path:
        """Folder of exported files."""
        return self.root / "exports"
