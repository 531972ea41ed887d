"""Normal equations of a bundle adjustment whose other half is a way through time: a narrow band, and a few cameras.

K knots, V cameras with 19 unknowns each.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve, cho_solve_banded, cholesky_banded
from scipy.sparse import csr_matrix

from core.calibration.board.trajectory import SPAN
from core.types.arrays import F64, I64

_LEAP_RAD = 0.3  # that a knot turns in one step, at most


class Band:
    """Symmetric blocks between neighbouring knots, gathered into scipy's lower banded form."""

    def __init__(self, knots: int) -> None:
        self.blocks = np.zeros((knots + SPAN, SPAN, 6, 6))  # knot, how far on the other, 6, 6
        self.knots = knots

    def add(self, to_knots: csr_matrix, square: F64, knots: int = SPAN) -> None:
        """Adds (P, 6 m, 6 m) matrices of m knots in a row, the first of which `to_knots` says."""
        parts = square.reshape(len(square), knots, 6, knots, 6)
        for a in range(knots):
            for b in range(a, knots):
                # Entry (i, j) of a block couples number i of the nearer knot with number j of the further one.
                summed = to_knots @ parts[:, a, :, b].reshape(-1, 36)
                self.blocks[a:, b - a] += summed[: len(summed) - a].reshape(-1, 6, 6)

    def lower(self) -> F64:
        """(24, 6 K): entry [d, j] is that of row j + d, column j."""
        band = np.zeros((SPAN * 6, self.knots * 6))
        blocks = self.blocks[: self.knots]
        for ahead in range(SPAN):
            for i in range(6):
                for j in range(6):
                    below = ahead * 6 + j - i
                    if below >= 0:
                        band[below, i::6] = blocks[:, ahead, i, j]
        return band


def sums(first: I64, size: int) -> csr_matrix:
    """(size, P) matrix that adds up rows by their first knot; many times faster than numpy's `add.at`."""
    return csr_matrix((np.ones(len(first)), (first, np.arange(len(first)))), shape=(size, len(first)))


def slide(to_knots: csr_matrix, parts: F64) -> F64:
    """Sums (P, m, n) over m knots in a row, from the first that `to_knots` says on."""
    total = to_knots @ parts[:, 0]
    for ahead in range(1, parts.shape[1]):
        total[ahead:] += (to_knots @ parts[:, ahead])[:-ahead]
    return np.asarray(total)


@dataclass(slots=True, kw_only=True, eq=False)
class NormalEquations:
    """Normal equations: knots (banded), cameras (dense), and what lies between; and their factors, once solved."""

    band: F64
    cross: F64
    right: F64
    camera: F64
    camera_right: F64
    free: np.ndarray
    factor: tuple[F64, bool] = field(init=False)
    by_cross: F64 = field(init=False)
    schur: tuple[F64, bool] | None = field(init=False)

    def step(self, damping: float) -> tuple[F64, F64] | None:
        """Changes of the cameras (V, 19) and the knots (K, 6); None where the equations cannot be solved."""
        band = self.band.copy()
        band[0] = band[0] * (1 + damping) + 1e-9
        camera = self.camera + np.diag(np.diag(self.camera) * damping + 1e-12)
        try:
            self.factor = (cholesky_banded(band, lower=True, check_finite=False), True)
            self.by_cross = cho_solve_banded(self.factor, self.cross, check_finite=False)
            self.schur = cho_factor(camera - self.cross.T @ self.by_cross) if self.camera.size else None
        except (LinAlgError, ValueError):
            return None
        change, knots = self.again(self.right, self.camera_right)
        if not (np.isfinite(change).all() and np.isfinite(knots).all()):
            return None
        # A knot that is about to leap, as from one reading of a flat board to the other, must not hold back all others.
        leap = np.maximum(1.0, np.linalg.norm(knots[:, :3], axis=1) / _LEAP_RAD)
        return change, knots / leap[:, None]

    def again(self, right: F64, camera_right: F64) -> tuple[F64, F64]:
        """The same equations, as last factored, with other right sides: (6 K,) and (V, 19)."""
        by_right = cho_solve_banded(self.factor, right, check_finite=False)
        change = np.zeros(self.free.size)
        if self.schur is not None:
            moved = cho_solve(self.schur, camera_right.ravel()[self.free.ravel()] - self.cross.T @ by_right)
            change[self.free.ravel()] = moved
            by_right = by_right - self.by_cross @ moved
        return change.reshape(self.free.shape), by_right.reshape(-1, 6)

    def covariance(self) -> F64:
        """(V * 19, V * 19) of the cameras with the board's way unknown; infinite where nothing is known."""
        full = np.zeros((self.free.size, self.free.size))
        if not self.camera.size:
            return full
        index = np.ix_(self.free.ravel(), self.free.ravel())
        band = self.band.copy()
        band[0] += 1e-9
        try:
            factor = (cholesky_banded(band, lower=True, check_finite=False), True)
            schur = self.camera - self.cross.T @ cho_solve_banded(factor, self.cross, check_finite=False)
            # Unknowns differ by many orders of magnitude: solved with ones on the diagonal.
            size = np.sqrt(np.maximum(np.diag(schur), 1e-300))
            full[index] = np.linalg.inv(schur / np.outer(size, size)) / np.outer(size, size)
        except LinAlgError:
            full[index] = np.diag(np.full(len(self.camera), np.inf))
        return full


def block_diagonal(blocks: F64) -> F64:
    count, size, _ = blocks.shape
    out = np.zeros((count, size, count, size))
    out[np.arange(count), :, np.arange(count)] = blocks
    return out.reshape(count * size, count * size)
