"""Settings of the verbs for evaluation and export."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from core.export import UnitsChoice, UpChoice
from core.pipelines.params.fields import name_in
from core.rendering.colours import ViewTheme

FilmLayout = Literal["side-by-side", "view", "videos"]
FilmFigures = Literal["auto", "bodies", "skeletons"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateParams:
    """Settings of `evaluate`.

    Attributes:
        take: Name of the take; needs a baseline.
        run: Name of the training run to evaluate. If omitted, the newest finished run is used.
        model: Shipped networks to evaluate instead of a training run: "quick" or "fast".
        estimator: Name of the 2D poses to use: an estimator, or the name given to `import-poses2d`. If omitted, the
            take's only 2D poses are used.
        truth: Files with the true joints of people, to score all methods against: CSV, C3D, TRC or NetCDF; one file per
            person or for all. Joints are recognised by the names of COCO, Panoptic or OpenSim.
        truth_fit: Alignment of the truth with the take: "rigid" estimates a rotation and a translation, "scaled" also a
            scale, and "none" keeps the coordinates.
        truth_offset_s: Time in the take at time 0 of the truth. If omitted, it is estimated from the motion, or 0
            without alignment.
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
        folders: Folders of datasets in their original layout, whose ground truth is used instead of that of the takes.
        kind: Name of the dataset in `folders`; "auto" detects it from the files.
        poses: 3D results to evaluate, one for all sequences or one per sequence: "baseline" or the name of a training
            run. With `folders`, NetCDF files or "baseline", which triangulates the 2D poses of the dataset.
        first_frame: Frame number in the dataset at time 0 of the result, only with `folders`. If omitted, the result
            must have one frame per test frame, or one per frame from number 0.
    """

    takes: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    kind: str = name_in("core.evaluation.datasets:DATA_SETS", "auto")
    poses: tuple[str, ...] = ("baseline",)
    first_frame: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateParams:
    """Settings of `update`. Results are recomputed with their original settings; nothing is trained.

    Attributes:
        takes: Names of the takes whose outdated results are recomputed.
    """

    takes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportParams:
    """Settings of `export`.

    Attributes:
        take: Name of the take.
        poses: 3D result to export: "baseline" or the name of a training run. If omitted, the better result by the
            evaluation is exported, or else the baseline.
        formats: File formats to write. If omitted, all that can store the result are written, except landmarks, USD and
            mesh files.
        folder: Folder to write to. If omitted, the exports folder of the session is used.
        units: Length unit of the files; "auto" uses the usual unit of each format.
        up: Axis that points up in the files; "auto" uses the usual axis of each format.
    """

    take: str
    poses: str = ""
    formats: tuple[str, ...] = name_in("core.export:EXPORTERS", ())
    folder: str = ""
    units: UnitsChoice = "auto"
    up: UpChoice = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmParams:
    """Settings of `film`.

    Attributes:
        take: Name of the take.
        poses: 3D result to show. If omitted, it is chosen as in `export`.
        layout: Content of the film: the 3D view beside the videos, the 3D view alone, or the videos alone.
        cameras: Cameras whose videos are shown. If omitted, all are shown.
        figures: Representation of the people; "auto" shows fitted bodies, and skeletons of people without body.
        height_px: Height of the film; the aspect ratio is 16 : 9.
        fps: Frame rate of the film; 0 uses that of the take, divided by a whole number if above 30.
        start_s: Time in the take at which the film starts.
        end_s: Time in the take at which the film ends; 0 for the end of the take.
        turn_s: Time for one rotation of the 3D view around the people; 0 for a static view.
        azimuth_deg: Azimuth of the 3D view at the start; 0 looks along the y axis. If omitted, a direction that no
            camera obstructs is chosen.
        trails: Show the trails of the people on the floor.
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
