"""Whether a calibration can be trusted: what it predicts that it was not fitted to, and how sure it can be.

A small reprojection error proves little (see `check`). Here every figure is compared with what corner noise alone would
cause, so that a good rig is not called bad for a hard view, and a bad one not good for an easy view.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.calibration.bundle import N_UNKNOWNS, USUAL_PX, Cameras, Pictures, Solution, accelerations, hand, solve
from core.calibration.check import Finding, Level
from core.calibration.extrinsics import BoardPoses, board_poses
from core.calibration.held_out import Prediction, predict
from core.calibration.intrinsics import Coverage, coverage
from core.calibration.observations import BoardObservations
from core.calibration.solving import BoardCalibration
from core.calibration.start import first_way, numbers_of, period_of
from core.calibration.trajectory import Trajectory, blend, poses_at
from core.errors import CoreError
from core.types.arrays import F64, I64
from core.types.camera import Camera, CameraRig

_EXCESS_PX = (1.5, 5.0)  # median left-out error beyond noise at 1280 px width: amber, red
_NOISE = (3.0, 3.5)  # the same in units of what noise causes, where a hard view makes that much
_HALF = 1.6  # by how much half a recording may predict worse than all of it
_REPROJECTION_PX = (1.6, 4.0)  # root mean square of the ordinary points
_LENGTH = (0.005, 0.02)  # of a square's side
_FOCAL_SD, _POSITION_SD = (0.01, 0.05), (0.005, 0.03)  # share of the focal length; share of the rig's size
_FOCAL = (0.03, 0.08)  # change of a focal length that was known
_SHARE, _TILT_DEG = 0.3, 20.0
_SHARED = 8
_LATENCY_SD_S = 0.005
_MARKER = 0.05
_SCALE = 0.03
_LITTLE, _MANY = 0.3, 0.05  # weight of a point that counts for little; share of such points that is odd
_SWAP = 0.25  # share of the error that is left if two cameras are exchanged


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Quality:
    """Figures of one rig on one recording of a board.

    Attributes:
        cameras: (V,) names.
        left_out_px: (V,) median error with which the other cameras predict the board in this one.
        expected_px: (V,) the same from corner noise alone.
        as_delivered_px: (V,) the same with the rig as it is, which has seen these moments; half the recording, which
            held-out figures rest on, may be too little for a rig that all of it makes good.
        left_out_mm: (V,) median error at the board.
        reprojection_px: (V,) root mean square reprojection error of ordinary points.
        length_mm: (M,) sides of squares as triangulated, corner by corner.
        shared: (V, V) moments in which both cameras saw the board.
        coverage: Of each camera.
        moment_px: (T,) median left-out error of each moment, px; NaN where nothing was predicted.
        prediction: All of it, point by point.
    """

    cameras: tuple[str, ...]
    left_out_px: F64
    expected_px: F64
    as_delivered_px: F64
    left_out_mm: F64
    reprojection_px: F64
    length_mm: F64
    shared: I64
    coverage: tuple[Coverage, ...]
    moment_px: F64
    prediction: Prediction

    @property
    def overall_px(self) -> float:
        """Median left-out error of all cameras together."""
        errors = self.prediction.of()
        return float(np.median(errors)) if len(errors) else np.nan

    def to_mapping(self) -> dict[str, Any]:
        """Plain JSON values."""

        def plain(values: F64, digits: int = 3) -> list[float | None]:
            return [round(float(v), digits) if np.isfinite(v) else None for v in values]

        return {
            "left_out_px": dict(zip(self.cameras, plain(self.left_out_px), strict=True)),
            "left_out_expected_px": dict(zip(self.cameras, plain(self.expected_px), strict=True)),
            "left_out_mm": dict(zip(self.cameras, plain(self.left_out_mm), strict=True)),
            "left_out_median_px": plain(np.array([self.overall_px]))[0],
            "left_out_rms_px": plain(np.array([_rms(self.prediction.of())]))[0],
            "reprojection_px": dict(zip(self.cameras, plain(self.reprojection_px), strict=True)),
            "square_mm": plain(np.array([np.median(self.length_mm) if len(self.length_mm) else np.nan]))[0],
            "shared_moments": self.shared.tolist(),
            "coverage": {
                name: {
                    "pictures": c.pictures,
                    "share": round(c.share, 3),
                    "tilt_deg": plain(np.percentile(c.tilt_deg, [5, 95]), 1) if len(c.tilt_deg) else None,
                    "cells": c.cells.tolist(),
                }
                for name, c in zip(self.cameras, self.coverage, strict=True)
            },
            "moment_px": plain(self.moment_px),
        }


def measure(calibration: BoardCalibration) -> Quality:
    """Figures of a calibration that was made from this very recording; predictions are of held-out stretches."""
    return _measure(calibration.rig, calibration.seen, calibration.pictures, calibration.poses, calibration.prediction)


def measure_rig(rig: CameraRig, seen: BoardObservations) -> Quality:
    """Figures of any rig, such as an imported one, on a recording of a board.

    Raises:
        CoreError: Rig and recording share fewer than two cameras.
    """
    posed = [n for n in seen.cameras if n in rig.names and rig[n].posed]
    if len(posed) < 2:
        raise CoreError("The rig and the recording share fewer than two cameras.", "Name the cameras alike.")
    lenses = [rig[n] if n in posed else None for n in seen.cameras]
    pictures = Pictures.of(seen)
    pictures = pictures.where(np.isin(pictures.view, [seen.cameras.index(n) for n in posed]))
    poses = board_poses(pictures, lenses)
    return _measure(rig, seen, pictures, poses, None)


def _measure(
    rig: CameraRig, seen: BoardObservations, pictures: Pictures, poses: BoardPoses, prediction: Prediction | None
) -> Quality:
    cameras, period = _cameras(rig, seen), period_of(seen)
    scale = USUAL_PX * float(seen.sizes_px.max(1).mean())
    views = len(seen.cameras)
    everything = [np.ones(len(pictures), bool)]
    way = first_way(period, pictures, poses, cameras)
    fitted = _way_of_board(pictures, cameras, way, scale, period)
    own = predict(pictures, poses, everything, cameras, period, scale, fitted.hand, fitted.sigma_px)
    prediction = own if prediction is None else prediction
    expected = _expected(pictures, poses, cameras, fitted, period, scale)

    def each(values: F64, view: I64) -> F64:
        parts = [values[(view == v) & np.isfinite(values)] for v in range(views)]
        return np.array([np.median(part) if len(part) else np.nan for part in parts])

    error = prediction.error_px
    moment_px = np.full(len(seen.time_s), np.nan)
    for m in np.unique(prediction.moment):
        of_moment = error[(prediction.moment == m) & np.isfinite(error)]
        if len(of_moment):
            moment_px[m] = np.median(of_moment)
    length = np.where(np.isfinite(fitted.residual_px[..., 0]), np.linalg.norm(fitted.residual_px, axis=-1), np.nan)
    ordinary = np.where(fitted.weight > 0.25, length, np.nan)
    tilt = np.degrees(np.arccos(np.clip(np.abs(poses.R[:, 0, 2, 2]), 0, 1)))
    return Quality(
        cameras=seen.cameras,
        left_out_px=each(error, prediction.view),
        expected_px=each(expected.error_px, expected.view),
        as_delivered_px=each(own.error_px, own.view),
        left_out_mm=each(prediction.left_out_mm, prediction.view),
        reprojection_px=np.array([_rms(ordinary[pictures.view == v].ravel()) for v in range(views)]),
        length_mm=_sides(seen, pictures, cameras, fitted),
        shared=_shared(pictures, poses, views),
        coverage=tuple(
            coverage(seen, name, tilt[(pictures.view == v) & poses.known]) for v, name in enumerate(seen.cameras)
        ),
        moment_px=moment_px,
        prediction=prediction,
    )


def _shared(pictures: Pictures, poses: BoardPoses, views: int) -> I64:
    """(V, V) moments in which both cameras saw enough of the board."""
    shown = np.zeros((views, int(pictures.moment.max(initial=0)) + 1), np.int64)
    shown[pictures.view[poses.known], pictures.moment[poses.known]] = 1
    return np.asarray(shown @ shown.T)


def _rms(values: F64) -> float:
    known = values[np.isfinite(values)]
    return float(np.sqrt(np.mean(known**2))) if len(known) else np.nan


def _cameras(rig: CameraRig, seen: BoardObservations) -> Cameras:
    """A rig as the solver counts it, in the order of the observations; unposed cameras stand at the origin."""
    known = [rig[n] if n in rig.names else None for n in seen.cameras]
    numbers = np.zeros((len(known), 12))
    numbers[:, :2] = 1000.0
    R, t, late = np.tile(np.eye(3), (len(known), 1, 1)), np.zeros((len(known), 3)), np.zeros(len(known))
    for v, camera in enumerate(known):
        if camera is not None:
            numbers[v], late[v] = numbers_of(camera), camera.latency_s
            if camera.posed:
                R[v], t[v] = camera.pose
    lens = tuple("pinhole" if c is None else c.lens for c in known)
    return Cameras(lens=lens, numbers=numbers, R=R, t_mm=t, latency_s=late)


def _expected(
    pictures: Pictures, poses: BoardPoses, cameras: Cameras, fitted: Solution, period: float, scale: float
) -> Prediction:
    """What leaving cameras out would show if the cameras were exact and the corners as noisy as they are."""
    rng = np.random.default_rng(0)
    exact = pictures.xy_px - np.nan_to_num(fitted.residual_px)
    noisy = dataclasses.replace(pictures, xy_px=exact + rng.normal(0, fitted.sigma_px, exact.shape))
    everything = [np.ones(len(pictures), bool)]
    return predict(noisy, poses, everything, cameras, period, scale, fitted.hand, fitted.sigma_px)


def _way_of_board(pictures: Pictures, cameras: Cameras, way: Trajectory, scale: float, period: float) -> Solution:
    """The board's way with cameras that stay as they are."""
    nothing = np.zeros((len(cameras.lens), N_UNKNOWNS), bool)
    usual = hand(period)
    for _ in range(3):
        fitted = solve(pictures, cameras, way, nothing, scale_px=scale, hand=usual, steps=15, tolerance=1e-4)
        faster = hand(period, accelerations(fitted.way))
        if faster[0] < 1.3 * usual[0] and faster[1] < 1.3 * usual[1]:
            break
        usual, way = faster, fitted.way
    return fitted


def _sides(seen: BoardObservations, pictures: Pictures, cameras: Cameras, fitted: Any) -> F64:
    """(M,) sides of squares between corners that were each triangulated by themselves, mm.

    A picture taken at another time is first corrected by how far the board moved in it meanwhile.
    """
    columns, rows = seen.board.grid
    if seen.board.kind == "markers" or columns < 2:
        return np.zeros(0)
    moments, count = len(seen.time_s), len(seen.board.points_mm)
    normal, right = np.zeros((moments, count, 3, 3)), np.zeros((moments, count, 3))
    views = np.zeros((moments, count), np.int64)
    common = np.nanmedian(np.where(np.isfinite(seen.time_s), seen.time_s, np.nan), axis=1)
    now = poses_at(fitted.way, blend(fitted.way.time_s, fitted.way.piece, common[pictures.moment]))
    then_s = pictures.time_s - cameras.latency_s[pictures.view]
    then = poses_at(fitted.way, blend(fitted.way.time_s, fitted.way.piece, then_s))
    # Directions in the world, corrected: a ray moves along with the board from then to now.
    R_camera, t_camera = cameras.R[pictures.view], cameras.t_mm[pictures.view]
    world_then = pictures.board_mm @ np.swapaxes(then.R, -1, -2) + then.t_mm[:, None]
    local = world_then @ np.swapaxes(R_camera, -1, -2) + t_camera[:, None]
    focal = cameras.numbers[pictures.view, :2][:, None]
    seen_local = local.copy()
    seen_local[..., :2] += np.nan_to_num(fitted.residual_px) / focal * local[..., 2:]
    back = (seen_local - t_camera[:, None]) @ R_camera
    centre = -(np.swapaxes(R_camera, -1, -2) @ t_camera[..., None])[..., 0]
    # From where the board was then to where it is now, camera and ray alike.
    turn = now.R @ np.swapaxes(then.R, -1, -2)

    def along(points: F64) -> F64:
        return (points - then.t_mm[:, None]) @ np.swapaxes(turn, -1, -2) + now.t_mm[:, None]

    start, end = along(np.repeat(centre[:, None], back.shape[1], 1)), along(back)
    ray = end - start
    ray /= np.maximum(np.linalg.norm(ray, axis=-1, keepdims=True), 1e-9)
    across = np.eye(3) - ray[..., :, None] * ray[..., None, :]
    usable = pictures.valid & np.isfinite(fitted.residual_px[..., 0]) & (fitted.weight > 0.25)
    p, i = np.nonzero(usable)
    where = (pictures.moment[p], seen.point[pictures.row[p, i]])
    np.add.at(normal, where, across[p, i])
    np.add.at(right, where, (across[p, i] @ start[p, i][..., None])[..., 0])
    np.add.at(views, where, 1)
    side = seen.board.points_per_side
    good = (views[:, :side] >= 2) & (np.linalg.det(normal[:, :side]) > 0.05)
    safe = np.where(good[..., None, None], normal[:, :side], np.eye(3))
    xyz = np.where(good[..., None], np.linalg.solve(safe, right[:, :side, :, None])[..., 0], np.nan)
    grid = xyz.reshape(moments, rows, columns, 3)
    sides = [np.linalg.norm(np.diff(grid, axis=axis), axis=-1).ravel() for axis in (1, 2)]
    lengths = np.concatenate(sides)
    return np.asarray(lengths[np.isfinite(lengths)])


def judge(
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
        marker_mm: Side of the markers as the pictures show it, if the squares have the size given.
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
        findings += _latency(calibration)
        findings += _outliers(calibration)
    return findings


def _level(value: float, limits: tuple[float, float]) -> Level:
    return "ok" if value <= limits[0] else "odd" if value <= limits[1] else "wrong"


def _scale(seen: BoardObservations, v: int) -> float:
    """Pictures twice as wide show the same error twice as large."""
    return float(max(seen.sizes_px[v].max(), 640)) / 1280


def _left_out(quality: Quality, rig: CameraRig, seen: BoardObservations) -> Iterator[Finding]:
    """Each camera that the others do not predict, then in one sentence those that they do."""
    bad, good = [], []
    error = np.fmin(quality.left_out_px, _HALF * quality.as_delivered_px)
    excess = np.sqrt(np.maximum(error**2 - quality.expected_px**2, 0))
    for v, name in enumerate(quality.cameras):
        if not np.isfinite(quality.left_out_px[v]):
            continue
        noise = quality.expected_px[v] / _scale(seen, v)
        limits = (max(_EXCESS_PX[0], _NOISE[0] * noise), max(_EXCESS_PX[1], _NOISE[1] * noise))
        level = _level(excess[v] / _scale(seen, v), limits)
        if level == "ok":
            good.append(v)
            continue
        if level == "wrong":
            bad.append(v)
        yield Finding(
            check="left out",
            level=level,
            sentence=f"{name}: the other cameras predict the board to {quality.left_out_px[v]:.1f} px"
            f" ({quality.left_out_mm[v]:.1f} mm); corner noise alone would be {quality.expected_px[v]:.1f} px.",
            remedy="It moved, is late, or its lens is wrong: show it the board again, slowly, at all distances.",
            camera=name,
        )
    if good:
        px, mm, noise_px = (v[good] for v in (quality.left_out_px, quality.left_out_mm, quality.expected_px))
        who = "every camera" if len(good) == len(quality.cameras) else ", ".join(quality.cameras[v] for v in good)
        yield Finding(
            check="left out",
            level="ok",
            sentence=f"The other cameras predict the board in {who} to {_range(px, 1)} px ({_range(mm, 1)} mm);"
            f" corner noise alone would be {_range(noise_px, 1)} px.",
        )
    if len(bad) >= 2:
        yield from _swapped(quality, rig, seen, bad)


def _range(values: F64, digits: int) -> str:
    """The least and the largest value in words, once if they look alike."""
    low, high = f"{values.min():.{digits}f}", f"{values.max():.{digits}f}"
    return low if low == high else f"{low} to {high}"


def _swapped(quality: Quality, rig: CameraRig, seen: BoardObservations, bad: list[int]) -> Iterator[Finding]:
    """Whether two cameras' pictures were exchanged."""
    for a, b in itertools.combinations(bad, 2):
        names = list(seen.cameras)
        names[a], names[b] = names[b], names[a]
        if any(n not in rig.names or not rig[n].posed for n in (names[a], names[b])):
            continue
        renamed = dataclasses.replace(seen, cameras=tuple(names))
        swapped = rig.subset([n for n in names if n in rig.names])
        other = _quick(swapped, renamed)
        if other < _SWAP * quality.overall_px:
            yield Finding(
                check="names",
                level="wrong",
                sentence=f"{seen.cameras[a]} and {seen.cameras[b]} are exchanged: with their pictures the other way"
                f" round the board is predicted to {other:.1f} px instead of {quality.overall_px:.0f}.",
                remedy="Exchange the two cameras' folders or names.",
            )


def _quick(rig: CameraRig, seen: BoardObservations) -> float:
    """Median left-out error of a rig, px, and nothing else."""
    lenses = [rig[n] if n in rig.names and rig[n].posed else None for n in seen.cameras]
    pictures = Pictures.of(seen)
    pictures = pictures.where(np.array([c is not None for c in lenses])[pictures.view])
    poses = board_poses(pictures, lenses)
    scale = USUAL_PX * float(seen.sizes_px.max(1).mean())
    cameras, period = _cameras(rig, seen), period_of(seen)
    fitted = _way_of_board(pictures, cameras, first_way(period, pictures, poses, cameras), scale, period)
    everything = [np.ones(len(pictures), bool)]
    found = predict(pictures, poses, everything, cameras, period, scale, fitted.hand, fitted.sigma_px)
    return float(np.median(found.of())) if len(found.of()) else np.inf


def _reprojection(quality: Quality, seen: BoardObservations) -> Iterator[Finding]:
    for v, name in enumerate(quality.cameras):
        value = quality.reprojection_px[v]
        if np.isfinite(value) and (level := _level(value / _scale(seen, v), _REPROJECTION_PX)) != "ok":
            yield Finding(
                check="reprojection",
                level=level,
                sentence=f"{name}: the board is reprojected to {value:.1f} px only.",
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
        sentence=f"Squares of {given:g} mm are triangulated to {found:.2f} mm"
        f" (half of them within {np.median(np.abs(quality.length_mm - found)):.2f} mm).",
        remedy=""
        if level == "ok"
        else "Measure the printed squares; if they are right, the cameras' poses do not fit each other.",
    )


def _markers(seen: BoardObservations, marker_mm: float) -> Iterator[Finding]:
    if seen.board.ambiguous:
        yield Finding(
            check="board",
            level="odd",
            sentence="Half a turn leaves this chessboard as it is, so that cameras may take its ends for each other.",
            remedy="Use a board with an even number of squares one way and an odd one the other, or a ChArUco board.",
        )
    given = seen.board.marker_mm
    if np.isfinite(marker_mm) and abs(marker_mm / given - 1) > _MARKER:
        yield Finding(
            check="board",
            level="wrong",
            sentence=f"With squares of {seen.board.square_mm:g} mm the markers measure {marker_mm:.1f} mm,"
            f" not {given:g} mm: one of the two is wrong, and with it every length.",
            remedy="Measure a square and a marker on the print, and calibrate again.",
        )


def _outliers(calibration: BoardCalibration) -> Iterator[Finding]:
    """Points that count for little, told by where they are."""
    solution, pictures = calibration.solution, calibration.pictures
    seen = np.isfinite(solution.residual_px[..., 0])
    odd = seen & (solution.weight < _LITTLE)
    if not odd.any():
        return
    by_camera = [
        f"{name} {int(odd[pictures.view == v].sum())}"
        for v, name in enumerate(calibration.seen.cameras)
        if odd[pictures.view == v].any()
    ]
    share = float(odd.sum() / max(seen.sum(), 1))
    yield Finding(
        check="outliers",
        level="ok" if share < _MANY else "odd",
        sentence=f"{odd.sum()} of {seen.sum()} points fit badly and count for little: {', '.join(by_camera)}.",
        remedy="" if share < _MANY else "Look at the moments of the largest errors: blur, reflections, a bent board.",
    )


def _distance(rig: CameraRig, distance_mm: float, between: tuple[str, ...]) -> Iterator[Finding]:
    if distance_mm <= 0 or len(between) != 2 or not all(n in rig.names and rig[n].posed for n in between):
        return
    found = float(np.linalg.norm(rig[between[0]].centre_mm - rig[between[1]].centre_mm))
    level = _level(abs(found / distance_mm - 1), (0.015, _SCALE))
    yield Finding(
        check="scale",
        level=level,
        sentence=f"{between[0]} and {between[1]} are {found:.0f} mm apart, {distance_mm:.0f} mm by measurement.",
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
            level="wrong",
            sentence=f"The cameras stand as before, but all distances are {middle:.3f} times those of the former rig.",
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
                check="lens",
                level=level,
                sentence=f"{camera.name}: its focal length came out {ratio - 1:+.1%} from what it was.",
                remedy="It was zoomed or exchanged with another camera: check which pictures are its own.",
                camera=camera.name,
            )


def _missing(calibration: BoardCalibration) -> Iterator[Finding]:
    for name, reason in calibration.missing.items():
        yield Finding(
            check="calibrated",
            level="wrong",
            sentence=f"{name} is not calibrated. {reason}",
            remedy=f"Show the board to {name} and to a neighbouring camera together, in at least {_SHARED} moments.",
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
        fit = calibration.lenses.get(name)
        if focal == 0 and fit is not None and np.allclose(fit.camera.K, rig[name].K):
            information = fit.information  # held while solving: what its own pictures said
            focal = float(np.sqrt(max(np.linalg.pinv(information)[0, 0], 0))) / float(rig[name].K[0, 0])
        place = float(np.linalg.norm(position[v]))
        level = max(_level(focal, _FOCAL_SD), _level(place / size, _POSITION_SD), key=("ok", "odd", "wrong").index)
        if level != "ok":
            yield Finding(
                check="certainty",
                level=level,
                sentence=f"{name}: its focal length is known to {focal:.2%} and its place to {place:.0f} mm.",
                remedy="Show the board to it closer, slanted, and in all parts of the picture, together with others.",
                camera=name,
            )


def _views(quality: Quality, calibration: BoardCalibration) -> Iterator[Finding]:
    strength = np.where(np.eye(len(quality.cameras), dtype=bool), 0, calibration.graph.agreeing)
    little, flat = [], []
    for v, name in enumerate(quality.cameras):
        if not calibration.rig[name].posed:
            continue
        seen_by = quality.coverage[v]
        if name in calibration.lenses and name not in calibration.apart:
            spread = float(np.ptp(np.percentile(seen_by.tilt_deg, [5, 95]))) if len(seen_by.tilt_deg) else 0.0
            if seen_by.share < _SHARE:
                little.append(f"{name} {seen_by.share:.0%}")
            if spread < _TILT_DEG:
                flat.append(f"{name} {spread:.0f}")
        if strength[v].max() < _SHARED:
            other = quality.cameras[int(np.argmax(strength[v]))]
            yield Finding(
                check="connection",
                level="odd",
                sentence=f"{name} hangs on the others by {int(strength[v].max())} moments, shared with {other}.",
                remedy=f"Show the board to {name} and {other} together for longer.",
                camera=name,
            )
    if little:
        yield Finding(
            check="coverage",
            level="odd",
            sentence=f"The board was in little of some pictures: {', '.join(little)}.",
            remedy="Show the board to these cameras in the corners of the picture too.",
        )
    if flat:
        yield Finding(
            check="coverage",
            level="odd",
            sentence=f"The board was always held alike; its slants differ by these degrees: {', '.join(flat)}.",
            remedy="Tilt the board in front of these cameras.",
        )


def _latency(calibration: BoardCalibration) -> Iterator[Finding]:
    if not calibration.latency:
        return
    sd = calibration.solution.sd(slice(6, 7))[:, 0]
    posed = [v for v, name in enumerate(calibration.seen.cameras) if calibration.rig[name].posed]
    late = {v: calibration.rig[calibration.seen.cameras[v]].latency_s for v in posed}
    listed = ", ".join(f"{calibration.seen.cameras[v]} {late[v] * 1000:+.0f}" for v in posed)
    worst = max(float(sd[v]) for v in posed)
    level: Level = "ok" if worst <= _LATENCY_SD_S else "odd"
    yield Finding(
        check="latency",
        level=level,
        sentence=f"The cameras are not in step; delays in ms, to {worst * 1000:.1f} ms: {listed}. They are used.",
        remedy="" if level == "ok" else "Move the board briskly, from side to side, for some seconds in all views.",
    )
