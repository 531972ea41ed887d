"""Overlay of a camera image: projected skeletons, 2D detections, floor grid, capture volume."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QLineF, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen, QPolygonF

from core.types.arrays import F32, F64
from studio.theme import Theme
from studio.widgets.images.image_view import split_at_gaps

_FULL_SCORE = 0.6
_MIN_OPACITY = 0.35
_OPACITY_STEPS = 3
_ARM_PX = 2.4
# Shorter side of the image, in px, at and above which lines have their full width.
_FULL_WIDTH_PX = 200
_HALO = QColor(8, 10, 14, 120)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ProjectedSkeleton:
    """One person projected into one image.

    Attributes:
        xy_px: (J, 2) points in the recorded image; NaN where not visible.
        score: (J,) scores in 0..1.
        bones: (B, 2) point indices.
        size: (J,) relative size of each joint; 0 for none.
        person: Column in the result, which selects the colour; None for a ghost.
        joint_colour: (J, 4) RGBA in 0..1 of the joints; None for that of the person.
        bone_colour: (B, 4) RGBA in 0..1 of the bones; None for that of the person.
    """

    xy_px: F64
    score: F64
    bones: NDArray[np.int64]
    size: F32
    person: int | None
    joint_colour: F32 | None = None
    bone_colour: F32 | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PaneOverlay:
    """Everything drawn over one image.

    Attributes:
        skeletons: People.
        detections_px: (N, 2) joints detected by the 2D estimator, or None.
        floor_px: Polylines (n, 2) of the floor grid; a NaN row breaks the line.
        volume_px: Edges of the capture volume, in the same form.
    """

    skeletons: tuple[ProjectedSkeleton, ...] = ()
    detections_px: F64 | None = None
    floor_px: tuple[F64, ...] = ()
    volume_px: tuple[F64, ...] = ()


EMPTY_OVERLAY = PaneOverlay()


def paint_overlay(painter: QPainter, overlay: PaneOverlay, box: QRectF, scale: float, theme: Theme) -> None:
    """Paint an overlay.

    Args:
        painter: Active painter, clipped to the image.
        overlay: Overlay.
        box: Image rectangle in the widget.
        scale: Widget px per image px.
        theme: Colours.
    """

    def to_widget(xy_px: F64) -> F64:
        # Image coordinates (0, 0) are the centre of the top-left pixel; the painter starts at its corner.
        return np.asarray((xy_px + 0.5) * scale + (box.x(), box.y()))

    # Small images get thin lines, because people in them are small.
    weight = float(np.clip(min(box.width(), box.height()) / _FULL_WIDTH_PX, 0.5, 1.0))
    for paths, token, alpha in (
        (overlay.floor_px, theme.accent_hover, 150),
        (overlay.volume_px, theme.on_image_strong, 220),
    ):
        colour = QColor(token)
        colour.setAlpha(alpha)
        painter.setPen(QPen(colour, 1.0))
        for run in (run for path in paths for run in split_at_gaps(to_widget(path))):
            painter.drawPolyline(QPolygonF([QPointF(x, y) for x, y in run.tolist()]))
    for skeleton in overlay.skeletons:
        _paint_skeleton(painter, skeleton, to_widget(skeleton.xy_px), weight, theme)
    if overlay.detections_px is not None:
        _paint_crosses(painter, to_widget(overlay.detections_px))


def _paint_skeleton(painter: QPainter, skeleton: ProjectedSkeleton, xy: F64, weight: float, theme: Theme) -> None:
    ghost = skeleton.person is None
    base = QColor("#ffffff" if skeleton.person is None else theme.person(skeleton.person))
    certainty = np.clip(skeleton.score / _FULL_SCORE, 0.0, 1.0)
    known = np.atleast_1d(np.isfinite(xy).all(-1))
    drawn = known[skeleton.bones].all(-1)
    bones = skeleton.bones[drawn]
    lines = [QLineF(*xy[a].tolist(), *xy[b].tolist()) for a, b in bones.tolist()]
    weakest = certainty[bones].min(-1) if len(bones) else np.zeros(0)
    painter.setPen(QPen(_HALO, weight * (2.4 if ghost else 4.4), Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
    painter.drawLines(lines)
    # A few opacities are enough: one call per colour and opacity is much faster than one per bone.
    steps = np.round(weakest * _OPACITY_STEPS).astype(int)
    colours = [base.name()] * len(lines)
    if skeleton.bone_colour is not None:
        colours = [_colour(rgba).name() for rgba in skeleton.bone_colour[drawn]]
    alike: dict[tuple[str, int], list[QLineF]] = {}
    for line, name, step in zip(lines, colours, steps.tolist(), strict=True):
        alike.setdefault((name, step), []).append(line)
    for (name, step), group in alike.items():
        pen = QPen(_faded(QColor(name), step / _OPACITY_STEPS), weight * (1.0 if ghost else 2.4))
        pen.setCapStyle(Qt.PenCapStyle.RoundCap)
        painter.setPen(pen)
        painter.drawLines(group)
    if ghost:
        return
    painter.setPen(QPen(_HALO, 1.0))
    for joint in np.flatnonzero(known & (skeleton.size > 0)).tolist():
        radius = weight * 3.4 * float(skeleton.size[joint]) * (0.7 + 0.3 * float(certainty[joint]))
        colour = base if skeleton.joint_colour is None else _colour(skeleton.joint_colour[joint])
        painter.setBrush(_faded(colour, float(certainty[joint])))
        painter.drawEllipse(QPointF(*xy[joint].tolist()), radius, radius)


def _paint_crosses(painter: QPainter, xy: F64) -> None:
    points = xy[np.isfinite(xy).all(-1)].tolist()
    arm = _ARM_PX
    arms = [line for x, y in points for line in (QLineF(x - arm, y, x + arm, y), QLineF(x, y - arm, x, y + arm))]
    painter.setPen(QPen(_HALO, 2.6))
    painter.drawLines(arms)
    painter.setPen(QPen(QColor("#ffffff"), 1.0))
    painter.drawLines(arms)


def _colour(rgba: F32) -> QColor:
    return QColor(*(round(255 * part) for part in rgba[:3].tolist()))


def _faded(colour: QColor, certainty: float) -> QColor:
    faded = QColor(colour)
    faded.setAlphaF(_MIN_OPACITY + (1 - _MIN_OPACITY) * certainty)
    return faded
