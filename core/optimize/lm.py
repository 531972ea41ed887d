"""Levenberg-Marquardt with multiplicative damping, for problems that linearise and solve themselves.

Marquardt, An algorithm for least-squares estimation of nonlinear parameters, 1963. Geodesic acceleration after
Transtrum and Sethna, Improvements to the Levenberg-Marquardt algorithm for nonlinear least-squares minimization, 2012.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar


class Evaluated(Protocol):
    """Residuals and associated values at one state."""

    @property
    def cost(self) -> float:
        """Value to minimise."""


E = TypeVar("E", bound=Evaluated)
S = TypeVar("S")


@dataclass(frozen=True, slots=True, kw_only=True)
class LMSettings:
    """Settings of the optimiser.

    Attributes:
        max_steps: Largest number of linearisations.
        tolerance: Relative decrease of the cost below which the optimiser has converged.
        rough_tolerance: Tolerance until the scale of the residuals has been estimated once.
        damping: Initial damping, relative to the diagonal of the normal equations.
        factor: Factor by which damping grows after a rejected step and shrinks after an accepted one.
        min_damping: Lower limit of damping.
        max_attempts: Largest number of dampings tried per linearisation.
        recheck_damping: Damping of one further step after a more strongly damped step with too little gain, since a
            short step says little about convergence; 0 for none.
        acceleration_damping: Damping above which steps are corrected by geodesic acceleration.
    """

    max_steps: int
    tolerance: float
    rough_tolerance: float = 0.0
    damping: float = 1e-3
    factor: float = 6.0
    min_damping: float = 1e-7
    max_attempts: int = 6
    recheck_damping: float = 0.0
    acceleration_damping: float = float("inf")


class LeastSquaresProblem(Generic[E, S]):
    """Interface of a problem to the optimiser; E is an evaluated state, S a step.

    Attributes:
        scale_converged: False while `update_scale` must be called at least once before the optimiser may stop.
    """

    scale_converged: bool = True

    def linearise(self, evaluated: E) -> None:
        """Form the normal equations at a state."""
        raise NotImplementedError

    def solve(self, damping: float) -> S | None:
        """Solve the damped normal equations; return None if they cannot be solved."""
        raise NotImplementedError

    def step(self, evaluated: E, step: S) -> E:
        """Evaluate the state that a step leads to."""
        raise NotImplementedError

    def accelerate(self, evaluated: E, step: S) -> S:
        """Correct a step to second order; called after `solve`, with its factorisation still available."""
        return step

    def accept(self, evaluated: E) -> E:
        """Complete a newly accepted state."""
        return evaluated

    def update_scale(self, evaluated: E) -> E | None:
        """Re-estimate the scale of the residuals; return the state with its new cost, or None if nothing changed."""
        return None


def minimise(problem: LeastSquaresProblem[E, S], initial: E, settings: LMSettings) -> tuple[E, int]:
    """Minimise the cost of a problem.

    Args:
        problem: The problem.
        initial: Evaluated initial state.
        settings: Settings.

    Returns:
        The evaluated final state, and the number of accepted steps.
    """
    current, damping, accepted = initial, settings.damping, 0
    scale_converged, rechecked = problem.scale_converged, False
    for _ in range(settings.max_steps):
        problem.linearise(current)
        cost, decrease = current.cost, 0.0
        for attempt in range(settings.max_attempts):
            step = problem.solve(damping)
            if step is not None:
                if damping > settings.acceleration_damping:
                    step = problem.accelerate(current, step)
                trial = problem.step(current, step)
                if trial.cost < cost:
                    decrease, accepted = cost - trial.cost, accepted + 1
                    current = problem.accept(trial)
                    if attempt == 0:  # keep damping that was just increased for another step
                        damping = max(damping / settings.factor, settings.min_damping)
                    break
            damping *= settings.factor
        tolerance = settings.tolerance if scale_converged else max(settings.tolerance, settings.rough_tolerance)
        if decrease > tolerance * cost:
            continue
        if scale_converged and not rechecked and damping > settings.recheck_damping > 0:
            damping, rechecked = settings.recheck_damping, True
            continue
        rescaled = problem.update_scale(current)
        if rescaled is None and scale_converged:
            break
        scale_converged = True
        if rescaled is not None:
            current, rechecked = rescaled, False
    return current, accepted
