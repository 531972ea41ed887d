"""Where everything of a session lies on disk. The only module that spells a path."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from core.files import safe_name


@dataclass(frozen=True, slots=True)
class RunLayout:
    """One job's folder."""

    root: Path

    @property
    def name(self) -> str:
        return self.root.name

    @property
    def job(self) -> Path:
        return self.root / "job.json"

    @property
    def config(self) -> Path:
        return self.root / "config.yaml"

    @property
    def rig(self) -> Path:
        return self.root / "rig.toml"

    @property
    def volume(self) -> Path:
        """The capture volume that was trained in."""
        return self.root / "space.yaml"

    @property
    def events(self) -> Path:
        return self.root / "events.jsonl"

    @property
    def metrics(self) -> Path:
        return self.root / "metrics.csv"

    @property
    def log(self) -> Path:
        return self.root / "log.txt"

    @property
    def checkpoints(self) -> Path:
        return self.root / "checkpoints"

    @property
    def report(self) -> Path:
        return self.root / "report.json"

    def step(self, verb: str) -> RunLayout:
        """Folder of one step of a job that chains several."""
        return RunLayout(self.root / "steps" / safe_name(verb))


@dataclass(frozen=True, slots=True)
class TakeLayout:
    """One take's folder."""

    root: Path

    @property
    def name(self) -> str:
        return self.root.name

    @property
    def manifest(self) -> Path:
        return self.root / "take.yaml"

    @property
    def timestamps(self) -> Path:
        return self.root / "timestamps.csv"

    @property
    def owner(self) -> Path:
        """The process that makes the take; absent once it is complete."""
        return self.root / "owner.json"

    def video(self, camera: str, suffix: str = ".mkv") -> Path:
        """One camera's video."""
        return self.root / f"cam_{safe_name(camera)}{suffix}"

    def frame_times(self, camera: str) -> Path:
        """Times of one camera's images while they are recorded, replaced by `timestamps` in the complete take."""
        return self.root / f"cam_{safe_name(camera)}.times.csv"

    @property
    def poses2d_root(self) -> Path:
        return self.root / "poses2d"

    def poses2d(self, estimator: str) -> Path:
        """Folder of one estimator's results."""
        return self.poses2d_root / safe_name(estimator)

    def poses2d_manifest(self, estimator: str) -> Path:
        """Written last: its presence says that the results are complete."""
        return self.poses2d(estimator) / "estimator.yaml"

    def poses2d_file(self, estimator: str, camera: str) -> Path:
        return self.poses2d(estimator) / f"{safe_name(camera)}.npz"

    def poses2d_chunks(self, estimator: str) -> Path:
        """Finished parts of a labelling that has not ended yet."""
        return self.poses2d(estimator) / "parts"

    def heatmaps_file(self, estimator: str, camera: str) -> Path:
        return self.poses2d(estimator) / f"{safe_name(camera)}.heatmaps.h5"

    def reduced_images(self, camera: str, width: int, height: int) -> Path:
        """One camera's images at the size that networks look at, made from the video and made again if missing."""
        return self.root / ".images" / f"{safe_name(camera)}.{width}x{height}.npy"

    @property
    def poses3d_root(self) -> Path:
        return self.root / "poses3d"

    def poses3d(self, run: str) -> Path:
        return self.poses3d_root / f"{safe_name(run)}.nc"

    @property
    def truth(self) -> Path:
        """Annotated 3D people, where the take comes from a data set."""
        return self.root / "truth.nc"

    @property
    def report(self) -> Path:
        """Figures of the newest evaluation of this take."""
        return self.root / "report.json"


@dataclass(frozen=True, slots=True)
class CalibrationLayout:
    """One calibration's folder, or that of a rig that was replaced."""

    root: Path

    @property
    def name(self) -> str:
        return self.root.name

    @property
    def rig(self) -> Path:
        return self.root / "rig.toml"

    @property
    def report(self) -> Path:
        return self.root / "report.json"

    @property
    def observations(self) -> Path:
        """Where the cameras saw the board."""
        return self.root / "observations.npz"

    @property
    def residuals(self) -> Path:
        """How far each of these places is from where it was predicted."""
        return self.root / "residuals.npz"


@dataclass(frozen=True, slots=True)
class SessionLayout:
    """A session's folder."""

    root: Path

    @property
    def manifest(self) -> Path:
        return self.root / "session.yaml"

    @property
    def rig(self) -> Path:
        return self.root / "rig.toml"

    @property
    def volume(self) -> Path:
        """The capture volume as somebody set it; absent while it is derived."""
        return self.root / "space.yaml"

    @property
    def rig_report(self) -> Path:
        """What the self-check of the rig found."""
        return self.root / "calibration" / "report.json"

    @property
    def board(self) -> Path:
        """The board that was calibrated with last."""
        return self.root / "calibration" / "board.yaml"

    def calibration(self, stamp: str) -> CalibrationLayout:
        """A calibration, or a rig that was replaced, under the time at which that happened."""
        return CalibrationLayout(self.root / "calibration" / safe_name(stamp))

    @property
    def takes(self) -> Path:
        return self.root / "takes"

    @property
    def incoming(self) -> Path:
        """Folder of the takes that are being made."""
        return self.takes / ".incoming"

    def incoming_take(self, name: str) -> TakeLayout:
        """Folder of a take that is being made; renamed to `take(name)` when it is complete."""
        return TakeLayout(self.incoming / safe_name(name))

    def take(self, name: str) -> TakeLayout:
        return TakeLayout(self.takes / safe_name(name))

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    def run(self, name: str) -> RunLayout:
        return RunLayout(self.runs / safe_name(name))

    @property
    def exports(self) -> Path:
        return self.root / "exports"
