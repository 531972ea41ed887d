"""What each verb can be told. Torch-free: the window builds job files from these."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from core.association.config import AssociationConfig
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
    """

    videos: tuple[str, ...]
    cameras: tuple[str, ...] = ()
    name: str = ""
    kind: Literal["board", "floor", "motion"] = "motion"


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
class LabelParams:
    """2D poses of every view of a take.

    Attributes:
        allow_download: Whether a missing model may be fetched from its card's address.
        model_file: Local ONNX file to use for the estimator's card instead of a download.
    """

    take: str
    pose2d: Pose2DConfig = field(default_factory=Pose2DConfig)
    allow_download: bool = False
    model_file: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociateParams:
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
    """

    takes: tuple[str, ...]
    estimator: str = DEFAULT_ESTIMATOR
    preset: str = ""
    training: TrainConfig = field(default_factory=quick)


@dataclass(frozen=True, slots=True, kw_only=True)
class InferParams:
    """3D with a trained run. `run` empty takes the newest finished one.

    Attributes:
        take: Labelled.
        run: Name.
        estimator: Whose 2D poses to use.
        precision: What the networks compute in: "auto" is bf16 where the device gains by it.
        tracking: Identity and smoothing.
    """

    take: str
    run: str = ""
    estimator: str = DEFAULT_ESTIMATOR
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    tracking: TrackingConfig = field(default_factory=TrackingConfig)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateParams:
    """Label-free figures of a take, baseline and trained side by side. `run` empty takes the newest finished one."""

    take: str
    run: str = ""
    estimator: str = DEFAULT_ESTIMATOR


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateDatasetParams:
    """A stored 3D result against a public data set's truth.

    Attributes:
        take: Whose result.
        folder: The data set, as its authors lay it out.
        kind: Which data set it is.
        poses: "baseline" or a run's name.
    """

    take: str
    folder: str = ""
    kind: Literal["panoptic", "shelf", "campus"] = "panoptic"
    poses: str = "baseline"


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
class PathParams:
    """The whole path on one take: label, associate, train, infer, evaluate, export."""

    take: str
    pose2d: Pose2DConfig = field(default_factory=Pose2DConfig)
    association: AssociationConfig = field(default_factory=AssociationConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    preset: str = "quick"
    formats: tuple[str, ...] = ("c3d", "trc", "csv", "json", "netcdf")
