"""Find the layout of a board from the numbers and corners of its markers in one image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from core.types.arrays import F64, I64

Ordering = Literal["charuco", "down", "up"]
LEAST_MARKERS = 3
"""Markers, not all in a row, that a layout needs: two leave several layouts possible."""
_MAX_COLUMNS = 30
# Largest residual of a corner, relative to the marker side; lens distortion bends straight rows.
_MAX_RESIDUAL = 0.35
_MARKER_SHARE = (0.3, 1.02)  # plausible side of a marker, as a share of the distance between neighbours
_SHARE_SPREAD = 1.25  # factor by which the shares along columns and rows may differ
_CLEARER = 0.6  # factor on the residual of the best layout at another number of columns


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Order of a board's markers, up to the rows that were not seen.

    Attributes:
        ordering: Squares of a ChArUco board that hold markers, row by row; or a grid of markers whose rows are numbered
            from the top ("down") or from the bottom ("up").
        columns: Number of squares or markers per row.
        phase: Number of a marker that begins a row, modulo the columns: of a ChArUco board a row that begins with a
            black square.
    """

    ordering: Ordering
    columns: int
    phase: int

    def places(self, number: I64) -> I64:
        """Return column and row (n, 2) of markers; rows count from the one that begins at `phase`."""
        return np.asarray(_places(self.ordering, np.array([self.columns]), np.array([self.phase]), number)[0])


def fit_layouts(number: I64, quads_px: F64) -> list[tuple[Layout, float, float]]:
    """Fit all layouts that the numbers of the markers allow.

    The corner of a marker at column and row (x, y) is H ((x, y) + s d), with d = (-1/2 or 1/2) per axis and s the side
    of a marker as a share of the distance between neighbours. H and the products of s with its first two columns are
    found linearly (a direct linear transform with 15 unknowns).

    Args:
        number: (n,) numbers of the markers in one image.
        quads_px: (n, 4, 2) corners, clockwise from the top left of the print.

    Returns:
        Layouts that fit with the root mean square residual, in sides of a marker, and s; the best first.
    """
    if len(number) < LEAST_MARKERS:
        return []
    centre = quads_px.mean(1)
    side = float(np.median(np.linalg.norm(quads_px - np.roll(quads_px, 1, axis=1), axis=-1)))
    middle = centre.mean(0)
    unit = (quads_px - middle) / max(float(np.abs(quads_px - middle).max()), 1e-9)
    out = []
    for ordering in ("charuco", "down", "up"):
        least = 3 if ordering == "charuco" else 1
        most = min(_MAX_COLUMNS, int(np.ptp(number)) + (2 if ordering == "charuco" else 1))
        pairs = [(c, p) for c in range(least, most + 1) for p in range(c)]
        if not pairs:
            continue
        columns, phase = np.array(pairs).T
        places = _places(ordering, columns, phase, number)
        flat = np.linalg.matrix_rank(places - places[:, :1]) == 2
        columns, phase, places = columns[flat], phase[flat], places[flat]
        if not len(columns):
            continue
        residual, share = _fit(places, unit)
        residual = residual * max(float(np.abs(quads_px - middle).max()), 1e-9) / side
        good = np.flatnonzero(residual < _MAX_RESIDUAL)
        out += [
            (
                Layout(ordering=ordering, columns=int(columns[i]), phase=int(phase[i])),
                float(residual[i]),
                float(share[i]),
            )
            for i in good
        ]
    out.sort(key=lambda fitted: fitted[1])
    return out


def _places(ordering: Ordering, columns: I64, phase: I64, number: I64) -> I64:
    """Column and row (h, n, 2) of markers for h layouts."""
    step = number - phase[:, None]
    turn, rest = np.divmod(step, columns[:, None])
    if ordering != "charuco":
        return np.stack([rest, turn if ordering == "down" else -turn], -1)
    first = columns[:, None] // 2  # markers in a row that begins with a black square
    odd = rest >= first
    return np.stack([np.where(odd, 2 * (rest - first), 2 * rest + 1), 2 * turn + odd], -1)


def _fit(places: I64, unit: F64) -> tuple[F64, F64]:
    """Return residuals (h,), infinite where a layout is implausible, and shares (h,)."""
    layouts, count = places.shape[:2]
    centred = places - places.mean(1, keepdims=True)
    scale = np.abs(centred).max((1, 2))
    xy = centred / scale[:, None, None]
    corner = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) / 2
    basis = np.zeros((layouts, count, 4, 5))
    basis[..., :2] = xy[:, :, None]
    basis[..., 2] = 1
    basis[..., 3:] = corner / scale[:, None, None, None]
    u, v = unit[None, ..., 0, None], unit[None, ..., 1, None]
    zero = np.zeros_like(basis)
    rows = np.concatenate(
        [
            np.concatenate([basis, zero, -u * basis], -1).reshape(layouts, -1, 15),
            np.concatenate([zero, basis, -v * basis], -1).reshape(layouts, -1, 15),
        ],
        1,
    )
    _, vectors = np.linalg.eigh(np.swapaxes(rows, 1, 2) @ rows)
    H = vectors[..., 0].reshape(layouts, 3, 5)
    w = np.einsum("hnkb,hb->hnk", basis, H[:, 2])
    H = H * np.sign(w.sum((1, 2)))[:, None, None]
    w = w * np.sign(w.sum((1, 2)))[:, None, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        x, y = (np.einsum("hnkb,hb->hnk", basis, H[:, i]) / w for i in (0, 1))
        residual = np.sqrt(((x - unit[..., 0]) ** 2 + (y - unit[..., 1]) ** 2).mean((1, 2)))
        # s of each axis: products along the columns they belong to.
        share = np.stack([(H[..., 3 + i] * H[..., i]).sum(-1) / (H[..., i] ** 2).sum(-1) for i in (0, 1)], -1)
    low, high = _MARKER_SHARE
    plausible = (w > 0).all((1, 2)) & (share > low).all(-1) & (share < high).all(-1)
    plausible &= share.max(-1) < _SHARE_SPREAD * share.min(-1)
    return np.where(plausible, residual, np.inf), np.sqrt(np.abs(share.prod(-1)))
