"""Install the requirements of the tests and run them.

python3 scripts/test.py                  all tests, in one process per core, up to four
python3 scripts/test.py --fast           only tests that are not marked slow
python3 scripts/test.py tests/export -x  other arguments are passed to pytest

The last line is pytest's summary.
"""

from __future__ import annotations

import os
import sys

from _environment import SetupError, ensure, run

_MOST_PROCESSES = 4  # each has a display and loads networks; some need 1.5 GB


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
    return run([python, "-m", "pytest", *_parallel(arguments), *arguments])


def _parallel(arguments: list[str]) -> list[str]:
    """Return options for a parallel run; none if the user sets them or requests a debugger."""
    if any(argument.startswith(("-n", "--numprocesses", "--pdb", "--trace")) for argument in arguments):
        return []
    # Tests of one file share expensive fixtures.
    return ["-n", str(min(os.cpu_count() or 1, _MOST_PROCESSES)), "--dist", "loadfile"]


if __name__ == "__main__":
    sys.exit(main())
