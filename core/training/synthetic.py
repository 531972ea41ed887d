"""Exact synthetic people in a rig: training data of the root network, the pose network and the ray refiner.

All scenes of a batch are computed at once on the device and depend only on the generator.

Legend: B batch, V view, P point or person, J joint, L limb, N body, X Y Z voxel.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from core.errors import CoreError
from core.models.geometry.affine import augment_affines, random_augmentation
from core.models.geometry.projection import to_heatmap
from core.models.geometry.render import render_heatmaps
from core.models.scene import CaptureScene
from core.models.view_batch import ViewBatch, float_tensor, mid_hips, render_view_batch
from core.synthetic.people import poses
from core.training.rng import DeviceRng
from core.training.simulated_detections import kept_views, simulate_detections
from core.training.stages.config import PoseSyntheticStageConfig, RootStageConfig
from core.types.arrays import F32, F64
from core.types.skeleton import Skeleton
from core.types.volume import CaptureVolume

_SIDE_SHARE = 0.06
"""Distance of people from the sides of the capture volume, as a fraction of its edge length."""
_BODIES_SEED, _ROOT_BODIES = 20_24, 20_000
_BESIDE_PX = 4.0
"""Standard deviation of false peaks from their person, in heatmap px."""


@dataclass(frozen=True, slots=True)
class RootScenes:
    """Synthetic root heatmaps and exact roots.

    Attributes:
        views: Heatmaps with one channel, (B, V, 1, H, W).
        roots_mm: (B, P, 3) exact roots.
        visible: (B, P) bool, True for roots visible in at least two views, which can be found.
    """

    views: ViewBatch
    roots_mm: Tensor
    visible: Tensor


def root_points(
    volume: CaptureVolume, count: int, most: int, device_rng: DeviceRng, stage: RootStageConfig
) -> tuple[Tensor, Tensor]:
    """Draw roots (count, most, 3) mm and the mask (count, most) of existing ones: 1 to `most` in a scene.

    With the stage's `common_height`, as in the paper, a scene has one height with a standard deviation of 50 mm.
    Otherwise each person has a separate height: some sit while others stand.
    """
    low, high = volume.low_mm.copy(), volume.high_mm.copy()
    side = stage.side_share * volume.size_mm[:2]
    low[:2], high[:2] = low[:2] + side, high[:2] - side
    low[2], high[2] = low[2] + stage.lowest_mm, high[2] - stage.highest_mm
    xyz = device_rng.uniform(
        float_tensor(low, device_rng.device), float_tensor(high, device_rng.device), count, most, 3
    )
    if stage.common_height:
        base = device_rng.uniform(float(low[2]), float(high[2]), count, 1)
        xyz[..., 2] = base + 50 * device_rng.normal(count, most)
    exists = torch.arange(most, device=device_rng.device) < device_rng.integers(1, most + 1, count, 1)
    return xyz, exists


def root_scenes(scene: CaptureScene, count: int, stage: RootStageConfig, rng: np.random.Generator) -> RootScenes:
    """Render scenes of random roots as the views' root heatmaps, two in three with an augmented affine."""
    device_rng = DeviceRng(rng, scene.device)
    room = int(scene.volume.size_mm[:2].prod() / 1e6 / stage.area_per_person_m2)
    most = min(stage.max_points, max(2, room))
    roots, exists = root_points(scene.volume, count, most, device_rng, stage)
    rotation, zoom = random_augmentation(rng, count)
    plain = rng.random(count) < 1 / 3
    base = augment_affines(scene.base_affine, scene.size_hw, np.where(plain, 0, rotation), np.where(plain, 0, zoom))
    affine = float_tensor(base, scene.device)
    xyz = roots[:, :, None] + _bodies_around(scene.skeleton, count, most, device_rng)  # (B, P, J, 3)
    xy_px, seen = _project(scene, xyz, exists)
    xy_px, score = simulate_detections(xy_px, seen, scene, stage.noise, device_rng)
    weight = kept_views(count, xy_px.shape[1], stage.noise, device_rng)
    xy = to_heatmap(affine, xy_px.flatten(2, 3)).view(xy_px.shape)
    hips, peak = mid_hips(xy, score, scene.skeleton)
    shown = (peak[..., 0] > 0) & (weight[..., None] > 0)
    if stage.peak:
        peak = torch.where(peak > 0, device_rng.uniform(stage.peak[0], stage.peak[1], *peak.shape), 0.0)
    false_xy, false_peak = _false_peaks(hips[:, :, :, 0], shown, scene.size_hw, stage.false_peaks, device_rng)
    maps = render_heatmaps(
        torch.cat([hips, false_xy], 2), torch.cat([peak, false_peak], 2), scene.size_hw, scene.sigma_px
    )
    maps = (maps + stage.heatmap_noise * device_rng.normal(*maps.shape)).clamp(0, 1)
    drawn = ViewBatch(heatmaps=maps, root=maps[:, :, 0], affine=affine, view_weight=weight, joints=hips, peak=peak)
    return RootScenes(drawn, roots, shown.sum(1) >= 2)


def root_target(volume: CaptureVolume, roots_mm: Tensor, visible: Tensor, sigma_mm: float) -> Tensor:
    """Compute the confidence volume (B, X, Y, Z): maximum of Gaussians around the roots, cut at 3 sigmas per axis."""
    low, high = (float_tensor(end, roots_mm.device) for end in (volume.low_mm, volume.high_mm))
    target = roots_mm.new_zeros(len(roots_mm), *volume.voxels)
    # Gaussians are separable: one factor per axis.
    axes = [
        torch.linspace(float(a), float(b), n, device=low.device)
        for a, b, n in zip(low, high, volume.voxels, strict=True)
    ]
    along = []
    for axis, places in enumerate(axes):
        apart = places - roots_mm[..., axis, None]  # (B, P, voxels of the axis)
        along.append(torch.exp(-apart.square() / (2 * sigma_mm**2)) * (apart.abs() <= 3 * sigma_mm))
    x, y, z = along[0] * visible[..., None], along[1], along[2]
    for person in range(roots_mm.shape[1]):  # few; all at once would exceed the cache
        floor = x[:, person, :, None] * y[:, person, None, :]
        target = torch.maximum(target, floor[..., None] * z[:, person, None, None, :])
    return target


@dataclass(frozen=True, slots=True)
class PoseScenes:
    """Synthetic people with neighbours; the target is one person of each scene.

    Attributes:
        views: Heatmaps (B, V, J, H, W).
        exact_mm: (B, J, 3) joints of the target person.
        views_of: (B, J) number of remaining views in which each of the joints was detected.
        root_mm: (B, 3) approximate root of the target person, such as from the root network.
    """

    views: ViewBatch
    exact_mm: Tensor
    views_of: Tensor
    root_mm: Tensor


def pose_scenes(
    scene: CaptureScene, count: int, stage: PoseSyntheticStageConfig, rng: np.random.Generator, *, drawn: bool = True
) -> PoseScenes:
    """Place random people in the capture volume and simulate their detections: noise, gaps, side swaps, lost views.

    Args:
        scene: Rig and capture volume.
        count: Number of scenes.
        stage: Settings of the stage.
        rng: Random generator.
        drawn: Render the heatmaps; if False, only the detections are meaningful.
    """
    device_rng = DeviceRng(rng, scene.device)
    most = 1 + stage.neighbours
    exact = _people(scene, count, most, stage.bodies, device_rng)
    exists = torch.arange(most, device=scene.device) < device_rng.integers(1, most + 1, count, 1)
    xy_px, seen = _project(scene, exact, exists)
    xy_px, score = simulate_detections(xy_px, seen, scene, stage.noise, device_rng)
    weight = kept_views(count, xy_px.shape[1], stage.noise, device_rng)
    views = render_view_batch(
        xy_px,
        score,
        scene.affine.expand(count, -1, -1, -1),
        weight,
        scene.size_hw if drawn else (1, 1),
        scene.sigma_px,
        scene.skeleton,
    )
    guess = exact[:, 0, list(scene.skeleton.root_joints)].mean(1) + stage.root_error_mm * device_rng.normal(count, 3)
    views_of = ((score[:, :, 0] > 0) & (weight[:, :, None] > 0)).sum(1)
    return PoseScenes(views, exact[:, 0], views_of, guess)


def root_relative_joints(count: int, rng: np.random.Generator, skeleton: Skeleton) -> F64:
    """Draw the joints (count, J, 3) mm of random synthetic bodies relative to the root.

    Raises:
        CoreError: Synthetic bodies lack a joint of the skeleton.
    """
    xyz = _complete_poses(count, rng, skeleton)
    return np.asarray(xyz - skeleton.root_position(xyz)[:, None])


def keep_two_views(kept: np.ndarray, rng: np.random.Generator, among: np.ndarray | None = None) -> np.ndarray:
    """Return the mask (B, V) of views to keep; with fewer than two left, add two random ones of `among` (B, V)."""
    order = rng.random(kept.shape) + (0 if among is None else ~among)
    two = np.argsort(np.argsort(order, 1), 1) < 2
    return np.asarray(np.where(kept.sum(1, keepdims=True) >= 2, kept, two))


def _complete_poses(count: int, rng: np.random.Generator, skeleton: Skeleton) -> F64:
    """Draw bodies (count, J, 3) mm, all of whose joints must be known."""
    xyz = poses(count, rng, skeleton=skeleton)
    known = np.isfinite(xyz).all((0, 2))
    if not known.all():
        raise CoreError(
            f"Synthetic people have no joint '{skeleton.joints[known.argmin()]}', which skeleton {skeleton.name} has.",
            "Set model.skeleton to joints that can be derived from COCO-17.",
        )
    return xyz


@lru_cache(maxsize=2)
def _bodies(count: int, skeleton: Skeleton) -> F32:
    """Return bodies (N, J, 3) on the floor, the mid-hip above the origin; rotated and scaled at every use."""
    return _complete_poses(count, np.random.default_rng(_BODIES_SEED), skeleton).astype(np.float32)


@lru_cache(maxsize=2)
def _bodies_on(count: int, skeleton: Skeleton, device: torch.device) -> Tensor:
    return torch.from_numpy(_bodies(count, skeleton)).to(device)


def _bodies_around(
    skeleton: Skeleton, count: int, most: int, device_rng: DeviceRng, bodies: int = _ROOT_BODIES
) -> Tensor:
    """Draw people (count, most, J, 3) mm relative to their roots; see `_people`."""
    xyz = _rotated(skeleton, count, most, bodies, device_rng)
    return xyz - xyz[:, :, list(skeleton.root_joints)].mean(2, keepdim=True)


def _people(scene: CaptureScene, count: int, most: int, bodies: int, device_rng: DeviceRng) -> Tensor:
    """Draw people (count, most, J, 3) mm who stand on the floor of the capture volume."""
    xyz = _rotated(scene.skeleton, count, most, bodies, device_rng)
    places = _places(scene.volume, count, most, device_rng)
    return xyz + torch.nn.functional.pad(places, (0, 1))[:, :, None]


def _rotated(skeleton: Skeleton, count: int, most: int, bodies: int, device_rng: DeviceRng) -> Tensor:
    """Draw bodies (count, most, J, 3) mm of any heading, scaled by up to 7 %, half of them mirrored."""
    drawn = _bodies_on(bodies, skeleton, device_rng.device)
    xyz = drawn[device_rng.integers(0, len(drawn), count, most)]
    mirrored = device_rng.bernoulli(0.5, count, most)[..., None, None]
    xyz = torch.where(mirrored, xyz[..., list(skeleton.mirror), :] * xyz.new_tensor([1, -1, 1]), xyz)
    angle, size = device_rng.uniform(-torch.pi, torch.pi, count, most), device_rng.uniform(0.93, 1.07, count, most, 1)
    c, s = angle.cos()[..., None], angle.sin()[..., None]
    x, y, z = xyz.unbind(-1)
    return size[..., None] * torch.stack([c * x - s * y, s * x + c * y, z], -1)


def _project(scene: CaptureScene, xyz_mm: Tensor, exists: Tensor) -> tuple[Tensor, Tensor]:
    """Project people (B, P, J, 3): image px (B, V, P, J, 2), and the mask of existing joints in the image."""
    B, P, J, _ = xyz_mm.shape
    uv, ahead = scene.projector(xyz_mm.flatten(1, 2))
    seen = (ahead & scene.projector.inside(uv)).view(B, -1, P, J)
    return uv.view(B, -1, P, J, 2), seen & exists[:, None, :, None]


def _places(volume: CaptureVolume, count: int, most: int, device_rng: DeviceRng) -> Tensor:
    """Draw (count, most, 2) positions on the floor: the first anywhere, the others 0.45 to 2 m away from it."""
    side = _SIDE_SHARE * volume.size_mm[:2]
    low, high = (
        float_tensor(volume.low_mm[:2] + side, device_rng.device),
        float_tensor(volume.high_mm[:2] - side, device_rng.device),
    )
    first = device_rng.uniform(low, high, count, 1, 2)
    angle, apart = device_rng.uniform(0, 2 * torch.pi, count, most), device_rng.uniform(450, 2000, count, most)
    beside = first + apart[..., None] * torch.stack([angle.cos(), angle.sin()], -1)
    return torch.cat([first, beside[:, 1:]], 1)


def _false_peaks(
    hips: Tensor, shown: Tensor, size_hw: tuple[int, int], mean: float, device_rng: DeviceRng
) -> tuple[Tensor, Tensor]:
    """Draw false peaks: heatmap px (B, V, 4, 1, 2) and heights (B, V, 4, 1), most of them 0.

    They are anywhere, or near one of the hips (B, V, P, 2) where `shown` (B, V, P): people who are detected twice.
    """
    B, V, P = shown.shape
    xy = device_rng.uniform(0.0, 1.0, B, V, 4, 2) * torch.tensor([size_hw[1], size_hw[0]], device=device_rng.device)
    person = device_rng.integers(0, P, B, V, 2)
    beside = hips.gather(2, person[..., None].expand(-1, -1, -1, 2)) + _BESIDE_PX * device_rng.normal(B, V, 2, 2)
    xy[:, :, :2] = torch.where(shown.gather(2, person)[..., None], beside, xy[:, :, :2])
    height = device_rng.uniform(0.2, 0.8, B, V, 4)
    return xy[:, :, :, None], torch.where(device_rng.bernoulli(mean / 4, B, V, 4), height, 0.0)[..., None]
