"""Evaluation report of a take: metrics as plain values, and a one-sentence verdict."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.evaluation.compare import (
    WITHIN_PERCENT,
    PairedDifference,
    common_masks,
    coverage_masks,
    error_metrics,
    found_curve,
    overall_metrics,
    shared_joints,
)
from core.evaluation.identity import IdentityMetrics, identity_metrics, people_per_frame
from core.evaluation.loco import ViewErrors
from core.evaluation.verdict import (
    MethodComparison,
    NamedErrors,
    alone_sentence,
    compare_methods,
    comparison_details,
    comparison_sentence,
)
from core.types.pose3d import Pose3DSequence

BASELINE_KEY, RTS_KEY, TRAINED_KEY = "baseline", "rts", "trained"
BODY_KEYS = {BASELINE_KEY: "baseline_body", TRAINED_KEY: "trained_body"}
"""Keys of the joints of bodies by that of the method whose joints the bodies were fitted to."""
_CURVE_PERCENT = 30
_SMOOTHINGS = {"none": "", "rts": " with RTS smoothing", "one_euro": " with One-Euro smoothing"}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MethodResult:
    """Results of one method.

    Attributes:
        load: Function that returns the 3D people of the take, which are not kept in memory.
        people_per_frame: Number of frames by number of people.
        identity: Identity metrics.
        reprojection_px: Median reprojection error in px in the cameras used for reconstruction, NaN without people.
        loco: Leave-one-camera-out errors; None if the rig has fewer than three cameras.
        run: Name of the trained run or of the shipped networks, empty for triangulation.
        shipped: True for networks that ship with the program.
        smoothing: Smoothing of the triangulated people, as in `core.tracking.config.TrackingConfig`.
        bodies: True for the joints of bodies fitted to the joints of the method.
    """

    load: Callable[[], Pose3DSequence]
    people_per_frame: Mapping[str, int]
    identity: IdentityMetrics
    reprojection_px: float
    loco: ViewErrors | None = None
    run: str = ""
    shipped: bool = False
    smoothing: str = "none"
    bodies: bool = False

    @classmethod
    def of(
        cls, load: Callable[[], Pose3DSequence], reprojection_px: Callable[[Pose3DSequence], float], **named: Any
    ) -> MethodResult:
        """Load a result, measure it and release it; further arguments are attributes."""
        sequence = dataclasses.replace(load(), covariance_mm2=None)  # releases half of the memory
        return cls(
            load=load,
            people_per_frame=people_per_frame(sequence),
            identity=identity_metrics(sequence),
            reprojection_px=reprojection_px(sequence),
            **named,
        )

    @property
    def label(self) -> str:
        """Name of the method as a heading."""
        bodies = " with bodies" if self.bodies else ""
        if self.run:
            return f"{'Shipped' if self.shipped else 'Trained'} networks{bodies}"
        return f"Triangulation{_SMOOTHINGS.get(self.smoothing, '')}{bodies}"

    @property
    def name(self) -> str:
        """Name of the method within a sentence."""
        return f"{'the ' if self.run else ''}{self.label[:1].lower()}{self.label[1:]}"

    def named(self, errors: ViewErrors) -> NamedErrors:
        """Return errors of the method, labelled with its name within a sentence."""
        return NamedErrors(name=self.name, errors=errors, plural=bool(self.run))


def build_report(take: str, held_out_frames: int, methods: Mapping[str, MethodResult]) -> dict[str, Any]:
    """Build the report of a take.

    Args:
        take: Name of the take.
        held_out_frames: Number of measured frames, all of them excluded from training.
        methods: Results by key: `BASELINE_KEY`; `RTS_KEY` for the smoothed baseline if the baseline is not smoothed;
            `TRAINED_KEY` if there is a trained run; `BODY_KEYS` if bodies were fitted.

    Returns:
        Plain JSON values. LOCO metrics cover the joints in the joint sets of all methods; `joints_left_out` lists the
        others. Metrics in px and `loco_percent_height` are computed over the observations that all methods predict;
        `covered`, `people_found`, `within_10_percent`, `loco_percent_height_all` and `found_curves` over all
        observations, so that a missing joint is an error. `found_curves` has the fractions of observations within 0 to
        `_CURVE_PERCENT` % of the person's size. `comparison` is the trained run minus the better triangulation, or
        the smoothed minus the raw baseline, with 95 % intervals; see `compare_methods`. `verdict` summarises it, and
        `details` lists the intervals. `bodies` has the same entries for the joints of bodies, by the key of the method
        that the bodies were fitted to.
    """
    baseline = methods[BASELINE_KEY]
    shown = methods.get(TRAINED_KEY, baseline)
    errors = {key: m.loco for key, m in methods.items() if m.loco is not None}
    report: dict[str, Any] = {
        "take": take,
        "frames": sum(baseline.people_per_frame.values()),
        "held_out_frames": held_out_frames,
        "people_per_frame": dict(shown.people_per_frame),
        "joints_left_out": joints_left_out(errors),
        "methods": {key: _method(result, errors) for key, result in methods.items()},
    }
    if errors:
        report["found_curves"] = _found_curves(errors)
    bodies = {key: body for key, body in BODY_KEYS.items() if key in errors and body in errors}
    if bodies:
        report["bodies"] = {key: _of_bodies(methods, errors, key, body) for key, body in bodies.items()}
    pair = _pair(methods, errors)
    if pair is None:
        return {**report, "verdict": _alone(methods, errors)}
    report["comparison"], (report["verdict"], report["details"]) = _compared(methods, errors, *pair)
    report["details"] += _left_out_sentence(report["joints_left_out"])
    if TRAINED_KEY not in methods:
        report["verdict"] += " No trained run was compared."
    return report


def _compared(
    methods: Mapping[str, MethodResult], errors: Mapping[str, ViewErrors], first: str, second: str
) -> tuple[dict[str, Any], tuple[str, str]]:
    """Return the comparison of two methods, and its verdict and details as text."""
    found = compare_methods(errors[first], errors[second])
    a, b = (methods[key].named(errors[key]) for key in (first, second))
    return _comparison(first, second, found), (comparison_sentence(a, b, found), comparison_details(a, b, found))


def _of_bodies(
    methods: Mapping[str, MethodResult], errors: Mapping[str, ViewErrors], key: str, body: str
) -> dict[str, Any]:
    comparison, (verdict, details) = _compared(methods, errors, body, key)
    return {**comparison, "verdict": verdict, "details": details}


def better_triangulation(errors: Mapping[str, ViewErrors]) -> str:
    """Return the key of the triangulation, raw or smoothed, with the smaller error over all observed joints."""
    keys = [key for key in (RTS_KEY, BASELINE_KEY) if key in errors]
    joints = shared_joints(*errors.values())
    return min(keys, key=lambda key: np.nan_to_num(overall_metrics(errors[key], joints).percent_height, nan=np.inf))


def joints_left_out(errors: Mapping[str, ViewErrors]) -> list[str]:
    """Return the observed joints that are not compared because the joint set of a method lacks them."""
    if not errors:
        return []
    some = next(iter(errors.values()))
    observed = np.logical_or.reduce([np.isfinite(xy[..., 0]).any((0, 1)) for xy in some.observations.xy_px.values()])
    lacking = observed & ~shared_joints(*errors.values())
    return [some.observations.skeleton.joints[j] for j in np.flatnonzero(lacking)]


def _pair(methods: Mapping[str, MethodResult], errors: Mapping[str, ViewErrors]) -> tuple[str, str] | None:
    """Return the two methods to compare; None if there are no two with observations."""
    if BASELINE_KEY not in errors or not any(coverage.any() for e in errors.values() for coverage in _covered(e)):
        return None
    if TRAINED_KEY in errors:
        return TRAINED_KEY, better_triangulation(errors)
    return (RTS_KEY, BASELINE_KEY) if RTS_KEY in errors else None


def _covered(errors: ViewErrors) -> list[np.ndarray]:
    return list(coverage_masks(errors).values())


def _alone(methods: Mapping[str, MethodResult], errors: Mapping[str, ViewErrors]) -> str:
    if BASELINE_KEY not in errors:
        return "Leave-one-camera-out needs three cameras, so accuracy cannot be measured without labels."
    return alone_sentence(methods[BASELINE_KEY].named(errors[BASELINE_KEY]))


def _method(result: MethodResult, errors: Mapping[str, ViewErrors]) -> dict[str, Any]:
    counts = dict(result.people_per_frame)
    return {
        "label": result.label,
        "run": result.run,
        **_loco_metrics(result.loco, errors),
        "reprojection_px_median": _plain(result.reprojection_px),
        "people_per_frame": counts,
        "frames_with_two_or_more": sum(n for people, n in counts.items() if int(people) >= 2),
        "identity_switches": result.identity.identity_switches,
        "fragmentations": result.identity.fragmentations,
    }


def _loco_metrics(loco: ViewErrors | None, errors: Mapping[str, ViewErrors]) -> dict[str, Any]:
    """Return the metrics over the common observations and over all observations."""
    if loco is None:
        return {}
    common = error_metrics(loco, common_masks(*errors.values()))
    overall = overall_metrics(loco, shared_joints(*errors.values()))
    return {
        "loco_px_median": _plain(common.median_px),
        "loco_px_mean": _plain(common.mean_px),
        "loco_percent_height": _plain(common.percent_height),
        "observations": common.observations,
        "loco_percent_height_all": _plain(overall.percent_height),
        f"within_{WITHIN_PERCENT:.0f}_percent": _plain(overall.within),
        "covered": _plain(overall.coverage),
        "people_found": _plain(overall.people),
        "observations_all": overall.observations,
    }


def _found_curves(errors: Mapping[str, ViewErrors]) -> dict[str, Any]:
    percent, joints = np.arange(_CURVE_PERCENT + 1, dtype=float), shared_joints(*errors.values())
    curves = {key: found_curve(loco, percent, joints) for key, loco in errors.items()}
    return {
        "percent_height": percent.tolist(),
        "found": {key: [_plain(share) for share in curve.tolist()] for key, curve in curves.items()},
    }


def _comparison(first: str, second: str, found: MethodComparison) -> dict[str, Any]:
    return {
        "first": first,
        "second": second,
        "better": "" if found.better is None else (first, second)[found.better],
        "reason": found.reason,
        "common_px": _interval(found.common),
        "overall_percent_height": _interval(found.overall),
        "covered": [_plain(fraction) for fraction in found.coverage],
    }


def _interval(difference: PairedDifference | None) -> dict[str, Any] | None:
    if difference is None:
        return None
    values = dataclasses.asdict(difference)
    return {name: _plain(value) if isinstance(value, float) else value for name, value in values.items()}


def _left_out_sentence(joints: list[str]) -> str:
    if not joints:
        return ""
    names = ", ".join(joint.replace("_", " ") for joint in joints)
    return f" Not compared, since the joint set of a method lacks them: {names}."


def _plain(value: float) -> float | None:
    """Return a rounded number for JSON, None for NaN."""
    return round(value, 4) if math.isfinite(value) else None
