"""Bundle adjustment of cameras and the way of one rigid board, with a time offset for every camera.

The board is rigid: six numbers a knot of its way (`trajectory`), not three a point. The knots' part of the normal
equations is a narrow band, so the whole system is solved by a banded Cholesky factor and the Schur complement on the
cameras, in time that grows with the number of frames and not with its cube.

P images, n points at most in one, V cameras, K knots. A camera has 19 unknowns: its turn and shift (6), its time offset (1)
and its lens (12, see `lens`).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from core.board.observations import BoardObservations
from core.calibration.board.banded import Band, NormalEquations, block_diagonal, slide, sums
from core.calibration.board.trajectory import SPAN, Blend, Trajectory, blend, poses_at
from core.geometry.intrinsics import N_NUMBERS, image
from core.geometry.so3 import cross, exp, log, right_jacobian_inverse
from core.types.arrays import F64, I64
from core.types.camera import DistortionModel

N_UNKNOWNS = 6 + 1 + N_NUMBERS
POSE, TIME_OFFSET, NUMBERS = slice(0, 6), slice(6, 7), slice(7, N_UNKNOWNS)
# Corners are found to a tenth of a pixel, but shutters, blur and uneven time offsets cost most of one, at 1280 px width.
USUAL_PX = 1.0 / 1280
_KINK = 3.0  # residual, in units of the scale, from which on a point counts less (Cauchy)
# How a hand moves a board, rad/s2 and mm/s2 (standard deviations between knots a sixth of a second apart): slower than
# one would think. Faster motion is believed once it is seen.
_HAND = (0.65, 130.0)
_HAND_STEP_S = 1 / 6
_SUDDEN = 5.0  # acceleration, in units of the usual one, from which on it is taken for a jerk and resisted less
_ROUGHLY = 1e-3  # tolerance until it is known how far ordinary points are off
_OVERSHOT = 1e-7  # damping from which on steps are bent: where it is less, straight ones have done well
_PROBE = 0.1  # of a step, to see how it bends
_CURVED = 0.5  # of a step's length, beyond which its bend is not believed
LOST = 40.0
"""Loss of a point that can no longer be predicted: it must not look like a gain."""
_NEAR_MM = 1.0
_LIGHT = 1e-8
_APART_S = 60.0  # between copies of the world


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cameras:
    """What is known of the cameras.

    Attributes:
        distortion_model: (V,) distortion models.
        numbers: (V, 12) as in `lens`.
        R: (V, 3, 3) world to camera.
        t_mm: (V, 3).
        time_offset_s: (V,) recorded time minus the time at which an image was taken.
    """

    distortion_model: tuple[DistortionModel, ...]
    numbers: F64
    R: F64
    t_mm: F64
    time_offset_s: F64

    def tiled(self, times: int) -> Cameras:
        """The cameras several times over."""
        arrays = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "distortion_model"}
        return Cameras(
            distortion_model=self.distortion_model * times,
            **{name: np.concatenate([a] * times) for name, a in arrays.items()},
        )

    def moved(self, step: F64) -> Cameras:
        """Changed by (V, 19)."""
        turn = exp(step[:, :3])
        return dataclasses.replace(
            self,
            R=turn @ self.R,
            t_mm=(turn @ self.t_mm[..., None])[..., 0] + step[:, 3:6],
            time_offset_s=self.time_offset_s + step[:, 6],
            numbers=self.numbers + step[:, NUMBERS],
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Images:
    """Observations, a row an image, padded to the image with most points.

    Attributes:
        view: (P,) camera, in increasing order.
        frame: (P,) frame.
        time_s: (P,) recorded time.
        board_mm: (P, n, 3) points on the board.
        xy_px: (P, n, 2) where they were seen.
        valid: (P, n) whether there is a point at all.
        row: (P, n) row of the observations, -1 where there is none.
    """

    view: I64
    frame: I64
    time_s: F64
    board_mm: F64
    xy_px: F64
    valid: np.ndarray
    row: I64

    @classmethod
    def of(cls, seen: BoardObservations) -> Images:
        """Arranges observations image by image."""
        number, start, count = np.unique(seen.image, return_index=True, return_counts=True)
        width = int(count.max()) if len(count) else 0
        row = start[:, None] + np.arange(width)
        valid = np.arange(width) < count[:, None]
        row = np.where(valid, row, -1)
        view, frame = np.divmod(number, len(seen.time_s))
        return cls(
            view=view,
            frame=frame,
            time_s=seen.time_s[frame, view],
            board_mm=seen.board.points_mm[seen.point[row]] if len(seen) else np.zeros((0, 0, 3)),
            xy_px=seen.xy_px[row] if len(seen) else np.zeros((0, 0, 2)),
            valid=valid,
            row=row,
        )

    def where(self, keep: np.ndarray) -> Images:
        """Only the images (P,) for which `keep` holds."""
        return Images(**{f.name: getattr(self, f.name)[keep] for f in dataclasses.fields(self)})

    def apart(self, parts: list[np.ndarray], views: np.ndarray) -> tuple[Images, I64]:
        """Images in copies of the world that know nothing of each other; one large system costs less than many.

        Args:
            parts: Rows of the images in each copy.
            views: Number that the first camera of each copy has.

        Returns:
            The copies, one after the other in time, and (R,) the rows that their images come from.
        """
        rows, copy = np.concatenate(parts), np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        view = self.view[rows] + np.asarray(views)[copy]
        order = np.lexsort((self.frame[rows], copy, view))
        rows, copy = rows[order], copy[order]
        length = float(np.ptp(self.time_s)) + _APART_S if len(self) else 0.0
        moved = dataclasses.replace(
            self.where(rows),
            view=view[order],
            frame=self.frame[rows] + copy * (int(self.frame.max(initial=0)) + 1),
            time_s=self.time_s[rows] + copy * length,
        )
        return moved, rows

    def __len__(self) -> int:
        return len(self.view)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prior:
    """What is known of the cameras beforehand.

    Attributes:
        numbers: (V, 12) lenses.
        information: (V, 12, 12) inverse covariance of them.
        time_offset_sd_s: Standard deviation of time offsets about 0.
    """

    numbers: F64
    information: F64
    time_offset_sd_s: float = 0.5

    def tiled(self, times: int) -> Prior:
        """The same for the cameras several times over."""
        return dataclasses.replace(
            self,
            numbers=np.concatenate([self.numbers] * times),
            information=np.concatenate([self.information] * times),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Solution:
    """Cameras and the board's way as solved.

    Attributes:
        cameras: The cameras.
        way: The board's way.
        residual_px: (P, n, 2) seen minus predicted; NaN where nothing was seen or predicted.
        weight: (P, n) how much a point counted, 0 to 1.
        sigma_px: Standard deviation of a coordinate of an ordinary point.
        covariance: (V * 19, V * 19) of the cameras' unknowns; 0 for those that were held.
        hand: Accelerations that were nothing unusual.
        iterations: Steps taken.
    """

    cameras: Cameras
    way: Trajectory
    residual_px: F64
    weight: F64
    sigma_px: float
    covariance: F64
    hand: tuple[float, float]
    iterations: int

    def sd(self, unknown: slice) -> F64:
        """(V, m) standard deviations of some unknowns."""
        return np.sqrt(np.maximum(np.diag(self.covariance), 0)).reshape(-1, N_UNKNOWNS)[:, unknown]


@dataclass(slots=True, kw_only=True, eq=False)
class _Linear:
    """Predictions and derivatives about one state."""

    residual: F64  # (P, n, 2), 0 where invalid
    usable: np.ndarray  # (P, n)
    jacobian: F64  # (P, n, 2, 6 + C): pose of the board, then those of the camera's unknowns that may change
    by_knots: F64  # (P, 6, 24)


def residuals(images: Images, cameras: Cameras, way: Trajectory) -> tuple[F64, Blend]:
    """(P, n, 2) px seen minus predicted, NaN where nothing was seen or can be predicted; and the blend of knots."""
    linear, mix = _linearise(images, cameras, way, None)
    return np.where(linear.usable[..., None], linear.residual, np.nan), mix


def _linearise(images: Images, cameras: Cameras, way: Trajectory, columns: I64 | None) -> tuple[_Linear, Blend]:
    """Predictions, and derivatives by the board's pose and the cameras' unknowns (C,) named; None for none at all."""
    mix = blend(way.time_s, way.piece, images.time_s - cameras.time_offset_s[images.view])
    poses = poses_at(way, mix, derivatives=columns is not None)
    count, width = images.valid.shape
    world = images.board_mm @ np.swapaxes(poses.R, -1, -2) + poses.t_mm[:, None]
    R, t = cameras.R[images.view], cameras.t_mm[images.view]
    turned = world @ np.swapaxes(R, -1, -2)
    local = turned + t[:, None]
    usable = images.valid & (local[..., 2] > _NEAR_MM) & mix.inside[:, None]
    local = np.where(usable[..., None], local, (0.0, 0.0, 1000.0))
    predicted = np.zeros((count, width, 2))
    by_local = np.zeros((count, width, 2, 3))
    wanted = np.zeros(0, np.int64) if columns is None else columns
    lens_too = wanted.max(initial=0) >= NUMBERS.start
    by_numbers = np.zeros((count, width, 2, N_NUMBERS if lens_too else 0))
    for distortion_model in set(cameras.distortion_model):
        rows = np.flatnonzero(np.array([other == distortion_model for other in cameras.distortion_model])[images.view])
        numbers = np.repeat(cameras.numbers[images.view[rows]], width, axis=0)
        flat, d_point, d_numbers = image(distortion_model, numbers, local[rows].reshape(-1, 3), numbers_too=lens_too)
        shape = (len(rows), width, 2)
        predicted[rows], by_local[rows] = flat.reshape(shape), d_point.reshape(*shape, 3)
        by_numbers[rows] = d_numbers.reshape(*shape, by_numbers.shape[-1])
    residual = np.where(usable[..., None], images.xy_px - predicted, 0.0)
    if columns is None:
        nothing = np.zeros((count, width, 2, 0))
        return _Linear(residual=residual, usable=usable, jacobian=nothing, by_knots=poses.by_knots), mix
    # Rows of all points of an image in one matrix: small products cost most.
    by_world = (by_local.reshape(count, -1, 3) @ R).reshape(by_local.shape)
    jacobian = np.zeros((count, width, 2, 6 + len(columns)))
    by_board = (by_world.reshape(count, -1, 3) @ poses.R).reshape(by_local.shape)
    jacobian[..., :3] = cross(images.board_mm[:, :, None], by_board)
    jacobian[..., 3:6] = by_world
    if len(columns):
        camera = np.zeros((count, width, 2, N_UNKNOWNS if lens_too else 7))
        camera[..., :3] = cross(local[:, :, None], by_local)  # the turn of `Cameras.moved` turns the shift as well
        camera[..., 3:6] = by_local
        camera[..., 6] = -(jacobian[..., :6] * poses.by_time[:, None, None]).sum(-1)
        camera[..., 7:] = by_numbers
        jacobian[..., 6:] = camera[..., columns]
    jacobian[~usable] = 0
    return _Linear(residual=residual, usable=usable, jacobian=jacobian, by_knots=poses.by_knots), mix


def solve(
    images: Images,
    cameras: Cameras,
    way: Trajectory,
    free: np.ndarray,
    prior: Prior | None = None,
    *,
    scale_px: float,
    hand: tuple[float, float],
    spread_px: float | None = None,
    steps: int = 40,
    tolerance: float = 1e-5,
) -> Solution:
    """Levenberg-Marquardt with a Cauchy loss.

    Args:
        images: What was seen.
        cameras: Where to start.
        way: Where the board is thought to be.
        free: (V, 19) which unknowns may change; nothing else does. At least one camera's pose must be held.
        prior: What is known of lenses and time offsets beforehand.
        scale_px: Residual of a coordinate that is nothing unusual.
        hand: Accelerations that are nothing unusual, see `hand`.
        spread_px: How far ordinary points are off (standard deviation of a coordinate), if that is known already.
        steps: Most steps.
        tolerance: Share of the cost by which a step must lower it for another one to be taken.
    """
    with threadpool_limits(1):
        return _solve(images, cameras, way, free, prior, scale_px, hand, spread_px, steps, tolerance)


def _solve(
    images: Images,
    cameras: Cameras,
    way: Trajectory,
    free: np.ndarray,
    prior: Prior | None,
    scale_px: float,
    hand: tuple[float, float],
    spread_px: float | None,
    steps: int,
    tolerance: float,
) -> Solution:
    system = _System(images, free, prior, scale_px, hand)
    if spread_px is not None:
        system.prior_share = (spread_px / scale_px) ** 2
    linear, mix = _linearise(images, cameras, way, system.columns)
    cost, damping, taken = system.cost(linear, cameras, way), 1e-5, 0
    settled, shared = False, spread_px is not None
    for _ in range(steps):
        parts, gain = system.parts(linear, mix, cameras, way), 0.0
        for attempt in range(8):
            step = parts.step(damping)
            if step is not None:
                if damping > _OVERSHOT:
                    step = system.curved(step, parts, linear, mix, cameras, way)
                moved, bent = cameras.moved(step[0]), way.moved(step[1])
                trial, trial_mix = _linearise(images, moved, bent, system.columns)
                new = system.cost(trial, moved, bent)
                if new < cost:
                    gain = cost - new
                    cameras, way, linear, mix, cost = moved, bent, trial, trial_mix, new
                    taken += 1
                    if attempt == 0:  # a damping that was just found to be needed is kept for a while
                        damping = max(damping / 8, 1e-10)
                    break
            damping *= 8
        if gain < (tolerance if shared else max(tolerance, _ROUGHLY)) * (1 + cost):
            if shared and damping > _LIGHT and not settled:  # a damped step says little about how flat the valley is
                damping, settled = _LIGHT, True
                continue
            # What is known beforehand counts against how far ordinary points really are off, which is known only now.
            share = (system.spread(linear, way) / scale_px) ** 2
            steady = spread_px is not None or 0.8 < share / system.prior_share < 1.25
            if steady and shared:
                break
            shared = True
            if not steady:
                system.prior_share, settled = share, False
                cost = system.cost(linear, cameras, way)
    sigma = system.spread(linear, way)
    return Solution(
        cameras=cameras,
        way=way,
        residual_px=np.where(linear.usable[..., None], linear.residual, np.nan),
        weight=np.where(linear.usable, system.weight(linear), 0.0),
        sigma_px=sigma,
        covariance=system.parts(linear, mix, cameras, way).covariance() * (sigma / scale_px) ** 2,
        hand=hand,
        iterations=taken,
    )


class _System:
    """Cost and normal equations for given observations, free unknowns, prior and scale."""

    def __init__(
        self, images: Images, free: np.ndarray, prior: Prior | None, sigma: float, hand: tuple[float, float]
    ) -> None:
        self.images, self.free, self.prior, self.sigma, self.hand = images, free, prior, sigma, hand
        self.columns = np.flatnonzero(free.any(0))
        self.of_view = [slice(*np.searchsorted(images.view, (v, v + 1))) for v in range(len(free))]
        self.prior_share = 0.05  # of the prior, in units of the scale

    def weight(self, linear: _Linear) -> F64:
        """(P, n) of the points: 1 for small residuals, falling with the square of large ones."""
        length2 = (linear.residual**2).sum(-1) / self.sigma**2
        return np.asarray(1 / (1 + length2 / _KINK**2))

    def spread(self, linear: _Linear, way: Trajectory) -> float:
        """Standard deviation of a coordinate of an ordinary point, px."""
        weight = np.where(linear.usable, self.weight(linear), 0.0)
        known = 2 * weight.sum() - 6 * len(way) - self.free.sum()
        square = float((weight[..., None] * linear.residual**2).sum())
        return float(np.sqrt(square / max(known, weight.sum() / 2, 1.0)))

    def cost(self, linear: _Linear, cameras: Cameras, way: Trajectory) -> float:
        total = float(robust_loss(linear.residual[linear.usable], self.sigma).sum())
        total += LOST * int((self.images.valid & ~linear.usable).sum())
        bend, _ = _bends(way, self.hand, derivatives=False)
        total += self.prior_share * float(_SUDDEN**2 * np.log1p((bend**2).sum(-1) / _SUDDEN**2).sum())
        if self.prior is not None:
            off = np.where(self.free[:, NUMBERS], cameras.numbers - self.prior.numbers, 0.0)
            apart = float((off[:, None] @ self.prior.information @ off[..., None]).sum())
            apart += float(((cameras.time_offset_s[self.free[:, 6]] / self.prior.time_offset_sd_s) ** 2).sum())
            total += self.prior_share * apart
        return total

    def curved(
        self,
        step: tuple[F64, F64],
        parts: NormalEquations,
        linear: _Linear,
        mix: Blend,
        cameras: Cameras,
        way: Trajectory,
    ) -> tuple[F64, F64]:
        """A step bent along the valley: geodesic acceleration (Transtrum, Sethna 2012, equation 3).

        Focal lengths and depths go together along curves, on which straight steps get nowhere.
        """
        if not self.columns.size:
            return step
        h = _PROBE
        ahead, _ = _linearise(self.images, cameras.moved(h * step[0]), way.moved(h * step[1]), None)
        index = np.minimum(mix.first[:, None] + np.arange(SPAN), len(way) - 1)
        own = (linear.by_knots @ step[1][index].reshape(len(index), -1, 1))[..., 0]
        change = np.concatenate([own, step[0][self.images.view][:, self.columns]], -1)
        straight = (linear.jacobian @ change[:, None, :, None])[..., 0]
        bend = (2 / h) * ((linear.residual - ahead.residual) / h - straight)
        bend[~(linear.usable & ahead.usable)] = 0
        right, camera_right = self._pull(linear, mix, len(way), -bend / 2)
        more = parts.again(right, camera_right)
        long = np.linalg.norm(more[1]) > _CURVED * np.linalg.norm(step[1])
        return step if long or not np.isfinite(more[1]).all() else (step[0] + more[0], step[1] + more[1])

    def _pull(self, linear: _Linear, mix: Blend, knots: int, residual: F64) -> tuple[F64, F64]:
        """Weighted sums of residuals (P, n, 2) by the knots (6 K,) and by the cameras' unknowns (V, 19)."""
        weight = self.weight(linear) / self.sigma**2
        slope = ((residual * weight[..., None])[..., None, :] @ linear.jacobian).sum((1, 2))
        u = np.zeros((len(self.free), N_UNKNOWNS))
        for v, part in enumerate(self.of_view):
            u[v, self.columns] = slope[part, 6:].sum(0)
        by_knots = (slope[:, None, :6] @ linear.by_knots).reshape(len(slope), SPAN, 6)
        return slide(sums(mix.first, knots + SPAN), by_knots)[:knots].reshape(-1), u

    def parts(self, linear: _Linear, mix: Blend, cameras: Cameras, way: Trajectory) -> NormalEquations:
        count = len(self.images)
        weight = self.weight(linear) / self.sigma**2
        rows = linear.jacobian.reshape(count, -1, linear.jacobian.shape[-1])
        weighted = np.swapaxes((linear.jacobian * weight[..., None, None]).reshape(rows.shape), -1, -2)
        square = weighted @ rows
        right, u = self._pull(linear, mix, len(way), linear.residual)
        right = np.pad(right.reshape(-1, 6), ((0, SPAN), (0, 0)))
        views, columns, part = len(cameras.distortion_model), self.columns, self.of_view
        U = np.zeros((views, N_UNKNOWNS, N_UNKNOWNS))
        for v in range(views):
            U[v][np.ix_(columns, columns)] = square[part[v], 6:, 6:].sum(0)
        if self.prior is not None:
            off = np.where(self.free[:, NUMBERS], self.prior.numbers - cameras.numbers, 0.0)
            U[:, NUMBERS, NUMBERS] += self.prior_share * self.prior.information
            u[:, NUMBERS] += self.prior_share * (self.prior.information @ off[..., None])[..., 0]
            U[:, 6, 6] += self.prior_share * self.prior.time_offset_sd_s**-2
            u[:, 6] -= self.prior_share * cameras.time_offset_s * self.prior.time_offset_sd_s**-2
        back = np.swapaxes(linear.by_knots, -1, -2)
        to_knots = sums(mix.first, len(way) + SPAN)
        H = Band(len(way))
        H.add(to_knots, back @ square[:, :6, :6] @ linear.by_knots)
        cross = [np.zeros((len(way) + SPAN, 6, 0))]
        for v in range(views):
            mine = self.free[v, columns]
            if mine.any():
                between = back[part[v]] @ square[part[v], :6, 6:][..., mine]
                summed = slide(to_knots[:, part[v]], between.reshape(len(between), SPAN, -1))
                cross.append(summed.reshape(len(way) + SPAN, 6, -1))
        bend, by_bend = _bends(way, self.hand)
        triples = sums(np.arange(len(way) - 2), len(way) + SPAN)
        calm = 1 / (1 + (bend**2).sum(-1) / _SUDDEN**2)
        pull = self.prior_share * np.swapaxes(by_bend * calm[:, None, None], -1, -2)
        H.add(triples, pull @ by_bend, knots=3)
        right += slide(triples, (pull @ -bend[..., None]).reshape(-1, 3, 6))
        return NormalEquations(
            band=H.lower(),
            cross=np.concatenate(cross, -1)[: len(way)].reshape(len(way) * 6, -1),
            right=right[: len(way)].reshape(-1),
            camera=block_diagonal(U)[np.ix_(self.free.ravel(), self.free.ravel())],
            camera_right=u,
            free=self.free,
        )


def robust_loss(residual_px: F64, scale_px: float) -> F64:
    """(...) Cauchy loss of residuals (..., 2)."""
    return np.asarray(_KINK**2 * np.log1p((residual_px**2).sum(-1) / scale_px**2 / _KINK**2))


def accelerations(way: Trajectory) -> tuple[float, float]:
    """Usual angular (rad/s2) and linear (mm/s2) accelerations between the knots, whatever jerks there are."""
    bend, _ = _bends(way, (1.0, 1.0), derivatives=False)
    inner = way.piece[:-2] == way.piece[2:]
    if not inner.any():
        return 0.0, 0.0
    usual = 1.4826 * np.median(np.abs(bend[inner]).reshape(-1, 2, 3), axis=(0, 2))
    return float(usual[0]), float(usual[1])


def hand(period_s: float, seen: tuple[float, float] = (0.0, 0.0)) -> tuple[float, float]:
    """Accelerations to expect between knots that far apart, at least those that were seen."""
    # White noise in the acceleration: averaged over a shorter step it varies more.
    factor = np.sqrt(_HAND_STEP_S / np.clip(period_s, 1 / 240, 1.0))
    return max(_HAND[0] * factor, seen[0]), max(_HAND[1] * factor, seen[1])


def _bends(way: Trajectory, hand: tuple[float, float], *, derivatives: bool = True) -> tuple[F64, F64]:
    """(K - 2, 6) accelerations in units of what a hand does, and their derivatives (K - 2, 6, 18) by three knots.

    Between two stretches there are none.
    """
    step = np.diff(way.time_s)
    whole = (way.piece[:-2] == way.piece[2:]).astype(float)
    turn = log(np.swapaxes(way.R[:-1], -1, -2) @ way.R[1:])
    speed = np.concatenate([turn / hand[0], np.diff(way.t_mm, axis=0) / hand[1]], -1) / step[:, None]
    between = (step[:-1] + step[1:]) / 2
    bend = np.diff(speed, axis=0) / between[:, None] * whole[:, None]
    if not derivatives:
        return bend, bend
    ahead = np.zeros((len(turn), 6, 6))
    behind = ahead.copy()
    scale = 1 / step[:, None, None]
    ahead[:, :3, :3] = right_jacobian_inverse(turn) / hand[0] * scale
    behind[:, :3, :3] = -right_jacobian_inverse(-turn) / hand[0] * scale
    ahead[:, 3:, 3:] = np.eye(3) / hand[1] * scale
    behind[:, 3:, 3:] = -ahead[:, 3:, 3:]
    by = np.concatenate([-behind[:-1], behind[1:] - ahead[:-1], ahead[1:]], -1)
    return bend, by * (whole / between)[:, None, None]
