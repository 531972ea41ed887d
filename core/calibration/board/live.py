"""Watching a board while cameras run: its corners in the newest images, and what to show next."""

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

_FRAMES = 400  # that are remembered; later ones replace them evenly


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Watching:
    """What was seen so far.

    Attributes:
        coverage: By camera.
        shared: (V, V) frames in which both cameras saw the board, in the order of the cameras.
        advice: What to show next.
    """

    coverage: dict[str, Coverage]
    shared: I64
    advice: str


class BoardWatch:
    """Looks for a board in the images of several cameras, frame after frame.

    Args:
        board: The board.
        sizes_px: Width and height by camera, as far as known; others join with their first image.
    """

    def __init__(self, board: Board, sizes_px: Mapping[str, tuple[int, int]] | None = None) -> None:
        self._board, self._sizes = board, dict(sizes_px or {})
        self._detector = BoardDetector(board)
        self._found: dict[tuple[int, int], tuple[I64, F64]] = {}
        self._frames = 0

    def look(self, images: Mapping[str, U8]) -> dict[str, F64]:
        """Finds the board in the images of a frame.

        Args:
            images: (H, W, 3) uint8 RGB by camera; cameras may be missing.

        Returns:
            Corners (n, 2) px by camera that shows the board.
        """
        for name, image in images.items():
            self._sizes.setdefault(name, (image.shape[1], image.shape[0]))
        corners = {}
        frame = self._frames % _FRAMES
        for v, name in enumerate(self._sizes):
            self._found.pop((v, frame), None)
            if name in images:
                point, xy_px = self._detector.find(np.asarray(cv2.cvtColor(images[name], cv2.COLOR_RGB2GRAY), np.uint8))
                if len(point):
                    corners[name] = xy_px
                    self._found[v, frame] = (point, xy_px)
        self._frames += 1
        return corners

    def summary(self) -> Watching:
        """What the cameras have seen so far."""
        names, count = tuple(self._sizes), min(self._frames, _FRAMES)
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
        for v, frame in self._found:
            shown[frame, v] = 1
        shared = shown.T @ shown
        np.fill_diagonal(shared, 0)
        return Watching(coverage=covered, shared=shared, advice=next_to_show(names, list(covered.values()), shared))
