"""Detect the markers of all dictionaries in one pass: upright or mirrored, black on white or inverted."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.board.pattern import DICTIONARIES, dictionary
from core.types.arrays import F64, I64, U8

_WINDOW = 1 / 48  # side of the adaptive threshold window relative to that of the image (as in `core.board.detect`)
_SAMPLES = 4  # per bit and axis
_LEAST_CONTRAST = 20.0  # grey levels between the dark and the light bits of a marker
_LEAST_SIDE_PX = 8.0
_PARTED_PX = 1.0  # inward displacement of the sides of AprilGrid tags when they are separated from the small squares

_Tables = dict[int, dict[bytes, list[tuple[str, int, int, bool]]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkerStyle:
    """Appearance that all markers of a board share.

    Attributes:
        family: Largest dictionary that contains the marker.
        border: Width of its border in bits: 1, or 2 in Kalibr's AprilGrids.
        inverted: True if black and white are exchanged.
        mirrored: True if the board is seen mirrored.
    """

    family: str
    border: int
    inverted: bool
    mirrored: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StyledMarkers:
    """Markers of one style in one image.

    Attributes:
        number: (n,) numbers in the dictionary, each once.
        quads_px: (n, 4, 2) corners, clockwise as printed from the top left.
    """

    number: I64
    quads_px: F64


def decode_markers(gray: U8) -> dict[MarkerStyle, StyledMarkers]:
    """Detect all markers without errors in their bits.

    Args:
        gray: (H, W) uint8.

    Returns:
        Markers by style; texture occasionally causes false positives.
    """
    found: dict[MarkerStyle, dict[int, F64]] = {}
    for border, image, grow in (
        (1, gray, 0.0),
        (2, _parted(gray), _PARTED_PX),
        (2, np.asarray(255 - _parted(np.asarray(255 - gray, np.uint8)), np.uint8), _PARTED_PX),
    ):
        quads = _candidates(image)
        if len(quads):
            for style, number, quad in _decode(gray, _grown(quads, grow), border, _tables()):
                if number not in found.setdefault(style, {}):
                    found[style][number] = _refined(gray, quad)
    return {
        style: StyledMarkers(number=np.array(list(of), np.int64), quads_px=np.stack(list(of.values())))
        for style, of in found.items()
    }


def decode_tags(gray: U8, name: str) -> StyledMarkers:
    """Detect the upright tags of an AprilGrid, black on white, without errors in their bits.

    Args:
        gray: (H, W) uint8.
        name: Dictionary.
    """
    found: dict[int, F64] = {}
    table = _tables()
    size = dictionary(name).markerSize
    for style, number, quad in _decode(gray, _grown(_candidates(_parted(gray)), _PARTED_PX), 2, {size: table[size]}):
        if style.family == _family(name) and not (style.inverted or style.mirrored):
            found.setdefault(number, quad)
    quads_px = np.array(list(found.values()), np.float64).reshape(-1, 4, 2)
    return StyledMarkers(number=np.array(list(found), np.int64), quads_px=quads_px)


def _candidates(image: U8) -> F64:
    """(n, 4, 2) quadrilaterals that may be markers, clockwise."""
    import cv2

    parameters = cv2.aruco.DetectorParameters()
    parameters.adaptiveThreshWinSizeMin = parameters.adaptiveThreshWinSizeMax = max(
        int(max(image.shape) * _WINDOW) | 1, 5
    )
    parameters.detectInvertedMarker = True
    # OpenCV returns the quadrilaterals that are no marker of the dictionary, which has only one here.
    family = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_7X7_50)
    one = cv2.aruco.Dictionary(family.bytesList[:1], family.markerSize, 0)
    accepted, _, rejected = cv2.aruco.ArucoDetector(one, parameters).detectMarkers(image)
    quads = np.array([np.reshape(q, (4, 2)) for q in (*accepted, *rejected)], np.float64).reshape(-1, 4, 2)
    sides = np.linalg.norm(quads - np.roll(quads, 1, axis=1), axis=-1)
    return np.asarray(quads[sides.min(-1, initial=np.inf) >= _LEAST_SIDE_PX])


def _parted(image: U8) -> U8:
    """Dilate the light areas, which separates AprilGrid tags from the small squares at their corners."""
    import cv2

    side = 2 * round(_PARTED_PX) + 1
    return np.asarray(cv2.dilate(image, np.ones((side, side), np.uint8)), np.uint8)


def _grown(quads_px: F64, by_px: float) -> F64:
    """Move the sides of quadrilaterals (n, 4, 2) outwards."""
    centre = quads_px.mean(1, keepdims=True)
    half = np.linalg.norm(quads_px - np.roll(quads_px, 1, axis=1), axis=-1).mean(-1)[:, None, None] / 2
    return np.asarray(centre + (quads_px - centre) * (1 + by_px / half))


def _refined(gray: U8, quad: F64) -> F64:
    """Refine corners, which contours place inside the edge of a blurred marker."""
    import cv2

    side = float(np.linalg.norm(quad - np.roll(quad, 1, axis=0), axis=-1).min())
    half = int(np.clip(side / 12, 1, 5))
    stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 20, 0.02)
    corners = quad.reshape(-1, 1, 2).astype(np.float32)
    return np.asarray(cv2.cornerSubPix(gray, corners, (half, half), (-1, -1), stop), np.float64).reshape(4, 2)


def _decode(gray: U8, quads: F64, border: int, tables: _Tables) -> list[tuple[MarkerStyle, int, F64]]:
    """Return style, number and corners of the quadrilaterals whose bits are those of a marker."""
    import cv2

    out = []
    for size, table in tables.items():
        cells = size + 2 * border
        side = cells * _SAMPLES
        corners = np.array([(0, 0), (side, 0), (side, side), (0, side)], np.float32) - 0.5
        for quad in quads:
            to_image: Any = cv2.getPerspectiveTransform(corners, quad.astype(np.float32))
            flat = cv2.warpPerspective(gray, to_image, (side, side), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
            level = flat.reshape(cells, _SAMPLES, cells, _SAMPLES).mean((1, 3))
            low, high = float(level.min()), float(level.max())
            if high - low < _LEAST_CONTRAST:
                continue
            bits = level > (low + high) / 2
            inner = bits[border:-border, border:-border]
            rim = int(bits.sum()) - int(inner.sum())
            if rim not in (0, bits.size - inner.size):
                continue
            inverted = rim > 0
            for family, number, quarter, mirrored in table.get(_packed(inner != inverted), ()):
                printed = np.roll(quad, quarter, axis=0)
                style = MarkerStyle(family=family, border=border, inverted=inverted, mirrored=mirrored)
                out.append((style, number, printed[[1, 0, 3, 2]] if mirrored else printed))
    return out


def _packed(bits: np.ndarray) -> bytes:
    return np.packbits(bits).tobytes()


@functools.cache
def _tables() -> _Tables:
    """Map bits along a side, and then the bits of a marker, to dictionary, number, quarter turns and mirroring."""
    import cv2

    tables: _Tables = {}
    for name in families():
        family = dictionary(name)
        size = family.markerSize
        table = tables.setdefault(size, {})
        upright = np.array([cv2.aruco.Dictionary.getBitsFromByteList(c[None], size) for c in family.bytesList])
        for mirrored in (False, True):
            shown = upright[..., ::-1] if mirrored else upright
            for quarter in range(4):
                codes = np.packbits(np.rot90(shown, quarter, (1, 2)).reshape(len(shown), -1), axis=-1)
                for number, code in enumerate(codes):
                    table.setdefault(code.tobytes(), []).append((name, number, quarter, mirrored))
    return tables


def families() -> tuple[str, ...]:
    """Return the dictionaries that are not a prefix of another one of the same marker size."""
    return tuple(n for n in DICTIONARIES if n.endswith("_1000") or not n.rsplit("_", 1)[1].isdigit())


def _family(name: str) -> str:
    """Return the dictionary that contains another one."""
    stem, _, count = name.rpartition("_")
    return f"{stem}_1000" if count.isdigit() else name


def smallest_dictionary(family: str, count: int) -> str:
    """Return the smallest dictionary that starts as a family does and has at least `count` markers."""
    stem = family.removesuffix("1000")
    names = [n for n in DICTIONARIES if n.startswith(stem) and n[len(stem) :].isdigit()] or [family]
    return next((n for n in names if len(dictionary(n).bytesList) >= count), family)
