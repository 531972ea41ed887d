"""Settings of the networks. Torch-free: the window reads them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from core.errors import CoreError


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatmapConfig:
    """Input heatmaps of the networks, one channel per joint.

    Attributes:
        source: Source of the heatmaps. "joints" draws a Gaussian at each 2D joint, with its score as the height.
            "estimator" reads the heatmaps stored by the 2D estimator; joints without a channel, the heatmap of the root
            network, and synthetic people are drawn. "backbone" infers them from the images with a network trained on
            pseudo labels of the takes.
        long_side_px: Longer side of a heatmap in pixels; images are scaled to it at their aspect ratio.
        sigma_px: Standard deviation of the Gaussian of a joint, in heatmap pixels.
    """

    source: Literal["joints", "estimator", "backbone"] = "joints"
    long_side_px: int = 240
    sigma_px: float = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneConfig:
    """2D network that infers heatmaps from images, used if `heatmap.source` is "backbone".

    Attributes:
        depth: Depth of the residual network; the published backbone has 50, the published attention network 18.
        width: Factor on the number of channels of every residual stage; 1 is the published network.
        deconv_channels: Number of channels of the three transposed convolutions.
        stride: Input pixels per heatmap pixel; 4 is the published value, 2 takes images of half the size.
        weights: File with initial weights, Pose-ResNet or ResNet in their usual naming. If empty, weights are random.
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
    """3D encoder-decoder network of the root and pose networks.

    Attributes:
        width: Factor on all numbers of channels; 1 is the published network.
        front_kernel: Kernel size of the first convolution. The published 7 takes a quarter of the pose network's time;
            3 is faster.
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
    """Root network: a confidence per voxel of the capture volume, whose peaks are the people.

    Attributes:
        head: Kind of network. "volume" is the paper's 3D network; "planes" locates people in a bird's-eye view and then
            their height, after Faster-VoxelPose (ECCV 2022), with two orders of magnitude fewer operations.
        net: Architecture of the 3D network.
        spacing_mm: Approximate voxel spacing; the capture volume has multiples of 4 voxels.
        sigma_mm: Standard deviation of the target Gaussian around a root.
        max_people: Maximum number of proposals per frame.
        threshold: Minimum confidence of a proposal.
        merge_mm: Distance below which only the best of several proposals is kept.
        heatmap_skip: Add the fused heatmaps, times a learned factor, to the output (a departure from the paper): the
            network then only has to learn which intersections of rays are ghosts.
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
    """Ray refiner: a network that weights the views of each joint and applies a learned prior of bodies.

    Attributes:
        enabled: Refine the joints of the pose network with the ray refiner.
        channels: Number of channels.
        layers: Number of attention blocks.
        heads: Number of heads per attention block.
        rounds: Number of refinement rounds; each linearises the projections at the refined joints.
        window_sigmas: Radius around the reprojection, in heatmap sigmas, within which a heatmap peak is used in views
            without detections.
        max_std_mm: Maximum standard deviation of a joint along an axis; joints above it are missing. 0 keeps all.
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
    """Temporal refiner: a network over consecutive frames (a departure from the paper, which has none).

    Attributes:
        enabled: Refine the joints over time; needs the covariances of the ray refiner.
        channels: Number of channels.
        layers: Number of attention blocks.
        heads: Number of heads per attention block.
        frames: Number of frames per window.
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
    """Pose network: the joints of one person in a cube around the root.

    Attributes:
        head: Kind of network. "volume" is the paper's 3D network; "planes" projects the cube onto three planes and uses
            one 2D network, after Faster-VoxelPose (ECCV 2022).
        net: Architecture of the 3D network.
        voxels: Number of points along an edge of the cube, end points included; a multiple of 4.
        cube_mm: Edge length of the cube.
        beta: Inverse temperature of the soft-argmax.
        heatmap_skip: Add the fused heatmaps, times a learned factor, to the output (a departure from the paper): the
            untrained network then is a soft-argmax of the fused heatmaps.
        gain: Initial value of the factor of `heatmap_skip`, which is learned per joint.
        evidence_floor: Value e of h -> log(1 + h/e) / log(1 + 1/e), applied to heatmaps before the mean over views,
            which makes it a log-likelihood with a floor for outliers; 0 takes the plain mean, as in the paper.
        merge_mm: Mean joint distance below which only the better of two skeletons is kept.
        gate: Use only detections that match the root, and drop people without detections (a departure from the paper:
            heatmaps do not tell which joints belong to one person).
        min_views: Minimum number of views with a detection that matches a root better than any other root; roots with
            fewer are dropped, which allows a low threshold of the root network.
        ray_refiner: Settings of the ray refiner.
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
    """Settings of all networks and their input.

    Attributes:
        heatmap: Settings of the input heatmaps.
        backbone: Settings of the 2D network that infers heatmaps from images.
        attention_net: Train the published attention network, which weights the pixels of the heatmap loss.
        root: Settings of the root network, which locates people.
        pose: Settings of the pose network, which locates the joints of a person.
        temporal: Settings of the temporal refiner.
    """

    heatmap: HeatmapConfig = field(default_factory=HeatmapConfig)
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    attention_net: bool = False
    root: RootNetConfig = field(default_factory=RootNetConfig)
    pose: PoseNetConfig = field(default_factory=PoseNetConfig)
    temporal: TemporalRefinerConfig = field(default_factory=TemporalRefinerConfig)
