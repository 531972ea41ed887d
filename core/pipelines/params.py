"""What each verb can be told. Torch-free: the window builds job files from these."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from core.association.config import AssociationConfig
from core.board.pattern import Board
from core.calibration.board.config import CalibrateConfig
from core.calibration.people.config import PeopleConfig
from core.pose2d.config import DEFAULT_ESTIMATOR, Pose2DConfig
from core.tracking.config import TrackingConfig
from core.training.config import TrainConfig, quick


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportTakeParams:
    """Videos of one take.

    Attributes:
        videos: Paths, one a camera.
        cameras: Camera names in the order of `videos`; empty to take them from the file names and the rig.
        name: Take name; empty to derive one.
        kind: What was filmed.
        timestamps: CSV of the images' recorded times (cam_id, frame_index, frame_time); empty takes a
            `timestamps.csv` beside the videos where it fits them.
    """

    videos: tuple[str, ...]
    cameras: tuple[str, ...] = ()
    name: str = ""
    kind: Literal["board", "floor", "motion"] = "motion"
    timestamps: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRigParams:
    """A rig file of another tool.

    Attributes:
        path: File or folder.
        format: Name of an importer, or "auto".
        units: Length unit of the file where it does not say; "auto" decides by plausibility.
        up: World axis of the file that points up; "auto" takes what the format defines, else z.
    """

    path: str
    format: str = "auto"
    units: Literal["auto", "mm", "cm", "m"] = "auto"
    up: Literal["auto", "x", "y", "z", "-x", "-y", "-z"] = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordParams:
    """A take from cameras that run now.

    Attributes:
        cameras: Each as "name=address": an address is rtsp://…, http://…, v4l2:/dev/video0, dshow:…, avfoundation:…,
            the path of a video, or demo:cam01 to demo:cam04, cameras that are only simulated.
        name: Of the take; empty for the first free one.
        kind: What is filmed.
        seconds: How long; 0 until it is cancelled.
        watch_only: Whether no take is made, and the cameras are only watched.
        board: That is looked for in the previews; None for the session's.
        preview_hz: Looks at the newest images a second.
    """

    cameras: tuple[str, ...]
    name: str = ""
    kind: Literal["board", "floor", "motion"] = "board"
    seconds: float = 0.0
    watch_only: bool = False
    board: Board | None = None
    preview_hz: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrateParams:
    """Cameras from a board that is waved in front of them.

    Attributes:
        take: Take of the board, in view of several cameras at a time.
        lens_takes: Further takes of the same board, for the lenses only.
        floor_take: Take in which the board lies on the floor; empty keeps the floor of the former rig if the cameras
            stand as they did, else guesses one and says so.
        adopt: Whether the result becomes the session's rig.
        calibration: Settings.
    """

    take: str
    lens_takes: tuple[str, ...] = ()
    floor_take: str = ""
    adopt: bool = True
    calibration: CalibrateConfig = field(default_factory=CalibrateConfig)


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibratePeopleParams:
    """Where cameras stand and how late they are, from people who walk about; the lenses must be known.

    Attributes:
        take: Labelled take of people.
        mode: "new" places all cameras; "repair" only those that were moved since the rig was made.
        moved: Names of the moved cameras, which means a repair; in a repair, empty to find out.
        adopt: Whether the result becomes the session's rig.
        people: Settings.
    """

    take: str
    estimator: str = DEFAULT_ESTIMATOR
    mode: Literal["new", "repair"] = "new"
    moved: tuple[str, ...] = ()
    adopt: bool = True
    people: PeopleConfig = field(default_factory=PeopleConfig)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRigParams:
    """The session's rig, wherever it comes from, judged by a take of a board.

    Attributes:
        take: Take of the board.
        board: The board.
        rate_hz: Most frames a second that are looked at.
    """

    take: str
    board: Board = field(default_factory=Board)
    rate_hz: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SetWorldParams:
    """Another world frame for the session's rig: what is given is done, in this order.

    Attributes:
        floor_take: Take in which the board lies on the floor, its first corner where the origin shall be.
        board: That board.
        feet_take: Take with people whose feet show the floor.
        poses: 3D result of that take.
        floor_points_mm: Three points of the floor in the present frame, nine numbers: the origin, one on the x axis,
            and any third.
        turn: Axis to turn about.
        quarters: By how many quarter turns, counterclockwise.
        upside_down: Up and down exchanged.
        shift_mm: The new origin in the present frame.
        distance_mm: Distance that the two cameras of `between` shall have.
        between: Their names.
    """

    floor_take: str = ""
    board: Board = field(default_factory=Board)
    feet_take: str = ""
    poses: str = "baseline"
    floor_points_mm: tuple[float, ...] = ()
    turn: Literal["x", "y", "z"] = "z"
    quarters: int = 0
    upside_down: bool = False
    shift_mm: tuple[float, ...] = ()
    distance_mm: float = 0.0
    between: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardSheetParams:
    """A board to print or to show on a screen.

    Attributes:
        path: File to write: .pdf at true size with a ruler, .png for a screen.
        board: The board.
        paper: Size of the sheet; "auto" takes the smallest that holds the board.
    """

    path: str
    board: Board = field(default_factory=Board)
    paper: Literal["auto", "a4", "a3", "a2", "a1", "a0", "letter", "tabloid"] = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRigParams:
    """The session's calibration as a file of another tool.

    Attributes:
        format: Name of a rig format: selfpose, anipose, caliscope, opencv-yaml, opencv-json, qca, xcp, easymocap,
            panoptic, voxelpose or colmap.
        path: File to write, or folder for easymocap and colmap; empty for the session's exports.
    """

    format: str = "selfpose"
    path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportDatasetParams:
    """A public data set's sequence as a take, with its cameras, truth, images and 2D poses.

    Attributes:
        folder: The data set, as its authors lay it out.
        kind: Which data set it is; "auto" tells by its files.
        split: "test" is what papers report on, "train" what they train on, "all" every frame.
        cameras: Names of cameras; empty for those that papers use.
        name: Take name; empty for the folder's.
    """

    folder: str
    kind: Literal["auto", "panoptic", "shelf", "campus"] = "auto"
    split: Literal["test", "train", "all"] = "test"
    cameras: tuple[str, ...] = ()
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportPoses2DParams:
    """2D poses that another program found in a take's videos.

    Attributes:
        path: Folder that holds a folder for each camera, named after it.
        format: Name of an importer.
        name: What to call them in the take, as an estimator; empty for the format's name.
    """

    take: str
    path: str
    format: str = "openpose"
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pose2DParams:
    """2D poses of every view of a take.

    Attributes:
        allow_download: Whether a missing model may be fetched from its card's address.
        model_file: Local ONNX file to use for the estimator's card instead of a download.
        processes: That share the images on this machine. One uses all cores, but only one GPU.
    """

    take: str
    pose2d: Pose2DConfig = field(default_factory=Pose2DConfig)
    allow_download: bool = False
    model_file: str = ""
    processes: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TriangulateParams:
    """3D without training: the baseline."""

    take: str
    estimator: str = DEFAULT_ESTIMATOR
    association: AssociationConfig = field(default_factory=AssociationConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainParams:
    """Root and pose network on the session's own takes; the run folder becomes the model.

    Attributes:
        preset: Name of ready-made settings that replace `training`; empty to use `training` as it is given.
        training: All settings of training, the quick ones where none are given.
        processes: That train together on this machine; 0 takes one for each GPU.
    """

    takes: tuple[str, ...]
    estimator: str = DEFAULT_ESTIMATOR
    preset: str = ""
    training: TrainConfig = field(default_factory=quick)
    processes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class InferParams:
    """3D with a trained run. `run` empty takes the newest finished one.

    Attributes:
        take: Labelled.
        run: Name.
        estimator: Whose 2D poses to use.
        precision: What the networks compute in: "auto" is bf16 where the device gains by it.
        temporal: Whether the frames before and after are used, where the run has learned to.
        tracking: Identity and smoothing.
        processes: That share the frames on this machine; 0 takes one for each GPU.
    """

    take: str
    run: str = ""
    estimator: str = DEFAULT_ESTIMATOR
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    temporal: bool = True
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    processes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateParams:
    """Label-free figures of a take, baseline and trained side by side. `run` empty takes the newest finished one."""

    take: str
    run: str = ""
    estimator: str = DEFAULT_ESTIMATOR


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateDatasetParams:
    """3D results against a public data set's truth. Several sequences are judged together, as papers do.

    Attributes:
        takes: Takes that import-dataset made; all of the session where no folders are named either.
        folders: Data sets as their authors lay them out, instead of the truth that the takes have.
        kind: Which data set the folders are; "auto" tells by their files.
        poses: For each sequence or for all: "baseline" or a run's name; without takes, a NetCDF file, or "baseline" to
            triangulate the 2D poses that come with the set.
        first_frame: With folders: number, in the set's counting, of the frame at the result's time 0. None: the result
            has one frame for every frame that is tested, or for every frame from number 0 on.
    """

    takes: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    kind: Literal["auto", "panoptic", "shelf", "campus"] = "auto"
    poses: tuple[str, ...] = ("baseline",)
    first_frame: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportParams:
    """3D poses as files of other tools.

    Attributes:
        poses: 3D result of the take: "baseline" or a run's name; empty takes the newest trained one, else the baseline.
        formats: Names of exporters.
        folder: Where to write; empty for the session's exports.
        units: Length unit; "auto" is what the format's readers expect.
        up: Which axis points up; "auto" is what the format's readers expect.
    """

    take: str
    poses: str = ""
    formats: tuple[str, ...] = ("c3d", "trc", "csv", "json", "netcdf")
    folder: str = ""
    units: Literal["auto", "mm", "cm", "m"] = "auto"
    up: Literal["auto", "y", "z"] = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunParams:
    """The whole path on one take: label, associate, train, infer, evaluate, export."""

    take: str
    pose2d: Pose2DConfig = field(default_factory=Pose2DConfig)
    association: AssociationConfig = field(default_factory=AssociationConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    preset: str = "quick"
    formats: tuple[str, ...] = ("c3d", "trc", "csv", "json", "netcdf")
