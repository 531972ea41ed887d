"""Run the window with `python -m studio`."""

import sys

from studio.app import run_window

sys.exit(run_window())
