"""Alignment of a user's truth with a take: one rigid transform and one time offset for the whole take and all methods.

Letters in shapes: F frame, P person, Q true person, J joint, N pair of a predicted and a true joint.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial.transform import Rotation

from core.errors import CoreError
from core.evaluation.metrics import MATCH_MM
from core.evaluation.truth.lag import lag_candidates
from core.evaluation.truth.trajectories import Trajectories, fill_short_gaps
from core.types.arrays import F64, I64

FitMode = Literal["rigid", "scaled", "none"]
"""Rotation and translation; these and one scale; or coordinates and clock of the take as they are."""
_MAX_FRAMES = 600  # For the fit, spread evenly.
_ROUNDS, _STEPS = 4, 6
_ROBUST = 2.0  # Cauchy scale in median residuals.
_GAIN_MM, _GAIN_FRAMES = 250.0, 200
_MIRRORED_GAIN = 0.8  # A reflection has to explain this much more.
_MIN_PAIRS = 30
_CANDIDATES = 24


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TruthFit:
    """Transform from the truth to the take: x = scale R x_truth + t, and time = time_truth + offset.

    Attributes:
        rotation: (3, 3), with a reflection where the axes of the truth are left-handed.
        translation_mm: (3,).
        scale: 1 unless fitted.
        offset_s: Time offset.
        residual_mm: Median distance of the matched joints of all methods after the fit.
        best_scale: Scale that would fit best, for information.
        pairs: Number of matched joints.
        timed: True if the time offset was estimated from the motion.
    """

    rotation: F64
    translation_mm: F64
    scale: float
    offset_s: float
    residual_mm: float
    best_scale: float
    pairs: int
    timed: bool

    def apply(self, xyz: F64) -> F64:
        """Return points (..., 3) of the truth in the coordinates of the take."""
        return np.asarray(self.scale * xyz @ self.rotation.T + self.translation_mm)

    @property
    def rotation_deg(self) -> float:
        """Angle of the rotation, after the reflection of x if there is one."""
        turn = self.rotation @ np.diag([-1.0, 1.0, 1.0]) if self.mirrored else self.rotation
        return float(np.rad2deg(Rotation.from_matrix(turn).magnitude()))

    @property
    def mirrored(self) -> bool:
        """True if the axes of the truth are left-handed."""
        return bool(np.linalg.det(self.rotation) < 0)


def identity_fit(offset_s: float = 0.0) -> TruthFit:
    """Return the fit that leaves coordinates as they are."""
    return TruthFit(
        rotation=np.eye(3),
        translation_mm=np.zeros(3),
        scale=1.0,
        offset_s=offset_s,
        residual_mm=np.nan,
        best_scale=1.0,
        pairs=0,
        timed=False,
    )


def fit_truth(
    methods: Sequence[F64],
    time_s: F64,
    truth: Trajectories,
    truth_s: F64,
    mode: FitMode = "rigid",
    offset_s: float | None = None,
) -> TruthFit:
    """Fit one transform and time offset to the joints of all methods together, so that none is favoured.

    Candidates of the offset come from the correlation of motion (`lag_candidates`); each gives a rigid fit of one
    person, and the best is refined by iteratively reweighted Gauss-Newton steps over rotation, translation, offset and,
    if wanted, scale, with people matched again in each round.

    Args:
        methods: (F, P, J, 3) people of each method at the same times, with the joints of the truth.
        time_s: (F,) times of the take.
        truth: True people.
        truth_s: Times of the truth.
        mode: What to fit.
        offset_s: Known time offset; found if None and the truth has enough frames a second.

    Raises:
        CoreError: No method has people that agree with the truth at any time.
    """
    if mode == "none":
        given = identity_fit(offset_s or 0.0)
        return _described(given, _pairs(methods, time_s, truth, given), truth)
    timed = offset_s is None and truth.dense and len(time_s) > 1
    chosen = np.unique(np.linspace(0, len(time_s) - 1, min(len(time_s), _MAX_FRAMES)).round().astype(int))
    found = _start(methods, time_s, truth, truth_s, 0.0 if offset_s is None else offset_s, timed)
    if found is None:
        raise CoreError(
            "The true people agree with the found ones at no time.",
            "Check that the file belongs to this take; truth_offset_s=SECONDS sets a known time offset.",
        )
    start = found
    # Frames outside the truth are no evidence.
    seen = np.asarray(np.isfinite(truth.at(time_s - start.offset_s)).all(-1)).any((1, 2))
    if seen.sum() > _MAX_FRAMES // 4:
        index = np.flatnonzero(seen)
        chosen = index[np.unique(np.linspace(0, len(index) - 1, min(len(index), _MAX_FRAMES)).round().astype(int))]
    some = [method[chosen] for method in methods]
    fit = start
    for _ in range(_ROUNDS):
        pairs = _pairs(some, time_s[chosen], truth, fit)
        if len(pairs.y) < _MIN_PAIRS:
            break
        for _ in range(_STEPS):
            fit = _step(fit, pairs, truth, scaled=mode == "scaled", timed=timed)
    return replace(_described(fit, _pairs(methods, time_s, truth, fit), truth), timed=timed)


@dataclass(frozen=True, slots=True, eq=False)
class _Pairs:
    """Matched joints: positions (N, 3) in the take, times (N,), and true person and joint (N,)."""

    y: F64
    time_s: F64
    q: I64
    j: I64

    def truth_at(self, truth: Trajectories, offset_s: float) -> tuple[F64, F64]:
        """Return positions (N, 3) and velocities (N, 3) of the true joints, NaN where there are none."""
        times, at = np.unique(self.time_s, return_inverse=True)
        x, v = truth.at(times - offset_s), truth.velocity(times - offset_s)
        return x[at, self.q, self.j], v[at, self.q, self.j]


def match_true_people(predicted: F64, true: F64) -> I64:
    """Match people of a frame (P, J, 3) with true ones (Q, J, 3), one to one, by mean joint distance below 500 mm.

    Returns:
        (Q,) column of the prediction of each true person, -1 for none.
    """
    out = np.full(len(true), -1, np.int64)
    if not len(predicted) or not len(true):
        return out
    distance = np.linalg.norm(predicted[:, None] - true[None], axis=-1)
    known = np.isfinite(distance)
    mean = np.where(known, distance, 0).sum(-1) / np.maximum(known.sum(-1), 1)
    cost = np.where(known.any(-1), np.minimum(mean, MATCH_MM), MATCH_MM)
    rows, columns = linear_sum_assignment(cost)
    good = cost[rows, columns] < MATCH_MM
    out[columns[good]] = rows[good]
    return out


def _start(
    methods: Sequence[F64], time_s: F64, truth: Trajectories, truth_s: F64, offset_s: float, timed: bool
) -> TruthFit | None:
    """Return the candidate, aligned by one person, that explains most joints of all people."""
    best: tuple[float, TruthFit] | None = None
    for xyz in methods:
        tolerance = float(np.median(np.diff(time_s))) if len(time_s) > 1 else 1.0
        take = Trajectories(time_s, fill_short_gaps(time_s, xyz), tolerance)
        some = np.unique(np.linspace(0, len(time_s) - 1, min(len(time_s), _GAIN_FRAMES)).round().astype(int))
        candidates: list[tuple[int, int, float]] = []
        if timed and take.dense:
            found = lag_candidates(take, time_s, truth, truth_s)[:_CANDIDATES]
            candidates = [(c.person, c.true_person, c.offset_s) for c in found]
        if not candidates:
            people = np.argsort(-np.isfinite(xyz).all(-1).sum((0, 2)))[:6]
            count = truth.at(time_s - offset_s).shape[1]
            candidates = [(int(p), q, offset_s) for p in people for q in range(count)]
        for p, q, offset in candidates:
            x = truth.at(time_s - offset)[:, q]
            y = xyz[:, p]
            known = np.isfinite(x).all(-1) & np.isfinite(y).all(-1)
            if known.sum() < 4:
                continue
            for handedness, factor in ((1, 1.0), (-1, _MIRRORED_GAIN)):
                rotation, translation = _robust_kabsch(x[known], y[known], handedness)
                fit = replace(identity_fit(offset), rotation=rotation, translation_mm=translation)
                gain = factor * _gain(xyz[some], fit.apply(truth.at(time_s[some] - offset)))
                if best is None or gain > best[0]:
                    best = (gain, fit)
    return best[1] if best is not None and best[0] > 0 else None


def _gain(predicted: F64, true: F64) -> float:
    """Return the number of true joints (F, Q, J, 3) that the closest predicted people (F, P, J, 3) explain."""
    error = np.linalg.norm(predicted[:, :, None] - true[:, None], axis=-1)
    return float(np.nansum(np.maximum(1 - error / _GAIN_MM, 0), axis=-1).max(1).sum())


def _robust_kabsch(x: F64, y: F64, handedness: int) -> tuple[F64, F64]:
    """Return rotation and translation from x (N, 3) to y (N, 3), reweighted by Cauchy's loss.

    With `handedness` -1, the rotation contains a reflection.
    """
    weight = np.ones(len(x))
    rotation, translation = np.eye(3), np.zeros(3)
    for _ in range(8):
        w = weight / weight.sum()
        cx, cy = w @ x, w @ y
        u, _, vt = np.linalg.svd((y - cy).T @ ((x - cx) * w[:, None]))
        rotation = u @ np.diag([1, 1, handedness * np.sign(np.linalg.det(u @ vt))]) @ vt
        translation = cy - rotation @ cx
        weight = _cauchy(np.linalg.norm(x @ rotation.T + translation - y, axis=-1))
    return rotation, translation


def _cauchy(error: F64) -> F64:
    return np.asarray(1 / (1 + (error / max(_ROBUST * float(np.median(error)), 1e-6)) ** 2))


def _pairs(methods: Sequence[F64], time_s: F64, truth: Trajectories, fit: TruthFit) -> _Pairs:
    """Match the people of every method with the true ones, frame by frame."""
    true = fit.apply(truth.at(time_s - fit.offset_s))
    y, times, who, joint = [], [], [], []
    for xyz in methods:
        for f in np.flatnonzero(np.asarray(np.isfinite(true).all(-1)).any((1, 2))):
            person = match_true_people(xyz[f], true[f])
            for q in np.flatnonzero(person >= 0):
                j = np.flatnonzero(np.isfinite(xyz[f, person[q]]).all(-1) & np.isfinite(true[f, q]).all(-1))
                y.append(xyz[f, person[q], j])
                times.append(np.full(len(j), time_s[f]))
                who.append(np.full(len(j), q))
                joint.append(j)
    if not y:
        return _Pairs(np.zeros((0, 3)), np.zeros(0), np.zeros(0, np.int64), np.zeros(0, np.int64))
    return _Pairs(np.concatenate(y), np.concatenate(times), np.concatenate(who), np.concatenate(joint))


def _step(fit: TruthFit, pairs: _Pairs, truth: Trajectories, *, scaled: bool, timed: bool) -> TruthFit:
    """Take one reweighted Gauss-Newton step on the distances of the pairs."""
    x, v = pairs.truth_at(truth, fit.offset_s)
    known = np.isfinite(x).all(-1) & (np.isfinite(v).all(-1) | (not timed))
    if known.sum() < _MIN_PAIRS:
        return fit
    turned = fit.scale * x[known] @ fit.rotation.T
    centre = turned.mean(0)
    arm = turned - centre
    error = pairs.y[known] - turned - fit.translation_mm
    weight = np.sqrt(_cauchy(np.linalg.norm(error, axis=-1)))
    # Columns: rotation about the centre, translation, time offset, scale.
    columns = [np.cross(axis, arm) for axis in np.eye(3)] + [np.tile(axis, (len(arm), 1)) for axis in np.eye(3)]
    if timed:
        columns.append(-fit.scale * v[known] @ fit.rotation.T)
    if scaled:
        columns.append(arm)
    jacobian = np.stack(columns, -1) * weight[:, None, None]  # (N, 3, K)
    step, *_ = np.linalg.lstsq(jacobian.reshape(-1, len(columns)), (error * weight[:, None]).ravel(), rcond=None)
    turn = Rotation.from_rotvec(step[:3]).as_matrix()
    stretch = 1 + float(step[-1]) if scaled else 1.0
    # About the centre: y = stretch turn (x' - centre) + centre + t + step.
    translation = fit.translation_mm + step[3:6] + centre - stretch * turn @ centre
    return replace(
        fit,
        rotation=turn @ fit.rotation,
        translation_mm=translation,
        scale=fit.scale * stretch,
        offset_s=fit.offset_s + (float(step[6]) if timed else 0.0),
    )


def _described(fit: TruthFit, pairs: _Pairs, truth: Trajectories) -> TruthFit:
    """Add the residual of the pairs, and the scale that would fit them best."""
    x, _ = pairs.truth_at(truth, fit.offset_s)
    known = np.isfinite(x).all(-1)
    if known.sum() < 2:
        return fit
    x, y = fit.apply(x[known]), pairs.y[known]
    error = np.linalg.norm(x - y, axis=-1)
    w = _cauchy(error) / _cauchy(error).sum()
    x, y = x - w @ x, y - w @ y
    stretch = float((w @ (x * y)).sum() / (w @ (x * x)).sum())
    return replace(fit, pairs=int(known.sum()), residual_mm=float(np.median(error)), best_scale=fit.scale * stretch)
