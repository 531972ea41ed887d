"""Support of the detections of a frame for people: sums of the agreement of single joints.

Letters in shapes: V view, J joint, N detections of a frame over all views, C people.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.association.config import AssociationConfig
from core.association.rays import nearest_to_rays
from core.association.views import MIN_DEPTH_MM, ViewGeometry
from core.types.arrays import F64, I64

MIN_AGREEMENT = -0.5
"""Agreement of a joint far beyond the gate; that of an exact match is 1."""
_MEMBER_QUALITY = 0.15  # Minimum mean agreement of a detection with its person.
_MIRROR_QUALITY = 0.5  # Gain in mean agreement above which left and right count as swapped.
_MIRROR_WEIGHT = 0.7  # Weight of the support of a detection with swapped sides.
_LEAST_ANGLE = 4e-7  # Determinant over the cubed trace below which rays count as parallel.


@dataclass(frozen=True, slots=True, eq=False)
class FrameDetections:
    """Detections of one frame in all views with enough joints, followed by copies with left and right swapped.

    Attributes:
        n: N, the number of detections; most arrays have 2 N rows.
        of_view: (V,) slices of the detections of each view, without the swapped copies.
        rows: (V, D) indices of the detections of each view, padded with -1.
        view: (2N,) camera index.
        column: (2N,) column in the view's detections.
        x: (2N, J) coordinates on the ideal image plane, 0 where missing.
        y: (2N, J) coordinates on the ideal image plane, 0 where missing.
        weight: (2N, J) confidences, 0 where missing.
        box: (4, N) largest x and y of the joints, and negated smallest x and y.
    """

    n: int
    of_view: tuple[slice, ...]
    rows: I64
    view: I64
    column: I64
    x: F64
    y: F64
    weight: F64
    box: F64


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
    box = np.stack([np.where(known, a, -np.inf).max(1) for a in (x, y, -x, -y)])
    x, y = np.where(known, x, 0.0), np.where(known, y, 0.0)
    mirror, R = list(geometry.skeleton.mirror), len(frame)
    ends = np.searchsorted(frame * V + view, np.arange(F * V + 1))
    starts, first = ends[::V], ends[frame * V + view]
    rows = np.full((F, V, int((np.arange(R) - first).max(initial=0)) + 1), -1)
    rows[frame, view, np.arange(R) - first] = np.arange(R) - starts[frame]
    # Rows of each frame, followed by their copies with swapped sides.
    direct, exchanged = np.arange(R) + starts[frame], np.arange(R) + starts[frame + 1]

    def both_sides(a: np.ndarray, other: np.ndarray) -> np.ndarray:
        out = np.empty((2 * R, *a.shape[1:]), a.dtype)
        out[direct], out[exchanged] = a, other
        return out

    x, y, weight = (both_sides(a, a[:, mirror]) for a in (x, y, weight))
    view, column, bounds = both_sides(view, view), both_sides(column, column), ends.tolist()

    def of_frame(f: int) -> FrameDetections:
        start, end = bounds[f * V], bounds[(f + 1) * V]
        both = slice(2 * start, 2 * end)
        return FrameDetections(
            n=end - start,
            of_view=tuple(slice(bounds[f * V + v] - start, bounds[f * V + v + 1] - start) for v in range(V)),
            rows=rows[f],
            view=view[both],
            column=column[both],
            x=x[both],
            y=y[both],
            weight=weight[both],
            box=box[:, start:end],
        )

    return [of_frame(f) for f in range(F)]


def detection_support(geometry: ViewGeometry, detections: FrameDetections, xyz: F64) -> F64:
    """Return the support (C, 2N) of detections for people (C, J, 3): confidence-weighted sum of joint agreements.

    Support is -inf where the agreement is too low for a match. A detection with swapped sides matches only if it agrees
    clearly better than the original, and has a lower weight.
    """
    n, C, J = detections.n, *xyz.shape[:2]
    out = np.full((C, 2 * n), -np.inf)
    planes = _on_planes(geometry, xyz)
    # No joint agrees where the boxes of person and detection are disjoint.
    box = _boxes(planes)  # (4, V, C)
    view = detections.view[:n]
    row, person = np.nonzero((box.take(view, axis=1) <= detections.box[:, :, None]).all(0))
    px, py, closeness, known = planes.reshape(4, -1, J).take(view[row] * C + person, axis=1)
    rows = np.stack([row, row + n])
    dx, dy = px - detections.x.take(rows, axis=0), py - detections.y.take(rows, axis=0)
    used = detections.weight.take(rows, axis=0) * known
    agreement = np.maximum(1 - (dx * dx + dy * dy) * closeness, MIN_AGREEMENT)
    # A matrix product is several times faster than a sum over a short last axis.
    ones = np.ones(J)
    summed, total = (used * agreement) @ ones, used @ ones
    mean = summed / np.maximum(total, 1e-9)
    joins = mean > _MEMBER_QUALITY
    joins[1] &= mean[1] > mean[0] + _MIRROR_QUALITY
    summed[1] *= _MIRROR_WEIGHT
    out[person, rows] = np.where(joins, summed, -np.inf)
    return out


def joint_agreement(geometry: ViewGeometry, detections: FrameDetections, members: I64, xyz: F64) -> F64:
    """Return the mean agreement (C, J) of the joints of people (C, J, 3) with their detections (C, V)."""
    px, py, closeness, known = np.moveaxis(_on_planes(geometry, xyz), 1, 2)  # (C, V, J)
    squared = ((px - detections.x[members]) ** 2 + (py - detections.y[members]) ** 2) * closeness
    weight = np.where((members >= 0)[..., None], detections.weight[members] * known, 0.0)
    agreement = np.maximum(1 - squared, MIN_AGREEMENT)
    return np.asarray((weight * agreement).sum(1) / np.maximum(weight.sum(1), 1e-9))


def best_per_view(detections: FrameDetections, support: F64) -> I64:
    """Return the detection of highest support (C, V) in each view, -1 where none has any."""
    n, people = detections.n, np.arange(len(support))[:, None]
    either = np.full((len(support), n + 1), -np.inf)  # The last column stands for no detection.
    np.maximum(support[:, :n], support[:, n:], out=either[:, :n])
    best = either.take(detections.rows, axis=1).argmax(-1)  # (C, V)
    out = detections.rows[np.arange(len(detections.rows)), best]
    out = np.where(either[people, out] > 0, out, -1)
    if not (support[:, n:] > support[:, :n]).any():
        return out
    swapped = out + n
    exchanged = (out >= 0) & (support[people, swapped % (2 * n)] > support[people, out])
    return np.where(exchanged, swapped, out)


def intersect_members(geometry: ViewGeometry, detections: FrameDetections, members: I64) -> F64:
    """Return the points (C, J, 3) nearest to the rays of detections (C, V), -1 for none; NaN below two rays."""
    C, V = members.shape
    rows = members.T
    weight = np.where((rows >= 0)[..., None], detections.weight.take(rows, axis=0), 0.0).reshape(V, -1)
    x, y = (a.take(rows, axis=0).reshape(V, -1) for a in (detections.x, detections.y))
    point = nearest_to_rays(geometry, x, y, weight, _LEAST_ANGLE)
    return np.where((weight > 0).sum(0) >= 2, point, np.nan).T.reshape(C, detections.x.shape[1], 3)


def _on_planes(geometry: ViewGeometry, xyz: F64) -> F64:
    """Project people (C, J, 3) to the ideal planes.

    Returns:
        (4, V, C, J) array of x, y, inverse squared gate, and 1 where the joint is known and in front of the camera;
        all 0 elsewhere.
    """
    V = len(geometry)
    local = (geometry.R.reshape(-1, 3) @ xyz.reshape(-1, 3).T).reshape(V, 3, -1) + geometry.t_mm[:, :, None]
    depth = local[:, 2]
    known = depth > MIN_DEPTH_MM
    inverse = 1 / np.where(known, depth, 1.0)
    gate = geometry.gate_mm * inverse
    pixels = (geometry.gate_px / geometry.focal_px)[:, None]
    planes = np.stack([local[:, 0] * inverse, local[:, 1] * inverse, 1 / (gate * gate + pixels * pixels), known])
    if not known.all():
        planes[:, ~known] = 0.0
    return planes.reshape(4, V, *xyz.shape[:2])


def _boxes(planes: F64) -> F64:
    """Return boxes (4, V, C) around the gates of joints (4, V, C, J).

    The rows are the smallest x and y, and the negated largest x and y; inf without joints.
    """
    px, py, closeness, known = planes
    gate = 1 / np.sqrt(np.where(known, closeness, 1))
    gate[known == 0] = -np.inf
    corners = np.stack([px - gate, py - gate, -px - gate, -py - gate])
    # A minimum over the first axis is several times faster.
    return np.asarray(np.ascontiguousarray(np.moveaxis(corners, -1, 0)).min(0))
