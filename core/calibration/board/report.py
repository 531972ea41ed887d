"""Whether a calibration can be trusted: what it predicts that it was not fitted to, and how sure it can be.

A small reprojection error proves little (see `check`). Here every figure is compared with what corner noise alone would
cause, so that a good rig is not called bad for a hard view, and a bad one not good for an easy view.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping

import numpy as np

from core.board.observations import BoardObservations
from core.calibration.board.calibrate import BoardCalibration
from core.calibration.board.metrics import Quality, quick_loco_px
from core.calibration.checks import Finding, FindingLevel
from core.types.arrays import F64
from core.types.camera import Camera, CameraRig

_EXCESS_PX = (1.5, 5.0)  # median left-out error beyond noise at 1280 px width: amber, red
_NOISE = (3.0, 3.5)  # the same in units of what noise causes, where a hard view makes that much
_HALF = 1.6  # by how much half a recording may predict worse than all of it
_REPROJECTION_PX = (1.6, 4.0)  # root mean square of the ordinary points
_LENGTH = (0.005, 0.02)  # of a square's side
_FOCAL_SD, _POSITION_SD = (0.01, 0.05), (0.005, 0.03)  # share of the focal length; share of the rig's size
_FOCAL = (0.03, 0.08)  # change of a focal length that was known
_SHARE, _TILT_DEG = 0.3, 20.0
_SHARED = 15  # frames between groups of cameras
_MOST_CUT = 14  # cameras: beyond, there are too many groups
_TIME_OFFSET_SD_S = 0.005
_MARKER = 0.05
_SCALE = 0.03
_LITTLE, _MANY = 0.3, 0.05  # weight of a point that counts for little; share of such points that is odd
_SWAP = 0.25  # share of the error that is left if two cameras are exchanged


def assess_board(
    quality: Quality,
    rig: CameraRig,
    seen: BoardObservations,
    *,
    calibration: BoardCalibration | None = None,
    marker_mm: float = np.nan,
    distance_mm: float = 0.0,
    between: tuple[str, ...] = (),
    before: CameraRig | None = None,
    known: Mapping[str, Camera] | None = None,
) -> list[Finding]:
    """Sentences with remedies, from figures.

    Args:
        quality: From `measure` or `measure_rig`.
        rig: The rig.
        seen: The recording.
        calibration: How it was solved, if it was solved here.
        marker_mm: Side of the markers as the images show it, if the squares have the size given.
        distance_mm: Measured distance between two cameras; 0 is unknown.
        between: Their names.
        before: The rig that was there before, if cameras were not moved since.
        known: Lenses by camera that were known before.
    """
    findings = [*_left_out(quality, rig, seen), *_reprojection(quality, seen), *_lengths(quality, seen)]
    findings += _markers(seen, marker_mm)
    findings += _distance(rig, distance_mm, between)
    findings += _before(rig, before)
    findings += _lenses(rig, known or {})
    if calibration is not None:
        findings += _missing(calibration)
        findings += _certainty(calibration)
        findings += _views(quality, calibration)
        findings += _time_offset(calibration)
        findings += _outliers(calibration)
    return findings


def _level(value: float, limits: tuple[float, float]) -> FindingLevel:
    return "ok" if value <= limits[0] else "warning" if value <= limits[1] else "error"


def _scale(seen: BoardObservations, v: int) -> float:
    """Images twice as wide show the same error twice as large."""
    return float(max(seen.sizes_px[v].max(), 640)) / 1280


def _left_out(quality: Quality, rig: CameraRig, seen: BoardObservations) -> Iterator[Finding]:
    """Each camera that the others do not predict, then in one sentence those that they do."""
    bad, good = [], []
    error = np.fmin(quality.loco_px, _HALF * quality.in_sample_px)
    excess = np.sqrt(np.maximum(error**2 - quality.expected_px**2, 0))
    for v, name in enumerate(quality.cameras):
        if not np.isfinite(quality.loco_px[v]):
            continue
        noise = quality.expected_px[v] / _scale(seen, v)
        limits = (max(_EXCESS_PX[0], _NOISE[0] * noise), max(_EXCESS_PX[1], _NOISE[1] * noise))
        level = _level(excess[v] / _scale(seen, v), limits)
        if level == "ok":
            good.append(v)
            continue
        if level == "error":
            bad.append(v)
        yield Finding(
            check="left out",
            level=level,
            message=f"{name}: the other cameras predict the board to {quality.loco_px[v]:.1f} px"
            f" ({quality.loco_mm[v]:.1f} mm); corner noise alone would be {quality.expected_px[v]:.1f} px.",
            remedy="It moved, is late, or its lens is wrong: show it the board again, slowly, at all distances.",
            camera=name,
        )
    if good:
        px, mm, noise_px = (v[good] for v in (quality.loco_px, quality.loco_mm, quality.expected_px))
        who = "every camera" if len(good) == len(quality.cameras) else ", ".join(quality.cameras[v] for v in good)
        yield Finding(
            check="left out",
            level="ok",
            message=f"The other cameras predict the board in {who} to {_range(px, 1)} px ({_range(mm, 1)} mm);"
            f" corner noise alone would be {_range(noise_px, 1)} px.",
        )
    if len(bad) >= 2:
        yield from _swapped(quality, rig, seen, bad)


def _range(values: F64, digits: int) -> str:
    """The least and the largest value in words, once if they look alike."""
    low, high = f"{values.min():.{digits}f}", f"{values.max():.{digits}f}"
    return low if low == high else f"{low} to {high}"


def _swapped(quality: Quality, rig: CameraRig, seen: BoardObservations, bad: list[int]) -> Iterator[Finding]:
    """Whether two cameras' images were exchanged."""
    for a, b in itertools.combinations(bad, 2):
        names = list(seen.cameras)
        names[a], names[b] = names[b], names[a]
        if any(n not in rig.names or not rig[n].posed for n in (names[a], names[b])):
            continue
        renamed = dataclasses.replace(seen, cameras=tuple(names))
        swapped = rig.subset([n for n in names if n in rig.names])
        other = quick_loco_px(swapped, renamed)
        if other < _SWAP * quality.overall_px:
            yield Finding(
                check="names",
                level="error",
                message=f"{seen.cameras[a]} and {seen.cameras[b]} are exchanged: with their images the other way"
                f" round the board is predicted to {other:.1f} px instead of {quality.overall_px:.0f}.",
                remedy="Exchange the two cameras' folders or names.",
            )


def _reprojection(quality: Quality, seen: BoardObservations) -> Iterator[Finding]:
    for v, name in enumerate(quality.cameras):
        value = quality.reprojection_px[v]
        if np.isfinite(value) and (level := _level(value / _scale(seen, v), _REPROJECTION_PX)) != "ok":
            yield Finding(
                check="reprojection",
                level=level,
                message=f"{name}: the board is reprojected to {value:.1f} px only.",
                remedy="Move the board more slowly, in better light, and check that it is flat.",
                camera=name,
            )


def _lengths(quality: Quality, seen: BoardObservations) -> Iterator[Finding]:
    if len(quality.length_mm) < 20:
        return
    found, given = float(np.median(quality.length_mm)), seen.board.square_mm
    level = _level(abs(found / given - 1), _LENGTH)
    yield Finding(
        check="length",
        level=level,
        message=f"Squares of {given:g} mm are triangulated to {found:.2f} mm"
        f" (half of them within {np.median(np.abs(quality.length_mm - found)):.2f} mm).",
        remedy=""
        if level == "ok"
        else "Measure the printed squares; if they are right, the cameras' poses do not fit each other.",
    )


def _markers(seen: BoardObservations, marker_mm: float) -> Iterator[Finding]:
    if seen.board.ambiguous:
        yield Finding(
            check="board",
            level="warning",
            message="Half a turn leaves this chessboard as it is, so that cameras may take its ends for each other.",
            remedy="Use a board with an even number of squares one way and an odd one the other, or a ChArUco board.",
        )
    given = seen.board.marker_mm
    if np.isfinite(marker_mm) and abs(marker_mm / given - 1) > _MARKER:
        yield Finding(
            check="board",
            level="error",
            message=f"With squares of {seen.board.square_mm:g} mm the markers measure {marker_mm:.1f} mm,"
            f" not {given:g} mm: one of the two is wrong, and with it every length.",
            remedy="Measure a square and a marker on the print, and calibrate again.",
        )


def _outliers(calibration: BoardCalibration) -> Iterator[Finding]:
    """Points that count for little, told by where they are."""
    solution, images = calibration.solution, calibration.images
    seen = np.isfinite(solution.residual_px[..., 0])
    odd = seen & (solution.weight < _LITTLE)
    if not odd.any():
        return
    by_camera = [
        f"{name} {int(odd[images.view == v].sum())}"
        for v, name in enumerate(calibration.seen.cameras)
        if odd[images.view == v].any()
    ]
    share = float(odd.sum() / max(seen.sum(), 1))
    yield Finding(
        check="outliers",
        level="ok" if share < _MANY else "warning",
        message=f"{odd.sum()} of {seen.sum()} points fit badly and count for little: {', '.join(by_camera)}.",
        remedy="" if share < _MANY else "Look at the frames of the largest errors: blur, reflections, a bent board.",
    )


def _distance(rig: CameraRig, distance_mm: float, between: tuple[str, ...]) -> Iterator[Finding]:
    if distance_mm <= 0 or len(between) != 2 or not all(n in rig.names and rig[n].posed for n in between):
        return
    found = float(np.linalg.norm(rig[between[0]].centre_mm - rig[between[1]].centre_mm))
    level = _level(abs(found / distance_mm - 1), (0.015, _SCALE))
    yield Finding(
        check="scale",
        level=level,
        message=f"{between[0]} and {between[1]} are {found:.0f} mm apart, {distance_mm:.0f} mm by measurement.",
        remedy="" if level == "ok" else "The size given for the squares is wrong: measure them, or re-scale the rig.",
    )


def _before(rig: CameraRig, before: CameraRig | None) -> Iterator[Finding]:
    """Whether the rig is the former one at another scale."""
    if before is None:
        return
    names = [c.name for c in rig if c.posed and c.name in before.names and before[c.name].posed]
    if len(names) < 3:
        return
    pairs = list(itertools.combinations(names, 2))
    ratio = np.array(
        [
            np.linalg.norm(rig[a].centre_mm - rig[b].centre_mm)
            / max(float(np.linalg.norm(before[a].centre_mm - before[b].centre_mm)), 1.0)
            for a, b in pairs
        ]
    )
    middle = float(np.median(ratio))
    if np.ptp(ratio) < _SCALE * middle and abs(middle - 1) > _SCALE:
        yield Finding(
            check="scale",
            level="error",
            message=f"The cameras stand as before, but all distances are {middle:.3f} times those of the former rig.",
            remedy="The size of the squares was wrong, now or then: measure them on the print.",
        )


def _lenses(rig: CameraRig, known: Mapping[str, Camera]) -> Iterator[Finding]:
    """Whether a lens came out as another than it was."""
    for camera in rig:
        if camera.name not in known or known[camera.name].size_px != camera.size_px:
            continue
        ratio = float(camera.K[0, 0] / known[camera.name].K[0, 0])
        level = _level(abs(ratio - 1), _FOCAL)
        if level != "ok":
            yield Finding(
                check="intrinsics",
                level=level,
                message=f"{camera.name}: its focal length came out {ratio - 1:+.1%} from what it was.",
                remedy="It was zoomed or exchanged with another camera: check which images are its own.",
                camera=camera.name,
            )


def _missing(calibration: BoardCalibration) -> Iterator[Finding]:
    for name, reason in calibration.missing.items():
        yield Finding(
            check="calibrated",
            level="error",
            message=f"{name} is not calibrated. {reason}",
            remedy=f"Show the board to {name} and to a neighbouring camera together, in at least {_SHARED} frames.",
            camera=name,
        )


def _certainty(calibration: BoardCalibration) -> Iterator[Finding]:
    rig, solution = calibration.rig, calibration.solution
    posed = [c for c in rig if c.posed]
    centres = np.stack([c.centre_mm for c in posed])
    size = float(np.linalg.norm(centres[:, None] - centres, axis=-1).max())
    position, numbers = solution.sd(slice(3, 6)), solution.sd(slice(7, 9))
    for v, name in enumerate(calibration.seen.cameras):
        if not rig[name].posed:
            continue
        focal = float(numbers[v, 0]) / float(rig[name].K[0, 0])
        fit = calibration.fits.get(name)
        if focal == 0 and fit is not None and np.allclose(fit.camera.K, rig[name].K):
            information = fit.information  # held while solving: what its own images said
            focal = float(np.sqrt(max(np.linalg.pinv(information)[0, 0], 0))) / float(rig[name].K[0, 0])
        place = float(np.linalg.norm(position[v]))
        level = max(_level(focal, _FOCAL_SD), _level(place / size, _POSITION_SD), key=("ok", "warning", "error").index)
        if level != "ok":
            yield Finding(
                check="certainty",
                level=level,
                message=f"{name}: its focal length is known to {focal:.2%} and its place to {place:.0f} mm.",
                remedy="Show the board to it closer, slanted, and in all parts of the image, together with others.",
                camera=name,
            )


def _connection(strength: F64, names: list[str]) -> Iterator[Finding]:
    """The group of cameras that the fewest frames tie to the others: their poses and time offsets stand or fall with these.

    A time offset and a shift look alike while the board moves evenly, so one short stretch does not tell them apart.
    """
    groups = [
        list(group)
        for size in range(1, len(names) // 2 + 1)
        for group in itertools.combinations(range(len(names)), size)
    ]
    if not groups or len(names) > _MOST_CUT:
        return
    others = [[v for v in range(len(names)) if v not in group] for group in groups]
    ties = [int(strength[np.ix_(a, b)].sum()) for a, b in zip(groups, others, strict=True)]
    weakest = int(np.argmin(ties))
    if ties[weakest] < _SHARED:
        hanging = " and ".join(names[v] for v in groups[weakest])
        hang = "hangs" if len(groups[weakest]) == 1 else "hang"
        yield Finding(
            check="connection",
            level="warning",
            message=f"{hanging} {hang} on the others by {ties[weakest]} frames.",
            remedy="Show the board to one of them and one of the others together for longer, and move it unevenly.",
            camera=names[groups[weakest][0]],
        )


def _views(quality: Quality, calibration: BoardCalibration) -> Iterator[Finding]:
    strength = np.where(np.eye(len(quality.cameras), dtype=bool), 0, calibration.graph.agreeing)
    little, flat = [], []
    posed = [v for v, name in enumerate(quality.cameras) if calibration.rig[name].posed]
    yield from _connection(strength[np.ix_(posed, posed)], [quality.cameras[v] for v in posed])
    for v, name in enumerate(quality.cameras):
        if v not in posed:
            continue
        seen_by = quality.coverage[v]
        if name in calibration.fits and name not in calibration.external:
            spread = float(np.ptp(np.percentile(seen_by.tilt_deg, [5, 95]))) if len(seen_by.tilt_deg) else 0.0
            if seen_by.share < _SHARE:
                little.append(f"{name} {seen_by.share:.0%}")
            if spread < _TILT_DEG:
                flat.append(f"{name} {spread:.0f}")
    if little:
        yield Finding(
            check="coverage",
            level="warning",
            message=f"The board was in little of some images: {', '.join(little)}.",
            remedy="Show the board to these cameras in the corners of the image too.",
        )
    if flat:
        yield Finding(
            check="coverage",
            level="warning",
            message=f"The board was always held alike; its slants differ by these degrees: {', '.join(flat)}.",
            remedy="Tilt the board in front of these cameras.",
        )


def _time_offset(calibration: BoardCalibration) -> Iterator[Finding]:
    if not calibration.time_offset:
        return
    sd = calibration.solution.sd(slice(6, 7))[:, 0]
    posed = [v for v, name in enumerate(calibration.seen.cameras) if calibration.rig[name].posed]
    late = {v: calibration.rig[calibration.seen.cameras[v]].time_offset_s for v in posed}
    listed = ", ".join(f"{calibration.seen.cameras[v]} {late[v] * 1000:+.0f}" for v in posed)
    worst = max(float(sd[v]) for v in posed)
    level: FindingLevel = "ok" if worst <= _TIME_OFFSET_SD_S else "warning"
    yield Finding(
        check="time_offset",
        level=level,
        message=f"The cameras are not in step; time offsets in ms, to {worst * 1000:.1f} ms: {listed}. They are used.",
        remedy="" if level == "ok" else "Move the board briskly, from side to side, for some seconds in all views.",
    )
