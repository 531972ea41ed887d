"""Controls of an industrial camera by GenICam's standard feature names (SFNC), including the older ones."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from core.capture.controls import EXPOSURE, GAIN, Control
from core.capture.sources.genicam.triggers import ActionKeys
from core.errors import CoreError

if TYPE_CHECKING:
    import viva_genicam as vg

FRAME_RATE, TRIGGER = "frame_rate", "trigger"
PTP, PTP_STATUS, PTP_OFFSET = "ptp", "ptp_status", "ptp_offset"
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
_PTP = {
    PTP: ("PtpEnable", "GevIEEE1588"),
    PTP_STATUS: ("PtpStatus", "GevIEEE1588Status"),
    PTP_OFFSET: ("PtpOffsetFromMaster", "GevIEEE1588OffsetFromMaster"),
}
_PTP_LATCH = ("PtpDataSetLatch", "GevIEEE1588DataSetLatch")
_ALIGNED = ("Slave", "Master")
_USUAL_RATE_HZ = 30.0
_MAX_RATE_HZ = 1000.0
_MAX_VALUE = 1e6  # of features whose range the camera does not report
_TRIGGERED = "FrameStart"

Pause = Callable[[], AbstractContextManager[None]]
"""Context manager that stops the camera while a feature is written."""


class CameraControls:
    """Access to a camera's controls, from any thread.

    Args:
        camera: The connected camera.
        title: Display name of the camera.
    """

    def __init__(self, camera: vg.Camera, title: str) -> None:
        self._camera, self._title = camera, title
        self._lock = threading.RLock()  # a selector changes the meaning of the next access
        known = set(camera.nodes())
        self._values, self._ptp = (
            {name: found for name, features in table.items() if (found := _first(features, known))}
            for table in (_VALUES, _PTP)
        )
        self._automatic = {name: feature for name, feature in _AUTOMATIC.items() if feature in known}
        self._resulting, self._ptp_latch = _first(_RESULTING, known), _first(_PTP_LATCH, known)
        self._sources = self._trigger_sources() if {"TriggerMode", "TriggerSource"} <= known else ()
        self._selects = "TriggerSelector" in known

    def frame_rate(self) -> float:
        """Return the announced frame rate; 0 if it is unknown or set by a trigger."""
        import viva_genicam as vg

        with contextlib.suppress(vg.GenicamError, KeyError):
            if not self.trigger():
                return float(self._state(self._resulting or self._values[FRAME_RATE]).value or 0)
        return 0.0

    def wanted_rate(self) -> float:
        """Return the requested frame rate; 30 if none is set."""
        import viva_genicam as vg

        with contextlib.suppress(vg.GenicamError, KeyError):
            return float(self._state(self._values[FRAME_RATE]).value or _USUAL_RATE_HZ)
        return _USUAL_RATE_HZ

    def trigger(self) -> str:
        """Return the trigger source of the camera, such as "Line1"; empty in free run."""
        with self._lock:
            chosen = self._trigger() if self._sources else None
        return "" if chosen is None or not chosen.value else chosen.choices[round(chosen.value)]

    def aligned(self) -> bool:
        """Return whether PTP synchronises the camera's clock."""
        import viva_genicam as vg

        with contextlib.suppress(vg.GenicamError, KeyError):
            return str(self._state(self._ptp[PTP_STATUS]).value) in _ALIGNED
        return False

    def configure_action(self, source: str, keys: ActionKeys) -> None:
        """Set the keys of the action commands that a trigger source such as "Action1" obeys."""
        if "ActionSelector" in self._camera.nodes():
            self._camera.set_integer("ActionSelector", int("".join(filter(str.isdigit, source)) or 0))
        self._camera.set_integer("ActionDeviceKey", keys.device)
        self._camera.set_integer("ActionGroupKey", keys.group)
        self._camera.set_integer("ActionGroupMask", keys.mask)

    def read(self) -> tuple[Control, ...]:
        """Return all controls that the camera currently offers."""
        import viva_genicam as vg

        out = []
        for name in (*self._values, *([TRIGGER] if self._sources else []), *self._ptp):
            with self._lock, contextlib.suppress(vg.GenicamError, _NotOffered):
                out.append(self._read(name))
        return tuple(out)

    def set(self, name: str, value: float | None, pause: Pause) -> Control:
        """Set a control and return its state; see `core.capture.controls.Controllable`."""
        with self._lock:
            return self._set(name, value, pause)

    def _set(self, name: str, value: float | None, pause: Pause) -> Control:
        import viva_genicam as vg

        try:
            before = self._read(name)
        except (KeyError, _NotOffered, vg.GenicamError) as error:
            offered = ", ".join(control.name for control in self.read())
            raise CoreError(f"{self._title} does not offer the control '{name}'.", f"It offers: {offered}.") from error
        if value is None and before.automatic is None:
            raise CoreError(f"{self._title} has no automatic {name}.", "Give a value.")
        if before.minimum == before.maximum:
            raise CoreError(f"{self._title} only reports {name}.", "Choose another control.")
        if value is not None and not before.minimum <= value <= before.maximum:
            raise CoreError(
                f"{name} of {self._title} cannot be {value:g}.", f"Choose {before.minimum:g} to {before.maximum:g}."
            )
        try:
            try:
                self._write(name, value)
            except vg.GenicamError:
                with pause():  # many cameras lock features during acquisition
                    self._write(name, value)
            return self._read(name)
        except (vg.GenicamError, _NotOffered) as error:
            raise CoreError(f"{self._title} refuses {name}: {error}.", "Set it in the vendor's program.") from error

    def _read(self, name: str) -> Control:
        if name == TRIGGER and self._sources:
            return self._trigger()
        if name in self._ptp:
            return self._read_ptp(name)
        if name in _SELECTED:
            self._camera.set_enum("BalanceRatioSelector", _SELECTED[name])
        state = self._state(self._values[name])
        if name == FRAME_RATE and not state.is_available:  # chosen by the camera
            rate = float(self._state(self._resulting).value or 0) if self._resulting else 0.0
            rate = rate or _USUAL_RATE_HZ
            return Control(name=name, value=rate, minimum=1, maximum=_MAX_RATE_HZ, step=0, automatic=True, unit="Hz")
        if not state.is_available or not isinstance(state.value, int | float):
            raise _NotOffered
        value, span = float(state.value), state.range
        if span is None:  # not reported
            least, most, step = (value, value, 0.0) if state.access == "RO" else (0.0, max(_MAX_VALUE, value), 0.0)
        else:
            least, most, step = span.min, span.max, span.inc or 0.0
        return Control(
            name=name,
            value=value,
            minimum=least,
            maximum=most,
            step=step,
            automatic=self._is_automatic(name),
            unit=_UNITS.get(name, state.unit or ""),
        )

    def _read_ptp(self, name: str) -> Control:
        if name == PTP:
            return choice(PTP, (_OFF, _ON), int(bool(self._state(self._ptp[PTP]).value)))
        if self._ptp_latch:
            self._camera.execute(self._ptp_latch, wait=False)
        value = self._state(self._ptp[name]).value
        if name == PTP_STATUS:
            return choice(PTP_STATUS, (str(value).lower(),), 0)
        if not isinstance(value, int | float):
            raise _NotOffered
        return Control(name=name, value=value, minimum=value, maximum=value, step=0, unit="ns")

    def _write(self, name: str, value: float | None) -> None:
        if name == TRIGGER:
            self._write_trigger(round(value or 0))
        elif name == PTP:
            self._camera.set_bool(self._ptp[PTP], bool(value))
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
            return choice(TRIGGER, names, 0)
        source = str(self._state("TriggerSource").value)
        return choice(TRIGGER, names, names.index(source) if source in names else 1)

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
    """The camera does not currently offer a control."""


def _first(features: tuple[str, ...], known: set[str]) -> str:
    """Return the first of the features that the camera has; empty if it has none."""
    return next((feature for feature in features if feature in known), "")


def choice(name: str, choices: tuple[str, ...], chosen: int) -> Control:
    """Return the state of a control with named values; one with a single value is read-only."""
    return Control(name=name, value=chosen, minimum=0, maximum=len(choices) - 1, step=1, choices=choices)
