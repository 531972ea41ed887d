"""Plausibility filters: remove single joints of tracked people that contradict bone lengths or speed.

A 2D estimator that confuses the hands of two people in two views causes joint errors of decimetres for one or more
frames, visible as wrong bone lengths or as a jump away and back. Removed joints are not replaced.
"""

from __future__ import annotations

import numpy as np

from core.tracking.config import TrackingConfig
from core.tracking.limits import slack_mm
from core.tracking.tracker import TIME_EPS_S
from core.types.arrays import F64
from core.types.skeleton import Skeleton

_JUMP_S = 1 / 30  # Maximum duration of a jump, if frames are not further apart.


def implausible_joints(
    time_s: F64, xyz_mm: F64, skeleton: Skeleton, config: TrackingConfig, error_mm: F64 | None = None
) -> np.ndarray:
    """Find joints to remove.

    Args:
        time_s: (T,) times.
        xyz_mm: (T, P, J, 3) tracked people, one column per person, NaN where missing.
        skeleton: Joint set.
        config: Thresholds.
        error_mm: (T, P) position error of the joints, see `person_error_mm`; 0 if omitted.

    Returns:
        (T, P, J) bool, True for implausible joints.
    """
    slack = slack_mm(np.zeros(xyz_mm.shape[:2]) if error_mm is None else error_mm)
    out = np.zeros(xyz_mm.shape[:-1], bool)
    for p in range(xyz_mm.shape[1]):  # One person at a time to limit memory.
        one = slice(p, p + 1)
        out[:, one] = _implausible(time_s, xyz_mm[:, one], skeleton, config, slack[:, one])
    return out


def _implausible(time_s: F64, xyz_mm: F64, skeleton: Skeleton, config: TrackingConfig, slack: F64) -> np.ndarray:
    implausible = np.asarray(_stretched(xyz_mm, skeleton, config, slack) | _jumping(time_s, xyz_mm, config, slack))
    # The second pass removes joints that were plausible only because of bones to joints removed in the first.
    rest = np.where(implausible[..., None], np.nan, xyz_mm)
    return np.asarray(implausible | _stretched(rest, skeleton, config, slack))


def _stretched(xyz_mm: F64, skeleton: Skeleton, config: TrackingConfig, slack: F64) -> np.ndarray:
    """Find joints whose bones all deviate far from the person's median lengths; one good bone keeps a joint."""
    a, b = np.array(skeleton.bones).T
    length = skeleton.bone_lengths(xyz_mm)  # (T, P, B)
    known = np.isfinite(length)
    median = np.zeros(length.shape[1:])
    seen = known.any(0)
    if seen.any():
        median[seen] = np.nanmedian(length[:, seen], axis=0)
    with np.errstate(invalid="ignore"):
        bad = known & (np.abs(length - median) > config.max_stretch * median + slack[..., None])
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


def _jumping(time_s: F64, xyz_mm: F64, config: TrackingConfig, slack: F64) -> np.ndarray:
    """Find joints far from their mutually consistent positions shortly before and after.

    The frames before and after are the neighbours and all others within `_JUMP_S`.
    """
    out = np.zeros(xyz_mm.shape[:-1], bool)
    T = len(time_s)
    if T < 3:
        return out
    most = min(max(1, int((_JUMP_S + TIME_EPS_S) / np.median(np.diff(time_s)))), (T - 1) // 2)
    for apart in range(1, most + 1):
        past, now, future = (slice(k * apart, T + (k - 2) * apart) for k in range(3))
        reach = [
            1000 * config.max_joint_m_s * (time_s[b] - time_s[a])[:, None, None] + slack[now, :, None]
            for a, b in ((past, now), (now, future), (past, future))
        ]
        moved = [
            np.linalg.norm(xyz_mm[b] - xyz_mm[a], axis=-1) for a, b in ((past, now), (now, future), (past, future))
        ]
        with np.errstate(invalid="ignore"):
            out[now] |= (moved[0] > reach[0]) & (moved[1] > reach[1]) & (moved[2] < reach[2])
    return out
