"""Set-up of the project's environment: a suitable Python, system libraries, and the packages in `.venv`.

Standard library only: this runs before anything is installed.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
REPOSITORY = Path(__file__).resolve().parent.parent
_VENV = REPOSITORY / ".venv"
_STAMP = _VENV / "selfpose-installed.json"
_LOCK = REPOSITORY / "requirements.lock"
_OLDEST, _NEWEST = (3, 11), (3, 13)

_WINDOW_LIBRARIES = {
    "libGL.so.1": "libgl1",
    "libEGL.so.1": "libegl1",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libfontconfig.so.1": "libfontconfig1",
    "libdbus-1.so.3": "libdbus-1-3",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-shape.so.0": "libxcb-shape0",
}
"""Libraries that Qt and OpenGL load on Linux, with the Debian packages that contain them."""

_TEST_PROGRAMS = {"Xvfb": "xvfb", "arv-fake-gv-camera-0.8": "aravis-tools"}


class SetupError(Exception):
    """Failed creation of the environment; the message contains the remedy."""


def ensure(extras: Iterable[str] = (), *, window: bool, virtual_display: bool = False) -> Path:
    """Create or complete the environment.

    Args:
        extras: Optional dependency groups of `pyproject.toml` to install.
        window: Install the system libraries that the window requires.
        virtual_display: Install Xvfb, a virtual display for computers without one.

    Returns:
        Path of the environment's Python.

    Raises:
        SetupError: The environment cannot be created, or Ctrl-C was pressed.
    """
    try:
        return _ensure(set(extras), window=window, virtual_display=virtual_display)
    except KeyboardInterrupt:
        raise SetupError("Stopped. Run the script again to continue.") from None


def _ensure(extras: set[str], *, window: bool, virtual_display: bool) -> Path:
    base = _supported_python()
    _install_system_packages(_missing_system_packages(base, window=window, virtual_display=virtual_display))
    python = _VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not _works(python):
        if _VENV.exists():
            shutil.rmtree(_VENV)
        print(f"Creating the environment {_VENV.name} with Python {_version(base)}.", flush=True)
        _checked([base, "-m", "venv", str(_VENV)], "The environment could not be created.")
    _install_packages(python, extras)
    return python


def run(command: Sequence[str | Path], **environment: str) -> int:
    """Run a program, and return its exit code; Ctrl-C is handled by the program."""
    process = subprocess.Popen([str(part) for part in command], cwd=REPOSITORY, env={**os.environ, **environment})
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue


def _supported_python() -> str:
    """Return this Python if its version is supported, else a supported one from the search path."""
    if _OLDEST <= sys.version_info[:2] <= _NEWEST:
        return sys.executable
    for minor in range(_NEWEST[1], _OLDEST[1] - 1, -1):
        found = shutil.which(f"python3.{minor}")
        if found:
            return found
    raise SetupError(
        f"Python {_OLDEST[0]}.{_OLDEST[1]} to {_NEWEST[0]}.{_NEWEST[1]} is needed; this is {sys.version.split()[0]}.\n"
        "Install one of them and run the script with it, for example: python3.12 scripts/start.py"
    )


def _missing_system_packages(base: str, *, window: bool, virtual_display: bool) -> list[str]:
    """Return the Debian packages of missing libraries, which are detected by loading them."""
    if not sys.platform.startswith("linux"):
        return []
    missing = [package for library, package in _WINDOW_LIBRARIES.items() if window and not _loads(library)]
    missing += [package for program, package in _TEST_PROGRAMS.items() if virtual_display and not shutil.which(program)]
    if not _VENV.exists() and subprocess.run([base, "-c", "import ensurepip"], capture_output=True).returncode:
        missing.append(f"python{_version(base)}-venv")
    return missing


def _install_system_packages(packages: list[str]) -> None:
    if not packages:
        return
    command = ["apt-get", "install", "-y", "--no-install-recommends", *packages]
    reason = "The window needs system libraries (OpenGL, fonts, keyboard, X11), the tests a display and a fake camera"
    if shutil.which("apt-get") is None:
        print(f"{reason}. Missing, by Debian name: {' '.join(packages)}.\nInstall them with your package manager.")
    elif hasattr(os, "geteuid") and os.geteuid() == 0:
        print(f"{reason}. Installing: {' '.join(packages)}.", flush=True)
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update", "-qq"], env=quiet, stdin=subprocess.DEVNULL)
        if subprocess.run([*command, "-qq"], env=quiet, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL).returncode:
            print("Some of them could not be installed; continuing without.", flush=True)
    else:
        print(f"{reason}. Install the missing ones with:\n  sudo {' '.join(command)}", flush=True)


def _install_packages(python: Path, extras: set[str]) -> None:
    """Install the project if its requirements, the lock or Python changed, or if an extra is new."""
    sources = (REPOSITORY / "pyproject.toml", _LOCK)
    digest = hashlib.sha256(b"".join(p.read_bytes() for p in sources) + _version(str(python)).encode()).hexdigest()
    try:
        stamp = json.loads(_STAMP.read_text())
    except (OSError, ValueError):
        stamp = {}
    known = set(stamp.get("extras", ()))
    if stamp.get("digest") == digest and extras <= known:
        return
    extras |= known
    target = f".[{','.join(sorted(extras))}]" if extras else "."
    print("Installing packages (about 2 GB with a GPU build of torch; only once).", flush=True)
    started = time.monotonic()
    pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "-c", str(_LOCK), "-e", target]
    _checked(pip, "The packages could not be installed. Check the network connection and the free disk space.")
    _STAMP.write_text(json.dumps({"digest": digest, "extras": sorted(extras)}))
    print(f"Installed in {time.monotonic() - started:.0f} s.", flush=True)


def _checked(command: Sequence[str], problem: str) -> None:
    """Run a program, show its current line of output, and raise with its last lines if it fails."""
    said = []
    with subprocess.Popen(
        command,
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        for line in process.stdout or ():
            said.append(line)
            _show_line(line.strip())
    _show_line("", end="\r")
    if process.returncode:
        raise SetupError("".join(said[-40:]) + problem)


def _show_line(text: str, end: str = "") -> None:
    """Replace the terminal's current line; do nothing where the output is a file."""
    if sys.stdout.isatty():
        width = shutil.get_terminal_size().columns - 1
        print("\r" + text[:width].ljust(width), end=end, flush=True)


def _works(python: Path) -> bool:
    try:
        done = subprocess.run([str(python), "-c", "import pip"], capture_output=True)
    except OSError:
        return False
    return done.returncode == 0 and _OLDEST <= tuple(int(n) for n in _version(str(python)).split(".")) <= _NEWEST


def _version(python: str) -> str:
    """Return the version of a Python, such as "3.11"."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def rerun_in_environment(script: str) -> int | None:
    """Run a script again with the environment's Python, creating the environment if necessary.

    Args:
        script: `__file__` of the script.

    Returns:
        Exit code; None in the environment's Python, where the script continues.
    """
    try:
        python = ensure(window=False)
    except SetupError as error:
        print(error, file=sys.stderr)
        return 1
    if Path(sys.prefix) == python.parent.parent:
        return None
    return run([python, script, *sys.argv[1:]])


def run_script(script: str, parse: Callable[[], T], work: Callable[[T], None]) -> int:
    """Parse the command line, continue in the environment's Python, and do the work; return the exit code.

    Args:
        script: `__file__` of the script.
        parse: Function that returns the arguments; invalid ones end the script before any installation.
        work: Function to call with the arguments in the environment.
    """
    arguments = parse()
    code = rerun_in_environment(script)
    if code is None:
        work(arguments)
    return code or 0
