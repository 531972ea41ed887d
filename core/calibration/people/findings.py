"""Findings on a calibration from people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from core.calibration.checks import Finding, FindingLevel
from core.calibration.people.held_out import HeldOutScore, gain_interval
from core.types.camera import CameraRig

# Pairs are (error below, warning below).
_MIN_AREA_M2 = (0.3, 2.0)
_MIN_FRAMES = (20, 60)
_MAX_NOISE = 0.006  # share of the longer image side
_MIN_INLIER_SHARE = 0.7
_MAX_ROTATION_SD_DEG = 0.5
_MAX_POSITION_SD = 0.015  # share of the diagonal of the box around the cameras
_MAX_TIME_OFFSET_SD_S = 0.02
_MAX_TIME_OFFSET_S = 0.4  # from the median of all cameras; offsets up to 0.2 s are searched
_MAX_TILT_DEG = 12.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PeopleMetrics:
    """Metrics of a calibration from people.

    Attributes:
        rig: Resulting rig.
        missing: Reason by name of each camera that could not be registered.
        rotation_sd_deg: Standard error of the rotation, by camera.
        position_sd_mm: Standard error of the camera centre, by camera.
        time_offset_sd_s: Standard error of the time offset, by camera.
        time_offset: True if time offsets were estimated.
        noise_px: Standard deviation of a joint coordinate with full score.
        inlier_share: Share of inliers among the joints, by camera.
        frames: Number of frames in which two cameras agree on a person.
        area_m2: Area of the floor covered by feet; NaN if no feet are seen.
        tilt_deg: Angle between the bodies and the normal of the floor; NaN if the floor could not be measured.
        scale: Sentence on the source of the scale; empty if the scale is unchanged, as in a repair.
        change: Sentence on what a repair changed; empty for a new rig.
        comparison: Scores of the former and of the resulting rig; None if there was none.
    """

    rig: CameraRig
    missing: Mapping[str, str]
    rotation_sd_deg: Mapping[str, float]
    position_sd_mm: Mapping[str, float]
    time_offset_sd_s: Mapping[str, float]
    time_offset: bool
    noise_px: float
    inlier_share: Mapping[str, float]
    frames: int
    area_m2: float
    tilt_deg: float
    scale: str
    change: str
    comparison: tuple[HeldOutScore, HeldOutScore] | None


def assess_people(metrics: PeopleMetrics) -> tuple[Finding, ...]:
    """Return the findings on cameras, the change, people, fit, standard errors and time offsets."""
    parts = (_cameras, _change, _people, _fit, _errors, _time_offsets)
    return tuple(finding for part in parts for finding in part(metrics))


def _cameras(m: PeopleMetrics) -> Iterator[Finding]:
    for name, reason in m.missing.items():
        yield Finding(
            check="calibrated",
            level="error",
            message=f"{name} could not be registered. {reason}",
            remedy="Let people walk where this camera and at least two others see them.",
            camera=name,
        )
    if m.scale:
        yield Finding(
            check="scale",
            level="ok",
            message=m.scale,
            remedy="Give people's stature, or a measured distance of two cameras." if "assumed" in m.scale else "",
        )


def _change(m: PeopleMetrics) -> Iterator[Finding]:
    if m.comparison is None:
        return
    before, after = m.comparison
    errors = ", ".join(
        f"{new:.1f} px in {name}" + f" ({old:.1f} before)" * bool(m.rotation_sd_deg)
        for name, old, new in zip(m.rig.names, before.median_px, after.median_px, strict=True)
    )
    worse = bool(m.rotation_sd_deg) and gain_interval(after, before)[1] <= 0
    yield Finding(
        check="change",
        level="error" if worse else "ok",
        message=f"The cameras predict each other's joints no better than before: {errors}."
        if worse
        else f"{m.change or 'All cameras were recalibrated.'} Joints are predicted from the other cameras to {errors}.",
        remedy="Keep the present rig, or use a longer take in which people walk where several cameras see them."
        if worse
        else "",
    )


def _people(m: PeopleMetrics) -> Iterator[Finding]:
    if not m.scale and not m.rotation_sd_deg:
        return  # nothing was changed
    if np.isfinite(m.area_m2):
        area = _capped(m, _level_below(m.area_m2, _MIN_AREA_M2))
        yield Finding(
            check="area",
            level=area,
            message=f"People walked over {m.area_m2:.1f} square metres.",
            remedy="" if area == "ok" else "Let a person walk over all of the floor that the cameras see.",
        )
    count = _capped(m, _level_below(m.frames, _MIN_FRAMES))
    yield Finding(
        check="frames",
        level=count,
        message=f"Cameras agree on people in {m.frames} frames.",
        remedy="" if count == "ok" else "Use a take of half a minute or more.",
    )
    if not m.scale:
        return  # a repair keeps the floor
    if np.isnan(m.tilt_deg):
        yield Finding(
            check="floor",
            level="warning",
            message="The tilt of the floor could not be measured; the up axis was taken from people's bodies.",
            remedy="Let people walk over more of the floor, or set the floor from three points.",
        )
    elif m.tilt_deg > _MAX_TILT_DEG:
        yield Finding(
            check="floor",
            level="warning",
            message=f"Bodies lean by {m.tilt_deg:.0f} degrees against the floor under their feet.",
            remedy="Use a take in which people stand and walk, or set the floor from three points.",
        )


def _capped(m: PeopleMetrics, level: FindingLevel) -> FindingLevel:
    """Return the level, at most a warning for a repair, because that is assessed on held-out frames."""
    return level if m.scale else min(level, "warning", key=("ok", "warning", "error").index)


def _level_below(value: float, limits: tuple[float, float]) -> FindingLevel:
    return "error" if value < limits[0] else "warning" if value < limits[1] else "ok"


def _fit(m: PeopleMetrics) -> Iterator[Finding]:
    width = max(max(c.size_px) for c in m.rig)
    noisy = m.noise_px > _MAX_NOISE * width
    yield Finding(
        check="joints",
        level="warning" if noisy else "ok",
        message=f"Joints fit to {m.noise_px:.1f} px.",
        remedy="Use another 2D estimator, or film people larger; check the intrinsics." if noisy else "",
    )
    for name, share in m.inlier_share.items():
        if share < _MIN_INLIER_SHARE:
            yield Finding(
                check="joints",
                level="warning",
                message=f"{name}: {100 * (1 - share):.0f} % of its joints are outliers.",
                remedy="Check its intrinsics, and whether the camera moved during the take.",
                camera=name,
            )


def _errors(m: PeopleMetrics) -> Iterator[Finding]:
    posed = [c.centre_mm for c in m.rig if c.posed]
    size = float(np.linalg.norm(np.ptp(np.stack(posed), axis=0))) if len(posed) > 1 else 1.0
    uncertain = [
        name
        for name, deg in m.rotation_sd_deg.items()
        if deg > _MAX_ROTATION_SD_DEG or m.position_sd_mm[name] > _MAX_POSITION_SD * max(size, 1.0)
    ]
    for name in uncertain:
        yield Finding(
            check="error",
            level="warning",
            message=f"{name} has a standard error of {m.rotation_sd_deg[name]:.2f} degrees and "
            f"{m.position_sd_mm[name]:.0f} mm.",
            remedy="Use a longer take in which people come near this camera and cross its whole image.",
            camera=name,
        )
    if m.rotation_sd_deg and not uncertain:
        yield Finding(
            check="error",
            level="ok",
            message=f"Standard errors of the cameras are up to {max(m.rotation_sd_deg.values()):.2f} degrees and "
            f"{max(m.position_sd_mm.values()):.0f} mm.",
        )


def _time_offsets(m: PeopleMetrics) -> Iterator[Finding]:
    if not m.time_offset:
        return
    typical = float(np.median([c.time_offset_s for c in m.rig if c.posed])) if m.time_offset_sd_s else 0.0
    for name, sd in m.time_offset_sd_s.items():
        offset = m.rig[name].time_offset_s
        if abs(offset - typical) > _MAX_TIME_OFFSET_S:
            yield Finding(
                check="time_offset",
                level="error",
                message=f"{name} would be {1e3 * abs(offset - typical):.0f} ms off the other cameras.",
                remedy="If its recording started at another time, synchronise the take with certify; else check that "
                "this camera sees the same people.",
                camera=name,
            )
        elif sd > _MAX_TIME_OFFSET_SD_S:
            yield Finding(
                check="time_offset",
                level="warning",
                message=f"{name}: its time offset has a standard error of {1e3 * sd:.0f} ms.",
                remedy="Let people move faster in view of this camera.",
                camera=name,
            )
        elif abs(offset) > 1e-3:
            yield Finding(
                check="time_offset",
                level="ok",
                message=f"{name} has a time offset of {1e3 * offset:+.0f} ms (standard error {1e3 * sd:.1f} ms).",
                camera=name,
            )
