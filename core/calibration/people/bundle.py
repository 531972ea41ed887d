"""Bundle adjustment of cameras and the joints of people, with a time offset per camera.

Each joint in each frame is a separate point. The block of the points in the normal equations is block-diagonal with 3 x
3 blocks and is eliminated (Triggs et al., Bundle Adjustment - A Modern Synthesis, 2000, section 6). A time offset moves
a camera's observations along their 2D tracks.

Legend: V view, M frame, G person, J joint, N point (a joint of a person in a frame).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError

from core.calibration.people.tracks import Tracks
from core.geometry import triangulate_views
from core.geometry.so3 import hat, log, retract_left
from core.optimize.lm import LeastSquaresProblem, LMSettings, minimise
from core.optimize.robust import cauchy_loss, cauchy_weight
from core.optimize.schur import BlockDiagonal, NormalEquations, block_diagonal
from core.types.arrays import F64, I64

POSE, ROTATION, TIME_OFFSET = slice(0, 6), slice(0, 3), 6
N_UNKNOWNS = 7
# Prior of a change of an existing pose (rad, mm), for what people leave undetermined, such as a common rotation.
CHANGE_SD = np.repeat([0.1, 500.0], 3)

_CAUCHY_SCALE = 2.5  # residual, in units of sigma, at which an observation has half its weight
_INLIER_WEIGHT = 0.25  # IRLS weight above which an observation is an inlier: within 1.7 Cauchy scales
_NEAR_MM = 50.0  # depth below which a point counts as behind the camera
_TIME_OFFSET_SD_S = 0.3  # regularises time offsets that the observations leave undetermined
_LEAST_SIGMA_PX = 0.5  # no 2D estimator locates joints better than this
_LONGEST_ROTATION_RAD = 0.5  # of a camera in one step
_TOLERANCE, _COARSE_TOLERANCE = 1e-5, 1e-3  # relative decrease of the cost at which the adjustment has converged
_GAUGE = 7  # degrees of freedom of a similarity, which cameras alone leave undetermined
_LEAST_EIGENVALUE = 1e-7  # of the scaled information, relative to the largest, below which a direction is undetermined
# Length of blocks with independent errors, since errors of a 2D estimator persist; but at least ten blocks.
_BLOCK_S, _LEAST_BLOCKS = 1.0, 10


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CameraPoses:
    """Camera poses and time offsets in common, arbitrary world coordinates.

    Attributes:
        R: (V, 3, 3) world to camera rotations.
        t_mm: (V, 3) world to camera translations.
        time_offset_s: (V,) recorded time minus true time.
        registered: (V,) bool, False for cameras without a pose.
    """

    R: F64
    t_mm: F64
    time_offset_s: F64
    registered: np.ndarray

    def retract(self, step: F64) -> CameraPoses:
        """Return the poses updated by a step (V, 7): rotation vector, translation, time offset."""
        R, t_mm = retract_left(self.R, self.t_mm, step[:, POSE])
        return dataclasses.replace(self, R=R, t_mm=t_mm, time_offset_s=self.time_offset_s + step[:, TIME_OFFSET])

    def with_camera(self, view: int, R: F64, t_mm: F64, time_offset_s: float) -> CameraPoses:
        """Return the poses with one camera registered at a given pose."""
        out = [self.R.copy(), self.t_mm.copy(), self.time_offset_s.copy(), self.registered.copy()]
        out[0][view], out[1][view], out[2][view], out[3][view] = R, t_mm, time_offset_s, True
        return CameraPoses(R=out[0], t_mm=out[1], time_offset_s=out[2], registered=out[3])

    def scaled(self, factor: float) -> CameraPoses:
        """Return the poses with all distances multiplied by a factor."""
        return dataclasses.replace(self, t_mm=self.t_mm * factor)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrackAssignment:
    """Assignment of tracks to people in each frame and camera.

    Attributes:
        at_s: (M,) true times of the frames.
        track: (V, M, G) track indices, -1 for none.
    """

    at_s: F64
    track: I64

    def where(self, frames: np.ndarray) -> TrackAssignment:
        """Return the assignment of a subset of the frames."""
        return TrackAssignment(at_s=self.at_s[frames], track=self.track[:, frames])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrackSamples:
    """Observed joints at the frames, given the cameras' time offsets.

    Attributes:
        xy: (V, M, G, J, 2) on the ideal image plane, 0 for missing joints.
        velocity: (V, M, G, J, 2) velocity on the ideal image plane, 1/s.
        information: (V, M, G, J) inverse variance relative to a detection with score 1, 0 for missing joints.
    """

    xy: F64
    velocity: F64
    information: F64


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PeopleSolution:
    """Adjusted cameras and joints.

    Attributes:
        poses: Camera poses and time offsets.
        xyz_mm: (M, G, J, 3) joints, NaN where fewer than two cameras see them.
        residual_px: (V, M, G, J) reprojection error, NaN for missing joints.
        weight: (V, M, G, J) IRLS weights of the observations, 0 to 1.
        sigma_px: Standard deviation of a coordinate of a detection with score 1.
        covariance: (V, 7, 7) covariance of rotation vector (rad), translation (mm) and time offset (s), in the gauge
            with the smallest covariance.
    """

    poses: CameraPoses
    xyz_mm: F64
    residual_px: F64
    weight: F64
    sigma_px: float
    covariance: F64

    @property
    def inlier(self) -> np.ndarray:
        """Mask (V, M, G, J) of inlier observations."""
        return np.asarray(self.weight > _INLIER_WEIGHT)

    @property
    def inlier_share(self) -> F64:
        """Fraction (V,) of inliers among each camera's observations, 0 without observations."""
        seen = np.isfinite(self.residual_px).sum((1, 2, 3))
        return np.asarray(self.inlier.sum((1, 2, 3)) / np.maximum(seen, 1))

    @property
    def agreed_mm(self) -> F64:
        """Joints (M, G, J, 3) that are inliers in at least two cameras, NaN elsewhere."""
        return np.where((self.inlier.sum(0) >= 2)[..., None], self.xyz_mm, np.nan)


def sample_tracks(tracks: Sequence[Tracks], poses: CameraPoses, joints: TrackAssignment) -> TrackSamples:
    """Sample the tracks at the recorded time of each frame in each camera; unregistered cameras see nothing."""
    samples = [
        t.sample(joints.at_s + poses.time_offset_s[v], np.where(poses.registered[v], joints.track[v], -1))
        for v, t in enumerate(tracks)
    ]
    return TrackSamples(
        xy=np.stack([np.nan_to_num(s.xy) for s in samples]),
        velocity=np.stack([s.velocity for s in samples]),
        information=np.stack([s.information for s in samples]),
    )


def triangulate_joints(poses: CameraPoses, seen: TrackSamples, focal_px: F64, weight: F64 | None = None) -> F64:
    """Triangulate joints (M, G, J, 3); NaN with fewer than two views or behind a camera."""
    information = seen.information if weight is None else seen.information * weight
    return triangulate_views(poses.R, poses.t_mm, focal_px, seen.xy, np.sqrt(information), near_mm=_NEAR_MM)


def adjust_people(
    tracks: Sequence[Tracks],
    initial: CameraPoses,
    joints: TrackAssignment,
    free: np.ndarray,
    *,
    former: CameraPoses | None = None,
    change_sd: F64 = CHANGE_SD,
    max_steps: int = 12,
    coarse: bool = False,
) -> PeopleSolution:
    """Adjust cameras, time offsets and points by Levenberg-Marquardt with Cauchy's loss.

    Args:
        tracks: (V,) tracks of people in each camera.
        initial: Initial poses; unregistered cameras take no part.
        joints: Assignment of tracks to people.
        free: (V, 7) bool, free unknowns: rotation vector, translation, time offset. The rotation is about the centre.
        former: Means of a prior of the poses; None without prior.
        change_sd: Standard deviations (6,) or (V, 6) of the prior: rotation vector (rad) and translation (mm).
        max_steps: Largest number of linearisations.
        coarse: Stop early, for poses that are refined later.
    """
    problem = _PeopleProblem(tracks, joints, free, former, change_sd)
    seen = sample_tracks(tracks, initial, joints)
    xyz = triangulate_joints(initial, seen, problem.focal_px)
    problem.sigma_px = problem.estimate_sigma(problem.project(initial, seen, xyz))
    settings = LMSettings(max_steps=max_steps, tolerance=_COARSE_TOLERANCE if coarse else _TOLERANCE)
    state, _ = minimise(problem, problem.evaluate(initial, seen, xyz), settings)
    problem.sigma_px = problem.estimate_sigma(state)
    state = problem.evaluate(state.poses, state.seen, state.xyz)
    problem.linearise(state)
    shape = state.seen.information.shape
    return PeopleSolution(
        poses=state.poses,
        xyz_mm=state.xyz,
        residual_px=np.where(state.used, np.linalg.norm(state.residual, axis=-1), np.nan).reshape(shape),
        weight=state.weight.reshape(shape),
        sigma_px=problem.sigma_px,
        covariance=problem.covariance(state),
    )


def expected_gains(
    tracks: Sequence[Tracks], poses: CameraPoses, joints: TrackAssignment, groups: Sequence[np.ndarray]
) -> F64:
    """Return the fraction of squared residuals that each group (V, 7) of unknowns would explain, by a score test."""
    problem = _PeopleProblem(tracks, joints, np.repeat(poses.registered[:, None], N_UNKNOWNS, 1))
    seen = sample_tracks(tracks, poses, joints)
    xyz = triangulate_joints(poses, seen, problem.focal_px)
    problem.sigma_px = problem.estimate_sigma(problem.project(poses, seen, xyz))
    state = problem.evaluate(poses, seen, xyz)
    problem.linearise(state)
    total = max(float((state.squared * state.weight).sum()) / problem.sigma_px**2, 1e-9)
    matrix, right = problem.equations.reduced(), problem.equations.reduced_rhs()
    gains = []
    for group in groups:
        at = np.flatnonzero(group.ravel()[problem.on])
        part = matrix[np.ix_(at, at)]
        scale = 1 / np.sqrt(np.maximum(np.diag(part), 1e-12))
        damped = part * scale[:, None] * scale + 1e-6 * np.eye(len(at))
        gains.append(float(right[at] * scale @ np.linalg.solve(damped, scale * right[at])) / total)
    return np.array(gains)


@dataclass(slots=True, kw_only=True, eq=False)
class _State:
    """Cameras and points with their residuals."""

    poses: CameraPoses
    seen: TrackSamples
    xyz: F64  # (M, G, J, 3)
    local: F64  # (V, N, 3) points in camera coordinates
    residual: F64  # (V, N, 2) projected minus observed, px
    used: np.ndarray  # (V, N)
    squared: F64  # (V, N) squared residual weighted by information, px^2
    weight: F64  # (V, N) IRLS weights
    cost: float  # mean loss: the number of observations depends on the time offsets


class _PeopleProblem(LeastSquaresProblem[_State, tuple[F64, F64]]):
    """Cost and normal equations; a step is ((V, 7), (M, G, J, 3))."""

    def __init__(
        self,
        tracks: Sequence[Tracks],
        joints: TrackAssignment,
        free: np.ndarray,
        former: CameraPoses | None = None,
        change_sd: F64 = CHANGE_SD,
    ) -> None:
        self.tracks, self.joints, self.free, self.former = tracks, joints, free, former
        self.change_sd = change_sd
        self.focal_px = np.array([t.focal_px for t in tracks])
        self.on = np.flatnonzero(free.ravel())
        self.sigma_px = 1.0
        self.equations: NormalEquations
        self.gradient: F64  # (N, V, 7) of the cost, by point

    def project(self, poses: CameraPoses, seen: TrackSamples, xyz: F64) -> _State:
        """Compute residuals, without weights."""
        views = len(self.focal_px)
        points = np.nan_to_num(xyz).reshape(-1, 3)
        local = points @ np.swapaxes(poses.R, -1, -2) + poses.t_mm[:, None]
        in_front = local[..., 2] > _NEAR_MM
        information = seen.information.reshape(views, -1)
        used = in_front & np.isfinite(xyz[..., 0]).ravel() & (information > 0)
        used &= used.sum(0) >= 2
        ideal = local[..., :2] / np.where(in_front, local[..., 2], 1.0)[..., None]
        off = self.focal_px[:, None, None] * (ideal - seen.xy.reshape(views, -1, 2))
        residual = np.where(used[..., None], off, 0.0)
        squared = (residual**2).sum(-1) * information
        zero = np.zeros_like(squared)
        return _State(
            poses=poses,
            seen=seen,
            xyz=xyz,
            local=local,
            residual=residual,
            used=used,
            squared=squared,
            weight=zero,
            cost=0.0,
        )

    def evaluate(self, poses: CameraPoses, seen: TrackSamples, xyz: F64) -> _State:
        """Compute residuals, weights and cost."""
        state = self.project(poses, seen, xyz)
        relative = state.squared / self.sigma_px**2
        state.weight = np.where(state.used, cauchy_weight(relative, _CAUCHY_SCALE), 0.0)
        loss = np.where(state.used, cauchy_loss(relative, _CAUCHY_SCALE), 0.0)
        prior = (self._change(poses) / self.change_sd) ** 2
        state.cost = float((loss.sum() + prior.sum()) / max(state.used.sum(), 1))
        return state

    def _change(self, poses: CameraPoses) -> F64:
        """Return the difference (V, 6) of the free poses from the former ones: rotation vector and translation."""
        if self.former is None:
            return np.zeros((len(self.free), 6))
        rotation = poses.R @ np.swapaxes(self.former.R, -1, -2)
        translation = poses.t_mm - (rotation @ self.former.t_mm[..., None])[..., 0]
        return np.asarray(np.concatenate([log(rotation), translation], -1) * self.free[:, POSE])

    @staticmethod
    def estimate_sigma(state: _State) -> float:
        """Estimate the noise from the median squared residual (Rayleigh distribution) and the degrees of freedom."""
        count = state.used.sum(0)
        share = 2 * count.sum() / max(2 * count.sum() - 3 * (count >= 2).sum(), 1)
        median = np.median(state.squared[state.used]) if state.used.any() else 1.0
        return max(float(np.sqrt(median * share / (2 * np.log(2)))), _LEAST_SIGMA_PX)

    def step(self, evaluated: _State, step: tuple[F64, F64]) -> _State:
        poses, seen = evaluated.poses.retract(step[0]), evaluated.seen
        if self.free[:, TIME_OFFSET].any():
            seen = sample_tracks(self.tracks, poses, self.joints)
        return self.evaluate(poses, seen, evaluated.xyz + step[1])

    def accept(self, evaluated: _State) -> _State:
        """Triangulate joints that have come into view of two cameras."""
        missing = ~np.isfinite(evaluated.xyz[..., 0]) & ((evaluated.seen.information > 0).sum(0) >= 2)
        if not missing.any():
            return evaluated
        fresh = triangulate_joints(evaluated.poses, evaluated.seen, self.focal_px)
        return self.evaluate(evaluated.poses, evaluated.seen, np.where(missing[..., None], fresh, evaluated.xyz))

    def linearise(self, evaluated: _State) -> None:
        state, views = evaluated, len(self.focal_px)
        information = state.seen.information.reshape(views, -1)
        root = np.sqrt(state.weight * information) / self.sigma_px  # whitens residuals
        depth = np.where(state.used, state.local[..., 2], 1.0)
        ideal = state.local[..., :2] / depth[..., None]
        zero, one = np.zeros_like(depth), np.ones_like(depth)
        by_local = np.stack([np.stack([one, zero, -ideal[..., 0]], -1), np.stack([zero, one, -ideal[..., 1]], -1)], -2)
        by_local = by_local * (self.focal_px[:, None] / depth * root)[..., None, None]  # (V, N, 2, 3)
        velocity = state.seen.velocity.reshape(views, -1, 2) * (self.focal_px[:, None] * root)[..., None]
        by_camera = np.concatenate([-by_local @ hat(state.local), by_local, -velocity[..., None]], -1)
        by_camera = by_camera * self.free[:, None, None, :]  # (V, N, 2, 7)
        by_point = by_local @ state.poses.R[:, None]
        white = state.residual * root[..., None]
        self.gradient = np.einsum("vnri,vnr->nvi", by_camera, white)
        rows = by_camera.reshape(views, -1, N_UNKNOWNS)
        dense = np.swapaxes(rows, -1, -2) @ rows
        dense[:, TIME_OFFSET, TIME_OFFSET] += 1 / _TIME_OFFSET_SD_S**2
        prior = np.zeros((views, N_UNKNOWNS))
        if self.former is not None:
            dense[:, np.arange(6), np.arange(6)] += 1 / self.change_sd**2
            prior[:, POSE] = self._change(state.poses) / self.change_sd**2
        cross = (np.swapaxes(by_point, -1, -2) @ by_camera).transpose(1, 2, 0, 3).reshape(-1, N_UNKNOWNS * views)
        self.equations = NormalEquations(
            eliminated=BlockDiagonal((np.swapaxes(by_point, -1, -2) @ by_point).sum(0)),
            cross=cross[:, self.on],
            dense=block_diagonal(dense)[np.ix_(self.on, self.on)],
            eliminated_rhs=-np.einsum("vnri,vnr->ni", by_point, white).ravel(),
            dense_rhs=-(self.gradient.sum(0) + prior).ravel()[self.on],
        )

    def solve(self, damping: float) -> tuple[F64, F64] | None:
        solved = self.equations.solve(damping, self._limit)
        if solved is None:
            return None
        return self._full(solved[0]), solved[1].reshape(*self.joints.track.shape[1:], -1, 3)

    def _full(self, cameras: F64) -> F64:
        """Return the step (V, 7) of the cameras from its free components."""
        out = np.zeros(self.free.size)
        out[self.on] = cameras
        return out.reshape(self.free.shape)

    def _limit(self, cameras: F64) -> F64:
        """Shorten a step that rotates a camera too far."""
        longest = float(np.abs(self._full(cameras)[:, :3]).max(initial=0.0))
        return cameras * min(1.0, _LONGEST_ROTATION_RAD / max(longest, 1e-300))

    def covariance(self, state: _State) -> F64:
        """Compute the (V, 7, 7) sandwich estimate, robust against errors that persist for up to a second.

        White, Maximum likelihood estimation of misspecified models, 1982, with time blocks as clusters. The gauge
        (similarity and common time offset), if no camera fixes it, is projected out, which gives the smallest errors.
        """
        views, on = len(self.free), self.on
        out = np.zeros((views, N_UNKNOWNS, N_UNKNOWNS))
        if not len(on):
            return out
        try:
            reduced = self.equations.reduced()
        except LinAlgError:
            return out + np.inf
        scale = 1 / np.sqrt(np.maximum(np.diag(reduced), 1e-12))
        values, vectors = np.linalg.eigh(reduced * scale[:, None] * scale)
        keep = values > _LEAST_EIGENVALUE * values[-1]
        if np.asarray(self.free[:, POSE].all(1))[state.used.any(1)].all() and self.former is None:
            keep[:_GAUGE] = False
        inverse = (vectors[:, keep] / values[keep]) @ vectors[:, keep].T
        # At the optimum, the gradients of the points vanish: only those of the cameras remain.
        at_s = self.joints.at_s
        gradient = self.gradient.reshape(len(at_s), -1, N_UNKNOWNS * views).sum(1)[:, on]
        length_s = min(_BLOCK_S, (float(np.ptp(at_s)) + 1e-9) / _LEAST_BLOCKS)
        block = np.floor((at_s - at_s.min()) / length_s).astype(int)
        total = np.zeros((block.max() + 1, len(on)))
        np.add.at(total, block, gradient)
        score = total * scale
        sandwich = inverse @ (score.T @ score) @ inverse
        # The variance of few blocks is unreliable, so that of independent errors is the lower limit.
        wider = np.sqrt(np.maximum(np.diag(inverse) / np.maximum(np.diag(sandwich), 1e-300), 1.0))
        whole = np.zeros((N_UNKNOWNS * views, N_UNKNOWNS * views))
        whole[np.ix_(on, on)] = sandwich * wider[:, None] * wider * scale[:, None] * scale
        for v in range(views):
            rows = slice(N_UNKNOWNS * v, N_UNKNOWNS * (v + 1))
            out[v] = whole[rows, rows]
        return out
