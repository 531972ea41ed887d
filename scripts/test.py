"""Install what the tests need and run them.

python3 scripts/test.py                  the whole suite
python3 scripts/test.py --fast           only tests that are not marked slow
python3 scripts/test.py tests/export -x  further arguments go to pytest

The closing line is pytest's.
"""

from __future__ import annotations

import sys

from _environment import SetupError, ensure, run


def main() -> int:
    """Run the tests and return pytest's exit code."""
    arguments = sys.argv[1:]
    if "--fast" in arguments:
        arguments = ["-m", "not slow", *(argument for argument in arguments if argument != "--fast")]
    try:
        python = ensure(["test"], window=True, virtual_display=True)
    except SetupError as error:
        print(error, file=sys.stderr)
        return 1
    return run([python, "-m", "pytest", *arguments])


if __name__ == "__main__":
    sys.exit(main())
