"""Fit of a body model to the 3D keypoints of one person over a take.

Estimates shape, keypoint offsets and poses with a pose prior, a robust loss, and a penalty on accelerations. Rotations
are found by damped Gauss-Newton, shape and offsets in closed form because keypoints are linear in them (as in MoSh,
Loper et al. 2014).

Legend: T frame, J joint, K observed keypoint, B shape component, U unknown of a pose.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import median_filter

from core.body.chain import BodyChain, Poses, Targets
from core.body.feet import SOLE_POINTS, feet_targets, floor_gap, free_ankles, rest_heights, with_feet
from core.body.model import BodyModel
from core.body.shape import shape_and_offsets, shape_from_lengths
from core.body.start import initial_poses
from core.body.temporal import smooth_poses
from core.errors import CoreError
from core.progress import NullReporter, Reporter, check
from core.types.arrays import F32, F64

_SHAPE_FRAMES = 100  # for the estimate of the shape
_OUTLIER_MM, _OUTLIER_MAD, _WINDOW = 120.0, 6.0, 7
_RESCUE_MM = 60.0
_BLOCK, _OVERLAP = 600, 30
_FEWEST_KEYPOINTS = 4  # per frame
_FEWEST_FRAMES = 1.0  # mean number of observations per keypoint


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyFitConfig:
    """Settings of the fit.

    Attributes:
        noise_mm: Standard deviation of keypoints per axis where the covariance is unknown.
        offset_mm: Standard deviation of the constant offset of a keypoint from its position on the body.
        acceleration_mm_s2: Standard deviation of the acceleration of the pelvis.
        acceleration_rad_s2: Standard deviation of the angular acceleration of a joint.
        max_gap_s: Longest gap without keypoints that is bridged.
        steps: Number of steps for single frames.
        temporal_steps: Number of steps for all frames together.
        feet: Keep resting feet from sliding, and set them on the floor if they are near it.
    """

    noise_mm: float = 12.0
    offset_mm: float = 12.0
    acceleration_mm_s2: float = 5000.0
    acceleration_rad_s2: float = 50.0
    max_gap_s: float = 0.3
    steps: int = 6
    temporal_steps: int = 2
    feet: bool = True

    def stiffness(self, chain: BodyChain, interval_s: float) -> F64:
        """Return the weight (U,) of the squared second difference over frames of each unknown."""
        sigma = np.full(chain.n_unknowns, self.acceleration_rad_s2)
        sigma[:3] = self.acceleration_mm_s2
        return np.asarray((interval_s**2 * sigma) ** -2.0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BodyFit:
    """Fitted body of one person; NaN in frames in which the person is absent.

    Attributes:
        betas: (B,) shape.
        offsets_mm: (K, 3) offsets of the observed keypoints in body coordinates at rest.
        rotations: (T, J, 3, 3) joint rotations relative to their parents.
        pelvis_mm: (T, 3) position of the root joint in world coordinates.
        joints_mm: (T, J, 3) joints in world coordinates.
        keypoints_mm: (T, K, 3) keypoints of the fitted body.
        used: (T, K) mask of the keypoints in use, without outliers.
        flexion_rad: (T, 4) flexion of knees and elbows.
        floor_gap_mm: Height of resting soles over the floor; NaN if feet never rest or were not fitted.
        on_floor: True if resting feet were set on the floor because they are near it.
    """

    betas: F64
    offsets_mm: F64
    rotations: F64
    pelvis_mm: F64
    joints_mm: F64
    keypoints_mm: F64
    used: np.ndarray
    flexion_rad: F64
    floor_gap_mm: float
    on_floor: bool


def fit_body(
    model: BodyModel,
    keypoints: tuple[str, ...],
    xyz_mm: F64,
    time_s: F64,
    config: BodyFitConfig | None = None,
    *,
    covariance_mm2: F32 | None = None,
    reporter: Reporter | None = None,
) -> BodyFit:
    """Fit the body of one person.

    Args:
        model: Body model.
        keypoints: K names of keypoints of the model; shoulders, elbows, wrists, hips, knees and ankles are required.
        xyz_mm: (T, K, 3) keypoints in world coordinates, NaN where missing.
        time_s: (T,) increasing times. Frames count as evenly spaced except at gaps longer than `max_gap_s`.
        config: Settings.
        covariance_mm2: (T, K, 3, 3) covariance of the keypoints, NaN where unknown.
        reporter: Receives progress, and may cancel.

    Raises:
        CoreError: The model lacks a keypoint, or too few were observed.
        CancelledError: The user cancelled.
    """
    config, reporter = config or BodyFitConfig(), reporter or NullReporter()
    chain = BodyChain.of(model, keypoints)
    known = np.asarray(np.isfinite(xyz_mm).all(-1))
    if known.sum() < _FEWEST_FRAMES * len(keypoints) or not (known.sum(1) >= _FEWEST_KEYPOINTS).any():
        raise CoreError("Too few joints of this person are known to fit a body.", "Choose another person.")
    good = known & ~_outliers(xyz_mm, known)
    filled = _filled(xyz_mm, good)
    interval_s = float(np.median(np.diff(time_s))) if len(time_s) > 1 else 1.0
    parts = _parts(good.sum(1) >= _FEWEST_KEYPOINTS, time_s, config.max_gap_s + 1.5 * interval_s)
    targets = Targets.of(xyz_mm, good, config.noise_mm, covariance_mm2)
    present = np.concatenate([np.arange(*part) for part in parts])
    chain, betas, offsets = _shaped(chain, xyz_mm, good, filled, targets, present, config)
    T, K = known.shape
    soles = np.zeros((len(SOLE_POINTS), 3))
    final = with_feet(chain).shaped(betas, np.concatenate([offsets, soles])) if config.feet else chain
    first_fit, fitted = _empty_poses(T, chain), _empty_poses(T, final)
    blocks = [(first, last, begin) for first, last in parts for begin in range(first, last, _BLOCK)]
    passes = 2 if config.feet else 1
    heights = []
    for done, (first, last, begin) in enumerate(blocks):
        check(reporter)
        reporter.progress(done, passes * len(blocks))
        frames = np.arange(max(first, begin - _OVERLAP), min(last, begin + _BLOCK + _OVERLAP))
        seen = targets.take(frames)
        poses, cost = chain.refine(initial_poses(chain, filled[frames]), seen, config.steps)
        poses = _rescued(chain, poses, cost, seen, config.steps)
        poses = smooth_poses(chain, poses, seen, config.stiffness(chain, interval_s), config.temporal_steps)
        _keep(first_fit, poses, frames, begin)
        if config.feet:
            heights.append(rest_heights(final, free_ankles(poses, chain, final), seen, interval_s))
    gap_mm, on_floor = floor_gap(heights)
    for done, (first, last, begin) in enumerate(blocks if config.feet else ()):
        check(reporter)
        reporter.progress(len(blocks) + done, passes * len(blocks))
        frames = np.arange(max(first, begin - _OVERLAP), min(last, begin + _BLOCK + _OVERLAP))
        poses = free_ankles(first_fit.take(frames), chain, final)
        seen = feet_targets(final, poses, targets.take(frames), interval_s, on_floor=on_floor)
        poses = smooth_poses(final, poses, seen, config.stiffness(final, interval_s), config.temporal_steps)
        _keep(fitted, poses, frames, begin)
    reporter.progress(len(blocks), len(blocks))
    poses = (fitted if config.feet else first_fit).take(present)
    bones = final.bones(poses)
    return BodyFit(
        betas=betas,
        offsets_mm=offsets,
        rotations=_spread(final.rotations(poses), present, T),
        pelvis_mm=_spread(poses.pelvis_mm, present, T),
        joints_mm=_spread(final.joint_positions(bones), present, T),
        keypoints_mm=_spread(final.points(bones)[:, :K], present, T),
        used=good,
        flexion_rad=_spread(final.prior.flexion_rad(poses.w), present, T),
        floor_gap_mm=gap_mm,
        on_floor=on_floor,
    )


def _empty_poses(n_frames: int, chain: BodyChain) -> Poses:
    return Poses(np.zeros((n_frames, 3, 3)), np.zeros((n_frames, 3)), np.zeros((n_frames, len(chain.prior.joints), 3)))


def _keep(everything: Poses, poses: Poses, frames: np.ndarray, begin: int) -> None:
    """Store the poses of a block except those of its overlap with other blocks."""
    own = (frames >= begin) & (frames < begin + _BLOCK)
    at = frames[own]
    everything.root[at], everything.pelvis_mm[at], everything.w[at] = (
        poses.root[own],
        poses.pelvis_mm[own],
        poses.w[own],
    )


def _spread(values: F64, frames: np.ndarray, n_frames: int) -> F64:
    out = np.full((n_frames, *values.shape[1:]), np.nan)
    out[frames] = values
    return out


def _shaped(
    chain: BodyChain,
    xyz_mm: F64,
    good: np.ndarray,
    filled: F64,
    targets: Targets,
    present: np.ndarray,
    config: BodyFitConfig,
) -> tuple[BodyChain, F64, F64]:
    """Return the chain for the person's shape and offsets, and both, estimated from a subset of frames."""
    some = present[np.unique(np.linspace(0, len(present) - 1, _SHAPE_FRAMES).astype(int))]
    seen = targets.take(some)
    betas, offsets = shape_from_lengths(chain, xyz_mm, good), np.zeros((xyz_mm.shape[1], 3))
    poses = initial_poses(chain.shaped(betas), filled[some])
    for _ in range(2):
        chain = chain.shaped(betas, offsets)
        poses, _ = chain.refine(poses, seen, config.steps)
        betas, offsets = shape_and_offsets(chain, poses, seen, config.offset_mm)
    return chain.shaped(betas, offsets), betas, offsets


def _parts(present: np.ndarray, time_s: F64, longest_s: float) -> list[tuple[int, int]]:
    """Return the start and end frame of each interval in which a person is present except for short gaps."""
    frames = np.flatnonzero(present)
    cuts = np.flatnonzero(np.diff(time_s[frames]) > longest_s)
    firsts, lasts = frames[np.r_[0, cuts + 1]], frames[np.r_[cuts, len(frames) - 1]]
    return [(int(first), int(last) + 1) for first, last in zip(firsts, lasts, strict=True)]


def _outliers(xyz_mm: F64, known: np.ndarray) -> np.ndarray:
    """Return the mask (T, K) of keypoints far from the median of their temporal neighbours (Hampel identifier)."""
    filled = _filled(xyz_mm, known)
    middle = median_filter(filled, (_WINDOW, 1, 1), mode="nearest")
    for window in (slice(0, _WINDOW), slice(-_WINDOW, None)):  # without frames on one side, velocity is extrapolated
        rows = filled[window]
        ahead = np.arange(len(rows))[:, None] - np.arange(len(rows))  # (frame to predict, frame to predict from)
        step = np.median(np.diff(rows, axis=0), axis=0) if len(rows) > 1 else np.zeros(rows.shape[1:])
        steady = np.median(rows + ahead[..., None, None] * step, axis=1)
        first = slice(0, _WINDOW // 2) if window.start == 0 else slice(-(_WINDOW // 2), None)
        middle[window][first] = steady[first]
    gap = np.linalg.norm(filled - middle, axis=-1)
    usual = np.nanmedian(np.where(known, gap, np.nan), axis=0) if known.any(0).all() else np.median(gap, axis=0)
    return np.asarray(gap > np.maximum(_OUTLIER_MM, _OUTLIER_MAD * usual))


def _filled(xyz_mm: F64, known: np.ndarray) -> F64:
    """Return keypoints with gaps filled by linear interpolation; NaN if one is never known."""
    out = np.full(xyz_mm.shape, np.nan)
    frames = np.arange(len(xyz_mm))
    for k in range(xyz_mm.shape[1]):  # Each keypoint has its own gaps.
        at = np.flatnonzero(known[:, k])
        if len(at):
            for axis in range(3):
                out[:, k, axis] = np.interp(frames, at, xyz_mm[at, k, axis])
    return out


def _rescued(chain: BodyChain, poses: Poses, cost: F64, targets: Targets, steps: int) -> Poses:
    """Return poses after retrying frames with a large error from the poses of better frames."""
    gap = np.linalg.norm(chain.points(chain.bones(poses)) - targets.xyz_mm, axis=-1)
    far = (np.where(targets.used, gap, 0.0) > _RESCUE_MM).any(1)
    bad, good = np.flatnonzero(far), np.flatnonzero(~far)
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
