"""Selection of the unknowns beyond the poses that lower the held-out error.

The recording is split into two temporal folds. Each model is fitted to either fold and predicts the other one (two-fold
cross-validation). Starting from poses alone, the candidates of a table are added one after the other and kept if the
error falls.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from core.calibration.board.adjustment.bundle import BoardSolution, adjust_board, robust_cost
from core.calibration.board.adjustment.motion_prior import motion_prior, raised
from core.calibration.board.adjustment.state import INTRINSICS, N_UNKNOWNS, POSE, TIME_OFFSET, Cameras
from core.calibration.board.cross_validation import (
    Prediction,
    improvement,
    loco_improvement,
    predict,
    time_blocks,
    two_folds,
)
from core.calibration.board.initial.initialization import initial_trajectory
from core.calibration.board.initial.intrinsics import SOLVED
from core.calibration.board.setup import InitialRig, Setup
from core.geometry.so3 import log, mean
from core.progress import Reporter, check
from core.types.arrays import F64

CONTRADICTION = 10.0
"""Tolerance of the difference between folds in standard errors: they are fitted roughly, and real errors are not white.
With time offsets, the cost has local minima: 3 of 100 random rigs had a fold off by up to 45 ms, with compensating
poses."""
_ACCEPTED_SE = 1.0  # standard errors by which time offsets must lower the held-out error
# Gain, in margins, below which an addition is reconsidered after later ones: time offsets may only have compensated
# inaccurate intrinsics (the recording 4_cam_recording: 1.1 standard errors, zero once intrinsics are refined).
_NARROW = 2.0
_DISTINCT_SE, _DISTINCT_S = 2.0, 0.003  # distance of at least one time offset from 0 in standard errors and in s
_LEAST_RATE_HZ = 2.5  # of frames; motion by hand over longer intervals does not determine time offsets
_COARSE_NOISE = 8.0  # factor on the nominal noise of a first fit, since at a wrong time the board is far off
_COARSE_STEPS, _COARSE_TOLERANCE = 15, 1e-2
# Models are compared with fits of the first tolerance; the folds of the selected model are then fitted to the second.
# Held-out errors reported from the first would be too large (charuco_calibration: rms 1.50 px instead of 1.44 px).
_ROUGH_TOLERANCE, _FOLD_TOLERANCE, _ROUGH_STEPS = 5e-4, 5e-5, 32
_MAX_STEPS, _TOLERANCE = 40, 1e-5
_MAX_MOTION_UPDATES = 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Model:
    """Model: unknowns beyond the poses.

    Attributes:
        time_offset: True if time offsets are free.
        refined: (V,) mask of cameras whose intrinsics are free.
    """

    time_offset: bool
    refined: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FoldFits:
    """Model fitted to both folds.

    Attributes:
        model: The model.
        solutions: Solution of each fold.
        prediction: Predictions for each fold by the cameras of the other one.
    """

    model: Model
    solutions: tuple[BoardSolution, ...]
    prediction: Prediction


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Candidate:
    """Possible addition to the model.

    Attributes:
        extend: Function that adds it to a model, or removes it with False.
        margin_se: Required decrease of the held-out error in standard errors.
        plausible: Function that returns whether the fitted values are plausible.
        accepted: Note for the report if the addition is kept.
        rejected: Note for the report otherwise.
    """

    extend: Callable[[Model, bool], Model]
    margin_se: float
    plausible: Callable[[FoldFits], bool]
    accepted: str
    rejected: str


def candidates(setup: Setup, rig: InitialRig) -> tuple[list[Candidate], list[str]]:
    """Return the ordered additions to try, and notes on impossible ones."""
    out, notes = [], []
    if setup.config.time_offset and setup.period_s > 1 / _LEAST_RATE_HZ:
        notes.append("The frame rate is too low to estimate time offsets.")
    elif setup.config.time_offset:
        out.append(
            Candidate(
                extend=lambda model, on: dataclasses.replace(model, time_offset=on),
                margin_se=_ACCEPTED_SE,
                plausible=_any_offset,
                accepted="",
                rejected="No time offsets: they do not lower the held-out error.",
            )
        )
    if setup.config.refine:
        names = ", ".join(n for v, n in enumerate(setup.seen.cameras) if rig.connected[v])
        out.append(
            Candidate(
                extend=lambda model, on: dataclasses.replace(model, refined=rig.connected & on),
                margin_se=0.0,
                plausible=lambda _: True,
                accepted=f"Intrinsics refined together with the poses, which lowers the held-out error: {names}.",
                rejected="Intrinsics kept as fitted to each camera: refining them does not lower the held-out error.",
            )
        )
    return out, notes


def select(setup: Setup, rig: InitialRig, reporter: Reporter) -> tuple[FoldFits, list[str]]:
    """Select the model by forward selection over the candidates, and reconsider narrow decisions.

    Returns:
        Fits to both folds, with LOCO errors, and notes on the decisions.
    """
    block = time_blocks(rig.images, len(setup.seen.time_s))
    folds = two_folds(rig.images, block)
    table, notes = candidates(setup, rig)

    def gain(before: FoldFits, after: FoldFits) -> float:
        return improvement(before.prediction, after.prediction, block, setup.noise_px)

    def with_loco(fits: FoldFits) -> FoldFits:
        return dataclasses.replace(fits, prediction=_predict(setup, rig, folds, fits.solutions, loco=True))

    def loco_gain(before: FoldFits, after: FoldFits) -> float:
        return loco_improvement(with_loco(before).prediction, with_loco(after).prediction, setup.noise_px)

    best = _fit_folds(setup, rig, folds, Model(time_offset=False, refined=np.zeros_like(rig.connected)), None)
    accepted: list[Candidate] = []
    narrow: list[Candidate] = []
    for candidate in table:
        check(reporter)
        trial = _fit_folds(setup, rig, folds, candidate.extend(best.model, True), best)
        fall = gain(best, trial)
        if fall > candidate.margin_se and candidate.plausible(trial):
            best = trial
            accepted.append(candidate)
            if fall < _NARROW * candidate.margin_se:
                narrow.append(candidate)
    for candidate in narrow:
        if candidate is accepted[-1]:
            continue  # nothing was added since
        check(reporter)
        without = _fit_folds(setup, rig, folds, candidate.extend(best.model, False), best)
        if gain(without, best) <= candidate.margin_se or loco_gain(without, best) <= 0:
            best = without
            accepted.remove(candidate)
    notes += [c.accepted if c in accepted else c.rejected for c in table]
    check(reporter)
    refined = [
        fit(setup, rig, fold, best.model, s, tolerance=_FOLD_TOLERANCE)
        for fold, s in zip(folds, best.solutions, strict=True)
    ]
    return with_loco(dataclasses.replace(best, solutions=tuple(refined))), [note for note in notes if note]


def _fit_folds(
    setup: Setup, rig: InitialRig, folds: Sequence[np.ndarray], model: Model, start: FoldFits | None
) -> FoldFits:
    """Fit a model to each fold; contradictory folds are refitted from each other's cameras."""
    starts = [None] * len(folds) if start is None else [_start(s, model) for s in start.solutions]
    fits = [fit(setup, rig, fold, model, s, tolerance=_ROUGH_TOLERANCE) for fold, s in zip(folds, starts, strict=True)]
    if model.time_offset and disagreement(*fits).max() > CONTRADICTION:
        for i, other in enumerate(fits[::-1]):
            again = fit(setup, rig, folds[i], model, other.cameras, tolerance=_ROUGH_TOLERANCE)
            if _cost(again, setup, rig, folds[i]) < _cost(fits[i], setup, rig, folds[i]):
                fits[i] = again
    prediction = _predict(setup, rig, folds, fits, loco=False)
    return FoldFits(model=model, solutions=tuple(fits), prediction=prediction)


def _start(solution: BoardSolution, model: Model) -> BoardSolution:
    """Return the initial solution, without time offsets if the model has none."""
    if model.time_offset:
        return solution
    cameras = dataclasses.replace(solution.cameras, time_offset_s=np.zeros_like(solution.cameras.time_offset_s))
    return dataclasses.replace(solution, cameras=cameras)


def _cost(solution: BoardSolution, setup: Setup, rig: InitialRig, rows: np.ndarray) -> float:
    return robust_cost(solution.residual_px, rig.images.valid[rows], setup.noise_px)


def _predict(
    setup: Setup, rig: InitialRig, folds: Sequence[np.ndarray], fits: Sequence[BoardSolution], *, loco: bool
) -> Prediction:
    """Predict each fold by the cameras fitted to the other one."""
    return predict(
        rig.images,
        rig.poses,
        [(fold, other.cameras) for fold, other in zip(folds, fits[::-1], strict=True)],
        setup.period_s,
        setup.noise_px,
        (max(f.motion[0] for f in fits), max(f.motion[1] for f in fits)),
        float(np.sqrt(np.mean([f.sigma_px**2 for f in fits]))),
        loco=loco,
    )


def fit_everything(setup: Setup, rig: InitialRig, fits: FoldFits) -> BoardSolution:
    """Fit the selected model to all images, starting from the mean of the folds, or from each if they contradict."""
    everything = np.ones(len(rig.images), bool)
    if disagreement(*fits.solutions).max() < CONTRADICTION:
        return fit(setup, rig, everything, fits.model, _mean_cameras(rig, fits.solutions))
    both = [fit(setup, rig, everything, fits.model, s.cameras) for s in fits.solutions]
    return min(both, key=lambda solution: _cost(solution, setup, rig, everything))


def fit(
    setup: Setup,
    rig: InitialRig,
    rows: np.ndarray,
    model: Model,
    start: BoardSolution | Cameras | None = None,
    *,
    tolerance: float = _TOLERANCE,
) -> BoardSolution:
    """Adjust cameras and trajectory to a subset of images.

    Args:
        setup: Setup.
        rig: Initial rig.
        rows: (P,) mask of the images.
        model: Free unknowns.
        start: Initial solution for the same images, or initial cameras; None for the initial rig.
        tolerance: Relative decrease of the cost below which the adjustment has converged.
    """
    images = rig.images.where(rows)
    views = rig.connected & np.isin(np.arange(len(rig.connected)), images.view)
    free = np.zeros((len(views), N_UNKNOWNS), bool)
    free[:, POSE] = True
    free[:, TIME_OFFSET] = model.time_offset
    free[:, INTRINSICS.start + SOLVED] = model.refined[:, None]
    free[~views] = False
    free[rig.root, : TIME_OFFSET.stop] = False
    if isinstance(start, BoardSolution):
        cameras, trajectory = start.cameras, start.trajectory
    else:
        cameras = rig.cameras if start is None else start
        trajectory = initial_trajectory(setup.period_s, images, rig.poses.where(rows), cameras)
    motion = motion_prior(setup.period_s)

    def adjust(cameras: Cameras, noise: float, max_steps: int, tolerance: float) -> BoardSolution:
        return adjust_board(
            images,
            cameras,
            trajectory,
            free,
            setup.prior,
            noise_px=noise * setup.noise_px,
            motion=motion,
            max_steps=max_steps,
            tolerance=tolerance,
        )

    first_offsets = model.time_offset and not cameras.time_offset_s.any()
    if not isinstance(start, BoardSolution) or first_offsets:
        solution = adjust(cameras, _COARSE_NOISE, _COARSE_STEPS, _COARSE_TOLERANCE)
        cameras, trajectory = solution.cameras, solution.trajectory
    limits = (_MAX_STEPS if tolerance <= _TOLERANCE else _ROUGH_STEPS, tolerance)
    for _ in range(_MAX_MOTION_UPDATES):
        solution = adjust(cameras, 1.0, *limits)
        cameras, trajectory = solution.cameras, solution.trajectory
        wider = raised(motion, setup.period_s, trajectory)
        if wider is None:
            break
        motion = wider
    return solution


def disagreement(one: BoardSolution, other: BoardSolution) -> F64:
    """Return the difference (V,) of two solutions in pose and time offset in standard errors; 0 for fixed cameras."""
    a, b = one.cameras, other.cameras
    rotation = log(a.R @ np.swapaxes(b.R, -1, -2))
    change = np.concatenate([rotation, a.t_mm - b.t_mm, (a.time_offset_s - b.time_offset_s)[:, None]], axis=-1)
    sds = [solution.sd(slice(POSE.start, TIME_OFFSET.stop)) for solution in (one, other)]
    sd = np.hypot(*sds)
    known = (sds[0] > 0) & (sds[1] > 0) & np.isfinite(sd)
    return np.asarray(np.where(known, np.abs(change) / np.where(known, sd, 1.0), 0.0).max(-1))


def _mean_cameras(rig: InitialRig, fits: Sequence[BoardSolution]) -> Cameras:
    """Return the mean cameras of the folds, each over the folds in which it was free; others are unchanged."""
    moved = np.stack([(f.sd(POSE) > 0).any(1) for f in fits]).astype(float)  # (F, V)
    share = np.where(moved.any(0), moved, 1.0)
    share = share / share.sum(0)
    cameras = [f.cameras for f in fits]
    R = np.stack([c.R for c in cameras])

    def average(name: str) -> F64:
        return np.asarray(np.einsum("fv,fv...->v...", share, np.stack([getattr(c, name) for c in cameras])))

    return dataclasses.replace(
        rig.cameras,
        R=np.stack([mean(R[:, v], share[:, v]) for v in range(len(rig.connected))]),
        t_mm=average("t_mm"),
        intrinsics=average("intrinsics"),
        time_offset_s=average("time_offset_s"),
    )


def _any_offset(fits: FoldFits) -> bool:
    """Return whether any time offset, averaged over the folds, clearly differs from 0."""
    offset = np.mean([s.cameras.time_offset_s for s in fits.solutions], axis=0)
    error = np.mean([s.sd(TIME_OFFSET)[:, 0] for s in fits.solutions], axis=0)
    return bool((np.abs(offset) > np.maximum(_DISTINCT_SE * error, _DISTINCT_S)).any())
