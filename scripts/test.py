"""Installs what the tests need and runs them. Arguments go to pytest; its closing line is the last one."""

from __future__ import annotations

import sys

from _environment import SetupError, ensure, run


def main() -> int:
    """Returns pytest's exit code."""
    try:
        python = ensure(["test"], window=True, virtual_display=True)
    except SetupError as error:
        print(error, file=sys.stderr)
        return 1
    return run([python, "-m", "pytest", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
