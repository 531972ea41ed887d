"""Controls of an industrial camera, by the names of GenICam's standard features (SFNC), the older ones included."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from core.capture.controls import EXPOSURE, GAIN, Control
from core.errors import CoreError

if TYPE_CHECKING:
    import viva_genicam as vg

FRAME_RATE, TRIGGER, PTP = "frame_rate", "trigger", "ptp"
_FREE_RUN = "free run"
_OFF, _ON = "off", "on"
_RED, _BLUE = "white_balance_red", "white_balance_blue"
_SELECTED = {_RED: "Red", _BLUE: "Blue"}
_VALUES = {
    EXPOSURE: ("ExposureTime", "ExposureTimeAbs", "ExposureTimeRaw"),
    GAIN: ("Gain", "GainAbs", "GainRaw"),
    _RED: ("BalanceRatio", "BalanceRatioAbs"),
    _BLUE: ("BalanceRatio", "BalanceRatioAbs"),
    FRAME_RATE: ("AcquisitionFrameRate", "AcquisitionFrameRateAbs"),
}
_AUTOMATIC = {
    EXPOSURE: "ExposureAuto",
    GAIN: "GainAuto",
    _RED: "BalanceWhiteAuto",
    _BLUE: "BalanceWhiteAuto",
    FRAME_RATE: "AcquisitionFrameRateEnable",
}
_UNITS = {EXPOSURE: "us", FRAME_RATE: "Hz"}
_RESULTING = ("ResultingFrameRate", "AcquisitionResultingFrameRate", "ResultingFrameRateAbs")
_PTP = ("PtpEnable", "GevIEEE1588")
_MAX_RATE_HZ = 1000.0  # where the camera does not say
_TRIGGERED = "FrameStart"

Pause = Callable[[], AbstractContextManager[None]]
"""Stops the camera while a feature is written."""


class CameraControls:
    """Reads and writes a camera's controls; usable from any thread.

    Args:
        camera: The connected camera.
        title: Its name for people.
    """

    def __init__(self, camera: vg.Camera, title: str) -> None:
        self._camera, self._title = camera, title
        self._lock = threading.RLock()  # selectors choose what the next access means
        known = set(camera.nodes())
        self._values = {
            name: found
            for name, features in _VALUES.items()
            if (found := next((f for f in features if f in known), ""))
        }
        self._automatic = {name: feature for name, feature in _AUTOMATIC.items() if feature in known}
        self._resulting = next((feature for feature in _RESULTING if feature in known), "")
        self._ptp = next((feature for feature in _PTP if feature in known), "")
        self._sources = self._trigger_sources() if {"TriggerMode", "TriggerSource"} <= known else ()
        self._selects = "TriggerSelector" in known

    def frame_rate(self) -> float:
        """Return the announced frame rate; 0 if it is unknown or set by a trigger."""
        import viva_genicam as vg

        with contextlib.suppress(vg.GenicamError, KeyError):
            if not self.triggered():
                return float(self._state(self._resulting or self._values[FRAME_RATE]).value or 0)
        return 0.0

    def triggered(self) -> bool:
        """Return whether each image has to be triggered."""
        with self._lock:
            return bool(self._sources) and self._trigger().value != 0

    def read(self) -> tuple[Control, ...]:
        """Return all controls that the camera offers now."""
        import viva_genicam as vg

        out = []
        for name in (*self._values, *([TRIGGER] if self._sources else []), *([PTP] if self._ptp else [])):
            with self._lock, contextlib.suppress(vg.GenicamError, _NotOffered):
                out.append(self._read(name))
        return tuple(out)

    def set(self, name: str, value: float | None, pause: Pause) -> Control:
        """Set a control and return what the camera reports; see `core.capture.controls.Controllable`."""
        with self._lock:
            return self._set(name, value, pause)

    def _set(self, name: str, value: float | None, pause: Pause) -> Control:
        import viva_genicam as vg

        try:
            before = self._read(name)
        except (KeyError, _NotOffered, vg.GenicamError) as error:
            offered = ", ".join(control.name for control in self.read())
            raise CoreError(f"{self._title} has no control '{name}' now.", f"It offers: {offered}.") from error
        if value is None and before.automatic is None:
            raise CoreError(f"{self._title} does not choose {name} itself.", "Give a value.")
        if value is not None and not before.minimum <= value <= before.maximum:
            raise CoreError(
                f"{name} of {self._title} cannot be {value:g}.", f"Choose {before.minimum:g} to {before.maximum:g}."
            )
        try:
            try:
                self._write(name, value)
            except vg.GenicamError:
                with pause():  # many cameras lock features while they run
                    self._write(name, value)
            return self._read(name)
        except (vg.GenicamError, _NotOffered) as error:
            raise CoreError(f"{self._title} refuses {name}: {error}.", "Set it in the vendor's program.") from error

    def _read(self, name: str) -> Control:
        if name == TRIGGER and self._sources:
            return self._trigger()
        if name == PTP and self._ptp:
            return _choice(PTP, (_OFF, _ON), int(bool(self._state(self._ptp).value)))
        if name in _SELECTED:
            self._camera.set_enum("BalanceRatioSelector", _SELECTED[name])
        state = self._state(self._values[name])
        if name == FRAME_RATE and not state.is_available:  # while the camera chooses it
            return Control(name=name, value=0, minimum=0, maximum=_MAX_RATE_HZ, step=0, automatic=True, unit="Hz")
        if not state.is_available or not isinstance(state.value, int | float):
            raise _NotOffered
        span = state.range
        return Control(
            name=name,
            value=float(state.value),
            minimum=span.min if span is not None else float(state.value),
            maximum=span.max if span is not None else float(state.value),
            step=span.inc or 0.0 if span is not None else 0.0,
            automatic=self._is_automatic(name),
            unit=_UNITS.get(name, state.unit or ""),
        )

    def _write(self, name: str, value: float | None) -> None:
        if name == TRIGGER:
            self._write_trigger(round(value or 0))
        elif name == PTP:
            self._camera.set_bool(self._ptp, bool(value))
        elif name == FRAME_RATE:
            if value is None:
                self._camera.disable_frame_rate()
            else:
                self._camera.set_frame_rate(value)
        else:
            if name in self._automatic:
                self._camera.set_enum(self._automatic[name], "Continuous" if value is None else "Off")
            if value is not None:
                self._write_number(name, value)

    def _write_number(self, name: str, value: float) -> None:
        if name in _SELECTED:
            self._camera.set_enum("BalanceRatioSelector", _SELECTED[name])
        feature = self._values[name]
        state = self._state(feature)
        if state.range is not None and state.range.inc:
            value = state.range.min + round((value - state.range.min) / state.range.inc) * state.range.inc
        if isinstance(state.value, int):
            self._camera.set_integer(feature, round(value))
        else:
            self._camera.set_float(feature, value)

    def _is_automatic(self, name: str) -> bool | None:
        if name not in self._automatic:
            return None
        value = self._state(self._automatic[name]).value
        return not value if name == FRAME_RATE else value != "Off"

    def _trigger(self) -> Control:
        names = (_FREE_RUN, *self._sources)
        if self._selects:
            self._camera.set_enum("TriggerSelector", _TRIGGERED)
        if self._state("TriggerMode").value != "On":
            return _choice(TRIGGER, names, 0)
        source = str(self._state("TriggerSource").value)
        return _choice(TRIGGER, names, names.index(source) if source in names else 1)

    def _write_trigger(self, choice: int) -> None:
        if choice:
            self._camera.enable_trigger(_TRIGGERED, self._sources[choice - 1])
        else:
            self._camera.disable_trigger(_TRIGGERED)

    def _trigger_sources(self) -> tuple[str, ...]:
        import viva_genicam as vg

        try:
            return tuple(self._camera.available_enum_entries("TriggerSource"))
        except vg.GenicamError:
            return ()

    def _state(self, feature: str) -> vg.FeatureState:
        self._camera.invalidate(feature)
        return self._camera.feature_state(feature)


class _NotOffered(Exception):
    """A control that the camera does not offer at the moment."""


def _choice(name: str, choices: tuple[str, ...], chosen: int) -> Control:
    return Control(name=name, value=chosen, minimum=0, maximum=len(choices) - 1, step=1, choices=choices)
