"""Settings of live 3D, without imports of torch and onnxruntime because the window reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.errors import CoreError

VMC_PORT = 39539
"""Default UDP port of the VMC protocol."""
ELSEWHERE = "people are not where the other cameras see them. Calibrate again if a camera was moved."
"""Warning about cameras that disagree with the others, to follow their names."""
INPUT_SIZES_PX = (256, 384, 512)
"""Input sizes in px from which the speed of the computer chooses; the middle one is tried first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveConfig:
    """Settings of live 3D.

    Attributes:
        run: Name of the training run whose networks estimate the people. If omitted, they are triangulated.
        long_side_px: Longer side in pixels to which images are scaled for 2D poses; smaller is faster and less
            accurate. 0 chooses 256, 384 or 512 for about six results a second.
        smooth: Smooth joints with a One-Euro filter.
        body_model: Name of the body model that is fitted to the people. If empty, no bodies are fitted, and VMC sends
            joints without bones.
        vmc_port: UDP port to which poses are sent by the VMC protocol (OSC); 0 sends nothing. The protocol's default is
            39539. Each further person uses the next port.
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


def check_names(calibrated: Sequence[str], running: Sequence[str]) -> None:
    """Check that enough running cameras are calibrated.

    Args:
        calibrated: Names of the calibrated cameras.
        running: Names of the running cameras.

    Raises:
        CoreError: Fewer than two running cameras are calibrated.
    """
    if len(set(calibrated) & set(running)) < 2:
        raise CoreError(
            f"Live 3D needs two calibrated cameras; running are {', '.join(running)}, calibrated "
            f"{', '.join(calibrated)}.",
            "Give the cameras the names that they have in the calibration.",
        )
