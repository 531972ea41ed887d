"""What there is to say about a calibration from people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from core.calibration.checks import Finding, FindingLevel
from core.types.camera import CameraRig

_AREA_M2 = (0.3, 2.0)
_FRAMES = (20, 60)
_NOISE = 0.006  # of the longer side of the image
_SHARE = 0.7
_TURN_DEG, _PLACE = 0.5, 0.015
_LATE_S = 0.02
_TILT_DEG = 12.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Measured:
    """Figures of a calibration from people.

    Attributes:
        rig: The result.
        missing: Name to reason of cameras without a place.
        rotation_sd_deg: Standard errors by name,
        position_sd_mm: also of places
        time_offset_sd_s: and time offsets.
        time offset: Whether time offsets were looked for.
        noise_px: Usual error of a joint.
        inlier_share: Of joints, by camera.
        frames: In which two cameras agree on somebody.
        area_m2: Of the floor that feet went over; NaN where feet are not seen.
        tilt_deg: Between bodies and floor; NaN where the floor could not be measured.
        scale: Sentence on the scale, empty where it is as before.
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


def judge(measured: Measured) -> tuple[Finding, ...]:
    """Findings on cameras, people and errors."""
    parts = (_cameras, _people, _fit, _errors, _time_offsets)
    return tuple(finding for part in parts for finding in part(measured))


def _cameras(m: Measured) -> Iterator[Finding]:
    for name, reason in m.missing.items():
        yield Finding(
            check="calibrated",
            level="error",
            message=f"{name} could not be placed. {reason}",
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


def _people(m: Measured) -> Iterator[Finding]:
    if np.isfinite(m.area_m2):
        area: FindingLevel = "error" if m.area_m2 < _AREA_M2[0] else "warning" if m.area_m2 < _AREA_M2[1] else "ok"
        yield Finding(
            check="area",
            level=area,
            message=f"People walked over {m.area_m2:.1f} square metres.",
            remedy="" if area == "ok" else "Let somebody walk all over the floor that the cameras see.",
        )
    count: FindingLevel = "error" if m.frames < _FRAMES[0] else "warning" if m.frames < _FRAMES[1] else "ok"
    yield Finding(
        check="frames",
        level=count,
        message=f"Cameras agree on people in {m.frames} frames.",
        remedy="" if count == "ok" else "Use a take of half a minute or more.",
    )
    if not m.scale:
        return  # a repair: the floor stays what it was
    if np.isnan(m.tilt_deg):
        yield Finding(
            check="floor",
            level="warning",
            message="The floor's tilt could not be measured: up is where people's heads are.",
            remedy="Let people walk over more of the floor, or set the floor from three points.",
        )
    elif m.tilt_deg > _TILT_DEG:
        yield Finding(
            check="floor",
            level="warning",
            message=f"Bodies lean by {m.tilt_deg:.0f} degrees against the floor under their feet.",
            remedy="Use a take in which people stand and walk, or set the floor from three points.",
        )


def _fit(m: Measured) -> Iterator[Finding]:
    width = max(max(c.size_px) for c in m.rig)
    noisy = m.noise_px > _NOISE * width
    yield Finding(
        check="joints",
        level="warning" if noisy else "ok",
        message=f"Joints fit to {m.noise_px:.1f} px.",
        remedy="Use another 2D estimator, or larger people in the images; check the lenses." if noisy else "",
    )
    for name, share in m.inlier_share.items():
        if share < _SHARE:
            yield Finding(
                check="joints",
                level="warning",
                message=f"{name}: {1 - share:.0%} of its joints fit badly.",
                remedy="Check its lens, and whether it stood still during the take.",
                camera=name,
            )


def _errors(m: Measured) -> Iterator[Finding]:
    posed = [c.centre_mm for c in m.rig if c.posed]
    size = float(np.linalg.norm(np.ptp(np.stack(posed), axis=0))) if len(posed) > 1 else 1.0
    bad = [
        n for n, deg in m.rotation_sd_deg.items() if deg > _TURN_DEG or m.position_sd_mm[n] > _PLACE * max(size, 1.0)
    ]
    for name in bad:
        yield Finding(
            check="error",
            level="warning",
            message=f"{name} is certain to {m.rotation_sd_deg[name]:.2f} degrees and "
            f"{m.position_sd_mm[name]:.0f} mm only.",
            remedy="Use a longer take in which people come near this camera and cross its whole image.",
            camera=name,
        )
    if m.rotation_sd_deg and not bad:
        yield Finding(
            check="error",
            level="ok",
            message=f"Cameras are certain to {max(m.rotation_sd_deg.values()):.2f} degrees and "
            f"{max(m.position_sd_mm.values()):.0f} mm.",
        )


def _time_offsets(m: Measured) -> Iterator[Finding]:
    if not m.time_offset:
        return
    for name, sd in m.time_offset_sd_s.items():
        late = m.rig[name].time_offset_s
        if sd > _LATE_S:
            yield Finding(
                check="time_offset",
                level="warning",
                message=f"{name}: its time offset is certain to {1e3 * sd:.0f} ms only.",
                remedy="Let people move faster in view of this camera.",
                camera=name,
            )
        elif abs(late) > 1e-3:
            yield Finding(
                check="time_offset",
                level="ok",
                message=f"{name} is {abs(1e3 * late):.0f} ms {'late' if late > 0 else 'early'} "
                f"(error {1e3 * sd:.1f} ms).",
                camera=name,
            )
