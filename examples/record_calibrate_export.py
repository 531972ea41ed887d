"""Record cameras, calibrate them from a moving board, and export the rig for another program."""

from __future__ import annotations

import sys
from pathlib import Path

from core.clock import SYSTEM_CLOCK, Clock
from core.pipelines.params import CalibrateParams, RecordParams
from core.pipelines.record import run_record
from core.pipelines.rig.calibrate import run_calibrate
from core.progress import NullReporter
from core.rig_io.exporters import write_rig
from core.session import Session

DEMO = tuple(f"cam{i}=demo:cam0{i}" for i in (1, 2, 3, 4))


def main(
    folder: Path, cameras: tuple[str, ...] = DEMO, seconds: float = 25.0, clock: Clock = SYSTEM_CLOCK
) -> list[Path]:
    """Create a session, fill it with a recording and a rig, and return the exported files."""
    session, reporter = Session.create(folder), NullReporter()
    record = RecordParams(cameras=cameras, name="board", duration_s=seconds)
    print(run_record(session, record, session.new_run("record"), reporter, clock))
    report = run_calibrate(session, CalibrateParams(take="board"), session.new_run("calibrate"), reporter)
    print(report["verdict"])
    return list(write_rig(session.require_rig(), folder / "exports" / "colmap", "colmap").files)


if __name__ == "__main__":
    for path in main(Path(sys.argv[1] if len(sys.argv) > 1 else "my_session")):
        print(path)
