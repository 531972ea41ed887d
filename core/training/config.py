"""Settings of training. Torch-free: the window reads it."""

from __future__ import annotations

from dataclasses import dataclass, field

from core.errors import CoreError
from core.models.config import HeatmapConfig, ModelConfig, PoseNetConfig, RootNetConfig, VolumeNetConfig
from core.registry import closest


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitConfig:
    """Which moments are kept out of training, to measure on.

    Attributes:
        share: Of all moments.
        blocks: Stretches of time that the held-out moments form, spread evenly.
        guard: Moments beside each block that belong to neither part: neighbours are near-copies.
    """

    share: float = 0.2
    blocks: int = 2
    guard: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseConfig:
    """How imperfect the 2D detections of synthetic people and roots are.

    Attributes:
        jitter: Range of the 2D error's standard deviation, as a share of the picture's longer side.
        miss_view: Chance that a person is not detected in a view.
        miss_joint: Chance that a joint is missing.
        outlier: Chance that a joint is off by ten times the jitter.
        swap: Chance that left and right are exchanged in a view.
        occlude: Chance that a limb, or the legs, or an arm and more, are hidden in a view: their joints are missing, or
            guessed together in a wrong place with low scores, as estimators do.
        guess: Share of hidden joints that are guessed instead of missing.
    """

    jitter: tuple[float, float] = (0.001, 0.006)
    miss_view: float = 0.15
    miss_joint: float = 0.15
    outlier: float = 0.03
    swap: float = 0.02
    occlude: float = 0.2
    guess: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class RootStage:
    """Root network: synthetic points projected into this rig, and agreement of augmented versions on real heatmaps.

    Attributes:
        steps: Optimiser steps; 0 skips the stage.
        batch: Scenes a step on a CPU, and on a GPU.
        learning_rate: Of Adam at its highest.
        weight_synthetic: Of the squared error against the synthetic target.
        weight_consistency: Of the squared difference between augmented and plain versions of real heatmaps.
        real_batch: Real moments a step for the consistency; 0 leaves it out.
        max_points: Most synthetic people of a scene, fewer in a small room: `area_m2` of floor for each.
        area_m2: See `max_points`.
        noise: Of the synthetic detections: one joint each, so `miss_view` counts missing people and missing hips.
        peak: Range of the peaks' heights.
        heatmap_noise: Standard deviation of each heatmap pixel.
        false_peaks: Mean number of invented peaks a view.
    """

    steps: int = 20_000
    batch: int = 4
    gpu_batch: int = 16
    learning_rate: float = 1e-4
    weight_synthetic: float = 100.0
    weight_consistency: float = 1.0
    real_batch: int = 1
    max_points: int = 9
    area_m2: float = 2.0
    noise: NoiseConfig = field(default_factory=lambda: NoiseConfig(miss_view=0.2))
    peak: tuple[float, float] = (0.3, 1.0)
    heatmap_noise: float = 0.02
    false_peaks: float = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class PoseSyntheticStage:
    """Pose network on exact synthetic people in this rig: no label of the footage is involved. Optional.

    Attributes:
        steps: Optimiser steps; 0 skips the stage.
        batch: People a step on a CPU, and on a GPU.
        learning_rate: Of Adam at its highest.
        neighbours: Most other people near the one that is looked for.
        root_error_mm: Standard deviation of the cube's centre.
        drop_view: Chance that a camera is left out entirely; two always stay.
        noise: Of the synthetic detections.
    """

    steps: int = 10_000
    batch: int = 8
    gpu_batch: int = 64
    learning_rate: float = 3e-4
    neighbours: int = 2
    root_error_mm: float = 40.0
    drop_view: float = 0.1
    noise: NoiseConfig = field(default_factory=NoiseConfig)


@dataclass(frozen=True, slots=True, kw_only=True)
class PoseStage:
    """Pose network on the footage, self-supervised: the joints found in one augmented version, projected into another.

    Attributes:
        steps: Optimiser steps; 0 skips the stage.
        batch: Moments a step on a CPU, and on a GPU.
        learning_rate: Of Adam at its highest.
        weight_heatmap: Of the rendered heatmaps' error.
        weight_joint: Of the matched joints' distance.
        joint_from: Share of the steps after which the joint loss starts.
        robust: Closed-form robust loss on heatmaps instead of plain squares: what the published attention network
            converges to.
        hard_attention: Drops the one view of a batch with the largest joint loss.
        gate: A match counts while its mean error stays below this share of the heatmap's size.
        drop_view: Chance that a camera's heatmaps are left out of the input while its labels still count.
    """

    steps: int = 40_000
    batch: int = 2
    gpu_batch: int = 16
    learning_rate: float = 1e-4
    weight_heatmap: float = 1.0
    weight_joint: float = 0.01
    joint_from: float = 0.5
    robust: bool = True
    hard_attention: bool = True
    gate: float = 0.1
    drop_view: float = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """Training of the root and pose networks.

    Attributes:
        seed: The randomness of a step depends on this, the stage and the step alone, so that a resumed run is exact.
        device: "auto", "cuda", "mps" or "cpu".
        model: The networks.
        split: What is held out.
        root: First stage.
        pose_synthetic: Second stage.
        pose: Third stage.
        warmup: Share of a stage in which the learning rate rises; it falls along a cosine afterwards.
        clip_gradient: Largest norm of the gradient.
        measure_every: Steps between two held-out figures.
        measure_frames: Most held-out moments a figure is measured on.
        checkpoint_s: Seconds between two checkpoints.
        max_minutes: A safety for slow machines: a stage that used up its part of this time ends early, with a note.
    """

    seed: int = 0
    device: str = "auto"
    model: ModelConfig = field(default_factory=ModelConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    root: RootStage = field(default_factory=RootStage)
    pose_synthetic: PoseSyntheticStage = field(default_factory=PoseSyntheticStage)
    pose: PoseStage = field(default_factory=PoseStage)
    warmup: float = 0.05
    clip_gradient: float = 1.0
    measure_every: int = 50
    measure_frames: int = 16
    checkpoint_s: float = 30.0
    max_minutes: float = 600.0


def quick() -> TrainConfig:
    """Minutes on two cores: half-width networks, coarse volumes, few steps, the correction on heatmap peaks."""
    net = VolumeNetConfig(width=0.5, front_kernel=3)
    return TrainConfig(
        model=ModelConfig(
            heatmap=HeatmapConfig(long_side_px=128, sigma_px=2.0),
            root=RootNetConfig(net=VolumeNetConfig(width=0.25, front_kernel=3), spacing_mm=120.0, threshold=0.12),
            pose=PoseNetConfig(net=net, voxels=32),
        ),
        root=RootStage(steps=200, batch=4, learning_rate=2e-3),
        pose_synthetic=PoseSyntheticStage(steps=160, batch=8, learning_rate=2e-3),
        pose=PoseStage(steps=70, batch=2, learning_rate=3e-4, joint_from=0.3),
        max_minutes=14.0,
    )


PRESETS = {"quick": quick}
"""Name to function that makes the settings."""


def preset(name: str) -> TrainConfig:
    """The settings of that name.

    Raises:
        CoreError: There are none.
    """
    if name not in PRESETS:
        raise CoreError(f"There is no training preset named '{name}'.", closest(name, list(PRESETS)))
    return PRESETS[name]()
