"""Examples run as they are shown."""

from __future__ import annotations

import csv
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from core.clock import SimulatedClock
from core.synthetic.people import walkers
from core.synthetic.rigs import ring_rig

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def example(name: str) -> ModuleType:
    """Import an example from its file."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_demo_cameras_are_recorded_calibrated_and_exported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = example("record_calibrate_export").main(tmp_path / "session", seconds=15.0, clock=SimulatedClock())
    assert {path.name for path in files} == {"cameras.txt", "images.txt", "points3D.txt"}
    assert all(path.exists() for path in files)
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_a_rig_format_of_the_users_own_is_written() -> None:
    rig = ring_rig(3)
    text = example("add_rig_format").EXPORTER.render(rig).texts[""]
    rows = list(csv.DictReader(text.splitlines()))
    assert [row["camera"] for row in rows] == list(rig.names)
    for camera, row in zip(rig, rows, strict=True):
        R, t_mm = camera.pose
        np.testing.assert_allclose([float(row[k]) for k in ("x_mm", "y_mm", "z_mm")], -R.T @ t_mm, atol=1e-6)
        np.testing.assert_allclose([float(row[f"forward_{k}"]) for k in "xyz"], R[2], atol=1e-6)


@pytest.mark.slow
def test_stored_poses_are_read_with_xarray(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    people = walkers(2, 60, np.random.default_rng(0))
    people.save(tmp_path / "poses.nc")
    example("read_poses").main(tmp_path / "poses.nc")
    speeds = [float(line.split()[0]) for line in capsys.readouterr().out.splitlines() if line.endswith("mm/s")]
    assert len(speeds) == 2 and all(100 < speed < 4000 for speed in speeds)
