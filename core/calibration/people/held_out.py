"""Leave-one-camera-out errors of camera poses by the joints of people, and their comparison over time blocks.

Legend: V view, M frame, G person at a frame, J joint, B block of time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.calibration.people.bundle import CameraPoses, sample_tracks, triangulate_joints
from core.calibration.people.matching import sample_all_tracks
from core.calibration.people.registration import PeopleRegistration
from core.optimize.robust import cauchy_weight
from core.types.arrays import F64, I64

_TOLERANCE = 4.0  # for matching people, in units of `tolerance_px`, since cameras may be off
_ROUNDS = 1  # of reweighting in the triangulation from the other cameras
_BLOCK_S, _LEAST_BLOCKS, _MOST_BLOCKS = 1.0, 8, 30  # time blocks, since errors of a 2D estimator persist
_DRAWS = 1000
_CONFIDENCE = 0.025  # quantile of the bootstrap that must exceed the margin


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HeldOutScore:
    """Accuracy of the predictions of each camera's joints from the other cameras.

    Attributes:
        score: (V, B) sum of scores of the joints, each 1 for an exact prediction and 0 for none.
        count: (V, B) number of joints in the views of the cameras, of matched people or not.
        errors_px: (V,) arrays of the errors of the predictions.
    """

    score: F64
    count: F64
    errors_px: tuple[F64, ...]

    @property
    def by_camera(self) -> F64:
        """Mean score (V,) of a joint by camera."""
        return np.asarray(self.score.sum(1) / np.maximum(self.count.sum(1), 1.0))

    @property
    def median_px(self) -> F64:
        """Median error (V,) of the predictions, NaN without any."""
        return np.array([float(np.median(e)) if len(e) else np.nan for e in self.errors_px])

    def joined(self, other: HeldOutScore) -> HeldOutScore:
        """Return the score on the blocks of both."""
        errors = tuple(np.concatenate(pair) for pair in zip(self.errors_px, other.errors_px, strict=True))
        return HeldOutScore(score=self.score + other.score, count=self.count, errors_px=errors)


def blocks_of_frames(at_s: F64) -> I64:
    """Return the block (M,) of each frame."""
    length = float(np.ptp(at_s)) + 1e-9
    count = int(np.clip(length / _BLOCK_S, _LEAST_BLOCKS, _MOST_BLOCKS))
    return np.asarray(np.minimum((at_s - at_s.min()) / length * count, count - 1).astype(np.int64))


def loco_errors_px(work: PeopleRegistration, poses: CameraPoses, at_s: F64) -> F64:
    """Return the LOCO errors (V, M, G, J) in px: joints of each camera predicted from all others.

    They are NaN where fewer than two other cameras see the joint.
    """
    _, joints, _ = work.match_people(poses, at_s, _TOLERANCE)
    seen = sample_tracks(work.tracks, poses, joints)
    focal = np.array([t.focal_px for t in work.tracks])
    errors = np.full(seen.information.shape, np.nan)
    for v in np.flatnonzero(poses.registered):
        others = np.ones(len(focal))
        others[v] = 0.0
        weight = np.broadcast_to(others[:, None, None, None], errors.shape)
        for _ in range(_ROUNDS):
            xyz = triangulate_joints(poses, seen, focal, weight)
            residual = _reprojection_px(poses, xyz, seen.xy, focal)
            scale = work.tolerance_px[:, None, None, None]
            weight = others[:, None, None, None] * cauchy_weight((np.nan_to_num(residual) / scale) ** 2, 1.0)
        residual = _reprojection_px(poses, triangulate_joints(poses, seen, focal, weight), seen.xy, focal)
        errors[v] = np.where(seen.information[v] > 0, residual[v], np.nan)
    return errors


def score_held_out(work: PeopleRegistration, poses: CameraPoses, at_s: F64, block: I64, count: F64) -> HeldOutScore:
    """Return the score of poses on given frames.

    Args:
        work: The recording.
        poses: Camera poses, fitted to other frames.
        at_s: (M,) times of the frames.
        block: (M,) block of each frame.
        count: (V, B) joints per camera and block, see `count_joints`.
    """
    errors = loco_errors_px(work, poses, at_s)
    known = np.isfinite(errors)
    score = np.where(known, 1 / (1 + (np.nan_to_num(errors) / work.tolerance_px[:, None, None, None]) ** 2), 0.0)
    return HeldOutScore(
        score=np.stack([np.bincount(block, s.sum((1, 2)), count.shape[1]) for s in score]),
        count=count,
        errors_px=tuple(e[k] for e, k in zip(errors, known, strict=True)),
    )


def count_joints(work: PeopleRegistration, poses: CameraPoses, at_s: F64, block: I64) -> F64:
    """Return the number of joints (V, B) that each camera sees in each block, of matched people or not."""
    out = np.zeros((len(work.tracks), int(block.max()) + 1))
    for v, tracks in enumerate(work.tracks):
        if tracks.count:
            seen = sample_all_tracks(tracks, at_s + poses.time_offset_s[v]).information > 0
            out[v] = np.bincount(block, seen.sum((1, 2)), out.shape[1])
    return out


def gain_interval(new: HeldOutScore, old: HeldOutScore) -> tuple[float, float]:
    """Return the lower confidence limit of the gain in mean score by a bootstrap over blocks, and the gain."""
    rng = np.random.default_rng(0)
    difference, count = (new.score - old.score).sum(0), old.count.sum(0)
    draws = rng.integers(len(count), size=(_DRAWS, len(count)))
    gains = difference[draws].sum(1) / np.maximum(count[draws].sum(1), 1.0)
    return float(np.quantile(gains, _CONFIDENCE)), float(difference.sum() / max(count.sum(), 1.0))


def _reprojection_px(poses: CameraPoses, xyz_mm: F64, xy: F64, focal_px: F64) -> F64:
    """Return the distances (V, M, G, J) of joints (M, G, J, 3) from their observations (V, M, G, J, 2)."""
    local = np.einsum("vij,mgkj->vmgki", poses.R, xyz_mm) + poses.t_mm[:, None, None, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        ideal = np.where(local[..., 2:] > 1.0, local[..., :2] / local[..., 2:], np.nan)
    return np.asarray(focal_px[:, None, None, None] * np.linalg.norm(ideal - xy, axis=-1))
