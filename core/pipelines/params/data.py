"""Settings of the verbs for cameras, imports and takes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from core.board.pattern import Board
from core.errors import CoreError
from core.live.config import LiveConfig
from core.pipelines.params.fields import name_in
from core.session.store import TakeKind


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportTakeParams:
    """Settings of `import-take`.

    Attributes:
        videos: Paths of the videos, one per camera. A folder is replaced by its videos, or by its folders of numbered
            images; recordings of SkellyCam and caliscope are supported.
        cameras: Camera names in the order of the videos. If omitted, they are taken from the file names and the rig.
        name: Name of the new take. If omitted, a name is derived from the files.
        kind: Content of the videos: a calibration board, a board lying on the floor, or people in motion.
        timestamps: CSV file with the recorded time of each image (columns cam_id, frame_index, frame_time), or folder
            with the tables of SkellyCam. If omitted, tables beside the videos are used if they fit.
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
    """Settings of `cut-take`. The take itself does not change.

    Attributes:
        take: Name of the take.
        from_s: Start of the part that becomes a new take, in seconds from the start of the take.
        to_s: End of that part in seconds. If omitted, it ends with the take.
        at_s: Time in seconds at which the take is split into two new takes, instead of `from_s` and `to_s`.
        name: Name of the new take; two new takes get the suffixes "_a" and "_b". If omitted, it is that of the take.
    """

    take: str
    from_s: float = 0.0
    to_s: float | None = None
    at_s: float | None = None
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordParams:
    """Settings of `record`.

    Attributes:
        cameras: Cameras as "name=address". An address is rtsp://…, http://…, onvif://…, v4l2:/dev/video0, dshow:…,
            avfoundation:…, genicam:SERIAL, the path of a video, demo:cam01 to demo:cam04 for a simulated board, or
            demo:people/cam01 to demo:people/cam08 for simulated people.
        name: Name of the new take. If omitted, the first free name is used.
        kind: Content of the recording: a calibration board, a board lying on the floor, or people in motion.
        note: Note to store with the take.
        countdown_s: Time in seconds before the recording begins.
        duration_s: Duration of the recording in seconds; 0 records until the job is stopped.
        preview_only: Show the cameras without recording a take.
        board: Calibration board to detect in the previews; null uses the board of the session.
        preview_hz: Number of preview updates per second.
        sound: Store the sound of network cameras and videos. Off by default, since voices are personal data: inform the
            people first.
        live: Settings of live 3D; null leaves it off.
        remote_port: Port for remote control of takes by other programs, by HTTP (TCP) and OSC (UDP); 0 for none.
        remote_network: Accept remote control from all computers in the network, not only from this one.
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
    remote_network: bool = False

    def __post_init__(self) -> None:
        _refuse_negative(countdown_s=self.countdown_s, duration_s=self.duration_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveParams:
    """Settings of `live`.

    Attributes:
        cameras: Cameras as "name=address" with their names in the calibration; addresses as for `record`. Videos are
            played in real time.
        duration_s: Duration in seconds; 0 runs until the job is stopped.
        live: Settings of live 3D.
    """

    cameras: tuple[str, ...]
    duration_s: float = 0.0
    live: LiveConfig = field(default_factory=LiveConfig)

    def __post_init__(self) -> None:
        _refuse_negative(duration_s=self.duration_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportDatasetParams:
    """Settings of `import-dataset`.

    Attributes:
        folder: Folder of the dataset in its original layout.
        kind: Name of the dataset; "auto" detects it from the files.
        split: Frames to import: "test" as evaluated in papers, "train" as used for training in papers, or "all".
        cameras: Names of the cameras to import. If omitted, the cameras used in papers are imported.
        name: Name of the new take. If omitted, the name of the folder is used.
    """

    folder: str
    kind: str = name_in("core.evaluation.datasets:DATA_SETS", "auto")
    split: Literal["test", "train", "all"] = "test"
    cameras: tuple[str, ...] = ()
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportPoses2DParams:
    """Settings of `import-poses2d`.

    Attributes:
        take: Name of the take to which the poses belong.
        path: Folder with one subfolder or file per camera, named after the camera; or a file for a take of one camera.
        format: Format of the 2D poses; "auto" detects it from the content.
        name: Name of the 2D poses in the take, for use as `estimator`. If omitted, the name of the format is used.
        joints: Joint set of the files, such as body25, body25b, coco17 or halpe26. If omitted, it is recognised by
            names, or by the number of joints and anatomy.
        image_size: Size of the images on which the poses were estimated, such as 960x540, if it differs from the
            take's.
        rotation: Clockwise rotation in degrees from the images on which the poses were estimated to those of the take.
        first_image: Number of a video's first image in the files. If omitted, it is derived from the numbers.
        cameras: Camera of each folder or file in alphabetical order. If omitted, they are matched by name.
    """

    take: str
    path: str
    format: str = name_in("core.pose2d.importers:POSE2D_IMPORTERS", "auto")
    name: str = ""
    joints: str = ""
    image_size: str = ""
    rotation: Literal["auto", "0", "90", "180", "270"] = "auto"
    first_image: int | None = None
    cameras: tuple[str, ...] = ()


def _refuse_negative(**times_s: float) -> None:
    for name, value in times_s.items():
        if value < 0:
            raise CoreError(f"'{name}' is {value:g}.", "Give a time of 0 s or more.")
