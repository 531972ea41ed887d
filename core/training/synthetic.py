"""Synthetic people in a rig, known exactly: training data of the root and pose network and the ray refiner.

All scenes of a batch are computed at once on the device and depend on the generator alone.

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
from core.models.view_batch import ViewBatch, float_tensor, render_view_batch
from core.synthetic.estimator_errors import ErrorBank
from core.synthetic.people import poses
from core.training.rng import DeviceRng
from core.training.stages.config import NoiseConfig, PoseSyntheticStageConfig, RootStageConfig
from core.types.arrays import F32, F64
from core.types.skeleton import COCO17, Skeleton, convert
from core.types.volume import CaptureVolume

_SIDE_SHARE = 0.06
"""Distance of people from the sides of the capture volume, as a share of its edge."""
_BODIES_SEED = 20_24


@dataclass(frozen=True, slots=True)
class RootScenes:
    """Synthetic root heatmaps and exact roots.

    Attributes:
        views: Heatmaps with one channel, (B, V, 1, H, W).
        roots_mm: (B, P, 3) exact roots.
        visible: (B, P) bool, roots that at least two views show, so that they can be found.
    """

    views: ViewBatch
    roots_mm: Tensor
    visible: Tensor


def root_points(
    volume: CaptureVolume, count: int, most: int, device_rng: DeviceRng, stage: RootStageConfig
) -> tuple[Tensor, Tensor]:
    """Draw roots (count, most, 3) mm and which of them exist (count, most): 1 to `most` in a scene.

    With the stage's `common_height`, as in the paper, a scene has one height with a standard deviation of 50 mm.
    Otherwise each person has a height of their own: some sit while others stand.
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
    """Render scenes of random roots as the views' root heatmaps; two in three with an augmented affine."""
    device_rng = DeviceRng(rng, scene.device)
    room = int(scene.volume.size_mm[:2].prod() / 1e6 / stage.area_per_person_m2)
    most = min(stage.max_points, max(2, room))
    roots, exists = root_points(scene.volume, count, most, device_rng, stage)
    rotation, zoom = random_augmentation(rng, count)
    plain = rng.random(count) < 1 / 3
    base = augment_affines(scene.base_affine, scene.size_hw, np.where(plain, 0, rotation), np.where(plain, 0, zoom))
    affine = float_tensor(base, scene.device)
    uv, ahead = scene.projector(roots)  # (B, V, P, 2)
    shown = ahead & scene.projector.inside(uv) & exists[:, None]
    shown = shown & ~device_rng.bernoulli(stage.noise.miss_view, *shown.shape)
    xy = to_heatmap(affine, uv + _jitter(uv.shape, scene, stage.noise, device_rng))
    peak = torch.where(shown, device_rng.uniform(*stage.peak, *shown.shape), 0.0)
    false_xy, false_peak = _false_peaks((count, uv.shape[1]), scene.size_hw, stage.false_peaks, device_rng)
    maps = render_heatmaps(
        torch.cat([xy, false_xy], 2)[:, :, :, None],
        torch.cat([peak, false_peak], 2)[..., None],
        scene.size_hw,
        scene.sigma_px,
    )
    maps = (maps + stage.heatmap_noise * device_rng.normal(*maps.shape)).clamp(0, 1)
    drawn = ViewBatch(
        heatmaps=maps,
        root=maps[:, :, 0],
        affine=affine,
        view_weight=torch.ones(maps.shape[:2], device=scene.device),
        joints=xy[:, :, :, None],
        peak=peak[..., None],
    )
    return RootScenes(drawn, roots, shown.sum(1) >= 2)


def root_target(volume: CaptureVolume, roots_mm: Tensor, visible: Tensor, sigma_mm: float) -> Tensor:
    """Compute the confidence volume (B, X, Y, Z): maximum of Gaussians around the roots, cut at 3 sigmas per axis."""
    low, high = (float_tensor(end, roots_mm.device) for end in (volume.low_mm, volume.high_mm))
    target = roots_mm.new_zeros(len(roots_mm), *volume.voxels)
    # A Gaussian is separable: one factor per axis.
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
    """Synthetic people with neighbours; one person of each scene is to be found.

    Attributes:
        views: Heatmaps (B, V, J, H, W).
        exact_mm: (B, J, 3) joints of the person.
        views_of: (B, J) number of remaining views in which each of the joints was detected.
        root_mm: (B, 3) approximate root of the person, such as the root network gives.
    """

    views: ViewBatch
    exact_mm: Tensor
    views_of: Tensor
    root_mm: Tensor


def pose_scenes(
    scene: CaptureScene, count: int, stage: PoseSyntheticStageConfig, rng: np.random.Generator, *, drawn: bool = True
) -> PoseScenes:
    """Place random people in the capture volume and simulate their detections: noise, gaps, swapped sides, lost views.

    Args:
        scene: Rig and capture volume.
        count: Number of scenes.
        stage: Settings of the stage.
        rng: Random generator.
        drawn: Render the heatmaps; without, only the detections are meaningful.
    """
    device_rng = DeviceRng(rng, scene.device)
    most = 1 + stage.neighbours
    exact = _people(scene, count, most, stage.bodies, device_rng)
    exists = torch.arange(most, device=scene.device) < device_rng.integers(1, most + 1, count, 1)
    J = exact.shape[2]
    uv, ahead = scene.projector(exact.flatten(1, 2))
    V = uv.shape[1]
    seen = (ahead & scene.projector.inside(uv)).view(count, V, most, J) & exists[:, None, :, None]
    xy_px, score = simulate_estimator(uv.view(count, V, most, J, 2), seen, scene, stage.noise, device_rng)
    kept = keep_two_views((~device_rng.bernoulli(stage.drop_view, count, V)).cpu().numpy(), rng)
    weight = float_tensor(kept, scene.device)
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
    """Return the views (B, V) that stay; where fewer than two are left, two random ones of `among` (B, V) stay."""
    order = rng.random(kept.shape) + (0 if among is None else ~among)
    two = np.argsort(np.argsort(order, 1), 1) < 2
    return np.asarray(np.where(kept.sum(1, keepdims=True) >= 2, kept, two))


def _complete_poses(count: int, rng: np.random.Generator, skeleton: Skeleton) -> F64:
    """Draw bodies (count, J, 3) mm, all joints of which must be known."""
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


def _people(scene: CaptureScene, count: int, most: int, bodies: int, device_rng: DeviceRng) -> Tensor:
    """Draw people (count, most, J, 3) mm: bodies of any heading, scaled by up to 7 %, half of them mirrored."""
    drawn = _bodies_on(bodies, scene.skeleton, device_rng.device)
    xyz = drawn[device_rng.integers(0, len(drawn), count, most)]
    mirrored = device_rng.bernoulli(0.5, count, most)[..., None, None]
    xyz = torch.where(mirrored, xyz[..., list(scene.skeleton.mirror), :] * xyz.new_tensor([1, -1, 1]), xyz)
    angle, size = device_rng.uniform(-torch.pi, torch.pi, count, most), device_rng.uniform(0.93, 1.07, count, most, 1)
    c, s = angle.cos()[..., None], angle.sin()[..., None]
    x, y, z = xyz.unbind(-1)
    places = _places(scene.volume, count, most, device_rng)[:, :, None]  # (count, most, 1, 2)
    return torch.stack([size * (c * x - s * y) + places[..., 0], size * (s * x + c * y) + places[..., 1], size * z], -1)


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


def _jitter(shape: torch.Size, scene: CaptureScene, noise: NoiseConfig, device_rng: DeviceRng) -> Tensor:
    """Draw errors in image px of points (B, V, P, 2): one level per scene, scaled by each camera's image size."""
    long_side = scene.projector.size_px.amax(-1)[:, None, None]
    level = device_rng.uniform(*noise.jitter, shape[0], 1, 1, 1)
    return level * long_side * device_rng.normal(*shape)


def simulate_estimator(
    xy_px: Tensor, seen: Tensor, scene: CaptureScene, noise: NoiseConfig, device_rng: DeviceRng
) -> tuple[Tensor, Tensor]:
    """Simulate an estimator's detections of joints (B, V, P, J, 2): image px and scores, 0 where missing.

    Joints differ in quality, and scores correlate with it as those of real estimators do.
    """
    shape = tuple(seen.shape)
    outlier = torch.where(device_rng.bernoulli(noise.outlier, *shape), 10.0, 1.0)
    quality = torch.exp(-0.25 + 0.5 * device_rng.normal(*shape)) * outlier
    error = _jitter(xy_px.flatten(2, 3).shape, scene, noise, device_rng).view(xy_px.shape) * quality[..., None]
    score = 0.97 / (1 + 0.5 * quality.clamp_max(3) ** 2) + 0.05 * device_rng.normal(*shape)
    found = ~device_rng.bernoulli(noise.miss_joint, *shape)
    if noise.measured:
        real_error, real_score = _measured(xy_px, noise, scene.skeleton, device_rng)
        real = device_rng.bernoulli(noise.measured, shape[0], 1, 1, 1)
        error = torch.where(real[..., None], real_error, error)
        score, found = torch.where(real, real_score, score), torch.where(real, real_score > 0, found)
    found = found & seen
    found = found & ~device_rng.bernoulli(noise.miss_view, *shape[:3])[..., None]
    shift, hidden, guessed = _occlude(xy_px, noise, scene.skeleton, device_rng)
    error = torch.where(hidden[..., None], shift, error)
    score = torch.where(hidden, torch.minimum(score, device_rng.uniform(0.05, 0.6, *shape)), score).clamp(0.05, 1.0)
    found = found & (~hidden | guessed)
    # Swapped sides: positions stay, names change.
    swapped, mirror = device_rng.bernoulli(noise.swap, *shape[:3])[..., None], list(scene.skeleton.mirror)
    xy_px = xy_px + error
    xy_px = torch.where(swapped[..., None], xy_px[:, :, :, mirror], xy_px)
    found = torch.where(swapped, found[:, :, :, mirror], found)
    return xy_px, torch.where(found, score, 0.0)


def _measured(xy_px: Tensor, noise: NoiseConfig, skeleton: Skeleton, device_rng: DeviceRng) -> tuple[Tensor, Tensor]:
    """Draw errors px (B, V, P, J, 2) and scores (B, V, P, J) measured on a real estimator, 0 where it found nothing."""
    error, score = _measured_errors(noise.error_split, skeleton, device_rng.device)
    shape, J, mirror = tuple(xy_px.shape[:3]), len(skeleton), list(skeleton.mirror)
    row = device_rng.integers(0, len(error), *shape, 1)
    if noise.varied:
        row = torch.where(device_rng.bernoulli(0.5, *shape, 1), device_rng.integers(0, len(error), *shape, J), row)
    row = row.expand(*shape, J)
    joint = torch.arange(J, device=device_rng.device)
    mirrored = device_rng.bernoulli(0.5, *shape)[..., None]
    error, score = error[row, joint], score[row, joint]
    flipped = error[..., mirror, :] * error.new_tensor([-1.0, 1.0])
    error = torch.where(mirrored[..., None], flipped, error)
    if noise.varied:
        angle, size = (
            device_rng.uniform(-torch.pi, torch.pi, *shape, 1),
            (0.1 + 0.3 * device_rng.normal(*shape, 1)).exp(),
        )
        c, s = size * angle.cos(), size * angle.sin()
        x, y = error.unbind(-1)
        error = torch.stack([c * x - s * y, s * x + c * y], -1)
    size = (xy_px.amax(3) - xy_px.amin(3)).amax(-1)[..., None, None].clamp_max(_LARGEST_PX)
    return error * size, torch.where(mirrored, score[..., mirror], score)


@lru_cache(maxsize=2)
def _measured_errors(part: str, skeleton: Skeleton, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return single frames of the measured errors: (N, J, 2) as shares of the person's size, and scores (N, J)."""
    errors = ErrorBank.load("movenet", part)
    error, score = convert(errors.error.reshape(-1, 17, 2), errors.score.reshape(-1, 17), COCO17, skeleton)
    some = (score > 0).sum(-1) >= _LEAST_FOUND
    error, score = error[some], score[some]
    return float_tensor(np.nan_to_num(error), device), float_tensor(score, device)


def _occlude(
    xy_px: Tensor, noise: NoiseConfig, skeleton: Skeleton, device_rng: DeviceRng
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw occluded limbs of people (B, V, P, J, 2): errors px of guesses, which joints are hidden, which are guessed.

    The joints of a hidden limb are guessed together: most of the error is common to them, and it scales with the
    person's size in the image.
    """
    shape = tuple(xy_px.shape)
    limbs = torch.from_numpy(_limbs(skeleton)).to(device_rng.device)
    limb = device_rng.integers(0, len(limbs), *shape[:3])
    hidden = limbs[limb] & device_rng.bernoulli(noise.occlude, *shape[:3])[..., None]
    size = (xy_px.amax(3) - xy_px.amin(3)).amax(-1)[..., None, None]  # (B, V, P, 1, 1)
    shift = 0.08 * device_rng.normal(*shape[:3], 1, 2) + 0.04 * device_rng.normal(*shape)
    return shift * size.clamp_max(_LARGEST_PX), hidden, device_rng.bernoulli(noise.guess, *shape[:4])


_LARGEST_PX = 4000.0
_LEAST_FOUND = 4


@lru_cache(maxsize=2)
def _limbs(skeleton: Skeleton) -> np.ndarray:
    """Return (L, J) bool: joints that are occluded together by furniture, other people and the body itself."""
    arms = [[f"{side}_elbow", f"{side}_wrist"] for side in ("left", "right")]
    legs = [[f"{side}_knee", f"{side}_ankle"] for side in ("left", "right")]
    hips = ["left_hip", "right_hip", "mid_hip"]
    sides = [
        arm + leg + [f"{side}_shoulder", f"{side}_hip"]
        for side, arm, leg in zip(("left", "right"), arms, legs, strict=True)
    ]
    groups = [*arms, *legs, legs[0] + legs[1], legs[0] + legs[1] + hips, arms[0] + arms[1], *sides]
    return np.array([[joint in group for joint in skeleton.joints] for group in groups])


def _false_peaks(
    shape: tuple[int, int], size_hw: tuple[int, int], mean: float, device_rng: DeviceRng
) -> tuple[Tensor, Tensor]:
    """Draw false peaks: heatmap px (B, V, 3, 2) and heights (B, V, 3), most of them 0."""
    xy = device_rng.uniform(0.0, 1.0, *shape, 3, 2) * torch.tensor([size_hw[1], size_hw[0]], device=device_rng.device)
    height = device_rng.uniform(0.2, 0.8, *shape, 3)
    return xy, torch.where(device_rng.bernoulli(mean / 3, *shape, 3), height, 0.0)
