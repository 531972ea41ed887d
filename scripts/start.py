"""Installs what is missing and opens the window on the embedded sample.

Where there is no display, or with --headless, the same path runs in the terminal.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from _environment import SetupError, ensure, run

_SMPLX_TERMS = (
    "The smplx package and its body models have a non-commercial licence of the Max Planck Society: read its terms "
    "before you use them. SelfPose Studio works without it."
)


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--headless", action="store_true", help="run the path in the terminal instead of the window")
    parser.add_argument("--session", type=Path, help="session folder instead of the embedded sample's")
    parser.add_argument("--with-smplx", action="store_true", help=f"also install smplx. {_SMPLX_TERMS}")
    asked = parser.parse_args()
    headless = asked.headless or not _has_display()
    if asked.with_smplx:
        print(_SMPLX_TERMS, flush=True)
    try:
        python = ensure(["smplx"] if asked.with_smplx else [], window=not headless)
    except SetupError as error:
        print(error, file=sys.stderr)
        return 1
    session = asked.session.absolute() if asked.session else None
    if not headless:
        return run([python, "-m", "studio.app", session or "--sample"])
    if not asked.headless:
        print("There is no display here, so the same path runs in the terminal.", flush=True)
    return _run_path(python, session)


def _run_path(python: Path, session: Path | None) -> int:
    """The whole path on the sample or on a session, as the window's buttons would run it."""
    if session is None or not (session / "session.yaml").exists():
        session = session or _sample_folder(python)
        code = run([python, "-m", "core.cli", "demo", session])
        if code:
            return code
    return run([python, "-m", "core.cli", "run", session])


def _sample_folder(python: Path) -> Path:
    code = "from core.pipelines.demo import demo_folder; print(demo_folder())"
    return Path(subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip())


def _has_display() -> bool:
    if not sys.platform.startswith("linux"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


if __name__ == "__main__":
    sys.exit(main())
