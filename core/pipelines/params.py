"""Settings of the verbs: one frozen dataclass per verb. Torch-free: the window builds job files from these.

The command line prints every attribute's description as its help text, hence each is a sentence that stands alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from core.association.config import AssociationConfig
from core.board.pattern import Board
from core.calibration.board.config import CalibrateConfig
from core.calibration.people.config import PeopleConfig
from core.errors import CoreError
from core.export import UnitsChoice, UpChoice
from core.live.config import LiveConfig
from core.pose2d.config import Pose2DConfig
from core.rendering.colours import ViewTheme
from core.rig_io.readings import PoseReading, RotationReading
from core.session.store import TakeKind
from core.tracking.config import TrackingConfig
from core.training.config import TrainConfig
from core.training.presets import PRESETS, preset, quick
from core.types.axes import Axis

FilmLayout = Literal["side-by-side", "view", "videos"]
FilmFigures = Literal["auto", "bodies", "skeletons"]

REGISTRY = "registry"
"""Key in a field's metadata: `package.module:name` of the registry whose names the field takes."""


def _name_in(registry: str, default: Any) -> Any:
    """Declare a field that takes names of a registry, so that its help text lists them."""
    return field(default=default, metadata={REGISTRY: registry})


def _of_preset() -> TrainConfig:
    """Stand in for the training settings of the preset, which is not known before all settings are."""
    return None  # type: ignore[return-value]


def _training(name: Any, given: TrainConfig | None) -> TrainConfig:
    """Return training settings that start from a preset.

    Args:
        name: Name of the preset; empty for "quick".
        given: Settings that are complete; None for those of the preset.

    Raises:
        CoreError: There is no such preset, or the settings are those of another one.
    """
    if given is None:
        return preset(name) if isinstance(name, str) and name else quick()
    if name and name != given.name and given.name in PRESETS:
        raise CoreError(
            f"The preset is '{name}', but the training settings are those of '{given.name}'.",
            "Leave one of the two out.",
        )
    return given


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportTakeParams:
    """Settings of `import-take`.

    Attributes:
        videos: Paths of the videos, one per camera. A folder stands for its videos, or for its folders of numbered
            images; recordings of SkellyCam and caliscope are known.
        cameras: Camera names in the order of the videos. If omitted, they are taken from the file names and the rig.
        name: Name of the new take. If omitted, a name is derived from the files.
        kind: Content of the videos: a calibration board, a board lying on the floor, or people in motion.
        timestamps: CSV file with the recorded time of each image (columns cam_id, frame_index, frame_time), or folder
            with the tables of SkellyCam. If omitted, those that a recorder left beside the videos are used if they fit.
        fps: Frame rate of folders of images and of streams without a container, which store no times.
    """

    videos: tuple[str, ...]
    cameras: tuple[str, ...] = ()
    name: str = ""
    kind: TakeKind = "motion"
    timestamps: str = ""
    fps: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CutTakeParams:
    """Settings of `cut-take`. The take itself stays as it is.

    Attributes:
        take: Name of the take.
        from_s: Start of the part that becomes a new take, in seconds from the start of the take.
        to_s: End of that part in seconds. If omitted, it goes to the end of the take.
        at_s: Time in seconds at which the take is split into two new takes, instead of start and end.
        name: Name of the new take; two new takes get "_a" and "_b" after it. If omitted, it is that of the take.
    """

    take: str
    from_s: float = 0.0
    to_s: float | None = None
    at_s: float | None = None
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRigParams:
    """Settings of `import-rig`.

    Attributes:
        path: Calibration file, or folder for formats that consist of several files.
        format: Format of the calibration; "auto" detects it from the content.
        units: Length unit of a file that does not state one; "auto" takes the most plausible unit.
        up: World axis of the file that points up; "auto" takes the axis that the format defines, or z.
        pose_is: Meaning of the poses in the file; "auto" takes what the format or the names of its fields say, or world
            to camera.
        rotation_is: Unit of rotation vectors, or order of quaternions, in the file.
    """

    path: str
    format: str = _name_in("core.rig_io.importers:IMPORTERS", "auto")
    units: UnitsChoice = "auto"
    up: Literal["auto", Axis] = "auto"
    pose_is: Literal["auto", PoseReading] = "auto"
    rotation_is: RotationReading = "as_stated"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordParams:
    """Settings of `record`.

    Attributes:
        cameras: Cameras as "name=address". An address is rtsp://…, http://…, onvif://…, v4l2:/dev/video0, dshow:…,
            avfoundation:…, genicam:SERIAL, the path of a video, demo:cam01 to demo:cam04 for a simulated board, or
            demo:people/cam01 to demo:people/cam08 for simulated people.
        name: Name of the new take. If omitted, the first free name is used.
        kind: Content of the recording: a calibration board, a board lying on the floor, or people in motion.
        note: Note that is stored with the take.
        countdown_s: Time in seconds before the recording begins.
        duration_s: Duration of the recording in seconds; 0 records until the job is stopped.
        preview_only: Show the cameras without recording a take.
        board: Calibration board to detect in the previews; null uses the board of the session.
        preview_hz: Number of preview updates per second.
        sound: Store the sound of network cameras and videos beside their images. Off by default, since voices are
            personal data: tell the people first.
        live: Settings of live 3D; null leaves it off.
        remote_port: Port on which other programs start and stop takes, by HTTP (TCP) and OSC (UDP); 0 for none.
        remote_anyone: Accept such commands from other computers as well, all of which may then send them.
    """

    cameras: tuple[str, ...]
    name: str = ""
    kind: TakeKind = "board"
    note: str = ""
    countdown_s: float = 0.0
    duration_s: float = 0.0
    preview_only: bool = False
    board: Board | None = None
    preview_hz: float = 15.0
    sound: bool = False
    live: LiveConfig | None = None
    remote_port: int = 0
    remote_anyone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveParams:
    """Settings of `live`.

    Attributes:
        cameras: Cameras as "name=address", with the names that they have in the calibration; addresses as for `record`.
            Videos are played as if they were cameras.
        duration_s: Duration in seconds; 0 runs until the job is stopped.
        live: Settings of live 3D.
    """

    cameras: tuple[str, ...]
    duration_s: float = 0.0
    live: LiveConfig = field(default_factory=LiveConfig)


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrateParams:
    """Settings of `calibrate`.

    Attributes:
        take: Take of a board that is moved in view of several cameras at a time.
        intrinsics_takes: Further takes of the same board, used for the intrinsics only.
        floor_take: Take of the board lying on the floor. If omitted, the floor of the previous rig is kept if the
            cameras have not moved, or else estimated.
        adopt: Make the result the rig of the session.
        calibration: Settings of the calibration.
    """

    take: str
    intrinsics_takes: tuple[str, ...] = ()
    floor_take: str = ""
    adopt: bool = True
    calibration: CalibrateConfig = field(default_factory=CalibrateConfig)


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibratePeopleParams:
    """Settings of `calibrate-people`. The intrinsics of the cameras must be known.

    Attributes:
        take: Take of moving people with 2D poses.
        estimator: Name of the 2D poses to use: an estimator, or the name given to `import-poses2d`. If omitted, the
            take's only 2D poses are used.
        mode: Extent of the calibration: "repair" makes the smallest change of the rig that explains the people (a time
            offset, rotations, poses), "new" calibrates all poses, "auto" repairs a rig that has poses.
        moved: Names of the cameras that have moved; implies the mode "repair". If omitted, "repair" detects them.
        adopt: Make the result the rig of the session, unless its own checks find an error.
        people: Settings of the calibration from people.
    """

    take: str
    estimator: str = ""
    mode: Literal["auto", "new", "repair"] = "auto"
    moved: tuple[str, ...] = ()
    adopt: bool = True
    people: PeopleConfig = field(default_factory=PeopleConfig)


@dataclass(frozen=True, slots=True, kw_only=True)
class CertifyParams:
    """Settings of `certify`. Without offsets, the cameras' clocks are measured in the images.

    Attributes:
        take: Take whose cameras are compared.
        method: Motion or light that shows the time: "people" who move (needs a calibrated rig), a "board"
            that moves, or a light that goes on, "flash"; "auto" takes what the take has.
        estimator: Name of the 2D poses to use: an estimator, or the name given to `import-poses2d`. If omitted, the
            take's only 2D poses are used.
        time_offset_ms: Offsets of cameras in this take as "camera=ms", the time stamp minus the true time: negative for
            a camera that started late. They replace what was measured.
        reset: Remove all corrections of the clocks in this take.
    """

    take: str
    method: Literal["auto", "people", "board", "flash"] = "auto"
    estimator: str = ""
    time_offset_ms: tuple[str, ...] = ()
    reset: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRigParams:
    """Settings of `check-rig`.

    Attributes:
        take: Take of the calibration board.
        board: Calibration board in the take, or "auto"; null uses the session's board, or recognises it.
        rate_hz: Maximum number of frames per second in which the board is detected.
    """

    take: str
    board: Board | None = None
    rate_hz: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SetWorldParams:
    """Settings of `set-world`. Several changes are applied in the order of the attributes.

    Attributes:
        floor_take: Take of the board lying on the floor; its first corner becomes the origin.
        board: Calibration board in the floor take, or "auto"; null uses the session's board, or recognises it.
        feet_take: Take of people whose feet define the floor.
        poses: 3D result of the feet take: "baseline" or the name of a training run.
        floor_points_mm: Three floor points as nine numbers in current world coordinates: the new origin, a point on
            the new x axis, and a third point.
        rotation_axis: World axis to rotate about.
        quarter_turns: Number of counterclockwise quarter turns about the rotation axis.
        upside_down: Turn the world upside down.
        origin_mm: New origin as three numbers in current world coordinates.
        distance_mm: True distance between the two cameras named by `between`; rescales the world.
        between: Names of the two cameras whose distance is given by `distance_mm`.
    """

    floor_take: str = ""
    board: Board | None = None
    feet_take: str = ""
    poses: str = "baseline"
    floor_points_mm: tuple[float, ...] = ()
    rotation_axis: Literal["x", "y", "z"] = "z"
    quarter_turns: int = 0
    upside_down: bool = False
    origin_mm: tuple[float, ...] = ()
    distance_mm: float = 0.0
    between: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardSheetParams:
    """Settings of `board-sheet`.

    Attributes:
        path: File to write: .pdf to print at true size, with a ruler, or .png to show on a screen.
        board: Calibration board to draw; null draws the session's board, or a ChArUco board of 7 x 5 squares.
        paper: Paper size; "auto" takes the smallest size that holds the board.
    """

    path: str
    board: Board | None = None
    paper: Literal["auto", "a4", "a3", "a2", "a1", "a0", "letter", "tabloid"] = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRigParams:
    """Settings of `export-rig`.

    Attributes:
        format: Format of the calibration.
        path: File to write, or folder for formats that consist of several files. If omitted, the exports folder of the
            session is used.
    """

    format: str = _name_in("core.rig_io.exporters:EXPORTERS", "selfpose")
    path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportDatasetParams:
    """Settings of `import-dataset`.

    Attributes:
        folder: Folder of the dataset, in the layout of its authors.
        kind: Name of the dataset; "auto" detects it from the files.
        split: Frames to import: "test" as evaluated in papers, "train" as trained on in papers, or "all".
        cameras: Names of the cameras to import. If omitted, the cameras used in papers are imported.
        name: Name of the new take. If omitted, the name of the folder is used.
    """

    folder: str
    kind: str = _name_in("core.evaluation.datasets:DATA_SETS", "auto")
    split: Literal["test", "train", "all"] = "test"
    cameras: tuple[str, ...] = ()
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportPoses2DParams:
    """Settings of `import-poses2d`.

    Attributes:
        take: Name of the take whose videos the poses belong to.
        path: Folder with one subfolder or file per camera, named after the camera; or a file for a take of one camera.
        format: Format of the 2D poses; "auto" detects it from the content.
        name: Name of the 2D poses in the take, for use as `estimator`. If omitted, the name of the format is used.
        joints: Joint set of the files, such as body25, body25b, coco17 or halpe26. If omitted, it is recognised by
            names, or by the number of joints and anatomy.
        image_size: Size of the images that the poses were made on, such as 960x540, if not that of the take's images.
        rotation: Clockwise rotation in degrees from the images that the poses were made on to those of the take.
        first_image: Number of a video's first image in the files. If omitted, it is derived from the numbers.
        cameras: Camera of each folder or file in alphabetical order. If omitted, they are matched by name.
    """

    take: str
    path: str
    format: str = _name_in("core.pose2d.importers:POSE2D_IMPORTERS", "auto")
    name: str = ""
    joints: str = ""
    image_size: str = ""
    rotation: Literal["auto", "0", "90", "180", "270"] = "auto"
    first_image: int | None = None
    cameras: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pose2DParams:
    """Settings of `pose2d`.

    Attributes:
        take: Name of the take.
        pose2d: Settings of the 2D pose estimator.
        allow_download: Download a missing model from the address on its model card.
        model_file: Local ONNX file to use instead of a download.
        processes: Number of processes that share the images on this machine. A single process uses all CPU cores, but
            only one GPU.
    """

    take: str
    pose2d: Pose2DConfig = field(default_factory=Pose2DConfig)
    allow_download: bool = False
    model_file: str = ""
    processes: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TriangulateParams:
    """Settings of `triangulate`.

    Attributes:
        take: Name of the take.
        estimator: Name of the 2D poses to use: an estimator, or the name given to `import-poses2d`. If omitted, the
            take's only 2D poses are used.
        association: Settings of the cross-view association.
        tracking: Settings of tracking and smoothing.
    """

    take: str
    estimator: str = ""
    association: AssociationConfig = field(default_factory=AssociationConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainParams:
    """Settings of `train`. The folder of the run becomes the trained model.

    Attributes:
        takes: Names of the takes to train on; each needs 2D poses and a baseline.
        estimator: Name of the 2D poses to use: an estimator, or the name given to `import-poses2d`. If omitted, the
            take's only 2D poses are used.
        preset: Preset that the settings under `training` start from. If omitted, they start from "quick".
        training: Settings of the training; those that are not given are the preset's.
        processes: Number of processes that train together on this machine; 0 starts one per GPU.
    """

    takes: tuple[str, ...]
    estimator: str = ""
    preset: str = _name_in("core.training.presets:PRESETS", "")
    training: TrainConfig = field(default_factory=_of_preset)
    processes: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "training", _training(self.preset, self.training))

    @classmethod
    def group_defaults(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the defaults of the groups of settings that depend on others; see `from_mapping`."""
        return {"training": _training(values.get("preset", ""), None)}


@dataclass(frozen=True, slots=True, kw_only=True)
class InferParams:
    """Settings of `infer`.

    Attributes:
        take: Name of the take; needs 2D poses.
        run: Name of the training run to use. If omitted, the newest finished run is used.
        model: Shipped networks to use without any training: "quick" or "fast". Results have this name.
        estimator: Name of the 2D poses to use: an estimator, or the name given to `import-poses2d`. If omitted, the
            take's only 2D poses are used.
        precision: Number format of the networks; "auto" takes bf16 on devices that gain from it, or else fp32.
        temporal: Refine the poses over time, if the run has a trained temporal refiner.
        tracking: Settings of tracking and smoothing.
        processes: Number of processes that share the frames on this machine; 0 starts one per GPU.
    """

    take: str
    run: str = ""
    model: str = ""
    estimator: str = ""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    temporal: bool = True
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    processes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FitBodyParams:
    """Settings of `fit-body`.

    Attributes:
        take: Name of the take.
        poses: 3D result to fit bodies to: "baseline" or the name of a training run. If omitted, the result that the
            evaluation found better is used, or else the baseline.
        body_model: Name of the body model.
        people: Numbers of the people to fit bodies to. If omitted, all people.
    """

    take: str
    poses: str = ""
    body_model: str = "free"
    people: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateParams:
    """Settings of `evaluate`.

    Attributes:
        take: Name of the take; needs a baseline.
        run: Name of the training run to evaluate. If omitted, the newest finished run is used.
        model: Shipped networks to evaluate instead of a training run: "quick" or "fast".
        estimator: Name of the 2D poses to use: an estimator, or the name given to `import-poses2d`. If omitted, the
            take's only 2D poses are used.
        truth: Files with the true joints of people, to score all methods against: CSV, C3D, TRC or NetCDF; several
            files are several people. Joints are known by the names of COCO, Panoptic or OpenSim.
        truth_fit: Alignment of the truth with the take: "rigid" finds one rotation and translation, "scaled" a scale,
            too, and "none" takes the coordinates as they are.
        truth_offset_s: Time in the take at time 0 of the truth. If omitted, it is found from the motion, or is 0
            without a fit.
    """

    take: str
    run: str = ""
    model: str = ""
    estimator: str = ""
    truth: tuple[str, ...] = ()
    truth_fit: Literal["rigid", "scaled", "none"] = "rigid"
    truth_offset_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateDatasetParams:
    """Settings of `evaluate-dataset`. Several sequences are evaluated together, as in papers.

    Attributes:
        takes: Names of takes made by `import-dataset`. If omitted and without `folders`, all such takes of the session.
        folders: Folders of datasets in the layout of their authors, whose ground truth is used instead of the takes'.
        kind: Name of the dataset in `folders`; "auto" detects it from the files.
        poses: 3D results to evaluate, one for all sequences or one per sequence: "baseline" or the name of a training
            run. With `folders`, NetCDF files or "baseline", which triangulates the 2D poses of the dataset.
        first_frame: Frame number in the dataset at time 0 of the result, with `folders` only. If omitted, the result
            must have one frame per tested frame, or one per frame from number 0 on.
    """

    takes: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    kind: str = _name_in("core.evaluation.datasets:DATA_SETS", "auto")
    poses: tuple[str, ...] = ("baseline",)
    first_frame: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateParams:
    """Settings of `update`. Results are made again with the settings that they were made with; nothing is trained.

    Attributes:
        takes: Names of the takes whose results are made again where they are out of date.
    """

    takes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportParams:
    """Settings of `export`.

    Attributes:
        take: Name of the take.
        poses: 3D result to export: "baseline" or the name of a training run. If omitted, the result that the
            evaluation found better is exported, or else the baseline.
        formats: File formats to write. If omitted, all that can hold the result are written, except landmarks, USD and
            files of meshes.
        folder: Folder to write to. If omitted, the exports folder of the session is used.
        units: Length unit of the files; "auto" takes the usual unit of each format.
        up: Axis that points up in the files; "auto" takes the usual axis of each format.
    """

    take: str
    poses: str = ""
    formats: tuple[str, ...] = _name_in("core.export:EXPORTERS", ())
    folder: str = ""
    units: UnitsChoice = "auto"
    up: UpChoice = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmParams:
    """Settings of `film`.

    Attributes:
        take: Name of the take.
        poses: 3D result to show. If omitted, it is chosen as by `export`.
        layout: Content of the film: the 3D view beside the videos, the 3D view alone, or the videos alone.
        cameras: Cameras whose videos are shown. If omitted, all are shown.
        figures: Form of the people; "auto" shows bodies where they were fitted, and skeletons elsewhere.
        height_px: Height of the film; it is 16/9 times as wide.
        fps: Frames per second of the film; 0 takes those of the take, or every second or third of them, up to 30.
        start_s: Time in the take at which the film starts.
        end_s: Time in the take at which the film ends; 0 for its end.
        turn_s: Time in which the 3D view turns around the people once; 0 keeps it still.
        azimuth_deg: Direction of the 3D view, at its start; at 0 it looks along the y axis. If omitted, it is one
            without a camera in the way.
        trails: Paths of the people on the floor are shown.
        theme: Colours of the 3D view.
        folder: Folder to write to. If omitted, the exports folder of the session is used.
    """

    take: str
    poses: str = ""
    layout: FilmLayout = "side-by-side"
    cameras: tuple[str, ...] = ()
    figures: FilmFigures = "auto"
    height_px: int = 1080
    fps: float = 0.0
    start_s: float = 0.0
    end_s: float = 0.0
    turn_s: float = 20.0
    azimuth_deg: float | None = None
    trails: bool = True
    theme: ViewTheme = "dark"
    folder: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunParams:
    """Settings of `run`: all steps from videos to exported 3D poses.

    Attributes:
        take: Name of the take.
        estimator: Name of the 2D poses to use: an estimator, which replaces that of `pose2d`, or the name given to
            `import-poses2d`. If omitted, imported 2D poses are used if the take has no others.
        pose2d: Settings of the 2D pose estimator, unless imported 2D poses are used.
        association: Settings of the cross-view association.
        tracking: Settings of tracking and smoothing.
        repair_rig: Repair the rig or synchronise the take where the people in it show that cameras do not fit the
            others, unless the repair's own checks find an error.
        preset: Preset that the settings under `training` start from.
        training: Settings of the training; those that are not given are the preset's.
        formats: File formats to export. If omitted, all that can hold the result are written, except landmarks, USD and
            files of meshes.
    """

    take: str
    estimator: str = ""
    pose2d: Pose2DConfig = field(default_factory=Pose2DConfig)
    association: AssociationConfig = field(default_factory=AssociationConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    repair_rig: bool = False
    preset: str = _name_in("core.training.presets:PRESETS", "quick")
    training: TrainConfig = field(default_factory=_of_preset)
    formats: tuple[str, ...] = _name_in("core.export:EXPORTERS", ())

    def __post_init__(self) -> None:
        object.__setattr__(self, "training", _training(self.preset, self.training))

    @classmethod
    def group_defaults(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the defaults of the groups of settings that depend on others; see `from_mapping`."""
        return {"training": _training(values.get("preset", ""), None)}
