"""Install missing packages and open the window on the embedded sample.

Without a display, or with --headless, the same workflow runs in the terminal. Two cameras of the sample have moved
since its calibration: the run identifies them, repairs the rig from the people, and ends with a measured comparison.
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
    """Parse the command line, set up and start; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--headless", action="store_true", help="Run the workflow in the terminal instead of the window."
    )
    parser.add_argument("--session", type=Path, help="Open this session folder instead of the embedded sample.")
    parser.add_argument("--with-smplx", action="store_true", help=f"Install the smplx package as well. {_SMPLX_TERMS}")
    options = parser.parse_args()
    headless = options.headless or not _has_display()
    if options.with_smplx:
        print(_SMPLX_TERMS, flush=True)
    try:
        python = ensure(["smplx"] if options.with_smplx else [], window=not headless)
    except SetupError as error:
        print(error, file=sys.stderr)
        return 1
    session = options.session.absolute() if options.session else None
    if not headless:
        return run([python, "-m", "studio.app", session or "--sample"])
    if not options.headless:
        print("No display was found, so the workflow runs in the terminal.", flush=True)
    return _run_headless(python, session)


def _run_headless(python: Path, session: Path | None) -> int:
    """Run every step on the sample or on a session, as with the window's buttons."""
    if session is None or not (session / "session.yaml").exists():
        session = session or _sample_folder(python)
        code = run([python, "-m", "core.cli", "demo", session])
        if code:
            return code
    return run([python, "-m", "core.cli", "run", session, "--repair-rig"])


def _sample_folder(python: Path) -> Path:
    """Return the folder of the sample's session in the user's data folder."""
    code = "from core.pipelines.demo import demo_folder; print(demo_folder())"
    return Path(subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip())


def _has_display() -> bool:
    """Return whether a display is available."""
    if not sys.platform.startswith("linux"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


if __name__ == "__main__":
    sys.exit(main())
