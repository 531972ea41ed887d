"""Sessions and takes as they are on disk."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from core.config import from_mapping, to_mapping
from core.errors import CoreError
from core.files import read_yaml, write_yaml
from core.geometry.resize import at_size
from core.session.align import align_poses2d
from core.session.layout import RunLayout, SessionLayout, TakeLayout
from core.session.timeline import Timeline
from core.types.camera import Camera, CameraRig
from core.types.pose2d import Pose2D
from core.types.pose3d import Pose3DSequence
from core.types.volume import VolumeSettings

SESSION_SCHEMA = 1
TakeKind = Literal["board", "floor", "motion"]
BASELINE = "baseline"


@dataclass(frozen=True, kw_only=True)
class TakeCamera:
    """One camera's part of a take.

    Attributes:
        name: As in the rig.
        file: Video file in the take's folder.
        size_px: Width and height as shown, after `rotation_deg`.
        n_frames: Images in the file.
        fps: Nominal rate of the file.
        rotation_deg: Clockwise turn that the player must apply to the stored image: 0, 90, 180 or 270.
    """

    name: str
    file: str
    size_px: tuple[int, int]
    n_frames: int
    fps: float
    rotation_deg: int = 0


@dataclass(frozen=True, kw_only=True)
class TakeManifest:
    """What `take.yaml` holds."""

    name: str
    kind: TakeKind
    fps: float
    n_frames: int
    cameras: tuple[TakeCamera, ...]
    created: str = ""
    source: str = ""
    notes: tuple[str, ...] = ()
    schema: int = SESSION_SCHEMA


@dataclass(frozen=True, slots=True)
class Take:
    """A take on disk: its manifest and where its parts lie."""

    layout: TakeLayout
    manifest: TakeManifest

    @property
    def name(self) -> str:
        return self.layout.name

    @property
    def cameras(self) -> tuple[str, ...]:
        """Camera names in the take's order."""
        return tuple(c.name for c in self.manifest.cameras)

    def camera(self, name: str) -> TakeCamera:
        """One camera's part.

        Raises:
            CoreError: The take has no such camera.
        """
        for camera in self.manifest.cameras:
            if camera.name == name:
                return camera
        raise CoreError(f"Take {self.name} has no camera '{name}'.", f"It has: {', '.join(self.cameras)}.")

    def video_path(self, camera: str) -> Path:
        """The video file of one camera; never outside the take's folder."""
        return self.layout.root / Path(self.camera(camera).file).name

    def timeline(self) -> Timeline:
        """Frames and their images."""
        return Timeline.load(self.layout.timestamps, self.cameras, self.manifest.n_frames)

    def estimators(self) -> list[str]:
        """Names of estimators whose 2D poses of this take are complete."""
        return sorted(p.parent.name for p in self.layout.poses2d_root.glob("*/estimator.yaml"))

    def poses2d(self, estimator: str, rig: CameraRig | None = None) -> dict[str, Pose2D]:
        """2D poses by camera name, T as in the timeline (a dropped image has no detection).

        Args:
            estimator: Whose.
            rig: Cameras whose time offsets are made up for: poses are then those of the frames, not of the images.

        Raises:
            CoreError: Not labelled with that estimator, or a damaged file.
        """
        if not self.layout.poses2d_manifest(estimator).exists():
            raise CoreError(
                f"Take {self.name} has no complete 2D poses of {estimator}.", "Run Label on the take first."
            )
        poses2d = {name: Pose2D.load(self.layout.poses2d_file(estimator, name)) for name in self.cameras}
        return poses2d if rig is None else align_poses2d(poses2d, self.timeline(), rig)

    def poses3d_runs(self) -> list[str]:
        """Names of 3D results of this take, the baseline first."""
        names = sorted(p.stem for p in self.layout.poses3d_root.glob("*.nc"))
        return sorted(names, key=lambda n: n != BASELINE)

    def poses3d(self, run: str) -> Pose3DSequence:
        """One 3D result."""
        return Pose3DSequence.load(self.layout.poses3d(run))

    @property
    def truth(self) -> Pose3DSequence | None:
        """Annotated people at the take's frames, None unless the take comes from a data set."""
        return Pose3DSequence.load(self.layout.truth) if self.layout.truth.is_file() else None


@dataclass(frozen=True, slots=True)
class Session:
    """A session on disk. Nothing of it is kept in memory: every property reads what is there now."""

    layout: SessionLayout

    @property
    def root(self) -> Path:
        return self.layout.root

    @property
    def name(self) -> str:
        return str(self._manifest().get("name", self.root.name))

    @classmethod
    def create(cls, root: Path, name: str = "") -> Session:
        """Makes a new session folder.

        Raises:
            CoreError: The folder exists and holds something else, or cannot be written.
        """
        root = root.expanduser().absolute()
        if root.exists() and (not root.is_dir() or any(root.iterdir())):
            raise CoreError(f"{root} exists and is not empty.", "Choose a new folder, or open it if it is a session.")
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
                f"{root} cannot be written: {error.strerror}.", "Choose a folder you may write to."
            ) from error
        return session

    @classmethod
    def open(cls, root: Path) -> Session:
        """Opens an existing session.

        Raises:
            CoreError: The folder is no session, or one of a newer schema.
        """
        session = cls(SessionLayout(root.expanduser().absolute()))
        if not session.layout.manifest.is_file():
            raise CoreError(
                f"{root} is not a session: it has no session.yaml.", "Choose a session folder, or create one."
            )
        session._manifest()
        return session

    def _manifest(self) -> dict[str, Any]:
        values = read_yaml(self.layout.manifest)
        if not isinstance(values, dict) or not isinstance(values.get("schema"), int):
            raise CoreError(f"{self.layout.manifest} is damaged.", "Restore the file or create the session again.")
        if values["schema"] > SESSION_SCHEMA:
            raise CoreError(
                f"{self.root} was made by a newer version (schema {values['schema']}, ours is {SESSION_SCHEMA}).",
                "Update the program.",
            )
        return values

    @property
    def rig(self) -> CameraRig | None:
        """The calibrated cameras, or None before one was imported."""
        return CameraRig.load(self.layout.rig) if self.layout.rig.exists() else None

    def require_rig(self) -> CameraRig:
        """The rig.

        Raises:
            CoreError: There is none, or a camera of it has no pose.
        """
        rig = self.rig
        if rig is None:
            raise CoreError("The session has no rig.", "Import a calibration on the Calibrate page first.")
        unposed = [c.name for c in rig if not c.posed]
        if unposed:
            raise CoreError(
                f"Camera {unposed[0]} has no pose.", "Import a calibration with extrinsics for every camera."
            )
        return rig

    @property
    def volume(self) -> VolumeSettings | None:
        """The capture volume as somebody set it, or None while it is derived from the rig and the people.

        Raises:
            CoreError: The file is damaged.
        """
        return VolumeSettings.load(self.layout.volume) if self.layout.volume.exists() else None

    def set_volume(self, chosen: VolumeSettings | None) -> None:
        """Sets the capture volume; None has it derived again.

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
        """Names of the takes, in alphabetical order."""
        return sorted(p.parent.name for p in self.layout.takes.glob("*/take.yaml"))

    def take(self, name: str) -> Take:
        """A take by name.

        Raises:
            CoreError: There is none of that name, or its manifest is damaged.
        """
        layout = self.layout.take(name)
        if not layout.manifest.is_file():
            known = ", ".join(self.take_names()) or "none yet"
            raise CoreError(f"The session has no take '{name}'.", f"Takes: {known}.")
        values = read_yaml(layout.manifest)
        if isinstance(values, dict) and isinstance(values.get("schema"), int) and values["schema"] > SESSION_SCHEMA:
            raise CoreError(f"Take {name} was made by a newer version.", "Update the program.")
        return Take(layout, from_mapping(TakeManifest, values, "take."))

    def write_take(self, manifest: TakeManifest, timeline: Timeline) -> Take:
        """Stores a take's manifest and times, the manifest last: with it the take exists."""
        layout = self.layout.take(manifest.name)
        timeline.save(layout.timestamps)
        write_yaml(layout.manifest, to_mapping(manifest))
        return Take(layout, manifest)

    def rig_for(self, take: Take) -> CameraRig:
        """The posed cameras that recorded the take, in the take's order.

        Raises:
            CoreError: A camera of the take is not in the rig, its size differs, or fewer than two are left.
        """
        rig = self.require_rig()
        missing = [n for n in take.cameras if n not in rig.names]
        if missing:
            raise CoreError(
                f"Take {take.name} was filmed by camera '{missing[0]}', which the rig does not know.",
                f"Rig cameras: {', '.join(rig.names)}. Name the videos after them, or import the rig that has it.",
            )
        if len(take.cameras) < 2:
            raise CoreError(f"Take {take.name} has one camera.", "3D needs at least two: import the other videos.")
        try:
            fitted = tuple(at_size(rig[camera.name], camera.size_px) for camera in take.manifest.cameras)
        except CoreError as error:
            raise CoreError(f"Take {take.name}: {error.message}", error.hint) from error
        return dataclasses.replace(rig, cameras=fitted)

    def rig_for_all(self, takes: Sequence[Take]) -> CameraRig:
        """The cameras that filmed any of the takes, in the rig's order, at the size of their images.

        Raises:
            CoreError: As `rig_for`, or a camera filmed in two resolutions.
        """
        filmed: dict[str, Camera] = {}
        for take in takes:
            for camera in self.rig_for(take):
                if filmed.setdefault(camera.name, camera).size_px != camera.size_px:
                    raise CoreError(
                        f"Camera {camera.name} filmed take {take.name} in another resolution than the takes before.",
                        "Train on takes of one resolution, each by itself.",
                    )
        rig = self.require_rig()
        return dataclasses.replace(rig, cameras=tuple(filmed[name] for name in rig.names if name in filmed))

    def new_run(self, verb: str) -> RunLayout:
        """A fresh folder for a job, named after the time and the verb."""
        stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
        for number in range(1000):
            run = self.layout.run(f"{stamp}-{verb}" if not number else f"{stamp}-{verb}-{number}")
            try:
                run.root.mkdir(parents=True)
            except FileExistsError:
                continue
            return run
        raise CoreError("No free name for a run was found.", "Remove old folders from the session's runs.")

    def runs(self) -> list[RunLayout]:
        """Jobs of this session, oldest first."""
        return [RunLayout(p.parent) for p in sorted(self.layout.runs.glob("*/job.json"))]
