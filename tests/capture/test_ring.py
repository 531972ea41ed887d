"""Live images between real processes: late readers, torn reads, writers that die."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from core.capture.ring import ImageRing, ImageRingReader, _folder, remove_abandoned_rings
from core.errors import CoreError

WRITER = Path(__file__).with_name("ring_writer.py")
GRADIENT = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)


@contextlib.contextmanager
def writer(pause_s: float, count: int = 10**9) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process that writes, and the name of its ring."""
    command = [sys.executable, str(WRITER), str(pause_s), str(count)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            kill(process)


def kill(process: subprocess.Popen[str]) -> None:
    """Kill it as a power cut would, including the helper process that Python starts."""
    with contextlib.suppress(psutil.Error):
        for each in [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]:
            each.send_signal(signal.SIGKILL if os.name != "nt" else signal.SIGTERM)
    process.wait()


def test_the_newest_image_wins_and_comes_once() -> None:
    ring = ImageRing(24)
    reader = ImageRingReader(ring.name)
    assert reader.newest() is None
    for number in range(7):
        ring.put(GRADIENT + np.uint8(number), {"number": number})
    found = reader.newest()
    assert found is not None and found.number == 7 and found.info == {"number": 6}
    assert (found.image == GRADIENT + np.uint8(6)).all()
    assert reader.newest() is None
    ring.put(GRADIENT[:2, :3], {})
    found = reader.newest()
    assert found is not None and found.image.shape == (2, 3, 3) and (found.image == GRADIENT[:2, :3]).all()
    late = ImageRingReader(ring.name)
    again = late.newest()
    assert again is not None and again.number == 8
    with pytest.raises(ValueError, match="does not fit"):
        ring.put(np.zeros((5, 6, 3), np.uint8), {})
    reader.close()
    late.close()
    ring.close()
    with pytest.raises(CoreError, match="no live images"):
        ImageRingReader(ring.name)


@pytest.mark.slow
def test_no_torn_image_is_ever_returned_by_a_slow_reader_of_a_fast_writer() -> None:
    with writer(0.0) as (_, name):
        reader = ImageRingReader(name)
        seen = []
        until = time.monotonic() + 3
        while time.monotonic() < until:
            found = reader.newest()
            if found is not None:
                assert (found.image == found.info["value"]).all()
                assert found.info["value"] == (found.number - 1) % 251
                seen.append(found.number)
        reader.close()
    assert len(seen) > 50 and seen == sorted(set(seen))


@pytest.mark.slow
def test_a_reader_that_attaches_late_or_dies_leaves_the_writer_alone() -> None:
    with writer(0.01) as (process, name):
        time.sleep(0.3)
        look = f"from core.capture.ring import ImageRingReader as R; r = R({name!r}); print(r.newest().number)"
        for _ in range(2):  # before Python 3.13 the first reader's exit would remove the block
            done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, timeout=60, check=True)
            assert int(done.stdout) > 5 and not done.stderr
        reader = ImageRingReader(name)
        assert reader.newest() is not None and process.poll() is None
        reader.close()


@pytest.mark.slow
def test_a_killed_writer_keeps_its_reader_working_and_is_cleaned_up_by_the_next() -> None:
    with writer(0.002) as (process, name):
        reader = ImageRingReader(name)
        time.sleep(0.2)
        kill(process)
        last = reader.newest()
        assert last is not None and (last.image == last.info["value"]).all()
        assert reader.newest() is None
        reader.close()
        assert (_folder() / f"{process.pid}.json").is_file()
        if sys.platform.startswith("linux"):
            assert (Path("/dev/shm") / name).exists()
    remove_abandoned_rings()
    assert not (_folder() / f"{process.pid}.json").exists()
    with pytest.raises(CoreError):
        ImageRingReader(name)


def test_a_writer_that_ends_leaves_no_shared_memory() -> None:
    with writer(0.0, 3) as (process, name):
        assert process.wait(60) == 0
        assert process.stderr is not None and not process.stderr.read()
    assert not (_folder() / f"{process.pid}.json").exists()
    with pytest.raises(CoreError):
        ImageRingReader(name)
