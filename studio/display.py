"""Check for a display before Qt is loaded, which would abort the process without one."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

_TIMEOUT_S = 3.0
_X_PORT = 6000


def display_problem(environment: Mapping[str, str] = os.environ) -> str:
    """Return why no window can be shown, with the remedy; empty if there is a display."""
    if not sys.platform.startswith("linux"):
        return ""
    platform = environment.get("QT_QPA_PLATFORM", "").split(";")[0].split(":")[0]
    if platform and platform != "xcb" and not platform.startswith("wayland"):
        return ""  # renders without a display server
    display, wayland = environment.get("DISPLAY", ""), environment.get("WAYLAND_DISPLAY", "")
    if (wayland and _wayland_answers(wayland, environment)) or (display and _x_answers(display)):
        return ""
    what = f"The display '{display or wayland}' does not answer" if display or wayland else "There is no display"
    return (
        f"{what}, so the window cannot open: use the command line (selfpose --help, or scripts/start.py --headless), "
        "or start it in a desktop session."
    )


def _x_answers(display: str) -> bool:
    host, _, number = display.rpartition(":")
    number = number.split(".")[0]
    if not number.isdigit():
        return False
    if host in ("", "unix"):
        path = f"/tmp/.X11-unix/X{number}"
        return _connects(path) or _connects(f"\0{path}")
    if host.startswith("/"):  # macOS's launchd form
        return _connects(display)
    try:
        with socket.create_connection((host.strip("[]"), _X_PORT + int(number)), _TIMEOUT_S):
            return True
    except (OSError, OverflowError):
        return False


def _wayland_answers(name: str, environment: Mapping[str, str]) -> bool:
    return _connects(str(Path(environment.get("XDG_RUNTIME_DIR", "/run")) / name))


def _connects(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as one:
        one.settimeout(_TIMEOUT_S)
        try:
            one.connect(path)
        except (OSError, ValueError):
            return False
        return True
