"""Test that workers leave room for the window."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

_SCRIPT = """
import os, sys
from core.jobs import system
system._FREE_CORE_FROM = int(sys.argv[1])
system.yield_to_the_window()
print(os.nice(0), len(os.sched_getaffinity(0)))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="priorities of Linux")
def test_a_worker_has_low_priority_and_leaves_a_core_free() -> None:
    cores = len(os.sched_getaffinity(0))
    for free_from, expected in ((2, cores - 1 if cores >= 2 else cores), (cores + 1, cores)):
        done = subprocess.run(
            [sys.executable, "-c", _SCRIPT, str(free_from)], capture_output=True, text=True, check=True
        )
        priority, left = map(int, done.stdout.split())
        assert priority >= 10
        assert left == expected
