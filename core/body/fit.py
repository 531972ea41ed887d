"""Fit of the body model to 3D keypoints of one person over a take.

Shape, offsets of keypoints, and poses with a prior, robust against outliers; poses of neighbouring frames are tied by
their accelerations. Rotations are found by damped Gauss-Newton, shape and offsets in closed form, since keypoints are
linear in them (as in MoSh, Loper et al. 2014).

Legend: T frame, J joint, K observed keypoint, B shape component, U unknown of a pose.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solveh_banded
from scipy.ndimage import median_filter

from core.body.chain import BodyChain, Poses, Targets
from core.body.model import BodyModel
from core.body.start import initial_poses
from core.errors import CoreError
from core.geometry.so3 import log
from core.types.arrays import F64

_SHAPE_FRAMES = 100  # that shape is found from
_OUTLIER_MM, _OUTLIER_MAD, _WINDOW = 120.0, 6.0, 7
_RESCUE_MM = 60.0
_BLOCK, _OVERLAP = 600, 30


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyFitConfig:
    """Settings of the fit.

    Attributes:
        noise_mm: Standard deviation of keypoints along an axis, where no covariance is known.
        offset_mm: Standard deviation of the constant offset of a keypoint from its place on the body.
        acceleration_mm_s2: Standard deviation of the acceleration of the pelvis.
        acceleration_rad_s2: Standard deviation of the angular acceleration of a joint.
        steps: Steps of the fit of single frames.
        temporal_steps: Steps of the fit of all frames together.
    """

    noise_mm: float = 12.0
    offset_mm: float = 12.0
    acceleration_mm_s2: float = 5000.0
    acceleration_rad_s2: float = 50.0
    steps: int = 6
    temporal_steps: int = 2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BodyFit:
    """A person's body over a take.

    Attributes:
        betas: (B,) shape.
        offsets_mm: (K, 3) offsets of the observed keypoints, body coordinates at rest.
        rotations: (T, J, 3, 3) joint rotations relative to their parents.
        pelvis_mm: (T, 3) position of the root joint in world coordinates.
        joints_mm: (T, J, 3) joints in world coordinates.
        keypoints_mm: (T, K, 3) observed keypoints as the body has them.
        flexion_rad: (T, 4) flexion of knees and elbows.
    """

    betas: F64
    offsets_mm: F64
    rotations: F64
    pelvis_mm: F64
    joints_mm: F64
    keypoints_mm: F64
    flexion_rad: F64


def fit_body(
    model: BodyModel, keypoints: tuple[str, ...], xyz_mm: F64, fps: float, config: BodyFitConfig | None = None
) -> BodyFit:
    """Fit the body of one person.

    Args:
        model: Body model.
        keypoints: K names of the keypoints, all known to the model; those of shoulders, elbows, wrists, hips, knees and
            ankles are needed.
        xyz_mm: (T, K, 3) keypoints in world coordinates, mm, NaN where missing.
        fps: Frames per second.
        config: Settings.

    Raises:
        CoreError: The model lacks a keypoint, or hardly any keypoint was observed.
    """
    config = config or BodyFitConfig()
    if missing := [name for name in keypoints if name not in model.keypoints]:
        raise CoreError(f"The body model {model.name} has no keypoint '{missing[0]}'.", "Leave it out.")
    known = np.asarray(np.isfinite(xyz_mm).all(-1))
    if known.sum() < 2 * len(keypoints):
        raise CoreError("Too few joints of this person are known to fit a body.", "Choose another person.")
    chain = BodyChain.of(model, np.array([model.keypoints.index(name) for name in keypoints]))
    good = known & ~_outliers(xyz_mm, known)
    targets = Targets(np.where(known[..., None], xyz_mm, 0.0), good / config.noise_mm**2)
    betas, offsets = _shape_from_lengths(chain, keypoints, xyz_mm, good), np.zeros((len(keypoints), 3))
    filled = _filled(xyz_mm, good)
    some = np.unique(np.linspace(0, len(xyz_mm) - 1, _SHAPE_FRAMES).astype(int))
    poses = initial_poses(chain.shaped(betas), filled[some])
    for _ in range(2):
        chain = chain.shaped(betas, offsets)
        poses, _ = chain.refine(poses, targets.take(some), config.steps)
        betas, offsets = _shape(chain, poses, targets.take(some), config)
    chain = chain.shaped(betas, offsets)
    poses, cost = chain.refine(initial_poses(chain, filled), targets, config.steps)
    poses = _rescued(chain, poses, cost, targets, config.steps)
    if len(xyz_mm) > 2:
        poses = _smoothed(chain, poses, targets, fps, config)
    bones = chain.bones(poses)
    return BodyFit(
        betas=betas,
        offsets_mm=offsets,
        rotations=chain.rotations(poses),
        pelvis_mm=poses.pelvis_mm,
        joints_mm=chain.joint_positions(bones),
        keypoints_mm=chain.points(bones),
        flexion_rad=chain.prior.flexion_rad(poses.w),
    )


def _outliers(xyz_mm: F64, known: np.ndarray) -> np.ndarray:
    """Return keypoints (T, K) that are far from the median of their neighbours in time (Hampel's test)."""
    filled = _filled(xyz_mm, known)
    middle = median_filter(filled, (_WINDOW, 1, 1), mode="mirror")
    gap = np.linalg.norm(filled - middle, axis=-1)
    usual = np.nanmedian(np.where(known, gap, np.nan), axis=0) if known.any(0).all() else np.median(gap, axis=0)
    return np.asarray(gap > np.maximum(_OUTLIER_MM, _OUTLIER_MAD * usual))


def _filled(xyz_mm: F64, known: np.ndarray) -> F64:
    """Return keypoints with linear interpolation over gaps; NaN where one is never known."""
    out = np.full(xyz_mm.shape, np.nan)
    frames = np.arange(len(xyz_mm))
    for k in range(xyz_mm.shape[1]):  # Each keypoint has its own gaps.
        at = np.flatnonzero(known[:, k])
        if len(at):
            for axis in range(3):
                out[:, k, axis] = np.interp(frames, at, xyz_mm[at, k, axis])
    return out


def _shape_from_lengths(chain: BodyChain, names: tuple[str, ...], xyz_mm: F64, good: np.ndarray) -> F64:
    """Return a shape (B,) whose limbs have the median lengths of those observed."""
    pairs = [
        (f"{side}_{a}", f"{side}_{b}")
        for side in ("left", "right")
        for a, b in (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"), ("shoulder", "hip"))
    ]
    a, b = (np.array([names.index(pair[end]) for pair in pairs]) for end in range(2))
    both = good[:, a] & good[:, b]
    lengths = np.where(both, np.linalg.norm(xyz_mm[:, a] - xyz_mm[:, b], axis=-1), np.nan)
    seen = np.flatnonzero(both.any(0))
    a, b, lengths = a[seen], b[seen], np.nanmedian(lengths[:, seen], axis=0)
    template = chain.model.keypoint_template_mm[chain.keypoints]
    directions = chain.model.keypoint_dirs_mm[chain.keypoints]
    betas = np.zeros(directions.shape[-1])
    for _ in range(4):
        bone = template[a] - template[b] + (directions[a] - directions[b]) @ betas
        length = np.linalg.norm(bone, axis=-1)
        J = np.einsum("li,lib->lb", bone / length[:, None], directions[a] - directions[b]) / _LENGTH_SIGMA_MM
        residual = (lengths - length) / _LENGTH_SIGMA_MM
        betas = np.linalg.solve(J.T @ J + np.eye(len(betas)), J.T @ (residual + J @ betas))
    return betas


_LENGTH_SIGMA_MM = 15.0


def _shape(chain: BodyChain, poses: Poses, targets: Targets, config: BodyFitConfig) -> tuple[F64, F64]:
    """Return the shape (B,) and the offsets (K, 3) that fit best with the rotations of these poses."""
    model, bones = chain.model, chain.bones(poses)
    free = targets.weight * np.minimum(1, 80.0 / np.maximum(_gap(chain, poses, targets), 1e-9))
    N, K = free.shape
    B = model.n_shape
    moved = np.zeros((N, len(model.joints), 3, B))  # joints by shape, with the root where it is
    origin = np.zeros((N, len(model.joints), 3))
    for joint, parent in enumerate(model.parents[1:], start=1):  # A joint needs its parent's result.
        R = bones.R[:, parent]
        moved[:, joint] = moved[:, parent] + R @ (model.joint_dirs_mm[joint] - model.joint_dirs_mm[parent])
        bone = model.joint_template_mm[joint] - model.joint_template_mm[parent]
        origin[:, joint] = origin[:, parent] + R @ bone
    at = model.keypoint_bones[chain.keypoints]
    R = bones.R[:, at]
    directions = moved[:, at] + R @ (model.keypoint_dirs_mm[chain.keypoints] - model.joint_dirs_mm[at])
    rest = model.keypoint_template_mm[chain.keypoints] - model.joint_template_mm[at]
    constant = origin[:, at] + (R @ rest[..., None])[..., 0]
    # Unknowns: shape, offsets, and the pelvis of each frame, which is eliminated by taking weighted means.
    seen = targets.xyz_mm - constant
    weight = free[..., None] / np.maximum(free.sum(1), 1e-12)[:, None, None]
    blocks = np.zeros((N, K, 3, B + 3 * K))
    blocks[..., :B] = directions
    for k in range(K):  # Each offset moves one keypoint.
        blocks[:, k, :, B + 3 * k : B + 3 * k + 3] = R[:, k]
    blocks -= (weight[..., None] * blocks).sum(1, keepdims=True)
    seen = seen - (weight * seen).sum(1, keepdims=True)
    root = np.sqrt(free)[..., None]
    A, y = (blocks * root[..., None]).reshape(-1, B + 3 * K), (seen * root).reshape(-1)
    ridge = np.concatenate([np.ones(B), np.full(3 * K, config.offset_mm**-2.0)])
    # Errors of neighbouring frames are alike: all frames together say as much as some independent ones.
    share = min(1.0, _INDEPENDENT / N)
    solution = np.linalg.solve(share * A.T @ A + np.diag(ridge), share * A.T @ y)
    return solution[:B], solution[B:].reshape(K, 3)


_INDEPENDENT = 40.0


def _gap(chain: BodyChain, poses: Poses, targets: Targets) -> F64:
    return np.asarray(np.linalg.norm(chain.points(chain.bones(poses)) - targets.xyz_mm, axis=-1))


def _rescued(chain: BodyChain, poses: Poses, cost: F64, targets: Targets, steps: int) -> Poses:
    """Return poses in which frames with a keypoint far off were tried again from the poses of better frames."""
    gap = np.where(targets.weight > 0, _gap(chain, poses, targets), 0.0)
    bad = np.flatnonzero((gap > _RESCUE_MM).any(1))
    good = np.flatnonzero(~(gap > _RESCUE_MM).any(1))
    if not len(bad) or not len(good):
        return poses
    place = np.searchsorted(good, bad)
    chosen = targets.take(bad)
    best, best_cost = poses.take(bad), cost[bad]
    for neighbour in (good[np.maximum(place - 1, 0)], good[np.minimum(place, len(good) - 1)]):
        tried, tried_cost = chain.refine(poses.take(neighbour), chosen, 2 * steps)
        better = tried_cost < best_cost
        best, best_cost = best.where(better, tried), np.where(better, tried_cost, best_cost)
    everything = poses.take(np.arange(len(poses)))
    everything.root[bad], everything.pelvis_mm[bad], everything.w[bad] = best.root, best.pelvis_mm, best.w
    return everything


def _smoothed(chain: BodyChain, poses: Poses, targets: Targets, fps: float, config: BodyFitConfig) -> Poses:
    """Return the poses of all frames fitted together, in overlapping blocks."""
    root, pelvis, w = poses.root.copy(), poses.pelvis_mm.copy(), poses.w.copy()
    for begin in range(0, len(poses), _BLOCK):
        frames = np.arange(max(0, begin - _OVERLAP), min(len(poses), begin + _BLOCK + _OVERLAP))
        if len(frames) < 3:
            continue
        part = _smoothed_block(chain, poses.take(frames), targets.take(frames), fps, config)
        keep = (frames >= begin) & (frames < begin + _BLOCK)
        root[frames[keep]], pelvis[frames[keep]], w[frames[keep]] = part.root[keep], part.pelvis_mm[keep], part.w[keep]
    return Poses(root, pelvis, w)


def _smoothed_block(chain: BodyChain, poses: Poses, targets: Targets, fps: float, config: BodyFitConfig) -> Poses:
    T, U = len(poses), 6 + 3 * len(chain.prior.joints)
    sigma = np.full(U, config.acceleration_rad_s2)
    sigma[:3] = config.acceleration_mm_s2
    stiff = (fps**2 / sigma) ** 2  # weight of squared second differences
    # Second differences of neighbours as a banded matrix: 1 -2 1 squared.
    D = np.zeros((T - 2, T))
    D[np.arange(T - 2), np.arange(T - 2)] = D[np.arange(T - 2), np.arange(2, T)] = 1
    D[np.arange(T - 2), np.arange(1, T - 1)] = -2
    bands = [np.diagonal(D.T @ D, offset=-k) for k in range(3)]
    r, c = np.tril_indices(U)
    within = (r - c)[:, None], c[:, None] + U * np.arange(T)
    for _ in range(config.temporal_steps):
        gradient, hessian = chain.normal_equations(poses, targets)
        change = np.zeros((T - 1, U))
        change[:, :3] = np.diff(poses.pelvis_mm, axis=0)
        change[:, 3:6] = log(poses.root[1:] @ np.swapaxes(poses.root[:-1], -1, -2))
        change[:, 6:] = np.diff(poses.w.reshape(T, -1), axis=0)
        gradient += stiff * (D.T @ np.diff(change, axis=0))
        banded = np.zeros((3 * U, T * U))
        banded[within] = hessian[:, r, c].T
        for k, band in enumerate(bands):
            banded[k * U, : (T - k) * U] += (band[:, None] * stiff).ravel()
        poses = poses.moved(-solveh_banded(banded, gradient.ravel(), lower=True, overwrite_ab=True).reshape(T, U))
    return poses
