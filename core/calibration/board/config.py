"""Settings of a calibration from a board."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from core.board.pattern import Board

DistortionChoice = Literal["auto", "pinhole", "fisheye"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrateConfig:
    """Settings of a calibration from a board.

    Attributes:
        board: Calibration board, or "auto" to recognise it in the images; null uses the session's board, or recognises
            it if the session has none. The size of its squares (`board.square_mm`) has to be measured on the print.
        distortion_model: Distortion model to fit; "auto" uses that of known intrinsics or pinhole, unless the other one
            predicts held-out images clearly better.
        fixed_intrinsics: Use known intrinsics of the session's rig instead of fitting them.
        time_offset: Estimate a time offset per camera if it lowers the held-out error.
        refine: Refine the intrinsics together with the poses if it lowers the held-out error.
        rate_hz: Largest number of frames per second in which the board is detected.
        max_frames: Largest number of frames in which the board is detected; longer takes are sampled by evenly spaced
            bursts.
        distance_mm: Measured distance between the two cameras of `between`, to check the scale; 0 if unknown.
        between: Names of the two cameras of `distance_mm`.
    """

    board: Board | None = None
    distortion_model: DistortionChoice = "auto"
    fixed_intrinsics: bool = False
    time_offset: bool = True
    refine: bool = True
    rate_hz: float = 10.0
    max_frames: int = 600
    distance_mm: float = 0.0
    between: tuple[str, ...] = ()
