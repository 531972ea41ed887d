"""Install what the tests need and run them.

python3 scripts/test.py                  the whole suite, in as many processes as there are cores, up to four
python3 scripts/test.py --fast           only tests that are not marked slow
python3 scripts/test.py tests/export -x  further arguments go to pytest

The closing line is pytest's.
"""

from __future__ import annotations

import os
import sys

from _environment import SetupError, ensure, run

_MOST_PROCESSES = 4  # each has a display and holds networks; some take 1.5 GB


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
    """Return options for a parallel run; none where the user sets them or wants a debugger."""
    if any(argument.startswith(("-n", "--numprocesses", "--pdb", "--trace")) for argument in arguments):
        return []
    # Tests of one file share fixtures that take long to make.
    return ["-n", str(min(os.cpu_count() or 1, _MOST_PROCESSES)), "--dist", "loadfile"]


if __name__ == "__main__":
    sys.exit(main())
