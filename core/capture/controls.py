"""Controls of a running camera, such as exposure and gain: the optional part of a source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from core.capture.source import Source
from core.errors import CoreError

EXPOSURE, GAIN, WHITE_BALANCE, FOCUS = "exposure", "gain", "white_balance", "focus"
"""Names of controls that have the same meaning for every kind of camera; a kind may offer more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """State of a control, as the camera reported it.

    Attributes:
        name: Name, such as "exposure".
        value: Current value, in `unit`.
        minimum: Smallest value.
        maximum: Largest value.
        step: Distance between neighbouring values; 0 if any value is possible.
        automatic: True while the camera chooses the value itself; None if it cannot.
        unit: Unit of the values: "us" for exposure, "K" for white balance, "dB" or empty if the camera reports none.
        choices: Names of the values 0, 1 and so on; empty if the value is a quantity.
    """

    name: str
    value: float
    minimum: float
    maximum: float
    step: float
    automatic: bool | None = None
    unit: str = ""
    choices: tuple[str, ...] = ()


@runtime_checkable
class Controllable(Protocol):
    """A source with controls. Its methods may be called from any thread while images arrive."""

    def controls(self) -> tuple[Control, ...]:
        """Return the controls of the camera with their current values."""

    def set_control(self, name: str, value: float | None) -> Control:
        """Set a control, and return its state as the camera reports it afterwards.

        Args:
            name: Name of the control.
            value: New value; None lets the camera choose it.

        Raises:
            CoreError: The camera has no such control, or refuses the value.
        """


def controls_of(source: Source) -> tuple[Control, ...]:
    """Return the controls of a source; empty if it has none."""
    return source.controls() if isinstance(source, Controllable) else ()


def set_control(source: Source, name: str, value: float | None) -> Control:
    """Set a control of a source; see `Controllable.set_control`.

    Raises:
        CoreError: The source has no such control, or refuses the value.
    """
    if not isinstance(source, Controllable):
        raise CoreError("This camera has no controls.", "Set it on its web page or in its app.")
    return source.set_control(name, value)
