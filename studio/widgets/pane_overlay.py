"""What is drawn over a camera's image: projected skeletons, 2D detections, floor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QLineF, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen, QPolygonF

from core.types.arrays import F32, F64
from studio.theme import Theme
from studio.widgets.image_view import unbroken

_CERTAIN = 0.6
_FAINTEST = 0.35
_SHADES = 3
_ARM_PX = 2.4
# Shorter side from which on lines have their full width.
_FULL_PX = 200
_HALO = QColor(8, 10, 14, 120)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ProjectedSkeleton:
    """One person in one image.

    Attributes:
        xy_px: (J, 2) in the image as recorded, NaN where not visible.
        score: (J,) in 0..1.
        bones: (B, 2) indices.
        size: (J,) relative size of each joint; 0 draws none.
        person: Column in the result, picks the colour; None draws a ghost.
    """

    xy_px: F64
    score: F64
    bones: NDArray[np.int64]
    size: F32
    person: int | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PaneOverlay:
    """Everything over one image.

    Attributes:
        figures: People.
        detections_px: (N, 2) what the 2D estimator saw.
        floor_px: Polylines, each (n, 2), a NaN row breaks the line.
        volume_px: The edges of the capture volume, in the same form.
    """

    figures: tuple[ProjectedSkeleton, ...] = ()
    detections_px: F64 | None = None
    floor_px: tuple[F64, ...] = ()
    volume_px: tuple[F64, ...] = ()


NOTHING = PaneOverlay()


def paint_overlay(painter: QPainter, overlay: PaneOverlay, box: QRectF, scale: float, theme: Theme) -> None:
    """Paints an overlay.

    Args:
        painter: Open, clipped to the image.
        overlay: What to paint.
        box: Where the image lies in the widget.
        scale: Widget px per image px.
        theme: Colours.
    """

    def place(xy_px: F64) -> F64:
        # Pixel (0, 0) is the centre of the top-left pixel; the painter's origin is that pixel's corner.
        return np.asarray((xy_px + 0.5) * scale + (box.x(), box.y()))

    # Small images get thin lines: people in them are small.
    weight = float(np.clip(min(box.width(), box.height()) / _FULL_PX, 0.5, 1.0))
    for paths, token, alpha in (
        (overlay.floor_px, theme.accent_hover, 150),
        (overlay.volume_px, theme.on_image_strong, 220),
    ):
        colour = QColor(token)
        colour.setAlpha(alpha)
        painter.setPen(QPen(colour, 1.0))
        for run in (run for path in paths for run in unbroken(place(path))):
            painter.drawPolyline(QPolygonF([QPointF(x, y) for x, y in run.tolist()]))
    for figure in overlay.figures:
        _paint_figure(painter, figure, place(figure.xy_px), weight, theme)
    if overlay.detections_px is not None:
        _paint_crosses(painter, place(overlay.detections_px))


def _paint_figure(painter: QPainter, figure: ProjectedSkeleton, xy: F64, weight: float, theme: Theme) -> None:
    ghost = figure.person is None
    base = QColor("#ffffff" if figure.person is None else theme.person(figure.person))
    certainty = np.clip(figure.score / _CERTAIN, 0.0, 1.0)
    known = np.atleast_1d(np.isfinite(xy).all(-1))
    bones = figure.bones[known[figure.bones].all(-1)]
    lines = [QLineF(*xy[a].tolist(), *xy[b].tolist()) for a, b in bones.tolist()]
    weakest = certainty[bones].min(-1) if len(bones) else np.zeros(0)
    painter.setPen(QPen(_HALO, weight * (2.4 if ghost else 4.4), Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
    painter.drawLines(lines)
    # A few shades are enough, and one call a shade is much faster than one a bone.
    shades = np.round(weakest * _SHADES).astype(int)
    for shade in np.unique(shades).tolist():
        pen = QPen(_faded(base, shade / _SHADES), weight * (1.0 if ghost else 2.4))
        pen.setCapStyle(Qt.PenCapStyle.RoundCap)
        painter.setPen(pen)
        painter.drawLines([line for line, own in zip(lines, shades.tolist(), strict=True) if own == shade])
    if ghost:
        return
    painter.setPen(QPen(_HALO, 1.0))
    for joint in np.flatnonzero(known & (figure.size > 0)).tolist():
        radius = weight * 3.4 * float(figure.size[joint]) * (0.7 + 0.3 * float(certainty[joint]))
        painter.setBrush(_faded(base, float(certainty[joint])))
        painter.drawEllipse(QPointF(*xy[joint].tolist()), radius, radius)


def _paint_crosses(painter: QPainter, xy: F64) -> None:
    places = xy[np.isfinite(xy).all(-1)].tolist()
    arm = _ARM_PX
    arms = [line for x, y in places for line in (QLineF(x - arm, y, x + arm, y), QLineF(x, y - arm, x, y + arm))]
    painter.setPen(QPen(_HALO, 2.6))
    painter.drawLines(arms)
    painter.setPen(QPen(QColor("#ffffff"), 1.0))
    painter.drawLines(arms)


def _faded(colour: QColor, certainty: float) -> QColor:
    faded = QColor(colour)
    faded.setAlphaF(_FAINTEST + (1 - _FAINTEST) * certainty)
    return faded
