"""Board of a session: the last one that was printed, used or entered."""

from __future__ import annotations

import dataclasses

from core.board.pattern import Board
from core.config import from_mapping, to_mapping
from core.errors import CoreError
from core.files import read_yaml, write_yaml
from core.session import Session

UNKNOWN_BOARD = Board(kind="auto")
"""Board of a session without a known one, which is recognised in the images."""


def session_board(session: Session, override: Board | None = None) -> Board:
    """Return the board to use.

    Args:
        session: Session.
        override: Board from the command or the window. Sizes alone modify the session's board; "auto" without a size
            has that of the session's board.
    """
    if override is None:
        return _stored(session)
    stored, default = _stored(session), Board()
    if override.kind == "auto" and not override.square_mm:
        return dataclasses.replace(override, square_mm=stored.square_mm, thickness_mm=stored.thickness_mm)
    if dataclasses.replace(override, square_mm=default.square_mm, marker_mm=default.marker_mm) != default:
        return override
    if override == default:
        return stored
    usual = Board(square_mm=override.square_mm).marker_mm
    marker_mm = override.marker_mm if override.marker_mm != usual else 0.0
    return dataclasses.replace(stored, square_mm=override.square_mm, marker_mm=marker_mm)


def board_to_print(session: Session, override: Board | None = None) -> Board:
    """Return the board to draw: `session_board`, or the default board if that is unknown."""
    board = session_board(session, override)
    if board.kind == "auto":
        return Board(square_mm=board.square_mm, marker_mm=board.marker_mm)
    return board


def save_session_board(session: Session, board: Board) -> None:
    """Store the board as the session's board."""
    write_yaml(session.layout.board, to_mapping(board))


def _stored(session: Session) -> Board:
    if not session.layout.board.exists():
        return UNKNOWN_BOARD
    try:
        return from_mapping(Board, read_yaml(session.layout.board))
    except CoreError:
        return UNKNOWN_BOARD  # a damaged file is ignored: the board is recognised
