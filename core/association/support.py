"""Support of the detections of a frame for people: how well they agree, joint by joint.

Letters in shapes: V view, J joint, N detections of a frame over all views, C people.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.association.config import AssociationConfig
from core.association.robust import solve_symmetric
from core.association.views import ViewGeometry
from core.types.arrays import F64, I64

MIN_AGREEMENT = -0.5
"""Agreement of a joint far beyond the gate, where that of an exact one is 1."""
_MEMBER_QUALITY = 0.15  # Lowest mean agreement of a detection with the person it joins.
_MIRROR_QUALITY = 0.5  # Gain in mean agreement above which left and right are taken as exchanged.
_MIRROR_WEIGHT = 0.7  # Weight of the support of a detection with exchanged sides.
_LEAST_ANGLE = 4e-7  # Determinant over the cubed trace of rays below which they are nearly parallel.


@dataclass(frozen=True, slots=True, eq=False)
class FrameDetections:
    """Detections of one frame over all views with enough joints, followed by the same with left and right exchanged.

    Attributes:
        n: N, the number of detections; most arrays have 2 N rows.
        of_view: (V,) slices of the detections of each view, sides not exchanged.
        view: (2N,) camera index.
        column: (2N,) column in the view's detections.
        x: (2N, J) coordinates on the ideal image plane, 0 where missing.
        y: (2N, J) the same.
        weight: (2N, J) confidences, 0 where missing.
        ray: (N, J, 3) directions in world coordinates, of length 1 along the camera's axis.
        normal: (2N, 10 J) weights, and projectors onto the plane across each ray (six) and applied to the centre
            (three), weighted: sums over detections intersect their rays.
        low: (N, 2) corner of the box around the joints.
        high: (N, 2) the other corner.
    """

    n: int
    of_view: tuple[slice, ...]
    view: I64
    column: I64
    x: F64
    y: F64
    weight: F64
    ray: F64
    normal: F64
    low: F64
    high: F64


def collect_detections(
    geometry: ViewGeometry, ideal: F64, weight: F64, config: AssociationConfig
) -> list[FrameDetections]:
    """Collect the detections of F frames, all at once.

    Args:
        geometry: V cameras.
        ideal: (F, V, D, J, 2) coordinates on the ideal image plane, NaN where missing.
        weight: (F, V, D, J) confidences, 0 where missing.
        config: Settings.
    """
    F, V = weight.shape[:2]
    frame, view, column = np.nonzero((weight > 0).sum(-1) >= config.min_joints)
    weight, x, y = (a[frame, view, column] for a in (weight, ideal[..., 0], ideal[..., 1]))
    known = weight > 0
    low = np.stack([np.where(known, a, np.inf).min(1) for a in (x, y)], -1)
    high = np.stack([np.where(known, a, -np.inf).max(1) for a in (x, y)], -1)
    x, y = np.where(known, x, 0.0), np.where(known, y, 0.0)
    R, centre = geometry.R[view], geometry.centre_mm[view]
    r = [R[:, 0, i, None] * x + R[:, 1, i, None] * y + R[:, 2, i, None] for i in range(3)]
    scaled = weight / (r[0] * r[0] + r[1] * r[1] + r[2] * r[2])
    s = [scaled * r[i] for i in range(3)]
    along = r[0] * centre[:, :1] + r[1] * centre[:, 1:2] + r[2] * centre[:, 2:]
    terms = np.stack([
        weight - s[0] * r[0], -s[0] * r[1], -s[0] * r[2], weight - s[1] * r[1], -s[1] * r[2], weight - s[2] * r[2],
        *(weight * centre[:, i, None] - s[i] * along for i in range(3)), known.astype(float),
    ], axis=1)  # fmt: skip
    ray, mirror = np.stack(r, -1), list(geometry.skeleton.mirror)
    ends = np.searchsorted(frame * V + view, np.arange(F * V + 1)).tolist()

    def of_frame(f: int) -> FrameDetections:
        start = ends[f * V]
        rows = slice(start, ends[(f + 1) * V])

        def both_sides(a: F64) -> F64:
            return np.concatenate([a[rows], a[rows][..., mirror]])

        return FrameDetections(
            n=rows.stop - start,
            of_view=tuple(slice(ends[f * V + v] - start, ends[f * V + v + 1] - start) for v in range(V)),
            view=np.concatenate([view[rows]] * 2),
            column=np.concatenate([column[rows]] * 2),
            x=both_sides(x),
            y=both_sides(y),
            weight=both_sides(weight),
            ray=ray[rows],
            normal=both_sides(terms).reshape(2 * (rows.stop - start), 10 * len(mirror)),
            low=low[rows],
            high=high[rows],
        )

    return [of_frame(f) for f in range(F)]


def detection_support(geometry: ViewGeometry, detections: FrameDetections, xyz: F64) -> F64:
    """Return the support (C, 2N) of detections for people (C, J, 3): agreement summed over joints by confidence.

    -inf where a detection does not agree well enough to join. A detection with exchanged sides joins only if it agrees
    clearly better so, and counts less.
    """
    n = detections.n
    out = np.full((len(xyz), 2 * n), -np.inf)
    px, py, gate = _on_planes(geometry, xyz)
    # Where a person and a detection do not even touch, no joint agrees.
    low, high = _boxes(px, py, gate)
    view = detections.view[:n]
    touch = (low[view] <= detections.high[:, None]) & (high[view] >= detections.low[:, None])
    row, person = np.nonzero(touch[..., 0] & touch[..., 1])
    of_person = [a[view[row], person] for a in (px, py, gate)]
    mean, summed = _agreement_of(of_person, detections, row)
    out[person, row] = np.where(mean > _MEMBER_QUALITY, summed, -np.inf)
    # Exchanged sides cannot be better by enough where the detection agrees as it is.
    other = np.flatnonzero(mean < 1 - _MIRROR_QUALITY)
    row, person, mean = row[other] + n, person[other], mean[other]
    swapped, summed = _agreement_of([a[other] for a in of_person], detections, row)
    clear = (swapped > _MEMBER_QUALITY) & (swapped > mean + _MIRROR_QUALITY)
    out[person, row] = np.where(clear, _MIRROR_WEIGHT * summed, -np.inf)
    return out


def joint_agreement(geometry: ViewGeometry, detections: FrameDetections, members: I64, xyz: F64) -> F64:
    """Return the mean agreement (C, J) of the joints of people (C, J, 3) with their detections (C, V)."""
    px, py, gate = (np.moveaxis(a, 0, 1) for a in _on_planes(geometry, xyz))  # (C, V, J)
    squared = ((px - detections.x[members]) ** 2 + (py - detections.y[members]) ** 2) / gate**2
    known = (members >= 0)[..., None] & np.isfinite(squared)
    weight = np.where(known, detections.weight[members], 0.0)
    agreement = np.maximum(1 - np.where(known, squared, 0.0), MIN_AGREEMENT)
    return np.asarray((weight * agreement).sum(1) / np.maximum(weight.sum(1), 1e-9))


def best_per_view(detections: FrameDetections, support: F64) -> I64:
    """Return the detection of highest support (C, V) in each view, -1 where none has any."""
    n = detections.n
    either = np.maximum(support[:, :n], support[:, n:])
    out = np.full((len(support), len(detections.of_view)), -1, np.int64)
    people = np.arange(len(support))
    for v, rows in enumerate(detections.of_view):
        if rows.stop > rows.start:
            best = either[:, rows].argmax(1) + rows.start
            out[:, v] = np.where(either[people, best] > 0, best, -1)
    swapped = out + n
    exchanged = (out >= 0) & (support[people[:, None], swapped % (2 * n)] > support[people[:, None], out])
    return np.where(exchanged, swapped, out)


def intersect_members(detections: FrameDetections, members: I64) -> F64:
    """Return the points (C, J, 3) nearest to the rays of detections (C, V), -1 for none; NaN below two rays."""
    chosen = np.zeros((len(members), 2 * detections.n))
    row, view = np.nonzero(members >= 0)
    chosen[row, members[row, view]] = 1.0
    size = detections.normal.shape[1] // 10
    terms = np.moveaxis((chosen @ detections.normal).reshape(len(members), 10, size), 1, 0)
    flat = terms.reshape(10, -1)
    point = solve_symmetric(flat[:6], flat[6:9], _LEAST_ANGLE)
    return np.where(flat[9] >= 2, point, np.nan).T.reshape(*terms.shape[1:], 3)


def _on_planes(geometry: ViewGeometry, xyz: F64) -> tuple[F64, F64, F64]:
    """Return ideal coordinates and gates (V, C, J) on the ideal planes of people (C, J, 3); NaN where missing."""
    projected, depth = geometry.project_ideal(xyz)
    gate = geometry.gate(depth, np.arange(len(geometry))[:, None, None]) / depth
    return projected[..., 0], projected[..., 1], gate


def _boxes(px: F64, py: F64, gate: F64) -> tuple[F64, F64]:
    """Return the corners (V, C, 2) of boxes around joints and their gates (V, C, J); NaN without any."""
    low = np.stack([np.fmin.reduce(px - gate, axis=-1), np.fmin.reduce(py - gate, axis=-1)], -1)
    high = np.stack([np.fmax.reduce(px + gate, axis=-1), np.fmax.reduce(py + gate, axis=-1)], -1)
    return low, high


def _agreement_of(person: list[F64], detections: FrameDetections, row: I64) -> tuple[F64, F64]:
    """Return mean and summed agreement (K,) of detections (K,) with people: coordinates and gates (K, J)."""
    px, py, gate = person
    dx, dy = px - detections.x[row], py - detections.y[row]
    squared = (dx * dx + dy * dy) / (gate * gate)
    known = np.isfinite(squared)
    used = np.where(known, detections.weight[row], 0.0)
    agreement = np.maximum(1 - np.where(known, squared, 0.0), MIN_AGREEMENT)
    summed = np.einsum("kj,kj->k", used, agreement)
    return summed / np.maximum(used.sum(-1), 1e-9), summed
