"""Settings of the training stages. Torch-free: the window reads them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from core.training.losses.table import loss_weights


def _weights(stage: str) -> Mapping[str, float]:
    """Declare the weights of a stage's losses, with their defaults."""
    return field(default_factory=lambda: loss_weights(stage, {}))


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseConfig:
    """Errors of the simulated 2D detections of synthetic people, and of the rig.

    Attributes:
        jitter: Range of the standard deviation of the 2D error, as a fraction of the person's size in the image.
        resolution: Range of the standard deviation of the error due to the estimator's input size, as a fraction of the
            image's longer side. It dominates where people are small.
        miss_view: Probability that a person is not detected in a view.
        miss_joint: Probability that a joint is missing.
        outlier: Probability that the error of a joint is several times the usual one.
        swap: Probability that left and right of all joints, the arms or the legs are swapped in a view.
        borrow: Probability that a limb, the legs or a single hip belongs to the nearest person, in views where another
            person is near.
        occlude: Probability that a limb, the legs, or an arm and more are hidden in a view. Hidden joints are missing,
            or guessed together at a wrong position with low scores, as by real estimators.
        guess: Fraction of hidden joints that are guessed instead of missing.
        few_views: Probability that only a random number of the cameras, two or more, are used.
        rig_deg: Largest standard deviation of the rotation of each camera from its calibration, in half of the scenes;
            the rigs of the other half are exact.
        measured: Fraction of scenes with errors and scores measured on a real estimator.
        error_split: Part of the measured errors to draw from; "train" reserves the other half for tests.
        varied: Rotate, scale and mix measured errors, since the few measurements could be memorised.
    """

    jitter: tuple[float, float] = (0.006, 0.03)
    resolution: tuple[float, float] = (0.0006, 0.003)
    miss_view: float = 0.15
    miss_joint: float = 0.15
    outlier: float = 0.03
    swap: float = 0.04
    borrow: float = 0.1
    occlude: float = 0.2
    guess: float = 0.5
    few_views: float = 0.3
    rig_deg: float = 0.4
    measured: float = 0.5
    error_split: Literal["all", "train"] = "all"
    varied: bool = True

    @classmethod
    def none(cls) -> NoiseConfig:
        """Return settings without any errors."""
        return cls(
            jitter=(0.0, 0.0),
            resolution=(0.0, 0.0),
            miss_view=0.0,
            miss_joint=0.0,
            outlier=0.0,
            swap=0.0,
            borrow=0.0,
            occlude=0.0,
            few_views=0.0,
            rig_deg=0.0,
            measured=0.0,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneStageConfig:
    """Backbone on the pseudo labels of the footage's images; only with `model.heatmap.source` "backbone".

    Attributes:
        steps: Number of optimiser steps; 0 skips the stage.
        batch: Frames per step on a CPU.
        gpu_batch: Frames per step on a GPU.
        learning_rate: Peak learning rate of Adam.
        background_weight: Weight of pixels without a label. Below 1, people whom the estimator missed are less strongly
            trained as background. The paper uses 1.
        augment: Rotate and scale the images, which the paper does not.
        photometric: Apply RandAugment and cut-out to the images, which the paper does not.
        floor_targets: Round targets down to integer pixels as in the released code, half a pixel off on average.
        weights: Weight of each loss in the total; 0 switches it off.
    """

    steps: int = 20_000
    batch: int = 1
    gpu_batch: int = 8
    learning_rate: float = 1e-4
    background_weight: float = 1.0
    augment: bool = False
    photometric: bool = False
    floor_targets: bool = False
    weights: Mapping[str, float] = _weights("backbone")

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", loss_weights("backbone", self.weights))


@dataclass(frozen=True, slots=True, kw_only=True)
class RootStageConfig:
    """Root network on synthetic points projected into this rig, and on augmented versions of real heatmaps.

    Attributes:
        steps: Number of optimiser steps; 0 skips the stage.
        batch: Scenes per step on a CPU.
        gpu_batch: Scenes per step on a GPU.
        learning_rate: Peak learning rate of Adam.
        real_batch: Real frames per step for the consistency loss; 0 switches it off.
        side_share: Distance of synthetic points from the sides of the capture volume, as a fraction of its edge length.
        lowest_mm: Distance of synthetic points from the bottom of the capture volume.
        highest_mm: Distance of synthetic points from the top of the capture volume.
        common_height: Draw one height for all points of a scene, as in the paper; otherwise one per point, so that some
            people sit while others stand.
        max_points: Largest number of synthetic people in a scene.
        area_per_person_m2: Floor area per synthetic person, which limits their number in small volumes.
        noise: Errors of the synthetic detections.
        peak: Range of the peak heights; if empty, peaks have the scores of the hips.
        heatmap_noise: Standard deviation of the noise of each heatmap pixel.
        false_peaks: Mean number of false peaks per view, half of them next to people.
        weights: Weight of each loss in the total; 0 switches it off.
    """

    steps: int = 20_000
    batch: int = 4
    gpu_batch: int = 16
    learning_rate: float = 1e-4
    real_batch: int = 1
    side_share: float = 0.06
    lowest_mm: float = 250.0
    highest_mm: float = 300.0
    common_height: bool = True
    max_points: int = 9
    area_per_person_m2: float = 2.0
    noise: NoiseConfig = field(default_factory=NoiseConfig)
    peak: tuple[float, ...] = ()
    heatmap_noise: float = 0.02
    false_peaks: float = 0.3
    weights: Mapping[str, float] = _weights("root")

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", loss_weights("root", self.weights))


@dataclass(frozen=True, slots=True, kw_only=True)
class PoseSyntheticStageConfig:
    """Pose network on exact synthetic people in this rig; needs no footage. Optional.

    Attributes:
        steps: Number of optimiser steps; 0 skips the stage.
        batch: People per step on a CPU.
        gpu_batch: People per step on a GPU.
        learning_rate: Peak learning rate of Adam.
        bodies: Number of random postures to draw from; each is rotated, mirrored and scaled at every use.
        neighbours: Largest number of other people near the person to be found.
        root_error_mm: Standard deviation of the cube's centre around the exact root.
        noise: Errors of the synthetic detections.
        weights: Weight of each loss in the total; 0 switches it off.
    """

    steps: int = 10_000
    batch: int = 8
    gpu_batch: int = 64
    learning_rate: float = 3e-4
    bodies: int = 20_000
    neighbours: int = 2
    root_error_mm: float = 40.0
    noise: NoiseConfig = field(default_factory=NoiseConfig)
    weights: Mapping[str, float] = _weights("pose_synthetic")

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", loss_weights("pose_synthetic", self.weights))


@dataclass(frozen=True, slots=True, kw_only=True)
class RayRefinerStageConfig:
    """Ray refiner on exact synthetic people; only with `model.pose.ray_refiner` enabled.

    Attributes:
        steps: Number of optimiser steps; 0 skips the stage.
        batch: People per step on a CPU.
        gpu_batch: People per step on a GPU.
        learning_rate: Peak learning rate of Adam.
        start_error_mm: Largest standard deviation of the initial joints of the refinement.
        people: Settings of the synthetic people and the errors of their detections.
        weights: Weight of each loss in the total; 0 switches it off.
    """

    steps: int = 10_000
    batch: int = 48
    gpu_batch: int = 768
    learning_rate: float = 2e-3
    start_error_mm: float = 80.0
    people: PoseSyntheticStageConfig = field(default_factory=lambda: PoseSyntheticStageConfig(neighbours=3))
    weights: Mapping[str, float] = _weights("ray_refiner")

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", loss_weights("ray_refiner", self.weights))


@dataclass(frozen=True, slots=True, kw_only=True)
class TemporalStageConfig:
    """Temporal refiner on exact synthetic people in motion; only with `model.temporal` enabled.

    Attributes:
        steps: Number of optimiser steps; 0 skips the stage.
        batch: People per step.
        learning_rate: Peak learning rate of Adam.
        frames: Number of frames per scene, of which a step uses a window.
        people: Largest number of people in a scene.
        scenes: Number of different scenes.
        cache_size: Number of scenes kept in memory, of about 1 MB each.
        error_split: Part of the measured errors to draw from; "train" reserves the other half for tests.
        weights: Weight of each loss in the total; 0 switches it off.
    """

    steps: int = 0
    batch: int = 16
    learning_rate: float = 1e-3
    frames: int = 48
    people: int = 4
    scenes: int = 4000
    cache_size: int = 2000
    error_split: Literal["all", "train"] = "all"
    weights: Mapping[str, float] = _weights("temporal")

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", loss_weights("temporal", self.weights))


@dataclass(frozen=True, slots=True, kw_only=True)
class PoseStageConfig:
    """Self-supervised training of the pose network on the footage (SelfPose3d section 3.3).

    Joints found in one augmented version of a frame are projected into another one and compared with its pseudo labels.
    Each departure from the paper is a switch, all of which are off in `paper_stage`.

    Attributes:
        steps: Number of optimiser steps; 0 skips the stage.
        batch: Frames per step on a CPU.
        gpu_batch: Frames per step on a GPU.
        learning_rate: Peak learning rate of Adam.
        joint_from: Fraction of the steps after which the joint loss starts.
        attention: Down-weighting of pixels that cannot be explained: "network" for the paper's attention network,
            "closed" for the closed form to which it converges, "none" for no down-weighting.
        background_weight: Weight of pixels without a label in the heatmap losses.
        hard_attention: Exclude the view of a batch with the largest joint loss.
        match_gate: Largest mean error of a match between a person and a label, as a fraction of the heatmap's size; 0
            accepts every match, as in the paper.
        anchor_mm: Distance from the triangulated joints above which joints are not attracted to them.
        drop_view: Probability that a camera's heatmaps are hidden from the network while its labels still count.
        min_confidence: Smallest confidence of the labels used.
        photometric: Apply RandAugment and cut-out to the images, if the networks use images.
        redraw: Redraw frames until every view shows a person and both versions still show everyone.
        train_ray_refiner: Train the ray refiner along with the pose network. 2D labels contain no information about its
            uncertainty, so that it becomes overconfident: with few cameras that made results worse.
        weights: Weight of each loss in the total; 0 switches it off.
    """

    steps: int = 40_000
    batch: int = 2
    gpu_batch: int = 16
    learning_rate: float = 1e-4
    joint_from: float = 0.5
    attention: Literal["none", "closed", "network"] = "closed"
    background_weight: float = 1.0
    hard_attention: bool = True
    match_gate: float = 0.1
    anchor_mm: float = 200.0
    drop_view: float = 0.1
    min_confidence: float = 0.0
    photometric: bool = True
    redraw: bool = False
    train_ray_refiner: bool = False
    weights: Mapping[str, float] = _weights("pose")

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", loss_weights("pose", self.weights))


def paper_stage() -> PoseStageConfig:
    """Return the pose stage of the paper: attention network, all labels, none of our additional losses."""
    return PoseStageConfig(
        batch=1,
        gpu_batch=2,
        attention="network",
        match_gate=0.0,
        drop_view=0.0,
        redraw=True,
        weights={"anchor": 0.0, "consistency": 0.0, "planes": 0.0},
    )


def finetune_stage() -> PoseStageConfig:
    """Return the last stage of the paper: confident labels only, joint loss from the start, half the learning rate."""
    return dataclasses.replace(
        paper_stage(), steps=0, learning_rate=5e-5, joint_from=0.0, min_confidence=0.3, redraw=False
    )
