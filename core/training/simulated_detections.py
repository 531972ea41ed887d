"""Simulation of an estimator's detections of exact people, independently per frame, on the device.

The structured errors are those of `core.synthetic.confusions`, without their correlation over time.

Legend: B batch, V view, P person, J joint, L limb.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from core.models.scene import CaptureScene
from core.models.view_batch import float_tensor
from core.synthetic.confusions import BORROW_REACH, borrowed_masks, derived_joints, limb_masks, side_masks
from core.synthetic.estimator_errors import VARIED_SIGMA, ErrorBank
from core.training.rng import DeviceRng
from core.training.stages.config import NoiseConfig
from core.types.skeleton import COCO17, Skeleton, convert

_JOINT_FACTOR = {
    "nose": 1.3,
    "eye": 1.3,
    "ear": 1.2,
    "hip": 1.4,
    "elbow": 1.1,
    "wrist": 1.2,
    "knee": 0.8,
    "ankle": 0.8,
}
"""Errors of joints relative to those of the shoulders."""
_OUTLIER, _QUALITY_SIGMA = 8.0, 0.6
_USUAL_ERROR = 0.0125
"""Standard deviation of the error to which scores are relative, as a fraction of the person's size."""
_SCORE_NOISE = 0.12
_LEAST_SCORE = 0.05
_LARGEST_PX = 4000.0
_LEAST_FOUND = 4


def simulate_detections(
    xy_px: Tensor, seen: Tensor, scene: CaptureScene, noise: NoiseConfig, device_rng: DeviceRng
) -> tuple[Tensor, Tensor]:
    """Simulate the detections of joints (B, V, P, J, 2), of which `seen` (B, V, P, J) are in the image.

    Joints differ in quality, and scores correlate with it as in real estimators.

    Returns:
        Image px (B, V, P, J, 2) and scores (B, V, P, J), 0 where missing.
    """
    shape, skeleton = tuple(seen.shape), scene.skeleton
    size = (xy_px.amax(3) - xy_px.amin(3)).amax(-1)[..., None].clamp(1.0, _LARGEST_PX)  # (B, V, P, 1)
    error, score, found = _errors(size, shape, scene, noise, device_rng)
    if noise.measured:
        real_error, real_score = _measured(size, shape, noise, skeleton, device_rng)
        real = device_rng.bernoulli(noise.measured, shape[0], 1, 1, 1)
        error = torch.where(real[..., None], real_error, error)
        score, found = torch.where(real, real_score, score), torch.where(real, real_score > 0, found)
    found = found & seen
    found = found & ~device_rng.bernoulli(noise.miss_view, *shape[:3])[..., None]
    shift, hidden, guessed = _occlude(size, shape, noise, skeleton, device_rng)
    error = torch.where(hidden[..., None], shift, error)
    score = torch.where(hidden, torch.minimum(score, device_rng.uniform(0.05, 0.6, *shape)), score)
    score = score.clamp(_LEAST_SCORE, 1.0)
    found = found & (~hidden | guessed)
    detected = _borrow(xy_px + error, torch.where(found, score, 0.0), xy_px, seen, noise, skeleton, device_rng)
    xy, score = _swap(*detected, noise, skeleton, device_rng)
    for joint, parts in derived_joints(skeleton):
        xy[..., joint, :] = xy[..., parts, :].mean(-2)
        score[..., joint] = score[..., parts].amin(-1)
    return xy + _rig_error(xy, scene, noise, device_rng), score


def kept_views(count: int, views: int, noise: NoiseConfig, device_rng: DeviceRng) -> Tensor:
    """Return the weights (count, V) of the views; some entries use only a random number of them."""
    rank = device_rng.uniform(0.0, 1.0, count, views).argsort(1).argsort(1)
    few = device_rng.integers(2, max(views, 2) + 1, count, 1)
    kept = torch.where(device_rng.bernoulli(noise.few_views, count, 1), few, views)
    return (rank < kept).float()


def _errors(
    size: Tensor, shape: tuple[int, ...], scene: CaptureScene, noise: NoiseConfig, device_rng: DeviceRng
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw errors px (B, V, P, J, 2), scores, and masks of the found joints: log-normal with outliers."""
    level, cell = (_log_uniform(*ends, shape[0], device_rng) for ends in (noise.jitter, noise.resolution))
    long_side = scene.projector.size_px.amax(-1)[:, None, None]
    share = (
        (level * _joint_factors(scene.skeleton, device_rng.device)).square() + (cell * long_side / size).square()
    ).sqrt()
    outlier = torch.where(device_rng.bernoulli(noise.outlier, *shape), _OUTLIER, 1.0)
    quality = torch.exp(_QUALITY_SIGMA * (device_rng.normal(*shape) - _QUALITY_SIGMA / 2)) * outlier
    error = (share * size * quality)[..., None] * device_rng.normal(*shape, 2)
    relative = (quality * (share / _USUAL_ERROR).clamp_min(0.5)).clamp_max(4.0)
    score = 0.95 / (1 + 0.25 * relative.square()) + _SCORE_NOISE * device_rng.normal(*shape)
    return error, score, ~device_rng.bernoulli(noise.miss_joint, *shape)


def _log_uniform(low: float, high: float, count: int, device_rng: DeviceRng) -> Tensor:
    """Draw one level (count, 1, 1, 1) per scene; 0 if `high` is 0."""
    if high <= 0:
        return torch.zeros(count, 1, 1, 1, device=device_rng.device)
    return device_rng.uniform(float(np.log(low)), float(np.log(high)), count, 1, 1, 1).exp()


@lru_cache(maxsize=4)
def _joint_factors(skeleton: Skeleton, device: torch.device) -> Tensor:
    factors = [_JOINT_FACTOR.get(joint.rsplit("_", maxsplit=1)[-1], 1.0) for joint in skeleton.joints]
    return float_tensor(np.array(factors), device)


def _measured(
    size: Tensor, shape: tuple[int, ...], noise: NoiseConfig, skeleton: Skeleton, device_rng: DeviceRng
) -> tuple[Tensor, Tensor]:
    """Draw errors px (B, V, P, J, 2) and scores (B, V, P, J) measured on a real estimator, 0 where it found nothing."""
    error, score = _measured_errors(noise.error_split, skeleton, device_rng.device)
    people, J, mirror = shape[:3], len(skeleton), list(skeleton.mirror)
    row = device_rng.integers(0, len(error), *people, 1)
    if noise.varied:
        row = torch.where(device_rng.bernoulli(0.5, *people, 1), device_rng.integers(0, len(error), *people, J), row)
    row = row.expand(*people, J)
    joint = torch.arange(J, device=device_rng.device)
    mirrored = device_rng.bernoulli(0.5, *people)[..., None]
    error, score = error[row, joint], score[row, joint]
    flipped = error[..., mirror, :] * error.new_tensor([-1.0, 1.0])
    error = torch.where(mirrored[..., None], flipped, error)
    if noise.varied:
        angle, scale = (
            device_rng.uniform(-torch.pi, torch.pi, *people, 1),
            (VARIED_SIGMA * device_rng.normal(*people, 1)).exp(),
        )
        c, s = scale * angle.cos(), scale * angle.sin()
        x, y = error.unbind(-1)
        error = torch.stack([c * x - s * y, s * x + c * y], -1)
    return error * size[..., None], torch.where(mirrored, score[..., mirror], score)


@lru_cache(maxsize=2)
def _measured_errors(part: str, skeleton: Skeleton, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return single frames of the measured errors (N, J, 2), as fractions of the person's size, and scores (N, J)."""
    errors = ErrorBank.load("movenet", part)
    error, score = convert(errors.error.reshape(-1, 17, 2), errors.score.reshape(-1, 17), COCO17, skeleton)
    some = (score > 0).sum(-1) >= _LEAST_FOUND
    error, score = error[some], score[some]
    return float_tensor(np.nan_to_num(error), device), float_tensor(score, device)


def _occlude(
    size: Tensor, shape: tuple[int, ...], noise: NoiseConfig, skeleton: Skeleton, device_rng: DeviceRng
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw occluded limbs: errors px (B, V, P, J, 2) of guesses, and masks of hidden and of guessed joints.

    The joints of a hidden limb are guessed together: most of the error is common to them, and it scales with the
    person's size in the image.
    """
    hidden = _draw_groups(noise.occlude, limb_masks(skeleton), shape, device_rng)
    shift = 0.08 * device_rng.normal(*shape[:3], 1, 2) + 0.04 * device_rng.normal(*shape, 2)
    return shift * size[..., None], hidden, device_rng.bernoulli(noise.guess, *shape)


def _borrow(
    xy: Tensor,
    score: Tensor,
    exact_px: Tensor,
    seen: Tensor,
    noise: NoiseConfig,
    skeleton: Skeleton,
    device_rng: DeviceRng,
) -> tuple[Tensor, Tensor]:
    """Replace joints by those of the nearest other person in the image, of the same side or of the other."""
    B, V, P, J = score.shape
    if P < 2 or noise.borrow <= 0:
        return xy, score
    low, high = exact_px.amin(3), exact_px.amax(3)
    distance = torch.cdist((low + high) / 2, (low + high) / 2)
    there = seen.any(-1)  # (B, V, P)
    apart = torch.eye(P, device=xy.device, dtype=torch.bool) | ~there[:, :, None]
    distance, near = distance.masked_fill(apart, torch.inf).min(-1)
    close = there & (distance < BORROW_REACH * (high - low).amax(-1))
    joint = torch.arange(J, device=xy.device)
    mirror = torch.tensor(skeleton.mirror, device=xy.device)
    joint = torch.where(device_rng.bernoulli(0.5, B, V, P, 1), mirror, joint)
    index = near[..., None] * J + joint  # into the flat joints of all people
    other_score = score.flatten(2).gather(2, index.flatten(2)).view(score.shape)
    other_xy = xy.flatten(2, 3).gather(2, index.flatten(2)[..., None].expand(-1, -1, -1, 2)).view(xy.shape)
    borrowed = _draw_groups(noise.borrow, borrowed_masks(skeleton), (B, V, P, J), device_rng)
    borrowed = borrowed & close[..., None] & (other_score > 0)
    other_score = other_score * device_rng.uniform(0.4, 1.0, B, V, P, 1)
    return torch.where(borrowed[..., None], other_xy, xy), torch.where(borrowed, other_score, score)


def _swap(
    xy: Tensor, score: Tensor, noise: NoiseConfig, skeleton: Skeleton, device_rng: DeviceRng
) -> tuple[Tensor, Tensor]:
    """Swap left and right of all joints, the legs or the arms: positions stay, labels change."""
    swapped = _draw_groups(noise.swap, side_masks(skeleton), tuple(score.shape), device_rng)
    mirror = list(skeleton.mirror)
    return torch.where(swapped[..., None], xy[..., mirror, :], xy), torch.where(swapped, score[..., mirror], score)


def _draw_groups(rate: float, masks: np.ndarray, shape: tuple[int, ...], device_rng: DeviceRng) -> Tensor:
    """Draw masks of joints (B, V, P, J): with probability `rate`, one of the groups (L, J) of a person in a view."""
    groups = torch.from_numpy(masks).to(device_rng.device)
    group = device_rng.integers(0, len(groups), *shape[:3])
    return groups[group] & device_rng.bernoulli(rate, *shape[:3])[..., None]


def _rig_error(xy: Tensor, scene: CaptureScene, noise: NoiseConfig, device_rng: DeviceRng) -> Tensor:
    """Return the shifts px (B, V, P, J, 2) of points in slightly rotated cameras, in half of the scenes."""
    B, V = xy.shape[:2]
    level = device_rng.uniform(0.0, float(np.radians(noise.rig_deg)), B, 1, 1) * device_rng.bernoulli(0.5, B, 1, 1)
    rx, ry, rz = (level * device_rng.normal(B, V, 3))[:, :, None, None].unbind(-1)
    K = scene.projector.K[:, None, None]
    focal, centre = torch.stack([K[..., 0, 0], K[..., 1, 1]], -1), K[..., :2, 2]
    x, y = ((xy - centre) / focal).unbind(-1)
    # Derivative of x/z and y/z with respect to a rotation about the camera centre.
    return focal * torch.stack([-x * y * rx + (1 + x * x) * ry - y * rz, -(1 + y * y) * rx + x * y * ry + x * rz], -1)
