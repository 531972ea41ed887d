"""Detection of a board in running cameras, and advice on what to show next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from core.board.detect import BoardDetector
from core.board.observations import merge_detections
from core.board.pattern import Board
from core.calibration.board.guidance import next_to_show
from core.calibration.board.initial.intrinsics import Coverage, coverage
from core.types.arrays import F64, I64, U8

_MAX_FRAMES = 400  # kept in memory; later ones replace the oldest


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WatchSummary:
    """Detections so far.

    Attributes:
        coverage: Coverage of the image by camera.
        shared: (V, V) number of frames in which both cameras detected the board; zero on the diagonal.
        advice: What to show the cameras next.
    """

    coverage: dict[str, Coverage]
    shared: I64
    advice: str


class BoardWatch:
    """Detects a board in the images of several cameras, frame set by frame set.

    Args:
        board: The board.
        sizes_px: Width and height by camera, where known; other cameras are added with their first image.
    """

    def __init__(self, board: Board, sizes_px: Mapping[str, tuple[int, int]] | None = None) -> None:
        self._board, self._sizes = board, dict(sizes_px or {})
        self._detector = BoardDetector(board)
        self._detections: dict[tuple[int, int], tuple[I64, F64]] = {}
        self._frames = 0

    def detect(self, images: Mapping[str, U8]) -> dict[str, F64]:
        """Detect the board in the images of one frame set.

        Args:
            images: (H, W, 3) uint8 RGB by camera; cameras may be missing.

        Returns:
            (n, 2) corners in px by camera, for the cameras that see the board.
        """
        for name, image in images.items():
            self._sizes.setdefault(name, (image.shape[1], image.shape[0]))
        corners = {}
        frame = self._frames % _MAX_FRAMES
        for v, name in enumerate(self._sizes):
            self._detections.pop((v, frame), None)
            if name in images:
                point, xy_px = self._detector.find(np.asarray(cv2.cvtColor(images[name], cv2.COLOR_RGB2GRAY), np.uint8))
                if len(point):
                    corners[name] = xy_px
                    self._detections[v, frame] = (point, xy_px)
        self._frames += 1
        return corners

    def summary(self) -> WatchSummary:
        """Summarise the detections so far."""
        names, count = tuple(self._sizes), max(min(self._frames, _MAX_FRAMES), 1)
        observations = merge_detections(
            self._board,
            names,
            list(self._sizes.values()),
            np.repeat(np.arange(count, dtype=float)[:, None], len(names), 1),
            np.zeros((count, len(names)), np.int64),
            self._detections,
            source="live",
        )
        by_camera = {name: coverage(observations, name) for name in names}
        detected = np.zeros((count, len(names)), np.int64)
        for v, frame in self._detections:
            detected[frame, v] = 1
        shared = detected.T @ detected
        np.fill_diagonal(shared, 0)
        advice = next_to_show(names, list(by_camera.values()), shared)
        return WatchSummary(coverage=by_camera, shared=shared, advice=advice)
