"""Live 3D process, started by `core.live.client.LiveProcess` as `python -m core.live`.

The first JSON line on the standard input contains session and settings, each further one the rings of the cameras or
new settings; the process ends with its input. JSON lines on the standard output contain the ring of the people, rates
and problems.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from core.config import from_mapping
from core.errors import CoreError
from core.live.config import LiveConfig
from core.live.loop import LiveLoop

_LOWER = 5
"""Niceness relative to the recording."""
_FAILED = 1


def _emit(facts: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


def _yield_to_the_recording() -> None:
    process = psutil.Process()
    with contextlib.suppress(psutil.Error, OSError):
        if sys.platform == "win32":
            process.nice(psutil.IDLE_PRIORITY_CLASS)
        else:
            process.nice(min(19, process.nice() + _LOWER))


def run_live_process() -> int:
    """Run live 3D until the standard input ends, and return the exit code."""
    _yield_to_the_recording()
    stopped = threading.Event()
    try:
        first = json.loads(sys.stdin.readline())
        loop = LiveLoop(Path(first["session"]), from_mapping(LiveConfig, first["config"]), _emit)

        def follow() -> None:
            for line in sys.stdin:
                news = json.loads(line)
                if "rings" in news:
                    loop.attach(news["rings"])
                else:
                    loop.configure(from_mapping(LiveConfig, news["config"]))
            stopped.set()

        threading.Thread(target=follow, name="parent", daemon=True).start()
        loop.run(stopped)
    except CoreError as error:
        _emit({"problem": f"{error.message} {error.hint}"})
        return _FAILED
    except Exception:  # noqa: BLE001 - the traceback goes to the job's log, and the parent continues without live 3D
        traceback.print_exc()
        _emit({"problem": "Live 3D has ended because of an error in the program. The log has the details."})
        return _FAILED
    return 0


if __name__ == "__main__":
    code = run_live_process()
    sys.stdout.flush()
    os._exit(code)  # the reading thread may still wait for input
