"""A take that shows another board than the settings say, or shows it mirrored, says so before it is calibrated."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from core.board.pattern import Board
from core.calibration.board.board_check import WrongBoardError, check_board
from core.calibration.board.session_board import UNKNOWN_BOARD, board_to_print, save_session_board, session_board
from core.config import from_mapping, with_overrides
from core.errors import CoreError
from core.files import read_json
from core.pipelines.params import CalibrateParams
from core.pipelines.verbs import verb
from core.progress import NullReporter, RecordingReporter
from core.session import Session, Take
from core.session.ingest import ingest_videos

sys.path.insert(0, str(Path(__file__).parent))
from board_videos import BOARD, film, small_rig

pytestmark = pytest.mark.slow

CHESSBOARD = Board(kind="chessboard", columns=7, rows=6, square_mm=90)
TAKES: dict[str, tuple[Board, tuple[str, ...]]] = {
    "charuco": (BOARD, ()),
    "numbered": (dataclasses.replace(BOARD, dictionary="DICT_5X5_100", first_id=18), ()),
    "legacy": (dataclasses.replace(BOARD, legacy=True, inverted=True), ()),
    "chessboard": (CHESSBOARD, ()),
    "aprilgrid": (
        Board(kind="aprilgrid", columns=4, rows=3, square_mm=130, marker_mm=100, dictionary="DICT_APRILTAG_36h11"),
        (),
    ),
    "mirrored": (BOARD, ("cam1", "cam2", "cam3")),
    "one mirrored": (BOARD, ("cam2",)),
}


@pytest.fixture(scope="module")
def take(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Take]:
    """Return a function that films a board as in `TAKES`, once each."""
    root = tmp_path_factory.mktemp("boards")
    session = Session.create(root / "session")
    made: dict[str, Take] = {}

    def filmed(name: str) -> Take:
        if name not in made:
            board, mirrored = TAKES[name]
            videos = film(small_rig(), root / name, board=board, seconds=6, mirrored=mirrored)
            made[name] = ingest_videos(session, videos, kind="board", name=name, reporter=NullReporter())
        return made[name]

    return filmed


def wrong(take: Take, given: Board) -> WrongBoardError:
    """Check a board that is not the one in a take."""
    with pytest.raises(WrongBoardError) as raised:
        check_board(take, given, NullReporter())
    return raised.value


@pytest.mark.parametrize("name", ["charuco", "numbered", "legacy", "chessboard", "aprilgrid"])
def test_auto_takes_the_board_of_the_images(take: Callable[[str], Take], name: str) -> None:
    board = TAKES[name][0]
    reporter = RecordingReporter()
    checked = check_board(take(name), Board(kind="auto", square_mm=board.square_mm), reporter)
    assert checked.recognized and not checked.mirrored
    found = dataclasses.replace(checked.board, dictionary=board.dictionary, marker_mm=board.marker_mm, back=board.back)
    assert found == board
    assert checked.board.marker_mm == pytest.approx(board.marker_mm, rel=0.05)
    assert "Recognised" in reporter.notes[-1][0]


def test_the_right_board_passes_without_a_word(take: Callable[[str], Take]) -> None:
    for name in ("charuco", "numbered", "legacy", "chessboard", "aprilgrid"):
        reporter = RecordingReporter()
        board = TAKES[name][0]
        assert check_board(take(name), board, reporter).board == board
        assert not reporter.notes


def test_another_first_marker_is_named_with_the_numbers_seen(take: Callable[[str], Take]) -> None:
    error = wrong(take("numbered"), dataclasses.replace(TAKES["numbered"][0], first_id=0))
    assert "first_id is 18, not 0" in error.message and "18 to 27" in error.message
    assert "first_id=18" in error.hint
    assert error.board == TAKES["numbered"][0]


def test_inner_corners_are_told_from_squares(take: Callable[[str], Take]) -> None:
    for columns, rows in ((6, 5), (5, 6)):
        error = wrong(take("chessboard"), dataclasses.replace(CHESSBOARD, columns=columns, rows=rows))
        assert "count squares" in error.message
        assert (error.board.columns, error.board.rows) == (columns + 1, rows + 1)


@pytest.mark.parametrize(
    ("name", "changes", "named"),
    [
        ("legacy", {"legacy": False}, "legacy is true, not false"),
        ("legacy", {"inverted": False}, "inverted is true, not false"),
        ("charuco", {"columns": 4, "rows": 5}, "columns is 5, not 4, rows is 4, not 5"),
        ("charuco", {"kind": "chessboard", "back": "none"}, "kind is charuco, not chessboard"),
        ("charuco", {"dictionary": "DICT_APRILTAG_36h11"}, "dictionary is DICT_4X4_50"),
        ("aprilgrid", {"kind": "markers"}, "kind is aprilgrid, not markers"),
        ("aprilgrid", {"columns": 3, "rows": 4}, "columns is 4, not 3"),
        ("chessboard", {"kind": "charuco"}, "kind is chessboard, not charuco"),
    ],
)
def test_other_boards_are_named(take: Callable[[str], Take], name: str, changes: dict[str, object], named: str) -> None:
    board = TAKES[name][0]
    error = wrong(take(name), dataclasses.replace(board, **changes))  # type: ignore[arg-type]
    assert named in error.message
    assert error.board.kind == board.kind and error.board.square_mm == board.square_mm


def test_a_board_that_was_cut_is_only_noted(take: Callable[[str], Take]) -> None:
    reporter = RecordingReporter()
    larger = dataclasses.replace(BOARD, rows=5)  # the same markers, and a row that the print lacks
    assert check_board(take("charuco"), larger, reporter).board == larger


def test_the_calibrate_verb_stores_the_right_board_for_the_window(take: Callable[[str], Take]) -> None:
    session = Session.open(take("numbered").layout.root.parents[1])
    run = session.new_run("calibrate")
    given = {"columns": 5, "rows": 4, "square_mm": 120.0, "marker_mm": 90.0, "dictionary": "DICT_5X5_100"}
    with pytest.raises(CoreError, match="first_id is 18"):
        verb("calibrate")(session, {"take": "numbered", "calibration": {"board": given}}, run, NullReporter())
    assert from_mapping(Board, read_json(run.report)["board"]).first_id == 18


def test_an_unknown_size_is_asked_for(take: Callable[[str], Take]) -> None:
    with pytest.raises(CoreError, match=r"ChArUco 5 x 4, DICT_4X4_50\), but the side of its squares is not given"):
        check_board(take("charuco"), UNKNOWN_BOARD, NullReporter())


def test_mirrored_videos_make_the_verdict_an_error(take: Callable[[str], Take]) -> None:
    session = Session.open(take("mirrored").layout.root.parents[1])
    params = {"take": "mirrored", "calibration": {"board": {"kind": "auto", "square_mm": 120.0}}}
    result = verb("calibrate")(session, params, session.new_run("calibrate"), NullReporter())
    assert result["level"] == "error" and "All videos are mirrored" in result["verdict"]
    with pytest.raises(CoreError, match="All videos of take mirrored are mirrored"):
        check_board(take("mirrored"), dataclasses.replace(BOARD, back="none"), NullReporter())


def test_one_mirrored_camera_is_named_and_left_out(take: Callable[[str], Take]) -> None:
    session = Session.open(take("one mirrored").layout.root.parents[1])
    params = {"take": "one mirrored", "calibration": {"board": {"kind": "auto", "square_mm": 120.0}}}
    result = verb("calibrate")(session, params, session.new_run("calibrate"), NullReporter())
    messages = [f["message"] for f in result["findings"] if f["check"] == "mirrored"]
    assert len(messages) == 1 and "The video of cam2 is mirrored" in messages[0]
    truth, rig = small_rig(), session.rig
    assert rig is not None and not rig["cam2"].posed
    apart = np.linalg.norm(rig["cam1"].centre_mm - rig["cam3"].centre_mm)
    assert apart == pytest.approx(np.linalg.norm(truth["cam1"].centre_mm - truth["cam3"].centre_mm), rel=0.02)


def test_a_session_without_a_board_recognises_it(tmp_path: Path) -> None:
    session = Session.create(tmp_path / "session")
    assert session_board(session) == UNKNOWN_BOARD
    assert session_board(session, Board(square_mm=70)) == Board(kind="auto", square_mm=70)
    assert session_board(session, Board(square_mm=70, marker_mm=50)) == Board(kind="auto", square_mm=70, marker_mm=50)
    assert session_board(session, Board(columns=9, square_mm=70)).kind == "charuco"
    assert board_to_print(session) == Board() and board_to_print(session, Board(square_mm=70)).square_mm == 70
    save_session_board(session, BOARD)
    assert session_board(session) == BOARD
    assert session_board(session, Board(square_mm=61)) == dataclasses.replace(BOARD, square_mm=61, marker_mm=45.75)
    assert session_board(session, Board(kind="auto")) == Board(kind="auto", square_mm=BOARD.square_mm)


def test_auto_can_be_given_as_a_word_or_as_a_kind() -> None:
    params = CalibrateParams(take="board")
    assert with_overrides(params, ["calibration.board=auto"]).calibration.board == UNKNOWN_BOARD
    sized = with_overrides(params, ["calibration.board.kind=auto", "calibration.board.square_mm=54"])
    assert sized.calibration.board == Board(kind="auto", square_mm=54)
    word = with_overrides(params, ["calibration.board=auto", "calibration.board.square_mm=54"])
    assert word == sized
    with pytest.raises(CoreError, match="cannot be 'charuco'"):
        with_overrides(params, ["calibration.board=charuco"])
