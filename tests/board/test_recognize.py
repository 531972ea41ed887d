"""Boards are recognised in a few images, whatever they are; other things are not taken for boards."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest

from core.board.detect import BoardDetector
from core.board.pattern import Board
from core.board.recognize import recognize_board
from core.board.sheet import render_board
from core.types.arrays import U8

CORNERS = (
    ((150, 60), (520, 90), (500, 400), (120, 380)),
    ((200, 40), (480, 130), (470, 360), (180, 440)),
    ((90, 120), (430, 30), (460, 420), (140, 350)),
)
BOARDS = {
    "charuco": Board(columns=7, rows=5),
    "high charuco": Board(columns=4, rows=7, dictionary="DICT_7X7_50"),
    "first marker 18": Board(columns=7, rows=5, dictionary="DICT_5X5_100", first_id=18),
    "first marker 200": Board(columns=5, rows=4, dictionary="DICT_6X6_1000", first_id=200),
    "inverted": Board(columns=4, rows=5, inverted=True),
    "legacy": Board(columns=6, rows=4, legacy=True),
    "legacy from 6": Board(columns=5, rows=6, legacy=True, first_id=6, dictionary="DICT_ARUCO_ORIGINAL"),
    "apriltags": Board(kind="markers", columns=5, rows=3, square_mm=50, marker_mm=40, dictionary="DICT_APRILTAG_25h9"),
    "inverted grid": Board(kind="markers", columns=3, rows=3, dictionary="DICT_ARUCO_MIP_36h12", inverted=True),
    "column of markers": Board(kind="markers", columns=2, rows=4, first_id=3),
    "one marker": Board(kind="markers", columns=1, rows=1, square_mm=90, marker_mm=90, first_id=7),
    "aprilgrid": Board(
        kind="aprilgrid", columns=6, rows=4, square_mm=78, marker_mm=60, dictionary="DICT_APRILTAG_36h11"
    ),
    "chessboard": Board(kind="chessboard", columns=9, rows=6, back="none"),
    "even chessboard": Board(kind="chessboard", columns=8, rows=6, back="none"),
}


def photographs(board: Board, *, hidden: bool = False) -> list[U8]:
    """Return three tilted images of a board, of which a hand hides a part if `hidden`."""
    print_ = render_board(board)
    high, wide = print_.shape
    flat = np.array([(0, 0), (wide, 0), (wide, high), (0, high)], np.float32)
    rng = np.random.default_rng(1)
    images = []
    for number, corners in enumerate(CORNERS):
        to_image = cv2.getPerspectiveTransform(flat, np.array(corners, np.float32) * 2)
        image = cv2.warpPerspective(print_, to_image, (1280, 960), borderValue=110)
        image = cv2.resize(image, (640, 480), interpolation=cv2.INTER_AREA)
        if hidden:
            cv2.circle(image, (200 + 110 * number, 200 + 40 * number), 45, 150, -1)
        images.append(np.clip(image + rng.normal(0, 2, image.shape), 0, 255).astype(np.uint8))
    return images


def alike(board: Board) -> tuple[object, ...]:
    """Return what the images show of a board, in a form that can be compared."""
    codes = b"" if board.kind == "chessboard" else board.markers(back=False).bytesList.tobytes()
    legacy = board.kind == "charuco" and board.legacy and board.rows % 2 == 0
    return board.kind, board.columns, board.rows, board.first_id, legacy, board.inverted, codes


@pytest.mark.parametrize("name", BOARDS)
def test_a_board_is_recognised(name: str) -> None:
    board = BOARDS[name]
    found = recognize_board(photographs(board), board.square_mm)
    assert found is not None and alike(found.board) == alike(board)
    assert len(found.images) == 3 and not found.mirrored
    if board.columns > 1 and board.kind != "chessboard":
        assert found.board.marker_mm == pytest.approx(board.marker_mm, rel=0.06)


@pytest.mark.parametrize("name", ["charuco", "inverted", "legacy", "aprilgrid", "column of markers", "one marker"])
def test_a_mirrored_board_is_recognised_and_told_from_its_front(name: str) -> None:
    board = BOARDS[name]
    found = recognize_board([np.ascontiguousarray(image[:, ::-1]) for image in photographs(board)], board.square_mm)
    assert found is not None and alike(found.board) == alike(board)
    assert not found.images and len(found.mirrored) == 3


@pytest.mark.parametrize("name", ["charuco", "inverted", "aprilgrid", "apriltags"])
def test_a_board_that_a_hand_covers_in_part_is_recognised(name: str) -> None:
    board = BOARDS[name]
    found = recognize_board(photographs(board, hidden=True), board.square_mm)
    assert found is not None and alike(found.board) == alike(board)


def test_a_chessboard_that_is_whole_in_some_images_only_is_recognised() -> None:
    board = BOARDS["chessboard"]
    images = photographs(board) + [image[:, :330] for image in photographs(board)]
    found = recognize_board([np.ascontiguousarray(image) for image in images])
    assert found is not None and alike(found.board) == alike(board)


def test_a_marker_on_the_wall_is_not_taken_for_the_board() -> None:
    board = BOARDS["chessboard"]
    images = photographs(board)
    for image in images:
        image[5:65, 5:65] = cv2.resize(render_board(BOARDS["one marker"]), (60, 60), interpolation=cv2.INTER_AREA)
    found = recognize_board(images)
    assert found is not None and alike(found.board) == alike(board)


def test_both_sides_of_a_board_are_one_board() -> None:
    board = Board(columns=6, rows=4, back="numbered", thickness_mm=5)
    back = dataclasses.replace(board, back="none", first_id=board.markers_per_side, dictionary="DICT_4X4_100")
    found = recognize_board(photographs(dataclasses.replace(board, back="none")) + photographs(back))
    assert found is not None
    assert (found.board.columns, found.board.rows, found.board.back) == (6, 4, "numbered")


def test_nothing_else_is_taken_for_a_board() -> None:
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 255, (240, 320)).astype(np.uint8) for _ in range(4)]
    blocks = [np.kron(rng.integers(0, 2, (24, 32)) * 255, np.ones((10, 10))).astype(np.uint8) for _ in range(6)]
    tiles = [np.kron(rng.integers(60, 200, (6, 8)), np.ones((40, 40))).astype(np.uint8) for _ in range(4)]
    assert recognize_board(noise) is None
    assert recognize_board(blocks) is None
    assert recognize_board(tiles) is None


def test_a_board_with_markers_of_no_dictionary_is_not_taken_for_a_chessboard() -> None:
    rng = np.random.default_rng(3)
    images = []
    for image in photographs(BOARDS["chessboard"]):
        quad = np.array(CORNERS[len(images)], np.float32)
        flat = np.array([(0, 0), (90, 0), (90, 60), (0, 60)], np.float32)
        cells = np.argwhere(np.indices((6, 9)).sum(0) % 2 == 1)
        for r, c in cells:
            place = np.array(
                [[(10 * c + 2, 10 * r + 2), (10 * c + 8, 10 * r + 2), (10 * c + 8, 10 * r + 8)]], np.float32
            )
            corner = cv2.perspectiveTransform(place, cv2.getPerspectiveTransform(flat, quad))[0]
            cv2.fillConvexPoly(image, corner.astype(int), int(rng.integers(0, 40)))
        images.append(image)
    assert recognize_board(images) is None


def test_an_aprilgrid_is_detected_where_its_tags_are_small() -> None:
    board = BOARDS["aprilgrid"]
    for image in photographs(board):
        small = cv2.resize(image, None, fx=0.7, fy=0.7, interpolation=cv2.INTER_AREA)
        point, xy_px = BoardDetector(board).find(np.asarray(small, np.uint8))
        assert len(point) > 0.75 * board.points_per_side
        to_image = cv2.findHomography(board.points_mm[point][:, :2], xy_px)[0]
        error = cv2.perspectiveTransform(board.points_mm[point][:, None, :2], to_image)[:, 0] - xy_px
        assert np.sqrt((error**2).sum(-1).mean()) < 0.3
