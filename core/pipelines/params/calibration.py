"""Settings of the verbs for calibration and synchronisation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from core.board.pattern import Board
from core.calibration.board.config import CalibrateConfig
from core.calibration.people.config import PeopleConfig
from core.export import UnitsChoice
from core.pipelines.params.fields import name_in
from core.rig_io.readings import PoseReading, RotationReading
from core.types.axes import Axis


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRigParams:
    """Settings of `import-rig`.

    Attributes:
        path: Calibration file, or folder for formats that consist of several files.
        format: Format of the calibration; "auto" detects it from the content.
        units: Length unit of a file that does not specify one; "auto" chooses the most plausible unit.
        up: World axis of the file that points up; "auto" uses the axis defined by the format, or z.
        pose_is: Meaning of the poses in the file; "auto" follows the format or its field names, or else assumes world
            to camera.
        rotation_is: Unit of rotation vectors, or order of quaternions, in the file.
    """

    path: str
    format: str = name_in("core.rig_io.importers:IMPORTERS", "auto")
    units: UnitsChoice = "auto"
    up: Literal["auto", Axis] = "auto"
    pose_is: Literal["auto", PoseReading] = "auto"
    rotation_is: RotationReading = "as_stated"


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrateParams:
    """Settings of `calibrate`.

    Attributes:
        take: Take of a board that is moved in view of several cameras at the same time.
        intrinsics_takes: Additional takes of the same board, for the intrinsics only.
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
    """Settings of `certify`. Without offsets, the camera clocks are measured in the images.

    Attributes:
        take: Take whose cameras are compared.
        method: Events to synchronise by: moving "people" (requires a calibrated rig), a moving "board", or a "flash"
            (light that is switched on); "auto" chooses what the take contains.
        estimator: Name of the 2D poses to use: an estimator, or the name given to `import-poses2d`. If omitted, the
            take's only 2D poses are used.
        time_offset_ms: Time offsets of cameras in this take as "camera=ms": time stamp minus true time, negative for a
            camera that started late. They replace measured ones.
        reset: Remove all clock corrections of this take.
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
        rotation_axis: World axis of the rotation.
        quarter_turns: Number of counterclockwise quarter turns about the rotation axis.
        upside_down: Turn the world coordinates upside down.
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
        paper: Paper size; "auto" uses the smallest size that fits the board.
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

    format: str = name_in("core.rig_io.exporters:EXPORTERS", "selfpose")
    path: str = ""
