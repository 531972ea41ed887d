"""Recognise a board in a few images: its kind, dictionary, columns, rows, first marker, and whether it is mirrored."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.board.decode import MarkerStyle, StyledMarkers, decode_markers, smallest_dictionary
from core.board.layout import LEAST_MARKERS, Layout, fit_layouts
from core.board.pattern import Board, BoardKind
from core.errors import CoreError
from core.types.arrays import F64, I64, U8

_MOST_FITTED = 24  # markers of an image that the layout is fitted to: all orders of larger boards would take seconds
_LEAST_IMAGES = 2  # with the same layout, unless there are fewer images
_LEAST_SINGLE = 3  # images with the same single marker, which one texture alone resembles now and then
_CHESSBOARD_PX = 960  # longer side of the image in which a chessboard is searched (as in `core.board.detect`)
_STRIDE, _PLAIN = 5, 6  # every fifth image first; images with the same chessboard after which the search ends
_WHOLE_SHARE = 0.2  # of the images with a chessboard that must show all of it
_SQUARE_SPREAD = 0.25  # standard deviation within a square of a chessboard, as a share of its contrast
_LEAST_CONTRAST = 20.0  # grey levels between dark and light squares


@dataclass(frozen=True, slots=True, kw_only=True)
class RecognizedBoard:
    """Board recognised in images; its size cannot be observed.

    Attributes:
        board: Board with squares of `square_mm`.
        images: Indices of the images that show the front.
        mirrored: Indices of the images that show it mirrored.
    """

    board: Board
    images: tuple[int, ...]
    mirrored: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Key:
    """Properties shared by all images of a board."""

    family: str
    border: int
    inverted: bool
    layout: Layout


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Sighting:
    image: int
    mirrored: bool
    number: I64
    share: float


def recognize_board(images: Sequence[U8], square_mm: float = 40.0) -> RecognizedBoard | None:
    """Recognise the board that most images show.

    Args:
        images: (H, W) uint8 each.
        square_mm: Side of a square, or distance between neighbouring markers.

    Returns:
        The board; None if no board is recognised with certainty.
    """
    markers = [decode_markers(image) for image in images]
    return _marker_board(markers, square_mm) or _chessboard(images, square_mm) or _single_marker(markers, square_mm)


def _marker_board(markers: Sequence[dict[MarkerStyle, StyledMarkers]], square_mm: float) -> RecognizedBoard | None:
    sightings: dict[_Key, list[_Sighting]] = defaultdict(list)
    for image, styles in enumerate(markers):
        for style, found in styles.items():
            if len(found.number) < LEAST_MARKERS:
                continue
            chosen = np.argsort(found.number)
            if len(chosen) > _MOST_FITTED:
                chosen = chosen[np.linspace(0, len(chosen) - 1, _MOST_FITTED).round().astype(int)]
            layouts = fit_layouts(found.number[chosen], found.quads_px[chosen])
            if not layouts:
                continue
            layout, _, share = layouts[0]
            key = _Key(family=style.family, border=style.border, inverted=style.inverted, layout=layout)
            sighting = _Sighting(image=image, mirrored=style.mirrored, number=found.number, share=share)
            sightings[key].append(sighting)
    enough = {k: v for k, v in sightings.items() if len({s.image for s in v}) >= min(_LEAST_IMAGES, len(markers))}
    for key, seen in sorted(enough.items(), key=lambda item: -sum(len(s.number) for s in item[1])):
        board = _board(key, seen, square_mm)
        if board is not None:
            return RecognizedBoard(
                board=board,
                images=tuple(sorted({s.image for s in seen if not s.mirrored})),
                mirrored=tuple(sorted({s.image for s in seen if s.mirrored})),
            )
    return None


def _board(key: _Key, seen: Sequence[_Sighting], square_mm: float) -> Board | None:
    """Return the board with the rows that were seen; None if there is no such board."""
    layout = key.layout
    times = Counter(int(n) for s in seen for n in s.number)
    numbers = np.array([n for n, count in times.items() if count >= min(_LEAST_IMAGES, len(seen))], np.int64)
    rows = np.unique(layout.places(numbers)[:, 1]) if len(numbers) else np.zeros(0, np.int64)
    if not len(rows):
        return None
    low, high = int(rows[0]), int(rows[-1])
    numbered = False
    together = [np.unique(layout.places(s.number)[:, 1]) for s in seen]
    split = [r for r in range(low, high) if not any(t[0] <= r < t[-1] for t in together)]
    if split:  # front and back are never seen in one image, and are numbered on
        numbered = (high - low + 1) % 2 == 0 and split == [(low + high) // 2]
        if not numbered:
            return None
        low, high = (low, split[0]) if layout.ordering != "up" else (split[0] + 1, high)
    count = high - low + 1
    begins_white = layout.ordering == "charuco" and low % 2 == 1
    if begins_white and count % 2 == 1:  # such a board does not exist: its first row was never seen
        low, count, begins_white = low - 1, count + 1, False
    kind: BoardKind = "charuco"
    if layout.ordering == "charuco":
        first = layout.phase + low // 2 * layout.columns + low % 2 * (layout.columns // 2)
    else:
        kind = "markers" if layout.ordering == "down" and key.border == 1 else "aprilgrid"
        first = layout.phase + (low if layout.ordering == "down" else -high) * layout.columns
    if (kind == "aprilgrid") != (key.border == 2) or (layout.ordering == "up") != (key.border == 2):
        return None
    try:
        share = float(np.median([s.share for s in seen]))
        board = Board(
            kind=kind,
            columns=layout.columns,
            rows=count,
            square_mm=square_mm,
            marker_mm=min(round(share * square_mm, 1), square_mm * (0.99 if kind == "charuco" else 1.0)),
            dictionary=smallest_dictionary(key.family, max(times) + 1),
            first_id=first,
            legacy=begins_white,
            inverted=key.inverted,
            back="numbered" if numbered else "auto" if kind != "aprilgrid" else "none",
        )
    except CoreError:
        return None
    return board


def _single_marker(markers: Sequence[dict[MarkerStyle, StyledMarkers]], square_mm: float) -> RecognizedBoard | None:
    """Recognise a board of one marker: the only one, the same in all images that show any."""
    seen: dict[tuple[str, bool, int], dict[bool, set[int]]] = defaultdict(lambda: {False: set(), True: set()})
    shown: set[int] = set()
    for image, styles in enumerate(markers):
        for style, found in styles.items():
            if style.border == 1:
                shown.add(image)
                for number in found.number:
                    seen[style.family, style.inverted, int(number)][style.mirrored].add(image)
    if not seen:
        return None
    # A mirrored marker may look like another one: the one with the smaller number is meant.
    (family, inverted, number), sides = max(
        seen.items(), key=lambda item: (len(item[1][False] | item[1][True]), -item[0][2])
    )
    images = sides[False] | sides[True]
    if len(images) < _LEAST_SINGLE or 2 * len(images) < len(shown):
        return None
    board = Board(
        kind="markers",
        columns=1,
        rows=1,
        square_mm=square_mm,
        marker_mm=square_mm,
        dictionary=smallest_dictionary(family, number + 1),
        first_id=number,
        inverted=inverted,
    )
    return RecognizedBoard(board=board, images=tuple(sorted(sides[False])), mirrored=tuple(sorted(sides[True])))


def _chessboard(images: Sequence[U8], square_mm: float) -> RecognizedBoard | None:
    sizes: dict[int, tuple[int, int]] = {}
    counts: Counter[tuple[int, int]] = Counter()
    # Sample the whole sequence until the result is unambiguous.
    order = [i for begin in range(_STRIDE) for i in range(begin, len(images), _STRIDE)]
    for i in order:
        size = _chessboard_size(images[i])
        if size is not None:
            sizes[i] = size
            counts[size] += 1
            if counts[size] >= _PLAIN:
                break
    least = max(min(_LEAST_IMAGES, len(images)), _WHOLE_SHARE * len(sizes))
    whole = [size for size, count in counts.items() if count >= least]
    if not whole:
        return None
    columns, rows = max(whole, key=lambda size: size[0] * size[1])
    board = Board(kind="chessboard", columns=columns, rows=rows, square_mm=square_mm, back="none")
    return RecognizedBoard(
        board=board, images=tuple(i for i, size in sizes.items() if size == (columns, rows)), mirrored=()
    )


def _chessboard_size(image: U8) -> tuple[int, int] | None:
    """Return the squares, columns before rows, of the largest chessboard in an image; None if there is none."""
    import cv2

    scale = min(1.0, _CHESSBOARD_PX / max(image.shape))
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else image
    flags = cv2.CALIB_CB_LARGER | cv2.CALIB_CB_NORMALIZE_IMAGE
    found, xy, meta = cv2.findChessboardCornersSBWithMeta(small, (3, 3), flags)
    if not found or meta is None:
        return None
    rows, columns = meta.shape[:2]
    corners_px = np.asarray(xy, np.float64).reshape(rows, columns, 2)
    return (max(rows, columns) + 1, min(rows, columns) + 1) if _is_chessboard(small, corners_px) else None


def _is_chessboard(image: Any, corners_px: F64) -> bool:
    """Return True if the squares are uniform and alternate; those of a ChArUco board contain markers."""
    import cv2

    rows, columns = corners_px.shape[:2]
    mean, spread = np.zeros((rows - 1, columns - 1)), np.zeros((rows - 1, columns - 1))
    side = 10
    flat = np.array([(0, 0), (side, 0), (side, side), (0, side)], np.float32)
    inner = slice(side // 5, side - side // 5)
    for r in range(rows - 1):
        for c in range(columns - 1):
            quad = corners_px[[r, r, r + 1, r + 1], [c, c + 1, c + 1, c]].astype(np.float32)
            to_image: Any = cv2.getPerspectiveTransform(flat, quad)
            square = cv2.warpPerspective(image, to_image, (side, side), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
            mean[r, c], spread[r, c] = square[inner, inner].mean(), square[inner, inner].std()
    even = np.indices(mean.shape).sum(0) % 2 == 0
    contrast = abs(float(mean[even].mean() - mean[~even].mean()))
    return contrast > _LEAST_CONTRAST and all(
        float(np.median(spread[part])) < _SQUARE_SPREAD * contrast for part in (even, ~even)
    )
