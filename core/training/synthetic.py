"""Made-up people in the real rig, known exactly: what the root and the pose network learn from first.

Everything is vectorised over the batch, in numpy, and depends on the generator alone.

Legend: B batch, V view, P point or person, J joint, X Y Z voxel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from core.models.affine import augment, draw_augmentation
from core.models.networks import ROOT, Scene
from core.models.projection import to_heatmap
from core.models.render import render
from core.models.unproject import grid_points
from core.models.views import Views, render_views, tensor
from core.synthetic.people import poses
from core.training.config import NoiseConfig, PoseSyntheticStage, RootStage
from core.types.arrays import F64
from core.types.skeleton import PANOPTIC15
from core.types.space import CaptureSpace

_LOWEST_MM, _HIGHEST_MM = 250.0, 300.0
"""Roots stay this far above the bottom and below the top of the space (SelfPose3d's values)."""
_SIDE_SHARE = 0.06
"""And this share of its edge inside its sides."""


@dataclass(frozen=True, slots=True)
class RootScenes:
    """Synthetic root heatmaps and where the roots are.

    Attributes:
        views: Heatmaps with one channel, (B, V, 1, H, W).
        roots_mm: (B, P, 3).
        visible: (B, P) bool: shown by two views at least, so that they can be found.
    """

    views: Views
    roots_mm: Tensor
    visible: Tensor


def root_points(space: CaptureSpace, count: int, most: int, rng: np.random.Generator) -> tuple[F64, np.ndarray]:
    """Random roots (count, most, 3) mm and which of them exist (count, most): 1 to `most` in a scene.

    One height a scene, plus 50 mm of spread: people of a scene sit or stand on one floor.
    """
    low, high = space.low_mm.copy(), space.high_mm.copy()
    side = _SIDE_SHARE * space.size_mm[:2]
    low[:2], high[:2] = low[:2] + side, high[:2] - side
    base = rng.uniform(low[2] + _LOWEST_MM, high[2] - _HIGHEST_MM, (count, 1))
    xyz = rng.uniform(low, high, (count, most, 3))
    xyz[..., 2] = base + rng.normal(0, 50, (count, most))
    exists = np.arange(most) < rng.integers(1, most + 1, (count, 1))
    return xyz, exists


def root_scenes(scene: Scene, count: int, stage: RootStage, rng: np.random.Generator) -> RootScenes:
    """Scenes of random roots as the views' root heatmaps would show them; two in three with an augmented affine."""
    room = int(scene.space.size_mm[:2].prod() / 1e6 / stage.area_m2)
    xyz, exists = root_points(scene.space, count, min(stage.max_points, max(2, room)), rng)
    rotation, zoom = draw_augmentation(rng, count)
    plain = rng.random(count) < 1 / 3
    base = augment(scene.base_affine, scene.size_hw, np.where(plain, 0, rotation), np.where(plain, 0, zoom))
    affine, roots = tensor(base, scene.device), tensor(xyz, scene.device)
    uv, ahead = scene.projector(roots)  # (B, V, P, 2)
    shown = (ahead & scene.projector.inside(uv)).cpu().numpy() & exists[:, None]
    shown &= rng.random(shown.shape) >= stage.noise.miss_view
    xy = to_heatmap(affine, uv + tensor(_jitter(uv.shape, scene, stage.noise, rng), scene.device))
    peak = np.where(shown, rng.uniform(*stage.peak, shown.shape), 0)
    false_xy, false_peak = _false_peaks(shown.shape[:2], scene.size_hw, stage.false_peaks, rng)
    maps = render(
        torch.cat([xy, tensor(false_xy, scene.device)], 2)[:, :, :, None],
        torch.cat([tensor(peak, scene.device), tensor(false_peak, scene.device)], 2)[..., None],
        scene.size_hw,
        scene.sigma_px,
    )
    noise = rng.standard_normal(maps.shape, dtype=np.float32) * stage.heatmap_noise
    maps = (maps + tensor(noise, scene.device)).clamp(0, 1)
    ones = torch.ones(shown.shape[:2], device=scene.device)
    drawn = Views(
        heatmaps=maps,
        root=maps[:, :, 0],
        affine=affine,
        view_weight=ones,
        joints=xy[:, :, :, None],
        peak=tensor(peak, scene.device)[..., None],
    )
    return RootScenes(drawn, roots, torch.as_tensor(shown.sum(1) >= 2).to(scene.device))


def root_target(space: CaptureSpace, roots_mm: Tensor, visible: Tensor, sigma_mm: float) -> Tensor:
    """Confidence (B, X, Y, Z): the highest of Gaussians around the roots, each cut at three sigmas along every axis."""
    device = roots_mm.device
    grid = grid_points(tensor(space.size_mm, device), space.voxels)
    grid = grid + tensor(space.centre_mm, device)
    target = torch.zeros(len(roots_mm), len(grid), device=device)
    for person in range(roots_mm.shape[1]):  # a few people; all at once would not fit a cache
        apart = grid - roots_mm[:, person, None]
        value = torch.exp(-apart.square().sum(-1) / (2 * sigma_mm**2))
        near = (apart.abs() <= 3 * sigma_mm).all(-1) & visible[:, person, None]
        target = torch.maximum(target, value * near)
    return target.view(-1, *space.voxels)


@dataclass(frozen=True, slots=True)
class PoseScenes:
    """Synthetic people with others beside them; one of each scene is looked for.

    Attributes:
        views: Heatmaps (B, V, J, H, W).
        exact_mm: (B, J, 3) of the one.
        views_of: (B, J) in how many of the remaining views each of its joints was detected.
        root_mm: (B, 3) a guess of the one's root, as the root network would give it.
    """

    views: Views
    exact_mm: Tensor
    views_of: Tensor
    root_mm: Tensor


def pose_scenes(
    scene: Scene, count: int, stage: PoseSyntheticStage, rng: np.random.Generator, *, drawn: bool = True
) -> PoseScenes:
    """Random people placed in the capture space, seen by this rig with noise, gaps, exchanged sides and lost views.

    Without `drawn` the heatmaps stay empty, for those who look at the detections alone.
    """
    most = 1 + stage.neighbours
    xyz = poses(count * most, rng, skeleton=PANOPTIC15).reshape(count, most, -1, 3)
    xyz[..., :2] += _places(scene.space, count, most, rng)[:, :, None]
    exists = np.arange(most) < rng.integers(1, most + 1, (count, 1))
    exact = tensor(xyz, scene.device)
    uv, ahead = scene.projector(exact.flatten(1, 2))
    on_picture = (ahead & scene.projector.inside(uv)).cpu().numpy()
    V, J = uv.shape[1], xyz.shape[2]
    xy_px = uv.cpu().numpy().reshape(count, V, most, J, 2)
    seen = on_picture.reshape(xy_px.shape[:-1]) & exists[:, None, :, None]
    xy_px, score = _detect(xy_px, seen, scene, stage.noise, rng)
    weight = keep_two_views(rng.random((count, V)) >= stage.drop_view, rng)
    views = render_views(
        tensor(xy_px, scene.device),
        tensor(score, scene.device),
        scene.affine.expand(count, -1, -1, -1),
        tensor(weight, scene.device),
        scene.size_hw if drawn else (1, 1),
        scene.sigma_px,
    )
    guess = xyz[:, 0, ROOT] + rng.normal(0, stage.root_error_mm, (count, 3))
    views_of = ((score[:, :, 0] > 0) & (weight[:, :, None] > 0)).sum(1)
    return PoseScenes(views, exact[:, 0], tensor(views_of, scene.device), tensor(guess, scene.device))


def joints_around_root(count: int, rng: np.random.Generator) -> F64:
    """Joints (count, J, 3) of random synthetic bodies, mm from their mid-hip."""
    xyz = poses(count, rng, skeleton=PANOPTIC15)
    return np.asarray(xyz - xyz[:, ROOT, None])


def keep_two_views(kept: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Which views (B, V) stay, as bool, with two random ones restored where fewer were left."""
    order = rng.random(kept.shape)
    two = np.argsort(np.argsort(order, 1), 1) < 2
    return np.asarray(np.where(kept.sum(1, keepdims=True) >= 2, kept, two))


def _places(space: CaptureSpace, count: int, most: int, rng: np.random.Generator) -> F64:
    """(count, most, 2) places on the floor: the first anywhere, the others half a metre to two metres beside it."""
    side = _SIDE_SHARE * space.size_mm[:2]
    first = rng.uniform(space.low_mm[:2] + side, space.high_mm[:2] - side, (count, 1, 2))
    angle, apart = rng.uniform(0, 2 * np.pi, (count, most)), rng.uniform(450, 2000, (count, most))
    beside = first + apart[..., None] * np.stack([np.cos(angle), np.sin(angle)], -1)
    beside[:, :1] = first
    return np.asarray(beside)


def _jitter(shape: torch.Size, scene: Scene, noise: NoiseConfig, rng: np.random.Generator) -> F64:
    """Error in picture px of points (B, V, P, 2): one level a scene, times the size of each camera's picture."""
    long_side = np.array([max(c.size_px) for c in scene.rig])[:, None, None]
    level = rng.uniform(*noise.jitter, (shape[0], 1, 1, 1))
    return np.asarray(level * long_side * rng.standard_normal(tuple(shape)))


def _detect(
    xy_px: F64, seen: np.ndarray, scene: Scene, noise: NoiseConfig, rng: np.random.Generator
) -> tuple[F64, F64]:
    """What an estimator would report of joints (B, V, P, J, 2): places and scores, 0 where missing.

    Joints differ in quality, and scores tell of it as those of real estimators do.
    """
    quality = np.exp(rng.normal(-0.25, 0.5, seen.shape)) * np.where(rng.random(seen.shape) < noise.outlier, 10, 1)
    flat = xy_px.reshape(*xy_px.shape[:2], -1, 2)
    error = _jitter(torch.Size(flat.shape), scene, noise, rng).reshape(xy_px.shape)
    score = np.clip(0.97 / (1 + 0.5 * np.minimum(quality, 3) ** 2) + rng.normal(0, 0.05, seen.shape), 0.1, 1.0)
    found = seen & (rng.random(seen.shape) >= noise.miss_joint)
    found &= rng.random(seen.shape[:3])[..., None] >= noise.miss_view
    shift, hidden, guessed = _occlude(xy_px, noise, rng)
    error = np.where(hidden[..., None], shift, error * quality[..., None])
    score = np.where(hidden, np.minimum(score, rng.uniform(0.05, 0.6, seen.shape)), score)
    found &= ~hidden | guessed
    # Sides are exchanged as a detector does it: the places stay, the names change.
    swapped = (rng.random(seen.shape[:3]) < noise.swap)[..., None]
    mirror = list(PANOPTIC15.mirror)
    xy_px = xy_px + error
    xy_px = np.where(swapped[..., None], xy_px[:, :, :, mirror], xy_px)
    found = np.where(swapped, found[:, :, :, mirror], found)
    return xy_px, np.where(found, score, 0.0)


def _occlude(xy_px: F64, noise: NoiseConfig, rng: np.random.Generator) -> tuple[F64, np.ndarray, np.ndarray]:
    """Hidden limbs of people (B, V, P, J, 2): shifts px of guesses, which joints are hidden, and which are guessed.

    The joints of a hidden limb are guessed together: most of a guess's error is common to them, and it grows with the
    person's size in the picture.
    """
    limb = rng.integers(len(_LIMBS), size=xy_px.shape[:3])
    hidden = _LIMBS[limb] & (rng.random(xy_px.shape[:3]) < noise.occlude)[..., None]
    size = np.ptp(xy_px, axis=3).max(-1)[..., None, None]  # (B, V, P, 1, 1)
    shape = xy_px.shape
    common = rng.standard_normal((*shape[:3], 1, 2))
    shift = (0.08 * common + 0.04 * rng.standard_normal(shape)) * np.minimum(size, 4000)
    guessed = rng.random(shape[:4]) < noise.guess
    return np.asarray(shift), hidden, guessed


def _limbs() -> np.ndarray:
    """(N, J) bool: joints that furniture, other people and one's own body hide together."""
    arms = [[f"{side}_elbow", f"{side}_wrist"] for side in ("left", "right")]
    legs = [[f"{side}_knee", f"{side}_ankle"] for side in ("left", "right")]
    hips = ["left_hip", "right_hip", "mid_hip"]
    sides = [
        arm + leg + [f"{side}_shoulder", f"{side}_hip"]
        for side, arm, leg in zip(("left", "right"), arms, legs, strict=True)
    ]
    groups = [*arms, *legs, legs[0] + legs[1], legs[0] + legs[1] + hips, arms[0] + arms[1], *sides]
    return np.array([[joint in group for joint in PANOPTIC15.joints] for group in groups])


_LIMBS = _limbs()


def _false_peaks(
    shape: tuple[int, ...], size_hw: tuple[int, int], mean: float, rng: np.random.Generator
) -> tuple[F64, F64]:
    """Invented peaks: heatmap px (B, V, 3, 2) and heights (B, V, 3), most of them 0."""
    xy = rng.uniform(0, 1, (*shape, 3, 2)) * [size_hw[1], size_hw[0]]
    return xy, np.where(rng.random((*shape, 3)) < mean / 3, rng.uniform(0.2, 0.8, (*shape, 3)), 0.0)
