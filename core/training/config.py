"""Settings of training. Torch-free: the window reads it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Literal

from core.errors import CoreError
from core.models.config import (
    HeatmapConfig,
    ModelConfig,
    MotionConfig,
    PoseNetConfig,
    RayRefinerConfig,
    RefineConfig,
    RootNetConfig,
    VolumeNetConfig,
)
from core.registry import closest


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitConfig:
    """Which frames are kept out of training, to measure on.

    Attributes:
        share: Of all frames.
        blocks: Stretches of time that the held-out frames form, spread evenly.
        guard: Frames beside each block that belong to neither part: neighbours are near-copies.
        camera: Camera that held-out frames are also measured in without the networks seeing it; "auto" chooses one in
            rigs of four or more, empty measures in none.
        train_on_camera: Whether the networks train on what it shows in the other frames. Without, it is left out of
            the labels, of what the labels are cleaned with, and of all steps on the footage: the strictest measure,
            at the price of a camera.
    """

    share: float = 0.2
    blocks: int = 2
    guard: int = 2
    camera: str = "auto"
    train_on_camera: bool = True


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
        bank: Which half of the measured errors: "train" leaves the other half for tests.
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
    bank: Literal["all", "train"] = "all"
    varied: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneStage:
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
class RigsConfig:
    """The rigs that synthetic people are seen by.

    Attributes:
        random: Made-up rigs as well as the footage's own: networks that serve rigs they never saw.
        own_share: Chance that a step plays in the footage's own rig all the same.
        count: Number of made-up rigs.
        held: Of these in memory at once.
        cameras: Least and largest number of cameras.
    """

    random: bool = False
    own_share: float = 0.2
    count: int = 1000
    held: int = 24
    cameras: tuple[int, int] = (2, 10)

    def __post_init__(self) -> None:
        if not 2 <= self.cameras[0] <= self.cameras[1] or self.count < 1 or self.held < 1:
            raise CoreError(
                f"Rigs of {self.cameras[0]} to {self.cameras[1]} cameras, {self.count} of them, cannot be made.",
                "Use two cameras or more, and at least one rig.",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class RootStage:
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
class PoseSyntheticStage:
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
class RaysStage:
    """The learned correction, on exact synthetic people; only where `model.pose.rays` is enabled.

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
    people: PoseSyntheticStage = field(default_factory=lambda: PoseSyntheticStage(neighbours=3))


@dataclass(frozen=True, slots=True, kw_only=True)
class MotionStage:
    """The learned smoother, on exact synthetic people who move; only where `model.motion` is enabled.

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
        bank: Which half of the measured errors: "train" leaves the other half for tests.
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
    bank: Literal["all", "train"] = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class PoseStage:
    """Pose network on the footage, self-supervised: the joints found in one augmented version, projected into another.

    Each departure from the paper is a switch of its own; `paper_stage` has them all off.

    Attributes:
        steps: Optimiser steps; 0 skips the stage.
        batch: Frames a step on a CPU, and on a GPU.
        learning_rate: Of Adam at its highest.
        weight_heatmap: Of the rendered heatmaps' error.
        weight_joint: Of the matched joints' distance.
        joint_from: Share of the steps after which the joint loss starts.
        attention: How pixels that cannot be explained lose weight: by the published attention network, by the closed
            form that it converges to, or not at all.
        background: Weight of pixels where nobody is labelled, in the heatmap loss and the backbone's.
        hard_attention: Drops the one view of a batch with the largest joint loss.
        gate: A match counts while its mean error stays below this share of the heatmap's size; 0, as published, lets
            any match count.
        weight_backbone: Of the 2D network's own error on all versions, where there is one to train.
        weight_anchor: Of the distance to the triangulated people.
        anchor_mm: Joints further from them than this are not pulled.
        weight_agreement: Of the distance between the joints of both versions.
        weight_planes: Of the distance of each plane of a plane head to the joints that all of them make.
        drop_view: Chance that a camera's heatmaps are left out of the input while its labels still count.
        least_confidence: Labels below it do not count.
        photometric: Changes colours and cuts squares out of the images, where the networks look at images.
        accept: Redraws frames until every view shows somebody and both versions still show everybody.
        through_rays: Whether the learned correction is trained along, where there is one. 2D labels tell nothing of
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
    weight_agreement: float = 0.02
    weight_planes: float = 0.02
    drop_view: float = 0.1
    least_confidence: float = 0.0
    photometric: bool = True
    accept: bool = False
    through_rays: bool = False


def paper_stage() -> PoseStage:
    """The published pose stage: soft labels, attention network, no anchor, no agreement, nothing left out."""
    return PoseStage(
        batch=1,
        gpu_batch=2,
        attention="network",
        gate=0.0,
        weight_anchor=0.0,
        weight_agreement=0.0,
        weight_planes=0.0,
        drop_view=0.0,
        accept=True,
    )


def finetune_stage() -> PoseStage:
    """The published last stage: confident labels only, the joint loss from the start, half the learning rate."""
    return dataclasses.replace(
        paper_stage(), steps=0, learning_rate=5e-5, joint_from=0.0, least_confidence=0.3, accept=False
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """Training of the root and pose networks.

    Attributes:
        name: Of the preset that these settings come from: says which shipped networks belong to them.
        seed: The randomness of a step depends on this, the stage and the step alone, so that a resumed run is exact.
        device: "auto", "cuda", "mps" or "cpu".
        precision: What the networks compute in: "auto" is bf16 where the device gains by it.
        model: The networks.
        split: What is held out.
        start: Networks to start from: "shipped" are those that come with the program for these settings, trained on
            synthetic people in made-up rigs; a folder is that of a checkpoint; empty starts from noise.
        volume_mm: Lowest and highest corner of the box that the root network looks into, x y z x y z in the world; empty
            derives it from the rig and the people in the takes.
        labels: What training aims at: "clean" are 2D joints that all views agree on, with confidences; "raw" are the
            estimator's own, all of them, as published.
        rigs: Where synthetic people are seen.
        backbone: Heatmaps from images.
        root: Where people are.
        pose_synthetic: Bodies, from synthetic people.
        rays: The learned correction.
        motion: The learned smoother.
        pose: Bodies, from the footage.
        finetune: The same on confident labels.
        warmup: Share of a stage in which the learning rate rises; it falls along a cosine afterwards.
        clip_gradient: Largest norm of the gradient.
        measure_every: Steps between two held-out figures.
        measure_frames: Most held-out frames a figure is measured on.
        checkpoint_s: Seconds between two checkpoints.
        max_minutes: A safety for slow machines: a stage that used up its part of this time ends early, with a note.
    """

    name: str = ""
    seed: int = 0
    device: str = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    model: ModelConfig = field(default_factory=ModelConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    start: str = ""
    volume_mm: tuple[float, ...] = ()
    labels: Literal["clean", "raw"] = "clean"
    rigs: RigsConfig = field(default_factory=RigsConfig)
    backbone: BackboneStage = field(default_factory=BackboneStage)
    root: RootStage = field(default_factory=RootStage)
    pose_synthetic: PoseSyntheticStage = field(default_factory=PoseSyntheticStage)
    rays: RaysStage = field(default_factory=RaysStage)
    motion: MotionStage = field(default_factory=MotionStage)
    pose: PoseStage = field(default_factory=PoseStage)
    finetune: PoseStage = field(default_factory=finetune_stage)
    warmup: float = 0.05
    clip_gradient: float = 1.0
    measure_every: int = 50
    measure_frames: int = 16
    checkpoint_s: float = 30.0
    max_minutes: float = 600.0

    def __post_init__(self) -> None:
        if self.volume_mm and (
            len(self.volume_mm) != 6 or any(a >= b for a, b in zip(self.volume_mm[:3], self.volume_mm[3:], strict=True))
        ):
            raise CoreError(
                f"training.volume_mm is {list(self.volume_mm)}.",
                "Give six numbers, the lowest corner and then the highest: x y z x y z in mm.",
            )


def quick() -> TrainConfig:
    """Minutes on two cores: half-width networks, coarse volumes, the learned correction, few steps."""
    net = VolumeNetConfig(width=0.5, front_kernel=3)
    return TrainConfig(
        name="quick",
        start="shipped",
        model=ModelConfig(
            heatmap=HeatmapConfig(long_side_px=128, sigma_px=2.0),
            root=RootNetConfig(net=VolumeNetConfig(width=0.25, front_kernel=3), spacing_mm=120.0, threshold=0.12),
            pose=PoseNetConfig(net=net, voxels=32, rays=RayRefinerConfig(enabled=True)),
            motion=MotionConfig(enabled=True),
        ),
        root=RootStage(steps=100, batch=4, learning_rate=5e-4, common_height=False),
        pose_synthetic=PoseSyntheticStage(steps=160, batch=8, learning_rate=1e-3),
        rays=RaysStage(steps=0),  # going on in a single rig made the shipped one worse, with few cameras
        pose=PoseStage(steps=70, batch=2, learning_rate=3e-4, joint_from=0.3),
        max_minutes=14.0,
    )


def fast() -> TrainConfig:
    """The lightest networks, for live use: plane heads and the learned correction over the 2D estimator's joints."""
    net = VolumeNetConfig(width=0.5, front_kernel=3)
    return TrainConfig(
        name="fast",
        start="shipped",
        model=ModelConfig(
            heatmap=HeatmapConfig(long_side_px=128, sigma_px=2.0),
            root=RootNetConfig(head="planes", net=net, spacing_mm=100.0, threshold=0.12),
            pose=PoseNetConfig(head="planes", net=net, voxels=32, rays=RayRefinerConfig(enabled=True, rounds=1)),
            motion=MotionConfig(enabled=True),
        ),
        root=RootStage(steps=3000, batch=4, learning_rate=1e-3, common_height=False),
        pose_synthetic=PoseSyntheticStage(steps=3000, batch=8, learning_rate=1e-3, bodies=100_000),
        rays=RaysStage(steps=0),  # as in `quick`
        pose=PoseStage(steps=2000, batch=2, learning_rate=1e-4, joint_from=0.3),
    )


def paper() -> TrainConfig:
    """SelfPose3d as published, defects mended: a backbone on the images, 3D networks, no synthetic bodies, no priors.

    Needs a GPU, and the backbone a file of weights to start from; see `model.backbone.weights`.
    """
    published = NoiseConfig(
        jitter=(0.0, 0.0), miss_view=0.0, miss_joint=0.0, outlier=0.0, swap=0.0, occlude=0.0, measured=0.0
    )
    return TrainConfig(
        name="paper",
        model=ModelConfig(
            heatmap=HeatmapConfig(source="backbone"),
            attention_net=True,
            root=RootNetConfig(heatmap_skip=False, merge_mm=0.0),
            pose=PoseNetConfig(
                heatmap_skip=False,
                evidence_floor=0.0,
                gate=False,
                merge_mm=0.0,
                refine=RefineConfig(enabled=False),
            ),
        ),
        labels="raw",
        backbone=BackboneStage(),
        root=RootStage(noise=published, peak=(1.0, 1.0), false_peaks=0.0, area_m2=1.0),
        pose_synthetic=PoseSyntheticStage(steps=0),
        rays=RaysStage(steps=0),
        pose=paper_stage(),
        finetune=dataclasses.replace(finetune_stage(), steps=15_000),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PresetCard:
    """A preset in words.

    Attributes:
        title: Short.
        what: One sentence on what it trains.
        needs: What it cannot do without; empty for nothing.
    """

    title: str
    what: str
    needs: str = ""


PRESETS = {"quick": quick, "fast": fast, "paper": paper}
"""Name to function that makes the settings."""
CARDS = {
    "quick": PresetCard(title="Quick", what="Small networks, some minutes on any computer."),
    "fast": PresetCard(
        title="Fast",
        what="The lightest networks, trained for long: for live use. Hours without a GPU, minutes with one.",
    ),
    "paper": PresetCard(
        title="Paper",
        what="SelfPose3d as published: looks at the images themselves.",
        needs="A GPU with 12 GB, and a ResNet or Pose-ResNet file to start the backbone from.",
    ),
}
"""Name to words; every preset has some."""


def preset(name: str) -> TrainConfig:
    """The settings of that name.

    Raises:
        CoreError: There are none.
    """
    if name not in PRESETS:
        raise CoreError(f"There is no training preset named '{name}'.", closest(name, list(PRESETS)))
    return PRESETS[name]()
