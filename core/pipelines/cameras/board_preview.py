"""Detection of the calibration board in the previews of running cameras."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import suppress

from core.calibration.board.live import BoardWatch, WatchSummary
from core.clock import Clock
from core.errors import CoreError
from core.types.arrays import F64
from core.types.frame import Frame

_BOARD_EVERY_S = 0.2
_BOARD_SHARE = 0.25  # largest share of a core for the detection
_SUMMARY_EVERY = 4  # frame sets
_CORNERS_S = 0.5  # for which detected corners are shown


class BoardPreview:
    """Background detection of the board in as many images as a share of a core allows.

    Args:
        watch: Detector with the coverage so far.
        clock: Clock of the cameras.

    Attributes:
        summary: Coverage of the board so far; None before the first images.
    """

    def __init__(self, watch: BoardWatch, clock: Clock) -> None:
        self._watch, self._clock = watch, clock
        self._corners: dict[str, tuple[int, F64]] = {}
        self._due_ns, self._count = 0, 0
        self._thread: threading.Thread | None = None
        self.summary: WatchSummary | None = None

    def offer(self, frames: Mapping[str, Frame]) -> None:
        """Detect the board in these images unless a detection is running."""
        now_ns = self._clock.now_ns()
        if now_ns < self._due_ns or (self._thread is not None and self._thread.is_alive()):
            return
        self._due_ns = now_ns + round(_BOARD_EVERY_S * 1e9)
        if self._clock.waits:
            self._detect(frames)
        else:
            self._thread = threading.Thread(target=self._detect, args=(frames,), name="board", daemon=True)
            self._thread.start()

    def corners(self, frame: Frame) -> F64 | None:
        """Return the corners last detected by the camera of a frame; None if that was too long before."""
        time_ns, xy_px = self._corners.get(frame.camera, (0, None))
        return xy_px if frame.time_ns - time_ns < _CORNERS_S * 1e9 else None

    def _detect(self, frames: Mapping[str, Frame]) -> None:
        begin_ns, images = self._clock.now_ns(), {}
        for name, frame in frames.items():
            with suppress(CoreError):  # a damaged image
                images[name] = frame.image
        if not images:
            return
        found = self._watch.detect(images)
        self._corners |= {name: (frames[name].time_ns, xy_px) for name, xy_px in found.items()}
        if self._count % _SUMMARY_EVERY == 0:
            self.summary = self._watch.summary()
        self._count += 1
        end_ns = self._clock.now_ns()
        self._due_ns = max(self._due_ns, end_ns + round((end_ns - begin_ns) * (1 / _BOARD_SHARE - 1)))
