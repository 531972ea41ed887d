"""Walking people in front of four cameras."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from walking_people import TIME_OFFSETS_S

from core.synthetic.people_scene import record_people
from core.synthetic.rigs import ring_rig


@pytest.fixture(scope="session")
def rig():
    return ring_rig(4, distortion=(-0.08, 0.02, 0, 0, 0))


@pytest.fixture(scope="session")
def recording(rig):
    return record_people(rig, people=1, seed=3, seconds=15.0, time_offset_s=TIME_OFFSETS_S)


@pytest.fixture(scope="session")
def still_recording(rig):
    """A recording of a rig without time offsets."""
    return record_people(rig, people=2, seed=4, seconds=15.0)
