"""Bundle adjustment of cameras and the joints of people at frames, with a time offset for every camera.

A joint at a frame is a point by itself, so the points' part of the normal equations falls into blocks of three, and
the Schur complement on the cameras is all that has to be solved (Triggs et al., Bundle Adjustment - A Modern Synthesis,
2000, section 6). A time offset moves a camera's own observations along their tracks.

Legend: V view, M frame, G person, J joint, N point, a joint of a person at a frame.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.calibration.people.tracks import Tracks
from core.geometry import triangulate_views
from core.geometry.so3 import exp, hat
from core.types.arrays import F64, I64

POSE, TIME_OFFSET = slice(0, 6), 6
_KINK = 2.5  # residual, in units of the scale, from which on an observation counts less (Cauchy)
_NEAR_MM = 50.0
_USUAL_LATE_S = 0.3  # standard deviation of time offsets before anything is seen of them
_LEAST_PX = 0.5  # nobody finds joints better than this
_MOST_TURN = 0.5
_BLOCK_S = 1.0  # errors of a 2D estimator last: stretches this long are taken to be independent of each other
_LEAST_BLOCKS = 10


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CameraPoses:
    """Where cameras are, in a frame of their own.

    Attributes:
        R: (V, 3, 3) world to camera.
        t_mm: (V, 3).
        time_offset_s: (V,) recorded time minus true time.
        registered: (V,) whether anything is known of the camera.
    """

    R: F64
    t_mm: F64
    time_offset_s: F64
    registered: np.ndarray

    def moved(self, step: F64) -> CameraPoses:
        """Changed by (V, 7): turn, shift, time offset."""
        turn = exp(step[:, :3])
        return dataclasses.replace(
            self,
            R=turn @ self.R,
            t_mm=(turn @ self.t_mm[..., None])[..., 0] + step[:, 3:6],
            time_offset_s=self.time_offset_s + step[:, 6],
        )

    def with_camera(self, view: int, R: F64, t_mm: F64, time_offset_s: float) -> CameraPoses:
        """With one camera placed anew."""
        out = [self.R.copy(), self.t_mm.copy(), self.time_offset_s.copy(), self.registered.copy()]
        out[0][view], out[1][view], out[2][view], out[3][view] = R, t_mm, time_offset_s, True
        return CameraPoses(R=out[0], t_mm=out[1], time_offset_s=out[2], registered=out[3])

    def scaled(self, factor: float) -> CameraPoses:
        """With all lengths changed."""
        return dataclasses.replace(self, t_mm=self.t_mm * factor)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrackAssignment:
    """Which track of which camera shows which person at which frame.

    Attributes:
        at_s: (M,) true times.
        track: (V, M, G), -1 for none.
    """

    at_s: F64
    track: I64

    def where(self, frames: np.ndarray) -> TrackAssignment:
        """Some of the frames only."""
        return TrackAssignment(at_s=self.at_s[frames], track=self.track[:, frames])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrackSamples:
    """What the cameras see of the points with the time offsets as they are now.

    Attributes:
        xy: (V, M, G, J, 2) on the ideal image plane, 0 where not seen.
        velocity: (V, M, G, J, 2) per second.
        information: (V, M, G, J), 0 where not seen.
    """

    xy: F64
    velocity: F64
    information: F64


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PeopleSolution:
    """Cameras, joints, and how well they fit.

    Attributes:
        placed: The cameras.
        xyz_mm: (M, G, J, 3) joints, NaN where fewer than two cameras see them.
        residual_px: (V, M, G, J) distance from what was seen, NaN where nothing was.
        weight: (V, M, G, J) by which an observation counts, 1 for ordinary ones.
        sigma_px: Usual error of a single detection with score 1, per coordinate.
        covariance: (V, 7, 7) of turn in rad, shift in mm and time offset in s, in the gauge in which it is smallest.
    """

    placed: CameraPoses
    xyz_mm: F64
    residual_px: F64
    weight: F64
    sigma_px: float
    covariance: F64

    @property
    def inlier(self) -> np.ndarray:
        """(V, M, G, J) bool, observations that are no outliers."""
        return np.asarray(self.weight > 0.25)

    @property
    def inlier_share(self) -> F64:
        """(V,) share of inliers among a camera's joints, 0 where it shows none."""
        seen = np.isfinite(self.residual_px).sum((1, 2, 3))
        return np.asarray(self.inlier.sum((1, 2, 3)) / np.maximum(seen, 1))

    @property
    def agreed_mm(self) -> F64:
        """(M, G, J, 3) joints on which two cameras agree, NaN elsewhere."""
        return np.where((self.inlier.sum(0) >= 2)[..., None], self.xyz_mm, np.nan)


def sample_tracks(tracks: Sequence[Tracks], placed: CameraPoses, joints: TrackAssignment) -> TrackSamples:
    """Reads the tracks at the frames, each camera as late as it is; cameras that are not registered see nothing."""
    samples = [
        t.sample(joints.at_s + placed.time_offset_s[v], np.where(placed.registered[v], joints.track[v], -1))
        for v, t in enumerate(tracks)
    ]
    return TrackSamples(
        xy=np.stack([np.nan_to_num(s.xy) for s in samples]),
        velocity=np.stack([s.velocity for s in samples]),
        information=np.stack([s.information for s in samples]),
    )


def triangulate_joints(placed: CameraPoses, seen: TrackSamples, focal_px: F64, weight: F64 | None = None) -> F64:
    """(M, G, J, 3) points that lie nearest to all rays in pixels; NaN with fewer than two, or behind a camera."""
    info = seen.information if weight is None else seen.information * weight
    return triangulate_views(placed.R, placed.t_mm, focal_px, seen.xy, np.sqrt(info), near_mm=_NEAR_MM)


def adjust_people(
    tracks: Sequence[Tracks],
    start: CameraPoses,
    joints: TrackAssignment,
    free: np.ndarray,
    *,
    steps: int = 12,
    coarse: bool = False,
) -> PeopleSolution:
    """Levenberg-Marquardt over cameras, time offsets and points, with Cauchy's loss.

    Args:
        tracks: (V,) people in each camera.
        start: First places; cameras that are not registered take no part.
        joints: Who is where.
        free: (V, 7) what may change: turn, shift, time offset.
        steps: At most.
        coarse: Whether to stop early, for a place that is refined later.
    """
    focal = np.array([t.focal_px for t in tracks])
    placed, seen = start, sample_tracks(tracks, start, joints)
    xyz = triangulate_joints(placed, seen, focal)
    sigma = np.inf
    damping = 1e-3
    for step in range(steps):
        system = _System.of(placed, seen, xyz, focal, free, sigma)
        sigma = system.sigma if step < steps // 2 or not np.isfinite(sigma) else sigma
        before = system.cost
        accepted = False
        for _ in range(6):
            change, move = system.step(damping)
            trial = placed.moved(change)
            trial_seen = sample_tracks(tracks, trial, joints)
            trial_xyz = np.asarray(xyz + move)
            # The cost is compared on what is seen with the time offsets before and after, each per observation.
            after = _System.of(trial, trial_seen, trial_xyz, focal, free, system.sigma).cost
            if after < before:
                accepted = True
                break
            damping *= 6
        if not accepted:
            break
        placed, seen, xyz = trial, trial_seen, trial_xyz
        fresh = triangulate_joints(placed, seen, focal, system.weight)
        xyz = np.where(np.isfinite(xyz), xyz, fresh)
        damping = max(damping / 6, 1e-7)
        if before - after < (1e-3 if coarse else 1e-5) * before:
            break
    system = _System.of(placed, seen, xyz, focal, free, np.inf)
    residual = np.where(system.used, np.linalg.norm(system.residual, axis=-1), np.nan)
    return PeopleSolution(
        placed=placed,
        xyz_mm=xyz,
        residual_px=residual,
        weight=system.weight,
        sigma_px=system.sigma,
        covariance=system.covariance(joints.at_s),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _System:
    """Residuals and normal equations around a state.

    Attributes:
        residual: (V, M, G, J, 2) projected minus seen, px.
        used: (V, M, G, J).
        weight: (V, M, G, J) of Cauchy's loss, 0 where not used.
        sigma: Scale of residuals.
        cost: Mean loss.
        camera: (V, N, 2, 7) derivatives of whitened residuals.
        point: (V, N, 2, 3).
        white: (V, N, 2) whitened residuals.
        free: (V, 7).
    """

    residual: F64
    used: np.ndarray
    weight: F64
    sigma: float
    cost: float
    camera: F64
    point: F64
    white: F64
    free: np.ndarray

    @classmethod
    def of(
        cls, placed: CameraPoses, seen: TrackSamples, xyz: F64, focal: F64, free: np.ndarray, sigma: float
    ) -> _System:
        """Linearises around a state; `sigma` is measured when it is infinite."""
        V = len(focal)
        points = np.nan_to_num(xyz).reshape(-1, 3)
        known = np.isfinite(xyz[..., 0]).ravel()
        turned = points @ np.swapaxes(placed.R, -1, -2)  # (V, N, 3)
        local = turned + placed.t_mm[:, None]
        depth = local[..., 2]
        ahead = depth > _NEAR_MM
        safe = np.where(ahead, depth, 1.0)
        info = seen.information.reshape(V, -1)
        used = ahead & known & (info > 0)
        used &= used.sum(0) >= 2
        flat = local[..., :2] / safe[..., None]
        residual = np.where(used[..., None], focal[:, None, None] * (flat - seen.xy.reshape(V, -1, 2)), 0.0)
        square = (residual**2).sum(-1) * info
        if not np.isfinite(sigma):
            # Rayleigh's median; points take up three of their coordinates.
            count = used.sum(0)
            share = 2 * count.sum() / max(2 * count.sum() - 3 * (count >= 2).sum(), 1)
            median = np.median(square[used]) if used.any() else 1.0
            sigma = max(float(np.sqrt(median * share / (2 * np.log(2)))), _LEAST_PX)
        relative = square / sigma**2
        weight = np.where(used, 1 / (1 + relative / _KINK**2), 0.0)
        loss = np.where(used, _KINK**2 * np.log1p(relative / _KINK**2), 0.0)
        root = np.sqrt(weight * info) / sigma
        zero, one = np.zeros_like(safe), np.ones_like(safe)
        slope = (
            np.stack([np.stack([one, zero, -flat[..., 0]], -1), np.stack([zero, one, -flat[..., 1]], -1)], -2)
            * (focal[:, None] / safe * root)[..., None, None]
        )  # (V, N, 2, 3)
        velocity = seen.velocity.reshape(V, -1, 2) * (focal[:, None] * root)[..., None]
        camera = np.concatenate([-slope @ hat(local), slope, -velocity[..., None]], -1)
        shape = seen.information.shape
        return cls(
            residual=residual.reshape(*shape, 2),
            used=used.reshape(shape),
            weight=weight.reshape(shape),
            sigma=sigma,
            cost=float(loss.sum() / max(used.sum(), 1)),
            camera=camera * free[:, None, None, :],
            point=slope @ placed.R[:, None],
            white=residual * root[..., None],
            free=free,
        )

    def _reduced(self, damping: float) -> tuple[F64, F64, F64, F64, F64]:
        """Schur complement (7V, 7V), its right side, and what the points need: W (N, 3, 7V), inverse and gradient."""
        V, N = self.white.shape[:2]
        U = np.einsum("vnri,vnrj->vij", self.camera, self.camera)
        g = -np.einsum("vnri,vnr->vi", self.camera, self.white)
        P = np.einsum("vnri,vnrj->nij", self.point, self.point)
        h = -np.einsum("vnri,vnr->ni", self.point, self.white)
        W = np.einsum("vnri,vnrj->nivj", self.point, self.camera).reshape(N, 3, 7 * V)
        trace = np.maximum(np.trace(P, axis1=-2, axis2=-1), 1e-12)
        P = P + (damping * P + 1e-9 * trace[:, None, None]) * np.eye(3)
        inverse = np.linalg.inv(P)
        S = np.zeros((7 * V, 7 * V))
        for v in range(V):
            S[7 * v : 7 * v + 7, 7 * v : 7 * v + 7] = U[v]
        S[np.arange(6, 7 * V, 7), np.arange(6, 7 * V, 7)] += 1 / _USUAL_LATE_S**2
        scaled = inverse @ W
        S -= np.tensordot(W, scaled, ((0, 1), (0, 1)))
        right = g.ravel() - np.tensordot(scaled, h, ((0, 1), (0, 1)))
        return S, right, W, inverse, h

    def step(self, damping: float) -> tuple[F64, F64]:
        """Change of the cameras (V, 7) and of the points (M, G, J, 3)."""
        V = len(self.free)
        S, right, W, inverse, h = self._reduced(damping)
        on = np.flatnonzero(self.free.ravel())
        change = np.zeros(7 * V)
        if len(on):
            reduced = S[np.ix_(on, on)]
            diagonal = np.maximum(np.diag(reduced), 1e-9)
            scale = 1 / np.sqrt(diagonal)
            balanced = reduced * scale[:, None] * scale + damping * np.eye(len(on))
            change[on] = scale * np.linalg.lstsq(balanced, scale * right[on], rcond=1e-12)[0]
        out = change.reshape(V, 7)
        largest = float(np.abs(out[:, :3]).max(initial=0.0))
        if largest > _MOST_TURN:
            out = out * (_MOST_TURN / largest)
        move = (inverse @ (h - W @ out.ravel())[..., None])[..., 0]
        return out, move.reshape(*self.used.shape[1:], 3)

    def covariance(self, at_s: F64) -> F64:
        """(V, 7, 7) sandwich estimate, robust against errors that last for up to a second.

        White, Maximum likelihood estimation of misspecified models, 1982, with stretches of time as clusters. What no
        camera is fixed for, place, turn, size and common time offset of the whole, is left out: of all gauges this gives the
        smallest errors.
        """
        V = len(self.free)
        on = np.flatnonzero(self.free.ravel())
        out = np.zeros((V, 7, 7))
        if not len(on):
            return out
        S = self._reduced(0.0)[0][np.ix_(on, on)]
        scale = 1 / np.sqrt(np.maximum(np.diag(S), 1e-12))
        values, vectors = np.linalg.eigh(S * scale[:, None] * scale)
        keep = values > 1e-7 * values[-1]
        seeing = np.asarray(self.used.any((1, 2, 3)))
        if np.asarray(self.free.any(1))[seeing].all():
            keep[:7] = False
        inverse = (vectors[:, keep] / values[keep]) @ vectors[:, keep].T
        # At the best point its own gradient vanishes, so a stretch's gradient is that of the cameras alone.
        M = len(at_s)
        gradient = np.einsum("vnri,vnr->nvi", self.camera, self.white).reshape(M, -1, 7 * V).sum(1)[:, on]
        length_s = min(_BLOCK_S, (float(np.ptp(at_s)) + 1e-9) / _LEAST_BLOCKS)
        block = np.floor((at_s - at_s.min()) / length_s).astype(int)
        total = np.zeros((block.max() + 1, len(on)))
        np.add.at(total, block, gradient)
        score = total * scale
        wide = inverse @ (score.T @ score) @ inverse
        whole = np.zeros((7 * V, 7 * V))
        # Few stretches say little about their own spread: never less than if all errors were independent.
        both = np.where(np.diag(wide) > np.diag(inverse), 1.0, 0.0)
        root = np.where(both > 0, 1.0, np.sqrt(np.diag(inverse) / np.maximum(np.diag(wide), 1e-300)))
        wide = wide * root[:, None] * root
        whole[np.ix_(on, on)] = wide * scale[:, None] * scale
        for v in range(V):
            out[v] = whole[7 * v : 7 * v + 7, 7 * v : 7 * v + 7]
        return out
