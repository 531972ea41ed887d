"""Settings of the verbs for 2D and 3D poses, training and bodies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from core.association.config import AssociationConfig
from core.errors import CoreError
from core.pipelines.params.fields import name_in
from core.pose2d.config import Pose2DConfig
from core.tracking.config import TrackingConfig
from core.training.config import TrainConfig
from core.training.presets import PRESETS, preset, quick


def _of_preset() -> TrainConfig:
    """Return a placeholder for the settings of the preset, which is unknown until all settings are."""
    return None  # type: ignore[return-value]


def _training(name: Any, given: TrainConfig | None) -> TrainConfig:
    """Return training settings based on a preset.

    Args:
        name: Name of the preset; empty for "quick".
        given: Complete settings; None for those of the preset.

    Raises:
        CoreError: There is no such preset, or the settings belong to another one.
    """
    if given is None:
        return preset(name) if isinstance(name, str) and name else quick()
    if name and name != given.name and given.name in PRESETS:
        raise CoreError(
            f"The preset is '{name}', but the training settings are those of '{given.name}'.",
            "Omit one of the two.",
        )
    return given


@dataclass(frozen=True, slots=True, kw_only=True)
class Pose2DParams:
    """Settings of `pose2d`.

    Attributes:
        take: Name of the take.
        pose2d: Settings of the 2D pose estimator.
        allow_download: Download a missing model from the address in its model card.
        model_file: Local ONNX file to use instead of a download.
        processes: Number of parallel processes on this computer. A single process uses all CPU cores, but only one GPU.
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
        preset: Preset of the settings under `training`. If omitted, it is "quick".
        training: Settings of the training, by default those of the preset.
        processes: Number of parallel processes on this computer; 0 starts one per GPU.
    """

    takes: tuple[str, ...]
    estimator: str = ""
    preset: str = name_in("core.training.presets:PRESETS", "")
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
        model: Shipped networks to use without training: "quick" or "fast". The results have this name.
        estimator: Name of the 2D poses to use: an estimator, or the name given to `import-poses2d`. If omitted, the
            take's only 2D poses are used.
        precision: Number format of the networks; "auto" uses bf16 on devices that benefit from it, or else fp32.
        temporal: Refine the poses over time if the run has a trained temporal refiner.
        tracking: Settings of tracking and smoothing.
        processes: Number of parallel processes on this computer; 0 starts one per GPU.
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
        poses: 3D result to fit bodies to: "baseline" or the name of a training run. If omitted, the better result by
            the evaluation is used, or else the baseline.
        body_model: Name of the body model.
        people: Numbers of the people to fit bodies to. If omitted, bodies are fitted to all people.
    """

    take: str
    poses: str = ""
    body_model: str = "free"
    people: tuple[int, ...] = ()


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
        repair_rig: Repair the rig or synchronise the take if the people show that cameras do not fit the others, unless
            the checks of the repair find an error.
        preset: Preset of the settings under `training`.
        training: Settings of the training, by default those of the preset.
        formats: File formats to export. If omitted, all that can store the result are written, except landmarks, USD
            and mesh files.
    """

    take: str
    estimator: str = ""
    pose2d: Pose2DConfig = field(default_factory=Pose2DConfig)
    association: AssociationConfig = field(default_factory=AssociationConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    repair_rig: bool = False
    preset: str = name_in("core.training.presets:PRESETS", "quick")
    training: TrainConfig = field(default_factory=_of_preset)
    formats: tuple[str, ...] = name_in("core.export:EXPORTERS", ())

    def __post_init__(self) -> None:
        object.__setattr__(self, "training", _training(self.preset, self.training))

    @classmethod
    def group_defaults(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the defaults of the groups of settings that depend on others; see `from_mapping`."""
        return {"training": _training(values.get("preset", ""), None)}
