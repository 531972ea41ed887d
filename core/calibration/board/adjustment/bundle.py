"""Bundle adjustment of cameras and the trajectory of one rigid board, with a time offset per camera.

A rigid board has six unknowns per knot of its trajectory instead of three per point. The block of the knots in the
normal equations is banded, so that a banded Cholesky factorisation eliminates it in time linear in the number of
frames.

General solvers support neither continuous-time trajectories nor time offsets; see
docs/adr/0003-continuous-time-calibration.md.

P images, at most n points per image, V cameras, K knots. Unknowns of a camera: see `state`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from core.calibration.board.adjustment.motion_prior import JERK_THRESHOLD, acceleration_residuals
from core.calibration.board.adjustment.state import INTRINSICS, N_UNKNOWNS, BoardImages, CameraPrior, Cameras
from core.calibration.board.adjustment.trajectory import SPAN, Interpolation, Trajectory, interpolate, poses_at
from core.geometry.intrinsics import N_INTRINSICS, project_with_jacobian
from core.geometry.so3 import cross
from core.optimize.lm import LeastSquaresProblem, LMSettings, minimise
from core.optimize.robust import cauchy_loss, cauchy_weight
from core.optimize.schur import BlockBand, NormalEquations, block_diagonal, scatter_matrix, scatter_rows
from core.types.arrays import F64, I64

CAUCHY_SCALE = 3.0
"""Residual, in units of the nominal noise, at which a point has half its weight."""
LOST_POINT_LOSS = 40.0
"""Loss of a point that cannot be predicted (behind a camera, off the trajectory), above that of a residual of 27 units,
so that losing a point never pays."""
_NEAR_MM = 1.0  # depth below which a point counts as behind the camera
_INITIAL_PRIOR_WEIGHT = 0.05  # of priors against residuals in nominal units, until the noise has been estimated
_PRIOR_WEIGHT_RANGE = (0.8, 1.25)  # change of the estimate below which the scale has converged
_ROUGH_TOLERANCE = 1e-3  # convergence tolerance until the noise has been estimated
_ACCELERATION_DAMPING = 1e-7  # below it, straight steps suffice
_PROBE = 0.1  # length of the probe of geodesic acceleration relative to the step
_LONGEST_CORRECTION = 0.5  # second-order correction relative to the step up to which it is used
_RECHECK_DAMPING = 1e-8
_LONGEST_ROTATION_RAD = 0.3  # of a knot in one step


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BoardSolution:
    """Adjusted cameras and trajectory.

    Attributes:
        cameras: Cameras.
        trajectory: Trajectory of the board.
        residual_px: (P, n, 2) observed minus predicted; NaN for padding and unpredictable points.
        weight: (P, n) IRLS weights of the points, 0 to 1.
        sigma_px: Standard deviation of a coordinate of an inlier.
        covariance: (V * 19, V * 19) covariance of the cameras' unknowns; 0 for fixed ones.
        motion: Motion prior (see `motion_prior`).
        iterations: Number of accepted steps.
    """

    cameras: Cameras
    trajectory: Trajectory
    residual_px: F64
    weight: F64
    sigma_px: float
    covariance: F64
    motion: tuple[float, float]
    iterations: int

    def sd(self, unknown: slice) -> F64:
        """Return the standard deviations (V, m) of a slice of the cameras' unknowns."""
        return np.sqrt(np.maximum(np.diag(self.covariance), 0)).reshape(-1, N_UNKNOWNS)[:, unknown]


@dataclass(slots=True, kw_only=True, eq=False)
class _State:
    """Cameras and trajectory with residuals and Jacobians."""

    cameras: Cameras
    trajectory: Trajectory
    at: Interpolation
    residual: F64  # (P, n, 2), 0 where unusable
    usable: np.ndarray  # (P, n)
    jacobian: F64  # (P, n, 2, 6 + C): by the board's pose, then by the cameras' free unknowns
    by_knots: F64  # (P, 6, 24)
    cost: float = 0.0


def residuals(images: BoardImages, cameras: Cameras, trajectory: Trajectory) -> F64:
    """Return observed minus predicted points (P, n, 2) in px, NaN if not observed or not predictable."""
    state = linearise(images, cameras, trajectory, None)
    return np.where(state.usable[..., None], state.residual, np.nan)


def linearise(images: BoardImages, cameras: Cameras, trajectory: Trajectory, columns: I64 | None) -> _State:
    """Compute residuals, and Jacobians by the board's pose and the cameras' unknowns (C,); None for no Jacobians."""
    at = interpolate(trajectory.time_s, trajectory.segment, images.time_s - cameras.time_offset_s[images.view])
    poses = poses_at(trajectory, at, derivatives=columns is not None)
    count, width = images.valid.shape
    world = images.board_mm @ np.swapaxes(poses.R, -1, -2) + poses.t_mm[:, None]
    R, t = cameras.R[images.view], cameras.t_mm[images.view]
    local = world @ np.swapaxes(R, -1, -2) + t[:, None]
    usable = images.valid & (local[..., 2] > _NEAR_MM) & at.inside[:, None]
    local = np.where(usable[..., None], local, (0.0, 0.0, 1000.0))
    predicted = np.zeros((count, width, 2))
    by_local = np.zeros((count, width, 2, 3))
    intrinsics_free = columns is not None and columns.max(initial=0) >= INTRINSICS.start
    by_intrinsics = np.zeros((count, width, 2, N_INTRINSICS if intrinsics_free else 0))
    for model in set(cameras.distortion_model):
        rows = np.flatnonzero(np.array([other == model for other in cameras.distortion_model])[images.view])
        params = np.repeat(cameras.intrinsics[images.view[rows]], width, axis=0)
        px, by_point, by_params = project_with_jacobian(
            model, params, local[rows].reshape(-1, 3), intrinsics_jacobian=intrinsics_free
        )
        shape = (len(rows), width, 2)
        predicted[rows], by_local[rows] = px.reshape(shape), by_point.reshape(*shape, 3)
        by_intrinsics[rows] = by_params.reshape(*shape, by_intrinsics.shape[-1])
    jacobian = np.zeros((count, width, 2, 0 if columns is None else 6 + len(columns)))
    if columns is not None:
        # All points of an image form one matrix, because many small products are slow.
        by_world = (by_local.reshape(count, -1, 3) @ R).reshape(by_local.shape)
        by_board = (by_world.reshape(count, -1, 3) @ poses.R).reshape(by_local.shape)
        jacobian[..., :3] = cross(images.board_mm[:, :, None], by_board)
        jacobian[..., 3:6] = by_world
        if len(columns):
            by_camera = np.zeros((count, width, 2, N_UNKNOWNS if intrinsics_free else INTRINSICS.start))
            by_camera[..., :3] = cross(local[:, :, None], by_local)  # left retraction: rotates the translation as well
            by_camera[..., 3:6] = by_local
            by_camera[..., 6] = -(jacobian[..., :6] * poses.by_time[:, None, None]).sum(-1)
            by_camera[..., INTRINSICS.start :] = by_intrinsics
            jacobian[..., 6:] = by_camera[..., columns]
        jacobian[~usable] = 0
    return _State(
        cameras=cameras,
        trajectory=trajectory,
        at=at,
        residual=np.where(usable[..., None], images.xy_px - predicted, 0.0),
        usable=usable,
        jacobian=jacobian,
        by_knots=poses.by_knots,
    )


def robust_cost(residual_px: F64, valid: np.ndarray, noise_px: float) -> float:
    """Return the sum of the robust loss of residuals (P, n, 2) over valid points (P, n); NaN counts as lost."""
    loss = cauchy_loss((residual_px**2).sum(-1) / noise_px**2, CAUCHY_SCALE)
    return float(np.where(valid, np.where(np.isnan(loss), LOST_POINT_LOSS, loss), 0.0).sum())


def adjust_board(
    images: BoardImages,
    cameras: Cameras,
    trajectory: Trajectory,
    free: np.ndarray,
    prior: CameraPrior | None = None,
    *,
    noise_px: float,
    motion: tuple[float, float],
    sigma_px: float | None = None,
    max_steps: int = 40,
    tolerance: float = 1e-5,
) -> BoardSolution:
    """Adjust cameras and trajectory by Levenberg-Marquardt with Cauchy's loss.

    Args:
        images: Observations.
        cameras: Initial cameras.
        trajectory: Initial trajectory; always free.
        free: (V, 19) bool, the cameras' free unknowns. At least one camera's pose must be fixed.
        prior: Prior of intrinsics and time offsets.
        noise_px: Nominal standard deviation of a coordinate: the unit of the robust loss.
        motion: Motion prior (see `motion_prior`).
        sigma_px: Standard deviation of a coordinate of inliers; None estimates it.
        max_steps: Largest number of linearisations.
        tolerance: Relative decrease of the cost below which the adjustment has converged.
    """
    settings = LMSettings(
        max_steps=max_steps,
        tolerance=tolerance,
        rough_tolerance=_ROUGH_TOLERANCE,
        damping=1e-5,
        factor=8.0,
        min_damping=1e-10,
        max_attempts=8,
        recheck_damping=_RECHECK_DAMPING,
        acceleration_damping=_ACCELERATION_DAMPING,
    )
    with threadpool_limits(1):  # threads do not pay for small matrices
        problem = _BoardProblem(images, free, prior, noise_px, motion, sigma_px)
        state, accepted = minimise(problem, problem.evaluate(cameras, trajectory), settings)
        sigma = problem.estimate_sigma(state)
        covariance = np.zeros((free.size, free.size))
        index = np.flatnonzero(free.ravel())
        if index.size:
            problem.linearise(state)
            covariance[np.ix_(index, index)] = problem.equations.covariance() * (sigma / noise_px) ** 2
    return BoardSolution(
        cameras=state.cameras,
        trajectory=state.trajectory,
        residual_px=np.where(state.usable[..., None], state.residual, np.nan),
        weight=np.where(state.usable, problem.weight(state), 0.0),
        sigma_px=sigma,
        covariance=covariance,
        motion=motion,
        iterations=accepted,
    )


class _BoardProblem(LeastSquaresProblem[_State, tuple[F64, F64]]):
    """Cost and normal equations; a step is ((V, 19), (K, 6))."""

    def __init__(
        self,
        images: BoardImages,
        free: np.ndarray,
        prior: CameraPrior | None,
        noise_px: float,
        motion: tuple[float, float],
        sigma_px: float | None,
    ) -> None:
        self.images, self.free, self.prior, self.noise_px, self.motion = images, free, prior, noise_px, motion
        self.columns = np.flatnonzero(free.any(0))
        self.of_view = [slice(*np.searchsorted(images.view, (v, v + 1))) for v in range(len(free))]
        # Residuals are in units of the nominal noise; priors are weighted by the ratio of true to nominal variance, to
        # be consistent with the actual noise.
        self.scale_converged = self.sigma_known = sigma_px is not None
        self.prior_weight = _INITIAL_PRIOR_WEIGHT if sigma_px is None else (sigma_px / noise_px) ** 2
        self.equations: NormalEquations

    def evaluate(self, cameras: Cameras, trajectory: Trajectory) -> _State:
        state = linearise(self.images, cameras, trajectory, self.columns)
        state.cost = self._cost(state)
        return state

    def step(self, evaluated: _State, step: tuple[F64, F64]) -> _State:
        return self.evaluate(evaluated.cameras.retract(step[0]), evaluated.trajectory.retract(step[1]))

    def weight(self, state: _State) -> F64:
        """(P, n) IRLS weights."""
        return cauchy_weight((state.residual**2).sum(-1) / self.noise_px**2, CAUCHY_SCALE)

    def estimate_sigma(self, state: _State) -> float:
        """Estimate the standard deviation of an inlier's coordinate from weighted residuals and degrees of freedom."""
        weight = np.where(state.usable, self.weight(state), 0.0)
        degrees = 2 * weight.sum() - 6 * len(state.trajectory) - self.free.sum()
        square = float((weight[..., None] * state.residual**2).sum())
        return float(np.sqrt(square / max(degrees, weight.sum() / 2, 1.0)))

    def update_scale(self, evaluated: _State) -> _State | None:
        if self.sigma_known:
            return None
        weight = (self.estimate_sigma(evaluated) / self.noise_px) ** 2
        if _PRIOR_WEIGHT_RANGE[0] < weight / self.prior_weight < _PRIOR_WEIGHT_RANGE[1]:
            return None
        self.prior_weight = weight
        evaluated.cost = self._cost(evaluated)
        return evaluated

    def _cost(self, state: _State) -> float:
        squared = (state.residual[state.usable] ** 2).sum(-1) / self.noise_px**2
        cost = float(cauchy_loss(squared, CAUCHY_SCALE).sum())
        cost += LOST_POINT_LOSS * int((self.images.valid & ~state.usable).sum())
        acceleration, _ = acceleration_residuals(state.trajectory, self.motion, derivatives=False)
        penalty = float(cauchy_loss((acceleration**2).sum(-1), JERK_THRESHOLD).sum())
        if self.prior is not None:
            cameras, prior = state.cameras, self.prior
            off = np.where(self.free[:, INTRINSICS], cameras.intrinsics - prior.intrinsics, 0.0)
            penalty += float((off[:, None] @ prior.information @ off[..., None]).sum())
            penalty += float(((cameras.time_offset_s[self.free[:, 6]] / prior.time_offset_sd_s) ** 2).sum())
        return cost + self.prior_weight * penalty

    def solve(self, damping: float) -> tuple[F64, F64] | None:
        step = self.equations.solve(damping)
        return None if step is None else self._clamp_step(*self._shaped(step))

    def _shaped(self, step: tuple[F64, F64]) -> tuple[F64, F64]:
        cameras = np.zeros(self.free.size)
        cameras[self.free.ravel()] = step[0]
        return cameras.reshape(self.free.shape), step[1].reshape(-1, 6)

    @staticmethod
    def _clamp_step(cameras: F64, knots: F64) -> tuple[F64, F64]:
        """Shorten steps of single knots, so that one that flips a flat board's pose does not block the others."""
        excess = np.maximum(1.0, np.linalg.norm(knots[:, :3], axis=1) / _LONGEST_ROTATION_RAD)
        return cameras, knots / excess[:, None]

    def accelerate(self, evaluated: _State, step: tuple[F64, F64]) -> tuple[F64, F64]:
        """Add the geodesic acceleration to a step (Transtrum and Sethna 2012, equation 3).

        Focal lengths and depths trade off along curves, on which straight steps make little progress.
        """
        if not self.columns.size:
            return step
        h, state = _PROBE, evaluated
        ahead = linearise(self.images, state.cameras.retract(h * step[0]), state.trajectory.retract(h * step[1]), None)
        index = np.minimum(state.at.first[:, None] + np.arange(SPAN), len(state.trajectory) - 1)
        pose = (state.by_knots @ step[1][index].reshape(len(index), -1, 1))[..., 0]
        change = np.concatenate([pose, step[0][self.images.view][:, self.columns]], -1)
        linear = (state.jacobian @ change[:, None, :, None])[..., 0]
        second = (2 / h) * ((state.residual - ahead.residual) / h - linear)
        second[~(state.usable & ahead.usable)] = 0
        knots_rhs, cameras_rhs = self._gradient(state, -second / 2)
        correction = self._shaped(
            self.equations.solve_rhs(cameras_rhs.ravel()[self.free.ravel()], knots_rhs[: len(state.trajectory)].ravel())
        )
        too_long = np.linalg.norm(correction[1]) > _LONGEST_CORRECTION * np.linalg.norm(step[1])
        if too_long or not np.isfinite(correction[1]).all():
            return step
        return step[0] + correction[0], step[1] + correction[1]

    def _gradient(self, state: _State, residual: F64) -> tuple[F64, F64]:
        """J^T W r of residuals (P, n, 2): by the knots (K + 4, 6) and by the cameras' unknowns (V, 19)."""
        weight = self.weight(state) / self.noise_px**2
        slope = ((residual * weight[..., None])[..., None, :] @ state.jacobian).sum((1, 2))
        cameras = np.zeros((len(self.free), N_UNKNOWNS))
        for v, rows in enumerate(self.of_view):
            cameras[v, self.columns] = slope[rows, 6:].sum(0)
        by_knots = (slope[:, None, :6] @ state.by_knots).reshape(len(slope), SPAN, 6)
        return scatter_rows(scatter_matrix(state.at.first, len(state.trajectory) + SPAN), by_knots), cameras

    def linearise(self, evaluated: _State) -> None:
        state, count, knots = evaluated, len(self.images), len(evaluated.trajectory)
        weight = self.weight(state) / self.noise_px**2
        rows = state.jacobian.reshape(count, -1, state.jacobian.shape[-1])
        weighted = np.swapaxes((state.jacobian * weight[..., None, None]).reshape(rows.shape), -1, -2)
        square = weighted @ rows  # (P, 6 + C, 6 + C)
        knots_rhs, cameras_rhs = self._gradient(state, state.residual)
        views, columns = len(self.free), self.columns
        dense = np.zeros((views, N_UNKNOWNS, N_UNKNOWNS))
        by_pose = np.swapaxes(state.by_knots, -1, -2)
        scatter = scatter_matrix(state.at.first, knots + SPAN)
        band = BlockBand(knots, 6, SPAN)
        band.add(scatter, by_pose @ square[:, :6, :6] @ state.by_knots, SPAN)
        cross = [np.zeros((knots + SPAN, 6, 0))]
        for v, part in enumerate(self.of_view):
            dense[v][np.ix_(columns, columns)] = square[part, 6:, 6:].sum(0)
            free = self.free[v, columns]
            if free.any():
                between = by_pose[part] @ square[part, :6, 6:][..., free]
                total = scatter_rows(scatter[:, part], between.reshape(len(between), SPAN, -1))
                cross.append(total.reshape(knots + SPAN, 6, -1))
        self._add_camera_prior(state.cameras, dense, cameras_rhs)
        self._add_motion_prior(state.trajectory, band, knots_rhs)
        index = np.flatnonzero(self.free.ravel())
        self.equations = NormalEquations(
            eliminated=band.banded(),
            cross=np.concatenate(cross, -1)[:knots].reshape(knots * 6, -1),
            dense=block_diagonal(dense)[np.ix_(index, index)],
            eliminated_rhs=knots_rhs[:knots].ravel(),
            dense_rhs=cameras_rhs.ravel()[index],
        )

    def _add_camera_prior(self, cameras: Cameras, dense: F64, rhs: F64) -> None:
        if self.prior is None:
            return
        information = self.prior_weight * self.prior.information
        off = np.where(self.free[:, INTRINSICS], self.prior.intrinsics - cameras.intrinsics, 0.0)
        dense[:, INTRINSICS, INTRINSICS] += information
        rhs[:, INTRINSICS] += (information @ off[..., None])[..., 0]
        time_offset = self.prior_weight * self.prior.time_offset_sd_s**-2
        dense[:, 6, 6] += time_offset
        rhs[:, 6] -= time_offset * cameras.time_offset_s

    def _add_motion_prior(self, trajectory: Trajectory, band: BlockBand, rhs: F64) -> None:
        residual, jacobian = acceleration_residuals(trajectory, self.motion)
        scatter = scatter_matrix(np.arange(len(trajectory) - 2), len(trajectory) + SPAN)
        weight = self.prior_weight * cauchy_weight((residual**2).sum(-1), JERK_THRESHOLD)
        weighted = np.swapaxes(jacobian * weight[:, None, None], -1, -2)
        band.add(scatter, weighted @ jacobian, 3)
        rhs += scatter_rows(scatter, (weighted @ -residual[..., None]).reshape(-1, 3, 6))
