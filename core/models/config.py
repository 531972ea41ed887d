"""Settings of the networks. Torch-free: the window reads them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from core.errors import CoreError
from core.types.skeleton import skeleton


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatmapConfig:
    """Input of the networks: heatmaps with one channel per joint.

    Attributes:
        source: "joints" renders a Gaussian for each 2D joint, as high as its score. "estimator" takes the heatmaps
            stored by the 2D estimator; joints without a channel, the root network's input and synthetic people stay
            rendered. "backbone" takes those of a network that is trained on the footage's pseudo labels.
        long_side_px: Longer side of a heatmap; a view's image is fitted into it with its aspect ratio.
        sigma_px: Standard deviation of a joint's Gaussian, in heatmap px.
    """

    source: Literal["joints", "estimator", "backbone"] = "joints"
    long_side_px: int = 240
    sigma_px: float = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneConfig:
    """The 2D network that computes heatmaps from images, with `heatmap.source` "backbone".

    Attributes:
        depth: Depth of the residual network: 50 is the paper's backbone, 18 its attention network.
        width: Factor on the number of channels of every residual stage; 1 is the paper's network.
        deconv_channels: Channels of the three transposed convolutions.
        stride: Image px of its input per heatmap px: 4 is the paper's; 2 reads images of half the size.
        weights: File with initial weights, of a Pose-ResNet or ResNet in their usual naming. Empty starts from noise.
    """

    depth: Literal[18, 50] = 50
    width: float = 1.0
    deconv_channels: int = 256
    stride: Literal[2, 4] = 4
    weights: str = ""

    def __post_init__(self) -> None:
        if self.width <= 0 or self.deconv_channels < 1:
            raise CoreError(
                f"A backbone of width {self.width} with {self.deconv_channels} deconvolution channels is invalid.",
                "Use positive numbers.",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeNetConfig:
    """The encoder-decoder (V2V) of the root and pose network.

    Attributes:
        width: Factor on every number of channels; 1 is the paper's network.
        front_kernel: Edge of the first convolution. The paper's 7 costs a quarter of the pose network; 3 is cheaper.
    """

    width: float = 1.0
    front_kernel: int = 7

    def __post_init__(self) -> None:
        if self.width <= 0 or self.front_kernel % 2 == 0:
            raise CoreError(
                f"A volume network of width {self.width} with a front kernel of {self.front_kernel} is invalid.",
                "Use a positive width and an odd kernel.",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class RootNetConfig:
    """The root network: a confidence for every voxel of the capture volume, and its peaks.

    Attributes:
        head: "volume" is the paper's 3D network. "planes" finds people in bird's-eye view and then their height, after
            Faster-VoxelPose (ECCV 2022): two orders of magnitude fewer operations.
        net: The encoder-decoder.
        spacing_mm: Approximate voxel spacing; the capture volume rounds it to multiples of 4 voxels.
        sigma_mm: Standard deviation of the target around a root.
        max_people: Largest number of proposals per frame.
        threshold: Smallest confidence of a proposal.
        merge_mm: Distance below which only the best of several proposals stays.
        heatmap_skip: Add the fused heatmaps to the network's output, times a trained factor (a departure from the
            paper): the network then learns which ray intersections are ghosts instead of everything.
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
    """Refinement of joints by a network that weights the views and knows what bodies look like.

    Attributes:
        enabled: Refine joints.
        channels: Number of channels.
        layers: Number of blocks.
        heads: Number of heads of each attention.
        rounds: Number of times it is applied, each with the cameras linearised at the current joints.
        window_sigmas: Where a view has no detections, a heatmap peak counts within so many sigmas of the projection.
        max_std_mm: Joints with a larger expected error along an axis are reported as missing, unless the rig allows no
            smaller one there; 0 reports all.
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
                f"{self.channels} channels cannot be divided among {self.heads} heads.",
                "Use a multiple of the number of heads.",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class TemporalRefinerConfig:
    """Smoothing over time by a network; a departure from the paper, which treats each frame by itself.

    Attributes:
        enabled: Smooth over time; needs the ray refiner, whose covariances it uses.
        channels: Number of channels.
        layers: Number of blocks.
        heads: Number of heads of each attention.
        frames: Number of frames of a window.
    """

    enabled: bool = False
    channels: int = 64
    layers: int = 3
    heads: int = 4
    frames: int = 32

    def __post_init__(self) -> None:
        if self.channels % self.heads or self.frames < 4:
            raise CoreError(
                f"A temporal refiner of {self.channels} channels, {self.heads} heads, {self.frames} frames is invalid.",
                "Use a multiple of the number of heads as channels, and at least four frames.",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class PoseNetConfig:
    """The pose network: the joints of one person in a cube around the root.

    Attributes:
        head: "volume" is the paper's 3D network. "planes" projects the cube onto three planes, read by one 2D network,
            after Faster-VoxelPose (ECCV 2022).
        net: The encoder-decoder.
        voxels: Points along an edge of the cube, end points included; a multiple of 4.
        cube_mm: Edge of the cube.
        beta: Inverse temperature of the soft-argmax.
        heatmap_skip: Add `gain` times the fused heatmaps to the network's output (a departure from the paper):
            untrained, the network is a soft-argmax of the fused heatmaps, and training learns the rest.
        gain: Initial value of that factor, which is trained per joint.
        evidence_floor: With e > 0 views are fused after h -> log(1 + h/e) / log(1 + 1/e), so that their mean is a
            log-likelihood with a floor for outliers; 0 fuses plain heatmaps as the paper does.
        merge_mm: Mean joint distance below which only the better of two skeletons stays.
        gate: Show the network only detections that fit the root, and drop people without exclusive detections (a
            departure from the paper: heatmaps do not know which joints belong together).
        min_views: Smallest number of views with a detection that fits a root better than any other. It allows a low
            threshold of the root network: its false proposals have no exclusive detections.
        ray_refiner: Refinement of the joints.
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
        skeleton: Name of the joint set that the networks predict: "panoptic15", "coco17" or "coco19".
        heatmap: Input of the networks.
        backbone: The 2D network, with `heatmap.source` "backbone".
        attention_net: Build the paper's attention network beside the backbone; for training only.
        root: Root network.
        pose: Pose network.
        temporal: Temporal refiner.
    """

    skeleton: str = "panoptic15"
    heatmap: HeatmapConfig = field(default_factory=HeatmapConfig)
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    attention_net: bool = False
    root: RootNetConfig = field(default_factory=RootNetConfig)
    pose: PoseNetConfig = field(default_factory=PoseNetConfig)
    temporal: TemporalRefinerConfig = field(default_factory=TemporalRefinerConfig)

    def __post_init__(self) -> None:
        _ = skeleton(self.skeleton).root_joints  # Raises for an unknown name, and for joints without a root.
