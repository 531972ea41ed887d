"""Boards: their points, their sheets, and their detection."""

from __future__ import annotations

import base64
import dataclasses
import re
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from core.board.detect import BoardDetector
from core.board.pattern import Board
from core.board.sheet import paper_for, rectangles_mm, save_sheet, size_mm
from core.errors import CoreError

BOARDS = {
    "charuco": Board(columns=5, rows=7, square_mm=40, marker_mm=30),
    "inverted": Board(columns=4, rows=5, square_mm=54, marker_mm=40.5, dictionary="DICT_4X4_1000", inverted=True),
    "legacy": Board(columns=6, rows=4, square_mm=30, marker_mm=22, legacy=True, dictionary="DICT_5X5_100"),
    "chessboard": Board(kind="chessboard", columns=8, rows=7, square_mm=25),
    "apriltags": Board(kind="markers", columns=3, rows=2, square_mm=50, marker_mm=40, dictionary="DICT_APRILTAG_36h11"),
    "aprilgrid": Board(
        kind="aprilgrid", columns=4, rows=3, square_mm=78, marker_mm=60, dictionary="DICT_APRILTAG_36h11", first_id=5
    ),
    "inverted aprilgrid": Board(
        kind="aprilgrid", columns=4, rows=3, square_mm=39, marker_mm=30, dictionary="DICT_APRILTAG_36h11", inverted=True
    ),
    "one marker": Board(kind="markers", columns=1, rows=1, square_mm=90, marker_mm=90, first_id=7),
    "mirrored": Board(columns=5, rows=4, square_mm=40, marker_mm=30, back="mirrored", thickness_mm=5),
    "numbered": Board(columns=5, rows=4, square_mm=40, marker_mm=30, back="numbered", thickness_mm=5),
}


def photograph(board: Board, folder: Path, *, back: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Return a tilted image (720, 1280) of a printed side, and the homography from its mm to px."""
    files = save_sheet(board, folder / "board.png")
    print_ = cv2.imread(str(files[-1] if back else files[0]), cv2.IMREAD_GRAYSCALE)
    high, wide = print_.shape
    corners = np.float32([[0, 0], [wide, 0], [wide, high], [0, high]]) - 0.5
    seen = np.float32([[390, 130], [900, 90], [960, 600], [340, 640]])
    to_image = cv2.getPerspectiveTransform(corners, seen)
    image = cv2.warpPerspective(print_, to_image, (1280, 720), flags=cv2.INTER_AREA, borderValue=90)
    width_mm, _ = size_mm(board)
    margin = round(board.square_mm * (wide / (width_mm + board.square_mm)) / 2)
    scale = (wide - 2 * margin) / width_mm
    to_print = np.array([[scale, 0, margin - 0.5], [0, scale, margin - 0.5], [0, 0, 1]])
    return cv2.GaussianBlur(image, (3, 3), 0), to_image @ to_print


@pytest.mark.parametrize("name", BOARDS)
def test_a_printed_board_is_detected_where_it_is(name: str, tmp_path: Path) -> None:
    board = BOARDS[name]
    image, to_px = photograph(board, tmp_path)
    point, xy = BoardDetector(board).find(image)
    assert list(point) == list(range(board.points_per_side))
    places = board.points_mm[point][:, :2]
    if board.kind == "chessboard":
        places = places + board.square_mm  # counted from the first inner corner
    if board.kind == "aprilgrid":
        places = places + board.square_mm - board.marker_mm  # inside the outer small squares
    expected = cv2.perspectiveTransform(places[:, None], to_px)[:, 0]
    assert np.linalg.norm(xy - expected, axis=-1).max() < 0.6


@pytest.mark.parametrize("name", ["mirrored", "numbered"])
def test_the_back_of_a_board_is_distinguished_from_its_front(name: str, tmp_path: Path) -> None:
    board = BOARDS[name]
    image, to_px = photograph(board, tmp_path, back=True)
    point, xy = BoardDetector(board).find(image)
    assert list(point) == list(range(board.points_per_side, 2 * board.points_per_side))
    places = board.points_mm[point]
    assert (places[:, 2] == 5).all()
    # Seen from behind, the board's x axis points left.
    seen_mm = np.stack([board.width_mm - places[:, 0], places[:, 1]], -1)
    expected = cv2.perspectiveTransform(seen_mm[:, None], to_px)[:, 0]
    assert np.linalg.norm(xy - expected, axis=-1).max() < 0.6


def test_a_mirrored_back_is_detected_automatically(tmp_path: Path) -> None:
    board = BOARDS["charuco"]
    image, _ = photograph(board, tmp_path)
    point, _ = BoardDetector(board).find(np.ascontiguousarray(image[:, ::-1]))
    assert point.min() == board.points_per_side
    assert not len(BoardDetector(dataclasses.replace(board, back="none")).find(np.ascontiguousarray(image[:, ::-1]))[0])


def test_a_chessboard_rotated_by_180_degrees_is_recognised_by_its_colours(tmp_path: Path) -> None:
    board = BOARDS["chessboard"]
    image, _ = photograph(board, tmp_path)
    _, upright = BoardDetector(board).find(image)
    _, rotated = BoardDetector(board).find(np.ascontiguousarray(image[::-1, ::-1]))
    back = np.array([1279, 719]) - rotated
    assert np.linalg.norm(back - upright, axis=-1).max() < 0.3
    assert not board.ambiguous
    assert dataclasses.replace(board, columns=9).ambiguous


def test_the_size_of_markers_reveals_a_wrong_square(tmp_path: Path) -> None:
    board = BOARDS["charuco"]
    image, _ = photograph(board, tmp_path)
    for square in (40.0, 50.0):
        resized = dataclasses.replace(board, square_mm=square)
        detector = BoardDetector(resized)
        assert detector.marker_mm(image, *detector.find(image)) == pytest.approx(30 * square / 40, rel=0.04)


def test_nothing_is_detected_in_noise() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (480, 640)).astype(np.uint8)
    for board in BOARDS.values():
        assert not len(BoardDetector(board).find(noise)[0])


def test_a_pdf_has_the_true_size(tmp_path: Path) -> None:
    board = BOARDS["charuco"]
    (path,) = save_sheet(board, tmp_path / "board.pdf")
    data = path.read_bytes()
    box = [float(v) for v in re.search(rb"/MediaBox \[([^\]]+)\]", data).group(1).split()]  # type: ignore[union-attr]
    assert [v / 72 * 25.4 for v in box[2:]] == pytest.approx([297, 420], abs=0.01)  # A3: 200 x 280 mm and margins
    streams = re.findall(rb"stream\r?\n(.*?)endstream", data, re.S)
    text = zlib.decompress(_ascii85(streams[0])).decode("latin-1")
    drawn = [[float(v) for v in m] for m in re.findall(r"([-\d.]+) ([-\d.]+) ([-\d.]+) ([-\d.]+) re", text)]
    squares = [r for r in drawn if abs(r[2] / 72 * 25.4 - 40) < 1e-3 and abs(r[3] / 72 * 25.4 - 40) < 1e-3]
    assert len(squares) == 18
    assert len(drawn) == len(rectangles_mm(board)) + 1


def _ascii85(data: bytes) -> bytes:
    return base64.a85decode(b"<~" + data.strip(), adobe=True)


def test_boards_too_large_for_a_sheet_are_refused(tmp_path: Path) -> None:
    assert paper_for(BOARDS["inverted"])[0] == "a3"
    with pytest.raises(CoreError, match="does not fit A4"):
        save_sheet(BOARDS["charuco"], tmp_path / "b.pdf", "a4")
    with pytest.raises(CoreError, match="neither a PDF nor a PNG"):
        save_sheet(BOARDS["charuco"], tmp_path / "b.jpg")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"columns": 2}, "not possible"),
        ({"square_mm": -5}, "not possible"),
        ({"marker_mm": 40}, "do not fit"),
        ({"dictionary": "DICT_9X9_1"}, "Unknown marker dictionary"),
        ({"columns": 30, "rows": 30, "dictionary": "DICT_4X4_50"}, "has 50 markers"),
        ({"kind": "chessboard", "back": "mirrored"}, "cannot be two-sided"),
        ({"thickness_mm": -1}, "not possible"),
    ],
)
def test_impossible_boards_are_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(CoreError, match=message):
        dataclasses.replace(Board(columns=5, rows=7, square_mm=40, marker_mm=30), **wrong)  # type: ignore[arg-type]
