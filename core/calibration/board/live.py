"""Watching a board while cameras run: its corners in the newest pictures, and what to show next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from core.board.detect import BoardDetector
from core.board.observations import merge
from core.board.pattern import Board
from core.calibration.board.guidance import next_to_show
from core.calibration.board.intrinsics import Coverage, coverage
from core.types.arrays import F64, I64, U8

_MOMENTS = 400  # that are remembered; later ones replace them evenly


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Watching:
    """What was seen so far.

    Attributes:
        coverage: By camera.
        shared: (V, V) moments in which both cameras saw the board, in the order of the cameras.
        advice: What to show next.
    """

    coverage: dict[str, Coverage]
    shared: I64
    advice: str


class BoardWatch:
    """Looks for a board in the pictures of several cameras, moment after moment.

    Args:
        board: The board.
        sizes_px: Width and height by camera, as far as known; others join with their first picture.
    """

    def __init__(self, board: Board, sizes_px: Mapping[str, tuple[int, int]] | None = None) -> None:
        self._board, self._sizes = board, dict(sizes_px or {})
        self._detector = BoardDetector(board)
        self._found: dict[tuple[int, int], tuple[I64, F64]] = {}
        self._moments = 0

    def look(self, pictures: Mapping[str, U8]) -> dict[str, F64]:
        """Finds the board in the pictures of a moment.

        Args:
            pictures: (H, W, 3) uint8 RGB by camera; cameras may be missing.

        Returns:
            Corners (n, 2) px by camera that shows the board.
        """
        for name, picture in pictures.items():
            self._sizes.setdefault(name, (picture.shape[1], picture.shape[0]))
        corners = {}
        moment = self._moments % _MOMENTS
        for v, name in enumerate(self._sizes):
            self._found.pop((v, moment), None)
            if name in pictures:
                point, xy_px = self._detector.find(
                    np.asarray(cv2.cvtColor(pictures[name], cv2.COLOR_RGB2GRAY), np.uint8)
                )
                if len(point):
                    corners[name] = xy_px
                    self._found[v, moment] = (point, xy_px)
        self._moments += 1
        return corners

    def summary(self) -> Watching:
        """What the cameras have seen so far."""
        names, count = tuple(self._sizes), min(self._moments, _MOMENTS)
        seen = merge(
            self._board,
            names,
            list(self._sizes.values()),
            np.repeat(np.arange(max(count, 1), dtype=float)[:, None], len(names), 1),
            np.zeros((max(count, 1), len(names)), np.int64),
            self._found,
            source="live",
        )
        covered = {name: coverage(seen, name) for name in names}
        shown = np.zeros((max(count, 1), len(names)), np.int64)
        for v, moment in self._found:
            shown[moment, v] = 1
        shared = shown.T @ shown
        np.fill_diagonal(shared, 0)
        return Watching(coverage=covered, shared=shared, advice=next_to_show(names, list(covered.values()), shared))
