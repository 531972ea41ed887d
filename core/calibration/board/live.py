"""Detection of a board in the images of running cameras, with advice on how to move it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from core.board.detect import BoardDetector
from core.board.observations import merge_detections
from core.board.pattern import Board
from core.board.recognize import recognize_board
from core.calibration.board.guidance import next_to_show
from core.calibration.board.initial.intrinsics import Coverage, coverage
from core.types.arrays import F64, I64, U8

_EVERY, _LOOKED_AT = 5, 8  # an unknown board is searched in eight images at a time, of which every fifth is kept
_MAX_FRAMES = 400  # in memory; new ones replace the oldest


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WatchSummary:
    """Summary of the detections so far.

    Attributes:
        coverage: Coverage of the image by camera.
        shared: (V, V) number of frames in which both cameras detected the board; zero on the diagonal.
        advice: Instruction on how to move the board next.
    """

    coverage: dict[str, Coverage]
    shared: I64
    advice: str


class BoardWatch:
    """Detector of a board in the frame sets of several cameras.

    Args:
        board: The board; with the kind "auto", it is recognised in the images.
        sizes_px: Known width and height by camera; other cameras are added with their first image.
    """

    def __init__(self, board: Board, sizes_px: Mapping[str, tuple[int, int]] | None = None) -> None:
        self._sizes = dict(sizes_px or {})
        self._board: Board | None = None if board.kind == "auto" else board
        self._detector: BoardDetector | None = None if self._board is None else BoardDetector(self._board)
        self._unknown: list[U8] = []
        self._searched = 0
        self._detections: dict[tuple[int, int], tuple[I64, F64]] = {}
        self._frames = 0

    def detect(self, images: Mapping[str, U8]) -> dict[str, F64]:
        """Detect the board in the images of one frame set.

        Args:
            images: (H, W, 3) uint8 RGB by camera; cameras may be missing.

        Returns:
            Corners (n, 2) in px by camera, for cameras that see the board.
        """
        for name, image in images.items():
            self._sizes.setdefault(name, (image.shape[1], image.shape[0]))
        corners = {}
        frame = self._frames % _MAX_FRAMES
        for v, name in enumerate(self._sizes):
            self._detections.pop((v, frame), None)
            if name in images:
                gray = np.asarray(cv2.cvtColor(images[name], cv2.COLOR_RGB2GRAY), np.uint8)
                if self._detector is None:
                    self._recognize(gray)
                    continue
                point, xy_px = self._detector.find(gray)
                if len(point):
                    corners[name] = xy_px
                    self._detections[v, frame] = (point, xy_px)
        self._frames += 1
        return corners

    def _recognize(self, gray: U8) -> None:
        """Recognise the board in the collected images once there are enough new ones."""
        self._searched += 1
        if self._searched % _EVERY == 0:
            self._unknown.append(gray)
        if len(self._unknown) < _LOOKED_AT:
            return
        found = recognize_board(self._unknown)
        self._unknown.clear()
        if found is not None:
            self._board, self._detector = found.board, BoardDetector(found.board)

    def summary(self) -> WatchSummary:
        """Return a summary of the detections so far."""
        names, count = tuple(self._sizes), max(min(self._frames, _MAX_FRAMES), 1)
        observations = merge_detections(
            self._board or Board(),
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
