"""Damaged files of every layout give a rig of valid values or a reason that names the file, never another error."""

from __future__ import annotations

import random
import re
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import foreign

from core.calibration.checks import check_rig
from core.errors import CoreError
from core.rig_io.importers import import_rig_file
from core.types import CameraRig

NUMBERS = (
    b"nan", b"inf", b"0", b"-1", b"7", b"1e999", b"1e308", b"1e-308", b"9" * 400, b"9" * 5000, b"0x" + b"f" * 5000,
    b"true", b"null", b'"x"', b"[]", b"{}", b"1:2", b"2024-13-45", b"01",
)  # fmt: skip
WORDS = (
    b"fisheye", b"nonsense", b"\xff\xfe", b"\0", b"&a ", b"*a", b"!!timestamp x", b"<!DOCTYPE x>", b"[" * 100, b"{",
    b'"', b"<", b"\n", b"---\n", b"<<: ", b"K", b"R", b"T",
)  # fmt: skip
EACH = 25


def mutated(random_: random.Random, data: bytes) -> bytes:
    """Return data with one to three damages: a byte, a number, a word, a line, a cut or a repetition."""
    for _ in range(random_.choice((1, 1, 2, 3))):
        at, kind = random_.randrange(len(data) + 1), random_.randrange(7)
        numbers = list(re.finditer(rb"-?\d+\.?\d*", data))
        if kind == 0:
            data = data[:at] + bytes([random_.randrange(256)]) + data[at + 1 :]
        elif kind == 1:
            data = data[:at] + data[at + random_.randrange(1, 60) :]
        elif kind == 2:
            data = data[:at] + random_.choice(WORDS) + data[at:]
        elif kind == 3:
            data = data[:at]
        elif kind == 4:
            data = data[:at] + data[max(0, at - random_.randrange(1, 200)) :]
        elif numbers:
            number = random_.choice(numbers)
            data = data[: number.start()] + random_.choice(NUMBERS) + data[number.end() :]
    return data


def assert_valid(rig: CameraRig) -> None:
    for c in rig:
        assert np.isfinite(c.K).all() and np.isfinite(c.distortion).all()
        assert c.K[0, 0] > 0 and c.K[1, 1] > 0 and min(c.size_px) > 0
        if c.posed:
            R, t = c.pose
            assert np.isfinite(t).all() and np.allclose(R @ R.T, np.eye(3), atol=2e-3) and np.linalg.det(R) > 0
    assert rig.digest and rig.to_toml()


@pytest.mark.slow
@pytest.mark.parametrize("layout", foreign.WRITERS)
def test_damaged_files_of_every_layout(layout: str, tmp_path: Path) -> None:
    format_name, file, write = foreign.WRITERS[layout]
    path = write(tmp_path / file, foreign.truth_for(layout))
    files = sorted(p for p in tmp_path.rglob("*") if p.is_file())
    random_ = random.Random(layout)
    outcomes = set()
    for number in range(EACH):
        victim = random_.choice(files)
        whole = victim.read_bytes()
        victim.write_bytes(mutated(random_, whole))
        try:
            found = import_rig_file(path, format_name if number % 3 == 0 else "auto")
        except CoreError as error:
            outcomes.add("refused")
            assert error.hint
            assert any(name in error.message for name in (path.name, victim.name, path.parent.name)), error.message
        else:
            outcomes.add("read")
            assert_valid(found.rig)
            if number % 10 == 0:
                check_rig(found.rig).with_findings(found.findings).to_mapping()
        victim.write_bytes(whole)
    assert "refused" in outcomes
