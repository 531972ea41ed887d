"""Settings of the networks. Torch-free: the window reads them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from core.errors import CoreError


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatmapConfig:
    """The small images that the networks look at: a channel a joint.

    Attributes:
        source: "joints" draws a Gaussian for each 2D joint, as high as its score. "estimator" takes the heatmaps that
            the 2D estimator stored; those joints it has no channel for, the root network's map, and synthetic people
            stay drawn. "backbone" takes those of a network of our own, trained on the footage's pseudo labels.
        long_side_px: Longer side of a heatmap; a view's image is fitted into it, aspect kept.
        sigma_px: Standard deviation of a joint's Gaussian, in heatmap px.
    """

    source: Literal["joints", "estimator", "backbone"] = "joints"
    long_side_px: int = 240
    sigma_px: float = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneConfig:
    """The 2D network that makes heatmaps of images, where they are not taken from the 2D estimator.

    Attributes:
        depth: Of the residual network: 50 is the published backbone, 18 the published attention network's.
        width: Factor on the number of channels of every residual stage; 1 is the published network.
        deconv_channels: Channels of the three transposed convolutions.
        stride: Image px of its input for one heatmap px: 4 is the published one; 2 takes images of half the size.
        weights: File with weights to start from: Pose-ResNet or ResNet in their usual naming. Empty starts from noise.
    """

    depth: Literal[18, 50] = 50
    width: float = 1.0
    deconv_channels: int = 256
    stride: Literal[2, 4] = 4
    weights: str = ""

    def __post_init__(self) -> None:
        if self.width <= 0 or self.deconv_channels < 1:
            raise CoreError(
                f"A backbone of width {self.width} with {self.deconv_channels} deconvolution channels cannot be built.",
                "Use positive numbers.",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeNetConfig:
    """The 3D encoder-decoder that both networks use.

    Attributes:
        width: Factor on every number of channels; 1 is the published network.
        front_kernel: Edge of the first convolution. The published 7 costs a quarter of the pose network; 3 is cheaper.
    """

    width: float = 1.0
    front_kernel: int = 7

    def __post_init__(self) -> None:
        if self.width <= 0 or self.front_kernel % 2 == 0:
            raise CoreError(
                f"A volume network of width {self.width} with a front kernel of {self.front_kernel} cannot be built.",
                "Use a positive width and an odd kernel.",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class RootNetConfig:
    """Where people are: a confidence for every voxel of the capture volume, and its peaks.

    Attributes:
        head: "volume" is the paper's 3D network. "planes" looks for people from above and then for their height, after
            Faster-VoxelPose (ECCV 2022): two orders of magnitude fewer operations.
        spacing_mm: Distance of voxels, about; the capture volume rounds it to multiples of 4 voxels.
        sigma_mm: Standard deviation of the target around a root.
        max_people: Most proposals per frame.
        threshold: Least confidence of a proposal.
        merge_mm: Of proposals closer than this only the best one stays.
        heatmap_skip: Adds the fused heatmaps to the network's output, times a trained factor (a departure from the
            paper): the network then learns which crossings of rays are ghosts instead of everything.
    """

    head: Literal["volume", "planes"] = "volume"
    net: VolumeNetConfig = field(default_factory=VolumeNetConfig)
    spacing_mm: float = 101.0
    sigma_mm: float = 200.0
    max_people: int = 10
    threshold: float = 0.3
    merge_mm: float = 300.0
    heatmap_skip: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class RayRefinerConfig:
    """Last correction by a network instead: how far to believe each view, and what bodies look like.

    Attributes:
        enabled: Whether it is done, in place of Gauss-Newton.
        channels: Width.
        layers: Blocks.
        heads: Of each attention.
        rounds: Times that it is applied, the lens linearised anew each time.
        window_sigmas: Where a view has no detections, a heatmap peak counts within so many sigmas of the reprojection.
        max_std_mm: Joints whose expected error along an axis is larger are given as missing; 0 gives all.
    """

    enabled: bool = False
    channels: int = 64
    layers: int = 3
    heads: int = 4
    rounds: int = 2
    window_sigmas: float = 2.5
    max_std_mm: float = 60.0

    def __post_init__(self) -> None:
        if self.channels % self.heads:
            raise CoreError(
                f"{self.channels} channels cannot be shared by {self.heads} heads.", "Use a multiple of the heads."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class TemporalRefinerConfig:
    """What the frames before and after tell of a joint; a departure from the paper, which sees each frame by itself.

    Attributes:
        enabled: Whether it is done; goes with the learned correction, whose covariances it needs.
        channels: Width.
        layers: Blocks.
        heads: Of each attention.
        frames: Frames that it looks at together.
    """

    enabled: bool = False
    channels: int = 64
    layers: int = 3
    heads: int = 4
    frames: int = 32

    def __post_init__(self) -> None:
        if self.channels % self.heads or self.frames < 4:
            raise CoreError(
                f"{self.channels} channels, {self.heads} heads and {self.frames} frames do not go together.",
                "Use a multiple of the heads, and at least four frames.",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class PoseNetConfig:
    """The joints of one person in a cube around the root.

    Attributes:
        head: "volume" is the paper's 3D network. "planes" looks at the cube from three sides with one 2D network, after
            Faster-VoxelPose (ECCV 2022).
        voxels: Points along an edge of the cube, end points included; a multiple of 4.
        cube_mm: Edge of the cube.
        beta: Sharpness of the soft-argmax.
        heatmap_skip: Adds `gain` times the fused heatmaps to the network's output (a departure from the paper): the
            untrained network then already is a soft-argmax of what the views agree on, and training learns the rest.
        gain: Starting value of that factor; it is trained with the network, one value a joint.
        evidence_floor: With e > 0 the views are fused after h -> log(1 + h/e) / log(1 + 1/e), so that their mean is a
            log-likelihood with a floor for outliers; 0 fuses plain heatmaps as the paper does.
        merge_mm: Of skeletons whose joints are closer than this on average only the better one stays.
        gate: Shows the network only those detections that fit the root, and drops people without detections of their
            own (a departure from the paper: heatmaps forget which joints belong together).
        min_views: A root stays where at least so many views have a detection that fits it better than anybody else. It
            lets the root network's threshold be low: what it invents owns no detections.
    """

    head: Literal["volume", "planes"] = "volume"
    net: VolumeNetConfig = field(default_factory=VolumeNetConfig)
    voxels: int = 64
    cube_mm: float = 2000.0
    beta: float = 100.0
    heatmap_skip: bool = True
    gain: float = 0.4
    evidence_floor: float = 0.02
    merge_mm: float = 150.0
    gate: bool = True
    min_views: int = 2
    ray_refiner: RayRefinerConfig = field(default_factory=RayRefinerConfig)

    def __post_init__(self) -> None:
        if self.voxels < 4 or self.voxels % 4:
            raise CoreError(
                f"A pose cube of {self.voxels} voxels cannot be halved twice.", "Use a multiple of 4, such as 32 or 64."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """All networks and their input.

    Attributes:
        heatmap: What they look at.
        backbone: The 2D network, where `heatmap.source` is "backbone".
        attention_net: Whether there is the published attention network beside it; for training only.
        root: Where people are.
        pose: Their joints.
        temporal: What other frames tell of them.
    """

    heatmap: HeatmapConfig = field(default_factory=HeatmapConfig)
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    attention_net: bool = False
    root: RootNetConfig = field(default_factory=RootNetConfig)
    pose: PoseNetConfig = field(default_factory=PoseNetConfig)
    temporal: TemporalRefinerConfig = field(default_factory=TemporalRefinerConfig)
