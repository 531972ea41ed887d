"""Delays between pairs of cameras at each image, from epipolar distances of moving points.

The points in an image of one camera are compared with those of another camera at the same recorded time. If the clocks
disagree, the distance of a point from its epipolar line is its velocity across the line times the delay. Distances and
velocities are taken relative to their means over some seconds, because errors of rig and estimator change only slowly.

Legend: V view, T image, G person or board, J joint or corner.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.calibration.people.bundle import CameraPoses
from core.calibration.people.tracks import Tracks
from core.geometry import essential_matrix
from core.types.arrays import F64, I64

_WINDOW_S = 2.0  # within which errors of rig and estimator count as constant
_CAUCHY_SCALE = 2.5  # residual in standard deviations at which a point has half its weight
_LEAST_SIGMA_PX = 0.05
_LEAST_SHARE = 0.4  # limit of the visible share of a change of the delay
_OTHER_PERSON = 2.5  # mean distance of a person's joints, relative to the usual one, from which it is another person
_ROUNDS = 3
_PROBE_S = 0.004  # artificial delay to determine the response of the measurement
_RESPONSES = 0.3, 1.1  # limits of plausible responses


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PairDelays:
    """Delays of one camera's clock relative to another, at the images of the latter.

    Attributes:
        first: Camera whose images are compared.
        second: Camera with which they are compared.
        row: (T,) rows of the images in the take.
        time_s: (T,) times of the images.
        delay_s: (T,) error of the second clock minus that of the first.
        information: (T,) inverse variance of the delay for independent errors, 1/s².
    """

    first: int
    second: int
    row: I64
    time_s: F64
    delay_s: F64
    information: F64


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PairResiduals:
    """Epipolar distances between the points of two cameras.

    Attributes:
        distance_px: (T, G, J) signed distances, NaN where missing.
        slope_px: (T, G, J) derivative of the distance by the sampling time of the second camera, px/s.
        variance: (T, G, J) variance of a distance relative to that of a point with score 1.
    """

    distance_px: F64
    slope_px: F64
    variance: F64


def pair_residuals(
    tracks: Sequence[Tracks], poses: CameraPoses, person: Sequence[I64], first: int, second: int, delay_s: float = 0.0
) -> PairResiduals:
    """Return the epipolar distances between the points in each image of one camera and those of another camera.

    Args:
        tracks: (V,) tracks of each camera.
        poses: Camera poses and time offsets.
        person: For each camera, (K,) person of each track, -1 for none.
        first: Camera whose images are compared.
        second: Camera with which they are compared.
        delay_s: Additional delay at which the second camera is sampled.
    """
    a, b = tracks[first], tracks[second]
    people = np.intersect1d(person[first][person[first] >= 0], person[second][person[second] >= 0])
    true_s = a.time_s - poses.time_offset_s[first]
    own, other = _table(a, person[first], people), np.full((len(a.time_s), len(people)), -1)
    at_s = true_s + poses.time_offset_s[second] + delay_s
    span = b.span_s
    for g, name in enumerate(people):
        for k in np.flatnonzero(person[second] == name):
            other[(at_s >= span[k, 0]) & (at_s <= span[k, 1]), g] = k
    sampled = b.sample(at_s, other)
    rows = np.arange(len(a.time_s))[:, None]
    xy, score = (
        np.where((own >= 0)[..., None, None], x, np.nan) for x in (a.xy[rows, own], a.score[rows, own, :, None])
    )
    R = poses.R[second] @ poses.R[first].T
    E = essential_matrix(R, poses.t_mm[second] - R @ poses.t_mm[first])
    line = xy @ E[:, :2].T + E[:, 2]
    back = sampled.xy @ E[:2] + E[2]
    there = (line[..., 0] ** 2 + line[..., 1] ** 2) / b.focal_px**2
    here = (back[..., 0] ** 2 + back[..., 1] ** 2) / a.focal_px**2
    norm = np.sqrt(np.maximum(there + here, 1e-18))
    distance = ((line[..., :2] * sampled.xy).sum(-1) + line[..., 2]) / norm
    slope = (line[..., :2] * sampled.velocity).sum(-1) / norm
    known = np.isfinite(distance) & (sampled.information > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = (here / score[..., 0] ** 2 + there / sampled.information) / (there + here)
    return PairResiduals(
        distance_px=np.where(known, distance, np.nan),
        slope_px=np.where(known, slope, 0.0),
        variance=np.where(known, variance, 1.0),
    )


def pair_delays(
    tracks: Sequence[Tracks], poses: CameraPoses, person: Sequence[I64], rows: Sequence[I64]
) -> list[PairDelays]:
    """Measure the delays between all ordered pairs of cameras with common points.

    Args:
        tracks: (V,) tracks of each camera.
        poses: Camera poses and time offsets.
        person: For each camera, (K,) person of each track, -1 for none.
        rows: For each camera, rows of its images in the take.
    """
    out = []
    for i in np.flatnonzero(poses.registered).tolist():
        for j in np.flatnonzero(poses.registered).tolist():
            if i == j or not tracks[i].count or not tracks[j].count:
                continue
            found = pair_residuals(tracks, poses, person, i, j)
            if found.distance_px.size and np.isfinite(found.distance_px).any():
                delay, information = _delays(found, tracks[i].time_s)
                probed = pair_residuals(tracks, poses, person, i, j, _PROBE_S)
                share = _response(delay, information, *_delays(probed, tracks[i].time_s))
                delay, information = delay / share, information * share**2
                seen = information > 0
                out.append(
                    PairDelays(
                        first=i,
                        second=j,
                        row=rows[i][seen],
                        time_s=tracks[i].time_s[seen],
                        delay_s=delay[seen],
                        information=information[seen],
                    )
                )
    return out


def _table(tracks: Tracks, person: I64, people: I64) -> I64:
    """Return the track index (T, G) of each person at each image, -1 for none."""
    table = np.full((len(tracks.time_s), len(people)), -1)
    seen = np.asarray((tracks.score > 0).any(-1))
    for g, name in enumerate(people):
        for k in np.flatnonzero(person == name):
            table[seen[:, k], g] = k
    return table


def _delays(found: PairResiduals, time_s: F64) -> tuple[F64, F64]:
    """Return the delay (T,) at each image and its information, by robust regression of distances on slopes."""
    known = np.isfinite(found.distance_px) & _same_person(found)[..., None]
    if not known.any():
        return np.zeros(len(time_s)), np.zeros(len(time_s))
    weight = np.where(known, 1 / found.variance, 0.0)
    distance = np.where(known, found.distance_px, 0.0)
    delay = 0.0
    for _ in range(_ROUNDS):
        e, g = (_centred(x, weight, time_s) for x in (distance, found.slope_px))
        residual = (e + delay * g) / np.sqrt(found.variance)
        sigma = max(1.4826 * float(np.median(np.abs(residual[known]))), _LEAST_SIGMA_PX)
        weight = np.where(known, 1 / found.variance / (1 + (residual / (_CAUCHY_SCALE * sigma)) ** 2), 0.0)
        total = max(float((weight * g * g).sum()), 1e-300)
        delay = -float((weight * e * g).sum()) / total
    left = e + delay * g
    # Weights fall as residuals rise, so a change of the delay shows only in part: by the loss's second derivative.
    square = left**2 / found.variance / (_CAUCHY_SCALE * sigma) ** 2
    share = float((weight * g * g * (1 - square) / (1 + square)).sum()) / total
    share = max(share, _LEAST_SHARE)
    noise = max(float(((weight * left * g) ** 2).sum()) / total, _LEAST_SIGMA_PX**2)
    a, b = -(weight * left * g).sum((1, 2)), (weight * g * g).sum((1, 2))
    return delay + a / np.maximum(share * b, 1e-300), np.where(b > 0, share**2 * b / noise, 0.0)


def _response(delay_s: F64, information: F64, probed_s: F64, probed_information: F64) -> float:
    """Return the measured fraction of a delay, which noise in the velocities reduces."""
    both = (information > 0) & (probed_information > 0)
    if not both.any():
        return 1.0
    change = float(np.average((delay_s - probed_s)[both], weights=information[both]))
    return float(np.clip(change / _PROBE_S, *_RESPONSES))


def _same_person(found: PairResiduals) -> np.ndarray:
    """Return the mask (T, G) of people with plausible mean distances, who are the same person in both cameras."""
    distance = np.abs(found.distance_px) / np.sqrt(found.variance)
    known = np.isfinite(distance)
    count = known.sum(-1)
    middle = np.where(known, np.minimum(distance, 1e6), 0.0).sum(-1) / np.maximum(count, 1)
    return np.asarray(
        (count > 0) & (middle <= _OTHER_PERSON * np.median(middle[count > 0]) if (count > 0).any() else False)
    )


def _centred(values: F64, weight: F64, time_s: F64) -> F64:
    """Return values (T, G, J) relative to their weighted mean within `_WINDOW_S` before and after."""
    low, high = np.searchsorted(time_s, time_s - _WINDOW_S), np.searchsorted(time_s, time_s + _WINDOW_S)

    def sums(x: F64) -> F64:
        total = np.concatenate([np.zeros((1, *x.shape[1:])), np.cumsum(x, axis=0)])
        return np.asarray(total[high] - total[low])

    return np.asarray(values - sums(weight * values) / np.maximum(sums(weight), 1e-12))
