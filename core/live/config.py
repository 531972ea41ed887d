"""Settings of live 3D, free of torch and onnxruntime since the window reads them."""

from __future__ import annotations

from dataclasses import dataclass

from core.errors import CoreError

VMC_PORT = 39539
"""UDP port on which programs receive the VMC protocol by default."""
ELSEWHERE = "people are elsewhere than the other cameras see them. Calibrate again if a camera was moved."
"""Sentence on cameras that disagree with the others, after their names."""
INPUT_SIZES_PX = (256, 384, 512)
"""Input sizes to choose from by speed; the middle one comes first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveConfig:
    """Settings of live 3D.

    Attributes:
        run: Name of the training run whose networks estimate the people. If omitted, they are triangulated.
        long_side_px: Longer side in pixels to which images are scaled for 2D poses; smaller is faster and less exact. 0
            takes 256, 384 or 512, whichever this computer can do about six times a second.
        smooth: Smooth joints with a One-Euro filter.
        body_model: Name of the body model that is fitted to the people while they move; empty for none, and VMC sends
            joints without bones then.
        vmc_port: UDP port to which poses are sent by the VMC protocol (OSC); 0 sends nothing. Programs listen on 39539
            by default. Each further person has the next port.
        vmc_host: Computer to which poses are sent.
    """

    run: str = ""
    long_side_px: int = 0
    smooth: bool = True
    body_model: str = "free"
    vmc_port: int = 0
    vmc_host: str = "127.0.0.1"

    def __post_init__(self) -> None:
        if self.long_side_px and not 128 <= self.long_side_px <= 640:
            raise CoreError(
                f"long_side_px is {self.long_side_px}, expected 128 to 640.", "Live images have 640 px at most."
            )
        if not 0 <= self.vmc_port <= 65_000:
            raise CoreError(f"vmc_port is {self.vmc_port}, expected 0 to 65000.", "Use 39539, or 0 to send nothing.")
