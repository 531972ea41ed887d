"""The optimiser on problems with known answers, and eliminated systems against dense ones."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from core.optimize.lm import LeastSquaresProblem, LMSettings, minimise
from core.optimize.robust import cauchy_loss, cauchy_weight
from core.optimize.schur import (
    Banded,
    BlockBand,
    BlockDiagonal,
    NormalEquations,
    block_diagonal,
    scatter_matrix,
    scatter_rows,
)
from core.types.arrays import F64


def test_the_weight_is_the_derivative_of_the_loss() -> None:
    squared = np.array([0.0, 0.5, 4.0, 900.0])
    slope = (cauchy_loss(squared + 1e-6, 2.0) - cauchy_loss(squared, 2.0)) / 1e-6
    assert cauchy_weight(squared, 2.0) == pytest.approx(slope, rel=1e-5)
    assert cauchy_weight(np.array([4.0]), 2.0) == pytest.approx(0.5)


@dataclasses.dataclass
class Point:
    xy: F64
    cost: float


class Rosenbrock(LeastSquaresProblem[Point, F64]):
    """The valley y = x^2, along which straight steps are short."""

    def __init__(self, *, accelerated: bool = False, rescale: bool = False) -> None:
        self.accelerated, self.scale_converged, self.rescaled = accelerated, not rescale, 0

    @staticmethod
    def residual(xy: F64) -> F64:
        return np.array([1 - xy[0], 100 * (xy[1] - xy[0] ** 2)])

    def at(self, xy: F64) -> Point:
        return Point(xy, float((self.residual(xy) ** 2).sum()))

    def linearise(self, evaluated: Point) -> None:
        self.J = np.array([[-1.0, 0.0], [-200 * evaluated.xy[0], 100.0]])
        self.r = self.residual(evaluated.xy)

    def solve(self, damping: float) -> F64:
        self.H = self.J.T @ self.J
        self.H += damping * np.diag(np.diag(self.H))
        return np.linalg.solve(self.H, -self.J.T @ self.r)

    def step(self, evaluated: Point, step: F64) -> Point:
        return self.at(evaluated.xy + step)

    def accelerate(self, evaluated: Point, step: F64) -> F64:
        if not self.accelerated:
            return step
        second = np.array([0.0, -200 * step[0] ** 2])
        return step + np.linalg.solve(self.H, -self.J.T @ second / 2)

    def update_scale(self, evaluated: Point) -> Point | None:
        self.rescaled += 1
        return evaluated if self.rescaled == 1 else None


def test_the_minimum_is_found_and_acceleration_saves_steps() -> None:
    settings = LMSettings(max_steps=200, tolerance=1e-12, acceleration_damping=0.0)
    start = np.array([-1.2, 1.0])
    steps = []
    for accelerated in (False, True):
        problem = Rosenbrock(accelerated=accelerated)
        found, count = minimise(problem, problem.at(start), settings)
        assert found.xy == pytest.approx([1, 1], abs=1e-5)
        steps.append(count)
    assert steps[1] < steps[0]


def test_the_scale_is_updated_before_convergence_counts() -> None:
    problem = Rosenbrock(rescale=True)
    found, _ = minimise(problem, problem.at(np.array([-1.2, 1.0])), LMSettings(max_steps=200, tolerance=1e-9))
    assert problem.rescaled == 2
    assert found.xy == pytest.approx([1, 1], abs=1e-3)


def test_without_a_solvable_system_the_state_stays() -> None:
    class Unsolvable(Rosenbrock):
        def solve(self, damping: float) -> F64 | None:  # type: ignore[override]
            return None

    problem = Unsolvable()
    start = problem.at(np.array([3.0, 3.0]))
    assert minimise(problem, start, LMSettings(max_steps=5, tolerance=1e-6)) == (start, 0)


def block_system(rng: np.random.Generator) -> tuple[NormalEquations, F64, F64]:
    J = rng.normal(0, 1, (40, 5 * 3 + 4))
    for n in range(5):  # each row sees one point
        J[n * 8 : n * 8 + 8, : 3 * n] = 0
        J[n * 8 : n * 8 + 8, 3 * n + 3 : 15] = 0
    H, rhs = J.T @ J, rng.normal(0, 1, 19)
    blocks = np.stack([H[3 * n : 3 * n + 3, 3 * n : 3 * n + 3] for n in range(5)])
    equations = NormalEquations(
        eliminated=BlockDiagonal(blocks),
        cross=H[:15, 15:],
        dense=H[15:, 15:],
        eliminated_rhs=rhs[:15],
        dense_rhs=rhs[15:],
    )
    return equations, H, rhs


def test_eliminated_points_give_the_dense_solution() -> None:
    equations, H, rhs = block_system(np.random.default_rng(0))
    for damping in (0.0, 0.1):
        solved = equations.solve(damping)
        assert solved is not None
        expected = np.linalg.solve(H + damping * np.diag(np.diag(H)), rhs)
        assert np.concatenate(solved[::-1]) == pytest.approx(expected, rel=1e-6, abs=1e-9)
    assert equations.covariance() == pytest.approx(np.linalg.inv(H)[15:, 15:], rel=1e-6, abs=1e-9)


def test_a_limited_dense_step_still_gives_the_best_points() -> None:
    equations, H, rhs = block_system(np.random.default_rng(1))
    solved = equations.solve(0.0, lambda step: 0.5 * step)
    assert solved is not None
    dense, points = solved
    assert H[:15, :15] @ points + H[:15, 15:] @ dense == pytest.approx(rhs[:15], rel=1e-6, abs=1e-7)


def test_a_band_of_blocks_equals_its_dense_matrix() -> None:
    rng = np.random.default_rng(2)
    count, size, span = 6, 2, 3
    first = np.array([0, 1, 1, 3, 2])
    terms = rng.normal(0, 1, (5, span * size, span * size))
    terms = terms @ np.swapaxes(terms, -1, -2)
    dense = 0.1 * np.eye(count * size)
    for f, term in zip(first, terms, strict=True):
        rows = slice(size * f, size * (f + span))
        dense[rows, rows] += term
    band = BlockBand(count, size, span)
    scatter = scatter_matrix(first, count + span)
    band.add(scatter, terms, span)
    lower = band.banded().lower
    lower[0] += 0.1
    rhs = rng.normal(0, 1, count * size)
    assert Banded(lower).factorise(0.0)(rhs) == pytest.approx(np.linalg.solve(dense, rhs), rel=1e-6)
    parts = rng.normal(0, 1, (5, span, size))
    expected = np.zeros((count + span, size))
    for f, part in zip(first, parts, strict=True):
        expected[f : f + span] += part
    assert scatter_rows(scatter, parts) == pytest.approx(expected)


def test_an_indefinite_system_is_not_solved() -> None:
    equations = NormalEquations(
        eliminated=BlockDiagonal(np.eye(2)[None]),
        cross=np.array([[2.0], [0.0]]),
        dense=np.ones((1, 1)),
        eliminated_rhs=np.zeros(2),
        dense_rhs=np.ones(1),
    )
    assert equations.solve(0.0) is None


def test_blocks_lie_on_the_diagonal() -> None:
    blocks = np.arange(8.0).reshape(2, 2, 2)
    assert (block_diagonal(blocks) == [[0, 1, 0, 0], [2, 3, 0, 0], [0, 0, 4, 5], [0, 0, 6, 7]]).all()
