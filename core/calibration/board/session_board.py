"""The board of a session: what was printed, calibrated with or typed last, so that it need not be told again."""

from __future__ import annotations

from core.board.pattern import Board
from core.config import from_mapping, to_mapping
from core.errors import CoreError
from core.files import read_yaml, write_yaml
from core.session import Session


def session_board(session: Session, told: Board | None = None) -> Board:
    """The board that was told, unless it is the usual one and the session has its own."""
    if told is not None and told != Board():
        return told
    try:
        return from_mapping(Board, read_yaml(session.layout.board)) if session.layout.board.exists() else Board()
    except CoreError:
        return Board()  # a damaged note of it is no reason to stop


def save_session_board(session: Session, board: Board) -> None:
    """Makes it the session's board."""
    write_yaml(session.layout.board, to_mapping(board))
