"""Worker process: `python -m core.worker RUN_DIR` runs the job in a folder and writes its events to it.

Exit codes: 0 finished, 1 failed, 130 cancelled. Several workers on one folder, as started by torchrun, share the job.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from core.disk import sweep
from core.errors import CoreError
from core.jobs.events import Cancelled, Finished
from core.jobs.launch import Ranks, end_with_parent, run_rank, select_gpu
from core.jobs.runner import run_job
from core.jobs.spec import JobSpec
from core.jobs.system import wait_without_spinning, yield_to_the_window
from core.passwords import HidingFormatter
from core.pipelines.verbs import verb
from core.progress import Reporter
from core.session import RunLayout, Session

_USAGE = "usage: python -m core.worker RUN_DIR"
_LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def run_worker(arguments: list[str] | None = None) -> int:
    """Run the job of a folder.

    Args:
        arguments: Command-line arguments without the program's name; None for those of this process.

    Returns:
        Exit code.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    handler = logging.StreamHandler()
    handler.setFormatter(HidingFormatter(_LOG_FORMAT))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.captureWarnings(True)
    faulthandler.enable()
    if len(arguments) != 1:
        sys.stderr.write(f"{_USAGE}\n")
        return 2
    folder = Path(arguments[0]).absolute()
    try:
        spec = JobSpec.load(folder)
    except CoreError as error:
        sys.stderr.write(f"{error}\n")
        return 1

    def work(reporter: Reporter) -> dict[str, Any]:
        session = Session.around(folder)
        if Ranks.from_environment().is_main:
            sweep(session.root)
        return verb(spec.verb)(session, spec.params, RunLayout(folder), reporter)

    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    if spec.verb != "record":  # recordings must keep up with their cameras
        yield_to_the_window()
    wait_without_spinning()
    select_gpu()
    if not Ranks.from_environment().is_main:
        end_with_parent()
        code = run_rank(folder, work, stop.is_set)
        # Torch threads that still hold tensors abort a process whose interpreter is shutting down.
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    ended = run_job(folder, spec.verb, work, stopped=stop.is_set)
    return 0 if isinstance(ended, Finished) else 130 if isinstance(ended, Cancelled) else 1


if __name__ == "__main__":
    sys.exit(run_worker())
