"""Sessions and takes on disk."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from core.config import from_mapping, to_mapping
from core.disk import saying_why
from core.errors import CoreError
from core.files import read_once, read_yaml, write_yaml
from core.geometry.resize import at_size
from core.jobs.lock import locked
from core.jobs.spec import JOB_FILE, JobSpec
from core.session.align import align_poses2d, exposure_times
from core.session.clocks import CameraClock, DroppedImages
from core.session.layout import RunLayout, SessionLayout, TakeLayout
from core.session.timeline import Timeline
from core.types.body import BodySequence
from core.types.camera import Camera, CameraRig
from core.types.pose2d import Pose2D, StoredPose2D
from core.types.pose3d import Pose3DSequence
from core.types.volume import VolumeSettings

SESSION_SCHEMA = 1
TakeKind = Literal["board", "floor", "motion"]
BASELINE = "baseline"


@dataclass(frozen=True, kw_only=True)
class TakeCamera:
    """Camera of a take.

    Attributes:
        name: Name of the camera in the rig.
        file: Name of the video in the folder of the take.
        size_px: Width and height in px after rotation.
        n_frames: Number of usable images in the video.
        fps: Frame rate of the video.
        rotation_deg: Clockwise rotation that turns the stored images upright: 0, 90, 180 or 270.
        time_offset_s: Time offset of the camera at the start of this take, in addition to that of the rig.
        time_drift_ppm: Drift of the camera's clock in this take; positive for a clock that runs fast.
        drops: Dropped images that left no gap in the recorded times.
        sound: Codec of the sound in the video; empty if there is none.
    """

    name: str
    file: str
    size_px: tuple[int, int]
    n_frames: int
    fps: float
    rotation_deg: int = 0
    time_offset_s: float = 0.0
    time_drift_ppm: float = 0.0
    drops: tuple[DroppedImages, ...] = ()
    sound: str = ""

    @property
    def clock(self) -> CameraClock:
        """Clock error of the camera."""
        return CameraClock(
            offset_s=self.time_offset_s, drift_ppm=self.time_drift_ppm, drops=self.drops, period_s=1 / self.fps
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeMarker:
    """Marker of a take.

    Attributes:
        time_s: Time from the start of the take.
        frame: Frame at that time.
        text: Note.
    """

    time_s: float
    frame: int
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class TakeManifest:
    """Content of `take.yaml`.

    Attributes:
        name: Name of the take.
        kind: Kind of take.
        fps: Frame rate of the timeline.
        n_frames: Number of frames of the timeline.
        cameras: Cameras in the order of the timeline.
        created: Time of creation, ISO 8601.
        source: Names of the imported files, or "recording".
        notes: Notes of the import.
        note: Note of the user.
        markers: Markers set during the recording.
        schema: Version of the file format.
    """

    name: str
    kind: TakeKind
    fps: float
    n_frames: int
    cameras: tuple[TakeCamera, ...]
    created: str = ""
    source: str = ""
    notes: tuple[str, ...] = ()
    note: str = ""
    markers: tuple[TakeMarker, ...] = ()
    schema: int = SESSION_SCHEMA


def _manifest_of(path: Path) -> TakeManifest:
    values = read_yaml(path)
    if isinstance(values, dict) and isinstance(values.get("schema"), int) and values["schema"] > SESSION_SCHEMA:
        raise CoreError(f"Take {path.parent.name} was written by a newer version.", "Update the program.")
    return from_mapping(TakeManifest, values, "take.")


@dataclass(frozen=True, slots=True)
class Take:
    """Take on disk.

    Attributes:
        layout: Paths of its files.
        manifest: Content of its manifest.
    """

    layout: TakeLayout
    manifest: TakeManifest

    @property
    def name(self) -> str:
        """Name of the take."""
        return self.layout.name

    def locked(self, work: str) -> AbstractContextManager[None]:
        """Lock the take for a verb that changes its results.

        Raises:
            CoreError: Another process has locked the take; the message names it.
        """
        return locked(self.layout.root, f"Take {self.name}", work)

    @property
    def cameras(self) -> tuple[str, ...]:
        """Camera names in the order of the timeline."""
        return tuple(c.name for c in self.manifest.cameras)

    @property
    def clock_errors(self) -> dict[str, float | list[float]]:
        """Clock errors by camera, see `CameraClock.value`; exact clocks are omitted."""
        return {c.name: c.clock.value for c in self.manifest.cameras if not c.clock.exact}

    def camera(self, name: str) -> TakeCamera:
        """Return a camera of the take.

        Raises:
            CoreError: The take has no such camera.
        """
        for camera in self.manifest.cameras:
            if camera.name == name:
                return camera
        raise CoreError(f"Take {self.name} has no camera '{name}'.", f"Cameras: {', '.join(self.cameras)}.")

    def video_path(self, camera: str) -> Path:
        """Return the path of a camera's video in the folder of the take."""
        return self.layout.root / Path(self.camera(camera).file).name

    def timeline(self) -> Timeline:
        """Read the timeline of the take, with the clock errors of its cameras.

        Raises:
            CoreError: The file is missing or damaged.
        """
        timeline = Timeline.load(self.layout.timestamps, self.cameras, self.manifest.n_frames)
        return timeline.with_clocks([camera.clock for camera in self.manifest.cameras])

    def estimators(self) -> list[str]:
        """Return the names of the estimators whose 2D poses are complete."""
        return sorted(p.parent.name for p in self.layout.poses2d_root.glob("*/estimator.yaml"))

    def estimator_title(self, estimator: str) -> str:
        """Return the title of an estimator whose 2D poses are complete; imported ones keep their name."""
        manifest = self.poses2d_manifest(estimator)
        return str(manifest.get("title", estimator)) if "provider" in manifest else estimator

    def poses2d_files(self, estimator: str, *, first_pass: bool = False) -> dict[str, Path]:
        """Return the files of 2D poses by camera name.

        Args:
            estimator: Name of the estimator.
            first_pass: Return the poses of the first pass, which do not depend on the rig, even if there is a second
                look.

        Raises:
            CoreError: There are no complete 2D poses of this estimator.
        """
        refined = self.poses2d_manifest(estimator).get("second_look") and not first_pass
        path = self.layout.second_look_file if refined else self.layout.poses2d_file
        return {name: path(estimator, name) for name in self.cameras}

    def poses2d_manifest(self, estimator: str) -> dict[str, Any]:
        """Read the manifest of 2D poses; empty if it is damaged.

        Raises:
            CoreError: There are no complete 2D poses of this estimator.
        """
        file = self.layout.poses2d_manifest(estimator)
        if not file.exists():
            raise CoreError(f"Take {self.name} has no complete 2D poses of {estimator}.", "Estimate 2D poses first.")
        content = read_yaml(file)
        return content if isinstance(content, dict) else {}

    def poses2d(
        self,
        estimator: str,
        rig: CameraRig | None = None,
        *,
        first_pass: bool = False,
        cameras: Sequence[str] | None = None,
    ) -> dict[str, Pose2D]:
        """Read 2D poses by camera name; a dropped image has no detections.

        Args:
            estimator: Name of the estimator.
            rig: Cameras whose time offsets are compensated, see `align_poses2d`; None for uncompensated poses.
            first_pass: As in `poses2d_files`.
            cameras: Cameras to read; None for all.

        Raises:
            CoreError: There are no complete 2D poses of this estimator, or a file is damaged.
        """
        poses2d = {
            name: Pose2D.load(path)
            for name, path in self.poses2d_files(estimator, first_pass=first_pass).items()
            if cameras is None or name in cameras
        }
        return poses2d if rig is None else align_poses2d(poses2d, self.timeline(), rig)

    def stored_poses2d(
        self, estimator: str, rig: CameraRig, folder: Path, *, first_pass: bool = False
    ) -> dict[str, Pose2D | StoredPose2D]:
        """Return 2D poses like `poses2d`; those without time offset are read on access, to save memory.

        Args:
            estimator: Name of the estimator.
            rig: Cameras whose time offsets are compensated.
            folder: Folder for temporary files, which must outlive the poses.
            first_pass: As in `poses2d_files`.

        Raises:
            CoreError: There are no complete 2D poses of this estimator, or a file is damaged.
        """
        moved = [name for name in exposure_times(self.timeline(), rig) if name in self.cameras]
        files = self.poses2d_files(estimator, first_pass=first_pass)
        return {
            **self.poses2d(estimator, rig, first_pass=first_pass, cameras=moved),
            **{
                name: StoredPose2D.unpack(path, folder / f"{number}")
                for number, (name, path) in enumerate(files.items())
                if name not in moved
            },
        }

    def poses3d_runs(self) -> list[str]:
        """Return the names of the runs with 3D poses of this take, the baseline first."""
        names = sorted(p.stem for p in self.layout.poses3d_root.glob("*.nc") if not p.name.startswith("."))
        return sorted(names, key=lambda n: n != BASELINE)

    def poses3d(self, run: str) -> Pose3DSequence:
        """Read the 3D poses of a run.

        Raises:
            CoreError: The file is missing or damaged.
        """
        return Pose3DSequence.load(self.layout.poses3d(run))

    def bodies_runs(self) -> list[str]:
        """Return the names of the runs with bodies fitted to their 3D poses, the baseline first."""
        names = sorted(p.stem for p in self.layout.bodies_root.glob("*.nc") if not p.name.startswith("."))
        return sorted(names, key=lambda n: n != BASELINE)

    def has_bodies(self, run: str) -> bool:
        """Return whether the 3D poses of a run have fitted bodies, or are the joints of bodies."""
        return self.layout.bodies(run).is_file()

    def bodies(self, run: str) -> BodySequence:
        """Read the bodies fitted to the 3D poses of a run, or those whose joints they are.

        Raises:
            CoreError: The file is missing or damaged.
        """
        return BodySequence.load(self.layout.bodies(run))

    @property
    def truth(self) -> Pose3DSequence | None:
        """Annotated 3D people at the frames of the take; None if there is no annotation."""
        return Pose3DSequence.load(self.layout.truth) if self.layout.truth.is_file() else None


@dataclass(frozen=True, slots=True)
class Session:
    """Session on disk; properties read the current files.

    Attributes:
        layout: Paths of its files.
    """

    layout: SessionLayout

    @property
    def root(self) -> Path:
        """Folder of the session."""
        return self.layout.root

    @property
    def name(self) -> str:
        """Name of the session."""
        return str(self._manifest().get("name", self.root.name))

    @classmethod
    def create(cls, root: Path, name: str = "") -> Session:
        """Create a session.

        Args:
            root: Folder that does not exist or is empty.
            name: Name of the session; empty for the name of the folder.

        Raises:
            CoreError: The folder is not empty, lies in another session, or cannot be written.
        """
        root = root.expanduser().absolute()
        cls.check_new(root)
        session = cls(SessionLayout(root))
        created = datetime.now(UTC).isoformat(timespec="seconds")
        try:
            for folder in (session.layout.takes, session.layout.runs, session.layout.exports):
                folder.mkdir(parents=True, exist_ok=True)
            write_yaml(
                session.layout.manifest, {"schema": SESSION_SCHEMA, "name": name or root.name, "created": created}
            )
        except OSError as error:
            raise CoreError(
                f"{root} cannot be written: {error.strerror}.", "Choose a folder that you may write to."
            ) from error
        return session

    @staticmethod
    def check_new(root: Path) -> None:
        """Check that a folder can become a session.

        Raises:
            CoreError: The folder is not empty, or lies in another session.
        """
        root = root.expanduser().absolute()
        outer = next((folder for folder in root.parents if SessionLayout(folder).manifest.is_file()), None)
        if outer is not None:
            raise CoreError(f"{outer} is itself a session.", "Choose a folder outside of it.")
        try:
            taken = root.exists() and (not root.is_dir() or any(root.iterdir()))
        except OSError as error:
            raise CoreError(f"{root} cannot be read: {error.strerror}.", "Choose another folder.") from error
        if taken:
            raise CoreError(f"{root} exists and is not empty.", "Choose a new folder, or open it if it is a session.")

    @classmethod
    def open(cls, root: Path) -> Session:
        """Open an existing session.

        Raises:
            CoreError: The folder is not a session, or was written by a newer version.
        """
        session = cls(SessionLayout(root.expanduser().absolute()))
        if not session.layout.manifest.is_file():
            raise CoreError(
                f"{root} is not a session: it has no session.yaml.", "Choose the folder of a session, or create one."
            )
        session._manifest()
        return session

    @classmethod
    def around(cls, folder: Path) -> Session:
        """Open the session that contains a folder.

        Raises:
            CoreError: The folder is not in a session.
        """
        root = next((p for p in folder.absolute().parents if SessionLayout(p).manifest.is_file()), None)
        if root is None:
            raise CoreError(f"{folder} is not in a session.", "Put the run back into the folder 'runs' of its session.")
        return cls.open(root)

    def _manifest(self) -> dict[str, Any]:
        values = read_yaml(self.layout.manifest)
        if not isinstance(values, dict) or not isinstance(values.get("schema"), int):
            raise CoreError(f"{self.layout.manifest} is damaged.", "Restore the file, or create the session again.")
        schema = values["schema"]
        if schema > SESSION_SCHEMA:
            raise CoreError(
                f"{self.root} was written by a newer version (schema {schema}, this one reads {SESSION_SCHEMA}).",
                "Update the program.",
            )
        return values

    @property
    def rig(self) -> CameraRig | None:
        """Calibrated cameras; None before the first calibration."""
        return read_once(self.layout.rig, CameraRig.load) if self.layout.rig.exists() else None

    def require_rig(self) -> CameraRig:
        """Return the rig.

        Raises:
            CoreError: There is no rig, or one of its cameras has no pose.
        """
        rig = self.rig
        if rig is None:
            raise CoreError("The session has no rig.", "Calibrate the cameras, or import a calibration.")
        unposed = [c.name for c in rig if not c.posed]
        if unposed:
            raise CoreError(
                f"Camera {unposed[0]} has no pose.", "Calibrate all cameras together, or import their extrinsics."
            )
        return rig

    @property
    def volume(self) -> VolumeSettings | None:
        """Capture volume set by the user; None if it is derived from rig and people.

        Raises:
            CoreError: The file is damaged.
        """
        return VolumeSettings.load(self.layout.volume) if self.layout.volume.exists() else None

    def set_volume(self, chosen: VolumeSettings | None) -> None:
        """Set the capture volume; None returns to the derived one.

        Raises:
            CoreError: The session cannot be written.
        """
        try:
            if chosen is None:
                self.layout.volume.unlink(missing_ok=True)
            else:
                chosen.save(self.layout.volume)
        except OSError as error:
            raise CoreError(
                f"{self.layout.volume} cannot be written: {error.strerror}.", "Check that you may write to the session."
            ) from error

    def take_names(self) -> list[str]:
        """Return the names of all takes in alphabetical order."""
        return sorted(p.parent.name for p in self.layout.takes.glob("*/take.yaml"))

    def take(self, name: str) -> Take:
        """Return a take.

        Raises:
            CoreError: There is no take with this name, or its manifest is damaged.
        """
        layout = self.layout.take(name)
        if not layout.manifest.is_file():
            known = ", ".join(self.take_names()) or "none"
            raise CoreError(f"The session has no take '{name}'.", f"Takes: {known}.")
        return Take(layout, read_once(layout.manifest, _manifest_of))

    def write_take(self, manifest: TakeManifest, timeline: Timeline) -> Take:
        """Write a take's timeline, then its manifest, which makes the take exist."""
        layout = self.layout.take(manifest.name)
        timeline.save(layout.timestamps)
        write_yaml(layout.manifest, to_mapping(manifest))
        return Take(layout, manifest)

    def rig_for(self, take: Take) -> CameraRig:
        """Return the session's cameras that filmed a take, in its order and at its image sizes.

        Raises:
            CoreError: A camera is missing from the rig, its aspect ratio differs, or there are fewer than two.
        """
        return rig_of_take(self.require_rig(), take)

    def rig_for_all(self, takes: Sequence[Take]) -> CameraRig:
        """Return the cameras that filmed any of the takes, in the rig's order and at their image sizes.

        Raises:
            CoreError: See `rig_for`, or a camera filmed in two resolutions.
        """
        by_name: dict[str, Camera] = {}
        for take in takes:
            for camera in self.rig_for(take):
                if by_name.setdefault(camera.name, camera).size_px != camera.size_px:
                    raise CoreError(
                        f"Camera {camera.name} filmed take {take.name} in a different resolution.",
                        "Train on takes of the same resolution.",
                    )
        rig = self.require_rig()
        return dataclasses.replace(rig, cameras=tuple(by_name[name] for name in rig.names if name in by_name))

    def new_run(self, verb: str) -> RunLayout:
        """Create the folder of a new run, named after the time and the verb.

        Raises:
            CoreError: The session cannot be written.
        """
        stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
        with saying_why(self.layout.runs):
            for number in range(1000):
                run = self.layout.run(f"{stamp}-{verb}" if not number else f"{stamp}-{verb}-{number}")
                try:
                    run.root.mkdir(parents=True)
                except FileExistsError:
                    continue
                return run
        raise CoreError("There is no free name for a run.", "Remove old runs of the session.")

    def runs(self) -> list[RunLayout]:
        """Return all runs, oldest first by job number, because clocks may be set back."""
        folders = [p.parent for p in self.layout.runs.glob(f"*/{JOB_FILE}")]
        return [RunLayout(folder) for folder in sorted(folders, key=lambda folder: (_job_number(folder), folder.name))]


def rig_of_take(rig: CameraRig, take: Take) -> CameraRig:
    """Return the cameras of a rig that filmed a take, in its order and at its image sizes.

    Raises:
        CoreError: See `Session.rig_for`.
    """
    missing = [n for n in take.cameras if n not in rig.names]
    if missing:
        raise CoreError(
            f"Camera '{missing[0]}' of take {take.name} is not in the rig.",
            f"Cameras of the rig: {', '.join(rig.names)}. Name the videos after them, or import the right rig.",
        )
    if len(take.cameras) < 2:
        raise CoreError(f"Take {take.name} has only one camera.", "3D needs at least two: import the other videos.")
    try:
        fitted = tuple(at_size(rig[camera.name], camera.size_px) for camera in take.manifest.cameras)
    except CoreError as error:
        raise CoreError(f"Take {take.name}: {error.message}", error.hint) from error
    return dataclasses.replace(rig, cameras=fitted)


def _job_number(folder: Path) -> int:
    try:
        return JobSpec.load(folder).number
    except CoreError:
        return 0
