"""Settings of the training stages. Torch-free: the window reads them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseConfig:
    """How imperfect the 2D detections of synthetic people and roots are.

    Attributes:
        jitter: Range of the 2D error's standard deviation, as a share of the image's longer side.
        miss_view: Chance that a person is not detected in a view.
        miss_joint: Chance that a joint is missing.
        outlier: Chance that a joint is off by ten times the jitter.
        swap: Chance that left and right are exchanged in a view.
        occlude: Chance that a limb, or the legs, or an arm and more, are hidden in a view: their joints are missing, or
            guessed together in a wrong place with low scores, as estimators do.
        guess: Share of hidden joints that are guessed instead of missing.
        measured: Share of scenes whose errors and scores are those that a real estimator made on real images.
        error_split: Which half of the measured errors: "train" leaves the other half for tests.
        varied: Turns, scales and mixes measured errors: the few there are could be learnt by heart.
    """

    jitter: tuple[float, float] = (0.001, 0.006)
    miss_view: float = 0.15
    miss_joint: float = 0.15
    outlier: float = 0.03
    swap: float = 0.02
    occlude: float = 0.2
    guess: float = 0.5
    measured: float = 0.5
    error_split: Literal["all", "train"] = "all"
    varied: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneStageConfig:
    """Backbone on the pseudo labels of the footage's images; only where `model.heatmap.source` is "backbone".

    Attributes:
        steps: Optimiser steps; 0 skips the stage.
        batch: Frames a step on a CPU, and on a GPU.
        learning_rate: Of Adam at its highest.
        background: Weight of pixels where nobody is labelled: below 1, people whom the estimator missed are not taught
            to be nobody. 1 is published.
        augment: Turns and zooms images; published without.
        photometric: Changes colours and cuts squares out; published without.
        floor_targets: Puts targets on whole pixels as the released code does, half a pixel off on average.
    """

    steps: int = 20_000
    batch: int = 1
    gpu_batch: int = 8
    learning_rate: float = 1e-4
    background: float = 1.0
    augment: bool = False
    photometric: bool = False
    floor_targets: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RootStageConfig:
    """Root network: synthetic points projected into this rig, and agreement of augmented versions on real heatmaps.

    Attributes:
        steps: Optimiser steps; 0 skips the stage.
        batch: Scenes a step on a CPU, and on a GPU.
        learning_rate: Of Adam at its highest.
        weight_synthetic: Of the squared error against the synthetic target.
        weight_consistency: Of the squared difference between augmented and plain versions of real heatmaps.
        real_batch: Real frames a step for the consistency; 0 leaves it out.
        side_share: Synthetic points stay this share of the capture volume's edge inside its sides.
        lowest_mm: And this far above its bottom,
        highest_mm: and this far below its top: heights at which hips are.
        common_height: One height for all points of a scene, as published; else some sit while others stand.
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
    side_share: float = 0.06
    lowest_mm: float = 250.0
    highest_mm: float = 300.0
    common_height: bool = True
    max_points: int = 9
    area_m2: float = 2.0
    noise: NoiseConfig = field(default_factory=lambda: NoiseConfig(miss_view=0.2))
    peak: tuple[float, float] = (0.3, 1.0)
    heatmap_noise: float = 0.02
    false_peaks: float = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class PoseSyntheticStageConfig:
    """Pose network on exact synthetic people in this rig: no label of the footage is involved. Optional.

    Attributes:
        steps: Optimiser steps; 0 skips the stage.
        batch: People a step on a CPU, and on a GPU.
        learning_rate: Of Adam at its highest.
        bodies: Number of random postures to draw from; each is turned, mirrored and sized anew at every use.
        neighbours: Most other people near the one that is looked for.
        root_error_mm: Standard deviation of the cube's centre.
        drop_view: Chance that a camera is left out entirely; two always stay.
        weight_planes: Of what each plane of a plane head says by itself; 0.2 is published.
        noise: Of the synthetic detections.
    """

    steps: int = 10_000
    batch: int = 8
    gpu_batch: int = 64
    learning_rate: float = 3e-4
    bodies: int = 20_000
    neighbours: int = 2
    root_error_mm: float = 40.0
    drop_view: float = 0.1
    weight_planes: float = 0.2
    noise: NoiseConfig = field(default_factory=NoiseConfig)


@dataclass(frozen=True, slots=True, kw_only=True)
class RayRefinerStageConfig:
    """The learned correction, on exact synthetic people; only where `model.pose.ray_refiner` is enabled.

    Attributes:
        steps: Optimiser steps; 0 skips the stage.
        batch: People a step on a CPU, and on a GPU.
        learning_rate: Of Adam at its highest.
        start_error_mm: Largest standard deviation of the joints that the correction starts from.
        weight_certainty: Of the likelihood that makes its covariances true.
        people: How people and their detections are made.
    """

    steps: int = 10_000
    batch: int = 48
    gpu_batch: int = 768
    learning_rate: float = 2e-3
    start_error_mm: float = 80.0
    weight_certainty: float = 0.05
    people: PoseSyntheticStageConfig = field(default_factory=lambda: PoseSyntheticStageConfig(neighbours=3))


@dataclass(frozen=True, slots=True, kw_only=True)
class TemporalStageConfig:
    """The learned smoother, on exact synthetic people who move; only where `model.temporal` is enabled.

    Attributes:
        steps: Optimiser steps; 0 skips the stage.
        batch: People a step.
        learning_rate: Of Adam at its highest.
        frames: Frames of a scene, of which a step sees a stretch.
        people: Most people in a scene.
        scenes: Number of scenes in all; each is made once as long as it is held.
        held: Scenes in memory at a time, of about 1 MB each.
        start_error_mm: Largest standard deviation of the joints that the correction starts from.
        weight_certainty: Of the likelihood that makes its covariances true.
        error_split: Which half of the measured errors: "train" leaves the other half for tests.
    """

    steps: int = 0
    batch: int = 16
    learning_rate: float = 1e-3
    frames: int = 48
    people: int = 4
    scenes: int = 4000
    held: int = 2000
    start_error_mm: float = 60.0
    weight_certainty: float = 0.3
    error_split: Literal["all", "train"] = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class PoseStageConfig:
    """Pose network on the footage, self-supervised: the joints found in one augmented version, projected into another.

    Each departure from the paper is a switch of its own; `paper_stage` has them all off.

    Attributes:
        steps: Optimiser steps; 0 skips the stage.
        batch: Frames a step on a CPU, and on a GPU.
        learning_rate: Of Adam at its highest.
        weight_heatmap: Of the rendered heatmaps' error.
        weight_joint: Of the matched joints' distance.
        joint_from: Share of the steps after which the joint loss starts.
        attention: How pixels that cannot be select_supported lose weight: by the published attention network, by the closed
            form that it converges to, or not at all.
        background: Weight of pixels where nobody is labelled, in the heatmap loss and the backbone's.
        hard_attention: Drops the one view of a batch with the largest joint loss.
        gate: A match counts while its mean error stays below this share of the heatmap's size; 0, as published, lets
            any match count.
        weight_backbone: Of the 2D network's own error on all versions, where there is one to train.
        weight_anchor: Of the distance to the triangulated people.
        anchor_mm: Joints further from them than this are not pulled.
        weight_consistency: Of the distance between the joints of both versions.
        weight_planes: Of the distance of each plane of a plane head to the joints that all of them make.
        drop_view: Chance that a camera's heatmaps are left out of the input while its labels still count.
        least_confidence: Labels below it do not count.
        photometric: Changes colours and cuts squares out of the images, where the networks look at images.
        accept: Redraws frames until every view shows somebody and both versions still show everybody.
        train_ray_refiner: Whether the learned correction is trained along, where there is one. 2D labels tell nothing of
            how sure it may be, so that it comes to believe them too far: with few cameras that did harm.
    """

    steps: int = 40_000
    batch: int = 2
    gpu_batch: int = 16
    learning_rate: float = 1e-4
    weight_heatmap: float = 1.0
    weight_joint: float = 0.01
    joint_from: float = 0.5
    attention: Literal["none", "closed", "network"] = "closed"
    background: float = 1.0
    hard_attention: bool = True
    gate: float = 0.1
    weight_backbone: float = 1.0
    weight_anchor: float = 0.1
    anchor_mm: float = 200.0
    weight_consistency: float = 0.02
    weight_planes: float = 0.02
    drop_view: float = 0.1
    least_confidence: float = 0.0
    photometric: bool = True
    accept: bool = False
    train_ray_refiner: bool = False


def paper_stage() -> PoseStageConfig:
    """The published pose stage: soft labels, attention network, no anchor, no agreement, nothing left out."""
    return PoseStageConfig(
        batch=1,
        gpu_batch=2,
        attention="network",
        gate=0.0,
        weight_anchor=0.0,
        weight_consistency=0.0,
        weight_planes=0.0,
        drop_view=0.0,
        accept=True,
    )


def finetune_stage() -> PoseStageConfig:
    """The published last stage: confident labels only, the joint loss from the start, half the learning rate."""
    return dataclasses.replace(
        paper_stage(), steps=0, learning_rate=5e-5, joint_from=0.0, least_confidence=0.3, accept=False
    )
