"""Assessment of a calibration by its predictions of held-out data and the standard errors of its parameters.

A small reprojection error proves little (see `core.calibration.checks`). Errors are compared with those expected from
corner noise alone, so that the difficulty of the views does not affect the verdict.

Pairs of limits are those of a warning and of an error. Unless stated otherwise, they were chosen so that good simulated
rigs pass (`scripts/bench_calibration.py`) and disturbed ones do not (`tests/calibration/test_solving.py`).
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping

import numpy as np

from core.board.observations import BoardObservations
from core.calibration.board.adjustment.state import INTRINSICS, POSE, TIME_OFFSET
from core.calibration.board.board_check import MIRRORED_REMEDY
from core.calibration.board.calibrate import BoardCalibration
from core.calibration.board.metrics import Quality, quick_loco_px
from core.calibration.checks import Finding, FindingLevel
from core.types.arrays import F64
from core.types.camera import Camera, CameraRig

_EXCESS_PX = (1.5, 5.0)  # median LOCO error beyond noise, at 1280 px width
_EXCESS_NOISE = (3.0, 3.5)  # the same relative to the expected error, for views whose geometry amplifies noise
_FOLD_EXCESS = 1.6  # ratio of the errors of rigs fitted to half of the recording and of the final rig
_REPROJECTION_PX = (1.6, 4.0)  # root mean square reprojection error of inliers, at 1280 px width
_LENGTH_ERROR = (0.005, 0.02)  # relative error of the median side of a square
_LEAST_LENGTHS = 20  # triangulated sides for a median
_FOCAL_SD = (0.01, 0.05)  # relative standard deviation of the focal length
_POSITION_SD = (0.005, 0.03)  # standard deviation of the position, relative to the size of the rig
_FOCAL_CHANGE = (0.03, 0.08)  # relative change of a known focal length
_LEAST_COVERAGE, _LEAST_TILT_DEG = 0.3, 20.0  # fraction of image cells with points; range of tilts
_LEAST_SHARED = 15  # frames between any group of cameras and the others
_MAX_CAMERAS_CUT = 14  # cameras up to which all groups are examined (9907 groups)
_MAX_TIME_OFFSET_SD_S = 0.005  # a hand at 1 m/s moves 5 mm in it
_MARKER_ERROR = 0.05  # relative difference of measured and given marker size; the measurement is accurate to 4 %
_DISTANCE_ERROR = (0.015, 0.03)  # relative difference to a tape measure
_SCALE_CHANGE = 0.03  # relative change of all distances since the former rig
_OUTLIER_WEIGHT, _OUTLIER_SHARE = 0.3, 0.05  # IRLS weight of an outlier; fraction of outliers
_SWAPPED_SHARE = 0.25  # remaining fraction of the LOCO error after swapping two exchanged cameras

BOARD_CHECKS = frozenset(
    (
        "loco",
        "reprojection",
        "length",
        "board",
        "scale",
        "names",
        "calibrated",
        "certainty",
        "coverage",
        "connection",
        "time_offset",
        "lens",
        "outliers",
        "mirrored",
    )
)
"""Names of checks that only depend on the images of a board and are therefore valid in any world coordinates.

"intrinsics" is not one of them because `core.calibration.checks.check_rig` uses the name as well.
"""


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
    """Assess a rig on a recording of a board.

    Args:
        quality: Result of `measure` or `measure_rig`.
        rig: Rig.
        seen: Observations of the board.
        calibration: Calibration of the rig, if it was calibrated from this recording.
        marker_mm: Side of the markers as measured in the images, given the size of the squares.
        distance_mm: Measured distance between two cameras; 0 if unknown.
        between: Names of the two cameras.
        before: Former rig, if the cameras have not been moved since.
        known: Cameras with previously known intrinsics, by name.

    Returns:
        Findings with remedies.
    """
    findings = [*_loco(quality, rig, seen), *_reprojection(quality, seen), *_lengths(quality, seen)]
    findings += _markers(seen, marker_mm)
    findings += _distance(rig, distance_mm, between)
    findings += _rescaled(rig, before)
    findings += _changed_intrinsics(rig, known or {})
    if calibration is not None:
        findings += _mirrored(calibration)
        findings += _missing(calibration)
        findings += _certainty(calibration)
        findings += _views(quality, calibration)
        findings += _time_offset(calibration)
        findings += _outliers(calibration)
        findings += _lenses(calibration)
    return findings


def _level(value: float, limits: tuple[float, float]) -> FindingLevel:
    return "ok" if value <= limits[0] else "warning" if value <= limits[1] else "error"


def _scale(seen: BoardObservations, v: int) -> float:
    """Return the image width relative to 1280 px, for which the limits are given."""
    return float(max(seen.sizes_px[v].max(), 640)) / 1280


def _loco(quality: Quality, rig: CameraRig, seen: BoardObservations) -> Iterator[Finding]:
    """Report each camera that the others do not predict, and all others together."""
    bad, good = [], []
    error = np.fmin(quality.loco_px, _FOLD_EXCESS * quality.in_sample_px)
    excess = np.sqrt(np.maximum(error**2 - quality.expected_px**2, 0))
    for v, name in enumerate(quality.cameras):
        if not np.isfinite(quality.loco_px[v]):
            continue
        noise = quality.expected_px[v] / _scale(seen, v)
        limits = (max(_EXCESS_PX[0], _EXCESS_NOISE[0] * noise), max(_EXCESS_PX[1], _EXCESS_NOISE[1] * noise))
        level = _level(excess[v] / _scale(seen, v), limits)
        if level == "ok":
            good.append(v)
            continue
        if level == "error":
            bad.append(v)
        yield Finding(
            check="loco",
            level=level,
            message=f"{name}: leave-one-camera-out error {quality.loco_px[v]:.1f} px ({quality.loco_mm[v]:.1f} mm);"
            f" {quality.expected_px[v]:.1f} px expected from corner noise.",
            remedy="It was moved, or its time offset or intrinsics are wrong: show it the board again, slowly, at all"
            " distances.",
            camera=name,
        )
    if good:
        px, mm, noise_px = (v[good] for v in (quality.loco_px, quality.loco_mm, quality.expected_px))
        who = "all cameras" if len(good) == len(quality.cameras) else ", ".join(quality.cameras[v] for v in good)
        yield Finding(
            check="loco",
            level="ok",
            message=f"Leave-one-camera-out error of {who}: {_range(px, 1)} px ({_range(mm, 1)} mm);"
            f" {_range(noise_px, 1)} px expected from corner noise.",
        )
    if len(bad) >= 2:
        yield from _swapped(quality, rig, seen, bad)


def _range(values: F64, digits: int) -> str:
    """Format the range of values, or a single value if both ends are equal."""
    low, high = f"{values.min():.{digits}f}", f"{values.max():.{digits}f}"
    return low if low == high else f"{low} to {high}"


def _swapped(quality: Quality, rig: CameraRig, seen: BoardObservations, bad: list[int]) -> Iterator[Finding]:
    """Report pairs of cameras with exchanged images."""
    for a, b in itertools.combinations(bad, 2):
        names = list(seen.cameras)
        names[a], names[b] = names[b], names[a]
        if any(n not in rig.names or not rig[n].posed for n in (names[a], names[b])):
            continue
        renamed = dataclasses.replace(seen, cameras=tuple(names))
        swapped = rig.subset([n for n in names if n in rig.names])
        other = quick_loco_px(swapped, renamed)
        if other < _SWAPPED_SHARE * quality.overall_px:
            yield Finding(
                check="names",
                level="error",
                message=f"{seen.cameras[a]} and {seen.cameras[b]} are exchanged: with their images swapped the"
                f" leave-one-camera-out error is {other:.1f} px instead of {quality.overall_px:.0f} px.",
                remedy="Swap the two cameras' folders or names.",
            )


def _reprojection(quality: Quality, seen: BoardObservations) -> Iterator[Finding]:
    for v, name in enumerate(quality.cameras):
        value = quality.reprojection_px[v]
        if np.isfinite(value) and (level := _level(value / _scale(seen, v), _REPROJECTION_PX)) != "ok":
            yield Finding(
                check="reprojection",
                level=level,
                message=f"{name}: reprojection error {value:.1f} px.",
                remedy="Move the board more slowly, in better light, and check that it is flat.",
                camera=name,
            )


def _lengths(quality: Quality, seen: BoardObservations) -> Iterator[Finding]:
    if len(quality.length_mm) < _LEAST_LENGTHS:
        return
    found, given = float(np.median(quality.length_mm)), seen.board.square_mm
    level = _level(abs(found / given - 1), _LENGTH_ERROR)
    yield Finding(
        check="length",
        level=level,
        message=f"Triangulated squares measure {found:.2f} mm (median; half of them within"
        f" {np.median(np.abs(quality.length_mm - found)):.2f} mm), {given:g} mm given.",
        remedy=""
        if level == "ok"
        else "Measure the printed squares. If their size is right, the camera poses are inconsistent.",
    )


def _markers(seen: BoardObservations, marker_mm: float) -> Iterator[Finding]:
    if seen.board.ambiguous:
        yield Finding(
            check="board",
            level="warning",
            message="This chessboard looks the same rotated by 180 degrees, so cameras may confuse its ends.",
            remedy="Use a board with an even number of squares along one side and an odd one along the other.",
        )
    given = seen.board.marker_mm
    if np.isfinite(marker_mm) and abs(marker_mm / given - 1) > _MARKER_ERROR:
        yield Finding(
            check="board",
            level="error",
            message=f"With squares of {seen.board.square_mm:g} mm the markers measure {marker_mm:.1f} mm,"
            f" not {given:g} mm: one of the two sizes is wrong, and with it the scale of the rig.",
            remedy="Measure a square and a marker on the print, and calibrate again.",
        )


def _lenses(calibration: BoardCalibration) -> Iterator[Finding]:
    """Report lenses that fit another distortion model better than that set by the user."""
    for name, text in calibration.lens_warnings.items():
        yield Finding(
            check="lens",
            level="warning",
            message=text,
            remedy="Set distortion_model to auto, and calibrate again.",
            camera=name,
        )


def _outliers(calibration: BoardCalibration) -> Iterator[Finding]:
    """Report the number of outliers per camera."""
    solution, images = calibration.solution, calibration.images
    seen = np.isfinite(solution.residual_px[..., 0])
    outlier = seen & (solution.weight < _OUTLIER_WEIGHT)
    if not outlier.any():
        return
    by_camera = [
        f"{name} {int(outlier[images.view == v].sum())}"
        for v, name in enumerate(calibration.seen.cameras)
        if outlier[images.view == v].any()
    ]
    share = float(outlier.sum() / max(seen.sum(), 1))
    yield Finding(
        check="outliers",
        level="ok" if share < _OUTLIER_SHARE else "warning",
        message=f"{outlier.sum()} of {seen.sum()} points are outliers: {', '.join(by_camera)}.",
        remedy=""
        if share < _OUTLIER_SHARE
        else "Check the frames with the largest errors for motion blur, reflections or a bent board.",
    )


def _distance(rig: CameraRig, distance_mm: float, between: tuple[str, ...]) -> Iterator[Finding]:
    if distance_mm <= 0 or len(between) != 2 or not all(n in rig.names and rig[n].posed for n in between):
        return
    found = float(np.linalg.norm(rig[between[0]].centre_mm - rig[between[1]].centre_mm))
    level = _level(abs(found / distance_mm - 1), _DISTANCE_ERROR)
    yield Finding(
        check="scale",
        level=level,
        message=f"{between[0]} and {between[1]} are {found:.0f} mm apart; {distance_mm:.0f} mm measured.",
        remedy="" if level == "ok" else "The given size of the squares is wrong: measure them, or rescale the rig.",
    )


def _rescaled(rig: CameraRig, before: CameraRig | None) -> Iterator[Finding]:
    """Report a rig that equals the former one at another scale."""
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
    if np.ptp(ratio) < _SCALE_CHANGE * middle and abs(middle - 1) > _SCALE_CHANGE:
        yield Finding(
            check="scale",
            level="error",
            message=f"The cameras are arranged as before, but all distances are {middle:.3f} times the former ones.",
            remedy="The size of the squares is or was wrong: measure them on the print.",
        )


def _changed_intrinsics(rig: CameraRig, known: Mapping[str, Camera]) -> Iterator[Finding]:
    """Report focal lengths that differ from the known ones."""
    for camera in rig:
        if camera.name not in known or known[camera.name].size_px != camera.size_px:
            continue
        ratio = float(camera.K[0, 0] / known[camera.name].K[0, 0])
        level = _level(abs(ratio - 1), _FOCAL_CHANGE)
        if level != "ok":
            yield Finding(
                check="intrinsics",
                level=level,
                message=f"{camera.name}: focal length changed by {100 * (ratio - 1):+.1f} %.",
                remedy="It was zoomed or exchanged with another camera: check that the images belong to it.",
                camera=camera.name,
            )


def _mirrored(calibration: BoardCalibration) -> Iterator[Finding]:
    """Report mirrored videos, such as those of webcam programs."""
    mirrored, board = calibration.mirrored, calibration.seen.board
    if set(mirrored) >= set(calibration.posed):
        yield Finding(
            check="mirrored",
            level="warning" if board.back == "mirrored" else "error",
            message="All videos are mirrored: every camera sees the board only as in a mirror, so the rig is a mirror"
            " image, and left and right of all people are exchanged.",
            remedy=f"{MIRRORED_REMEDY} If all cameras saw only the mirrored back of the board, show them its front.",
        )
        return
    for name in mirrored:
        yield Finding(
            check="mirrored",
            level="error",
            message=f"The video of {name} is mirrored: it sees the board only as in a mirror, and its images agree with"
            " those of the other cameras only when turned back. It was left out.",
            remedy=MIRRORED_REMEDY,
            camera=name,
        )


def _missing(calibration: BoardCalibration) -> Iterator[Finding]:
    for name, reason in calibration.missing.items():
        if name in calibration.mirrored:
            continue
        yield Finding(
            check="calibrated",
            level="error",
            message=f"{name} is not calibrated. {reason}",
            remedy=f"Show the board to {name} and a neighbouring camera together, in at least {_LEAST_SHARED} frames.",
            camera=name,
        )


def _certainty(calibration: BoardCalibration) -> Iterator[Finding]:
    rig, solution = calibration.rig, calibration.solution
    posed = [c for c in rig if c.posed]
    centres = np.stack([c.centre_mm for c in posed])
    size = float(np.linalg.norm(centres[:, None] - centres, axis=-1).max())
    position, intrinsics = solution.sd(POSE)[:, 3:], solution.sd(INTRINSICS)
    for v, name in enumerate(calibration.seen.cameras):
        if not rig[name].posed:
            continue
        focal = float(intrinsics[v, 0]) / float(rig[name].K[0, 0])
        fit = calibration.fits.get(name)
        if focal == 0 and fit is not None and np.allclose(fit.camera.K, rig[name].K):
            information = fit.information  # fixed in the adjustment
            focal = float(np.sqrt(max(np.linalg.pinv(information)[0, 0], 0))) / float(rig[name].K[0, 0])
        distance = float(np.linalg.norm(position[v]))
        level = max(
            _level(focal, _FOCAL_SD), _level(distance / size, _POSITION_SD), key=("ok", "warning", "error").index
        )
        if level != "ok":
            yield Finding(
                check="certainty",
                level=level,
                message=f"{name}: standard deviation of focal length {100 * focal:.2f} %, "
                f"of position {distance:.0f} mm.",
                remedy="Show it the board closer, tilted, and in all parts of the image, together with other cameras.",
                camera=name,
            )


def _connection(strength: F64, names: list[str]) -> Iterator[Finding]:
    """Report the group of cameras with the fewest frames in common with the others.

    For a uniform motion of the board, a time offset is equivalent to a translation, so a short interval does not
    suffice.
    """
    groups = [
        list(group)
        for size in range(1, len(names) // 2 + 1)
        for group in itertools.combinations(range(len(names)), size)
    ]
    if not groups or len(names) > _MAX_CAMERAS_CUT:
        return
    others = [[v for v in range(len(names)) if v not in group] for group in groups]
    frames = [int(strength[np.ix_(a, b)].sum()) for a, b in zip(groups, others, strict=True)]
    weakest = int(np.argmin(frames))
    if frames[weakest] < _LEAST_SHARED:
        group = " and ".join(names[v] for v in groups[weakest])
        verb = "shares" if len(groups[weakest]) == 1 else "share"
        yield Finding(
            check="connection",
            level="warning",
            message=f"{group} {verb} only {frames[weakest]} frames with the other cameras.",
            remedy="Show the board to one of them and one of the others together for longer, and vary its speed.",
            camera=names[groups[weakest][0]],
        )


def _views(quality: Quality, calibration: BoardCalibration) -> Iterator[Finding]:
    strength = np.where(np.eye(len(quality.cameras), dtype=bool), 0, calibration.graph.agreeing)
    uncovered, flat = [], []
    posed = [v for v, name in enumerate(quality.cameras) if calibration.rig[name].posed]
    yield from _connection(strength[np.ix_(posed, posed)], [quality.cameras[v] for v in posed])
    for v, name in enumerate(quality.cameras):
        if v not in posed:
            continue
        covered = quality.coverage[v]
        if name in calibration.fits and name not in calibration.external:
            tilts = float(np.ptp(np.percentile(covered.tilt_deg, [5, 95]))) if len(covered.tilt_deg) else 0.0
            if covered.share < _LEAST_COVERAGE:
                uncovered.append(f"{name} {100 * covered.share:.0f} %")
            if tilts < _LEAST_TILT_DEG:
                flat.append(f"{name} {tilts:.0f}")
    if uncovered:
        yield Finding(
            check="coverage",
            level="warning",
            message=f"The board covered only a small part of some images: {', '.join(uncovered)}.",
            remedy="Show these cameras the board also in the corners of the image.",
        )
    if flat:
        yield Finding(
            check="coverage",
            level="warning",
            message=f"The board was hardly tilted; range of tilts in degrees: {', '.join(flat)}.",
            remedy="Tilt the board in front of these cameras.",
        )


def _time_offset(calibration: BoardCalibration) -> Iterator[Finding]:
    if not calibration.time_offset:
        return
    sd = calibration.solution.sd(TIME_OFFSET)[:, 0]
    posed = [v for v, name in enumerate(calibration.seen.cameras) if calibration.rig[name].posed]
    offset_s = {v: calibration.rig[calibration.seen.cameras[v]].time_offset_s for v in posed}
    listed = ", ".join(f"{calibration.seen.cameras[v]} {offset_s[v] * 1000:+.0f}" for v in posed)
    worst = max(float(sd[v]) for v in posed)
    level: FindingLevel = "ok" if worst <= _MAX_TIME_OFFSET_SD_S else "warning"
    yield Finding(
        check="time_offset",
        level=level,
        message=f"Cameras not synchronised; time offsets in ms, to within {worst * 1000:.1f} ms: {listed}.",
        remedy="" if level == "ok" else "Move the board quickly from side to side for some seconds in all views.",
    )
