"""How a calibration is made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from core.board.pattern import Board

LensChoice = Literal["auto", "pinhole", "fisheye"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrateConfig:
    """Settings of a calibration from a board.

    Attributes:
        board: What is waved; the usual one stands for the session's own, if it has one.
        distortion_model: Distortion model to fit; "auto" keeps that of a known lens, else pinhole.
        fixed_intrinsics: Whether lenses of the session's rig are kept where it has any, instead of being fitted anew.
        time offset: Whether each camera's time offset is solved for. What is found is kept where held-out error falls.
        refine: Whether lenses are solved together with the poses. Kept, camera by camera, where held-out error falls.
        rate_hz: Most frames a second that are looked at.
        max_frames: Of a longer take, evenly spread bursts are looked at.
        distance_mm: A measured distance between the two cameras of `between`, to check the scale; 0 is unknown.
        between: Names of these two cameras.
    """

    board: Board = field(default_factory=Board)
    distortion_model: LensChoice = "auto"
    fixed_intrinsics: bool = False
    time_offset: bool = True
    refine: bool = True
    rate_hz: float = 10.0
    max_frames: int = 600
    distance_mm: float = 0.0
    between: tuple[str, ...] = ()
