"""Calibration board: its pattern, its points and their order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from core.errors import CoreError
from core.types.arrays import F64, I64

BoardKind = Literal["charuco", "chessboard", "markers", "aprilgrid", "auto"]
Back = Literal["auto", "none", "mirrored", "numbered"]
DICTIONARIES = (
    *(f"DICT_{bits}X{bits}_{count}" for bits in (4, 5, 6, 7) for count in (50, 100, 250, 1000)),
    "DICT_ARUCO_ORIGINAL",
    "DICT_ARUCO_MIP_36h12",
    *(f"DICT_APRILTAG_{name}" for name in ("16h5", "25h9", "36h10", "36h11")),
)
_SQUARE_MM, _MARKER_SHARE = 40.0, 0.75


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """Flat pattern of known size; the kind "auto" stands for a board that is recognised in the images.

    Board coordinates: x along the columns, y down along the rows as printed, z into the board, mm; the origin is the
    outer corner of the first square (charuco), its inner corner (chessboard) or the first marker's first corner.

    Attributes:
        kind: Pattern of the board: "charuco", "chessboard", "markers" for a grid of ArUco or AprilTag markers, which
            may be a single one, "aprilgrid" for Kalibr's grid of AprilTags, numbered from the bottom and joined by
            small squares, or "auto" to recognise everything but the size in the images.
        columns: Number of squares or markers per row.
        rows: Number of squares or markers per column.
        square_mm: Side of a square; for markers, the distance between the same edges of neighbouring markers. If
            omitted 40, or unknown for "auto".
        marker_mm: Side of a marker; unused by chessboards. If omitted three quarters of a square, or measured in the
            images for "auto".
        dictionary: Name of the marker dictionary in OpenCV.
        first_id: Number of the first marker.
        legacy: ChArUco pattern of OpenCV before 4.6, which begins with a white square if the number of rows is even.
        inverted: Black and white are exchanged in print.
        back: Pattern on the back: "none"; "mirrored", with each corner behind the same corner of the front; "numbered",
            with marker numbers that continue those of the front, upright when the board is turned about its vertical
            axis; or "auto", which detects a mirrored back. A chessboard has no back.
        thickness_mm: Distance between the patterns on front and back.
    """

    kind: BoardKind = "charuco"
    columns: int = 7
    rows: int = 5
    square_mm: float = 0.0
    marker_mm: float = 0.0
    dictionary: str = "DICT_4X4_100"
    first_id: int = 0
    legacy: bool = False
    inverted: bool = False
    back: Back = "auto"
    thickness_mm: float = 0.0

    def __post_init__(self) -> None:
        if self.kind == "auto":
            if not 0 <= self.square_mm < 10_000:
                raise CoreError(
                    f"A square of {self.square_mm:g} mm is not possible.", "Measure a printed square in mm."
                )
            return
        if not self.square_mm:
            object.__setattr__(self, "square_mm", _SQUARE_MM)
        if not self.marker_mm:
            object.__setattr__(self, "marker_mm", _MARKER_SHARE * self.square_mm)
        least = 1 if self.is_grid else 3
        if min(self.columns, self.rows) < least or max(self.columns, self.rows) > 60:
            raise CoreError(
                f"A {self.kind} board of {self.columns} x {self.rows} is not possible.",
                f"Count {'markers' if self.is_grid else 'squares'}, at least {least} each way.",
            )
        if not 0 < self.square_mm < 10_000:
            raise CoreError(f"A square of {self.square_mm:g} mm is not possible.", "Measure a printed square in mm.")
        if not 0 <= self.thickness_mm < 500:
            raise CoreError(f"A board {self.thickness_mm:g} mm thick is not possible.", "Measure its thickness in mm.")
        if self.kind == "chessboard":
            if self.back not in ("auto", "none"):
                raise CoreError("A chessboard cannot be two-sided: its sides look alike.", "Use a ChArUco board.")
            return
        if self.kind == "aprilgrid" and self.back not in ("auto", "none"):
            raise CoreError("An AprilGrid has no back.", "Use a ChArUco board.")
        if not 0 < self.marker_mm <= self.square_mm or (self.kind == "charuco" and self.marker_mm >= self.square_mm):
            raise CoreError(
                f"Markers of {self.marker_mm:g} mm do not fit squares of {self.square_mm:g} mm.",
                "Measure the black square of a marker and a whole chessboard square, both in mm.",
            )
        if self.dictionary not in DICTIONARIES:
            raise CoreError(f"Unknown marker dictionary '{self.dictionary}'.", f"Known: {', '.join(DICTIONARIES)}.")
        size = len(dictionary(self.dictionary).bytesList)
        if self.first_id < 0 or self.first_id + self.n_markers > size:
            raise CoreError(
                f"{self.dictionary} has {size} markers; this board needs markers {self.first_id} to"
                f" {self.first_id + self.n_markers - 1}.",
                "Choose a larger dictionary or a smaller board.",
            )

    @classmethod
    def from_text(cls, text: str, where: str) -> Board:
        """Return the board of a setting that is a single word: "auto".

        Raises:
            CoreError: Another word.
        """
        if text != "auto":
            raise CoreError(f"'{where}' cannot be {text!r}.", f"Write auto, or settings such as {where}.kind=charuco.")
        return cls(kind="auto")

    @property
    def is_grid(self) -> bool:
        """True if the board is a grid of markers, without chessboard corners."""
        return self.kind in ("markers", "aprilgrid")

    @property
    def border_bits(self) -> int:
        """Width of the black border of a marker in bits."""
        return 2 if self.kind == "aprilgrid" else 1

    @property
    def two_sided(self) -> bool:
        """True if the back has points."""
        return self.kind in ("charuco", "markers") and self.back != "none"

    @property
    def markers_per_side(self) -> int:
        """Number of markers on one side."""
        if self.kind == "chessboard":
            return 0
        return self.columns * self.rows // (2 if self.kind == "charuco" else 1)

    @property
    def n_markers(self) -> int:
        """Number of different markers on both sides."""
        return self.markers_per_side * (2 if self.back == "numbered" else 1)

    @property
    def grid(self) -> tuple[int, int]:
        """Columns and rows of the grid of chessboard corners, or of markers."""
        if self.kind == "auto":
            raise CoreError("The board is not known yet.", "Choose its kind, or recognise it in a take first.")
        less = 0 if self.is_grid else 1
        return self.columns - less, self.rows - less

    @property
    def points_per_side(self) -> int:
        """Number of points on one side."""
        columns, rows = self.grid
        return columns * rows * (4 if self.is_grid else 1)

    @property
    def points_mm(self) -> F64:
        """All points (N, 3), front before back, each side row by row; four per marker, clockwise from its top left."""
        columns, rows = self.grid
        at = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), -1).reshape(-1, 2) * self.square_mm
        if self.kind == "charuco":
            at = at + self.square_mm
        elif self.is_grid:
            corners = np.array([(0, 0), (1, 0), (1, 1), (0, 1)]) * self.marker_mm
            at = (at[:, None] + corners).reshape(-1, 2)
        front = np.concatenate([at, np.zeros((len(at), 1))], 1)
        if not self.two_sided:
            return front
        # Rotated about the vertical axis: the left of the back is behind the right of the front.
        across = self.width_mm - at[:, 0] if self.back == "numbered" else at[:, 0]
        back = np.stack([across, at[:, 1], np.full(len(at), self.thickness_mm)], 1)
        return np.concatenate([front, back])

    @property
    def width_mm(self) -> float:
        """Outer width of the pattern."""
        return self._extent(self.columns)

    @property
    def height_mm(self) -> float:
        """Outer height of the pattern."""
        return self._extent(self.rows)

    def marker_position(self, number: I64) -> I64:
        """Return the positions of a grid's markers, row by row from the top left, from their numbers on the board."""
        if self.kind != "aprilgrid":
            return number
        row, column = np.divmod(number, self.columns)
        return (self.rows - 1 - row) * self.columns + column

    def _extent(self, count: int) -> float:
        if self.is_grid:
            return (count - 1) * self.square_mm + self.marker_mm
        return (count if self.kind == "charuco" else count - 2) * self.square_mm

    @property
    def ambiguous(self) -> bool:
        """True if the board looks the same rotated by 180 degrees, so that its orientation is ambiguous."""
        return self.kind == "chessboard" and (self.columns - self.rows) % 2 == 0

    @property
    def title(self) -> str:
        """Short description for lists and findings."""
        if self.kind == "auto":
            return f"{self.pattern_title}, {self.square_mm:g} mm squares" if self.square_mm else self.pattern_title
        sides = f", {self.back} back {self.thickness_mm:g} mm behind" if self.back in ("mirrored", "numbered") else ""
        size = f"{self.marker_mm:g} mm markers" if self.is_grid else f"{self.square_mm:g} mm squares"
        return f"{self.pattern_title}, {size}{sides}"

    @property
    def pattern_title(self) -> str:
        """Short description without sizes."""
        if self.kind == "auto":
            return "board recognised in the images"
        names = {"charuco": "ChArUco", "chessboard": "chessboard", "markers": "marker grid", "aprilgrid": "AprilGrid"}
        text = f"{names[self.kind]} {self.columns} x {self.rows}"
        if self.kind == "chessboard":
            return text
        text += f", {self.dictionary}" + (f" from {self.first_id}" if self.first_id else "")
        return text + (", inverted" if self.inverted else "") + (", legacy pattern" if self.legacy else "")

    def pattern(self) -> Any:
        """Return OpenCV's board of one side, with markers numbered from 0.

        Raises:
            CoreError: A chessboard has no markers.
        """
        import cv2

        if self.kind == "chessboard":
            raise CoreError("A chessboard has no markers.", "Use a ChArUco board.")
        family = self.markers(back=False)
        if self.is_grid:
            gap = self.square_mm - self.marker_mm
            # OpenCV refuses a grid without gaps, even of a single marker.
            return cv2.aruco.GridBoard((self.columns, self.rows), self.marker_mm, max(gap, 1e-3), family)
        board = cv2.aruco.CharucoBoard((self.columns, self.rows), self.square_mm, self.marker_mm, family)
        board.setLegacyPattern(self.legacy)
        return board

    def markers(self, back: bool = True, front: bool = True) -> Any:
        """Return an OpenCV dictionary of only the markers on the board, which makes detection several times faster.

        Args:
            back: True to append the markers of the back, which are further ones of the dictionary or mirrored ones.
            front: True to include the markers of the front.
        """
        import cv2

        whole = dictionary(self.dictionary)
        count = self.n_markers if back else self.markers_per_side
        codes = whole.bytesList[self.first_id : self.first_id + count]
        if back and self.two_sided and self.back != "numbered":
            size = whole.markerSize
            bits = [cv2.aruco.Dictionary.getBitsFromByteList(code[None], size) for code in codes]
            mirrored = [cv2.aruco.Dictionary.getByteListFromBits(np.ascontiguousarray(b[:, ::-1])) for b in bits]
            codes = np.concatenate([codes, *mirrored] if front else mirrored)
        return cv2.aruco.Dictionary(np.ascontiguousarray(codes), whole.markerSize, whole.maxCorrectionBits)


def dictionary(name: str) -> Any:
    """Return OpenCV's dictionary of a name in `DICTIONARIES`."""
    import cv2

    return cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, name))
