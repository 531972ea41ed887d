"""What the 3D view shows, as plain frozen data: no OpenGL, no Qt.

Coordinates are world millimetres; colours are (..., 4) RGBA in 0..1. Each layer type has exactly one visual, listed in
`studio.viewport.visuals.VISUALS`. Letters in shapes: P person, J joint, B bone, N frame, V view.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.types.arrays import F32, F64, U8

RGBA = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SkeletonLayer:
    """People at one frame.

    Attributes:
        xyz_mm: (P, J, 3) joints, and middles that only bones end in; NaN where missing.
        score: (P, J) in 0..1; sizes the joints and fades what is uncertain.
        bones: (B, 2) indices of points.
        size: (J,) size of each ball relative to a normal joint; 0 where none is drawn.
        colour: (P, 4).
        ghost: A second result drawn thin and pale, for comparison.
    """

    xyz_mm: F64
    score: F64
    bones: NDArray[np.int64]
    size: F32
    colour: RGBA
    ghost: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrailLayer:
    """Where each person's middle came from.

    Attributes:
        xyz_mm: (P, N, 3), oldest first, NaN where missing.
        colour: (P, 4).
    """

    xyz_mm: F64
    colour: RGBA


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FrustaLayer:
    """The cameras' fields of view and their images of the frame.

    Attributes:
        names: (V,) camera names.
        centre_mm: (V, 3) camera centres.
        corner_mm: (V, 4, 3) corners of the image plane: top left, top right, bottom right, bottom left.
        images: (V,) uint8 RGB images of any size, None where there is none to show.
        colour: (V, 4) of the lines: how good the calibration of a camera is.
    """

    names: tuple[str, ...]
    centre_mm: F64
    corner_mm: F64
    images: tuple[U8 | None, ...]
    colour: RGBA


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FloorLayer:
    """The floor at z = 0 with a line every metre, a stronger one every five, and the world's axes.

    Attributes:
        low_m: Lowest x and y drawn, whole metres.
        high_m: Highest x and y drawn, whole metres.
        colour: (4,) of the lines.
        major: (4,) of every fifth line.
        axes: (3, 4) of the x, y and z axis.
    """

    low_m: tuple[int, int]
    high_m: tuple[int, int]
    colour: RGBA
    major: RGBA
    axes: RGBA


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AccuracyLayer:
    """How well points can be located, as an image on the floor.

    Attributes:
        corner_mm: (1, 4, 3) corners, as those of an image plane.
        image: (H, W, 3) uint8.
        start_mm: (N, 3) starts of lines in the direction in which it is worst.
        end_mm: (N, 3) their ends.
        colour: (4,) of the lines.
    """

    corner_mm: F64
    image: U8
    start_mm: F64
    end_mm: F64
    colour: RGBA


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VolumeLayer:
    """The box that the networks look into.

    Attributes:
        low_mm: (3,) lowest corner.
        high_mm: (3,) highest corner.
        hips_low_mm: (3,) lowest corner of where synthetic people's hips may be.
        hips_high_mm: (3,) highest corner of it.
        colour: (4,).
    """

    low_mm: F64
    high_mm: F64
    hips_low_mm: F64
    hips_high_mm: F64
    colour: RGBA


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelLayer:
    """Words at places in the world.

    Attributes:
        texts: (N,) what to write.
        xyz_mm: (N, 3) where.
        colour: (N, 4) of the letters.
        plate: (4,) of the plate behind them; alpha 0 for none.
        quiet: (N,) bool, smaller and without a plate.
        above: (N,) bool, stands above its place; else its middle is there.
        behind: Whether everything but the floor covers these words; else they are in front of everything.
    """

    texts: tuple[str, ...]
    xyz_mm: F64
    colour: RGBA
    plate: RGBA
    quiet: NDArray[np.bool_]
    above: NDArray[np.bool_]
    behind: bool = False


Layer = SkeletonLayer | TrailLayer | FrustaLayer | FloorLayer | AccuracyLayer | VolumeLayer | LabelLayer


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SceneLayers:
    """Everything that is drawn at one frame.

    Attributes:
        layers: By name; the name keeps a layer's visual from one frame to the next.
        extent_mm: (N, 3) points that "show everything" brings into view; N may be 0.
        azimuth_deg: Direction from which no camera stands in the way.
        focus_mm: (3,) point that the view follows, or None.
    """

    layers: dict[str, Layer]
    extent_mm: F64
    azimuth_deg: float = 30.0
    focus_mm: F64 | None = None
