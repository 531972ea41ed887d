"""Section of the evaluation report on a user's truth: metrics by method, the fit, and a verdict.

Letters in shapes: F frame, P person, Q true person, J joint.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from core.errors import CoreError
from core.evaluation.loco import rows_at_times
from core.evaluation.report import BASELINE_KEY, RTS_KEY, TRAINED_KEY, MethodResult
from core.evaluation.truth.fit import FitMode, TruthFit, fit_truth
from core.evaluation.truth.motion import TruthMotion
from core.evaluation.truth.score import (
    PCK_MM,
    TruthComparison,
    TruthMetrics,
    compare_with_truth,
    truth_errors,
    truth_metrics,
)
from core.evaluation.truth.trajectories import DENSE_HZ, Trajectories
from core.types.arrays import F64
from core.types.pose3d import Pose3DSequence
from core.types.skeleton import DERIVED_JOINTS, Skeleton

_SCALE_NOTED = 0.01  # A best scale further from 1 is pointed out.
_LARGE_RESIDUAL_MM = 150.0


def truth_report(
    truth: TruthMotion,
    methods: Mapping[str, MethodResult],
    time_s: F64,
    held_out: np.ndarray,
    mode: FitMode = "rigid",
    offset_s: float | None = None,
) -> dict[str, Any]:
    """Score all methods against a truth.

    Args:
        truth: True joints.
        methods: Results as for `core.evaluation.report.build_report`.
        time_s: (F,) times of the take.
        held_out: Indices of the frames that were held out from training.
        mode: What to fit; see `core.evaluation.truth.fit.fit_truth`.
        offset_s: Known time offset, or None.

    Returns:
        Plain JSON values: `methods` (metrics by key; missing joints count 500 mm in `mpjpe_all_mm`), `fit`, `joints`,
        `unmatched`, `people`, `frames`, `notes` (sentences), `comparison` and `verdict`, where there are two methods.

    Raises:
        CoreError: Truth and take agree at no time.
    """
    step_s = float(np.median(np.diff(time_s))) if len(time_s) > 1 else 1.0
    trajectories = Trajectories(truth.time_s, truth.xyz_mm, step_s / 2)
    predicted, has = {}, []
    for key, method in methods.items():
        sequence = method.load()
        has.append(_has(sequence.skeleton, truth.joints))
        predicted[key] = _in_joints(sequence, truth.joints, time_s)
    del sequence
    fit = fit_truth(list(predicted.values()), time_s, trajectories, truth.time_s, mode, offset_s)
    true = fit.apply(trajectories.at(time_s - fit.offset_s))
    used = np.asarray(np.asarray(np.isfinite(true).all(-1)).any((1, 2)))
    if not used.any():
        raise CoreError(
            "The truth has nobody at the times of the take.",
            "Check its times, or set the time offset with --set truth_offset_s=SECONDS.",
        )
    shared = np.logical_and.reduce(has)
    if not shared.any():
        raise CoreError("The truth and the methods have no joint in common.", "Name the markers after joints.")
    errors = {key: truth_errors(xyz, true, shared) for key, xyz in predicted.items()}
    metrics = {key: truth_metrics(e, truth.joints, true, used) for key, e in errors.items()}
    unseen = used & np.isin(np.arange(len(time_s)), held_out)
    left_out = {key: truth_metrics(e, truth.joints, true, unseen) for key, e in errors.items()}
    report: dict[str, Any] = {
        "methods": {key: _metrics(m, left_out[key]) for key, m in metrics.items()},
        "people": len(truth.people),
        "frames": int(used.sum()),
        "held_out_frames": int(unseen.sum()),
        "joints": [joint for joint, has in zip(truth.joints, shared, strict=True) if has],
        "unmatched": list(truth.unmatched),
        "fit": _fit(fit),
        "notes": [*truth.notes, *_notes(truth, shared, fit, mode, trajectories.dense)],
    }
    pair = _pair(metrics)
    if pair is not None:
        found = compare_with_truth(errors[pair[0]], errors[pair[1]], time_s, used)
        report["comparison"] = _comparison(pair, found)
        report["notes"] += _intervals([methods[key].name for key in pair], found)
        report["verdict"] = _sentence(pair, methods, metrics, found)
    return report


def _in_joints(sequence: Pose3DSequence, joints: tuple[str, ...], time_s: F64) -> F64:
    """Return people (F, P, J, 3) in the joints of the truth, NaN where missing."""
    xyz = sequence.skeleton.select(sequence.xyz_mm, *joints)
    return rows_at_times(xyz, sequence.time_s, time_s)


def _has(skeleton: Skeleton, joints: tuple[str, ...]) -> np.ndarray:
    return np.array([skeleton.has(j) or skeleton.has(*DERIVED_JOINTS.get(j, (j,))) for j in joints], bool)


def _pair(metrics: Mapping[str, TruthMetrics]) -> tuple[str, str] | None:
    """Return the trained run and the better triangulation, or the smoothed and the raw one."""
    simple = [key for key in (RTS_KEY, BASELINE_KEY) if key in metrics]
    if TRAINED_KEY in metrics and simple:
        return TRAINED_KEY, min(simple, key=lambda key: metrics[key].mpjpe_all_mm)
    return (RTS_KEY, BASELINE_KEY) if len(simple) == 2 else None


def _metrics(found: TruthMetrics, held_out: TruthMetrics) -> dict[str, Any]:
    return {
        "mpjpe_mm": _plain(found.mpjpe_mm),
        "median_mm": _plain(found.median_mm),
        "mpjpe_all_mm": _plain(found.mpjpe_all_mm),
        **{f"pck_{mm}_mm": _plain(found.pck[mm]) for mm in PCK_MM},
        "pcp": _plain(found.pcp),
        "covered": _plain(found.coverage),
        "recall": _plain(found.recall),
        "precision": _plain(found.precision),
        "joints": found.joints,
        "held_out_mpjpe_mm": _plain(held_out.mpjpe_mm),
        "held_out_mpjpe_all_mm": _plain(held_out.mpjpe_all_mm),
    }


def _fit(fit: TruthFit) -> dict[str, Any]:
    return {
        "rotation": fit.rotation.round(6).tolist(),
        "mirrored": fit.mirrored,
        "rotation_deg": _plain(fit.rotation_deg),
        "translation_mm": fit.translation_mm.round(3).tolist(),
        "scale": round(fit.scale, 6),
        "best_scale": round(fit.best_scale, 6),
        "offset_s": round(fit.offset_s, 6),
        "residual_mm": _plain(fit.residual_mm),
        "pairs": fit.pairs,
    }


def _notes(truth: TruthMotion, shared: np.ndarray, fit: TruthFit, mode: FitMode, dense: bool) -> list[str]:
    used = int(shared.sum())
    notes = [f"{used} joints of {len(truth.people)} true people at {truth.rate_hz:.4g} frames a second are compared."]
    if truth.unmatched:
        notes.append(f"Markers that are no joint known here: {', '.join(truth.unmatched)}.")
    lacking = [joint for joint, has in zip(truth.joints, shared, strict=True) if not has]
    if lacking:
        notes.append(f"Not compared, since the joint set of a method lacks them: {', '.join(lacking)}.")
    if mode == "none":
        notes.append(f"Nothing was fitted: coordinates are those of the take, the time offset is {fit.offset_s:+g} s.")
    else:
        moved_m = float(np.linalg.norm(fit.translation_mm)) / 1000
        scale = f", scaled by {fit.scale:.4f}" if mode == "scaled" else ""
        notes.append(
            f"The truth was turned by {fit.rotation_deg:.1f} degrees and moved by {moved_m:.3f} m{scale}: one fit "
            f"for the whole take, to {fit.pairs} joints of all methods together. Their median distance is then "
            f"{fit.residual_mm:.0f} mm."
        )
        clock = (
            f"Truth + {fit.offset_s:.3f} s is the time of the take"
            if fit.offset_s >= 0
            else (f"Truth - {-fit.offset_s:.3f} s is the time of the take")
        )
        how = "found from the motion" if fit.timed else "as given"
        if not fit.timed and not dense:
            how = f"not fitted below {DENSE_HZ:.0f} frames a second"
        notes.append(f"{clock}, {how}.")
    if fit.mirrored:
        notes.append("The axes of the truth are left-handed, as in Unity; it was mirrored.")
    if mode != "scaled" and abs(fit.best_scale - 1) > _SCALE_NOTED:
        notes.append(
            f"The truth would fit best when scaled by {fit.best_scale:.3f}: the scale of the rig or of the "
            "file may be off."
        )
    if fit.residual_mm > _LARGE_RESIDUAL_MM:
        notes.append("So large a distance means that the file hardly belongs to this take, or that nothing was found.")
    return notes


def _comparison(pair: tuple[str, str], found: TruthComparison) -> dict[str, Any]:
    return {
        "first": pair[0],
        "second": pair[1],
        "better": "" if found.better is None else pair[found.better],
        "reason": found.reason,
        "common_mm": None if found.common is None else dataclasses.asdict(found.common),
        "overall_mm": None if found.overall is None else dataclasses.asdict(found.overall),
    }


def _intervals(names: list[str], found: TruthComparison) -> list[str]:
    """Return a sentence with the differences of two methods and their intervals; none in a short take."""
    parts = [
        f"{difference.value:+.1f} mm (95 % interval {difference.low:+.1f} to {difference.high:+.1f}) {where}"
        for difference, where in (
            (found.common, "on the joints that both found"),
            (found.overall, "over all true joints, of which a missing one counts 500 mm"),
        )
        if difference is not None
    ]
    return [f"{names[0][:1].upper()}{names[0][1:]} minus {names[1]}: {'; '.join(parts)}."] if parts else []


def _sentence(
    pair: tuple[str, str],
    methods: Mapping[str, MethodResult],
    metrics: Mapping[str, TruthMetrics],
    found: TruthComparison,
) -> str:
    """State which method is nearer to the truth."""
    order = pair if found.better in (0, None) else pair[::-1]
    names = [methods[key].name for key in order]
    values = [metrics[key] for key in order]
    figures = (
        f"mean error {values[0].mpjpe_all_mm:.1f} against {values[1].mpjpe_all_mm:.1f} mm over all true joints, "
        f"missing ones included, of which {100 * values[0].coverage:.0f} % and {100 * values[1].coverage:.0f} % were "
        "found"
    )
    text = {
        "accuracy": f"Against the truth, {names[0]} did better than {names[1]}",
        "coverage": f"Against the truth, {names[0]} did better than {names[1]}, which found far fewer joints",
        "mixed": f"Against the truth, neither {names[0]} nor {names[1]} did better in every respect",
        "none": f"Against the truth, there is no significant difference between {names[0]} and {names[1]}",
        "short": f"The truth covers too little time to tell {names[0]} from {names[1]}",
    }[found.reason]
    return f"{text}: {figures}."


def _plain(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None
