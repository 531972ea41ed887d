"""Plausibility filters: remove single joints of tracked people that contradict bone lengths or speed.

A 2D estimator that confuses the hands of two people in two views gives a joint that is wrong by decimetres for a frame
or more. Its bones have the wrong length, or it jumps away and back. Removed joints are not replaced.
"""

from __future__ import annotations

import numpy as np

from core.tracking.config import TrackingConfig
from core.types.arrays import F64
from core.types.skeleton import Skeleton

_SLACK_MM = 80.0  # Noise of bone lengths between joints of a 2D estimator.
_NEIGHBOUR_S = 0.1  # Largest time between the frames of a jump.


def implausible_joints(time_s: F64, xyz_mm: F64, skeleton: Skeleton, config: TrackingConfig) -> np.ndarray:
    """Find joints to remove.

    Args:
        time_s: (T,) times.
        xyz_mm: (T, P, J, 3) tracked people, one column per person, NaN where missing.
        skeleton: Joint set.
        config: Thresholds.

    Returns:
        (T, P, J) bool.
    """
    implausible = np.asarray(_stretched(xyz_mm, skeleton, config) | _jumping(time_s, xyz_mm, config))
    # A second pass: joints that were plausible only by bones to joints that are removed now.
    rest = np.where(implausible[..., None], np.nan, xyz_mm)
    return np.asarray(implausible | _stretched(rest, skeleton, config))


def _stretched(xyz_mm: F64, skeleton: Skeleton, config: TrackingConfig) -> np.ndarray:
    """Find joints all of whose bones deviate far from the person's median lengths; one good bone keeps a joint."""
    a, b = np.array(skeleton.bones).T
    length = skeleton.bone_lengths(xyz_mm)  # (T, P, B)
    known = np.isfinite(length)
    median = np.zeros(length.shape[1:])
    seen = known.any(0)
    if seen.any():
        median[seen] = np.nanmedian(length[:, seen], axis=0)
    with np.errstate(invalid="ignore"):
        bad = known & (np.abs(length - median) > config.max_stretch * median + _SLACK_MM)
    incidence = np.zeros((len(skeleton), len(skeleton.bones)))
    incidence[a, np.arange(len(a))] = incidence[b, np.arange(len(b))] = 1
    n_known, n_bad = known @ incidence.T, bad @ incidence.T
    suspect = (n_bad > 0) & (n_bad == n_known)
    # Of two suspects that share a bone, the one with more bad bones is removed, or else the one with fewer bones.
    degree = incidence.sum(1)
    kept = np.zeros(suspect.shape, bool)
    for i, k in zip(a, b, strict=True):
        for joint, other in ((i, k), (k, i)):
            less = n_bad[..., joint] < n_bad[..., other]
            inner = (n_bad[..., joint] == n_bad[..., other]) & (degree[joint] > degree[other])
            kept[..., joint] |= suspect[..., other] & (less | inner)
    return np.asarray(suspect & ~kept)


def _jumping(time_s: F64, xyz_mm: F64, config: TrackingConfig) -> np.ndarray:
    """Find joints far from their positions in the previous and the next frame, which agree with each other."""
    out = np.zeros(xyz_mm.shape[:-1], bool)
    if len(time_s) < 3:
        return out
    step_s = np.diff(time_s)
    reach = 1000 * config.max_joint_m_s * step_s[:, None, None] + _SLACK_MM
    moved = np.linalg.norm(np.diff(xyz_mm, axis=0), axis=-1)
    neighbours = np.linalg.norm(xyz_mm[2:] - xyz_mm[:-2], axis=-1)
    with np.errstate(invalid="ignore"):
        away, back = moved[:-1] > reach[:-1], moved[1:] > reach[1:]
        neighbours_agree = neighbours < (reach[:-1] + reach[1:])
        adjacent = (step_s[:-1] + step_s[1:] <= 2 * _NEIGHBOUR_S)[:, None, None]
        out[1:-1] = away & back & neighbours_agree & adjacent
    return out
