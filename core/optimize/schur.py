"""Normal equations with a large but structured part, which is eliminated by its Schur complement.

    [ E    C ] [de]   [ge]
    [ C^T  D ] [dd] = [gd]

E is block-diagonal (points) or banded (a trajectory), D dense and small (cameras). Triggs et al., Bundle Adjustment - A
Modern Synthesis, 2000, section 6.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve, cho_solve_banded, cholesky_banded
from scipy.sparse import csr_matrix

from core.types.arrays import F64, I64

_FLOOR = 1e-9  # added to diagonals, so that unobserved unknowns stay unchanged

Solver = Callable[[F64], F64]


@dataclass(frozen=True, slots=True, eq=False)
class Banded:
    """Symmetric band matrix.

    Attributes:
        lower: (B, n) in scipy's lower form: entry [d, j] is the element of row j + d and column j.
    """

    lower: F64

    def factorise(self, damping: float) -> Solver:
        """Return a function that solves for right-hand sides (n,) or (n, m); LinAlgError if not positive definite."""
        band = self.lower.copy()
        band[0] = band[0] * (1 + damping) + _FLOOR
        factor = cholesky_banded(band, lower=True, check_finite=False)
        return lambda rhs: np.asarray(cho_solve_banded((factor, True), rhs, check_finite=False))


@dataclass(frozen=True, slots=True, eq=False)
class BlockDiagonal:
    """Symmetric block-diagonal matrix.

    Attributes:
        blocks: (N, b, b).
    """

    blocks: F64

    def factorise(self, damping: float) -> Solver:
        """Return a function that solves for right-hand sides (N b,) or (N b, m)."""
        size = self.blocks.shape[-1]
        trace = np.maximum(np.trace(self.blocks, axis1=-2, axis2=-1), 1e-12)
        inverse = np.linalg.inv(self.blocks + (damping * self.blocks + _FLOOR * trace[:, None, None]) * np.eye(size))

        def solve(rhs: F64) -> F64:
            return np.asarray((inverse @ rhs.reshape(len(inverse), size, -1)).reshape(rhs.shape))

        return solve


@dataclass(slots=True, kw_only=True, eq=False)
class NormalEquations:
    """Normal equations and, once solved, their factors.

    Attributes:
        eliminated: E, n x n.
        cross: C (n, m).
        dense: D (m, m).
        eliminated_rhs: ge (n,).
        dense_rhs: gd (m,).
    """

    eliminated: Banded | BlockDiagonal
    cross: F64
    dense: F64
    eliminated_rhs: F64
    dense_rhs: F64
    _solver: Solver = field(init=False)
    _by_cross: F64 = field(init=False)
    _factor: tuple[F64, bool] | None = field(init=False)
    _scale: F64 = field(init=False)

    def solve(self, damping: float, limit: Callable[[F64], F64] | None = None) -> tuple[F64, F64] | None:
        """Solve the damped equations.

        Args:
            damping: Fraction of the diagonal that is added to it.
            limit: Function that shortens the dense part (m,) before the eliminated part is computed from it.

        Returns:
            dd (m,) and de (n,), or None if the equations cannot be solved.
        """
        try:
            self._solver = self.eliminated.factorise(damping)
            self._by_cross = self._solver(self.cross)
            damped = self.dense + np.diag(np.diag(self.dense) * damping + 1e-12)
            self._factor = None
            if self.dense.size:
                # Unknowns differ by many orders of magnitude, so the matrix is scaled to a unit diagonal before
                # factorisation.
                schur = damped - self.cross.T @ self._by_cross
                self._scale = 1 / np.sqrt(np.maximum(np.diag(schur), 1e-300))
                self._factor = cho_factor(schur * self._scale[:, None] * self._scale)
        except (LinAlgError, ValueError):
            return None
        dense, eliminated = self.solve_rhs(self.dense_rhs, self.eliminated_rhs, limit)
        if not (np.isfinite(dense).all() and np.isfinite(eliminated).all()):
            return None
        return dense, eliminated

    def solve_rhs(
        self, dense_rhs: F64, eliminated_rhs: F64, limit: Callable[[F64], F64] | None = None
    ) -> tuple[F64, F64]:
        """Solve with the latest factorisation for other right-hand sides (m,) and (n,)."""
        eliminated = self._solver(eliminated_rhs)
        if self._factor is None:
            return np.zeros(0), eliminated
        reduced = dense_rhs - self.cross.T @ eliminated
        dense = self._scale * np.asarray(cho_solve(self._factor, self._scale * reduced))
        dense = dense if limit is None else limit(dense)
        return dense, eliminated - self._by_cross @ dense

    def reduced(self) -> F64:
        """(m, m) undamped Schur complement D - C^T E^-1 C: the information about the dense unknowns alone."""
        return np.asarray(self.dense - self.cross.T @ self.eliminated.factorise(0.0)(self.cross))

    def reduced_rhs(self) -> F64:
        """(m,) right-hand side gd - C^T E^-1 ge that belongs to `reduced`."""
        return np.asarray(self.dense_rhs - self.cross.T @ self.eliminated.factorise(0.0)(self.eliminated_rhs))

    def covariance(self) -> F64:
        """(m, m) inverse of the reduced matrix; infinite variances if it is singular."""
        try:
            schur = self.reduced()
            size = np.sqrt(np.maximum(np.diag(schur), 1e-300))
            return np.asarray(np.linalg.inv(schur / np.outer(size, size)) / np.outer(size, size))
        except LinAlgError:
            return np.diag(np.full(len(self.dense), np.inf))


class BlockBand:
    """Accumulator of a banded matrix of small blocks that couple at most `span` neighbours.

    Args:
        count: Number of blocks on the diagonal.
        size: Number of rows of a block.
        span: Number of neighbouring blocks that one term may couple.
    """

    def __init__(self, count: int, size: int, span: int) -> None:
        self.count, self.size, self.span = count, size, span
        self.blocks = np.zeros((count + span, span, size, size))  # block row, distance to the other block

    def add(self, scatter: csr_matrix, square: F64, span: int) -> None:
        """Add terms (P, size m, size m), each over `span` = m consecutive blocks from that of `scatter_matrix`."""
        parts = square.reshape(len(square), span, self.size, span, self.size)
        for a in range(span):
            for b in range(a, span):
                total = scatter @ parts[:, a, :, b].reshape(len(square), -1)
                self.blocks[a:, b - a] += total[: len(total) - a].reshape(-1, self.size, self.size)

    def banded(self) -> Banded:
        """Return the matrix in scipy's lower band form."""
        band = np.zeros((self.span * self.size, self.count * self.size))
        blocks = self.blocks[: self.count]
        for ahead in range(self.span):
            for i in range(self.size):
                for j in range(self.size):
                    below = ahead * self.size + j - i
                    if below >= 0:
                        band[below, i :: self.size] = blocks[:, ahead, i, j]
        return Banded(band)


def scatter_matrix(first: I64, size: int) -> csr_matrix:
    """Return the (size, P) matrix that sums rows by their first block; many times faster than numpy's `add.at`."""
    return csr_matrix((np.ones(len(first)), (first, np.arange(len(first)))), shape=(size, len(first)))


def scatter_rows(scatter: csr_matrix, parts: F64) -> F64:
    """Sum terms (P, m, n) over m consecutive blocks, the first given by `scatter_matrix`; return (size, n)."""
    total = scatter @ parts[:, 0]
    for ahead in range(1, parts.shape[1]):
        total[ahead:] += (scatter @ parts[:, ahead])[:-ahead]
    return np.asarray(total)


def block_diagonal(blocks: F64) -> F64:
    """Return the dense (V b, V b) matrix with (V, b, b) on its diagonal."""
    count, size, _ = blocks.shape
    out = np.zeros((count, size, count, size))
    out[np.arange(count), :, np.arange(count)] = blocks
    return out.reshape(count * size, count * size)
