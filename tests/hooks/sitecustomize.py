"""Python's own start-up hook, for the child processes of tests that put this folder on the path.

It adds a verb that counts in a file, so that tests can watch a job go on, stop and resume.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any

import core.pipelines.verbs as verbs
from core.errors import CoreError
from core.progress import Reporter, check
from core.session import RunLayout, Session


@dataclass(frozen=True)
class CountParams:
    until: int = 5
    pause_s: float = 0.0
    end: str = ""


def count(session: Session, params: CountParams, run: RunLayout, reporter: Reporter) -> dict[str, Any]:
    counter = run.root / "counter"
    start = int(counter.read_text()) if counter.exists() else 0
    reporter.note(f"Counting from {start}.")
    for number in range(start, params.until):
        check(reporter)
        counter.write_text(str(number + 1))
        reporter.progress(number + 1, params.until, "Counting")
        reporter.metric("count", number + 1, number)
        time.sleep(params.pause_s)
    if params.end == "expected":
        raise CoreError("The count is wrong.", "Count again.")
    if params.end == "unexpected":
        raise ZeroDivisionError("one over zero")
    if params.end == "memory":
        raise MemoryError
    if params.end == "abort":
        os.abort()
    return {"counted": params.until - start}


verbs.VERBS["count"] = verbs.Verb("count", "poses", "Count", CountParams, "sitecustomize:count")
