"""Process of live 3D: `python -m core.live`, started by `core.live.client.LiveProcess`.

The first line of JSON on the standard input has the session and the settings, each further one the rings of the cameras
or other settings; the process ends when the input does. Lines of JSON on the standard output name the ring of the
people, and say what happens.
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
"""Steps by which this process is less urgent than the recording."""
_FAILED = 1


def _say(facts: Mapping[str, Any]) -> None:
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
    """Run live 3D until the standard input ends; return the exit code."""
    _yield_to_the_recording()
    stopped = threading.Event()
    try:
        first = json.loads(sys.stdin.readline())
        loop = LiveLoop(Path(first["session"]), from_mapping(LiveConfig, first["config"]), _say)

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
        _say({"problem": f"{error.message} {error.hint}"})
        return _FAILED
    except Exception:  # noqa: BLE001 - the trace goes to the job's log, and the parent goes on without live 3D
        traceback.print_exc()
        _say({"problem": "Live 3D has ended by an error of the program. Its log has the details."})
        return _FAILED
    return 0


if __name__ == "__main__":
    code = run_live_process()
    sys.stdout.flush()
    os._exit(code)  # the thread that reads the input may still wait for a line
