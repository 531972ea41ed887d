"""Board of a session: the one that was printed, used or entered last."""

from __future__ import annotations

from core.board.pattern import Board
from core.config import from_mapping, to_mapping
from core.errors import CoreError
from core.files import read_yaml, write_yaml
from core.session import Session


def session_board(session: Session, override: Board | None = None) -> Board:
    """Return the board to use.

    Args:
        session: Session.
        override: Board from the command or the window; the default board means the session's board, if it has one.
    """
    if override is not None and override != Board():
        return override
    try:
        return from_mapping(Board, read_yaml(session.layout.board)) if session.layout.board.exists() else Board()
    except CoreError:
        return Board()  # a damaged file is no reason to stop: the default board is used


def save_session_board(session: Session, board: Board) -> None:
    """Store the board as the session's board."""
    write_yaml(session.layout.board, to_mapping(board))
