"""Detect the points of a board in an image."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from core.board.decode import decode_tags
from core.board.pattern import Board
from core.types.arrays import F64, I64, U8

Found = tuple[I64, F64]
LEAST_POINTS = 4
"""Points that an image must show: those of a single marker."""
_MEASURABLE_PX = 20.0  # side below which a marker's corners are too uncertain to measure it
# Side of the adaptive threshold window relative to the image's: one window detects what OpenCV's three do, in a
# third of the time.
_WINDOW = 1 / 48
_CHESSBOARD_PX = 960  # longer side of the image in which a chessboard is searched
NOTHING_FOUND: Found = (np.zeros(0, np.int64), np.zeros((0, 2)))


class BoardDetector:
    """Detector of one board. Thread-safe: OpenCV's detectors are kept per thread.

    Args:
        board: Board to detect.
    """

    def __init__(self, board: Board) -> None:
        self.board = board
        self._local = threading.local()

    def find(self, gray: U8) -> Found:
        """Detect the points of the board in one image.

        Args:
            gray: (H, W) uint8.

        Returns:
            Indices into `Board.points_mm` (n,), increasing, and image coordinates (n, 2) px; empty with fewer than
            four points.
        """
        image = 255 - gray if self.board.inverted else gray
        if self.board.kind == "chessboard":
            return _chessboard(self.board, image)
        if self.board.kind == "aprilgrid":
            return self._aprilgrid(image)
        markers, charuco = self._detectors(image.shape)
        corners, ids, _ = markers.detectMarkers(image)
        if ids is None:
            return NOTHING_FOUND
        number, quads_px = ids.ravel(), np.concatenate(corners).reshape(-1, 4, 2)
        on_back = number >= self.board.markers_per_side
        back = int(on_back.sum()) * 2 > len(on_back)
        chosen = on_back == back
        if back and self.board.back != "numbered":
            # Some mirrored markers equal themselves or others; the known side resolves this, so detect all.
            corners, ids, _ = self._mirrored_detector(image.shape).detectMarkers(image)
            if ids is None:
                return NOTHING_FOUND
            number, quads_px = ids.ravel(), np.concatenate(corners).reshape(-1, 4, 2)
            chosen = np.ones(len(number), bool)
        number, quads_px = number[chosen] % self.board.markers_per_side, quads_px[chosen]
        if self.board.kind == "markers":
            point = (number[:, None] * 4 + np.arange(4)).ravel()
            # The corners of a mirrored marker start at its top right.
            order = [1, 0, 3, 2] if back and self.board.back != "numbered" else [0, 1, 2, 3]
            found = _sorted(point, quads_px[:, order])
        else:
            found = self._squares(charuco, image, number, quads_px, mirrored=back and self.board.back != "numbered")
        return (found[0] + self.board.points_per_side, found[1]) if back else found

    def marker_mm(self, gray: U8, point: I64, xy_px: F64) -> float:
        """Measure the side of the markers in mm; NaN if that is impossible.

        Args:
            gray: (H, W) uint8.
            point: (n,) indices of the chessboard corners in the same image.
            xy_px: (n, 2) image coordinates of these corners.
        """
        import cv2

        image = 255 - gray if self.board.inverted else gray
        parameters = self._detectors(image.shape)[0].getDetectorParameters()
        # Contours lie inside a blurred edge, which would make small markers even smaller.
        parameters.cornerRefinementMethod = cv2.aruco.CORNER_REFINE_SUBPIX
        corners, ids, _ = cv2.aruco.ArucoDetector(self.board.markers(), parameters).detectMarkers(image)
        if ids is None or len(point) < LEAST_POINTS:
            return float("nan")
        quads_px = np.concatenate(corners).reshape(-1, 4, 2)
        if np.median(np.linalg.norm(quads_px - np.roll(quads_px, 1, axis=1), axis=-1)) < _MEASURABLE_PX:
            return float("nan")
        to_board: Any = cv2.findHomography(xy_px, self.board.points_mm[point][:, :2])[0]
        if to_board is None:
            return float("nan")
        corners_px = quads_px.reshape(-1, 1, 2).astype(np.float64)
        quads_mm = cv2.perspectiveTransform(corners_px, to_board).reshape(-1, 4, 2)
        return float(np.median(np.linalg.norm(quads_mm - np.roll(quads_mm, 1, axis=1), axis=-1)))

    def _aprilgrid(self, image: U8) -> Found:
        """Detect the corners of tags, each of which touches a small square: there they are refined."""
        import cv2

        tags = decode_tags(image, self.board.dictionary)
        number, quads_px = tags.number - self.board.first_id, tags.quads_px
        ours = (number >= 0) & (number < self.board.markers_per_side)
        if not ours.any():
            return NOTHING_FOUND
        number, quads_px = number[ours], quads_px[ours]
        side = float(np.median(np.linalg.norm(quads_px - np.roll(quads_px, 1, axis=1), axis=-1)))
        half = int(np.clip(side * (self.board.square_mm / self.board.marker_mm - 1) / 3, 1, 8))
        stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 30, 0.01)
        start = quads_px.reshape(-1, 1, 2).astype(np.float32)
        corners_px = cv2.cornerSubPix(image, start, (half, half), (-1, -1), stop)
        return _sorted((self.board.marker_position(number)[:, None] * 4 + np.arange(4)).ravel(), corners_px)

    def _squares(self, charuco: Any, image: U8, number: I64, quads_px: F64, *, mirrored: bool) -> Found:
        """Detect chessboard corners between detected markers; a mirrored board in the mirrored image."""
        if len(number) < 2:
            return NOTHING_FOUND
        last = image.shape[1] - 1
        if mirrored:
            image = np.ascontiguousarray(image[:, ::-1])
            quads_px = (quads_px * (-1, 1) + (last, 0))[:, [1, 0, 3, 2]]
        quads = [quad[None].astype(np.float32) for quad in quads_px]
        xy, ids, _, _ = charuco.detectBoard(image, None, None, quads, number[:, None].astype(np.int32))
        if ids is None or len(ids) < LEAST_POINTS:
            return NOTHING_FOUND
        point, xy = _sorted(ids, xy)
        return point, xy * (-1, 1) + (last, 0) if mirrored else xy

    def _mirrored_detector(self, shape: tuple[int, ...]) -> Any:
        """Return OpenCV's detector of the front's markers, mirrored."""
        import cv2

        if not hasattr(self._local, "mirrored"):
            self._local.mirrored = {}
        detectors: dict[tuple[int, ...], Any] = self._local.mirrored
        if shape not in detectors:
            parameters = self._detectors(shape)[0].getDetectorParameters()
            detectors[shape] = cv2.aruco.ArucoDetector(self.board.markers(front=False), parameters)
        return detectors[shape]

    def _detectors(self, shape: tuple[int, ...]) -> tuple[Any, Any]:
        """Return OpenCV's detectors of markers and of chessboard corners for images of this shape."""
        import cv2

        if not hasattr(self._local, "detectors"):
            self._local.detectors = {}
        detectors: dict[tuple[int, ...], tuple[Any, Any]] = self._local.detectors
        if shape not in detectors:
            parameters = cv2.aruco.DetectorParameters()
            window = int(max(shape) * _WINDOW) | 1
            parameters.adaptiveThreshWinSizeMin = parameters.adaptiveThreshWinSizeMax = max(window, 5)
            charuco = None
            if self.board.kind == "charuco":
                charuco = cv2.aruco.CharucoDetector(self.board.pattern())
            else:
                parameters.cornerRefinementMethod = cv2.aruco.CORNER_REFINE_SUBPIX
            detectors[shape] = (cv2.aruco.ArucoDetector(self.board.markers(), parameters), charuco)
        return detectors[shape]


def _sorted(ids: Any, xy: Any) -> Found:
    point, corners_px = np.asarray(ids, np.int64).ravel(), np.asarray(xy, np.float64).reshape(-1, 2)
    point, first = np.unique(point, return_index=True)  # a marker detected twice, as in a mirror, counts once
    return point, corners_px[first]


def _chessboard(board: Board, image: U8) -> Found:
    """Detect all corners of a chessboard, in the order of the board, or none."""
    import cv2

    columns, rows = board.grid
    scale = min(1.0, _CHESSBOARD_PX / max(image.shape))
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else image
    if not cv2.checkChessboard(small, (columns, rows)):
        return NOTHING_FOUND
    ok, xy = cv2.findChessboardCornersSB(small, (columns, rows), flags=cv2.CALIB_CB_NORMALIZE_IMAGE)
    if not ok:
        return NOTHING_FOUND
    corners_px = np.asarray(xy, np.float64).reshape(rows, columns, 2)
    if scale < 1:
        full = (corners_px + 0.5) / scale - 0.5
        pitch = float(np.median(np.linalg.norm(np.diff(full, axis=1), axis=-1)))
        half = int(np.clip(pitch / 4, 2, 11))
        stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 30, 0.01)
        refined = cv2.cornerSubPix(image, full.reshape(-1, 1, 2).astype(np.float32), (half, half), (-1, -1), stop)
        corners_px = np.asarray(refined, np.float64).reshape(rows, columns, 2)
    return np.arange(rows * columns), _in_order(board, corners_px, image).reshape(-1, 2)


def _in_order(board: Board, corners_px: F64, image: U8) -> F64:
    """Reorder corners (rows, columns, 2) so that they start at the first corner of the board.

    Seen from the front, columns, rows and the view make a right-handed set, and the first corner has black squares
    diagonally before and behind it. On an ambiguous board (`Board.ambiguous`) the first corner is the one further
    up in the image.
    """
    across, down = corners_px[0, -1] - corners_px[0, 0], corners_px[-1, 0] - corners_px[0, 0]
    if across[0] * down[1] - across[1] * down[0] < 0:
        corners_px = corners_px[:, ::-1]
    turned = corners_px[::-1, ::-1]
    if board.ambiguous:
        return np.asarray(turned if turned[0, 0] @ (1, 2) < corners_px[0, 0] @ (1, 2) else corners_px)
    return np.asarray(corners_px if _first_is_dark(corners_px, image) else turned)


def _first_is_dark(corners_px: F64, image: U8) -> bool:
    """Return True if the squares at even positions are darker than their neighbours."""
    middle = (corners_px[:-1, :-1] + corners_px[1:, 1:]) / 2
    x, y = (np.clip(np.rint(middle[..., i]).astype(int), 0, image.shape[1 - i] - 1) for i in (0, 1))
    value = image[y, x].astype(float)
    rows, columns = np.indices(value.shape)
    even = (rows + columns) % 2 == 0
    return bool(value[even].mean() < value[~even].mean())
