"""Single joints that no body and no movement explains, taken out of tracked people.

A 2D estimator that takes somebody else's hand for this person's in two views gives a joint that is wrong by decimetres,
in one frame. Bones tell, and so does a jump there and back. Nothing is put in its place.
"""

from __future__ import annotations

import numpy as np

from core.tracking.config import TrackingConfig
from core.types.arrays import F64
from core.types.skeleton import Skeleton

_SLACK_MM = 80.0  # Bone lengths of an estimator's joints vary by as much.
_NEIGHBOUR_S = 0.1  # Joints further apart in time do not tell of a jump.


def wild_joints(time_s: F64, xyz_mm: F64, skeleton: Skeleton, config: TrackingConfig) -> np.ndarray:
    """(T, P, J) bool: joints to take out of tracked people (T, P, J, 3)."""
    wild = np.asarray(_stretched(xyz_mm, skeleton, config) | _jumping(time_s, xyz_mm, config))
    # What a wild joint excused has to stand for itself now.
    return np.asarray(wild | _stretched(np.where(wild[..., None], np.nan, xyz_mm), skeleton, config))


def _stretched(xyz_mm: F64, skeleton: Skeleton, config: TrackingConfig) -> np.ndarray:
    """Joints all of whose bones are far longer or shorter than that person's bones usually are.

    A joint that has a good bone as well stays.
    """
    a, b = np.array(skeleton.bones).T
    length = np.linalg.norm(xyz_mm[:, :, a] - xyz_mm[:, :, b], axis=-1)  # (T, P, B)
    known = np.isfinite(length)
    usual = np.zeros(length.shape[1:])
    some = known.any(0)
    if some.any():
        usual[some] = np.nanmedian(length[:, some], axis=0)
    with np.errstate(invalid="ignore"):
        bad = known & (np.abs(length - usual) > config.max_stretch * usual + _SLACK_MM)
    touches = np.zeros((len(skeleton), len(skeleton.bones)))
    touches[a, np.arange(len(a))] = touches[b, np.arange(len(b))] = 1
    n_known, n_bad = known @ touches.T, bad @ touches.T
    suspect = (n_bad > 0) & (n_bad == n_known)
    # Of two suspects that share a bone the one that explains more bad bones goes, or else the outer one.
    degree = touches.sum(1)
    excused = np.zeros(suspect.shape, bool)
    for i, k in zip(a, b, strict=True):
        for joint, other in ((i, k), (k, i)):
            less = n_bad[..., joint] < n_bad[..., other]
            inner = (n_bad[..., joint] == n_bad[..., other]) & (degree[joint] > degree[other])
            excused[..., joint] |= suspect[..., other] & (less | inner)
    return np.asarray(suspect & ~excused)


def _jumping(time_s: F64, xyz_mm: F64, config: TrackingConfig) -> np.ndarray:
    """Joints far from where they were just before and just after, both of which agree."""
    out = np.zeros(xyz_mm.shape[:-1], bool)
    if len(time_s) < 3:
        return out
    step = np.diff(time_s)
    reach = 1000 * config.max_joint_m_s * step[:, None, None] + _SLACK_MM
    move = np.linalg.norm(np.diff(xyz_mm, axis=0), axis=-1)
    around = np.linalg.norm(xyz_mm[2:] - xyz_mm[:-2], axis=-1)
    with np.errstate(invalid="ignore"):
        there, back = move[:-1] > reach[:-1], move[1:] > reach[1:]
        steady = around < (reach[:-1] + reach[1:])
        near = (step[:-1] + step[1:] <= 2 * _NEIGHBOUR_S)[:, None, None]
        out[1:-1] = there & back & steady & near
    return out
